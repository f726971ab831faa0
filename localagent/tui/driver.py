"""Drives a session for the screen: one request at a time, the next ones queued, every event into the view.

Nothing here knows Textual. The session writes its transcript before an event comes here, so
whatever happens to the screen, nothing of the conversation is lost.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..agent import shown
from ..errors import LocalAgentError, ModelError
from ..events import ChangesCommitted, Compacted, Notice, Nudged, TurnEnded
from ..sandbox.profile import Limits
from ..store import originals, paths
from ..values import Mode, Part, Text
from .house import House
from .outdated import FilesChanged
from .speeds import Speeds
from .view import MODES, DiffsRead, OwnCommand, Seen, View, reduce, replayed
from .words import t

if TYPE_CHECKING:
    # What a session is made of is loaded beside the first frame, not before it.
    from ..agent.dispatch import Approver
    from ..agent.recipes.play import Play
    from ..agent.session import Session
    from ..engine.base import Engine

_DIFF_LINES = 400
_OWN_LIMITS = Limits(wall_s=0, memory_mb=0, processes=0, file_mb=0, output_kb=0)


class Driver:
    """`changed` is called after every event; `approve` asks the person.

    `no_model` is told where there is no session yet for want of a model.
    """

    def __init__(
        self,
        house: House,
        approve: Approver,
        changed: Callable[[], None],
        no_model: Callable[[LocalAgentError], None] | None = None,
    ) -> None:
        self.house = house
        self.speeds = Speeds()
        self._no_model = no_model
        self.view = View()
        self.queue: list[str] = []
        # Those that go with the next request.
        self.images: list[Part] = []
        self.session: Session | None = None
        self.mode: Mode = house.mode
        self._approve = approve
        self._changed = changed
        self._turn: asyncio.Task[None] | None = None
        self._own: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._ahead: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        # Called once that is found out.
        self.looked: Callable[[], None] = lambda: None
        self._outdated: dict[str, tuple[str, ...]] = {}
        self._others: set[asyncio.Task[Any]] = set()

    # ------------------------------------------------------------ the session

    def open(self, resume: str | None = None, model: str | None = None) -> None:
        """A new session, or a stored one gone on with; its conversation is shown as soon as it is read."""
        if self._opening is not None:
            self._opening.cancel()
        self._opening = self._begin(self._open(resume, model))

    async def _open(self, resume: str | None, model: str | None) -> None:
        before, self.session = self.session, None
        try:
            made = await self.house.session(resume, model, self.mode)
        except LocalAgentError as error:
            self.session = before
            if before is None and self._no_model is not None and isinstance(error, ModelError):
                self._no_model(error)
            else:
                self._see(Notice(str(error), "error"))
            return
        shown_now = await asyncio.to_thread(replayed, made.stored) if resume else View()
        made.stored = ()
        self.session, self.mode = made, made.mode
        if before is not None:
            self._begin(before.setting.hooks.close(before.mode, "clear"))
            # Nobody can reach what it has started any more.
            self._begin(before.setting.registry.aclose())
        # What was said before the session was there (a notice, a command of the person's own) stays, at the end.
        kept = () if before is not None else self.view.items
        self.view = replace(
            shown_now, talk=self.view.talk + 1, model=made.setting.engine.model, items=(*shown_now.items, *kept)
        )
        self._outdated = {}
        self._changed()
        self.look()
        self.read_ahead("")
        self._next()

    def switch(self, engine: Engine) -> None:
        """Another model answers from the next request on; the conversation stays as it is."""
        if self.session is not None:
            self.session.setting = replace(self.session.setting, engine=engine)
            self.view = replace(self.view, model=engine.model)
            self.read_ahead("")
            self._changed()

    def set_mode(self, mode: Mode) -> None:
        """Holds from the next call on, in a running turn too."""
        self.mode = mode
        if self.session is not None:
            self.session.mode = mode
        self._changed()

    def next_mode(self) -> Mode:
        """plan, ask, auto, plan …"""
        now = self.mode
        self.set_mode(MODES[(MODES.index(now) + 1) % len(MODES)] if now in MODES else "ask")
        return self.mode

    # ------------------------------------------------------------ requests

    @property
    def running(self) -> bool:
        return self._turn is not None and not self._turn.done()

    @property
    def stranded(self) -> bool:
        """No session, and none that is being opened: it could not be."""
        return self.session is None and self._opening is not None and self._opening.done()

    @property
    def busy(self) -> bool:
        """Whether a request or a command of the person's own runs or waits for its turn, or a session is being opened."""
        own = self._own is not None and not self._own.done()
        opening = self._opening is not None and not self._opening.done()
        return self.running or own or opening or bool(self.queue and self.session is not None)

    def submit(self, text: str) -> None:
        """Sent at once, or as soon as the session is there and what runs has ended."""
        self.queue.append(text)
        self._next()
        self._changed()

    def attach(self, parts: Sequence[Part] | None) -> None:
        """Pictures for the next request; None takes back those that wait."""
        self.images = [*self.images, *parts] if parts is not None else []
        self._changed()

    @property
    def attached(self) -> list[str]:
        """What is said of the pictures that wait."""
        return [part.text.strip("\n[]") for part in self.images if isinstance(part, Text)]

    def play(self, play: Play) -> None:
        """Do a recipe in this conversation, which has nothing to do now; its steps stand in the model's place."""
        if self.session is not None and not self.running:
            if self._ahead is not None:
                self._ahead.cancel()
            self._turn = self._begin(self._played(self.session, play))
            self._changed()

    async def _played(self, session: Session, play: Play) -> None:
        with play.within(session):
            await self._run(session, play.goal)
        self.view = replace(self.view, model=session.setting.engine.model)
        self._changed()

    def steer(self, text: str) -> None:
        """For the request that runs, before the model's next answer; a request of its own where none runs."""
        if self.session is not None and self.running and not self.images and self.session.steer(text):
            self._changed()
        else:
            self.submit(text)

    @property
    def meanwhile(self) -> tuple[str, ...]:
        """What `steer` was given and the model was not, yet."""
        return self.session.meanwhile if self.session is not None else ()

    def interrupt(self) -> bool:
        """Stop the request (or the person's own command) that runs; False where nothing does."""
        stopped = False
        for task in (self._turn, self._own):
            if task is not None and not task.done():
                task.cancel()
                stopped = True
        return stopped

    def take_queue(self) -> str:
        """What the model has not heard yet, to be edited: it is not sent any more."""
        text = "\n".join([*(self.session.withdraw() if self.session is not None else ()), *self.queue])
        self.queue.clear()
        self._changed()
        return text

    def read_ahead(self, draft: str) -> None:
        """Let the engine read the conversation and a text in the making."""
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None
        if self.session is not None and not self.running:
            self._ahead = self._begin(self.session.prepare(draft))

    async def close(self) -> None:
        """Stop everything and wait until it has stopped."""
        self.interrupt()
        self.queue.clear()
        tasks = [task for task in (self._turn, self._own, self._opening, self._ahead, *self._others) if task]
        for task in tasks:
            if task not in (self._turn, self._own):
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.session is not None:
            await self.session.setting.registry.aclose()
            await self.session.close()

    def _next(self) -> None:
        if self.session is not None and not self.running and self.queue:
            if self._ahead is not None:
                self._ahead.cancel()
            self._turn = self._begin(self._run(self.session, self.queue.pop(0)))

    async def _run(self, session: Session, text: str) -> None:
        images, self.images = self.images, []
        try:
            async with aclosing(session.send(text, self._approve, images=images)) as events:
                async for event in events:
                    self._see(event)
                    if isinstance(event, ChangesCommitted):
                        self._begin(self._read_diffs(event.call_id, event.step))
                    if isinstance(event, ChangesCommitted) or (isinstance(event, Nudged) and event.files):
                        self.look()
        except asyncio.CancelledError:
            pass
        except LocalAgentError as error:
            # Before anything was recorded: pictures for a model that cannot see.
            self._see(Notice(str(error), "error"))
        except Exception as error:  # noqa: BLE001 - the conversation goes on; the transcript holds what happened
            if session.ended is None or session.ended.error is None:
                self._see(Notice(t("A mistake of ours, sorry: {what}", what=f"{type(error).__name__}: {error}"), "error"))
        if self.view.busy:
            self._see(session.ended or TurnEnded("cancelled"))
        self._turn = None
        self.look()
        # What came too late for this request is the next one. After a stop that is what was written since.
        if late := session.withdraw():
            self.queue.insert(0, "\n".join(late))
        self._next()
        if not self.running:
            self.read_ahead("")
        self._changed()

    def compact(self) -> None:
        """Shorten the conversation now. Esc stops that, and nothing has changed then."""
        if self.session is not None and not self.running:
            if self._ahead is not None:
                self._ahead.cancel()
            self._turn = self._begin(self._compact(self.session))

    async def _compact(self, session: Session) -> None:
        from . import context

        made = False
        self.view = replace(self.view, phase="starting", began=time.monotonic())
        try:
            async with aclosing(session.compact()) as events:
                async for event in events:
                    made = made or isinstance(event, Compacted)
                    self._see(event)
            if not made:
                self.tell(context.nothing())
        except LocalAgentError as error:
            self.tell(str(error), "error")
        except asyncio.CancelledError:
            pass
        self.view = replace(self.view, phase="idle", reading=None)
        self._turn = None
        self._next()
        if not self.running:
            self.read_ahead("")
        self._changed()

    async def _read_diffs(self, call_id: str, step: int) -> None:
        folder = str(self.house.folder)
        try:
            found = await asyncio.to_thread(step_diffs, step, folder)
        except LocalAgentError:
            return
        self._see(DiffsRead(call_id, tuple(found)))

    # ------------------------------------------------------------ going back

    def rewind(self, to: int, paths: Sequence[str]) -> None:
        """Go on behind the first `to` requests; `paths` were changed since and stay so. Raises UsageError, StoreError."""
        if self.session is not None:
            self._see(self.session.rewind(to, paths))
            self.read_ahead("")

    def took_back(self, step: int, paths: Sequence[str], again: bool) -> None:
        """The model is to know that the person undid a step, or put it back. Raises StoreError."""
        if self.session is not None:
            self.session.took_back(step, paths, again)
    # ------------------------------------------------------------ files that others change

    def look(self) -> None:
        """Find out, beside everything else, which of the files that the model has seen are other ones now."""
        self._look_again = True
        if self._looking is None or self._looking.done():
            self._looking = self._begin(self._look())

    async def _look(self) -> None:
        while self._look_again and (session := self.session) is not None:
            self._look_again = False
            found = await asyncio.to_thread(session.reads.outdated)
            folder = str(self.house.folder)
            named = {call: tuple(shown.relative(p, folder) for p in paths) for call, paths in found.items()}
            if named != self._outdated and session is self.session:
                self._outdated = named
                self._see(FilesChanged(named))
            self.looked()

    # ------------------------------------------------------------ the person's own shell

    def run_own(self, command: str) -> bool:
        """A command in the person's shell, with their environment, in the folder. False where one runs already."""
        if self._own is not None and not self._own.done():
            return False
        self._own = self._begin(self._run_own(command))
        return True

    async def _run_own(self, command: str) -> None:
        from ..sandbox import launch

        shell = os.environ.get("SHELL") or "/bin/sh"
        self._see(OwnCommand(command))
        process, said = None, codecs.getincrementaldecoder("utf-8")("replace")
        try:
            process = await launch.start(
                [shell, "-c", command], profile=None, cwd=self.house.folder, env=os.environ, limits=_OWN_LIMITS
            )
            async with process:
                async for chunk in process:
                    self._see(OwnCommand(command, said.decode(chunk)))
                code = await process.wait()
            self._see(OwnCommand(command, said.decode(b"", True), code, process.seconds))
        except (LocalAgentError, OSError, ValueError) as error:
            self._see(OwnCommand(command, str(error), 127))
        except asyncio.CancelledError:
            self._see(OwnCommand(command, "\n" + t("(stopped)"), 130, process.seconds if process else 0.0))

    # ------------------------------------------------------------ what was seen

    def tell(self, text: str, level: Any = "info") -> None:
        """A line to the person; it is no part of the session."""
        self._see(Notice(text, level))

    def _see(self, event: Seen) -> None:
        now = time.monotonic()
        self.speeds.note(event, now)
        self.view = reduce(self.view, event, now)
        self._changed()

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)
        return task


def step_diffs(step: int, folder: str) -> list[str]:
    """What a step of the journal changed in text files, each with its name in the first line."""
    found = originals.pairs(paths.state_dir() / "journal", step)
    return [shown.file_diff(pair.path, pair.before, pair.after, folder, _DIFF_LINES) for pair in found]
