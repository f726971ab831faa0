"""The decision over messages, once it is known to whom they would go. Pure.

A message asks in every mode unless a rule names its address: the exact one, where the user neither wrote it nor has it
among the contacts. What it takes along must be named by the user, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..values import Decision, Outgoing, ToolSpec
from . import floor, outward, provenance
from .context import Context
from .decide import Question, asking, denied, settle
from .rule import Rule, Subject, allows

_NONE: Mapping[str, str] = {}


def judge(
    messages: Sequence[Outgoing], spec: ToolSpec, ctx: Context, repeats: Mapping[int, str], asked: Mapping[str, str] = _NONE
) -> Decision:
    """Whether these messages, all of them, may be sent.

    `repeats` says of a message (by its place) that the same one went out before, and when. `asked` gives for a file that is
    reached by links the path that was asked for: both are judged, and one of them must be named by the user.
    """
    ctx = ctx.at_once()
    places = [Subject("send", f"{message.channel}:{message.address}") for message in messages]
    files = [Subject("read", one.path) for message in messages for one in message.attachments]
    given = [Subject("read", path) for file in files if (path := asked.get(file.text, file.text)) != file.text]
    for file in [*files, *given]:
        if reason := floor.reading(file.text, ctx):
            return Decision("deny", reason, "floor")
    found = [Subject("tool", spec.name), *places, *files, *given]
    if refused := denied(found, ctx):
        return refused
    if ctx.mode == "plan":
        return Decision("deny", "in plan mode nothing is sent", "mode plan")
    if all(message.draft for message in messages):
        return _drafts(files, found, spec, ctx)
    if first := asking(found, spec, ctx):
        return first
    open_ones = _open(messages, places, files, ctx, repeats, asked)
    if not open_ones:
        rule = next((rule for place in places if (rule := _rule(place, ctx))), None)
        return Decision("allow", f"your rule {rule} allows it", str(rule))
    kept = f"send({places[0].text})" if len(set(places)) == 1 and [name for name, _ in open_ones] == ["send"] else ""
    missing = tuple(dict.fromkeys(f"send({place.text})" for place in places))
    return Decision("ask", "; ".join(told for _, told in open_ones), "send", kept, missing)


def _drafts(files: Sequence[Subject], found: Sequence[Subject], spec: ToolSpec, ctx: Context) -> Decision:
    outside = tuple(file for file in files if not ctx.inside(file.text))
    questions = [Question(f"{outside[0].text} is outside the workspace", "outside", outside, tool_rule=False)] if outside else []
    return asking(found, spec, ctx) or settle(questions, spec, ctx, Decision("allow", "a draft is only kept", "draft"))


def _open(
    messages: Sequence[Outgoing],
    places: Sequence[Subject],
    files: Sequence[Subject],
    ctx: Context,
    repeats: Mapping[int, str],
    asked: Mapping[str, str],
) -> list[tuple[str, str]]:
    """Why to ask, each by its name and in words; empty where rules lift all of it."""
    found = [("repeated", told) for told in repeats.values()]
    for place, message in zip(places, messages, strict=True):
        said = ctx.said or ""
        named = bool(message.name) or (provenance.named(message.address, said) and (message.address.isascii() or message.address in said))
        if not named and not _rule(place, ctx, exact=True):
            found.append(("stranger", f"{message.address} is in no contact, and does not come from your own words"))
    for file in files:
        if _read_rule(file, ctx):
            continue
        if not ctx.inside(file.text):
            found.append(("outside", f"{file.text} is outside the workspace, and would go out"))
        elif not any(provenance.path_named(path, ctx) for path in {file.text, asked.get(file.text, file.text)}):
            found.append(("unnamed", f"{file.text} would go out, and you did not name it"))
    unruled = [place.text for place in places if not _rule(place, ctx)]
    if unruled:
        found.append(("send", f"sending a message ({', '.join(dict.fromkeys(unruled))}) always asks{outward.marks(ctx)}"))
    return list(dict.fromkeys(found))


def _rule(place: Subject, ctx: Context, exact: bool = False) -> Rule | None:
    """The allow rule for this address; `exact` where it must spell the address itself."""
    known = (*ctx.rules.allow, *ctx.rules.kept)
    return next((r for r in known if allows(r, place, ctx) and not (exact and r.object.rpartition(":")[2] == "*")), None)


def _read_rule(file: Subject, ctx: Context) -> Rule | None:
    return next((rule for rule in ctx.rules.allow if allows(rule, file, ctx)), None)
