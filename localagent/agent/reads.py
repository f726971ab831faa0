"""Which files the model has seen, and which of them have been changed by others since.

What is known is made from events alone, so that a resumed session knows the same; what lies on the
disk is looked at before each answer, and the model is told of a change once until it looks again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..events import ChangesCommitted, Event, Nudged, ToolFinished, TurnStarted
from ..store.sighting import Sighting, grew, mark_of
from ..values import Change, ToolCall, ToolSpec
from . import shown

_KEPT = 200
_MATCHES = 40
# A program that writes more files at once has not shown them to the model.
_WRITTEN = 20
_NAMED = 8
_SHA256 = 64
GONE = "gone"
GREW = "+"
_LOOKING = frozenset({"compute", "read:fs"})


@dataclass(frozen=True, slots=True)
class Sight:
    """A file as the model knows it: its mark, and the call that showed or made it.

    `told` is the mark that the model was last told of since ("" for none); `owed` says that the agent's own
    commit went over a change of which the model has not heard.
    """

    mark: str
    call: str
    told: str = ""
    owed: bool = False


@dataclass(frozen=True, slots=True)
class Stale:
    """A file that is not what the model saw; `now` is its mark, `GONE` where it is deleted."""

    path: str
    now: str
    grown: bool = False

    @property
    def told(self) -> str:
        return GREW + self.now if self.grown else self.now


@dataclass(slots=True)
class Reads:
    """The files a session's model has seen, the latest last. Absolute paths, as the calls named them."""

    known: dict[str, Sight] = field(default_factory=dict)
    _grown: set[str] = field(default_factory=set)
    _sighting: Sighting = field(default_factory=Sighting)

    # ------------------------------------------------------------ from events

    def apply(self, event: Event) -> None:
        match event:
            case TurnStarted():
                for path, mark in event.seen.items():
                    # Its first lines; what was known of the whole is as old as it was.
                    if path not in self.known:
                        self._see(path, Sight(mark, ""))
            case ToolFinished():
                for path, mark in event.seen.items():
                    self._see(path, Sight(mark, event.call.id))
            case ChangesCommitted():
                for change in event.changes:
                    self._changed(change, event.call_id, len(event.changes) <= _WRITTEN)
            case Nudged():
                for path, told in event.files.items():
                    if told.startswith(GREW):
                        self._grown.add(path)
                    if (known := self.known.get(path)) is not None:
                        now = told.removeprefix(GREW)
                        self.known[path] = replace(known, told="" if now == known.mark else now, owed=False)
            case _:
                pass

    def _see(self, path: str, sight: Sight) -> None:
        self.known.pop(path, None)
        self.known[path] = sight
        if len(self.known) > _KEPT:
            del self.known[next(iter(self.known))]

    def _changed(self, change: Change, call: str, few: bool) -> None:
        """A commit of the agent's own: what it made is known, and no news."""
        match change.kind:
            case "write" | "edit":
                old = self.known.pop(change.path, None)
                mark = mark_of(change.size, change.after or "")
                if mark and (old is not None or few):
                    over = old is not None and (old.owed or _foreign(old, change.before))
                    self._see(change.path, Sight(mark, call, owed=over))
            case "trash" | "link":
                for path in self._at(change.path):
                    del self.known[path]
            case "move":
                for path in self._at(change.path):
                    self.known[(change.dest or "") + path[len(change.path) :]] = self.known.pop(path)
            case _:
                pass

    def _at(self, top: str) -> list[str]:
        return [path for path in self.known if path == top or path.startswith(top.rstrip("/") + "/")]

    # ------------------------------------------------------------ looking at the disk (in a thread)

    def sight(self, call: ToolCall, spec: ToolSpec, workspace: Path) -> dict[str, str]:
        """The marks of the files that a call is about to read; {} where it is no tool that only looks."""
        if "read:fs" not in spec.effects or not set(spec.effects) <= _LOOKING:
            return {}
        found: dict[str, str] = {}
        for name, shape in (spec.parameters.get("properties") or {}).items():
            value = call.args.get(name)
            if isinstance(shape, Mapping) and shape.get("format") == "path" and isinstance(value, str):
                found |= self.marks([Path(path) for path in _files(value, workspace)])
        return found

    def marks(self, paths: Sequence[Path]) -> dict[str, str]:
        """The marks of those of `paths` that are plain files."""
        return {str(path): mark for path in paths if (mark := self._sighting.mark(str(path)))}

    def stale(self) -> list[Stale]:
        """The files of which the model has to be told."""
        found = []
        for path, sight in list(self.known.items()):
            if sight.told and not sight.owed:
                continue
            now = self._sighting.mark(path) or GONE
            if now == sight.mark and not sight.owed:
                continue
            grown = not sight.owed and grew(path, sight.mark)
            if not (grown and path in self._grown):
                found.append(Stale(path, now, grown))
        return found

    def outdated(self) -> dict[str, tuple[str, ...]]:
        """Call -> the files that it showed or made and that are another thing now, whether that was told or not."""
        found: dict[str, tuple[str, ...]] = {}
        for path, sight in list(self.known.items()):
            if self._sighting.mark(path) != sight.mark:
                found[sight.call] = (*found.get(sight.call, ()), path)
        return found

    # ------------------------------------------------------------ a write over what was not seen

    def unseen(self, changes: Sequence[Change]) -> list[str]:
        """The files that `changes` would replace whole though somebody changed them since the model saw them."""
        return [
            change.path
            for change in changes
            if change.kind == "write"
            and (sight := self.known.get(change.path)) is not None
            and _foreign(sight, change.before)
        ]


def _foreign(sight: Sight, before: str | None) -> bool:
    """Whether what a change found is neither what the model saw nor what it was told of."""
    if not before or ":" in before or len(_digest(sight.mark)) != _SHA256:
        return False
    return before not in (_digest(sight.mark), _digest(sight.told))


def _digest(mark: str) -> str:
    return mark.partition(":")[2]


def _files(named: str, workspace: Path) -> list[str]:
    """The plain files that an argument names, itself or as a pattern."""
    if "\0" in named:
        return []
    path = os.path.normpath(os.path.join(workspace, os.path.expanduser(named)))
    if os.path.isfile(path):
        return [path]
    if os.path.lexists(path) or not any(c in named for c in "*?["):
        return []
    import glob
    from itertools import islice

    return [found for found in islice(glob.iglob(path), _MATCHES) if os.path.isfile(found)]


def news(found: Sequence[Stale], folder: str) -> Nudged | None:
    """What the model is told of it."""
    if not found:
        return None
    lines = []
    gone = [one for one in found if one.now == GONE]
    grown = [one for one in found if one.grown]
    changed = [one for one in found if one not in gone and one not in grown]
    for some, what in ((changed, "changed"), (gone, "deleted")):
        if some:
            lines.append(f"{_names(some, folder)} {'was' if len(some) == 1 else 'were'} {what} by someone else since you saw it.")
    if grown:
        lines.append(f"{_names(grown, folder)} has grown since you saw it.")
    if changed or grown:
        lines.append("What you know of it is out of date: read it again before you use it or change it.")
    return Nudged(" ".join(lines), {one.path: one.told for one in found})


def _names(some: Sequence[Stale], folder: str) -> str:
    names = [shown.relative(one.path, folder)[:200] for one in some[:_NAMED]]
    more = f" and {len(some) - _NAMED} more files" if len(some) > _NAMED else ""
    return ", ".join(f"`{name}`" for name in names) + more
