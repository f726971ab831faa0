"""What is different where a command works on the files themselves: nothing is judged before it is done. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from ..values import ToolSpec
from .context import Context, absolute, beneath
from .rule import Rule

WHY = (
    "it goes on in the background and works on your files themselves: only where the folder is within 20,000 files "
    "and 1,024 MB can what changes meanwhile (your own edits too) be undone"
)

WHY_SERVER = (
    "{source} is a program that works on your files themselves: only where the folder is within 20,000 files and 1,024 MB can what "
    "changes during the call (your own edits too) be undone, and nothing of what it does later"
)


def why(spec: ToolSpec) -> str:
    """What a person is told before it is run."""
    return WHY_SERVER.format(source=spec.source) if spec.source.startswith("mcp:") else WHY


def unheld(rules: Sequence[Rule], ctx: Context) -> Rule | None:
    """The first rule about writing that may name something in the workspace: its changes are never compared with it."""
    for rule in rules:
        if rule.kind != "write":
            continue
        if rule.object in ("*", "**", "."):
            return rule
        fixed = re.split(r"[*?\[]", rule.object, maxsplit=1)[0]
        named = absolute(fixed, ctx.workspace, ctx.home)
        if fixed != rule.object and not fixed.endswith("/"):
            named = posixpath.dirname(named)
        if any(beneath(form, ctx.workspace) or beneath(ctx.workspace, form) for form in ctx.forms(named)):
            return rule
    return None
