"""What was changed here, step by step: a list of the steps, and one step with the text of each change."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ..agent import shown
from ..errors import LocalAgentError
from ..events import ChangesCommitted, TurnStarted
from ..store import stepfiles
from ..store.restore import restore
from ..store.stepfiles import StepFile
from ..store.transcript import Transcript
from . import card, effect, wording
from .windows import Modal, Sheet, fit
from .words import t

if TYPE_CHECKING:
    from ..store.journal import Journal, Step, Undone

_STEPS = 200
_SESSIONS = 300
_DIFF_LINES = 5_000
_FILES = 2_000
MARKS = {"created": "+", "changed": "~", "deleted": "-", "moved": "→", "folder": "/", "permissions": "="}
_TONES = {"+": "$text-success", "-": "$text-error"}


class Deeds:
    """What the windows can do; each returns the sentence to show, and whether it went well."""

    def __init__(self, journal: Journal, folder: str, may: Callable[[], str]) -> None:
        """`may` gives the reason why nothing may be changed now, "" for none."""
        self.journal = journal
        self.folder = folder
        self._may = may

    def steps(self) -> list[Step]:
        """The newest steps that changed something in the folder. Reads the journal, so it belongs in a thread."""
        return [step for step in self.journal.steps(_STEPS) if step.touches(self.folder)]

    def goals(self, steps: Sequence[Step]) -> dict[tuple[str, str], str]:
        """(session, call) -> the request it was made for. Reads transcripts, so it belongs in a thread."""
        wanted: dict[str, set[str]] = {}
        for step in steps:
            if step.session and step.call:
                wanted.setdefault(step.session, set()).add(step.call)
        found: dict[tuple[str, str], str] = {}
        for session, calls in list(wanted.items())[:_SESSIONS]:
            asked = ""
            for event in Transcript(session).read():
                if isinstance(event, TurnStarted):
                    asked = event.message.text
                elif isinstance(event, ChangesCommitted) and event.call_id in calls:
                    found[session, event.call_id] = " ".join(asked.split())
                    calls.discard(event.call_id)
                    if not calls:
                        break
        return found

    async def turn(self, step: Step, again: bool) -> tuple[str, bool]:
        """Undo the step, or do it again."""
        if step.state == "undone" and not again:
            return t("Step {step} is undone already; r does it again.", step=step.number), False
        if step.state == "done" and again:
            return t("Step {step} is not undone; u undoes it.", step=step.number), False
        act = self.journal.redo if again else self.journal.undo
        return await self._do(lambda: _told(act(step.number), self.folder))

    async def put_back(self, step: Step, file: StepFile, over: bool) -> tuple[str, bool]:
        """The one file as it was before the step; with `over` also where it was changed since."""
        name = shown.relative(file.path, self.folder)

        def work() -> tuple[str, bool]:
            if over:
                made = restore(self.journal, file.path, step.number)
                told = t("{name} is as it was before step {step}; that is step {made}, which can be undone.", name=name,
                         step=step.number, made=made.number)  # fmt: skip
                return told, True
            return _told(self.journal.undo(step.number, file=file.path), self.folder)

        return await self._do(work)

    async def _do(self, work: Callable[[], tuple[str, bool]]) -> tuple[str, bool]:
        if reason := self._may():
            return reason, False
        try:
            return await asyncio.to_thread(work)
        except LocalAgentError as error:
            return shown.visible(str(error), lines=False), False


def _told(done: Undone, folder: str) -> tuple[str, bool]:
    step = done.step
    if done.conflicts:
        near = (sentence.replace(folder.rstrip("/") + "/", "") for sentence in done.conflicts)
        return "; ".join(shown.visible(sentence, lines=False) for sentence in near), False
    if not done.restored:
        return t("Nothing of step {step} could be brought back.", step=step.number), False
    names = ", ".join(shown.relative(path, folder) for path in done.restored[:3])
    more = t(" and {count} more", count=len(done.restored) - 3) if len(done.restored) > 3 else ""
    return t("Step {step}: {names} put back.", step=step.number, names=names + more), True


class Steps(Modal):
    """The steps, newest first. Enter opens one, u undoes it, r does it again."""

    def __init__(self, deeds: Deeds, tell: Callable[[str, str], None]) -> None:
        super().__init__()
        self._deeds = deeds
        self._tell = tell
        self._steps: list[Step] = []
        self._goals: dict[tuple[str, str], str] = {}
        self._busy = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(t("What was changed here")), classes="title", markup=False)
            yield OptionList(id="first", markup=False)
            yield Static("", id="said", classes="about", markup=False)
            keys = t("Enter shows it · u undoes it · r does it again · Esc closes")
            yield Static(Content(keys), classes="about", markup=False)

    async def on_mount(self) -> None:
        self.query_one("#said").display = False
        await self._fill()
        self._goals = await asyncio.to_thread(self._deeds.goals, self._steps)
        self._list()

    async def _fill(self) -> None:
        try:
            found = await asyncio.to_thread(self._deeds.steps)
        except LocalAgentError as error:
            self._say(shown.visible(str(error), lines=False), False)
            return
        # The cursor stays on its step, wherever that is in the list now.
        here = self._here() if self.is_attached else None
        self._steps = found
        self._list(next((at for at, step in enumerate(found) if here and step.number == here.number), 0))

    def _list(self, at: int | None = None) -> None:
        if not self.is_attached:
            return
        options = self.query_one(OptionList)
        at = options.highlighted or 0 if at is None else at
        options.clear_options()
        options.add_options([Option(step_line(step, self._goal(step)), str(step.number)) for step in self._steps])
        if self._steps:
            options.highlighted = min(at, len(self._steps) - 1)

    def _goal(self, step: Step) -> str:
        return self._goals.get((step.session, step.call), "")

    def _say(self, text: str, well: bool) -> None:
        line = self.query_one("#said", Static)
        line.display = True
        line.update(Content.styled(text, "$text-success" if well else "$text-warning"))

    def _here(self) -> Step | None:
        at = self.query_one(OptionList).highlighted
        return self._steps[at] if at is not None and at < len(self._steps) else None

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if (step := self._here()) is not None:
            self.app.push_screen(OneStep(self._deeds, step, self._goal(step), self._tell), lambda _: self.run_worker(self._fill()))

    async def on_key(self, event: Key) -> None:
        if event.key in ("u", "r") and not self._busy and (step := self._here()) is not None:
            event.stop()
            self._busy = True
            text, well = await self._deeds.turn(step, again=event.key == "r")
            self._busy = False
            if well:
                self._tell(text, "info")
            if self.is_attached:
                self._say(text, well)
                await self._fill()


def step_line(step: Step, goal: str) -> Content:
    """Two lines: number, time, what; the request it was made for, or the call."""
    state = {"done": "", "undone": t("undone")}.get(step.state, step.state)
    what = effect.summary(step.changes) or step.name
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(step.at))
    names = ", ".join(dict.fromkeys(os.path.basename(change.dest or change.path) for change in step.changes[:4]))
    more = f" +{len(step.changes) - 4}" if len(step.changes) > 4 else ""
    why = goal or (step.name if step.call == "restore" else t("by {call}", call=step.name))
    return Content.assemble(
        (f"{step.number:>4}  ", "bold"),
        (f"{when}  ", "$text-muted"),
        (what, "strike" if step.state == "undone" else ""),
        (f": {wording.one_line(names, 60)}{more}", "$text-muted"),
        (f"  {state}" if state else "", "$text-warning"),
        (f"\n      {wording.one_line(why, 100)}", "$text-muted"),
    )


class OneStep(Modal):
    """Its files, and what was changed in the one under the cursor."""

    def __init__(self, deeds: Deeds, step: Step, goal: str, tell: Callable[[str, str], None]) -> None:
        super().__init__()
        self._deeds = deeds
        self._step = step
        self._goal = goal
        self._tell = tell
        self._files: list[StepFile] = []
        self._more = 0
        self._over: str = ""
        self._busy = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static("", id="what", classes="title", markup=False)
            yield OptionList(id="first", classes="few", markup=False)
            yield Sheet([], "diff")
            yield Static("", id="said", classes="about", markup=False)
            yield Static("", id="keys", classes="about", markup=False)

    async def on_mount(self) -> None:
        self.query_one("#said").display = False
        self.query_one(Sheet).can_focus = False
        await self._load()

    def on_resize(self) -> None:
        self.call_after_refresh(lambda: fit(self))

    async def _load(self) -> None:
        try:
            self._step = await asyncio.to_thread(self._deeds.journal.step, self._step.number)
            found = await asyncio.to_thread(stepfiles.files, self._deeds.journal.folder, self._step.number)
            self._files, self._more = found[:_FILES], max(0, len(found) - _FILES)
        except LocalAgentError as error:
            self._files = []
            self._say(shown.visible(str(error), lines=False), False)
        if not self.is_attached:
            return
        step, undone = self._step, self._step.state == "undone"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(step.at))
        state = t(" (undone)") if undone else ""
        why = wording.one_line(self._goal or step.name, 200)
        why += t(" · {count} more files are not listed", count=self._more) if self._more else ""
        self.query_one("#what", Static).update(
            Content.assemble((t("Step {step} · {when}{state}", step=step.number, when=when, state=state), ""), (f"\n{why}", "$text-muted"))
        )
        turn = t("r does it again") if undone else t("u undoes the step")
        file = [] if undone else [t("f puts this file back")]
        keys = [*file, turn, t("PgUp PgDn scroll"), t("Esc closes")]
        self.query_one("#keys", Static).update(Content(" · ".join(keys)))
        options = self.query_one(OptionList)
        at = options.highlighted or 0
        options.clear_options()
        options.add_options([file_line(one, self._deeds.folder) for one in self._files])
        if self._files:
            options.highlighted = min(at, len(self._files) - 1)
        self.call_after_refresh(lambda: fit(self))

    def _here(self) -> StepFile | None:
        at = self.query_one(OptionList).highlighted
        return self._files[at] if at is not None and at < len(self._files) else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._over = ""
        self.run_worker(self._draw(), group="diff", exclusive=True)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()

    async def _draw(self) -> None:
        file = self._here()
        if file is None:
            return
        lines = await asyncio.to_thread(diff_lines, file, self._deeds.folder)
        if self.is_attached:
            await self.query_one(Sheet).refill(lines)
            self.call_after_refresh(lambda: fit(self))

    def _say(self, text: str, well: bool) -> None:
        line = self.query_one("#said", Static)
        line.display = True
        line.update(Content.styled(text, "$text-success" if well else "$text-warning"))
        self.call_after_refresh(lambda: fit(self))

    async def on_key(self, event: Key) -> None:
        if event.key in ("pageup", "pagedown", "space"):
            event.stop()
            event.prevent_default()
            sheet = self.query_one(Sheet)
            sheet.scroll_page_up(animate=False) if event.key == "pageup" else sheet.scroll_page_down(animate=False)
        elif event.key in ("u", "r", "f", "o") and not self._busy:
            event.stop()
            self._busy = True
            await self._act(event.key)
            self._busy = False

    async def _act(self, key: str) -> None:
        file = self._here()
        if key in ("u", "r"):
            text, well = await self._deeds.turn(self._step, again=key == "r")
        elif file is None or self._step.state != "done" or (key == "o" and self._over != file.path):
            return
        else:
            text, well = await self._deeds.put_back(self._step, file, over=key == "o")
            self._over = file.path if not well and key == "f" and file.kind in ("created", "changed", "deleted") else ""
        if well:
            self._tell(text, "info")
        elif self._over:
            text += "\n" + t("o puts it back all the same; what is there now is kept, and undo brings it back.")
        if self.is_attached:
            over = self._over
            self._say(text, well)
            if well:
                await self._load()
            self._over = over


def file_line(file: StepFile, folder: str) -> Content:
    mark = MARKS[file.kind]
    dest = f" → {shown.relative(file.dest, folder)}" if file.dest else ""
    later = t("  changed again by step {step}", step=file.later[0]) if file.later else ""
    return Content.assemble(
        (f"{mark} ", _TONES.get(mark, "$text-accent")), shown.relative(file.path, folder) + dest, (later, "$text-muted")
    )


def diff_lines(file: StepFile, folder: str) -> list[Content]:
    """The change as coloured lines. Reads both texts, so it belongs in a thread."""
    if file.lost:
        return [Content.styled(t("What it held is not kept any more."), "$text-muted")]
    if not file.text:
        told = {"moved": t("Moved; its content is the same."), "folder": t("A folder was made.")}
        return [Content.styled(told.get(file.kind, t("Its permissions were changed.")), "$text-muted")]
    diff = shown.file_diff(file.path, file.before, file.after, folder, _DIFF_LINES)
    rows = list(effect.diff_rows(diff))
    if len(rows) < 2:
        return [card.drawn(rows), Content.styled(t("(the text is the same)"), "$text-muted")]
    return [card.drawn([row]) for row in rows[1:]]
