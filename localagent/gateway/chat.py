"""One paired sender in one chat: a session of its own, requests one after the other, questions in between.

What is a command, an answer or a request is decided from the sender's own words alone; nothing that the model writes or
a text of others says comes here.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from typing import Protocol

from ..agent import shown
from ..agent.session import Session
from ..errors import LocalAgentError
from ..store.gateway import Gate, Pairing
from ..store.inbox import Stored
from ..values import Answer, Decision, Proposal, ToolCall
from . import question as questions
from . import received, undoing, words
from .post import Replies
from .question import Question

QUEUED = 20
REFUSALS = 20
_QUESTION_PARTS = 6
_SHOWN = 80
_CARRIED = 40


class House(Protocol):
    """Where sessions are made."""

    async def session(self, who: Pairing) -> Session:
        """The chat's session gone on with, or a new one. Raises LocalAgentError."""
        ...


class Chat:
    """`answers` False: nobody's answer can come, so every question is denied at once."""

    def __init__(self, who: Pairing, house: House, replies: Replies, gate: Gate, *, answers: bool = True) -> None:
        self.who = who
        self._house, self._replies, self._gate, self._answers = house, replies, gate, answers
        self._session: Session | None = None
        self._queue: list[Stored] = []
        self._refused = 0
        self._worker: asyncio.Task[None] | None = None
        self._turn: asyncio.Task[None] | None = None
        self._now: Stored | None = None
        self._began = 0.0
        self._stopped = ""
        self._question: Question | None = None
        self._asking = asyncio.Lock()
        self._files: list[received.File] = []
        self._only_files = False
        self._carried: list[str] = []
        self._others: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ what comes in

    def keeps(self, stored: Stored) -> bool:
        """Whether the message is to be put down: a request or a command, which a crash must not lose. Answers die with their question."""
        own = words.said(stored.message).own
        return words.command(own) is not None or (not self._asks and words.approves(own) is None)

    @property
    def _asks(self) -> bool:
        return self._question is not None and self._question.open and not self._question.answered.done()

    def take(self, stored: Stored) -> None:
        """Act on a message at once: a request is queued, a command carried out beside a request that runs."""
        own = words.said(stored.message).own
        if (found := words.command(own)) is not None:
            self._command(found[0], stored)
        elif self._question is not None and self._asks:
            if self._question.late:
                self._say("That came too late; it was not allowed.", stored, "late")
            self._question.answer(own)
        elif words.approves(own) is not None:
            self._say("No question is open here, so that answers nothing.", stored, "late")
        else:
            self.work(stored)
            return
        if stored.message.attachments:
            # An answer and a command are words: what lies beside them is not taken, and that is said.
            self._say("The files with that message were not taken. Send them again with a request, or alone.", stored, "files")

    def take_up(self, stored: Stored) -> None:
        """Something that an earlier process put down and did not begin."""
        if (found := words.command(words.said(stored.message).own)) is not None:
            self._command(found[0], stored)
        else:
            self.work(stored)

    def go_on(self, stored: Stored) -> None:
        """Something that an earlier process had begun: it is over where its answer lies in the outbox, and else cut off."""
        if self._replies.whole(f"{stored.number}/answer") or self._replies.whole(f"{stored.number}/command"):
            self._gate.end(stored.number, "done")
        else:
            self.cut_off(stored)

    def work(self, stored: Stored) -> None:
        """Queue a request that is put down as waiting."""
        if received.nothing_to_do(stored.message):
            self._say(received.told(stored.message, ()) or "That message was empty.", stored, "answer")
            self._gate.end(stored.number, "done")
            return
        if len(self._queue) >= QUEUED:
            self._refuse(stored)
            return
        if self._refused > REFUSALS:
            self._say(f"{self._refused - REFUSALS} messages before this one were not taken either.", stored, "refused")
        self._refused = 0
        self._queue.append(stored)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    def _refuse(self, stored: Stored) -> None:
        """Say so, but not a thousand times."""
        self._refused += 1
        more = "; nor are those behind it, without a word for each, until there is room" if self._refused == REFUSALS else ""
        if self._refused <= REFUSALS:
            self._say(f"{QUEUED} messages wait already; this one was not taken{more}.", stored, "full")
        self._gate.end(stored.number, "dropped")

    async def finished(self) -> None:
        """Wait until everything that was taken is over."""
        while tasks := [one for one in (self._worker, *self._others) if one is not None and not one.done()]:
            await asyncio.wait(tasks)

    @property
    def _busy(self) -> bool:
        return self._now is not None or bool(self._queue)

    async def close(self, why: str = "localagent was ended on its machine") -> None:
        """Break off what runs, and say so in the chat. What waits stays waiting for the next start."""
        self._queue.clear()
        self._stop(why)
        if self._worker is not None:
            await asyncio.wait({self._worker})
        if self._session is not None:
            await self._session.setting.registry.aclose()
            await self._session.close()

    def cut_off(self, stored: Stored) -> None:
        """Tell that an earlier process ended in the middle of this request; it is not run again by itself."""
        self._say(
            f"localagent ended while it worked on {_quoted(stored)}. What it did until then stands (/undo takes the last change back); "
            "it is not done again by itself. Send it again if you want that.",
            stored,
            "cut",
        )
        self._gate.end(stored.number, "cut")

    def say_stale(self, stored: Stored) -> None:
        """A message that waited for a day at its service is not acted on any more."""
        told = f"{_quoted(stored)} was sent a day ago or more, while localagent was away. Send it again if it still counts."
        self._say(told, stored, "stale")

    # ------------------------------------------------------------ requests

    async def _work(self) -> None:
        while self._queue:
            stored = self._queue.pop(0)
            if not self._gate.begin(stored.number):
                continue
            self._now, self._began, self._stopped = stored, time.monotonic(), ""
            self._files, self._only_files = [], False
            self._turn = asyncio.create_task(self._run(stored))
            await asyncio.wait({self._turn})
            self._now = None
            self._finish(stored, self._turn)

    def _finish(self, stored: Stored, turn: asyncio.Task[None]) -> None:
        """The answer is in the outbox before the request is done with."""
        if turn.cancelled() or self._stopped:
            did = _account(self._session)
            self._answer(f"{self._stopped or 'It was stopped'} while {_quoted(stored)} was worked on. Until then: {did}.", stored)
            self._gate.end(stored.number, "cut")
            return
        error = turn.exception()
        if error is None:
            self._answer("" if self._only_files else _answer(self._session), stored)
        elif isinstance(error, LocalAgentError):
            self._answer(f"That could not be done: {error}", stored)
        else:
            self._answer(f"A mistake of ours, sorry: {type(error).__name__}. {_account(self._session)}.", stored)
        self._gate.end(stored.number, "done")

    def _answer(self, text: str, stored: Stored) -> None:
        """With what of the message nobody has read, said by us and not by the model."""
        unread = received.told(stored.message, self._files)
        more = "Write what is to be done with it." if self._only_files else ""
        self._say("\n\n".join(filter(None, (text, f"[{unread}]" if text and unread else unread, more))), stored, "answer")

    async def _run(self, stored: Stored) -> None:
        if self._session is None:
            made = await self._house.session(self.who)
            self._gate.session(self.who.id, made.id)
            self._session = made
        session = self._session
        session.ended = None
        said = words.said(stored.message)
        self._files = await asyncio.to_thread(received.saved, stored.message, session)
        lines = [*self._carried, *(one.for_model() for one in self._files)]
        if received.only_files(stored.message, self._files):
            # No word of what to do, and nothing that a model could look at: it hears of the files with the next request.
            self._only_files, self._carried = True, lines[-_CARRIED:]
            return
        self._carried = []
        foreign = [f"Quoted or forwarded:\n{said.foreign}"] if said.foreign else []
        own = said.own or "(a message without words of mine)"
        async with aclosing(session.send(own, self.ask, piped="\n".join([*lines, *foreign]))) as events:
            async for _ in events:
                pass

    # ------------------------------------------------------------ questions

    async def ask(self, call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
        """The session's approver: a yes counts from this chat, for this question, once, within ten minutes."""
        async with self._asking:
            if not self._answers:
                return Answer("deny", note="nobody can answer here now", by_person=False)
            try:
                return await self._ask(call, decision, changes)
            except LocalAgentError as error:
                return Answer("deny", note=f"the question could not be put: {error}", by_person=False)
            finally:
                self._question = None

    async def _ask(self, call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
        assert self._session is not None
        folder = str(self._session.setting.workspace)
        picture, may_cut = await asyncio.to_thread(questions.picture, call, decision, changes, folder)
        parts = self._replies.parts(self.who.channel, f"The agent wants to: {picture}")
        if not may_cut and (len(parts) > _QUESTION_PARTS or not questions.is_whole(picture)):
            note = "it is too long to be seen whole in this chat; it can be done at the machine"
            return Answer("deny", note=note, by_person=False)
        made = Question(shown.call_line(call, _SHOWN))
        self._question = made
        key = f"{self._session.id}/{call.id}/{uuid.uuid4().hex}"
        about = self._now.message if self._now is not None else None
        undelivered = Answer("deny", note="the question could not be delivered", by_person=False)
        if not await self._replies.show(self.who, questions.cut(parts, _QUESTION_PARTS), key, about):
            return undelivered
        minutes = round(questions.EXPIRY_S / 60)
        last = f"Allow this? Answer `yes {made.code}`; anything else is a no. Without an answer it is no in {minutes} minutes."
        # From now on an answer may come, also before we hear that the question has arrived.
        made.open, made.until = True, time.time() + questions.EXPIRY_S
        if not await self._replies.show(self.who, [last], f"{key}/last", about) and not made.answered.done():
            return undelivered
        try:
            async with asyncio.timeout(questions.EXPIRY_S):
                return await asyncio.shield(made.answered)
        except TimeoutError:
            self._send(f"Too late: {made.what} was not allowed, for no answer came.", f"{key}/over", None)
            return Answer("deny", note=f"no answer came within {minutes} minutes", by_person=False)

    # ------------------------------------------------------------ commands

    def _command(self, name: str, stored: Stored) -> None:
        match name:
            case "status":
                told = self._status()
            case "stop":
                told = self._stop_now()
            case "undo":
                task = asyncio.create_task(self._undo(stored))
                self._others.add(task)
                task.add_done_callback(self._others.discard)
                return
            case "new":
                told = self._new()
            case "help" | "start":
                told = help_text(self.who)
            case _:
                told = f"There is no /{name}. {help_text(self.who)}"
        self._said(told, stored)

    def _said(self, told: str, stored: Stored) -> None:
        """A command's answer, behind which it is over."""
        self._say(told, stored, "command")
        self._gate.end(stored.number, "done")

    def _status(self) -> str:
        grants = self.who.grants
        where = f"Folder: {grants.folder}, mode: {grants.mode}."
        if self._now is None:
            return f"Nothing is being done. {where}"
        lines = [f"Working for {time.monotonic() - self._began:.0f} s on {_quoted(self._now)}."]
        if self._asks and self._question is not None:
            lines.append(f"Your answer is awaited: {self._question.what}")
        if self._queue:
            lines.append(f"{len(self._queue)} more wait.")
        return "\n".join([*lines, where])

    def _stop_now(self) -> str:
        waiting, self._queue = self._queue, []
        for stored in waiting:
            self._gate.end(stored.number, "dropped")
        more = f" {len(waiting)} that waited are forgotten." if waiting else ""
        return ("Stopping." if self._stop("It was stopped") else "Nothing is being done.") + more

    def _stop(self, why: str) -> bool:
        if self._turn is None or self._turn.done():
            return False
        self._stopped = why
        self._turn.cancel()
        return True

    async def _undo(self, stored: Stored) -> None:
        if not self._gate.begin(stored.number):
            return
        if self._busy:
            told = "The agent is at work. /stop stops it; then try again."
        else:
            who = self._gate.get(self.who.id) or self.who
            told = await undoing.undo(who, self._session)
        self._said(told, stored)

    def _new(self) -> str:
        if self._busy:
            return "The agent is at work. /stop stops it; then try again."
        self._session, self._carried = None, []
        self._gate.session(self.who.id, "")
        self.who = self._gate.get(self.who.id) or self.who
        return "A new conversation begins with your next message."

    # ------------------------------------------------------------ what goes out

    def _say(self, text: str, stored: Stored, what: str) -> None:
        self._send(text, f"{stored.number}/{what}", stored)

    def _send(self, text: str, key: str, stored: Stored | None) -> None:
        try:
            self._replies.say(self.who, text, key, stored.message if stored is not None else None)
        except LocalAgentError:
            # The channel is gone from the settings: the transcript holds the answer.
            return


def help_text(who: Pairing) -> str:
    grants = who.grants
    lines = [f"You talk to localagent; it works in {grants.folder} (mode {grants.mode})."]
    return "\n".join([*lines, *(f"{name}  {what}" for name, what in words.COMMANDS.items())])


def _quoted(stored: Stored) -> str:
    said = words.said(stored.message)
    text = " ".join((said.own or said.foreign).split()) or "your message"
    return f"“{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}”"


def _answer(session: Session | None) -> str:
    """The model's answer, with what really happened beneath it."""
    ended = session.ended if session is not None else None
    if session is None or ended is None:
        return "It ended without an answer."
    lines = [ended.final.strip()] if ended.final.strip() else []
    if ended.error is not None:
        lines.append(f"It failed: {ended.error.message}")
    elif ended.status in ("time", "budget"):
        lines.append("It was stopped, for it took too long.")
    return "\n\n".join([*lines, f"[{_account(session)}]"])


def _account(session: Session | None) -> str:
    ended = session.ended if session is not None else None
    if session is None or ended is None:
        return "nothing is known of what it did"
    return shown.summary(ended.receipts, str(session.setting.workspace), checks=ended.checks)
