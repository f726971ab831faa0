"""The two decision points of a call: before it runs, and over its changes before they are committed.

Pure: what they know is in the call, the tool's declared effects and the Context. The order
is the floor, the user's deny rules, the mode's own refusals, ask rules, allow rules, then
what the mode says. Whoever has nobody to ask turns "ask" into "deny".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..values import Change, Decision, ToolCall, ToolSpec
from . import floor, holding, outward, provenance, repository, subjects, unstaged
from .context import Context, beneath
from .harm import destroys, gone, harms, overruns
from .questions import Question, allowing, settle
from .rule import Rule, Subject, reaches
from .shape import Shape

__all__ = ["Context", "Question", "after", "asking", "before", "denied", "questions_after", "questions_before", "settle"]

_READ_EFFECTS = frozenset({"compute", "read:fs", "read:mail"})
_PROPOSING = frozenset({"compute", "write:fs"})
_OUTWARD = {"net": "reaching the network", "send": "sending a message", "persist": "leaving something that runs later"}
_REMEMBERING = "keeping something for later conversations"


def before(call: ToolCall, spec: ToolSpec, ctx: Context) -> Decision:
    """Whether the call may run. Its changes, if it proposes any, are judged by `after`."""
    decision = _before(call, spec, ctx)
    if spec.confirm and decision.verdict == "allow":
        return Decision("ask", f"{spec.name} wants to be confirmed each time", "confirm")
    return decision


def _before(call: ToolCall, spec: ToolSpec, ctx: Context) -> Decision:
    refused = _floor_before(call, spec, ctx) or denied(_subjects(call, spec, ctx), ctx)
    if refused:
        return refused
    if "run" in spec.effects and not spec.staged and (rule := unstaged.unheld(ctx.rules.deny, ctx)):
        told = f"your rule {rule} cannot be held where a command works on the files themselves; run works on a copy"
        return Decision("deny", told, f"deny {rule}")
    if ctx.mode == "plan" and not set(spec.effects) <= _READ_EFFECTS:
        return Decision("deny", "in plan mode nothing is changed, run or sent", "mode plan")
    if ctx.mode == "plan" and not spec.effects:
        return Decision(
            "deny", f"{spec.name} does not say what it does, and in plan mode only reading is done", "mode plan"
        )
    first = _asking_before(call, spec, ctx)
    return first or settle(questions_before(call, spec, ctx), spec, ctx, _free(spec, ctx))


def after(call: ToolCall, spec: ToolSpec, changes: Sequence[Change], ctx: Context) -> Decision:
    """Whether these changes, all of them together, may be committed. None at all are always allowed."""
    if not changes:
        return Decision("allow", "it changes nothing", "no changes")
    ctx = ctx.at_once()
    shape = Shape(changes, ctx)
    for change in changes:
        reason = _floor_change(change, ctx) or _floor_shape(change, shape, ctx)
        if reason:
            return Decision("deny", reason, "floor")
    written = subjects.written(changes)
    copied = [_copied(change, ctx) for change in changes if change.kind == "copy"]
    refused = denied([*written, *copied, Subject("tool", spec.name)], ctx)
    refused = refused or holding.carries_denied(changes, ctx)
    if refused:
        return refused
    if ctx.mode == "plan":
        return Decision("deny", "in plan mode nothing is changed", "mode plan")
    if first := asking([*written, *copied], spec, ctx):
        return first
    questions = questions_after(call, spec, changes, ctx)
    inside = all(ctx.inside(s.text) for s in (*written, *copied))
    if questions and "run" in spec.effects and inside:
        rule = allowing([subjects.program(call, ctx)], ctx, strict=any(q.strict for q in questions))
        if rule:
            return Decision("allow", f"your rule {rule} allows what this command changes here", str(rule))
    return settle(questions, spec, ctx, _free_changes(ctx))


def _copied(change: Change, ctx: Context) -> Subject:
    return Subject("read", change.path, deep=subjects.is_tree(change.path, ctx))


# --- the floor ------------------------------------------------------------------------------------


def _floor_before(call: ToolCall, spec: ToolSpec, ctx: Context) -> Decision | None:
    named = subjects.paths(call, spec, ctx) if _touches_files(spec) or _goes_out(spec) else []
    # With several paths one may be a source that is only read, and one may be taken away: `after` knows.
    writes = "write:fs" in spec.effects and len(named) == 1
    for path in named:
        reason = floor.reading(path.text, ctx) or (floor.writing(path.text, ctx, kind="remove") if writes else "")
        if reason:
            return Decision("deny", reason, "floor")
    if "run" in spec.effects:
        for risk in subjects.line(call, ctx).risks:
            if risk.kind == "wipes":
                return Decision("deny", f"{risk.what!r} would wipe or move your home folder or the whole disk", "floor")
            if risk.kind == "device":
                return Decision("deny", f"{risk.what!r} reaches a raw device", "floor")
    return None


_DONE: dict[str, repository.Kind] = {"make_folder": "folder", "link": "link", "chmod": "chmod"}


def _floor_change(change: Change, ctx: Context) -> str:
    if change.kind == "copy":
        reason = floor.takes_along(change.path, ctx)
    elif change.kind in ("move", "trash"):
        reason = floor.removing(change.path, ctx)
    else:
        known = change.after if change.kind == "write" else None
        reason = floor.writing(change.path, ctx, known, _DONE.get(change.kind, "write"))
    if not reason and change.dest is not None:
        reason = floor.writing(change.dest, ctx, kind="bring")
    if not reason and change.kind == "link":
        reason = _floor_link(change, ctx)
    return reason


def _floor_shape(change: Change, shape: Shape, ctx: Context) -> str:
    """Why a folder that is a repository, or becomes one, may not get this."""
    taken = change.kind in ("move", "trash")
    places: list[tuple[str, repository.Kind]] = []
    if change.kind != "copy":
        places.append((change.path, "remove" if taken else _DONE.get(change.kind, "write")))
    if change.dest is not None:
        places.append((change.dest, "bring"))
    for path, kind in places:
        source = change.path if kind == "bring" else None
        for form in ctx.forms(path):
            reason = shape.refusal(form, kind, change.after if kind == "write" else None, source)
            if reason or (kind not in ("remove", "chmod") and (reason := shape.completes(form))):
                return reason
    return ""


def _floor_link(change: Change, ctx: Context) -> str:
    target = subjects.link_target(change)
    return floor.writing(target, ctx) if target != "/dev/null" else ""


def _goes_out(spec: ToolSpec) -> bool:
    return not _OUTWARD.keys().isdisjoint(spec.effects)


def _touches_files(spec: ToolSpec) -> bool:
    return not spec.effects or bool({"read:fs", "write:fs"} & set(spec.effects))


# --- rules ----------------------------------------------------------------------------------------


def _subjects(call: ToolCall, spec: ToolSpec, ctx: Context) -> list[Subject]:
    """Everything that deny and ask rules look at before the call."""
    found = [Subject("tool", spec.name)]
    if _touches_files(spec):
        named = subjects.paths(call, spec, ctx)
        found += named
        if "read:fs" not in spec.effects:
            found += [Subject("write", path.text) for path in named if spec.effects]
    effects = set(spec.effects)
    if "run" in effects:
        found.append(subjects.program(call, ctx))
    if "net" in effects:
        found += subjects.hosts(call, spec)
    if "send" in effects:
        found += subjects.addresses(call, spec)
    if "persist" in effects:
        found.append(subjects.persistence(call, spec))
    return found


def denied(found: Iterable[Subject], ctx: Context) -> Decision | None:
    rule = _first_of(ctx.rules.deny, found, ctx)
    return Decision("deny", f"{rule.told} denies it", f"deny {rule}") if rule else None


def _asking_before(call: ToolCall, spec: ToolSpec, ctx: Context) -> Decision | None:
    """What the ask rules say; what only proposes changes is asked about over these, once."""
    found = [s for s in _subjects(call, spec, ctx) if s.kind != "send" or not spec.posts]
    if not ctx.rules.unread and spec.effects and set(spec.effects) <= _PROPOSING:
        first = _asks(_first_of(ctx.rules.ask, (s for s in found if s.kind == "read"), ctx))
    else:
        first = asking(found, spec, ctx)
    if first is None and "run" in spec.effects and not spec.staged:
        first = _asks(unstaged.unheld(ctx.rules.ask, ctx))
    return first or _asks(holding.asked_beneath(call, spec, ctx, found))


def asking(found: Iterable[Subject], spec: ToolSpec, ctx: Context) -> Decision | None:
    if ctx.rules.unread and spec.effects != ("compute",):
        return Decision("ask", ctx.rules.unread, "unread policy")
    return _asks(_first_of(ctx.rules.ask, (*found, Subject("tool", spec.name)), ctx))


def _asks(rule: Rule | None) -> Decision | None:
    return Decision("ask", f"{rule.told} asks first", f"ask {rule}") if rule else None


def _first_of(rules: Sequence[Rule], found: Iterable[Subject], ctx: Context) -> Rule | None:
    return next((rule for subject in found if (rule := _first(rules, subject, ctx))), None)


def _first(rules: Iterable[Rule], subject: Subject, ctx: Context) -> Rule | None:
    return next((rule for rule in rules if reaches(rule, subject, ctx)), None)


# --- what the modes ask ---------------------------------------------------------------------------


def _free(spec: ToolSpec, ctx: Context) -> Decision:
    if "run" in spec.effects and ctx.boundary and spec.staged:
        known = (*ctx.rules.allow, *ctx.rules.kept)
        hosts = ", ".join(dict.fromkeys(rule.object for rule in known if rule.kind == "net"))
        network = f"with no network but {hosts}" if hosts else "without network"
        return Decision("allow", f"it runs in the sandbox, {network}, on a copy of the workspace", "sandbox")
    if spec.posts:
        return Decision("allow", "it only proposes a message, which is judged before it is sent", "proposes")
    if "write:fs" in spec.effects:
        return Decision("allow", "it only proposes changes, which are judged before they are made", "proposes")
    if ctx.mode == "yolo":
        return Decision("allow", "mode yolo asks nothing", "mode yolo")
    return Decision("allow", "it only reads", "reading")


def _free_changes(ctx: Context) -> Decision:
    if ctx.mode == "yolo":
        return Decision("allow", "mode yolo asks nothing", "mode yolo")
    return Decision("allow", "it stays inside the workspace and can be undone", "mode auto")


def questions_before(call: ToolCall, spec: ToolSpec, ctx: Context) -> list[Question]:
    """Why to ask before the call; empty where it is free. Each needs a rule of its own to be lifted."""
    found: list[Question] = []
    effects = set(spec.effects)
    if not effects and ctx.mode != "yolo":
        found.append(Question(f"{spec.name} does not say what it does", "undeclared", (Subject("tool", spec.name),)))
    if not effects and ctx.mode == "yolo" and not ctx.boundary:
        found.append(Question(f"{spec.name} does not say what it does, and there is no sandbox", "no sandbox", ()))
    if ctx.mode != "yolo" and _touches_files(spec):
        found += _reading_questions(call, spec, ctx)
    if "run" in effects and not ctx.boundary:
        reason = "there is no sandbox here, so a program could do anything you can do"
        found.append(Question(reason, "no sandbox", (subjects.program(call, ctx),)))
    elif "run" in effects and not spec.staged and ctx.mode != "yolo":
        found.append(Question(unstaged.why(spec), "unstaged", (subjects.program(call, ctx),), strict=True))
    return found + _outward_questions(call, spec, ctx)


def _reading_questions(call: ToolCall, spec: ToolSpec, ctx: Context) -> list[Question]:
    named = tuple(subjects.paths(call, spec, ctx))
    outside = tuple(p for p in named if not ctx.inside(p.text) and not _readable(p.text, ctx))
    if outside and "write:fs" in spec.effects:
        # What is proposed for these places is judged later, but to propose it the tool has to look at them.
        sources = subjects.sources(call, spec, ctx)
        outside = tuple(s if s.text in sources else Subject("write", s.text) for s in outside)
    if outside:
        reason = f"{outside[0].text} is outside the workspace"
        return [Question(reason, "outside", outside, tool_rule=False, either="write:fs" in spec.effects)]
    if "read:fs" in spec.effects and not ctx.boundary:
        inside = named or (Subject("read", ctx.workspace),)
        return [Question("there is no sandbox here, so reading asks too", "no sandbox", inside)]
    return []


def _readable(path: str, ctx: Context) -> bool:
    return all(any(beneath(form, folder) for folder in ctx.readable) for form in ctx.forms(path))


def _outward_questions(call: ToolCall, spec: ToolSpec, ctx: Context) -> list[Question]:
    found: list[Question] = []
    marks = outward.marks(ctx)
    for effect, doing in _OUTWARD.items():
        if effect not in spec.effects or (ctx.mode == "yolo" and effect != "send" and not marks):
            continue
        if effect == "send" and spec.posts:
            continue
        if effect == "net":
            touched = tuple(subjects.hosts(call, spec))
        elif effect == "send":
            touched = tuple(subjects.addresses(call, spec))
        else:
            touched = (subjects.persistence(call, spec),)
        named = ", ".join(s.text for s in touched if s.text != "?")
        unnamed = outward.unnamed(call, spec, effect, touched, ctx)
        covered = touched
        if touched == (subjects.MEMORY,):
            doing, covered, unnamed = _REMEMBERING, *outward.remembering(call, ctx)
        reason = f"{doing}{f' ({named})' if named else ''} always asks{marks}{unnamed}"
        found.append(Question(reason, effect, covered, tool_rule=effect != "send" and not marks and not unnamed))
        if effect == "persist" and (later := subjects.later(call, ctx)):
            reason = f"{later[0].text} would be written later, without you"
            found.append(Question(reason, "persist", later, tool_rule=False))
    if found and not _touches_files(spec) and (files := outward.handed_out(call, spec, ctx)):
        reason = f"{files[0].text} would go out, and you did not name it"
        found.append(Question(reason, "outside", files, tool_rule=False))
    if "read:mail" in spec.effects and not ctx.boundary and ctx.mode != "yolo":
        reason = "there is no sandbox here, so reading mail asks too"
        found.append(Question(reason, "no sandbox", (Subject("tool", spec.name),)))
    return found


def questions_after(call: ToolCall, spec: ToolSpec, changes: Sequence[Change], ctx: Context) -> list[Question]:
    """Why to ask over the changes; empty where they may be committed at once."""
    if ctx.mode == "yolo":
        return []
    written = tuple(subjects.written(changes))
    outside = tuple(s for s in written if not ctx.inside(s.text))
    read_outside = tuple(
        _copied(c, ctx) for c in changes if c.kind == "copy" and not ctx.inside(c.path) and not _readable(c.path, ctx)
    )
    found: list[Question] = []
    if outside:
        found.append(Question(f"{outside[0].text} is outside the workspace", "outside", outside, tool_rule=False))
    if read_outside:
        found.append(
            Question(f"{read_outside[0].text} is outside the workspace", "outside", read_outside, tool_rule=False)
        )
    leading_out = [c for c in changes if c.kind == "link" and not ctx.inside(subjects.link_target(c))]
    if leading_out:
        target = subjects.link_target(leading_out[0])
        found.append(
            Question(
                f"a link to {target} leads out of the workspace",
                "outside",
                (Subject("write", target),),
                tool_rule=False,
            )
        )
    reason = destroys(changes, ctx) or harms(changes, ctx) or _overruns(call, spec, changes, ctx)
    if reason:
        found.append(Question(reason, "destructive", written, strict=True))
    if ctx.mode == "auto":
        reason, led = provenance.steered(changes, gone(changes, ctx), ctx)
        if reason:
            found.append(
                Question(reason, "steered", tuple(Subject("write", p) for p in led), tool_rule=False, strict=True)
            )
    left_out = frozenset(outside)
    inside = tuple(s for s in written if s not in left_out)
    if not inside:
        return found
    if not ctx.boundary:
        found.append(Question("there is no sandbox here, so every change asks", "no sandbox", inside))
    elif ctx.mode == "ask":
        found.append(Question("changes ask first in mode ask", "mode ask", inside))
    elif not spec.effects:
        found.append(Question(f"{spec.name} does not say what it does", "undeclared", inside))
    return found


def _overruns(call: ToolCall, spec: ToolSpec, changes: Sequence[Change], ctx: Context) -> str:
    if "run" not in spec.effects:
        return ""
    script = " ".join(value for value in call.args.values() if isinstance(value, str))
    return overruns(script, changes, ctx)
