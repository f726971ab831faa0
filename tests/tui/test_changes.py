"""The browser of changes: what it shows, and that one file can be had back without losing another's work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from localagent.store import paths
from localagent.store.journal import Journal
from localagent.store.stepfiles import StepFile
from localagent.tui import changes
from localagent.values import Change

from .scenes import call, said
from .support import Playing, change, idle, run, say, screen, shows, until

TWO = said("", call("write", path="a.txt", content="one\n"), call("write", path="b.txt", content="two\n"))


def _windows(pilot: Any) -> int:
    return len(pilot.app.screen_stack)


def test_a_file_comes_back_from_the_browser_and_a_later_edit_is_not_lost(work: Path) -> None:
    (work / "a.txt").write_text("old\n")

    async def play(pilot: Any) -> None:
        await say(pilot, "write two files")
        await idle(pilot)
        await say(pilot, "/changes")
        await shows(pilot, "write two files")
        assert "1 changed: a.txt" in screen(pilot.app) and "1 created: b.txt" in screen(pilot.app)
        await pilot.press("down", "enter")
        await shows(pilot, "+one")
        assert "-old" in screen(pilot.app)
        (work / "a.txt").write_text("mine\n")
        await pilot.press("o", "f")
        await shows(pilot, "was changed since")
        assert (work / "a.txt").read_text() == "mine\n"
        await pilot.press("o")
        await until(pilot, lambda: (work / "a.txt").read_text() == "old\n")
        await shows(pilot, "that is step 3")
        await pilot.press("escape")
        await shows(pilot, "a.txt as it was before step 1")
        await pilot.press("home", "u")
        await until(pilot, lambda: (work / "a.txt").read_text() == "mine\n")
        await shows(pilot, "undone")
        await pilot.press("escape")
        await until(pilot, lambda: _windows(pilot) == 1)

    run(Playing(TWO, said("Done.")), play, mode="auto", size=(100, 30))


def test_nothing_is_changed_while_the_agent_works(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "write two files")
        await until(pilot, lambda: (work / "b.txt").exists())
        await say(pilot, "/changes")
        await shows(pilot, "1 created: b.txt")
        await pilot.press("r")
        await shows(pilot, "is not undone; u undoes it")
        await pilot.press("u")
        await shows(pilot, "The agent is at work")
        await pilot.press("enter")
        await shows(pilot, "+two")
        await pilot.press("f")
        await until(pilot, lambda: screen(pilot.app).count("at work") == 1)
        assert (work / "b.txt").exists()

    run(Playing(TWO, [...]), play, mode="auto")


def test_one_file_of_several_is_taken_back_and_the_rest_stays(work: Path) -> None:
    journal = Journal(paths.state_dir() / "journal")
    made = [change(f"f{n}.txt", f"{n}\n") for n in range(3)]
    journal.commit(made, [work], session="s", call="c", label="write")
    deeds = changes.Deeds(journal, str(work), lambda: "")

    async def back() -> tuple[str, bool]:
        return await deeds.put_back(deeds.steps()[0], StepFile(str(work / "f1.txt"), "created"), over=False)

    assert asyncio.run(back()) == ("Step 2: f1.txt put back.", True)
    assert [(work / f"f{n}.txt").exists() for n in range(3)] == [True, False, True]
    assert asyncio.run(deeds.turn(deeds.steps()[0], again=True))[1] and (work / "f1.txt").exists()
    assert asyncio.run(deeds.put_back(deeds.steps()[-1], StepFile(str(work / "none"), "changed"), over=True))[1] is False


def test_hostile_names_and_every_kind_of_change_are_drawn_plainly(work: Path) -> None:
    journal = Journal(paths.state_dir() / "journal")
    (work / "old\x1b[2J").write_text("[red]x[/red]\n")
    (work / "m").write_text("m")
    changes_made = (Change("trash", str(work / "old\x1b[2J")), Change("move", str(work / "m"), dest=str(work / "n")))
    journal.commit(changes_made, [work], session="none", call="c", label="tidy\x1b]0;x")
    from localagent.store import stepfiles

    found = stepfiles.files(journal.folder, 1)
    lines = [changes.file_line(file, str(work)).plain for file in found]
    assert sorted(line[0] for line in lines) == ["-", "→"] and not any("\x1b" in line for line in lines)
    gone = next(file for file in found if file.kind == "deleted")
    drawn = [line.plain for line in changes.diff_lines(gone, str(work))]
    assert "-[red]x[/red]" in drawn
    moved = next(file for file in found if file.kind == "moved")
    assert changes.diff_lines(moved, str(work))[0].plain.startswith("Moved")
    deeds = changes.Deeds(journal, str(work), lambda: "")
    step = deeds.steps()[0]
    assert deeds.goals([step]) == {} and "\x1b" not in changes.step_line(step, "").plain
