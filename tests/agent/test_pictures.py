"""Pictures with the person's words: given, named with an @, made by a tool; to models that see and to those that do not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Files

from localagent import cli
from localagent import events as e
from localagent.agent import pictures
from localagent.errors import ModelError
from localagent.sandbox import launch
from localagent.store import picture
from localagent.toolbox import pictures as made_by_tools
from localagent.toolbox.intake import Wanted
from localagent.values import Image, Text, ToolResult
from tests.agent.test_loop import READ, World
from tests.fakes import call, nobody

sandboxed = pytest.mark.skipif(launch.probe().name == "none", reason="there is no sandbox here")


def world(tmp: Path, *steps: Any, sees: bool = True, **tools: Any) -> World:
    made = World(tmp, *(steps or ["I see."]), **tools)
    made.engine.sees = sees  # type: ignore[attr-defined]
    Files.new("RGB", (64, 96), "red").save(made.workspace / "cat.png")
    return made


def told(events: list[e.Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, e.Notice)]


@sandboxed
def test_a_named_picture_is_shown_and_marks_the_session(tmp_path: Path) -> None:
    here = world(tmp_path)
    events = here.run(nobody, "What is on @cat.png?")
    started = events[0]
    assert isinstance(started, e.TurnStarted) and {"untrusted", "private"} <= set(started.marks) and told(events) == []
    asked = here.engine.asked[0][0][-1]
    assert [type(part) for part in asked.parts[:3]] == [Text, Text, Image]
    assert asked.parts[0] == Text("What is on @cat.png?") and asked.parts[1] == Text("\n[picture 1: cat.png, 64 x 96]")
    image = asked.parts[2]
    assert isinstance(image, Image) and picture.find(picture.folder(here.session.transcript.spill), image.sha256)
    # What is in the transcript is what a resumed session shows again.
    assert e.from_json(e.to_json(started)) == started


@sandboxed
def test_given_pictures_come_first_and_are_counted_on(tmp_path: Path) -> None:
    here = world(tmp_path)

    async def run() -> list[e.Event]:
        place = picture.folder(here.session.transcript.spill)
        given = await pictures.take(["cat.png"], here.workspace, place)
        return [event async for event in here.session.send("And @cat.png", nobody, images=given)]

    asyncio.run(run())
    lines = [part.text for part in here.engine.asked[0][0][-1].parts if isinstance(part, Text) and "[picture" in part.text]
    assert [line[:11] for line in lines] == ["\n[picture 1", "\n[picture 2"]


def test_a_model_that_cannot_see_is_told_nothing_and_the_person_all(tmp_path: Path) -> None:
    here = world(tmp_path, sees=False)
    events = here.run(nobody, "Move @cat.png to a/")
    assert len(told(events)) == 1 and "cat.png: known by name alone" in told(events)[0] and "--model qwen3.5-9b" in told(events)[0]
    assert not any(isinstance(part, Image) for part in here.engine.asked[0][0][-1].parts)
    with pytest.raises(ModelError, match="cannot see pictures"):
        asyncio.run(anext(here.session.send("x", nobody, images=(Image("a" * 64),))))


@sandboxed
def test_what_may_not_be_read_and_what_is_damaged_is_said_and_the_turn_goes_on(tmp_path: Path) -> None:
    here = world(tmp_path)
    Files.new("RGB", (64, 64)).save(tmp_path / "outside.png")
    (here.workspace / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    events = here.run(nobody, f"Look at @{tmp_path}/outside.png, and @bad.png!")
    assert "outside.png is not shown" in told(events)[0] and "bad.png cannot be shown" in told(events)[1]
    assert isinstance(events[-1], e.TurnEnded) and events[-1].status == "done"


@sandboxed
def test_a_tool_s_picture_is_made_ready_for_a_model_that_sees(tmp_path: Path) -> None:
    file = tmp_path / "chart.png"
    Files.new("RGB", (80, 80), "green").save(file)

    made: list[Image] = []
    for sees in (True, False):
        draw = (READ, lambda args: ToolResult("", (Text("Drawn."), made[-1])))
        here = world(tmp_path, [call("draw")], "Green.", sees=sees, draw=draw)
        made.append(image := made_by_tools.stored(file.read_bytes(), here.session.transcript.spill))
        here.run()
        found = picture.find(picture.folder(here.session.transcript.spill), image.sha256)
        assert (found is not None) == sees
        last = here.engine.asked[1][0][-1]
        assert last.result is not None and last.result.parts[-1] == image


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@cat.png", ["cat.png"]),
        ("see @cat.png, @cat.png and me@cat.png", ["cat.png"]),
        ('what is "@cat.png"? and @"a b.png".', ["a b.png"]),
        ("@text.txt @none.png @", []),
        ("@doc.pdf", []),
        ("@doc.pdf#2", ["doc.pdf"]),
    ],
)
def test_which_words_name_pictures(tmp_path: Path, text: str, names: list[str]) -> None:
    for name in ("cat.png", "a b.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "doc.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "text.txt").write_text("x")
    found = pictures.named(text, tmp_path)
    assert [one.path.name for one in found] == names and all(isinstance(one, Wanted) for one in found)


def test_do_says_at_once_that_a_model_cannot_see(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is fetched or loaded: the starter is not even here."""
    Files.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert cli.main(["do", "--model", "starter", "--image", str(tmp_path / "a.png"), "what is it?"]) == cli.Exit.MODEL
    assert "starter cannot see pictures. Use one that can, such as --model qwen3.5-9b" in capsys.readouterr().err
    assert cli.main(["do", "--model", "qwen3.5-9b", "--image", str(tmp_path / "a.png"), "what is it?"]) == cli.Exit.MODEL
    assert "`localagent model pull qwen3.5-9b` fetches it (918 MB)" in capsys.readouterr().err
    assert cli.main(["do", "--model", "qwen3.5-plus", "--image", "none.png", "what is it?"]) == cli.Exit.USAGE
    assert "There is no file" in capsys.readouterr().err
