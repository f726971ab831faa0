"""Themes of one's own, and no colour at all where none is wanted."""

from __future__ import annotations

from typing import Any

import pytest
from rich.segment import Segment

from localagent.store import paths
from localagent.tui import look, themes
from localagent.tui.app import LocalAgentApp

from .scenes import SCENES, draw
from .support import Home, Playing, screen, tools, until

PAPER = 'primary: "#2f6f4f"\nbackground: "#fbf7ef"\nforeground: "#2b2b2b"\ndark: false\n'


def _write(name: str, text: str | bytes) -> None:
    folder = paths.config_dir() / "themes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_look_of_ones_own_is_read() -> None:
    _write("paper.yaml", PAPER)
    (theme,), told = themes.load(())
    assert (theme.name, theme.dark, theme.primary.lower(), told) == ("paper", False, "#2f6f4f", [])


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.yaml", "primary: '#12'\n", "primary: #12 is no colour"),
        ("a.yaml", "primary: '#112233'\nbackgroud: '#000000'\n", "there is no colour backgroud"),
        ("a.yaml", "primary: '#112233'\ndark: maybe\n", "dark must be true or false"),
        ("a.yaml", "primary: [1\n", "it is no YAML"),
        ("a.yaml", b"\xff\xfe", "it is no YAML"),
        ("a.yaml", "- 1\n", "it must hold at least"),
        ("a.yaml", "primary: ansi_red\n", "ansi_red is no colour"),
        ("a.yaml", "primary: '#11223344'\n", "is no colour"),
        ("a.yaml", "primary: '#112233'\nbackground: '#ffffff'\nforeground: '#eeeeee'\n", "too close to its background"),
        ("A b.yaml", PAPER, "small letters"),
        ("dark.yaml", PAPER, "there is a look dark already"),
        ("a.yaml", "x" * 30_000, "too large"),
    ],
)
def test_what_is_wrong_with_a_look_is_told_and_the_others_stay(name: str, text: str | bytes, why: str) -> None:
    _write(name, text)
    _write("paper.yml", PAPER)
    found, told = themes.load({"dark"})
    assert [theme.name for theme in found] == ["paper"]
    assert len(told) == 1 and why in told[0] and name in told[0]


async def _with(wishes: look.Wishes, play: Any) -> None:
    app = LocalAgentApp(Home(Playing(), tools()), wishes=wishes)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.driver.session is not None)
        await play(pilot)
        await app.driver.close()


def test_the_wanted_look_is_worn_and_the_list_holds_ones_own() -> None:
    import asyncio

    _write("paper.yaml", PAPER)
    _write("broken.yaml", "primary: nothing\n")

    async def play(pilot: Any) -> None:
        assert pilot.app.theme == "paper" and not pilot.app.motion
        await until(pilot, lambda: "nothing is no colour" in screen(pilot.app).replace("\n", " "))
        pilot.app.prompt.set_text("/theme ")
        await pilot.press("enter")
        await until(pilot, lambda: "paper  your own" in screen(pilot.app))
        await pilot.press(*"high", "enter")
        await until(pilot, lambda: pilot.app.theme == "high-contrast")

    asyncio.run(_with(look.Wishes("paper", motion=False), play))


@pytest.mark.usefixtures("quick")
def test_without_colour_there_is_none_and_the_focus_is_still_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    seen: list[Segment] = []

    def watch(app: Any) -> None:
        for strip in app.screen._compositor.render_strips():
            seen.extend(strip.apply_filter(app._filters[-1], app.screen.background_colors[1]))

    draw(SCENES["approval of a command"], watch)
    styles = [segment.style for segment in seen if segment.style is not None]
    assert {style.color.name for style in styles if style.color} <= {"default"}
    assert {style.bgcolor.name for style in styles if style.bgcolor} <= {"default"}
    marked = {segment.text.strip() for segment in seen if segment.style and segment.style.reverse}
    assert "n no" in marked
    dangerous = [segment.text for segment in seen if segment.style and segment.style.underline]
    assert "rm -rf ./cache" in dangerous
