"""The question before an effect. What is drawn is the effect itself; what counts as a yes is narrow.

A yes is the key y, s or a, pressed alone: not within half a second of the window, not as part
of a burst (a paste, type-ahead), and not before the whole effect has been on the screen. Enter
and Esc say no, and a no is where the focus starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.errors import NoWidget
from textual.events import Click, Key, Paste
from textual.widgets import Input, Static, TextArea

from ..agent import shown
from ..values import Answer, Change, Decision, ToolCall
from . import answering, card, effect
from .fields import Area, Field
from .windows import Sheet, Window, fit
from .words import n_of, t

Step = Literal["choose", "why", "rule", "edit"]


@dataclass(eq=False, slots=True)
class Question:
    """One call that waits for a person. `rows` is its whole effect."""

    call: ToolCall
    decision: Decision
    changes: tuple[Change, ...]
    rows: tuple[effect.Row, ...]
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Choice(Static, can_focus=True):
    """An answer that can be focused and clicked. Enter on it is handled by the window."""

    def __init__(self, id: str, text: str) -> None:
        super().__init__(Content(text), id=id, markup=False)


class Approval(Window):
    """Closed with an `Answer`, or with None where the question is no longer open."""

    BINDINGS: ClassVar[list[BindingType]] = []
    AUTO_FOCUS = "#no"
    # Seconds in which no key counts, and seconds that must be still around a yes.
    LOCKED_S: ClassVar[float] = 0.5
    ALONE_S: ClassVar[float] = 0.08

    def __init__(
        self, question: Question, waiting: Callable[[], list[Question]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.question = question
        self._waiting = waiting
        self._clock = clock
        self._opened = clock()
        self._last_key = 0.0
        self._keys = 0
        self._seen = False
        self._step: Step = "choose"

    # ------------------------------------------------------------ drawing

    def compose(self) -> ComposeResult:
        question = self.question
        keeps = question.decision.remember
        with Vertical(classes="window"):
            yield Static(Content(self._title()), classes="title", id="title", markup=False)
            yield Static(self._about(), classes="about", markup=False)
            yield Sheet([card.drawn([row]) for row in question.rows], "effect")
            yield Static(Content(""), id="others", classes="about", markup=False)
            yield Static(Content(answering.keeping(keeps)), classes="about", markup=False)
            with Horizontal(id="answers"):
                yield Choice("no", t("n no"))
                yield Choice("yes", t("y once"))
                if keeps:
                    yield Choice("session", t("s session"))
                    yield Choice("always", t("a always"))
                yield Choice("edit", t("e edit"))
            yield Field(id="why", placeholder=t("Why not? The model reads it. Enter sends the no, Esc goes back"))
            yield Field(id="rule")
            yield Area("", id="call", compact=True)
            yield Static(Content(""), id="hint", markup=False)

    def on_mount(self) -> None:
        self._opened = self._clock()
        self._go("choose")
        sheet = self.query_one(Sheet)
        sheet.can_focus = False
        self.watch(sheet, "scroll_y", self._look, init=False)
        self.watch(sheet, "virtual_size", self._look, init=False)
        self.call_after_refresh(self._look)
        self.set_timer(self.LOCKED_S, self._hint)
        self.others_changed()

    def on_resize(self) -> None:
        self.call_after_refresh(self._look)

    def on_sheet_resized(self) -> None:
        self._look()

    def _title(self) -> str:
        waiting = self._waiting()
        return t("Allow this? (1 of {number})", number=len(waiting)) if len(waiting) > 1 else t("Allow this?")

    def _about(self) -> Content:
        decision = self.question.decision
        reason = shown.visible(decision.reason, lines=False)
        rule = t("(rule: {rule})", rule=shown.visible(decision.rule, lines=False)) if decision.rule else ""
        before, _, after = t("Asked because {reason}", reason="\0").partition("\0")
        return Content.assemble((before, ""), (reason, "bold"), (f"{after}  {rule}" if rule else after, ""))

    def others_changed(self) -> None:
        """Other questions came or went."""
        if not self.query("#others"):
            return
        others = [one for one in self._waiting() if one is not self.question]
        lines = [t("next: {text}", text=shown.call_line(one.call, 100)) for one in others[:4]]
        if len(others) > 4:
            lines.append(n_of(len(others) - 4, "and {n} more", "and {n} more"))
        self.query_one("#others", Static).update(Content("\n".join(lines)))
        self.query_one("#others").display = bool(lines)
        self.query_one("#title", Static).update(Content(self._title()))

    def _look(self) -> None:
        if self.closed or not self.query(Sheet):
            return
        sheet = self.query_one(Sheet)
        if self._whole(sheet) and sheet.scroll_y >= sheet.max_scroll_y - 0.5:
            self._seen = True
        self._hint()

    def _whole(self, sheet: Sheet) -> bool:
        """Whether all rows have been laid out and nothing of the sheet's own area is cut off by the window or screen."""
        try:
            place = self.find_widget(sheet)
        except NoWidget:
            return False
        laid_out = sheet.size.height > 0 and sheet.virtual_size.height >= len(self.question.rows)
        # Where the screen has no room for the answers, a key is no answer to what stands there.
        laid_out = laid_out and self._answers_shown()
        return laid_out and place.visible_region.height == place.region.height

    def _answers_shown(self) -> bool:
        try:
            return self.find_widget(self.query_one("#answers")).visible_region.height > 0
        except NoWidget:
            return False

    def _locked(self) -> bool:
        return self._clock() - self._opened < self.LOCKED_S

    def _hint(self, told: str = "") -> None:
        if self.closed or not self.query("#hint"):
            return
        ready = self._seen and not self._locked()
        for name in ("yes", "session", "always"):
            self.query(f"#{name}").set_class(not ready, "-off")
        if not told and not self._seen:
            told = t("There is more to read: ↓, PgDn or End. A yes counts when you have seen the end.")
        self.query_one("#hint", Static).update(Content(told))
        self.call_after_refresh(lambda: fit(self))

    def _go(self, step: Step) -> None:
        self._step = step
        self.query_one("#why").display = step == "why"
        self.query_one("#rule").display = step == "rule"
        self.query_one("#call").display = step == "edit"
        self.query_one("#answers").display = step == "choose"
        # What is edited is the effect itself, and on a small screen there is no room for both.
        self.query_one("#effect").display = step != "edit"
        rule, edit = t("Enter keeps this rule and says yes; Esc goes back"), t("Ctrl+S: judge this call instead; Esc goes back")
        self._hint({"rule": rule, "edit": edit}.get(step, ""))
        self.query_one({"why": "#why", "rule": "#rule", "edit": "#call", "choose": "#no"}[step]).focus()

    # ------------------------------------------------------------ keys

    def on_paste(self, event: Paste) -> None:
        if self._step == "choose":
            event.stop()

    def on_click(self, event: Click) -> None:
        if self._step == "choose" and isinstance(event.widget, Choice) and not self._locked():
            key = {"no": "n", "yes": "y", "session": "s", "always": "a", "edit": "e"}[event.widget.id or "no"]
            self._act(key)

    def on_key(self, event: Key) -> None:
        now, before = self._clock(), self._last_key
        self._last_key, self._keys = now, self._keys + 1
        if self._step != "choose":
            if event.key == "escape":
                event.stop()
                self._go("choose")
            elif event.key == "ctrl+s" and self._step == "edit":
                event.stop()
                self._edited()
            return
        event.stop()
        if event.key in ("tab", "right", "left", "shift+tab"):
            event.prevent_default()
            self.focus_next(Choice) if event.key in ("tab", "right") else self.focus_previous(Choice)
        elif self._scrolled(event.key) or self._locked():
            return
        elif event.key in ("y", "s", "a"):
            if now - before >= self.ALONE_S:
                pressed = self._keys
                self.set_timer(self.ALONE_S, lambda: self._alone(event.key, pressed))
        elif event.key == "enter":
            focused = self.focused.id if self.focused is not None else "no"
            self._act("n!") if focused == "no" else self._hint(t("Enter is no answer here: press the key in the label"))
        else:
            self._act({"escape": "n!", "n": "n", "e": "e"}.get(event.key, ""))

    def _alone(self, key: str, pressed: int) -> None:
        """The yes of a moment ago, if no other key came since."""
        if self._keys == pressed and self._step == "choose":
            self._act(key)

    def _scrolled(self, key: str) -> bool:
        sheet = self.query_one(Sheet)
        moves: dict[str, Callable[..., None]] = {
            "up": sheet.scroll_up,
            "down": sheet.scroll_down,
            "pageup": sheet.scroll_page_up,
            "pagedown": sheet.scroll_page_down,
            "space": sheet.scroll_page_down,
            "home": sheet.scroll_home,
            "end": sheet.scroll_end,
        }
        if key in moves:
            moves[key](animate=False)
        return key in moves

    def _act(self, key: str) -> None:
        keeps = self.question.decision.remember
        match key:
            case "n!":
                self.close(Answer("deny"))
            case "n":
                self._go("why")
            case "e":
                self.query_one("#call", TextArea).text = answering.editable(self.question.call)
                self._go("edit")
            case "y" | "s" | "a" if not self._seen:
                self._hint()
            case "y":
                self.close(Answer("allow"))
            case "s" if keeps:
                self.close(Answer("allow", "session"))
            case "a" if keeps:
                self.query_one("#rule", Input).value = keeps
                self._go("rule")
            case "s" | "a":
                self._hint(t("This cannot be remembered: it is asked about each time."))
            case _:
                pass

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._step == "why":
            said = event.value.strip()
            self.close(Answer("deny", note=f"the user said: {said}" if said else ""))
        elif self._step == "rule":
            rule = event.value.strip()
            wrong = answering.unkeepable(rule)
            if wrong:
                self._hint(wrong)
            else:
                self.close(Answer("allow", "always", rule="" if rule == self.question.decision.remember else rule))

    def _edited(self) -> None:
        made = answering.read_back(self.question.call, self.query_one("#call", TextArea).text)
        if isinstance(made, str):
            self._hint(made)
        else:
            self.close(Answer("allow", edited_args=made))
