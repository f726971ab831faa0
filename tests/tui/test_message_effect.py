"""A message in the approval window: all of it, its recipient in bold."""

from __future__ import annotations

from localagent.tui import effect
from localagent.values import Attachment, Outgoing, ToolCall

_CALL = ToolCall("1", "send_message", {})


def test_the_whole_message_is_shown_and_the_recipient_stands_out():
    file = Attachment("/x/r.csv", "r.csv", "text/csv", 1234, "0" * 64)
    message = Outgoing("work", "anna@example.org", "Hello\n\u202eevil", "News", "Anna Berg", (file,))
    rows = effect.rows(_CALL, (message,), "/w", "/home/u")
    assert rows[0].pieces[1] == ("Anna Berg <anna@example.org>", "head")
    assert [row.text for row in rows] == [
        "send to Anna Berg <anna@example.org> by work",
        "  subject: News",
        "  attached: r.csv (1,234 bytes, text/csv)",
        "  | Hello",
        "  | \\u{202e}evil",
    ]


def test_a_look_alike_is_marked():
    message = Outgoing("work", "anna@p\u0430ypal.com", "Hello")
    rows = effect.rows(_CALL, (message,), "/w", "/home/u")
    assert "(in no contact)" in rows[0].text
    assert any(tone == "danger" and "CAREFUL" in text for row in rows for text, tone in row.pieces)
