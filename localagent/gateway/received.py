"""Files that come with a paired sender's message: laid into the chat's folder, as a step that can be undone."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..agent import pictures
from ..agent.session import Session
from ..channels.matrix_events import UNREADABLE
from ..channels.text import file_name
from ..errors import LocalAgentError
from ..policy import decide
from ..store import picture
from ..toolbox import intake
from ..values import Attachment, Change, Incoming, Part, ToolCall, ToolSpec
from . import words

FOLDER = "received"
_MOST = 20
_SAVE = ToolSpec("receive_file", "Save a file that the user sent.", {"type": "object", "properties": {}}, ("write:fs",))
_CANNOT = {"image": "see", "audio": "hear", "video": "see or hear"}
# The channels' own lines about what they left out. A sender may write one too, and is then told of it.
_LEFT = re.compile(
    r"\[((?:not fetched|not read): [^\n]{1,400}|The file [^\n]{1,200} was left out: [^\n]{1,100}|More files than are kept were left out|"
    r"The mail has more parts than are read|The mail is very long; only its beginning was read[^\n]{0,100}|"
    r"This mail could not be read[^\n]{1,200})\]"
)


@dataclass(frozen=True, slots=True)
class File:
    """A file that came: where it lies in the chat's folder, or `why` it does not. `cannot`: "see", "hear", "" for neither."""

    name: str
    what: str
    place: str = ""
    why: str = ""
    cannot: str = ""

    def for_model(self) -> str:
        sense = f" You cannot {self.cannot} it." if self.cannot else ""
        if self.place:
            return f"The sender attached {self.place} {self.what}; it is saved there.{sense}"
        return f"The sender attached {self.name} {self.what}. {self.why}{sense}"

    def for_sender(self) -> str:
        """What a person has to know of it, "" for nothing."""
        if self.place:
            return f"{self.place}: I cannot {self.cannot} it, I have only put it there." if self.cannot else ""
        sense = f" I cannot {self.cannot} it either." if self.cannot else ""
        return f"{self.name}: {self.why}{sense}"


def saved(message: Incoming, session: Session) -> list[File]:
    """Save what is attached. Blocks; never raises for what goes wrong with a file."""
    found = [_saved(one, session, message) for one in message.attachments[:_MOST]]
    left = len(message.attachments) - _MOST
    return found if left <= 0 else [*found, File(f"{left} more files", "", why=f"More than {_MOST} files were left out.")]


async def shown(files: Sequence[File], session: Session) -> tuple[list[File], tuple[Part, ...]]:
    """Pictures that the model can be shown, and the files without what is no longer to be said of these."""
    if not pictures.sees(session.setting.engine):
        return list(files), ()
    place, parts, left = picture.folder(session.transcript.spill), list[Part](), list[File]()
    for one in files:
        if one.place and one.cannot == "see":
            wanted = intake.Wanted(session.setting.workspace / one.place)
            with suppress(LocalAgentError):
                parts += await intake.take([wanted], place, before=pictures.count(parts))
                one = replace(one, cannot="")
        left.append(one)
    return left, tuple(parts)


def left_out(message: Incoming) -> list[str]:
    """What the channel says that it did not fetch or could not read."""
    lines = message.text.split("\n")
    return [UNREADABLE.strip("[]")] * (UNREADABLE in lines) + [found[1] for line in lines if (found := _LEFT.fullmatch(line.strip()))]


def nothing_to_do(message: Incoming) -> bool:
    """Whether there is neither a word to the agent, nor a text of others, nor a file: only what could not be read, or nothing."""
    said = words.said(message)
    foreign = [line for line in said.foreign.split("\n") if line.strip() and line != UNREADABLE and not _LEFT.fullmatch(line.strip())]
    return not said.own and not foreign and not message.attachments


def only_files(message: Incoming, files: Sequence[File]) -> bool:
    """Whether files came that the agent can neither see nor hear, and no word of what to do with them."""
    said = words.said(message)
    foreign = [line for line in said.foreign.split("\n") if line.strip() and not _LEFT.fullmatch(line.strip())]
    return bool(files) and all(one.cannot for one in files) and not said.own and not foreign


def told(message: Incoming, files: Sequence[File]) -> str:
    """For the sender: what of the message was not read; "" where all of it was."""
    lines = [*(line for one in files if (line := one.for_sender())), *left_out(message)]
    return "\n".join(f"Not read: {line}" if not line.startswith(("Not ", "not ")) else line[:1].upper() + line[1:] for line in lines)


def _saved(one: Attachment, session: Session, message: Incoming) -> File:
    name = file_name(one.name)
    what = f"({one.media_type}, {one.size:,} bytes)"
    cannot = _CANNOT.get(one.media_type.partition("/")[0], "")
    setting = session.setting
    folder = setting.workspace / FOLDER
    place = _free(folder, name)
    changes = [Change("write", str(place), content=one.path, before="", after=one.sha256, size=one.size, mode=0o600)]
    if not os.path.lexists(folder):
        changes.insert(0, Change("make_folder", str(folder)))
    # Who sends a file wants it there: rules that ask are answered by that, what is denied stays denied.
    judged = decide.after(ToolCall("", _SAVE.name, {}), _SAVE, changes, setting.policy(session.mode, (), 0))
    if judged.verdict == "deny":
        return File(name, what, why=f"It was not saved: {judged.reason}.", cannot=cannot)
    try:
        # Nothing but the folder itself: where `received` leads elsewhere, it is not followed.
        setting.journal.commit(changes, [setting.workspace], session=session.id, call="", label=f"received {name} by {message.channel}")
    except LocalAgentError as error:
        return File(name, what, why=f"It could not be saved: {error}", cannot=cannot)
    return File(name, what, f"{FOLDER}/{place.name}", cannot=cannot)


def _free(folder: Path, name: str) -> Path:
    """A place of that name where nothing is."""
    stem, dot, ending = name.rpartition(".")
    for number in range(1, 100):
        made = name if number == 1 else f"{stem}-{number}.{ending}" if dot and stem else f"{name}-{number}"
        if not os.path.lexists(folder / made):
            return folder / made
    return folder / f"{int(time.time())}-{name}"
