"""The dangerous parts of a command, pointed at in its own text: plain text, which front ends may colour."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable

from ..policy import subjects
from ..policy.shell_risk import Risk, RiskKind
from ..values import ToolCall
from . import shown

_SAYS: dict[RiskKind, str] = {
    "wipes": "wipes your home folder or the disk",
    "device": "reaches a raw device",
    "deletes": "deletes files",
    "discards": "throws work away",
    "overwrites": "writes over files",
    "privilege": "asks for more rights",
    "network": "reaches the network",
    "persists": "leaves something that runs later",
    "secrets": "reads a place for secrets",
    "stops": "stops programs or the machine",
    "code": "runs code that may do anything",
    "unclear": "does what is only known when it runs",
}
_MOST = 12
_AROUND = 60

Paint = Callable[[str], str]


def told(call: ToolCall, paint: Paint = str) -> list[str]:
    """The lines that show what is dangerous in the command of this call; none where nothing is known to be.

    Each mark is the line it stands in, with signs beneath it; `paint` colours the marked part.
    """
    line = subjects.command(call, os.path.expanduser("~"))
    if line is None:
        return []
    by_place: dict[tuple[int, int], list[RiskKind]] = {}
    for risk in sorted(line.risks, key=_weight):
        kinds = by_place.setdefault((risk.start, risk.end), [])
        if risk.kind not in kinds:
            kinds.append(risk.kind)
    found = [f"  not read completely: {shown.visible(line.unread, lines=False)}"] if line.unread else []
    for (start, end), kinds in list(by_place.items())[:_MOST]:
        found.append(f"  {', '.join(_SAYS[kind] for kind in kinds)}:")
        found += _excerpt(line.text, start, end, paint)
    if len(by_place) > _MOST:
        found.append(f"  … and {len(by_place) - _MOST} more places")
    return found


def _weight(risk: Risk) -> int:
    return list(_SAYS).index(risk.kind)


def _excerpt(text: str, start: int, end: int, paint: Paint) -> list[str]:
    """The part in its line, shortened around it, and the signs that point at it."""
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", start)
    stop = len(text) if stop < 0 else stop
    last = min(end, stop, start + 2 * _AROUND)
    before = ("…" if start - begin > _AROUND else "") + shown.visible(
        text[max(begin, start - _AROUND) : start], lines=False
    )
    part = shown.visible(text[start:last], lines=False) + ("…" if last < end else "")
    after = shown.visible(text[last : min(stop, last + _AROUND)], lines=False) + ("…" if stop > last + _AROUND else "")
    before, part, after = (piece.replace("\t", " ") for piece in (before, part, after))
    return [
        f"    {before}{paint(part)}{after if last == end else ''}",
        f"    {' ' * _width(before)}{'^' * max(_width(part), 1)}",
    ]


def _width(text: str) -> int:
    """How many cells of a terminal the text takes."""
    return sum(0 if unicodedata.combining(ch) else 2 if unicodedata.east_asian_width(ch) in "WF" else 1 for ch in text)
