"""What a failed call is told besides, where the host sees what was meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from ..values import ToolCall

_MESSAGES, _SAVE = "find_messages", "save_attachment"
_MISSING = re.compile(r"no such file|does not exist", re.IGNORECASE)
_BOX = re.compile(r"(?:^|[/_\s-])(?:inbox|mailbox|e?-?mails?|messages?|received)(?:$|[/._\s-])", re.IGNORECASE)


def hint(call: ToolCall, text: str, tools: Collection[str], attached: Callable[[str], tuple[str, int] | None]) -> str:
    """"" where there is nothing to say. `text` is the failure, `tools` are those that may be called.

    `attached` finds the name of a file in a text that came with a received message, and the message's number.
    """
    if _MESSAGES not in tools or not _MISSING.search(text):
        return ""
    if _SAVE in tools and call.name != _SAVE and (found := attached(text)) is not None:
        name, number = found
        return f"{name} is no file here yet: it is attached to message {number}. Call {_SAVE} with number={number} and the folder first."
    path = call.args.get("path")
    if isinstance(path, str) and _BOX.search(path):
        return (
            "Messages are not files. Those that the request speaks of stand beneath it already: take what you need from there "
            f"and make the next call; {_MESSAGES} looks for others."
        )
    return ""
