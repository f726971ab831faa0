"""The conversation in plain lines, without a screen: for screen readers, dumb terminals and who likes it quiet.

The same driver, session and commands as the app's. The session runs in a thread of its own; the person is read and
written to in the main one, where Ctrl+C arrives, so nothing is ever printed into a line that is being typed.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from textual.geometry import Size

from ..store import prompts
from ..values import Answer, Change, Decision, ToolCall
from . import answering, changes, commands, effect, lines, readout
from .approval import Question
from .chooser import Ask, Chooser
from .doing import Doing
from .driver import Driver
from .house import House
from .machine import Machine
from .skills import Skills
from .telling import Telling
from .trust import Trusting
from .windows import Picker, Reader
from .words import t, translated

_POLL_S = 0.1
_AGAIN_S = 2.0
# What needs a screen, or makes sense on one only.
_ON_A_SCREEN = frozenset({"theme", "copy"})


class Gone(Exception):
    """The terminal has gone, or somebody told us to end; the signal's number."""


@dataclass(frozen=True, slots=True)
class _Window:
    """A list or a text that a command shows, and who waits for what becomes of it."""

    screen: Any
    then: Callable[[Any], Any] | None


class Plain:
    """Also what `Doing` knows as the app: it opens windows, which are read out here."""

    def __init__(self, house: House, resume: str | None = None, model: str | None = None) -> None:
        self.house = house
        self.driver = Driver(house, self._approve, self._changed)
        self.doing = Doing(self)  # type: ignore[arg-type]
        self.skills = Skills(self)  # type: ignore[arg-type]
        self.trusting = Trusting(self)  # type: ignore[arg-type]
        self.machine = Machine(self)  # type: ignore[arg-type]
        self._telling = Telling(str(house.folder))
        self._out: queue.SimpleQueue[str | Question | _Window] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._work: set[asyncio.Task[Any]] = set()
        self._first = (resume, model)
        self._leaving = False
        self._to_leave = -_AGAIN_S

    # ------------------------------------------------------------ for the driver and the commands

    def _changed(self) -> None:
        for line in self._telling.new(self.driver.view):
            self._out.put(line)

    async def _approve(self, call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        home = os.path.realpath(os.path.expanduser("~"))
        rows = await asyncio.to_thread(effect.rows, call, changes, str(self.house.folder), home)
        question = Question(call, decision, changes, rows)
        self._out.put(question)
        return await question.answer

    @property
    def size(self) -> Size:
        return Size(*shutil.get_terminal_size())

    def run_worker(self, work: Coroutine[Any, Any, Any] | Callable[[], Coroutine[Any, Any, Any]], **_: Any) -> None:
        task = self._loop.create_task(work() if callable(work) else work)
        self._work.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        if error := None if task.cancelled() else task.exception():
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """A command made a mistake of ours, or wants what only the app has."""
        if isinstance(error, AttributeError) and error.obj is self:
            self._out.put(t("This needs the app with a screen: start localagent without --plain."))
        else:
            self._out.put(t("A mistake of ours, sorry: {what}", what=f"{type(error).__name__}: {error}"))

    def push_screen(self, screen: Any, callback: Callable[[Any], Any] | None = None) -> None:
        self._out.put(_Window(screen, callback))

    def notify(self, text: str, **_: Any) -> None:
        self._out.put(text)

    async def leave(self) -> None:
        self._leaving = True

    # ------------------------------------------------------------ the conversation

    def run(self) -> int:
        """Until the person leaves; 0, or 128 and the number of the signal that ended it."""
        thread = threading.Thread(target=self._loop.run_forever, name="session")
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, _gone)
        lines.prepare(prompts.load())
        thread.start()
        try:
            self._soon(self.driver.open, *self._first)
            lines.say(t("localagent in plain lines. Write what should be done; /help lists the commands."))
            lines.say(t("Ctrl+C stops the agent, Ctrl+D on an empty line leaves."))
            while not self._leaving:
                self._turn()
            return 0
        except Gone as gone:
            lines.silence()
            return 128 + int(gone.args[0])
        except Exception:
            session = self.driver.session
            if session is not None and session.history:
                lines.say(lines.kept(session))
            raise
        finally:
            self._end(thread)

    def _turn(self) -> None:
        """One line of the person's, and all that comes of it."""
        try:
            self._tell_all()
            if self._leaving:
                return
            text = lines.read(f"{self.driver.mode}> ")
            if text is None:
                self._leaving = True
            elif text.strip():
                self._submit(text)
        except KeyboardInterrupt:
            self._interrupted()

    def _tell_all(self) -> None:
        """Print what comes and ask what is asked, until nothing is going on any more."""
        while True:
            try:
                one = self._out.get(timeout=_POLL_S)
            except queue.Empty:
                if not self._busy():
                    return
                continue
            match one:
                case str():
                    lines.say(one)
                case Question():
                    self._ask(one)
                case _Window():
                    self._read_out(one)

    def _busy(self) -> bool:
        driver = self.driver
        return driver.busy or bool(self._work) or not self._out.empty()

    def _interrupted(self) -> None:
        lines.say()
        if self._wait(self._stop()):
            return
        if time.monotonic() - self._to_leave < _AGAIN_S:
            self._leaving = True
        else:
            self._to_leave = time.monotonic()
            lines.say(t("Ctrl+C again to leave."))

    async def _stop(self) -> bool:
        self.driver.take_queue()
        return self.driver.interrupt()

    def _submit(self, text: str) -> None:
        prompts.add(text)
        lines.remember(text)
        command = commands.parse(text)
        if command is None and text.startswith("!"):
            self._soon(self.doing.own, text[1:].strip())
        elif command is None:
            self._soon(self.driver.submit, text)
        elif command[0] in _ON_A_SCREEN:
            lines.say(t("/{name} needs the app with a screen: start localagent without --plain.", name=command[0]))
        elif command[0] == "help":
            self._help()
        else:
            self._soon(self.run_worker, self.doing.command(*command))

    def _help(self) -> None:
        for command in commands.COMMANDS:
            if command.name not in _ON_A_SCREEN:
                lines.say(f"/{command.name} {command.argument}".rstrip() + f": {translated(command.does)}")
        lines.say(t("!command: run a command of your own in your shell; the model does not see it"))

    # ------------------------------------------------------------ questions

    def _ask(self, question: Question) -> None:
        if question.answer.done():
            return
        try:
            answer = self._answer(question)
        except KeyboardInterrupt:
            self._settle(question, Answer("deny"))
            self._interrupted()
            return
        self._settle(question, answer)

    def _settle(self, question: Question, answer: Answer) -> None:
        self._soon(lambda: question.answer.done() or question.answer.set_result(answer))

    def _answer(self, question: Question) -> Answer:
        keeps = question.decision.remember
        lines.say("\n".join(["", *answering.told(question.call, question.decision, question.rows)]))
        choices = [t("1 or y: yes, once"), t("2 or n: no; what you write behind it is told to the model")]
        choices += [t("3 or e: edit the call")]
        choices += [t("4 or s: yes, for this session"), t("5 or a: yes, always")] if keeps else []
        lines.say("\n".join([*choices, t("Enter alone means no.")]))
        while True:
            said, seconds = lines.answer(t("Your answer: "))
            if said is None or not said.strip():
                return Answer("deny")
            if seconds < lines.LOCKED_S:
                lines.say(t("That came too soon to be an answer to this; once more."))
                continue
            made = self._understood(question, said.strip())
            if made is not None:
                return made

    def _understood(self, question: Question, said: str) -> Answer | None:
        keeps = question.decision.remember
        key, _, rest = said.partition(" ")
        match key.lower():
            case "y" | "1" if not rest:
                return Answer("allow")
            case "n" | "2":
                return Answer("deny", note=f"the user said: {rest.strip()}" if rest.strip() else "")
            case "s" | "4" if keeps and not rest:
                return Answer("allow", "session")
            case "a" | "5" if keeps and not rest:
                return self._always(keeps)
            case "e" | "3" if not rest:
                return self._edited(question.call)
        lines.say(t("Please answer with one of these: {keys}.", keys="y, n, e, s, a" if keeps else "y, n, e"))
        return None

    def _always(self, keeps: str) -> Answer | None:
        lines.say(t("The rule to be kept; change it or press Enter. An empty line goes back."))
        rule = (lines.edit(t("Rule: "), keeps) or "").strip()
        if not rule:
            return None
        wrong = answering.unkeepable(rule)
        if wrong:
            lines.say(wrong)
            return None
        return Answer("allow", "always", rule="" if rule == keeps else rule)

    def _edited(self, call: ToolCall) -> Answer | None:
        before = answering.editable(call)
        lines.say(t("Change the call and press Enter; it is judged again. An empty line goes back."))
        text = lines.edit(t("Call: "), before)
        if not text or not text.strip():
            return None
        made = answering.read_back(call, text)
        if isinstance(made, str):
            lines.say(made)
            return None
        return Answer("allow", edited_args=made)

    # ------------------------------------------------------------ windows

    def _read_out(self, window: _Window) -> None:
        result = None
        match window.screen:
            case Picker():
                result = readout.picked(window.screen)
            case Reader():
                result = readout.read(window.screen)
            case Chooser():
                result = readout.chosen(window.screen)
            case Ask():
                result = readout.asked(window.screen)
            case changes.Steps():
                command = readout.step(window.screen.deeds)
                if command is not None:
                    self._soon(self.run_worker, self.doing.command(*command))
            case _:
                lines.say(t("This needs the app with a screen: start localagent without --plain."))
        if window.then is not None:
            self._soon(window.then, result)

    # ------------------------------------------------------------ the session's thread

    def _soon(self, act: Callable[..., Any], *args: Any) -> None:
        """Have it done in the session's thread, and wait until it is."""

        async def doing() -> None:
            act(*args)

        self._wait(doing())

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self, thread: threading.Thread) -> None:
        """Stop what runs, wait until it has stopped, and end the thread."""
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        with suppress(KeyboardInterrupt):
            self._wait(self.machine.close())
            self._wait(self.driver.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join()
        self._loop.close()


def _gone(number: int, _: FrameType | None) -> None:
    raise Gone(number)
