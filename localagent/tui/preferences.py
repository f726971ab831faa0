"""The settings in a window: each with its value, what it means and where that comes from, changed in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ..errors import LocalAgentError
from ..store import settings
from ..store.settings import Described
from . import wording
from .fields import Field
from .windows import Modal
from .words import t

_KEY_WIDTH = 16
_AROUND = 12


def value_text(value: Any) -> str:
    """The value as it is written in the file."""
    if isinstance(value, tuple):
        value = list(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def line(one: Described) -> Content:
    """Its row: what differs from the default stands out."""
    changed = one.value != one.default
    value = wording.one_line(value_text(one.value), 60)
    default = t("default {value}", value=wording.one_line(value_text(one.default), 30)) if changed else ""
    return Content.assemble(
        (f"{one.key:{_KEY_WIDTH}} ", ""), (value, "bold" if changed else ""), (f"  {default}" if default else "", "$text-muted")
    )


def next_choice(one: Described) -> str:
    """The word after the present one."""
    now = value_text(one.value)
    return one.choices[(one.choices.index(now) + 1) % len(one.choices)] if now in one.choices else one.choices[0]


class Preferences(Modal):
    """Enter changes: the next word where there are only a few, else a line to write. `changed` is told each new value."""

    BINDINGS: ClassVar[list[BindingType]] = [("d", "default", "Default")]

    def __init__(
        self,
        changed: Callable[[str, settings.Settings], None],
        at: str = "",
        choices: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """`at` is the setting to begin with; `choices` are those of settings whose words only the app knows."""
        super().__init__()
        self._choices = choices or {}
        self._told = changed
        self._known: list[Described] = []
        self._at = at

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(t("Settings")), classes="title", markup=False)
            yield OptionList(id="first", markup=False)
            yield Static("", id="meaning", classes="about", markup=False)
            yield Field(id="value")
            yield Static("", id="hint", markup=False)
            yield Static("", id="keys", classes="about", markup=False)

    def on_mount(self) -> None:
        self.query_one("#value").display = False
        self._fill(self._at)
        self._keys()

    def on_resize(self) -> None:
        # What the setting means, the line to write and what is wrong with it stay on a low screen.
        self.query_one(OptionList).styles.max_height = max(3, self.app.size.height - _AROUND)

    # ------------------------------------------------------------ drawing

    def _fill(self, at: str = "") -> None:
        try:
            known = settings.describe()
            self._known = [replace(one, choices=self._choices.get(one.key, one.choices)) for one in known]
        except LocalAgentError as error:
            self._hint(str(error))
            return
        rows = self.query_one(OptionList)
        rows.clear_options()
        rows.add_options([Option(line(one), one.key) for one in self._known])
        rows.highlighted = next((index for index, one in enumerate(self._known) if one.key == at), 0)

    def _one(self) -> Described | None:
        at = self.query_one(OptionList).highlighted
        return self._known[at] if at is not None and at < len(self._known) else None

    def on_option_list_option_highlighted(self) -> None:
        one = self._one()
        if one is not None:
            whence = t("not changed") if one.source == "default" else one.source
            choices = f"\n{' · '.join(one.choices)}" if one.choices else ""
            self.query_one("#meaning", Static).update(Content(wording.calm(f"{one.help} [{whence}]{choices}")))

    def _hint(self, text: str) -> None:
        self.query_one("#hint", Static).update(Content(wording.calm(text)))

    def _keys(self) -> None:
        editing = self.query_one("#value").display
        told = t("Enter keeps it · Esc goes back") if editing else t("Enter changes · d back to the default · Esc closes")
        self.query_one("#keys", Static).update(Content(told))

    # ------------------------------------------------------------ changing

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        one = self._one()
        if one is None:
            return
        if one.choices:
            self._set(one.key, next_choice(one))
        elif isinstance(one.value, tuple) and len(one.value) > 1:
            self._hint(t("It has several values: change them in {file}.", file=one.source))
        else:
            self._edit(one)

    def _edit(self, one: Described) -> None:
        value = one.value[0] if isinstance(one.value, tuple) and one.value else one.value
        field = self.query_one("#value", Input)
        field.value = "" if value in (None, ()) else value_text(value)
        field.placeholder = t("null takes the choice back")
        field.display = True
        field.focus()
        self._hint("")
        self._keys()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        one = self._one()
        if one is not None and self._set(one.key, event.value.strip() or "null"):
            self._back()

    def action_default(self) -> None:
        one = self._one()
        if one is not None and not self.query_one("#value").display and one.value != one.default:
            self._set(one.key, value_text(one.default) if one.default != () else "null")

    def action_close(self) -> None:
        if self.query_one("#value").display:
            self._back()
        else:
            self.close()

    def _back(self) -> None:
        self.query_one("#value").display = False
        self.query_one(OptionList).focus()
        self._keys()

    def _set(self, key: str, text: str) -> bool:
        try:
            made = settings.set_value(key, text)
        except LocalAgentError as error:
            self._hint(str(error))
            return False
        self._hint("")
        self._fill(key)
        self._told(key, made)
        return True
