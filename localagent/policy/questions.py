"""Reasons to ask, and whether the user's rules make them needless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..values import Decision, ToolSpec
from .context import Context
from .rule import Rule, Subject, allows


@dataclass(frozen=True, slots=True)
class Question:
    """One reason to ask, the subjects that allow rules would have to cover, and the built-in that asks.

    `strict` is set where rules that were kept from an answer do not count, `either` where a
    rule for reading a path is as good as one for writing it.
    """

    reason: str
    name: str
    subjects: tuple[Subject, ...]
    tool_rule: bool = True
    strict: bool = False
    either: bool = False


def allowing(found: Sequence[Subject], ctx: Context, strict: bool = False, either: bool = False) -> Rule | None:
    """A rule where every subject is covered by some allow rule: the one that covers the first."""
    known = ctx.rules.allow if strict else (*ctx.rules.allow, *ctx.rules.kept)
    first: Rule | None = None
    for subject in found:
        forms = (subject, _otherwise(subject)) if either else (subject,)
        covering = next((rule for rule in known if any(allows(rule, form, ctx) for form in forms)), None)
        if covering is None:
            return None
        first = first or covering
    return first


def _otherwise(subject: Subject) -> Subject:
    """The same path, read where it was to be written and the other way round."""
    return Subject("write" if subject.kind == "read" else "read", subject.text)


def settle(questions: list[Question], spec: ToolSpec, ctx: Context, free: Decision) -> Decision:
    """`free` where nothing asks, or a rule covers each question; else the first question that none does."""
    named = [Subject("tool", spec.name)]
    decided = free
    for question in questions:
        covering = allowing(question.subjects, ctx, question.strict, question.either)
        if covering is None and question.tool_rule:
            covering = allowing(named, ctx, question.strict)
        if covering is None:
            return Decision("ask", question.reason, question.name)
        decided = Decision("allow", f"your rule {covering} allows it", str(covering))
    return decided
