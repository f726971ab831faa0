"""What a model, a file or a slip of the fingers may bring must neither reach the terminal raw nor end the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from localagent.errors import StoreError
from localagent.store import meta, settings, trusted
from localagent.tui import fields
from localagent.tui.blocks import Person
from localagent.tui.telling import Telling
from localagent.tui.trust import Looked
from localagent.tui.view import Own, Said, Told, View
from tests.toolbox.test_own import HELLO

from .scenes import call, said
from .support import Home, Playing, asked, idle, run, say, screen, shows, until

pytestmark = pytest.mark.slow

RAW = "a\x1b]52;c;QQ==\x07\u202egpj\x9b2J"


def test_a_field_draws_a_sign_for_each_character_that_hides_or_acts_and_keeps_the_others() -> None:
    assert fields.drawn("echo \x1b[2J\x7f\u202e\u200b\x9b") == "echo \u241b[2J\u2421\ufffd\ufffd\ufffd"
    kept = "日本 עברית 👩\u200d💻 ☺\ufe0f\tüß"
    assert fields.drawn(kept) == kept


@pytest.mark.usefixtures("quick")
def test_editing_a_call_or_a_rule_writes_nothing_raw_to_the_terminal(work: Path) -> None:
    def calm(app: Any) -> None:
        assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(screen(app)), screen(app)

    async def play(pilot: Any) -> None:
        await say(pilot, "go")
        await asked(pilot)
        await pilot.press("a")
        await shows(pilot, "Enter keeps this rule")
        calm(pilot.app)
        await pilot.press("escape", "escape")
        await shows(pilot, "fetch")
        await asked(pilot)
        await pilot.press("e")
        await shows(pilot, "Ctrl+S")
        calm(pilot.app)
        # What is edited is still the call itself.
        assert pilot.app.screen.query_one("#call").text == RAW
        await pilot.press("escape", "escape")
        await idle(pilot)
        meta.rename(pilot.app.house.made[-1].id, RAW)
        await say(pilot, "/rename")
        await shows(pilot, "A title for this")
        calm(pilot.app)
        await pilot.press("escape")

    forged = said("", call("write", path="a\u202egpj.txt", content="x\n"))
    run(Playing(forged, said("", call("fetch", command=RAW)), said("Done.")), play)


@pytest.mark.parametrize("text", ["/export ~nobody-of-that-name/x.md", "/export a\0b.md", "/settings theme nope", "/undo " + "9" * 5000])
def test_a_command_that_fails_is_told_and_the_app_goes_on(text: str, work: Path) -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "hi")
        await idle(pilot)
        await say(pilot, text)
        await until(pilot, lambda: any(isinstance(item, Told) and item.level == "error" for item in pilot.app.driver.view.all))
        await say(pilot, "more")
        await shows(pilot, "Still here.")

    run(Playing(said("Hello."), said("Still here.")), play)
    assert settings.load().theme is None


def test_own_commands_end_on_the_screen_too_and_keep_characters_that_come_in_two_pieces(work: Path) -> None:
    async def play(pilot: Any) -> None:
        def ended() -> list[Own]:
            return [item for item in pilot.app.driver.view.items if isinstance(item, Own) and item.code is not None]

        await say(pilot, "!echo \0")
        await until(pilot, lambda: len(ended()) == 1)
        await say(pilot, r"!printf '\346\227'; sleep 0.2; printf '\245\n'")
        await until(pilot, lambda: len(ended()) == 2)
        assert ended()[1].output == "日\n" and ended()[0].code == 127

    run(Playing(), play)


def test_what_ctrl_c_clears_comes_back_with_up(work: Path) -> None:
    async def play(pilot: Any) -> None:
        pilot.app.prompt.set_text("a long thought")
        await pilot.press("ctrl+c")
        assert pilot.app.prompt.text == ""
        await pilot.press("up")
        assert pilot.app.prompt.text == "a long thought"

    run(Playing(), play)


def test_a_long_plugin_must_be_seen_to_its_end_before_a_yes(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looked, "LOCKED_S", 0.0)
    folder = trusted.plugins_folder()
    folder.mkdir()
    (folder / "long.py").write_text(HELLO.format("Hello") + "\n" + "# and so on\n" * 80)

    async def play(pilot: Any) -> None:
        await say(pilot, "/trust")
        await shows(pilot, "y has it on")
        await pilot.press("y")
        await pilot.pause(0.1)
        assert isinstance(pilot.app.screen, Looked) and trusted.load() == {}
        await pilot.press("end")
        await until(pilot, lambda: pilot.app.screen._seen)
        await pilot.press("y")
        await shows(pilot, "from the next conversation on")
        assert str(folder / "long.py") in trusted.load()

    run(Playing(), play, size=(110, 40))


def test_of_a_pasted_file_a_part_is_drawn_and_all_of_it_is_sent(work: Path) -> None:
    text = "\n".join(f"row {n}" for n in range(20_000))
    engine = Playing(said("Read."))

    async def play(pilot: Any) -> None:
        await say(pilot, text)
        await idle(pilot)
        block = pilot.app.query_one(Person)
        assert block.size.height < 60 and "more lines" in str(block.query_one(Static).visual)

    run(engine, play)
    assert any(text in message.text for message in engine.asked[-1][0])


def test_in_plain_lines_no_line_of_an_answer_stands_where_ours_do() -> None:
    telling = Telling("/work")
    forged = "Done.\nError: the disk is full\nAllow this?"
    view = View(items=(Said(forged),))
    assert telling.new(view) == ["Answer: Done.", "  Error: the disk is full", "  Allow this?"]
    live = Telling("/work")
    first = live.new(View(items=(Said("Done.\n", live=True),), phase="answering"))
    assert first + live.new(view) == ["Answer: Done.", "  Error: the disk is full", "  Allow this?"]


def test_where_no_session_could_be_opened_the_status_says_so_and_new_tries_again(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Home.session

    async def refused(self: Home, *_: Any) -> Any:
        raise StoreError("The disk is full.", "Free some space.")

    async def play(pilot: Any) -> None:
        monkeypatch.setattr(Home, "session", refused)
        pilot.app.driver.session = None
        await say(pilot, "/new")
        await shows(pilot, "/new tries again")
        assert "loading" not in screen(pilot.app)
        monkeypatch.setattr(Home, "session", opened)
        await say(pilot, "/new")
        await shows(pilot, "scripted")

    run(Playing(), play)
