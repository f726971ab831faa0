"""A plan that is proposed in mode plan, and what a person's yes to it allows: its effects, for this request, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..policy import rules
from ..policy.context import absolute, beneath
from ..toolbox.planning import PLAN
from ..toolbox.registry import Registry
from ..values import Decision, Mode, PlanItem, ToolCall
from . import binding

QUESTION = Decision("ask", "nothing of a plan is done before you agree; your yes allows what it names, once", "plan")
HINT = (
    "Mode plan: only look now. When you know enough, call plan with the steps, each with what it would do as effects, such as "
    '{"do": STEP, "effects": ["write(FILE)"]}. The user is asked about it once; then carry it out.'
)
ALONE = "Nobody is here to agree to the plan, so nothing of it can be done. Answer the user with the plan."
NO_EFFECTS = (
    "Noted. To have it carried out, call plan again with the effects of its steps, such as write(report.md): the user is "
    "asked about these. Else answer with the plan."
)


class Agreement:
    """What holds of a plan in this turn. It is never remembered, and over with the turn, another mode or another plan."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self.digest = ""
        self._rules: tuple[tuple[str, str], ...] = ()

    @property
    def rules(self) -> tuple[tuple[str, str], ...]:
        """The rules that are granted, each with what its program was."""
        return self._rules

    def grant(self, digest: str, texts: Sequence[str]) -> None:
        bound = ((text, binding.kept_for(rules.parse(text).words, self._workspace)) for text in texts)
        self.digest, self._rules = digest, tuple(bound)

    def withdraw(self) -> None:
        self.digest, self._rules = "", ()

    def mode(self, chosen: Mode) -> Mode:
        """The mode that calls are judged in: who agreed to a plan is asked about what lies beside it."""
        if chosen != "plan":
            self.withdraw()
        return "ask" if self.digest else chosen


def digest(items: Sequence[PlanItem]) -> str:
    """Which plan it is: its steps and effects, whatever of them is done."""
    facts = [[item.text, item.effects] for item in items]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def parted(items: Sequence[PlanItem], workspace: Path) -> tuple[list[str], list[str]]:
    """The effects that a yes grants, and those that ask for themselves when it comes to them. Raises UsageError.

    Granted is what lies in the workspace, a host by its name, a command that may be remembered. Messages, what stays
    after the session, shells and everything beyond ask each time.
    """
    granted: list[str] = []
    later: list[str] = []
    for text in dict.fromkeys(effect for item in items for effect in item.effects):
        (granted if _grantable(rules.parse(text), str(workspace)) else later).append(text)
    return granted, later


def _grantable(rule: rules.Rule, workspace: str) -> bool:
    if rule.kind in ("read", "write"):
        return not rule.object.startswith("~") and beneath(absolute(rule.object, workspace, "/"), workspace)
    if rule.kind == "net":
        return "*" not in rule.object
    return rule.kind == "run" and rules.storable(str(rule)) and not rules.never_kept(str(rule))


def question(call: ToolCall, items: Sequence[PlanItem], granted: Sequence[str], later: Sequence[str]) -> ToolCall:
    """The plan as a call that any front end can show whole."""
    steps = "\n".join(f"{number}. {item.text}{_would(item)}" for number, item in enumerate(items, 1))
    args = {"steps": steps, "allowed by your yes, in this request only": "\n".join(granted) or "(nothing)"}
    return ToolCall(call.id, call.name, args | ({"asked about when it comes to it": "\n".join(later)} if later else {}))


def _would(item: PlanItem) -> str:
    return f"  [{', '.join(item.effects)}]" if item.effects else ""


def opening(mode: Callable[[], Mode], registry: Registry) -> str:
    """What the model hears at the start of a turn in mode plan, "" where it has no tool to propose one."""
    spec = registry.spec(PLAN.name)
    return HINT if spec is not None and spec.source == PLAN.source and mode() == "plan" else ""
