"""Pictures for the next message: named, pasted, taken back; to a model that sees and to one that does not."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Files
from textual.events import Paste

from localagent.sandbox import launch
from localagent.toolbox import screen
from localagent.toolbox.intake import Unseen
from localagent.tui import waiting
from localagent.tui.showing import path_of
from localagent.values import Image, Text
from tests.tui.scenes import said
from tests.tui.support import Playing, at_home, idle, run, say, shows, until
from tests.tui.support import screen as drawn

sandboxed = pytest.mark.skipif(launch.probe().name == "none", reason="there is no sandbox here")


@sandboxed
def test_pictures_wait_above_the_prompt_and_go_with_the_next_message() -> None:
    engine = Playing(said("A cat."))
    engine.sees = True  # type: ignore[attr-defined]
    work = at_home()
    Files.new("RGB", (64, 96), "red").save(work / "cat.png")

    async def play(pilot: Any) -> None:
        app = pilot.app
        await say(pilot, "/image cat.png")
        await shows(pilot, "▣ picture 1: cat.png, 64 x 96")
        await say(pilot, "/image none.png")
        await shows(pilot, "There is no file")
        app.prompt.post_message(Paste(str(work / "cat.png")))
        await until(pilot, lambda: len(app.driver.attached) == 2)
        assert app.prompt.text == "" and app.driver.attached[1] == "picture 2: cat.png, 64 x 96"
        await say(pilot, "/image -")
        await until(pilot, lambda: not app.driver.attached)
        await say(pilot, "/image cat.png")
        await until(pilot, lambda: len(app.driver.attached) == 1)
        app.prompt.post_message(Paste(str(work / "none.txt")))
        await until(pilot, lambda: app.prompt.text.endswith("none.txt"))
        await say(pilot, "What is it?")
        await idle(pilot)
        assert not app.driver.attached and drawn(app).count("▣ picture 1: cat.png") == 1

    run(engine, play)
    parts = engine.asked[0][0][-1].parts
    assert [type(part) for part in parts[:3]] == [Text, Text, Image]


def test_a_model_that_cannot_see_gets_none_and_the_person_is_told() -> None:
    engine = Playing(said("Yes."))
    work = at_home()
    Files.new("RGB", (64, 96), "red").save(work / "cat.png")

    async def play(pilot: Any) -> None:
        await say(pilot, "/image cat.png")
        await shows(pilot, "cannot see pictures")
        await say(pilot, "/screenshot")
        pilot.app.prompt.post_message(Paste(str(work / "cat.png")))
        await until(pilot, lambda: pilot.app.prompt.text.endswith("cat.png"))
        assert not pilot.app.driver.images

    run(engine, play)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/home/me/a.png", "/home/me/a.png"),
        ("'/home/me/a b.png'\n", "/home/me/a b.png"),
        ("/home/me/a\\ b.png ", "/home/me/a b.png"),
        ("file:///home/me/a%20b.png", "/home/me/a b.png"),
        ("a.png", None),
        ("/a\n/b", None),
        ("", None),
    ],
)
def test_which_paste_is_a_path(text: str, path: str | None) -> None:
    assert path_of(text) == (Path(path) if path else None)


def test_what_stands_above_the_prompt() -> None:
    assert waiting.lines((), (), 40) == ""
    assert waiting.lines((), (), 60, ["a", "b"]) == "▣ a\n▣ b  (/image - takes them back)"
    assert waiting.lines((), (), 60, list("abcde")).splitlines()[-1].startswith("… and 2 more")


def _program(folder: Path, name: str, body: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("wayland", [True, False])
def test_the_desktop_s_programs_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wayland: bool) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(screen.sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if wayland:
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    _program(tmp_path, "wl-paste", "echo nothing is copied >&2; exit 1")
    _program(tmp_path, "xclip", "printf 'of x11'")
    _program(tmp_path, "scrot", 'printf "the screen" > "$2"')
    assert asyncio.run(screen.clipboard()) == b"of x11"
    assert asyncio.run(screen.screenshot()) == b"the screen"
    _program(tmp_path, "xclip", "exit 1")
    with pytest.raises(Unseen, match="no picture in the clipboard" if not wayland else "nothing is copied"):
        asyncio.run(screen.clipboard())
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(Unseen, match=r"needs one of these: .*xclip"):
        asyncio.run(screen.clipboard())
