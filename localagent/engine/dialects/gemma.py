"""Gemma 4: `<|tool_call>call:NAME{KEY:VALUE}<tool_call|>`, results in the same turn of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...values import Message, ToolSpec
from .. import gbnf
from ..base import CallGrammar, Parsed, Parser, Segment, Template, ToolChoice, Trigger, Untrusted, read_as
from . import _chatml as chatml
from . import _gemma, _gemma_grammar, _markers
from ._collect import Caught

_TURN, _END, _LINE = "<|turn>", "<turn|>", "<turn|>\n"
_CALL, _CALL_END = "<|tool_call>", "<tool_call|>"
_RESULT, _RESULT_END = "<|tool_response>", "<tool_response|>"
_CHANNEL, _CHANNEL_END = "<|channel>", "<channel|>"
_THOUGHT = "<|channel>thought\n"


class Gemma:
    name = "gemma"
    ends = (_END, _RESULT, _TURN, "<eos>")
    opening = ""

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        system, rest = chatml.split_system(messages)
        segments = _head(system, specs, thinking)
        query = chatml.last_query(rest)
        names: dict[str, str] = {}
        for at, message in enumerate(rest):
            names.update({call.id: call.name for call in message.calls})
            if message.role == "tool":
                segments += _result(message, names)
            elif message.role == "assistant":
                follow = rest[at + 1].role if at + 1 < len(rest) else ""
                segments += _assistant(message, _goes_on(rest, at), at > query, follow)
            else:
                text = Untrusted(chatml.plain(message.parts).strip())
                segments += [Template(f"{_TURN}{read_as(message.role)}\n"), text, Template(_LINE)]
        if not rest or rest[-1].role != "tool":
            segments.append(Template(_opening(thinking)))
        return chatml.tight(segments)

    def grammar(self, specs: Sequence[ToolSpec], choice: ToolChoice, *, parallel: bool = True) -> CallGrammar:
        if not specs or choice == "none":
            return CallGrammar()
        rules = _gemma_grammar.calls(specs, before='"call:"', after=gbnf.token(_CALL_END))
        return CallGrammar((Trigger(_CALL, rules),), _CALL if choice == "required" else "", once=not parallel)

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> Parser:
        return _GemmaParser(specs, thinking)


def _opening(thinking: bool) -> str:
    """The start of a turn of the model; without thinking its thought stands there already, empty."""
    return f"{_TURN}model\n" + ("" if thinking else _THOUGHT + _CHANNEL_END)


def _head(system: str | None, specs: Sequence[ToolSpec], thinking: bool) -> list[Segment]:
    if system is None and not specs and not thinking:
        return []
    segments: list[Segment] = [Template(f"{_TURN}system\n" + ("<|think|>\n" if thinking else ""))]
    segments.append(Untrusted((system or "").strip()))
    for spec in specs:
        segments += [Template("<|tool>"), *_gemma.segments(_gemma.declaration(spec)), Template("<tool|>")]
    return [*segments, Template(_LINE)]


def _goes_on(messages: Sequence[Message], at: int) -> bool:
    """Whether the model's turn is open: only results stand between this message and its last one."""
    before = next((m.role for m in reversed(messages[:at]) if m.role != "tool"), "")
    return before == "assistant"


def _assistant(message: Message, goes_on: bool, current: bool, follow: str) -> list[Segment]:
    end: list[Segment] = [] if message.calls and follow == "tool" else [Template(_LINE)]
    if message.generated and (current or not message.thinking):
        opening = "" if goes_on else _opening(bool(message.thinking))
        return [Template(opening), message.generated, *end]
    segments: list[Segment] = [] if goes_on else [Template(f"{_TURN}model\n")]
    if message.thinking and current and message.calls:
        segments += [Template(_THOUGHT), Untrusted(message.thinking), Template("\n" + _CHANNEL_END)]
    segments.append(Untrusted(chatml.plain(message.parts).strip()))
    for call in message.calls:
        segments += [Template(_CALL), Untrusted("call:" + call.name), *_gemma.segments(_gemma.written(call.args))]
        segments.append(Template(_CALL_END))
    return [*segments, *end]


def _result(message: Message, names: Mapping[str, str]) -> list[Segment]:
    name = names.get(message.result.call_id, "unknown") if message.result else "unknown"
    return [
        Template(_RESULT),
        Untrusted(f"response:{name}{{value:"),
        Template(_gemma.QUOTE),
        Untrusted(chatml.result_text(message)),
        Template(_gemma.QUOTE),
        Untrusted("}"),
        Template(_RESULT_END),
    ]


# ---------------------------------------------------------------- reading

_STARTS = (_TURN, _END, _CALL, _CALL_END, _RESULT, _RESULT_END, _CHANNEL, _CHANNEL_END, "<eos>")
_HEADER = 64


