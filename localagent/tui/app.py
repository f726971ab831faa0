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
from textual.geometry import Size
from textual.widgets import Static

from ..store import prompts
from . import commands, leaving, listing, look, status, themes, waiting
from .asking import Asking
from .doing import Doing
from .driver import Driver
from .house import House
from .machine import Machine
from .pinned import Plan
from .prompt import Prompt
from .skills import Skills
from .transcript import Transcript
from .trust import Trusting
from .view import requests
from .watching import Watching
from .windows import Picker, Row
from .words import mark, t, translated

_FRAME_S = 1 / 30
_AHEAD_S = 0.4
_AGAIN_S = 2.0
_LEAST = Size(20, 8)
_PATHS_OLD_S = 10.0
_EMPTY = mark(
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
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (look.NARROW, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", show=False),
        Binding("shift+tab", "mode", "Mode", show=False, priority=True),
        Binding("ctrl+c", "copy_stop_leave", "Stop", show=False, priority=True),
        Binding("ctrl+d", "leave_or_delete", "Leave", show=False, priority=True),
        Binding("ctrl+o", "unfold", "Unfold", show=False),
        Binding("ctrl+t", "look", "Look", show=False),
        Binding("ctrl+p", "commands", "Commands", show=False),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, priority=True),
        Binding("f1", "help", "Help", show=False),
        Binding("f2", "monitor", "Monitor", show=False),
    ]

    def __init__(
        self, house: House, resume: str | None = None, model: str | None = None, wishes: look.Wishes | None = None
    ) -> None:
        # An empty one asks for nothing, which Textual reads otherwise.
        no_colour = os.environ.pop("NO_COLOR", "")
        os.environ |= {"NO_COLOR": no_colour} if no_colour else {}
        # Textual writes greys then, unless it leaves the colours to the terminal; it also takes the variable away.
        super().__init__(ansi_color=True if no_colour else None)
        os.environ |= {"NO_COLOR": no_colour} if no_colour else {}
        self.house = house
        self.mistake: Exception | None = None
        self._wishes = wishes or look.Wishes()
        self.own_themes: tuple[str, ...] = ()
        self._dirty = asyncio.Event()
        self.machine = Machine(self, resume)
        self.asking = Asking(self)
        self.driver = Driver(house, self.asking.approve, self._changed, self.machine.first.no_model)
        self.doing = Doing(self)
        self.watching = Watching(self)
        self.skills = Skills(self)
        self.trusting = Trusting(self)
        self._first = (resume, model)
        self.painting = False
        self._asked_to_leave = self._escaped = -_AGAIN_S
        self._paths_at = -_PATHS_OLD_S
        self._ahead: Any = None
        self.motion = self._wishes.motion and self.animation_level != "none" and not os.environ.get("LOCALAGENT_NO_MOTION")
        if not self.motion:
            self.animation_level = "none"

    def get_driver_class(self) -> type[Any]:
        found = super().get_driver_class()
        if found.__name__ != "LinuxDriver":
            return found
        from .tty import Terminal

        return Terminal

    # ------------------------------------------------------------ layout

    def compose(self) -> ComposeResult:
        yield Transcript(str(self.house.folder))
        prompt = Prompt(prompts.load())
        with Vertical(id="below"):
            yield Plan()
            yield Static("", id="activity", markup=False)
            yield Static("", id="queue", markup=False)
            yield prompt.choices
            yield prompt
            yield Static("", id="status", markup=False)

    def on_mount(self) -> None:
        self._dress()
        self.query_one(Transcript).mount(Static(Content(translated(_EMPTY)), id="empty", markup=False))
        self.prompt.focus()
        self.prompt.take_back, self.prompt.pasted = self._take_back, self.doing.showing.pasted
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

    def _dress(self) -> None:
        """The looks there are, the person's own among them, and the one they want."""
        self.register_theme(look.CONTRAST)
        own, told = themes.load(self.available_themes)
        for theme in own:
            self.register_theme(theme)
        self.own_themes = tuple(theme.name for theme in own)
        wanted = self._wishes.theme
        if wanted in self.available_themes:
            self.theme = wanted
        elif wanted is not None:
            told.append(t("There is no look {name}; /theme lists them.", name=wanted))
        for sentence in told:
            self.driver.tell(sentence, "warning")

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
            activity.update(Content(status.activity(view, time.monotonic(), width, self.motion, bool(base.query_one(Prompt).text))))
        base.query_one(Plan).show(view.plan if busy else (), width, self.size.height)
        base.query_one(Prompt).working(busy)
        queue = base.query_one("#queue", Static)
        told = waiting.lines(self.driver.meanwhile, self.driver.queue, width, self.driver.attached)
        queue.display = bool(told)
        queue.update(Content(told))
        base.query_one("#status", Static).update(status.status(view, self._place(), width))

    def _place(self) -> status.Place:
        ready = self.driver.session is not None
        # To probe the sandbox takes longer than a frame; the session has done it.
        boundary = self.house.boundary().name if ready else "…"
        sandbox = "" if boundary == "none" else boundary
        waits = "" if ready or not self.machine.lacking else t("no model yet")
        if self.driver.stranded and not waits:
            waits = t("not started: /new tries again")
        return status.Place(self.driver.mode, sandbox, str(self.house.folder), self.house.context, ready, waits)

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
        elif event.later:
            self.driver.submit(text)
        else:
            self.driver.steer(text)
            self.machine.submitted()

    def _take_back(self) -> str:
        """What the model has not heard yet, for the empty prompt."""
        return self.driver.take_queue() if self.driver.queue or self.driver.meanwhile else ""

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
        if isinstance(event, Resize) and (event.size.width < _LEAST.width or event.size.height < _LEAST.height):
            # Textual cannot lay out what has no cell; a window on its way to another size passes through such.
            size = Size(max(event.size.width, _LEAST.width), max(event.size.height, _LEAST.height))
            event = Resize(size, size)
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
        """Esc: what runs is stopped, and what was queued comes back into the prompt; twice where nothing runs: go back."""
        if self.driver.interrupt():
            queued = self.driver.take_queue()
            if queued:
                written = self.prompt.whole()
                self.prompt.set_text(f"{queued}\n{written}" if written else queued)
        elif self.machine.escape() or len(self.screen_stack) > 1:
            return
        elif time.monotonic() - self._escaped < _AGAIN_S:
            self._escaped = -_AGAIN_S
            self.doing.soon("rewind")
        else:
            self._escaped = time.monotonic()
            self.prompt.focus()
            if requests(self.driver.view.all):
                self.notify(t("Esc again: go back to an earlier message."), timeout=_AGAIN_S, markup=False)

    def action_mode(self) -> None:
        self.driver.next_mode()

    def action_copy_stop_leave(self) -> None:
        selected = self.screen.get_selected_text() or (self.prompt.selected_text if self.prompt.has_focus else "")
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            self.notify(t("Copied."), timeout=2, markup=False)
        elif self.driver.interrupt():
            self.action_stop()
        elif self.prompt.text and len(self.screen_stack) == 1:
            # Up brings it back.
            self.prompt.remember(self.prompt.whole())
            self.prompt.clear_all()
        elif time.monotonic() - self._asked_to_leave < _AGAIN_S:
            self.run_worker(self.leave())
        else:
            self._asked_to_leave = time.monotonic()
            self.notify(t("Ctrl+C again to leave."), timeout=_AGAIN_S, markup=False)

    def action_leave_or_delete(self) -> None:
        if len(self.screen_stack) > 1:
            return
        if self.prompt.text:
            self.prompt.action_delete_right()
        elif self.driver.running:
            self.notify(t("Esc stops the agent; then Ctrl+D leaves."), timeout=3, markup=False)
        else:
            self.run_worker(self.leave())

    async def action_unfold(self) -> None:
        await self.transcript.unfold()

    def action_look(self) -> None:
        self.doing.next_theme()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Windows are not opened over windows."""
        return len(self.screen_stack) == 1 if action in ("help", "commands", "unfold", "monitor", "mode") else True

    def action_help(self) -> None:
        self.doing.help()

    async def action_monitor(self) -> None:
        await self.machine.toggle_monitor()

    def action_commands(self) -> None:
        rows = [Row(c.name, f"/{c.name}", translated(c.does)) for c in commands.COMMANDS]
        self.push_screen(Picker(t("Commands"), rows), lambda name: self.doing.soon(name) if name else None)

    def failed(self, error: BaseException) -> None:
        """A command made a mistake of ours: the conversation goes on."""
        self.driver.tell(t("A mistake of ours, sorry: {what}", what=f"{type(error).__name__}: {error}"), "error")

    def _fatal_error(self) -> None:
        """A mistake of ours: the screen is given back, and `lasting.run` tells the rest in a few words."""
        self.mistake = self._exception if isinstance(self._exception, Exception) else None
        self._close_messages_no_wait()

    async def action_quit(self) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Stop what runs, wait until it has stopped, and go."""
        await asyncio.gather(self.driver.close(), self.machine.close())
        self.exit()
