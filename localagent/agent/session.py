"""A session owns the history, and nobody else appends to it.

The history is what the events say: every event is recorded first and handed on then,
so a crash loses nothing that a reader has seen, and a resumed session is a replay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.base import Engine, Options
from ..engine.route import Route
from ..errors import LocalAgentError, UsageError
from ..events import (
    Event,
    Notice,
    Nudged,
    Rewound,
    Steered,
    TakenBack,
    TurnEnded,
    TurnStarted,
)
from ..policy import rules
from ..policy.decide import Context
from ..policy.marks import Marks
from ..store import audit, grants, mask_key
from ..store.journal import Journal
from ..store.transcript import Transcript
from ..toolbox import spill
from ..toolbox.checks import Check
from ..toolbox.registry import Registry
from ..values import Failure, Message, Mode, Part, Text
from . import binding, context, hooked, loop, pictures, place, retold, turn
from .agreement import Agreement
from .answers import Answers
from .beside import Beside
from .budget import Budget
from .dispatch import Approver, Hands
from .hooks import Hooks
from .masks import Masks
from .offering import Offering
from .place import Place
from .reads import Reads, news
from .record import Recorder
from .room import Means, Room
from .talk import Talk
from .tally import Tally

if TYPE_CHECKING:
    from .posting import Post


@dataclass(frozen=True, slots=True)
class Setting:
    """What a session stands on; made by `wiring`.

    `policy` makes the rules' context for (mode, rules granted in this session, files that the turn
    has deleted so far). `schema` is the JSON Schema of
    the answer, None for free text. `notices` are told at the start of each turn. `masks` hides secrets;
    `record` writes down decisions and effects, `post` sends messages (None: nothing can be sent);
    `hooks` are the user's own commands that are told what happens. `checks` have to hold at the end of each turn;
    `beside` tells instructions and what is remembered; `route` knows the models beside `engine`.
    """

    engine: Engine
    registry: Registry
    journal: Journal
    workspace: Path
    policy: Callable[[Mode, tuple[str, ...], int], Context]
    options: Options = Options()
    budget: Budget = Budget()
    dry_run: bool = False
    schema: Mapping[str, Any] | None = None
    notices: tuple[str, ...] = ()
    masks: Masks = field(default_factory=lambda: Masks(mask_key.load()))
    record: Recorder = audit.append
    post: Post | None = None
    hooks: Hooks = field(default_factory=Hooks)
    checks: tuple[Check, ...] = ()
    beside: Beside = field(default_factory=Beside)
    route: Route | None = None


class Session:
    def __init__(self, setting: Setting, transcript: Transcript, session_id: str, mode: Mode = "ask") -> None:
        self.id = session_id
        self.mode: Mode = mode
        self.setting = setting
        self.transcript = transcript
        self.talk = Talk(setting.registry, setting.workspace, setting.beside)
        self.room = Room(self.talk, transcript.spill, self._means)
        self.ended: TurnEnded | None = None
        self.stored: tuple[Event, ...] = ()
        # A rule, and what its program was when it was kept.
        self._granted: tuple[tuple[str, str], ...] = ()
        self._forgotten: frozenset[rules.Rule] = frozenset()
        self._lost = 0
        self._open = False
        self._steers: list[str] = []
        self._tally, self._agreed = Tally(), Agreement(setting.workspace)
        self._deeds: list[TakenBack] = []

    @property
    def history(self) -> list[Message]:
        return self.talk.history

    @property
    def marks(self) -> Marks:
        return self.talk.marks

    @property
    def reads(self) -> Reads:
        return self.talk.reads

    @property
    def offering(self) -> Offering:
        return self.talk.offering

    def replay(self, events: Iterable[Event]) -> None:
        """Rebuild the history from stored events, without running or writing anything.

        `stored` holds them until the next request: a screen draws them without reading the disk once more.
        """
        self.stored = tuple(events)
        for event in self.stored:
            self._apply(event, replayed=True)
        self.talk.close_open_calls("interrupted")

    async def send(self, text: str, approve: Approver, *, piped: str = "", images: Sequence[Part] = ()) -> AsyncGenerator[Event, None]:
        """One turn, with `images` behind its words. Cancelling it stops the engine and every tool; the transcript then says so."""
        masks = self.setting.masks
        around, named = self._place().told(text, self._input(masks.mask(piped)))
        around, text = masks.mask(around), masks.mask(text)
        named = [path for path in named if masks.mask(str(path)) == str(path)]
        seen = await asyncio.to_thread(self.reads.marks, named) if named else {}
        folder, model = str(self.setting.workspace), self.setting.engine.model
        given = await pictures.given(text, images, self.setting.engine, self._place, self.transcript.spill)
        message, marked = Message("user", (Text(text), *given.parts)), (place.seen(around) | given.marks).names
        self.ended, self._lost, self._open, self.stored, self._tally = None, 0, True, (), Tally()
        started = TurnStarted(self.id, message, model, self.mode, folder, time.time(), around, marked, seen)
        try:
            heard = await self.setting.hooks.opening(text, self.mode)
            yield self._record(started)
            begin = len(self.history) - 1
            for notice in (*self.setting.notices, *given.notices, *self.setting.hooks.overheard()):
                yield self._record(Notice(notice, "warning"))
            if heard:
                yield self._record(hooked.opened(heard))
            for told in await self.setting.beside.opening(text):
                yield self._record(told)
            if turn.script(self.setting.engine) is None and (offered := await self.offering.fitting(text)) is not None:
                yield self._record(offered)
            async with aclosing(loop.run(self._turn(approve, begin))) as events:
                async for event in events:
                    for notice in self.setting.hooks.overheard():
                        yield self._record(Notice(notice, "warning"))
                    yield self._record(event)
        except (asyncio.CancelledError, GeneratorExit):
            if self.ended is None:
                self._record(self._tally.ended("cancelled"))
            raise
        except LocalAgentError as error:
            self.ended = self._tally.ended("failed", Failure(error.kind, str(error)))
            yield self.ended
        except Exception as error:
            self._record(self._tally.ended("failed", Failure("bug", f"{type(error).__name__}: {error}")))
            raise
        finally:
            self._open = False
            self._agreed.withdraw()
            self._catch_up()

    async def compact(self) -> AsyncGenerator[Event, None]:
        """Shorten what the model is shown, between two requests. Raises UsageError, and what the engine raises."""
        if self._open or not self.history:
            raise UsageError("There is nothing to shorten now.", "Ask something first, or wait until the agent has ended.")
        async with aclosing(self.room.shorten()) as events:
            async for event in events:
                yield self._record(event)

    async def close(self, reason: str = "other") -> None:
        """The session is over: its hooks hear that, and its engine is let go of."""
        await self.setting.hooks.close(self.mode, reason)
        await self.setting.engine.close()
        if self.setting.route is not None:
            await self.setting.route.close()

    def steer(self, text: str) -> bool:
        """The person's words for the turn that runs: the model gets them before its next answer. False where none runs."""
        if self._open and text.strip():
            self._steers.append(text)
        return self._open

    @property
    def meanwhile(self) -> tuple[str, ...]:
        """What `steer` was given and the model was not, yet."""
        return tuple(self._steers)

    def withdraw(self) -> list[str]:
        """What `steer` was given and the model was not: it will not get that any more. A turn may end before it takes all."""
        texts, self._steers = self._steers, []
        return texts

    def took_back(self, step: int, paths: Sequence[str], again: bool = False) -> None:
        """The person undid a step (or with `again` put it back): the model is told, in a running turn before its next answer.

        Raises StoreError.
        """
        self._deeds.append(TakenBack(step, retold.named(paths, self.setting.masks.mask), len(paths), again))
        if not self._open:
            self._catch_up()

    def rewind(self, to: int, paths: Sequence[str] = ()) -> Rewound:
        """Go on behind the first `to` requests. `paths` were changed after that and stay so: the model is told.

        What the session has seen stays marked: it may be on the disk now. Raises UsageError, StoreError.
        """
        if self._open or not 0 <= to < len(self.talk.requests):
            raise UsageError("The conversation cannot go back there now.")
        event = Rewound(to, retold.named(paths, self.setting.masks.mask), len(paths))
        self._record(event)
        return event

    def _meanwhile(self) -> Event | None:
        if self._deeds:
            return self._deeds[0]
        if not self._steers:
            return None
        text, masks = self._steers[0], self.setting.masks
        seen, text = masks.mask(self._place().named(text)[0]), masks.mask(text)
        return Steered(Message("steer", (Text(text),)), seen, place.seen(seen).names)

    def _catch_up(self) -> None:
        """What happened after the last answer of a turn stands before the next request."""
        while self._deeds and self.history:
            self._record(self._deeds[0])
        self._deeds.clear()

    async def prepare(self, draft: str) -> None:
        """Let the engine read ahead what the next `send` will begin with: the conversation, and a text in the making.

        For a front end where a person types: call it at the start, after a turn, and while they
        write, each time with all of the text so far ("" for none). An earlier call may be cancelled
        or left alone: a later one ends it. It returns when the text is read or when somebody else
        needs the engine, and never raises.
        """
        # Up to a secret: half of one, typed so far, is not to be known for one.
        if found := self.setting.masks.spans(draft):
            draft = draft[: found[0].start]
        messages = context.for_model([*self.talk.shown, Message("user", (Text(draft),))])
        await self.setting.engine.prepare(messages, self.setting.registry.specs(), self.setting.options)

    def _means(self) -> Means:
        s = self.setting
        return Means(s.engine, s.registry, s.options, s.masks.mask, tuple(rule for rule, _ in self._granted))

    def _input(self, piped: str) -> str:
        """What came on standard input: a text too long for the context by head and tail, and the whole of it in a file."""
        size = self.room.size
        self.transcript.spill.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.transcript.spill / f"input-{len(self.talk.requests) + 1}.txt"
        return spill.fit(piped, file, max(spill.SHOWN, size))[0] if piped and size else piped

    def _place(self) -> Place:
        s = self.setting
        place = Place(s.workspace, self._policy, s.masks.mask)
        return place if s.post is None else replace(place, letters=s.post.told)

    def _turn(self, approve: Approver, begin: int) -> turn.Turn:
        s = self.setting
        hands = Hands(
            registry=s.registry,
            journal=s.journal,
            workspace=s.workspace,
            session_id=self.id,
            policy=self._policy,
            approve=approve,
            remember=self._remember,
            used=lambda rule: grants.note_use(rule, str(s.workspace)),
            lost=self._note_lost,
            record=self._write_down,
            masks=s.masks,
            answers=Answers(),
            reads=self.reads,
            dry_run=s.dry_run,
            post=s.post,
            hooks=s.hooks,
            shows=lambda result: pictures.made_visible(result, s.engine, self.transcript.spill),
        )
        history, new_id = (lambda: self.history), self.talk.new_call_id
        told, plan = (self._news, self._meanwhile), (s.checks, self._agreed)
        begun = (s.engine, hands, history, begin, new_id, s.options, s.budget, s.schema)
        return turn.Turn(*begun, *told, self.offering, *plan, self.room, s.route)

    async def _news(self) -> Nudged | None:
        """What others have changed of the files that the model has seen."""
        if not self.reads.known:
            return None
        return news(await asyncio.to_thread(self.reads.stale), str(self.setting.workspace))

    def _record(self, event: Event) -> Event:
        self.transcript.append(event)
        self._apply(event)
        return event

    def _apply(self, event: Event, replayed: bool = False) -> None:
        self.talk.apply(event, replayed)
        self._tally.note(event)
        match event:
            case Steered():
                self._steers = self._steers[1:]
            case TakenBack():
                self._deeds = self._deeds[1:]
            case TurnEnded():
                self.ended = event
            case _:
                pass

    def forget(self, rule: str) -> None:
        """A kept rule was taken back: it allows nothing in this session any more, wherever it came from."""
        self._forgotten = self._forgotten | {rules.parse(rule)}
        self._granted = tuple(one for one in self._granted if rules.parse(one[0]) not in self._forgotten)

    def _remember(self, rule: str, scope: str) -> None:
        bound = binding.kept_for(rules.parse(rule).words, self.setting.workspace)
        self._forgotten = self._forgotten - {rules.parse(rule)}
        self._granted = (*self._granted, (rule, bound))
        if scope in ("folder", "always"):
            here = scope == "folder" or rules.local(rule)
            grants.add(rule, str(self.setting.workspace) if here else "", bound)

    def _policy(self) -> Context:
        here, mode = self.setting.workspace, self._agreed.mode(self.mode)
        granted = tuple(
            rule for rule, bound in (*self._granted, *self._agreed.rules) if binding.kept_for(rules.parse(rule).words, here) == bound
        )
        said, seen = self.talk.spoken()
        now = self.setting.policy(mode, granted, self._lost)
        if self._forgotten:
            kept = tuple(rule for rule in now.rules.kept if rule not in self._forgotten)
            now = replace(now, rules=replace(now.rules, kept=kept))
        return replace(
            now,
            untrusted_seen=self.marks.untrusted,
            private_seen=self.marks.private,
            speaks_seen=self.marks.speaks,
            said=said,
            seen=seen,
        )

    def _write_down(self, what: str, facts: Mapping[str, Any]) -> None:
        self.setting.record(what, {"session": self.id, "mode": self.mode, **facts})

    def _note_lost(self, files: int) -> None:
        self._lost += files


def start(setting: Setting, mode: Mode, log: Transcript, *, resumed: bool = False) -> Session:
    """A new session on an empty transcript, or a stored one gone on with."""
    session = Session(setting, log, log.folder.name, mode)
    if resumed:
        session.replay(log.read())
    return session
