"""What lies between a question and its answer, without a screen: the rule that would be kept, the call that was edited."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..agent import shown
from ..errors import LocalAgentError
from ..values import Decision, ToolCall
from .effect import Row
from .words import t


def keeping(rule: str) -> str:
    """What `s` and `a` would keep, and where it would hold."""
    if not rule:
        return t("It cannot be remembered: it is asked about each time.")
    from ..policy import rules

    told = shown.visible(rule, lines=False)
    if rules.local(rule):
        return t("s and a keep in this folder: {rule}", rule=told)
    return t("s and a keep in every folder: {rule}", rule=told)


def unkeepable(rule: str) -> str:
    """Why a rule cannot be kept, "" where it can."""
    from ..policy import rules

    try:
        if rules.storable(rule):
            return ""
    except LocalAgentError as error:
        return str(error)
    return t("That is too wide to be kept: name the program with its first words, or the files.")


def _sole(call: ToolCall) -> str | None:
    """The name of the call's only argument, where that is a text."""
    names = list(call.args)
    return names[0] if len(names) == 1 and isinstance(call.args[names[0]], str) else None


def editable(call: ToolCall) -> str:
    """The call as a text to edit: its only argument, or all of them as JSON."""
    name = _sole(call)
    return str(call.args[name]) if name else json.dumps(dict(call.args), ensure_ascii=False, indent=1)


def read_back(call: ToolCall, text: str) -> Mapping[str, Any] | str:
    """The edited arguments, or a sentence about what is wrong with them."""
    # Half a surrogate pair is no text, and nothing behind this could write it.
    text = text.encode("utf-8", "replace").decode()
    name = _sole(call)
    if name is not None:
        return {name: text}
    try:
        made = json.loads(text)
    except ValueError as error:
        return t("That is not JSON: {error}.", error=error)
    return made if isinstance(made, dict) else t("The arguments are a JSON object.")


def told(call: ToolCall, decision: Decision, rows: Sequence[Row]) -> list[str]:
    """A question in lines: what would happen, whole, what of it is dangerous, and why it is asked."""
    reason = shown.visible(decision.reason, lines=False)
    parts = [text.strip() for row in rows for text, tone in row.pieces if tone == "danger" and text != "!"]
    lines = [t("Allow this?"), *(row.text for row in rows)]
    lines += [t("Dangerous: {part}", part=part) for part in parts]
    lines.append(t("Asked because {reason}", reason=reason))
    if decision.rule:
        lines.append(t("(rule: {rule})", rule=shown.visible(decision.rule, lines=False)))
    return [*lines, keeping(decision.remember)]
