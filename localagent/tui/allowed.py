"""What the agent can do (`/tools`) and what it may do unasked (`/approvals`): lists to look through, and rules to take back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual.content import Content

from ..agent import policies
from ..agent.shown import visible
from ..errors import ConfigError
from ..store import grants
from ..store.grants import Grant
from ..values import ToolSpec
from . import wording
from .windows import Row
from .words import t


def tool_rows(specs: Sequence[ToolSpec]) -> list[Row]:
    """A row a tool: its name and effects, and the first line of what it says of itself."""
    return [Row(one.name, f"{one.name}  {_effects(one)}", one.description.partition("\n")[0]) for one in specs]


def tool_lines(spec: ToolSpec) -> list[Content]:
    """Everything about one tool."""
    parameters = json.dumps(spec.parameters, ensure_ascii=False, indent=1).splitlines()
    whence = t("from {source}", source=visible(spec.source, lines=False)) if spec.source else ""
    lines = [Content.assemble((_effects(spec), "bold"), (f"  {whence}", "$text-muted")), Content("")]
    lines += [Content(visible(text, lines=False)) for text in spec.description.splitlines()]
    return [*lines, Content(""), *(Content(visible(text, lines=False)) for text in parameters)]


def _effects(spec: ToolSpec) -> str:
    return ", ".join(spec.effects) or t("effects not declared")


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule that holds: `grant` where it is stored and can be taken back, else `origin` (file and line)."""

    verdict: str
    rule: str
    folder: str
    grant: Grant | None = None
    origin: str = ""


def kept() -> tuple[list[Kept], str]:
    """The stored rules, then those of policy files, and why some could not be read. Raises ConfigError for damaged files."""
    found = [Kept("allow", one.rule, one.folder, one) for one in grants.load()]
    found += _written(policies.own(), "")
    here, trouble = policies.here(), ""
    try:
        # What a folder allows does not count.
        found += [one for one in _written(policies.of_project(here), str(here)) if one.verdict != "allow"]
    except ConfigError as error:
        trouble = str(error)
    return found, trouble


def _written(file: Any, folder: str) -> list[Kept]:
    return [
        Kept(verdict, str(placed.rule), folder, None, f"{file.where}:{placed.line}")
        for verdict, placed_rules in (("deny", file.deny), ("ask", file.ask), ("allow", file.allow))
        for placed in placed_rules
    ]


def kept_rows(found: Sequence[Kept]) -> list[Row]:
    """A row a rule; its id is its place in the list."""
    return [
        Row(str(at), f"{one.verdict}  {visible(one.rule, lines=False)}", f"{_where(one)} · {_use(one)}")
        for at, one in enumerate(found)
    ]


def kept_lines(one: Kept) -> list[Content]:
    """Everything about one rule."""
    lines = [Content.styled(f"{one.verdict}  {visible(one.rule, lines=False)}", "bold"), Content("")]
    lines += [Content(_where(one)), Content(_use(one))]
    if one.grant is not None and one.grant.created:
        lines.append(Content(t("kept on {day}", day=_day(one.grant.created))))
    if one.grant is not None and one.grant.bound:
        lines.append(Content(t("holds only as long as its program is byte for byte what it was")))
    return lines


def _where(one: Kept) -> str:
    return t("in {folder}", folder=wording.place(one.folder, 60)) if one.folder else t("in every folder")


def _use(one: Kept) -> str:
    if one.grant is None:
        return t("{origin}; change it there", origin=wording.place(one.origin, 70))
    if not one.grant.uses:
        return t("never used")
    return t("used {times} times, last on {day}", times=one.grant.uses, day=_day(one.grant.used))


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))
