"""What speaks against an action that reaches beyond this machine or this session. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..values import ToolCall, ToolSpec
from . import provenance, subjects
from .context import Context
from .rule import Subject


def marks(ctx: Context) -> str:
    """What the session has seen, as the end of a reason; "" where nothing."""
    seen = [
        text for is_set, text in ((ctx.untrusted_seen, "untrusted text"), (ctx.private_seen, "private data")) if is_set
    ]
    return f", and this session has seen {' and '.join(seen)}" if seen else ""


def unnamed(call: ToolCall, spec: ToolSpec, effect: str, touched: Sequence[Subject], ctx: Context) -> str:
    """What of where it goes the user never wrote, as the end of a reason; "" where all of it.

    The hosts that a tool declares are known from when the user took it.
    """
    if ctx.said is None or effect == "persist":
        return ""
    said = ctx.said
    if effect == "send":
        found = [s.text for s in touched if not provenance.named(s.text.partition(":")[2] or s.text, said)]
    else:
        own = {host.partition(":")[0] for host in spec.hosts}
        found = [s.text for s in touched if s.text not in own and not provenance.named(s.text, said)] or provenance.strange(call, said)
    if not found:
        return ""
    return f"; {found[0] if '?' not in found[0] else 'where it goes'} does not come from your own words"


def remembering(call: ToolCall, ctx: Context) -> tuple[tuple[Subject, ...], str]:
    """What a rule has to cover for something to be remembered, () where no rule will do; and the end of the reason.

    It is told to models again and again: what others wrote, or nobody said, is kept by a person alone who has read it.
    """
    if ctx.seen.strip() or ctx.speaks_seen:
        return (), "; a person has to read it"
    if ctx.said is not None and (strange := provenance.unsaid(str(call.args.get("text", "")), ctx.said)):
        return (), f"; {strange!r} is not in your own words"
    return (subjects.MEMORY,), ""


def handed_out(call: ToolCall, spec: ToolSpec, ctx: Context) -> tuple[Subject, ...]:
    """Files that it would take along though the user did not name them.

    `to` may name a person as well as a place: what does not exist is no file.
    """
    if ctx.exists is None:
        return ()
    there, named = ctx.exists, subjects.paths(call, spec, ctx)
    return tuple(p for p in named if there(p.text) and not provenance.path_named(p.text, ctx))
