"""Messages: send one to people of the contact book.

The host looks up the addresses and the files, shows the exact words to the user, and sends; nothing here reaches the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from localagent import OneOf, Result, Send, ToolError, tool


@tool(effects=["send"])
def send_message(
    to: list[Annotated[str, OneOf("contacts")]],
    text: str,
    subject: str = "",
    attachments: list[Path] | None = None,
    reply_to: int = 0,
) -> Result:
    """Send a message (e-mail or chat) to people; reply_to is the number of the received message it answers, else 0."""
    people = list(dict.fromkeys(name.strip() for name in to if name.strip()))
    if not people:
        raise ToolError("Give the name of a contact in 'to'.")
    if not text.strip() and not attachments:
        raise ToolError("Give the words of the message in 'text'.")
    answered = str(reply_to) if reply_to > 0 else ""
    return Result("", [Send(name, text, subject.strip(), attachments or [], reply_to=answered) for name in people])
