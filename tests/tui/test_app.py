"""Keys and commands of the app over a real session."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from localagent.events import TextDelta
from localagent.store import prompts, transcript

from .scenes import call, said
from .support import Home, Playing, asked, idle, later, painted, run, say, screen, shows, tools, until

WRITE = (said("", call("write", path="a.txt", content="x\n")), said("Done."))


def items(app: Any) -> list[str]:
    return [getattr(item, "text", type(item).__name__) for item in app.driver.view.all]


def test_escape_stops_a_running_answer_at_once_and_keeps_what_was_said() -> None:
    engine, took = Playing([TextDelta("Once upon"), ...]), []

    async def play(pilot: Any) -> None:
        await say(pilot, "tell")
        await shows(pilot, "Once upon")
        started = time.monotonic()
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.driver.view.busy)
        took.append(time.monotonic() - started)
        await shows(pilot, "Interrupted.")

    app = run(engine, play)
    assert took[0] < 0.2 and engine.stopped == 1 and items(app)[1] == "Once upon"
    kinds = [type(event).__name__ for event in app.house.made[0].transcript.read()]
    assert kinds == ["TurnStarted", "TurnEnded"]


def test_what_was_queued_is_sent_next_and_comes_back_when_stopped() -> None:
    engine = Playing([TextDelta("Working"), ..., *said("One.")], [TextDelta("Again"), ...], said("Three."))

    async def play(pilot: Any) -> None:
        await say(pilot, "one")
        await shows(pilot, "Working")
        await later(pilot, "two")
        engine.go()
        await shows(pilot, "Again")
        await later(pilot, "three")
        pilot.app.prompt.set_text("half written")
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.driver.view.busy)
        assert pilot.app.prompt.text == "three\nhalf written" and pilot.app.driver.queue == []

    app = run(engine, play)
    assert [t for t in items(app) if t in ("one", "two", "three")] == ["one", "two"]


def test_a_request_before_the_session_is_there_waits_for_it() -> None:
    class Slow(Home):
        async def session(self, *args: Any) -> Any:
            await asyncio.sleep(0.2)
            return await super().session(*args)

    from localagent.tui.app import LocalAgentApp

    async def whole() -> list[str]:
        app = LocalAgentApp(Slow(Playing(said("Hello.")), tools()))
        async with app.run_test() as pilot:
            await say(pilot, "hi")
            assert "next: hi" in screen(app) and "loading tools" in screen(app)
            await until(pilot, lambda: "Hello." in screen(app))
            await app.driver.close()
        return items(app)

    assert asyncio.run(whole()) == ["hi", "Hello.", "Ended"]


def test_shift_tab_cycles_the_modes_in_a_running_turn_too(work: Path) -> None:
    engine = Playing([TextDelta("Soon"), ..., *said("", call("write", path="a.txt", content="x\n"))], said("Done."))

    async def play(pilot: Any) -> None:
        await say(pilot, "write")
        await shows(pilot, "Soon")
        for mode in ("AUTO", "PLAN", "ASK", "AUTO"):
            await pilot.press("shift+tab")
            await shows(pilot, mode)
        engine.go()
        await idle(pilot)

    app = run(engine, play)
    assert (work / "a.txt").exists() and app.driver.view.questions == 0


def test_undo_redo_and_changes(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "write")
        await idle(pilot)
        assert (work / "a.txt").exists()
        await say(pilot, "/undo")
        await shows(pilot, "Undid step 1")
        assert not (work / "a.txt").exists()
        await say(pilot, "/redo")
        await shows(pilot, "Did again step 1")
        await say(pilot, "/changes")
        await shows(pilot, "1 created")
        await pilot.press("enter")
        await shows(pilot, "+x")
        await pilot.press("u")
        await until(pilot, lambda: not (work / "a.txt").exists())
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        await say(pilot, "/undo")
        await shows(pilot, "nothing to undo")
        await say(pilot, "/undo x")
        await shows(pilot, "Name the number")

    run(Playing(*WRITE), play, mode="auto")


def test_a_file_that_was_changed_since_is_left_alone(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "write")
        await idle(pilot)
        (work / "a.txt").write_text("mine\n")
        await say(pilot, "/undo")
        await shows(pilot, "was left as it is")

    run(Playing(*WRITE), play, mode="auto")
    assert (work / "a.txt").read_text() == "mine\n"


def test_an_own_command_runs_in_the_persons_shell_and_the_model_never_sees_it(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "my own environment")
    engine = Playing(said("Hi."))

    async def play(pilot: Any) -> None:
        await say(pilot, "!echo $MINE; exit 3")
        await shows(pilot, "exit 3")
        assert "my own environment" in screen(pilot.app)
        await say(pilot, "!sleep 60")
        await shows(pilot, "! sleep 60")
        await pilot.press("escape")
        await shows(pilot, "(stopped)")
        await say(pilot, "hello")
        await idle(pilot)

    app = run(engine, play)
    assert "my own" not in str(engine.asked) and len(items(app)) == 5
    assert "my own" not in Path(app.house.made[0].transcript.folder / "transcript.jsonl").read_text()


def test_history_lines_and_completion(work: Path) -> None:
    (work / "notes.md").write_text("")
    prompts.add("older")

    async def play(pilot: Any) -> None:
        prompt = pilot.app.prompt
        await pilot.press(*"draft", "up")
        assert prompt.text == "older"
        await pilot.press("down")
        assert prompt.text == "draft"
        await pilot.press("ctrl+j", *"two")
        assert prompt.text == "draft\ntwo"
        await pilot.press("ctrl+c")
        assert prompt.text == ""
        await pilot.press(*"see @no")
        await shows(pilot, "notes.md")
        await pilot.press("tab")
        assert prompt.text == "see @notes.md "
        await pilot.press("ctrl+c", "/", "m", "o")
        await shows(pilot, "/model")
        await pilot.press("escape")
        assert not prompt.choices.display and prompt.text == "/mo"
        await pilot.press("d", "down", "enter")
        assert prompt.text == "/model "

    run(Playing(), play)


def test_a_long_paste_is_a_chip_and_sent_whole() -> None:
    from textual.events import Paste

    engine, long = Playing(said("Read.")), "".join(f"line {n}\n" for n in range(40))

    async def play(pilot: Any) -> None:
        await pilot.press(*"sum up: ")
        pilot.app.prompt.post_message(Paste(long))
        await shows(pilot, "[pasted text 1: 41 lines]")
        await pilot.press("enter")
        await idle(pilot)

    app = run(engine, play)
    assert items(app)[0] == f"sum up: {long}".strip()


def test_a_new_conversation_and_an_earlier_one_gone_on_with() -> None:
    engine = Playing(said("Seven it is."), said("Hello."), said("Seven."))

    async def play(pilot: Any) -> None:
        await say(pilot, "remember seven")
        await idle(pilot)
        await say(pilot, "/new")
        await until(pilot, lambda: len(pilot.app.house.made) == 2 and pilot.app.driver.session is not None)
        await painted(pilot)
        assert "Seven it is" not in screen(pilot.app)
        await say(pilot, "hello")
        await idle(pilot)
        await say(pilot, "/sessions")
        await shows(pilot, "remember seven")
        await pilot.press(*"seven", "enter")
        await shows(pilot, "Seven it is.")
        await say(pilot, "which?")
        await idle(pilot)

    app = run(engine, play)
    assert items(app) == ["remember seven", "Seven it is.", "Ended", "which?", "Seven.", "Ended"]
    assert any("remember seven" in m.text for m in engine.asked[-1][0])
    assert transcript.find("last") == app.house.made[1].id


def test_ctrl_c_twice_and_ctrl_d_leave() -> None:
    for keys in (("ctrl+c", "ctrl+c"), ("ctrl+d",), ("/", *"quit", "enter"), ("ctrl+q",)):

        async def play(pilot: Any, keys: tuple[str, ...] = keys) -> None:
            await pilot.press("x", "ctrl+a", "ctrl+d")
            assert pilot.app.prompt.text == "" and pilot.app._exit is False
            await pilot.press(*keys)
            await until(pilot, lambda: pilot.app._exit)

        run(Playing(), play)


def test_cards_fold_and_unfold() -> None:
    lots = "".join(f"line {n}\n" for n in range(30))
    from .support import RUN, ran

    have = tools(run=(RUN, lambda args: [lots, ran("x", lots)]))

    async def play(pilot: Any) -> None:
        await say(pilot, "run")
        await idle(pilot)
        assert "line 1\n" not in screen(pilot.app) and "line 29" in screen(pilot.app)
        await pilot.press("ctrl+o")
        await painted(pilot)
        assert len(pilot.app.transcript.query("Card").first().query_one(".body").render().plain.splitlines()) > 30
        await pilot.press("ctrl+o")
        await painted(pilot)
        await pilot.press("tab")
        pilot.app.transcript.query("Card").first().focus()
        await pilot.press("enter")
        await painted(pilot)
        assert len(pilot.app.transcript.query("Card").first().query_one(".body").render().plain.splitlines()) > 30
        await pilot.press("h")
        assert pilot.app.prompt.text == "h" and pilot.app.prompt.has_focus

    run(Playing(said("", call("run", command="x")), said("Done.")), play, have=have, mode="auto")


def test_unknown_commands_and_bad_arguments_are_told() -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "/chnages")
        await shows(pilot, "There is no command /chnages")
        await say(pilot, "/mode wild")
        await shows(pilot, "The modes are")
        await say(pilot, "/theme none-such")
        await shows(pilot, "The looks are")
        await say(pilot, "/copy")
        await shows(pilot, "no answer to copy")

    run(Playing(), play, size=(100, 30))


def test_a_long_session_opens_at_its_end_and_pages_back(work: Path) -> None:
    from localagent.events import MessageDone, TurnEnded, TurnStarted
    from localagent.values import Message, Text

    log = transcript.Transcript(transcript.new_id())
    for n in range(150):
        log.append(TurnStarted(log.folder.name, Message("user", (Text(f"question {n}"),)), "m", "ask", str(work), 0.0))
        log.append(MessageDone(Message("assistant", (Text(f"answer **{n}**"),))))
        log.append(TurnEnded("done"))

    async def play(pilot: Any) -> None:
        await shows(pilot, "answer 149")
        assert len(pilot.app.transcript.children) < 80
        conversation = pilot.app.transcript
        await pilot.press("pageup")
        await until(pilot, lambda: "answer 149" not in screen(pilot.app))
        await pilot.press("pagedown")
        await shows(pilot, "answer 149")
        await pilot.press("ctrl+home")
        await shows(pilot, "earlier")
        before = len(conversation.children)
        await pilot.press("pageup")
        await until(pilot, lambda: len(conversation.children) > before)
        await pilot.press("ctrl+end")
        await shows(pilot, "answer 149")

    run(Playing(), play, resume=log.folder.name)


def test_a_failing_widget_or_disk_loses_nothing_of_the_session(work: Path) -> None:
    """The transcript is written before the screen hears of it."""
    from localagent.tui.transcript import Transcript

    class Broken(RuntimeError):
        pass

    async def broken(self: Any, view: Any) -> None:
        if any(getattr(item, "text", "") == "Half" for item in view.items):
            raise Broken

    from localagent.tui.app import LocalAgentApp

    async def whole(monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(Transcript, "show", broken)
        app = LocalAgentApp(
            Home(
                Playing(said("", call("write", path="a.txt", content="x\n")), [TextDelta("Half"), ...]), tools(), "auto"
            )
        )
        with pytest.raises(Exception):  # noqa: B017 - whatever Textual makes of it
            async with app.run_test() as pilot:
                await until(pilot, lambda: app.driver.session is not None)
                app.driver.submit("go")
                await pilot.pause(1.0)
        return app

    with pytest.MonkeyPatch.context() as patch:
        app = asyncio.run(whole(patch))
    kinds = [type(event).__name__ for event in app.house.made[0].transcript.read()]
    assert kinds[:3] == ["TurnStarted", "MessageDone", "ToolStarted"] and "ChangesCommitted" in kinds


@pytest.mark.usefixtures("quick")
def test_approving_by_mouse_needs_the_same(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "write")
        await asked(pilot)
        await pilot.click("#yes")
        await idle(pilot)

    run(Playing(*WRITE), play)
    assert (work / "a.txt").exists()


LONG = "# Head\n\n" + "".join(
    f"Paragraph {n} with *words*.\n\n1. one {n}\n2. two {n}\n   - deep\n\n```sh\necho {n}\n```\n\n| a | b |\n|---|---|\n| {n} | x |\n\n"
    for n in range(3)
)


@pytest.mark.parametrize("pieces", [3, 400])
def test_nothing_of_a_streamed_answer_is_lost_however_it_is_cut(pieces: int) -> None:
    """Drawn piece by piece it is the same Markdown, block by block, as drawn at once."""
    from textual.widgets import Markdown

    from localagent.events import MessageDone
    from localagent.values import Message, Text

    from .scenes import USED

    size = -(-len(LONG) // pieces)
    deltas: list[Any] = [TextDelta(LONG[at : at + size]) for at in range(0, len(LONG), size)]
    done = MessageDone(Message("assistant", (Text(LONG),)), *USED)
    seen: list[list[tuple[str, str]]] = []

    async def play(pilot: Any) -> None:
        await say(pilot, "go")
        await idle(pilot)
        seen.append(blocks(pilot.app.transcript.query_one(Markdown)))

    def blocks(markdown: Any) -> list[tuple[str, str]]:
        return [
            (type(b).__name__, getattr(getattr(b, "_content", None), "plain", ""))
            for b in markdown.query("MarkdownBlock")
        ]

    look = said("", call("look"))
    run(_Slowly(look, [*deltas, done]), play)
    run(Playing(look, [done]), play)
    assert seen[0] == seen[1] and len(seen[0]) == 25


class _Slowly(Playing):
    """A frame's time between some of the pieces, so that they are drawn in several goes."""

    async def stream(self, *asked: Any) -> Any:
        n = 0
        async for delta in super().stream(*asked):
            yield delta
            n += 1
            if n % 20 == 1:
                await asyncio.sleep(0.04)
