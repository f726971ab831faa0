"""The parser of dialects whose calls stand between marker tokens.

It splits an answer at its dialect's markers. What lies between goes to the parser all dialects
share, so that fences and bare JSON are calls here too. Time is linear in the text: each character
is looked at once, a bounded tail waits for the rest of a marker, and calls that never end are read
again at most `_SECOND_READINGS` times.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Literal, Protocol

from ...values import ToolCall, ToolSpec
from .. import gbnf, jsonish
from ..base import CallOpened, Parsed, Piece, Said, Thought
from ._collect import Caught, Forms, Found, JsonCalls
from ._stream import StreamParser

_SECOND_READINGS = 8
_NAME = re.compile(r"[^\s\[\]{}<>\"\x00-\x1f]{1,128}")
Sink = Literal["text", "think", "drop", "own"]


def today() -> date:
    """The date that some templates print: of the day alone, so that a prompt stays the same all day."""
    return date.today()


@gbnf.cached
def schema_calls(specs: Sequence[ToolSpec], *, between: str) -> str:
    """A grammar for NAME `between` ARGUMENTS. `between` is a piece of GBNF, so it may name control tokens."""
    rules = gbnf.Rules()
    known = [spec for spec in specs if _NAME.fullmatch(spec.name)]
    bodies = rules.arguments([spec.parameters for spec in known], gbnf.TOTAL)
    calls = [(spec.name, f"{between} {body}") for spec, body in zip(known, bodies, strict=True)]
    call = rules.branches("call", calls) if calls else f"[a-zA-Z0-9_.-]{{1,64}} {between} {rules.use('object')}"
    return rules.text(call)


class Collector(Protocol):
    """Reads from the opening of calls to their end. `openings` are the names known so far.

    What `close` leaves as `rest` after an end that was seen is a marker, whole.
    """

    openings: list[str]

    def feed(self, data: str, at: int) -> int | None:
        """Take `data` from `at` on; the position behind the end, or None while it goes on."""
        ...

    def close(self, *, ended: bool) -> Caught: ...


class Arguments:
    """The arguments of a call whose name is known: one JSON object. `markers` cannot stand in it."""

    def __init__(self, name: str, markers: re.Pattern[str]) -> None:
        self.openings = [name]
        self._name, self._markers = name, markers
        self._raw: list[str] = []
        self._scanner: jsonish.Scanner | None = None

    def feed(self, data: str, at: int) -> int | None:
        if self._scanner is None:
            while at < len(data) and data[at].isspace():
                at += 1
            if at == len(data):
                return None
            if data[at] != "{":
                return at
            self._scanner = jsonish.Scanner()
        stop = self._scanner.feed(data, at)
        self._raw.append(data[at:stop])
        return stop

    def close(self, *, ended: bool) -> Caught:
        raw, rest = "".join(self._raw), ""
        mark = self._markers.search(raw) if not ended and self._scanner and self._scanner.in_string else None
        if mark:
            # A quote was lost: the marker inside the open string was the real one.
            raw, rest = raw[: mark.start()], raw[mark.start() :]
        value = jsonish.read(raw) if raw else None
        if value is None or not isinstance(value.value, dict):
            if not ended:
                return Caught([], cut=(self._name, {}))
            return Caught([(self._name, {})], repairs=("missing arguments",))
        call: Found = (self._name, value.value)
        if value.cut and (mark or not ended):
            return Caught([], rest=rest, repairs=value.repairs, cut=call)
        return Caught([call], rest=rest, repairs=value.repairs, unclosed=not ended)


class Objects:
    """JSON calls one after the other, with white space, commas and semicolons between them.

    `opener` is what has been taken of the text already; with `any_name` a name that no tool has
    makes a call too.
    """

    def __init__(self, names: frozenset[str], *, any_name: bool, opener: str = "") -> None:
        self.openings: list[str] = []
        self._names, self._any = names, any_name
        self._now: JsonCalls | None = None
        self._gap = [opener]
        self._calls: list[Found] = []
        self._cut: Found | None = None
        self._words: list[str] = []
        self._repairs: list[str] = []

    def feed(self, data: str, at: int) -> int | None:
        while at < len(data):
            if self._now is None:
                if data[at] not in "{[":
                    if not data[at].isspace() and data[at] not in ",;":
                        return at
                    self._gap.append(data[at])
                    at += 1
                    continue
                self._now = JsonCalls("".join(self._gap), "", self._names, any_name=self._any)
                self._gap = []
            end = self._now.feed(data, at)
            opened = self._now.opened
            if opened and len(self.openings) == len(self._calls) + bool(self._cut):
                self.openings.append(opened)
            if end is None:
                return None
            at = end
            self._take(self._now.close(ended=True))
            self._now = None
        return None

    def _take(self, caught: Caught) -> None:
        if self._cut and (caught.calls or caught.cut):
            # A call that did not end is left out where others follow.
            self._repairs.append(f"the call of {self._cut[0]} was cut")
            self._cut = None
        self._calls += caught.calls
        self._cut = caught.cut or self._cut
        count = len(self._calls) + bool(self._cut)
        self.openings[count:] = []
        self.openings += [""] * (count - len(self.openings))
        self._words.append(caught.text)
        self._repairs += caught.repairs

    def close(self, *, ended: bool) -> Caught:
        rest, unclosed = "", False
        if self._now:
            last = self._now.close(ended=False)
            self._take(last)
            rest, unclosed = last.rest, last.unclosed
        gap = "".join(self._gap).strip() if ended or not self._calls else ""
        text = "".join(self._words) + gap
        return Caught(self._calls, text, rest, tuple(self._repairs), self._cut, unclosed)


class MarkerParser(ABC):
    """Implements `base.Parser`. A subclass names its markers and says what each of them does.

    `marks` finds a marker, `starts` are their texts: a tail that begins one of them waits. Text
    goes where `sink` says; "own" hands it to `_own`.
    """

    marks: re.Pattern[str]

    def __init__(self, specs: Sequence[ToolSpec], starts: Iterable[str], *, bare: bool = True) -> None:
        self.names = frozenset(spec.name for spec in specs)
        self.sink: Sink = "text"
        self._forms = Forms(self.names, fences=True, bare=bare)
        self._prefixes = frozenset(text[:end] for text in starts for end in range(1, len(text)))
        self._longest = max(map(len, self._prefixes), default=0)
        self._hold = "\n"  # begins with one character already read, for "^"
        self._inner: StreamParser | None = None
        self._inner_said = 0
        self._collector: Collector | None = None
        self._told = 0
        self._said: list[str] = []
        self._thought: list[str] = []
        self._calls: list[ToolCall] = []
        self._repairs: dict[str, None] = {}
        self._cut: Found | None = None
        self._unclosed = False
        self._pieces: list[Piece] = []

    # ------------------------------------------------------------ what a subclass adds

    @abstractmethod
    def _mark(self, mark: re.Match[str], data: str) -> int:
        """Act on a marker; the position to go on from."""

    def _pattern(self) -> re.Pattern[str]:
        return self.marks

    def _own(self, text: str) -> None:
        """Text that came while `sink` was "own"."""
        self._text(text)

    def _ending(self) -> None:
        """The answer is over; no collector is open."""
        self._break()

    def _undecided(self, data: str, at: int) -> int:
        """Where a tail begins that may be a marker and is none of `starts`; the length without one."""
        return len(data)

    # ------------------------------------------------------------ base.Parser

    def feed(self, text: str) -> list[Piece]:
        self._read(text, last=False)
        pieces, self._pieces = self._pieces, []
        return pieces

    def finish(self) -> Parsed:
        self._read("", last=True)
        again = 0
        while self._collector:
            rest = self._caught(ended=False)
            again += 1
            if rest and again <= _SECOND_READINGS:
                self._read(rest, last=True)
            elif rest:
                self._text(rest)
        self._ending()
        calls = list(self._calls)
        if self._cut:
            calls.append(ToolCall(f"call_{len(calls) + 1}", *self._cut))
        text, thinking, cut = "\n".join(self._said), "".join(self._thought), self._cut is not None
        return Parsed(text, thinking, tuple(calls), tuple(self._repairs), cut, self._unclosed and not cut)

    # ------------------------------------------------------------ reading

    def _read(self, text: str, *, last: bool) -> None:
        data, self._hold = self._hold + text, ""
        at = 1
        while at < len(data):
            if self._collector:
                end = self._collector.feed(data, at)
                self._tell()
                if end is None:
                    at = len(data)
                    break
                at = end
                rest = self._caught(ended=True)
                again = self._pattern().fullmatch(rest) if rest else None
                if again:
                    self._mark(again, rest)
                    self._tell()
                continue
            mark = self._pattern().search(data, at)
            wait = len(data) if last else self._waiting(data, at)
            if mark and mark.start() <= wait:
                self._emit(data[at : mark.start()])
                at = self._mark(mark, data)
                self._tell()
                continue
            self._emit(data[at:wait])
            at = wait
            break
        self._hold = data[at - 1 :]

    def _waiting(self, data: str, at: int) -> int:
        """Where the tail begins that may turn out to be a marker; the length without one."""
        for start in range(max(at, len(data) - self._longest), len(data)):
            if data[start:] in self._prefixes:
                return min(start, self._undecided(data, at))
        return self._undecided(data, at)

    def _collect(self, collector: Collector) -> None:
        if self.sink == "think":
            self.mend("a call inside the thinking")
            self.sink = "text"
        self._break()
        self._collector, self._told = collector, 0

    def _tell(self) -> None:
        if self._collector:
            new = self._collector.openings[self._told :]
            self._told += len(new)
            self._pieces += [CallOpened(name) for name in new if name]

    def _caught(self, *, ended: bool) -> str:
        """Take over what the collector has; the text to be read again."""
        collector, self._collector = self._collector, None
        if collector is None:
            return ""
        caught = collector.close(ended=ended)
        self._pieces += [CallOpened(name) for name in collector.openings[self._told :] if name]
        self._take(caught.calls, caught.repairs, caught.cut, unclosed=caught.unclosed)
        if caught.text:
            self._text(caught.text)
            self._break()
        return caught.rest

    def _take(
        self, calls: Iterable[Found], repairs: Iterable[str], cut: Found | None, *, unclosed: bool = False
    ) -> None:
        before = len(self._calls)
        for name, args in calls:
            self._calls.append(ToolCall(f"call_{len(self._calls) + 1}", name, args))
        self._repairs.update(dict.fromkeys(repairs))
        if len(self._calls) > before or cut:
            self._cut, self._unclosed = cut, unclosed
        if cut:
            self.mend(f"the call of {cut[0]} was cut")

    def mend(self, what: str) -> None:
        self._repairs[what] = None

    # ------------------------------------------------------------ text

    def _emit(self, text: str) -> None:
        if not text:
            return
        if self.sink == "own":
            self._own(text)
        elif self.sink == "text":
            self._text(text)
        elif self.sink == "think":
            self._think(text)

    def _think(self, text: str) -> None:
        self._thought.append(text)
        self._pieces.append(Thought(text))

    @property
    def thinks_already(self) -> bool:
        return bool(self._thought)

    def _text(self, text: str) -> None:
        if self._inner is None:
            self._inner, self._inner_said = StreamParser(self._forms), 0
        for piece in self._inner.feed(text):
            if isinstance(piece, Said):
                self._say(piece.text)
            else:
                self._pieces.append(piece)

    def _say(self, text: str) -> None:
        """Stretches of text are separated by line breaks."""
        if text:
            self._pieces.append(Said("\n" + text if self._said and not self._inner_said else text))
            self._inner_said += len(text)

    def _break(self) -> None:
        """The end of a stretch of text."""
        inner, self._inner = self._inner, None
        if inner is None:
            return
        parsed = inner.finish()
        self._say(parsed.text[self._inner_said :])
        if parsed.text:
            self._said.append(parsed.text)
        calls: list[tuple[str, Any]] = [(call.name, dict(call.args)) for call in parsed.calls]
        cut = calls.pop() if parsed.cut else None
        self._take(calls, parsed.repairs, cut, unclosed=parsed.unclosed)
