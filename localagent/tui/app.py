"""The app: keys, windows and the painter; the work is done by the driver and the widgets."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Event, Key, Resize
from textual.widgets import Static

from ..store import prompts
from ..values import Answer, Change, Decision, ToolCall
from . import commands, effect, leaving, listing, look, status, wording
from .approval import Approval, Question
from .doing import Doing
from .driver import Driver, House
from .machine import Machine
from .prompt import Prompt
from .transcript import Transcript
from .trust import Trusting
from .watching import Watching
from .windows import Picker, Row
from .words import t

_FRAME_S = 1 / 30
_AHEAD_S = 0.4
_AGAIN_S = 2.0
_NARROW = 70
_PATHS_OLD_S = 10.0
_EMPTY = (
    "Say what should be done: the model on this machine does it with tools, in a sandbox, and asks before anything "
    "that matters.\nEverything it changes can be taken back with /undo. Shift+Tab changes how much it asks; F1 shows "
    "every key."
)


class LocalAgentApp(App[None]):
    """One conversation at a time in one folder."""

    CSS = look.STYLE
    TITLE = "localagent"
    # Ours is a list of the same kind as every other; it needs no second copy of /help.
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (_NARROW, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", show=False),
        Binding("shift+tab", "mode", "Mode", show=False, priority=True),
        Binding("ctrl+c", "copy_stop_leave", "Stop", show=False, priority=True),
        Binding("ctrl+d", "leave_or_delete", "Leave", show=False, priority=True),
        Binding("ctrl+o", "unfold", "Unfold", show=False),
        Binding("ctrl+t", "look", "Look", show=False),
        Binding("ctrl+p", "commands", "Commands", show=False),
        Binding("f1", "help", "Help", show=False),
        Binding("f2", "monitor", "Monitor", show=False),
    ]

    def __init__(self, house: House, resume: str | None = None, model: str | None = None) -> None:
        super().__init__()
        self.house = house
        self._dirty = asyncio.Event()
        self.machine = Machine(self, resume)
        self.driver = Driver(house, self._approve, self._changed, self.machine.first.no_model)
        self.doing = Doing(self)
        self.watching = Watching(self)
        self.trusting = Trusting(self)
        self.questions: list[Question] = []
        self._first = (resume, model)
        self.painting = False
        self._asked_to_leave = -_AGAIN_S
        self._paths_at = -_PATHS_OLD_S
        self._ahead: Any = None
        self.motion = self.animation_level != "none" and not os.environ.get("LOCALAGENT_NO_MOTION")
        if not self.motion:
            self.animation_level = "none"

    # ------------------------------------------------------------ layout

    def compose(self) -> ComposeResult:
        yield Transcript(str(self.house.folder))
        prompt = Prompt(prompts.load())
        with Vertical(id="below"):
            yield Static("", id="activity", markup=False)
            yield Static("", id="queue", markup=False)
            yield prompt.choices
            yield prompt
            yield Static("", id="status", markup=False)

    def on_mount(self) -> None:
        self.register_theme(look.CONTRAST)
        self.query_one(Transcript).mount(Static(Content(_EMPTY), id="empty", markup=False))
        self.prompt.focus()
        self.run_worker(self._paint(), exit_on_error=True)
        self._tick = self.set_interval(0.1 if self.motion else 0.5, self._draw_lines, pause=True)
        self._draw_lines()
        # The first frame before the work: a session takes as long again.
        self.call_after_refresh(self.driver.open, *self._first)
        self.call_after_refresh(self.watching.begin)
        self.call_after_refresh(self.trusting.begin)
        if not self.is_headless:
            leaving.when_told(lambda: self.run_worker(self.leave()))

    def on_unmount(self) -> None:
        self.watching.stop()
        self.trusting.stop()

    def on_resize(self, event: Resize) -> None:
        self.machine.resized(event.size.width)
        self.call_after_refresh(self._draw_lines)

    @property
    def prompt(self) -> Prompt:
        return self.screen_stack[0].query_one(Prompt)

    @property
    def transcript(self) -> Transcript:
        return self.screen_stack[0].query_one(Transcript)

    # ------------------------------------------------------------ painting

    def _changed(self) -> None:
        self._dirty.set()

    async def _paint(self) -> None:
        """Draw the newest view, at most thirty times a second: tokens come faster than eyes are."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            self.painting = True
            view = self.driver.view
            if view.items or view.past:
                await self.screen_stack[0].query("#empty").remove()
            await self.transcript.show(view)
            self._draw_lines()
            self.painting = False
            await asyncio.sleep(_FRAME_S)

    def _draw_lines(self) -> None:
        if not self.screen_stack:
            return
        view, base = self.driver.view, self.screen_stack[0]
        width = max(20, (base.query_one("#below").size.width or self.size.width) - 4)
        busy = view.busy
        self._tick.resume() if busy or self.machine.download.going else self._tick.pause()
        self.machine.draw(base, width)
        activity = base.query_one("#activity", Static)
        activity.display = busy
        if busy:
            activity.update(Content(status.activity(view, time.monotonic(), width, self.motion)))
        queue = base.query_one("#queue", Static)
        queue.display = bool(self.driver.queue)
        queue.update(Content("\n".join(f"next: {wording.one_line(text, width - 6)}" for text in self.driver.queue[:3])))
        base.query_one("#status", Static).update(status.status(view, self._place(), width))

    def _place(self) -> status.Place:
        ready = self.driver.session is not None
        # To probe the sandbox takes longer than a frame; the session has done it.
        boundary = self.house.boundary().name if ready else "…"
        sandbox = "" if boundary == "none" else boundary
        waits = "" if ready or not self.machine.lacking else t("no model yet")
        return status.Place(self.driver.mode, sandbox, str(self.house.folder), self.house.context, ready, waits)

    # ------------------------------------------------------------ asking

    async def _approve(self, call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        """The session's Approver: the person at this screen."""
        home = os.path.realpath(os.path.expanduser("~"))
        rows = await asyncio.to_thread(effect.rows, call, changes, str(self.house.folder), home)
        question = Question(call, decision, changes, rows)
        self.questions.append(question)
        try:
            self._ask()
            return await question.answer
        finally:
            self.questions.remove(question)
            self._close(question)

    def _ask(self) -> None:
        """Show the oldest open question, unless one is shown."""
        shown_now = next((screen for screen in self.screen_stack if isinstance(screen, Approval)), None)
        if shown_now is not None:
            shown_now.others_changed()
        elif open_now := [one for one in self.questions if not one.answer.done()]:
            question = open_now[0]
            self.bell()
            self.push_screen(
                Approval(question, lambda: self.questions), lambda answer: self._answered(question, answer)
            )

    def _answered(self, question: Question, answer: Answer | None) -> None:
        if answer is not None and not question.answer.done():
            question.answer.set_result(answer)
        self.call_later(self._ask)

    def _close(self, question: Question) -> None:
        """The question is settled, by its answer or because the run was stopped: its window goes."""
        for screen in list(self.screen_stack):
            if isinstance(screen, Approval) and screen.question is question:
                while self.screen_stack[-1] is not screen:
                    self.pop_screen()
                screen.close()
            elif isinstance(screen, Approval):
                screen.others_changed()

    # ------------------------------------------------------------ the prompt

    async def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        text = event.text.strip()
        prompts.add(event.text)
        self.transcript.anchor()
        command = commands.parse(text)
        if command is not None:
            await self.doing.command(*command)
        elif text.startswith("!"):
            self.doing.own(text[1:].strip())
        else:
            self.driver.submit(text)
            self.machine.submitted()

    def on_prompt_drafted(self, event: Prompt.Drafted) -> None:
        """Read ahead once the typing pauses."""
        if self._ahead is not None:
            self._ahead.stop()
        if not event.text.startswith(("/", "!")):
            self._ahead = self.set_timer(_AHEAD_S, lambda: self.driver.read_ahead(event.text))

    async def on_prompt_scrolled(self, event: Prompt.Scrolled) -> None:
        await self.transcript.scroll_by(event.key)

    def on_prompt_paths_wanted(self) -> None:
        if self.watching.fresh_names() or time.monotonic() - self._paths_at > _PATHS_OLD_S:
            self._paths_at = time.monotonic()
            self.run_worker(self._read_paths(), group="paths", exclusive=True)

    async def on_event(self, event: Event) -> None:
        # A key that was still on its way up when the screens were taken down has nowhere to go.
        if not isinstance(event, Key) or self.screen_stack:
            await super().on_event(event)

    async def _read_paths(self) -> None:
        self.prompt.paths_known(await asyncio.to_thread(listing.known, str(self.house.folder)))

    def on_key(self, event: Key) -> None:
        """Whoever types while a card has the focus means the prompt."""
        if event.is_printable and event.character and len(self.screen_stack) == 1 and not self.prompt.has_focus:
            event.stop()
            self.prompt.focus()
            self.prompt.insert(event.character)

    # ------------------------------------------------------------ keys

    def action_stop(self) -> None:
        """Esc: what runs is stopped, and what was queued comes back into the prompt."""
        if self.driver.interrupt():
            queued = self.driver.take_queue()
            if queued:
                written = self.prompt.whole()
                self.prompt.set_text(f"{queued}\n{written}" if written else queued)
        elif not self.machine.escape():
            self.prompt.focus()

    def action_mode(self) -> None:
        self.driver.next_mode()

    def action_copy_stop_leave(self) -> None:
        selected = self.screen.get_selected_text() or (self.prompt.selected_text if self.prompt.has_focus else "")
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            self.notify("Copied.", timeout=2, markup=False)
        elif self.driver.interrupt():
            self.action_stop()
        elif self.prompt.text and len(self.screen_stack) == 1:
            self.prompt.clear_all()
        elif time.monotonic() - self._asked_to_leave < _AGAIN_S:
            self.run_worker(self.leave())
        else:
            self._asked_to_leave = time.monotonic()
            self.notify("Ctrl+C again to leave.", timeout=_AGAIN_S, markup=False)

    def action_leave_or_delete(self) -> None:
        if len(self.screen_stack) > 1:
            return
        if self.prompt.text:
            self.prompt.action_delete_right()
        elif self.driver.running:
            self.notify("Esc stops the agent; then Ctrl+D leaves.", timeout=3, markup=False)
        else:
            self.run_worker(self.leave())

    async def action_unfold(self) -> None:
        await self.transcript.unfold()

    def action_look(self) -> None:
        self.doing.next_theme()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Windows are not opened over windows."""
        return len(self.screen_stack) == 1 if action in ("help", "commands", "unfold", "monitor") else True

    def action_help(self) -> None:
        self.doing.help()

    async def action_monitor(self) -> None:
        await self.machine.toggle_monitor()

    def action_commands(self) -> None:
        rows = [Row(c.name, f"/{c.name}", c.does) for c in commands.COMMANDS]
        self.push_screen(Picker("Commands", rows), lambda name: self.doing.soon(name) if name else None)

    async def action_quit(self) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Stop what runs, wait until it has stopped, and go."""
        await asyncio.gather(self.driver.close(), self.machine.close())
        self.exit()
