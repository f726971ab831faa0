"""Whether a folder may hold what a rule about files means, without looking into it. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

from ..values import Change, Decision, ToolCall, ToolSpec
from . import subjects
from .context import Context, absolute, beneath
from .rule import Rule, Subject


def may_hold(path: str, rule: Rule, ctx: Context) -> bool:
    """Whether something at or beneath `path` (absolute) can be what the rule names; letter case makes no difference."""
    glob = "" if rule.object in ("*", "**", ".", "./**") else rule.object
    fixed = re.split(r"[*?\[]", glob, maxsplit=1)[0]
    named, path = absolute(fixed, ctx.workspace, ctx.home).casefold(), path.casefold()
    wild = fixed != rule.object and beneath(path, named if fixed.endswith("/") else posixpath.dirname(named))
    return wild or beneath(named, path)


def asked_beneath(call: ToolCall, spec: ToolSpec, ctx: Context, found: Iterable[Subject]) -> Rule | None:
    """The ask rule about reading that this call could go past: by a folder it looks through, or a program's eyes."""
    rules = [rule for rule in ctx.rules.ask if rule.kind == "read"]
    if not rules:
        return None
    trees = [form for s in found if s.kind == "read" and s.deep for form in ctx.forms(s.text)]
    if "run" in spec.effects or (not trees and subjects.looks_through(call, spec, ctx)):
        trees.append(ctx.workspace)
    return next((rule for tree in trees for rule in rules if may_hold(tree, rule, ctx)), None)


def carries_denied(changes: Sequence[Change], ctx: Context) -> Decision | None:
    """A folder takes what lies in it along, to a name under which no rule would know it."""
    for change in changes:
        if change.kind not in ("copy", "move") or not (ctx.folder is None or ctx.folder(change.path)):
            continue
        for rule in (rule for rule in ctx.rules.deny if rule.kind == "read"):
            if may_hold(change.path, rule, ctx):
                return Decision("deny", f"{change.path} may hold what {rule.told} denies", str(rule))
    return None
