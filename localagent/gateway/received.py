"""Files that come with a paired sender's message: laid into the chat's folder, as a step that can be undone."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..agent.session import Session
from ..channels.text import file_name
from ..errors import LocalAgentError
from ..values import Attachment, Change, Incoming

FOLDER = "received"
_MOST = 20
_KINDS = {"image": "You cannot see it.", "audio": "You cannot hear it.", "video": "You can neither see nor hear it."}


def saved(message: Incoming, session: Session) -> list[str]:
    """Save what is attached; a line about each file for the model. Blocks; never raises for what goes wrong with a file."""
    return [_saved(one, session, message) for one in message.attachments[:_MOST]] + (
        [f"{len(message.attachments) - _MOST} more files were left out."] if len(message.attachments) > _MOST else []
    )


def _saved(one: Attachment, session: Session, message: Incoming) -> str:
    name = file_name(one.name)
    what = f"({one.media_type}, {one.size:,} bytes)"
    cannot = _KINDS.get(one.media_type.partition("/")[0], "")
    if session.mode == "plan":
        return f"The sender attached {name} {what}. It was not saved: this chat may change nothing. {cannot}".rstrip()
    setting = session.setting
    folder = setting.workspace / FOLDER
    place = _free(folder, name)
    changes = [Change("write", str(place), content=one.path, before="", after=one.sha256, size=one.size, mode=0o600)]
    if not os.path.lexists(folder):
        changes.insert(0, Change("make_folder", str(folder)))
    try:
        # Nothing but the folder itself: where `received` leads elsewhere, it is not followed.
        setting.journal.commit(changes, [setting.workspace], session=session.id, call="", label=f"received {name} by {message.channel}")
    except LocalAgentError as error:
        return f"The sender attached {name} {what}. It could not be saved: {error} {cannot}".rstrip()
    return f"The sender attached {FOLDER}/{place.name} {what}; it is saved there. {cannot}".rstrip()


def _free(folder: Path, name: str) -> Path:
    """A place of that name where nothing is."""
    stem, dot, ending = name.rpartition(".")
    for number in range(1, 100):
        made = name if number == 1 else f"{stem}-{number}.{ending}" if dot and stem else f"{name}-{number}"
        if not os.path.lexists(folder / made):
            return folder / made
    return folder / f"{int(time.time())}-{name}"
