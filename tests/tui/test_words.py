"""The pure helpers: words, completion, listings, effects, the two lines."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from localagent.tui import commands, complete, effect, listing, status, wording
from localagent.tui.view import Reading, View
from localagent.values import Change, ToolCall


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[31mred", "\\u{1b}[31mred"),
        ("a\u202eb\u2066c", "a\\u{202e}b\\u{2066}c"),
        ("👩\u200d💻 שלום\u200f", "👩\u200d💻 שלום\u200f"),
        ("\x9b2J\x07", "\\u{9b}2J\\u{7}"),
    ],
)
def test_a_text_can_do_nothing_to_the_terminal(text: str, shown: str) -> None:
    assert wording.calm(text) == shown


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("\x1b[1;32mok\x1b[0m\r\n", "ok\n"),
        ("10%\r50%\r100%\ndone", "100%\ndone"),
        ("\x1b]0;title\x07text", "text"),
        ("half\x1b[", "half"),
        ("10%\r", "10%"),
    ],
)
def test_a_programs_output_is_its_last_lines(output: str, shown: str) -> None:
    assert wording.plain_output(output) == shown


def test_times_and_bars() -> None:
    assert [wording.seconds(s) for s in (0.44, 12, 185, 3723)] == ["0.4 s", "12 s", "3:05", "1:02:03"]
    assert wording.bar(0.5, 4) == "━━──" and wording.bar(7, 2) == "━━"


def test_a_path_is_no_command() -> None:
    assert commands.parse("/undo 3") == ("undo", "3")
    assert commands.parse("/home/me is full") is None and commands.parse("/a\n/b") is None
    assert commands.parse("do /undo") is None


def test_every_command_has_a_deed_and_a_line_of_help() -> None:
    from localagent.tui.doing import Doing
    from localagent.tui.machine import Machine

    made = Doing.__new__(Doing)
    made._app = SimpleNamespace(machine=Machine.__new__(Machine))  # type: ignore[assignment]
    assert set(made._commands()) == {c.name for c in commands.COMMANDS}
    assert all(c.does for c in commands.COMMANDS)


def test_completions_are_nearest_first() -> None:
    paths = ["src/", "src/view.py", "tests/test_view.py", "docs/overview.md", "a name.txt"]
    assert [c.text for c in complete.choices("see @vie", paths)] == [
        "@src/view.py ",
        "@docs/overview.md ",
        "@tests/test_view.py ",
    ]
    assert [c.text for c in complete.choices("@name", paths)] == ['@"a name.txt" ']
    assert [c.text for c in complete.choices("@sr", paths)][:1] == ["@src/"]
    assert complete.choices("mail me@src", paths) == [] and complete.choices("plain", paths) == []
    assert [c.text for c in complete.choices("/ch", [])] == ["/changes"]
    assert complete.choices("/mode a", []) == []


def test_the_listing_leaves_out_what_git_ignores(tmp_path: Path) -> None:
    for name in (
        "a.py",
        "b.pyc",
        "build/x",
        "keep/y.log",
        "keep/z.txt",
        "sub/build/x",
        "sub/.git/config",
        "top",
        "sub/top",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("# no\n*.pyc\nbuild/\n*.log\n!keep/y.log\n/top\n")
    os.symlink(tmp_path, tmp_path / "loop")
    assert set(listing.known(str(tmp_path))) == {
        ".gitignore", "a.py", "keep/", "keep/y.log", "keep/z.txt", "loop", "sub/", "sub/top",
    }  # fmt: skip


def test_the_listing_of_a_great_folder_ends_in_time(tmp_path: Path) -> None:
    for n in range(50):
        (tmp_path / f"d{n}").mkdir()
    ticks = iter(range(1000))
    assert len(listing.known(str(tmp_path), clock=lambda: float(next(ticks)))) < 60


def test_the_dangerous_part_of_a_command_is_marked_and_nothing_is_hidden() -> None:
    rows = effect.rows(ToolCall("1", "run", {"command": "echo a\u200b; rm -rf build"}), (), "/w", "/home/me")
    pieces = [piece for row in rows for piece in row.pieces]
    assert [text for text, tone in pieces if tone == "danger"] == ["rm -rf build"]
    assert "\\u{200b}" in "".join(text for text, _ in pieces)


def test_the_effect_of_changes_is_whole(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_text("".join(f"{n}\n" for n in range(500)))
    changes = [Change("write", str(tmp_path / "new"), content=str(blob), before="", size=9)]
    changes += [Change("trash", str(tmp_path / f"old{n}")) for n in range(80)]
    rows = effect.rows(ToolCall("1", "x", {}), changes, str(tmp_path), "/root")
    text = "\n".join(row.text for row in rows)
    assert text.startswith("81 changes: 1 created, 80 deleted") and "trash old79" in text and "\n+499" in text


def test_the_activity_tells_what_is_waited_for() -> None:
    reading = View(phase="reading", began=0.0, reading=Reading(350, 1100, 100, 1.0))
    line = status.activity(reading, 2.0, 90, motion=False)
    assert "350 of 1,100 tokens" in line and "3.0 s left" in line and "Esc stops" in line
    assert status.activity(View(), 0.0, 90, motion=True) == ""
    assert len(status.activity(reading, 2.0, 40, motion=True)) <= 40


@pytest.mark.parametrize("width", [20, 40, 60, 120])
def test_mode_and_sandbox_are_always_shown(width: int) -> None:
    place = status.Place("auto", "bubblewrap", "/home/me/very/long/folder/of/mine", 16384)
    line = status.status(View(model="qwen3.5-9b", used=2048, speed=31.4), place, width).plain
    assert "AUTO" in line and "bubblewrap" in line and len(line) <= max(width, 24)
    if width == 120:
        assert "qwen3.5-9b" in line and "12% of 16k" in line and "31 tok/s" in line
    none = status.status(View(), status.Place("ask", "", "/", 0), width).plain
    assert "no sandbox" in none
