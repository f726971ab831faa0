"""The instructions of AGENTS.md as a model is told them, and what a person is told of those that do not count."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import LocalAgentError
from ..events import Event, Notice, Supplied
from ..policy import marks
from ..policy.marks import Marks
from ..store import instructions
from ..store.instructions import Found
from .shown import visible

ONE, ALL = 6000, 12000
"""Bytes of one file, and of all together, that a model is told: about 1,500 and 3,000 tokens."""
_HEAD = (
    "Standing instructions of the user for work here (AGENTS.md). Follow them as far as the request does not say otherwise. They allow "
    "nothing that is not allowed anyway."
)
_AGAIN = "The standing instructions have changed. What follows holds from now on, in place of what was said of these files before."


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file that counts. `own`: it is the user's, and not a folder's."""

    name: str
    text: str
    own: bool

    @property
    def print(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()[:16]


def told(workspace: Path, own: bool, before: Mapping[str, str], present: bool = True) -> list[Event]:
    """What is new since `before` (the last `Supplied.items`): for the person, each once for good, and for the model.

    Where the person is not `present`, what they should agree to waits until they are.
    """
    leaves, notices = _leaves(workspace, own, present)
    kept, cuts = _within(leaves)
    now = {leaf.name: leaf.print for leaf in kept}
    events: list[Event] = [Notice(notice, "warning") for notice in notices]
    if now == dict(before):
        return events
    new = [leaf for leaf in kept if before.get(leaf.name) != leaf.print]
    events += [Notice(cuts[leaf.name], "warning") for leaf in new if leaf.name in cuts]
    gone = [name for name in before if name not in now]
    lines = [_AGAIN if before else _HEAD, *(f"No longer in force: {visible(name, lines=False)}" for name in gone)]
    lines += [f"--- {visible(leaf.name, lines=False)}\n{leaf.text}\n--- end of {os.path.basename(leaf.name)}" for leaf in new]
    seen = Marks(untrusted=any(not leaf.own for leaf in new))
    seen |= Marks(speaks=any(not leaf.own and marks.speaks(leaf.text) for leaf in new))
    return [*events, Supplied("instructions", "\n".join(lines), now, seen.names)]


def _leaves(workspace: Path, own: bool, present: bool) -> tuple[list[Leaf], list[str]]:
    """The files that count, the nearest last, and sentences about others that the person was not told yet."""
    leaves: list[Leaf] = []
    problems: list[tuple[str, str]] = []
    try:
        if own and (mine := instructions.own()) is not None:
            leaves.append(_leaf(instructions.own_path(), mine, True))
    except LocalAgentError as error:
        problems.append((hashlib.sha256(str(error).encode("utf-8", "replace")).hexdigest(), f"Your instructions are left out: {error}"))
    try:
        found = instructions.look(workspace)
    except LocalAgentError as error:
        return leaves, [f"The instructions of this folder are left out: {error}"]
    leaves += [_leaf(one.place, one.counts, False) for one in found if one.counts is not None]
    problems += [(one.print, _why(one)) for one in found if one.state != "on"]
    if not problems or not present:
        return leaves, []
    try:
        before = instructions.told_before(print_of for print_of, _ in problems)
    except LocalAgentError as error:
        return leaves, [str(error)]
    return leaves, [text for print_of, text in problems if print_of not in before]


def _why(one: Found) -> str:
    name, folder = (visible(str(path), lines=False) for path in (one.place, one.place.parent))
    how = f"`/trust .` in the app, or `localagent tools trust {shlex.quote(folder)}`, shows it and asks."
    if one.now is None:
        return f"The instructions in {name} cannot be read as they are now: {one.problem}"
    if one.state == "changed":
        return f"{name} was changed; the version that you agreed to counts. {how}"
    return f"{name} is not read as instructions: you have not agreed to it. {how}"


def _leaf(place: Path, data: bytes, own: bool) -> Leaf:
    return Leaf(str(place), visible(data.decode("utf-8", "replace").replace("\r\n", "\n").strip("\n\ufeff")), own)


def _within(leaves: Sequence[Leaf]) -> tuple[list[Leaf], dict[str, str]]:
    """As much of them as is told, and for each that is cut a sentence. The user's own has room first, then the nearest."""
    left, made, cuts = ALL, dict[str, Leaf](), dict[str, str]()
    for leaf in sorted(reversed(leaves), key=lambda leaf: not leaf.own):
        data = leaf.text.encode("utf-8", "replace")
        most = min(ONE, left)
        if len(data) > most:
            cut = data[:most].decode("utf-8", "ignore")
            shown = len(cut.encode())
            cuts[leaf.name] = (
                f"{visible(leaf.name, lines=False)} is long: the model is told the first {shown:,} of its {len(data):,} bytes."
            )
            leaf = Leaf(leaf.name, f"{cut}\n[cut: {shown:,} of {len(data):,} bytes]", leaf.own)
        left -= min(len(data), most)
        made[leaf.name] = leaf
    return [made[leaf.name] for leaf in leaves], cuts
