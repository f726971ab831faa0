"""The app's windows for who has no screen: a list with numbers, a text with its choices, a line to write."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from ..agent import shown
from . import changes, effect, lines
from .chooser import Ask, Chooser, Chosen
from .driver import step_diffs
from .windows import Picker, Reader
from .words import n_of, t

if TYPE_CHECKING:
    from ..store.journal import Step

_ROWS = 60


def picked(picker: Picker) -> str | None:
    """The id of the row that was named."""
    title, rows = picker.listed()
    at = _numbered(title, [_told(row.text, row.about) for row in rows])
    return rows[at].id if at is not None else None


def read(reader: Reader) -> str | None:
    """The key that was chosen, of those that the window takes."""
    title, texts, keys = reader.told()
    lines.say("\n".join([title, *(text.plain for text in texts), *(f"{key}: {what}" for key, what in keys.items())]))
    return lines.chosen(keys)


def chosen(chooser: Chooser) -> Chosen | None:
    """The conversation to go on with."""
    entries = chooser.listed()
    told = (_told(one.name, one.snippet, one.elsewhere, t("open now") if one.open_now else "") for one in entries)
    at = _numbered(t("Earlier conversations"), told)
    return Chosen("open", entries[at]) if at is not None else None


def asked(ask: Ask) -> str | None:
    title, text = ask.asked()
    return lines.edit(f"{title}: ", text)


def step(deeds: changes.Deeds) -> tuple[str, str] | None:
    """One of the steps and what it changed; the command that was chosen for it, with its argument."""
    found = deeds.steps()[:_ROWS]
    at = _numbered(t("What was changed here"), (_step(one) for one in found))
    if at is None:
        return None
    one = found[at]
    lines.say("\n".join([*shown.change_lines(one.changes, deeds.folder, 10_000), *step_diffs(one.number, deeds.folder)]))
    keys = {"done": {"u": t("u undoes the step")}, "undone": {"r": t("r does it again")}}.get(one.state, {})
    for told in keys.values():
        lines.say(told)
    key = lines.chosen(keys)
    return None if key is None else ("undo" if key == "u" else "redo", str(one.number))


def _step(one: Step) -> str:
    state = {"done": "", "undone": t("undone")}.get(one.state, one.state)
    return _told(effect.summary(one.changes), t("Step {number}: {name}", number=one.number, name=one.name), state)


def _told(*parts: str) -> str:
    return ", ".join(lines.one(part) for part in parts if part)


def _numbered(title: str, told: Iterable[str]) -> int | None:
    """Read out a list; the place of the line that was named."""
    lines.say(title)
    every = list(told)
    for number, line in enumerate(islice(every, _ROWS), 1):
        lines.say(f"{number}: {line}")
    if len(every) > _ROWS:
        lines.say(n_of(len(every) - _ROWS, "and {n} more", "and {n} more"))
    said = (lines.read(t("Number, or Enter for none: ")) or "").strip()
    return int(said) - 1 if said.isdecimal() and 0 < int(said) <= len(every) else None
