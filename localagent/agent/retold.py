"""What the host tells the model of what the person did between its turns: steps taken back, a conversation gone back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..events import Rewound, TakenBack
from ..values import Message, Text
from . import shown

_NAMED = 12


def named(paths: Sequence[str], mask: Callable[[str], str] = str) -> tuple[str, ...]:
    """The first dozen absolute paths as an event keeps them: without secrets."""
    return tuple(mask(path) for path in paths[:_NAMED])


def taken_back(event: TakenBack, folder: str) -> Message:
    files = _listed(event.paths, event.files, folder)
    if event.again:
        text = f"The user has put back what step {event.step} changed: {files}. It is on the disk again."
    else:
        text = f"The user has undone step {event.step}: {files}. What it changed is as it was before."
    return Message("host", (Text(f"[{text}]"),))


def stayed(event: Rewound, folder: str) -> Message | None:
    """The files that are not as they were at the point gone back to; None where there is none."""
    if not event.paths:
        return None
    files = _listed(event.paths, event.files, folder)
    return Message("host", (Text(f"[The user went back to this point. Changed since, and not taken back: {files}.]"),))


def _listed(paths: Sequence[str], files: int, folder: str) -> str:
    more = f" and {files - len(paths)} more" if files > len(paths) else ""
    return (", ".join(shown.relative(path, folder) for path in paths) or "nothing") + more
