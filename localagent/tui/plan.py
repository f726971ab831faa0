"""The model's plan as a list that ticks: pure drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.content import Content

from ..agent import shown
from ..values import PlanItem
from . import wording
from .words import n_of, t

# What is shown of a long plan above the prompt: the rest is counted.
SHOWN = 6


def checklist(steps: Sequence[PlanItem], width: int, running: bool, room: int = 0) -> Content:
    """A line a step; the first open one is what the model is at while it is `running`.

    With `room` no more than so many steps, around that one, each cut to one line of `width` cells.
    """
    now = current(steps) if running else len(steps)
    first, last = _window(len(steps), now, room) if room else (0, len(steps))
    lines = [_line(step, at == now, width if room else 0) for at, step in list(enumerate(steps))[first:last]]
    if first:
        lines.insert(0, Content.assemble((f"  … {t('{number} before', number=first)}", "$text-muted")))
    if last < len(steps):
        lines.append(Content.assemble((f"  … {t('{number} more', number=len(steps) - last)}", "$text-muted")))
    return Content("\n").join(lines)


def pinned(steps: Sequence[PlanItem], width: int, folded: bool) -> Content:
    """The plan above the prompt: its head, and unless it is folded its steps."""
    now = current(steps)
    head = [("▸ " if folded else "▾ ", "$text-muted"), *_head(steps)]
    if folded and now < len(steps):
        left = width - sum(len(text) for text, _ in head) - 2
        head.append((f"  {wording.one_line(steps[now].text, left)}" if left > 8 else "", "$text-accent"))
    title = Content.assemble(*head)
    return title if folded else Content("\n").join([title, checklist(steps, width, True, SHOWN)])


def kept(steps: Sequence[PlanItem]) -> Content:
    """The plan in the conversation, once its turn has ended."""
    return Content("\n").join([Content.assemble(*_head(steps)), checklist(steps, 0, False)])


def _head(steps: Sequence[PlanItem]) -> list[tuple[str, str]]:
    told = t("{done} of {all} done", done=sum(step.done for step in steps), all=len(steps))
    return [(t("Plan"), "bold"), (f"  {told}", "$text-muted")]


def current(steps: Sequence[PlanItem]) -> int:
    """The first step that is not done, their number where all are."""
    return next((at for at, step in enumerate(steps) if not step.done), len(steps))


def _line(step: PlanItem, now: bool, width: int) -> Content:
    """With a `width` one line; else what it would do and each check that does not hold beneath it."""
    failing = [one for one in step.checks if one.ok is False]
    told = step.text if not failing or not width else f"{failing[0].check}: {failing[0].why} ({step.text})"
    text = wording.one_line(told, max(8, width - 4)) if width else " ".join(wording.calm(told).split())
    if failing:
        below = [] if width else [f"\n      {shown.checked_line(replace(one, step=''))}" for one in failing]
        return Content.assemble(("  ✗ ", "$text-error"), (text, "bold" if now else ""), *((line, "$text-error") for line in below))
    if step.done:
        held = len(step.checks)
        checked = f"  {n_of(held, '{n} check holds', '{n} checks hold')}" if held and not width else ""
        return Content.assemble(("  ✓ ", "$text-success"), (text, "$text-muted"), (checked, "$text-success"))
    would = f"\n      {shown.visible(', '.join(step.effects), lines=False)}" if step.effects and not width else ""
    if now:
        return Content.assemble(("  ● ", "$text-accent"), (text, "bold"), (would, "$text-muted"))
    return Content.assemble(("  ○ ", "$text-muted"), (text, ""), (would, "$text-muted"))


def _window(number: int, now: int, room: int) -> tuple[int, int]:
    first = max(0, min(now - 2, number - room))
    return first, min(number, first + room)