class _GemmaParser(_markers.MarkerParser):
    """`<|tool_call>` opens a call; so does `call:` with the name of a tool and a brace."""

    def __init__(self, specs: Sequence[ToolSpec], thinking: bool) -> None:
        named = [f"call:{spec.name}{{" for spec in specs]
        super().__init__(specs, [*_STARTS, *named])
        texts = [rf"(?P<text>{'|'.join(map(re.escape, _STARTS))})"]
        texts += [rf"(?P<name>(?<!\w)(?={'|'.join(map(re.escape, named))}))"] if named else []
        self.marks = re.compile("|".join(texts))
        self._thinking = thinking
        self._channel = ""

    def finish(self) -> Parsed:
        parsed = super().finish()
        if not self._thinking:
            # The message says how its turn was opened: thinking that nobody asked for stays in its tokens alone.
            return replace(parsed, thinking="")
        return parsed if parsed.thinking else replace(parsed, thinking="\n")

    def _mark(self, mark: re.Match[str], data: str) -> int:
        text = mark.group()
        self._lose()
        if text == _CALL or not text:
            if not text:
                self.mend(f"missing {_CALL}")
            self._collect(_Call(self.names))
        elif text == _CHANNEL:
            self.sink = "own"
        elif text in (_CHANNEL_END, _RESULT_END):
            self._break()
            self.sink = "text"
        elif text in (_RESULT, _TURN):
            self.sink = "drop"
        return mark.end()

    def _own(self, text: str) -> None:
        """The name of a channel, up to a line break. Whatever it is, the model speaks to itself there."""
        for at, char in enumerate(text):
            self._channel += char
            if char == "\n" or len(self._channel) > _HEADER:
                self._lose()
                self._emit(text[at + 1 :])
                return

    def _lose(self) -> None:
        if self.sink != "own":
            return
        name, self._channel = self._channel, ""
        self.sink = "think"
        self._emit("" if name.strip() in ("thought", "") else name)

    def _ending(self) -> None:
        self._lose()
        super()._ending()


_SPECIAL = re.compile(r'<\|"\|>|<tool_call\|>|<\|tool_call>|[{}\[\]"\\<]')
_MARKERS = re.compile(r"<tool_call\|>|<\|tool_call>|<\|tool_response>")
_NAMED = re.compile(r"\s*(?:call:)?\s*([^\s{}\[\]\"]{1,128})\s*")
_TEXTS = (_gemma.QUOTE, _CALL_END, _CALL)
_LONGEST = max(map(len, _TEXTS))


class _Call:
    """One call: a name, then its arguments up to the brace that closes them."""

    def __init__(self, names: frozenset[str]) -> None:
        self.openings: list[str] = []
        self._names = names
        self._head = ""
        self._objects: _markers.Objects | None = None
        self._raw: list[str] = []
        self._hold = ""
        self._depth = 0
        self._string = ""
        self._again = ""

    def feed(self, data: str, at: int) -> int | None:
        while not self.openings and self._objects is None:
            if at == len(data):
                return None
            char = data[at]
            if char == "{":
                self._open()
                continue
            if char == "<" or len(self._head) > 4 * _HEADER or (char == "\n" and self._head.strip()):
                return at
            self._head += char
            at += 1
        if self._objects is not None:
            end = self._objects.feed(data, at)
            self.openings = self._objects.openings
            return end
        return self._body(data, at)

    def _open(self) -> None:
        named = _NAMED.fullmatch(self._head)
        if named:
            self.openings = [named.group(1)]
        else:
            self._objects = _markers.Objects(self._names, any_name=True)

    def _body(self, data: str, at: int) -> int | None:
        begin, text = at, self._hold + data[at:]
        shift = begin - len(self._hold)
        self._hold, done = "", 0
        at = 0
        while found := _SPECIAL.search(text, at):
            mark = found.group()
            if mark == "<":
                tail = text[found.start() : found.start() + _LONGEST]
                if any(one.startswith(tail) for one in _TEXTS):
                    self._hold = tail
                    self._raw.append(text[done : found.start()])
                    return None
                at = found.end()
                continue
            at = found.end()
            if mark == "\\":
                at += self._string == '"'
                if at > len(text):
                    self._hold = mark
                    self._raw.append(text[done : found.start()])
                    return None
            elif self._step(mark):
                self._again = mark if mark == _CALL else ""
                self._raw.append(text[done : found.start() if mark in _TEXTS[1:] else at])
                return shift + at
        self._raw.append(text[done:])
        return None

    def _step(self, mark: str) -> bool:
        """Whether the call ends with this mark."""
        if self._string:
            if mark == self._string:
                self._string = ""
            return False
        if mark in (_gemma.QUOTE, '"'):
            self._string = mark
        elif mark in "{[":
            self._depth += 1
        elif mark in "}]":
            self._depth -= 1
            return self._depth <= 0
        return mark in _TEXTS[1:]

    def close(self, *, ended: bool) -> Caught:
        if self._objects is not None:
            return self._objects.close(ended=ended)
        raw, rest = "".join(self._raw) + self._hold, self._again
        if not self.openings:
            return Caught([], text=self._head.strip())
        name = self.openings[0]
        mark = _MARKERS.search(raw) if not ended and self._string else None
        if mark:
            raw, rest = raw[: mark.start()], raw[mark.start() :]
        value = _gemma.read(raw)
        if value is None or not isinstance(value.value, dict):
            missing = Caught([(name, {})], rest=rest, repairs=("missing arguments",))
            return missing if ended else Caught([], cut=(name, {}))
        call = name, value.value
        if value.cut and (mark or not ended):
            return Caught([], rest=rest, repairs=value.repairs, cut=call)
        return Caught([call], rest=rest, repairs=value.repairs, unclosed=not ended)
