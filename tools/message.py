"""Messages: send one, to a person of the contact book.

The host looks up the address, shows the exact words to the user, and sends; nothing here reaches the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from localagent import OneOf, Result, Send, ToolError, tool


@tool(effects=["send"])
def send_message(
    to: Annotated[str, OneOf("contacts")],
    text: str,
    subject: str = "",
    attachments: list[Path] | None = None,
    reply_to: str = "",
) -> Result:
    """Send a message (e-mail or chat) to a contact; reply_to is the id of a message that it answers."""
    if not to.strip():
        raise ToolError("Give the name of a contact in 'to'.")
    if not text.strip() and not attachments:
        raise ToolError("Give the words of the message in 'text'.")
    files = attachments or []
    for file in files:
        if not file.is_file():
            raise ToolError(f"There is no file {file}. Look with list_files for the right path.")
    return Result("", [Send(to.strip(), text, subject.strip(), files, reply_to=reply_to.strip())])
