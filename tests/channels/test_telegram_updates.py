"""Whose words a Telegram message holds: what its sender quotes, or a program writes in a person's name, is marked."""

from __future__ import annotations

import pytest

from localagent.channels import telegram_updates
from tests.channels.test_telegram import _received


def _text(text: str, field: str = "text", **more: object) -> str:
    message = {"message_id": 1, "chat": {"id": 7}, "from": {"id": 7}, field: text, **more}
    found = telegram_updates.read({"update_id": 1, "message": message})
    assert found is not None
    return found.text


def _quote(offset: object, length: object, type: str = "blockquote") -> dict[str, object]:
    return {"type": type, "offset": offset, "length": length}


def test_a_program_that_writes_in_a_persons_name() -> None:
    assert _text("yes K3F9QX", sender_business_bot={"id": 9, "is_bot": True}) == "> yes K3F9QX"


def test_what_is_marked_as_a_quotation() -> None:
    assert _text("yes K3F9QX", entities=[_quote(0, 10)]) == "> yes K3F9QX"
    emoji = _text("Look \U0001f600:\ndelete\nall\nand?", entities=[_quote(9, 10, "expandable_blockquote")])
    assert emoji == "Look \U0001f600:\n> delete\n> all\nand?"
    assert _text("a\nbc", "caption", caption_entities=[_quote(2, 2)]) == "a\n> bc"
    assert _text("one two", entities=[_quote(0, 1), _quote(4, 3)]) == "> o\nne \n> two"
    assert _text("see bold", entities=[_quote(4, 4, "bold")]) == "see bold"


@pytest.mark.parametrize("marks", [5, [5], [_quote("a", 9)], [_quote(0, 10**12)], [_quote(3, -1)], [_quote(5, 2), _quote(0, 9)]])
def test_marks_of_any_form_are_read_without_harm(marks: object) -> None:
    assert _text("abcd", entities=marks) == "abcd"


@pytest.mark.parametrize("at", [10**400, 1e400, float("nan"), -5, True, "x", 2**62, None])
def test_a_time_that_cannot_be_stops_nothing(at: object) -> None:
    message = {"message_id": 1, "chat": {"id": 7}, "from": {"id": 7}, "text": "hi", "date": at}
    found = telegram_updates.read({"update_id": 1, "message": message})
    assert found is not None and 0 <= found.at <= 4e9


def test_a_command_to_another_bot_of_the_group_is_not_ours() -> None:
    says = [{"text": text, "chat": -5} for text in ("/stop@other_bot", "/undo@other_bot now", "/stop@Our_Bot", "mail /stop@other_bot")]
    assert [got.text for got in _received(*says) if got is not None] == ["/stop@Our_Bot", "mail /stop@other_bot"]
