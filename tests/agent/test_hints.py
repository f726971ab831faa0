"""What a failed call is told besides."""

from __future__ import annotations

from localagent.agent import letters
from localagent.agent.hints import hint
from localagent.store.inbox import Inbox
from localagent.values import Attachment, Incoming, ToolCall

_TOOLS = ("find_messages", "save_attachment", "run", "search_text")
_GONE = "mv: cannot stat 'offer.pdf': No such file or directory"


def test_an_attached_file_is_to_be_saved_first(isolated):
    message = Incoming("<1>", "mail", "d@x.org", "d@x.org", "Here.", 1e9, "Offer", "Dora", (Attachment("/x", "offer.pdf", "", 1, "0"),))
    with Inbox() as inbox:
        inbox.take("mail", [message], "1")
    call = ToolCall("c", "run", {"command": "mv offer.pdf in/"})
    assert "attached to message 1. Call save_attachment with number=1" in hint(call, _GONE, _TOOLS, letters.attached)
    assert hint(call, "mv: cannot stat 'other.pdf': No such file or directory", _TOOLS, letters.attached) == ""
    assert hint(call, _GONE, ("run",), letters.attached) == hint(call, "exit code 1", _TOOLS, letters.attached) == ""


def test_messages_are_no_files():
    for path in ("inbox", "received_messages", "mail/new", "emails"):
        call = ToolCall("c", "search_text", {"path": path})
        assert "find_messages" in hint(call, f"{path} does not exist.", _TOOLS, lambda text: None)
    for path in ("mailman.py", "data", "src/inboxes"):
        assert hint(ToolCall("c", "search_text", {"path": path}), "It does not exist.", _TOOLS, lambda text: None) == ""
