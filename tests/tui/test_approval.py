"""What counts as a yes, and what the session hears of each answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.events import Paste

from localagent.store import grants
from localagent.tui.approval import Approval

from .scenes import call, said
from .support import Playing, asked, idle, painted, run, say, screen, shows, until

WRITE = (said("", call("write", path="a.txt", content="x\n")), said("Done."))


def answers(app: Any) -> list[Any]:
    from localagent.events import ApprovalGiven

    return [e.answer for e in app.house.made[-1].transcript.read() if isinstance(e, ApprovalGiven)]


def ask(play: Any, *script: Any, **more: Any) -> Any:
    async def whole(pilot: Any) -> None:
        await say(pilot, "go")
        await until(pilot, lambda: isinstance(pilot.app.screen, Approval))
        await play(pilot)
        await idle(pilot)

    return run(Playing(*(script or WRITE)), whole, **more)


def test_keys_in_the_first_half_second_do_not_count(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await pilot.press("y")
        await pilot.press("enter")
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert isinstance(pilot.app.screen, Approval) and not (work / "a.txt").exists()
        await asked(pilot)
        await pilot.press("y")

    app = ask(play)
    assert [a.verdict for a in answers(app)] == ["allow"] and (work / "a.txt").read_text() == "x\n"


@pytest.mark.usefixtures("quick")
def test_enter_says_no_and_so_does_escape(work: Path) -> None:
    for key in ("enter", "escape"):

        async def play(pilot: Any, key: str = key) -> None:
            await asked(pilot)
            await pilot.press(key)

        assert [a.verdict for a in answers(ask(play))] == ["deny"] and not (work / "a.txt").exists()


@pytest.mark.usefixtures("quick")
def test_enter_on_another_label_is_no_answer(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await asked(pilot)
        await pilot.press("tab", "enter", "enter")
        assert isinstance(pilot.app.screen, Approval) and "Enter is no answer" in screen(pilot.app)
        await pilot.press("escape")

    assert [a.verdict for a in answers(ask(play))] == ["deny"]


def test_a_paste_never_approves(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Approval, "LOCKED_S", 0.01)

    async def play(pilot: Any) -> None:
        await asked(pilot)
        pilot.app.screen.focused.post_message(Paste("y"))
        await pilot.pause(0.2)
        assert isinstance(pilot.app.screen, Approval)
        # A terminal without bracketed paste sends it as keys, one at once behind the other.
        for key in ("y", "y", "s", "x", "y", "z"):
            pilot.app.screen.on_key(_key(key))
        await pilot.pause(0.3)
        assert isinstance(pilot.app.screen, Approval) and not (work / "a.txt").exists()
        await pilot.press("escape")

    assert [a.verdict for a in answers(ask(play))] == ["deny"]


def _key(key: str) -> Any:
    from textual.events import Key

    return Key(key, key)


@pytest.mark.usefixtures("quick")
def test_a_long_effect_must_be_seen_to_its_end(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await asked(pilot)
        for key in "ysa":
            await pilot.press(key)
            await pilot.pause(0.05)
        assert isinstance(pilot.app.screen, Approval) and "more to read" in screen(pilot.app)
        await pilot.press("pagedown")
        await pilot.press("end")
        await pilot.pause(0.05)
        await pilot.press("y")

    app = ask(play, said("", call("many")), said("Done."))
    assert [a.verdict for a in answers(app)] == ["allow"] and (work / "file59.txt").exists()


@pytest.mark.usefixtures("quick")
def test_no_with_words_tells_the_model_why(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await asked(pilot)
        await pilot.press("n")
        await pilot.press(*"wrong file", "enter")

    app = ask(play)
    assert answers(app)[0].note == "the user said: wrong file"
    told = [m.text for m in app.house.engine.asked[-1][0] if m.role == "tool"]
    assert any("wrong file" in text for text in told)


@pytest.mark.usefixtures("quick")
def test_session_is_not_asked_about_twice_and_stores_nothing(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await asked(pilot)
        await pilot.press("s")

    again = said("", call("write", path="a.txt", content="y\n"))
    app = ask(play, WRITE[0], again, said("Done."))
    assert [(a.verdict, a.scope) for a in answers(app)] == [("allow", "session")] and grants.load() == []
    assert (work / "a.txt").read_text() == "y\n"


@pytest.mark.usefixtures("quick")
def test_always_keeps_the_rule_that_was_shown_or_edited(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await asked(pilot)
        await pilot.press("a")
        await until(pilot, lambda: pilot.app.screen.query_one("#rule").has_focus)
        await pilot.press("home", "delete", "enter")
        await shows(pilot, "rite(a.txt)")
        assert isinstance(pilot.app.screen, Approval) and grants.load() == [], "a rule that cannot be read is not kept"
        await pilot.press(*"w")
        for _ in range(5):
            await pilot.press("right")
        await pilot.press("delete", "*", "enter")

    app = ask(play)
    assert [g.rule for g in grants.load()] == ["write(*.txt)"] and answers(app)[0].rule == "write(*.txt)"


@pytest.mark.usefixtures("quick")
def test_a_rule_too_wide_is_not_kept(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await asked(pilot)
        await pilot.press("a")
        await until(pilot, lambda: pilot.app.screen.query_one("#rule").has_focus)
        pilot.app.screen.query_one("#rule").value = "write(**)"
        await pilot.press("enter")
        await shows(pilot, "too wide")
        await pilot.press("escape", "escape")

    assert [a.verdict for a in answers(ask(play))] == ["deny"] and grants.load() == []


@pytest.mark.usefixtures("quick")
def test_an_edited_call_is_a_new_call_and_asked_about_again(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await asked(pilot)
        await pilot.press("e")
        editor = pilot.app.screen.query_one("#call")
        editor.text = "{broken"
        await pilot.press("ctrl+s")
        await shows(pilot, "not JSON")
        editor.text = '{"path": "b.txt", "content": "edited\\n"}'
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Approval) and "b.txt" in screen(pilot.app))
        await asked(pilot)
        await pilot.press("y")

    app = ask(play)
    assert [a.verdict for a in answers(app)] == ["allow", "allow"] and answers(app)[0].edited_args
    assert (work / "b.txt").read_text() == "edited\n" and not (work / "a.txt").exists()


@pytest.mark.usefixtures("quick")
def test_stopping_the_run_closes_the_question(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await asked(pilot)
        await pilot.press("f1", "ctrl+p")
        assert isinstance(pilot.app.screen, Approval), "no window opens over a question"
        await pilot.press("ctrl+c")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)

    app = ask(play)
    assert app.driver.view.items[-1].status == "cancelled" and not (work / "a.txt").exists()


@pytest.mark.usefixtures("quick")
def test_several_questions_at_once_are_listed_and_answered_one_by_one(work: Path) -> None:
    from localagent.values import Decision, ToolCall

    given: list[str] = []

    async def play(pilot: Any) -> None:
        import asyncio

        async def one(name: str) -> None:
            answer = await pilot.app.asking.approve(ToolCall(name, name, {"path": name}), Decision("ask", "because"), ())
            given.append(f"{name} {answer.verdict}")

        tasks = [asyncio.create_task(one(name)) for name in ("first", "second", "third")]
        await until(pilot, lambda: len(pilot.app.asking.questions) == 3)
        await painted(pilot)
        assert "1 of 3" in screen(pilot.app) and "next: third" in screen(pilot.app)
        for key in ("y", "escape", "y"):
            await asked(pilot)
            before = len(given)
            await pilot.press(key)
            await until(pilot, lambda before=before: len(given) > before)
        await asyncio.gather(*tasks)

    run(Playing(), play)
    assert given == ["first allow", "second deny", "third allow"]


@pytest.mark.usefixtures("quick")
def test_markup_and_controls_in_a_call_are_only_characters(work: Path) -> None:
    nasty = "[bold red]x[/] [@click=app.quit]y[/] \x1b[2J\u202egpj.exe"

    async def play(pilot: Any) -> None:
        await asked(pilot)
        shown = screen(pilot.app)
        assert "[bold red]x[/] [@click=app.quit]y[/]" in shown and "\\u{1b}[2J\\u{202e}gpj.exe" in shown
        await pilot.press("escape")

    app = ask(play, said("", call("fetch", command=nasty)), said("Done [bold]really[/bold] \x1b[31m"), size=(120, 30))
    assert answers(app)[0].verdict == "deny"


@pytest.mark.usefixtures("quick")
def test_every_way_to_answer_fits_a_small_screen() -> None:
    """What is typed into and what it means stand on the screen whole, and lead where they say."""
    long = "".join(f"line {n}\n" for n in range(60))

    async def step(pilot: Any, key: str, field: str) -> None:
        await pilot.press(key)
        await pilot.pause(0.15)
        window = pilot.app.screen
        place = window.find_widget(window.query_one(field))
        assert place.visible_region == place.region and place.region.height >= 1, (key, place)
        hint = window.find_widget(window.query_one("#hint"))
        assert hint.visible_region.height == hint.region.height, key

    async def play(pilot: Any) -> None:
        await say(pilot, "go")
        await asked(pilot)
        await pilot.press("end")
        await pilot.pause(0.1)
        for key, field in (("n", "#why"), ("e", "#call"), ("a", "#rule")):
            await step(pilot, key, field)
            await pilot.press("escape")
            await pilot.pause(0.05)
        await step(pilot, "n", "#why")
        await pilot.press(*"too long", "enter")
        await idle(pilot)
        assert "too long" in str(pilot.app.house.engine.asked[-1][0])

    run(Playing(said("", call("write", path="a.txt", content=long)), said("Done.")), play, size=(60, 14))
