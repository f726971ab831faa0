"""A question to a person in a chat: the exact effect, and a code that answers this question alone."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..agent import dangers, shown
from ..sandbox import launch
from ..store.gateway import ALPHABET
from ..values import Answer, Decision, Outgoing, Proposal, ToolCall
from . import words

CODE_LENGTH = 6
EXPIRY_S = 600.0
_SET_BACK_S = 60.0
_LINES, _DIFF_LINES = 20, 40
_SCRIPTS = ("command", "script", "code")
_CUT = " … CUT: "


@dataclass(slots=True)
class Question:
    """It takes one answer, the first; `code` is told to nobody but the person asked. `until` is on the clock of the wall, which
    goes on while the machine sleeps."""

    what: str
    code: str = field(default_factory=lambda: "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH)))
    answered: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    open: bool = False
    until: float = field(default_factory=lambda: time.time() + EXPIRY_S)

    @property
    def late(self) -> bool:
        """Whether its time is over, or the clock was set back so far that nobody can tell."""
        return not 0 < self.until - time.time() <= EXPIRY_S + _SET_BACK_S

    def answer(self, own: str) -> Answer:
        """Whatever is not this question's yes is a no; it is settled by that."""
        code = words.approves(own)
        if not self.open:
            made = Answer("deny", note="it was answered before it was asked", by_person=False)
        elif self.late:
            made = Answer("deny", note="the answer came too late", by_person=False)
        elif code is not None and secrets.compare_digest(code, self.code):
            made = Answer("allow")
        elif code is not None:
            made = Answer("deny", note="the user gave a code that is not this question's")
        elif own.strip().casefold().rstrip(".!") in ("no", "n", "nein", "non"):
            made = Answer("deny")
        else:
            made = Answer("deny", note=f"the user said: {own[:300]}" if own.strip() else "the user did not say yes")
        if not self.answered.done():
            self.answered.set_result(made)
        return made


def picture(call: ToolCall, decision: Decision, changes: Sequence[Proposal], folder: str) -> tuple[str, bool]:
    """What would happen, drawn from the effect itself; and whether it may be cut, its length then being said.

    The words of a message and of a command must be seen whole, or there can be no yes to them.
    """
    reason = shown.visible(decision.reason, lines=False)
    risks = "".join(f"\n{line}" for line in dangers.told(call))
    if messages := [one for one in changes if isinstance(one, Outgoing)]:
        lines = "\n".join(line for one in messages for line in shown.message_lines(one))
        return f"{reason}\n{lines}", False
    if not changes:
        boundary = launch.probe().name
        behind = "no sandbox" if boundary == "none" else f"sandbox: {boundary}"
        place = f"  in: {shown.visible(folder, lines=False)} ({behind})"
        return f"{reason}\n{shown.call_block(call)}\n{place}{risks}", False
    scripts = [value for name in _SCRIPTS if isinstance(value := call.args.get(name), str) and len(value) > 100]
    told = [shown.call_block(call)] if scripts else [shown.call_line(call)]
    told += ["  " + line for line in shown.change_lines(changes, folder, _LINES)]
    told += shown.diffs(changes, folder, _DIFF_LINES)
    return f"{reason}\n" + "\n".join(told) + risks, not scripts


def cut(parts: list[str], most: int) -> list[str]:
    """At most so many parts, and how much is missing."""
    if len(parts) <= most:
        return parts
    left = sum(len(part) for part in parts[most:])
    return [*parts[:most], f"… {left:,} more characters are not shown here."]


def is_whole(text: str) -> bool:
    """Whether nothing of a call was left out in drawing it."""
    return _CUT not in text
