"""Pictures with the person's words: those that they gave, and those that the words name with an @.

Only an engine that can show them gets them. What a picture says is anybody's text, and what it shows may be private: the
session is marked with both (`MARKS`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..engine import catalogue, reuse
from ..engine.base import Engine
from ..engine.entry import Entry
from ..errors import LocalAgentError, ModelError
from ..policy.marks import Marks
from ..store import picture
from ..toolbox import intake
from ..values import Image, Part, Text, ToolResult
from .place import Place

MARKS = Marks(untrusted=True, private=True)
_NAMED = re.compile(r"""(?<!\S)@(?:"([^"\n]{1,500})"|'([^'\n]{1,500})'|(\S{1,500}))""")
_TRAILING = ".,;:!?)]}"


@dataclass(frozen=True, slots=True)
class Given:
    """What stands behind the words of a message, and what the person is told of it."""

    parts: tuple[Part, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def marks(self) -> Marks:
        return MARKS if self.parts else Marks()


def sees(engine: Engine) -> bool:
    return bool(getattr(engine, "sees", False))


def check(files: Sequence[str], entry: Entry, folder: Path) -> None:
    """Whether these can be shown, before anything is loaded. ModelError for a model without eyes, `intake.Unseen` for a file."""
    if not (entry.sees or reuse.projector(entry)):
        raise ModelError(*_blind(entry.id))
    for file in files:
        intake.refuse(intake.wanted(file, folder))


def refuse_blind(engine: Engine) -> None:
    """Raises ModelError, naming what would see, for an engine that shows no pictures."""
    if not sees(engine):
        raise ModelError(*_blind(engine.model))


def _blind(model: str) -> tuple[str, str]:
    """What is said of a model that cannot, and what would help."""
    from ..engine.partial import size_text

    own = catalogue.load().entries.get(model)
    if own is not None and own.projector is not None and own.eyes is not None:
        size = size_text(own.projector.bytes)
        return f"The file with which {model} sees is not on this machine.", f"`localagent model pull {model}` fetches it ({size})."
    return f"{model} cannot see pictures.", _instead()


def _instead() -> str:
    """The models that can: one that is here first."""
    known = [entry for entry in catalogue.load().entries.values() if entry.can_see and not entry.is_variant]
    local = [entry for entry in known if not entry.hosted]
    here = next((entry for entry in local if reuse.projector(entry) and reuse.installed(entry)), None)
    if here is not None:
        return f"Use one that can: --model {here.id}"
    names = [f"--model {entry.id}" for entry in (*local[:3], *(one for one in known if one.hosted))][:4]
    return f"Use one that can, such as {', '.join(names)} (`localagent model pull ID` fetches one)."


async def take(files: Sequence[str], folder: Path, place: Path) -> tuple[Part, ...]:
    """The files that the person named, kept in the session's folder `place`. Raises as `intake.take` does."""
    return await intake.take([intake.wanted(file, folder) for file in files], place) if files else ()


def named(text: str, folder: Path) -> list[intake.Wanted]:
    """The pictures, films and pages that `@FILE` names in a text, each once. A PDF without a page is left to the tools."""
    found: dict[intake.Wanted, None] = {}
    for quoted, single, plain in _NAMED.findall(text[:20_000]):
        word = quoted or single or plain
        for spelt in dict.fromkeys((word, word.rstrip(_TRAILING))):
            one = intake.wanted(spelt, folder)
            kind = intake.kind(one.path)
            if kind in ("picture", "film", "heic") or (kind == "pdf" and one.first):
                found[one] = None
                break
    return list(found)


async def given(
    text: str, shown: Sequence[Part], engine: Engine, here: Callable[[], Place], spill: Path
) -> Given:
    """All pictures of a message: those `shown`, then those its text names, as far as they may be read unasked.

    Raises ModelError where some are shown to a model that cannot see; of one that is only named it is told.
    """
    if any(isinstance(part, Image) for part in shown):
        refuse_blind(engine)
    place = here() if "@" in text else None
    wanted = named(text, place.workspace) if place is not None else []
    parts, notices = list(shown), []
    if wanted and not sees(engine):
        names = ", ".join(one.path.name for one in wanted)
        notices.append(f"{names}: known by name alone. {' '.join(_blind(engine.model))}")
        wanted = []
    readable = place.may_read() if wanted and place is not None else None
    for one in wanted:
        if readable is None or not readable(one.path):
            notices.append(f"{one.path.name} is not shown: the rules do not let it be read unasked.")
            continue
        try:
            taken = await intake.take([one], picture.folder(spill), before=count(parts))
            parts += taken
            if intake.kind(one.path) == "film":
                notices.append(f"{one.path.name} is shown as {count(taken)} of its frames, without its sound.")
        except LocalAgentError as error:
            notices.append(str(error))
    if (number := count(parts)) and getattr(engine, "leaves", ""):
        notices.append(f"{number} picture{'s' if number > 1 else ''} of this message leave{'' if number > 1 else 's'} this machine, too.")
    return Given(tuple(parts), tuple(notices))


def count(parts: Sequence[Part]) -> int:
    return sum(isinstance(part, Image) for part in parts)


def lines(parts: Sequence[Part]) -> list[str]:
    """What a person is shown of the pictures of a message."""
    return [part.text.strip("\n[]") for part, image in pairwise(parts) if isinstance(part, Text) and isinstance(image, Image)]


async def made_visible(result: ToolResult, engine: Engine, spill: Path) -> None:
    """A tool's pictures in a form that a model which sees can be shown; one that cannot be read stays the person's alone."""
    if not sees(engine):
        return
    place = picture.folder(spill)
    for part in result.parts:
        if isinstance(part, Image) and picture.find(place, part.sha256) is None:
            file = next((one for one in place.glob(f"{part.sha256}.*") if not one.name.endswith(".seen.png")), None)
            if file is not None:
                await intake.convert(file.read_bytes(), place, part.sha256)
