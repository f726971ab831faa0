"""A finished run as a recipe: the calls that did something, in order, with checks from what the journal says of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import UsageError
from ...events import ChangesCommitted, Event, Rewound, Steered, ToolFinished, TurnEnded, TurnStarted
from ...policy import shell_risk
from ...store.recipes import HERE, MOST_STEPS, Check, PathKind, Recipe, Step
from ...toolbox.planning import PLAN
from ...values import Change, Text, ToolCall, ToolResult
from ..masks import Masks
from ..offering import SEARCH
from . import params

_DID = frozenset({"changed", "sent", "scheduled"})
# Of a step that changes more than these only the shape is checked.
_PATHS = 12
_TELLING = re.compile(r"[\w./@:+-]*[\d@][\w./@:+-]*")
_LINE, _TOKEN, _TOKENS = 8, 5, 5


@dataclass(slots=True)
class Deed:
    """One call that went well, and what came of it."""

    call: ToolCall
    result: ToolResult
    changes: tuple[Change, ...] = ()


@dataclass(slots=True)
class Request:
    """One request of a session: its words, the folder it was made in, its calls, and how it ended ("" for not)."""

    text: str
    folder: str
    deeds: list[Deed] = field(default_factory=list)
    status: str = ""
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Made:
    """A recipe to be shown and kept. `notes` say what was left out, or stays as it was."""

    recipe: Recipe
    notes: tuple[str, ...] = ()


def requests(events: Iterable[Event]) -> list[Request]:
    """The requests of a session that are part of its conversation."""
    found: list[Request] = []
    changes: dict[str, tuple[Change, ...]] = {}
    for event in events:
        match event:
            case TurnStarted():
                found.append(Request(_words(event.message.parts), event.folder))
            case Rewound() if 0 <= event.to <= len(found):
                del found[event.to :]
            case Steered() if found:
                found[-1].text += f"\n{_words(event.message.parts)}"
            case ChangesCommitted():
                changes[event.call_id] = (*changes.get(event.call_id, ()), *event.changes)
            case ToolFinished() if found and event.result.status == "ok":
                found[-1].deeds.append(Deed(event.call, event.result, changes.pop(event.call.id, ())))
            case TurnEnded() if found:
                found[-1].status = "denied" if event.denied and event.status == "done" else event.status
                found[-1].checked = event.error is None
            case _:
                pass
    return found


def _words(parts: Sequence[object]) -> str:
    return parts[0].text.strip() if parts and isinstance(parts[0], Text) else ""


def chosen(found: Sequence[Request], number: int | None) -> Request:
    """Request `number` (from 1), by default the last. Raises UsageError where it did not end well, or there is none."""
    if not found:
        raise UsageError("Nothing was asked in this session yet.")
    if number is not None and not 1 <= number <= len(found):
        raise UsageError(f"This session has {len(found)} request{'s' if len(found) != 1 else ''}, not {number}.")
    at = number or len(found)
    one = found[at - 1]
    if one.status != "done":
        how = {"": "has not ended", "cancelled": "was stopped", "denied": "was not allowed to do all of it"}.get(one.status, "failed")
        raise UsageError(f"Request {at} {how}, and only what ended well can be kept.", _other(found, at))
    return one


def _other(found: Sequence[Request], but: int) -> str:
    good = [n for n, one in enumerate(found, 1) if n != but and one.status == "done" and any(map(_did, one.deeds))]
    return f"Request {good[-1]} did: --turn {good[-1]}." if good else "`localagent sessions` lists others: --session ID."


def made(name: str, request: Request, masks: Masks, given: Mapping[str, str] | None = None) -> Made:
    """The recipe of a request. `given` are parameters that the person names, with the value that they stand for.

    Raises UsageError where nothing can be repeated, where a secret stands in it, or where a parameter cannot.
    """
    notes: list[str] = []
    deeds = _kept(request, notes)
    if not deeds:
        raise UsageError("This request changed, sent or ran nothing, so there is nothing to repeat.", "--turn N takes another one of it.")
    if len(deeds) > MOST_STEPS:
        raise UsageError(f"This request made {len(deeds)} calls; a recipe has {MOST_STEPS} at most.")
    if any(f"{{{HERE}}}" in text for deed in deeds for text in params.texts(dict(deed.call.args))):
        raise UsageError(f"A call of this run holds the text {{{HERE}}}, which stands for the folder in a recipe.")
    steps = tuple(_step(deed, request.folder) for deed in deeds)
    for number, _ in enumerate(steps, 1):
        steps = _with_says(steps, deeds, number, request)
    found = params.proposed(request.text, steps, given or {})
    notes += found.notes
    # Also what only looks like one stays out: the file is read by other programs.
    _refuse_secrets(found.goal, found.steps, masks)
    said = " ".join(found.goal.split())
    description = said if len(said) <= 100 else f"{said[:99]}…"
    return Made(Recipe(name, description, found.goal, found.steps, found.params), tuple(notes))


def _refuse_secrets(goal: str, steps: Sequence[Step], masks: Masks) -> None:
    for number, step in enumerate(steps, 1):
        if held := masks.placeholders(dict(step.args)):
            way = f"Make it a parameter: --param secret={held[0]}"
            raise UsageError(f"Step {number} ({step.tool}) holds a secret, and a recipe never does.", way)
        if masks.mask_in(dict(step.args)) != dict(step.args):
            raise UsageError(f"Step {number} ({step.tool}) holds what looks like a secret, and a recipe never does.", "--param NAME=VALUE")
    if masks.placeholders(goal) or masks.mask(goal) != goal:
        raise UsageError("The request holds a secret, and a recipe never does.", "--param NAME=SECRET_... makes it a parameter.")


# --- what is kept -----------------------------------------------------------------------------------


def _did(deed: Deed) -> bool:
    return bool(deed.changes) or any(one.kind in _DID for one in deed.result.receipts)


def _ran(deed: Deed) -> bool:
    """Whether it ran something that may have done more than look."""
    ran = [one for one in deed.result.receipts if one.kind == "ran"]
    return bool(ran) and not shell_risk.read(str(deed.call.args.get("command", ""))).read_only


def _kept(request: Request, notes: list[str]) -> list[Deed]:
    """The calls that did something. Where none did: the programs that were run, for what they say is what was asked for."""
    own = [one for one in request.deeds if one.call.name not in (PLAN.name, SEARCH.name)]
    kept = [one for one in own if _did(one) or _ran(one)]
    if not kept:
        return [one for one in own if any(receipt.kind == "ran" for receipt in one.result.receipts)]
    looked = [one for one in own if one not in kept]
    needed = [one for one in looked if _needed(one, own[own.index(one) + 1 :], kept, request)]
    if left := len(looked) - len(needed):
        notes.append(f"{left} call{'s' if left != 1 else ''} that only looked {'are' if left != 1 else 'is'} left out.")
    return [one for one in own if one in kept or one in needed]


def _needed(looked: Deed, later: Sequence[Deed], kept: Sequence[Deed], request: Request) -> list[str]:
    """What of its output stands in the arguments of a later call that is kept, and comes from nowhere else."""
    output = looked.result.text
    found: dict[str, None] = {}
    for deed in later:
        if deed not in kept:
            continue
        paths = {os.path.basename(path) for change in deed.changes for path in (change.path, change.dest or "")}
        for text in params.texts(dict(deed.call.args)):
            lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= _LINE]
            tokens = [token.strip(".:,") for token in _TELLING.findall(text)]
            for part in (*lines, *(token for token in tokens if len(token) >= _TOKEN)):
                if part in output and part not in request.text and os.path.basename(part) not in paths:
                    found[part] = None
    return list(found)[:_TOKENS]


def _with_says(steps: tuple[Step, ...], deeds: Sequence[Deed], number: int, request: Request) -> tuple[Step, ...]:
    """A call that looks stays for what later ones take from it: that has to be there each time."""
    deed = deeds[number - 1]
    if _did(deed) or _ran(deed):
        return steps
    says = tuple(Check("says", part) for part in _needed(deed, deeds[number:], list(deeds[number:]), request))
    step = steps[number - 1]
    return (*steps[: number - 1], replace(step, after=(*step.after, *says)), *steps[number:])


# --- one step ---------------------------------------------------------------------------------------


def _step(deed: Deed, folder: str) -> Step:
    args = {key: _local(key, value, folder) for key, value in deed.call.args.items()}
    before, after = _checks(deed, folder)
    return Step(deed.call.name, args, tuple(before), tuple(after))


def _local(key: str, value: Any, folder: str) -> Any:
    """The folder of the run stands as `{here}` in commands; paths in it are written from there."""
    if not isinstance(value, str) or folder in ("", "/") or folder not in value:
        return value
    if key in ("command", "script"):
        made = re.sub(rf"{re.escape(folder)}(?![\w.-])", f"{{{HERE}}}", value)
        return made if not params.misplaced({key: made}, key, made, [HERE]) else value
    if value.startswith(folder + os.sep) and "\n" not in value:
        return os.path.relpath(value, folder)
    return value


def _checks(deed: Deed, folder: str) -> tuple[list[Check], list[Check]]:
    """Before: what it takes must be there. After: what it left, the exit code, and for programs the shape of all changes."""
    before: dict[str, Check] = {}
    after: dict[str, Check] = {}
    said = json.dumps(dict(deed.call.args), ensure_ascii=False, default=str)
    said = re.sub(r"(?<![\w.])\./", "", said.replace(folder.rstrip(os.sep) + os.sep, ""))
    ran = [one for one in deed.result.receipts if one.kind == "ran"]
    codes = {one.data.get("exit_code") for one in ran}
    named = [change for change in deed.changes if not ran or _mentions(said, change, folder)]
    for change in named[:_PATHS]:
        path, dest = _relative(change.path, folder), _relative(change.dest, folder) if change.dest else ""
        is_said = not ran or _said(said, path)
        if change.kind in ("move", "trash", "copy", "edit") and is_said and path not in after:
            before.setdefault(path, Check("exists", path, _kind_before(change)))
        if change.kind == "write" and change.before == "" and not ran and path not in after:
            before.setdefault(path, Check("absent", path))
        if change.kind in ("move", "trash") and is_said:
            after[path] = Check("absent", path)
        if dest and (not ran or _said(said, dest)):
            after[dest] = Check("exists", dest, _kind_now(change.dest or ""))
        elif not dest and change.kind not in ("move", "trash") and is_said:
            after[path] = Check("exists", path, _kind_now(change.path))
    last = [Check("exit_code", int(code)) for code in codes if isinstance(code, int)]
    if ran and deed.changes:
        last.append(Check("changed", tuple(sorted({change.kind for change in deed.changes}))))
    return list(before.values()), [*after.values(), *last]


def _mentions(said: str, change: Change, folder: str) -> bool:
    return any(path and _said(said, _relative(path, folder)) for path in (change.path, change.dest))


def _said(said: str, path: str) -> bool:
    """Whether the arguments name this very path: what a pattern has met differs from run to run."""
    return bool(re.search(rf"(?<![\w./*?-]){re.escape(path)}(?![\w*?-]|\.\w)", said))


def _relative(path: str, folder: str) -> str:
    return os.path.relpath(path, folder) if path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) else path


def _kind_before(change: Change) -> PathKind:
    """From what the journal compared it with (`store.fingerprint`)."""
    if change.before is None:
        return ""
    return "folder" if change.before.startswith("tree:") else "link" if change.before.startswith("link:") else "file"


def _kind_now(path: str) -> PathKind:
    return "link" if os.path.islink(path) else "folder" if os.path.isdir(path) else "file" if os.path.isfile(path) else ""
