"""Models to choose from: how each is told on a line, and what is said of the one the eye is on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ..engine.fit import gib
from ..engine.offers import Offer
from ..engine.partial import size_text
from . import wording
from .windows import Modal, Picker, Row
from .words import t

# At the first start fewer are easier; /model has them all.
_FIRST = 4
_AROUND = 15
_AROUND_ASK = 8


def row(offer: Offer, in_use: str) -> Row:
    """Its line in the picker."""
    entry = offer.entry
    mark = "●" if entry.id == in_use else "✓" if offer.path else "↓" if offer.arrived else "·"
    return Row(entry.id, f"{mark} {entry.id}", " · ".join(filter(None, (place(offer), verdict(offer)))))


def place(offer: Offer) -> str:
    """Where it is."""
    if offer.entry.hosted:
        return t("on another machine")
    if offer.path is not None:
        return t("here")
    size = size_text(offer.entry.bytes)
    if offer.arrived:
        return t("{share} of {size} here", share=f"{offer.arrived / offer.entry.bytes:.0%}", size=size)
    return t("{size} to download", size=size)


def verdict(offer: Offer) -> str:
    """Whether it fits, in a word or two."""
    if offer.entry.hosted:
        return t("what you write goes there")
    told = {
        "fits": t("fits"),
        "tight": t("tight"),
        "too big": t("too big"),
        "unknown": t("fit unknown"),
    }.get(offer.fit.verdict, "")
    short = offer.path is None and offer.fit.disk_short and offer.fit.verdict in ("fits", "tight")
    return f"{told}, {t('but not on the disk')}" if short else told


def detail(offer: Offer) -> str:
    """Why it fits or does not, and what it is."""
    entry, fit = offer.entry, offer.fit
    if entry.hosted:
        return hosted(offer)
    what = " · ".join(filter(None, (entry.name, entry.quant, entry.licence)))
    largest = t("largest context that fits: {tokens} tokens", tokens=f"{fit.largest_context:,}")
    what += f"\n{entry.note}" if entry.note else ""
    return f"{what}\n{fit.numbers()}" + (f"\n{largest}" if fit.largest_context else "")


def hosted(offer: Offer) -> str:
    from ..engine.remote import keys

    return keys.leaves(offer.entry) or t("{model} answers from an endpoint on this machine.", model=offer.entry.id)


class ModelPicker(Picker):
    """The picker of models; what is said below follows the highlighted line."""

    def __init__(self, title: str, offers: Sequence[Offer], in_use: str) -> None:
        super().__init__(title, [row(one, in_use) for one in offers])
        self._offers = {one.entry.id: one for one in offers}

    async def on_mount(self) -> None:
        window = self.query_one(".window", Vertical)
        await window.mount(Static("", id="detail", classes="about", markup=False), after=self.query_one(OptionList))
        self._tell(self.query_one(OptionList).highlighted_option)

    def on_resize(self) -> None:
        # Title, line, five lines of detail and the keys below the list stay on the screen.
        self.query_one(OptionList).styles.max_height = max(3, self.app.size.height - _AROUND)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._tell(event.option)

    def _tell(self, option: Option | None) -> None:
        offer = self._offers.get((option.id or "") if option else "")
        for found in self.query("#detail").results(Static):
            found.update(Content(wording.calm(detail(offer)) if offer else ""))


class Ask(Modal):
    """A question with a few answers. Enter gives the id of one, Esc None: whoever asked takes what is sensible."""

    BINDINGS: ClassVar[list[BindingType]] = []
    # Seconds in which an Enter is still meant for what was on the screen before.
    LOCKED_S: ClassVar[float] = 0.4

    def __init__(self, title: str, about: str, rows: Sequence[Row], skips: str) -> None:
        super().__init__()
        self._opened = time.monotonic()
        self._title, self._about, self._rows, self._skips = title, about, rows, skips

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(self._title), classes="title", markup=False)
            yield Static(Content(self._about), classes="about", markup=False)
            yield OptionList(*(Option(_two_lines(one), one.id) for one in self._rows), id="first", markup=False)
            yield Static(Content(t("Enter chooses · Esc: {skips}", skips=self._skips)), classes="about", markup=False)

    def on_resize(self) -> None:
        self.query_one(OptionList).styles.max_height = max(3, self.app.size.height - _AROUND_ASK)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if time.monotonic() - self._opened >= self.LOCKED_S:
            self.close(event.option.id)


def _two_lines(one: Row) -> Content:
    return Content.assemble((wording.one_line(one.text, 200), "bold"), (f"\n  {wording.one_line(one.about, 200)}", "dim"))


def first_rows(offers: Sequence[Offer], best: Offer | None) -> list[Row]:
    """What is offered at the first start: the recommended one, what is here, then smaller ones that fit, the largest first."""
    most = best.fit.need if best else None
    able = [
        one
        for one in offers
        if one is not best
        and (one.path is not None or (one.fit.verdict == "fits" and (most is None or one.fit.need <= most)))
    ]
    able.sort(key=lambda one: (one.path is None, -one.fit.need))
    rows = []
    for one in [*([best] if best else []), *able][:_FIRST]:
        needs = t("needs {need} of {free} GiB free", need=gib(one.fit.need), free=gib(one.fit.machine.available))
        text = f"{one.entry.name} ({t('recommended')})" if one is best else one.entry.name
        rows.append(Row(one.entry.id, text, " · ".join(filter(None, (place(one), needs, one.entry.note)))))
    return rows
