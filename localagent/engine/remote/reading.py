"""One streamed chat completion, piece by piece: words, thoughts, calls, and what it cost. Never raises, whatever comes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...events import TextDelta, ThinkingDelta
from ...values import ToolCall, Usage
from .. import jsonish
from .form import Said, mapping

_OPEN, _CLOSE = "<think>", "</think>"
_THOUGHTS = ("reasoning_content", "reasoning")
_STOPS: Mapping[str, Literal["end", "stop", "length"]] = {"stop": "end", "tool_calls": "end", "function_call": "end", "length": "length"}
_MOST_CALLS, _MOST_DETAILS = 64, 2000
_MOST = 2 << 20
"""Characters of an answer, far beyond what any model says: an endpoint need not hold to `max_tokens`."""
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class _Call:
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Reading:
    """What an answer has said so far; `finish` tells the rest. `known` are the names of tools it may call."""

    known: frozenset[str]
    text: str = ""
    thinking: str = ""
    usage: Usage = Usage()
    stop: Literal["end", "stop", "length"] | None = None
    model: str = ""
    size: int = 0
    _calls: dict[int, _Call] = field(default_factory=dict)
    _details: list[Any] = field(default_factory=list)
    _held: str = ""
    _inside: bool = False
    _fresh: bool = False

    def feed(self, event: Any) -> Iterator[TextDelta | ThinkingDelta]:
        """One event of the stream, or a whole answer of an endpoint that does not stream."""
        event = mapping(event)
        self._used(mapping(event.get("usage")))
        choices = event.get("choices")
        for choice in choices[:1] if isinstance(choices, list) else ():
            choice = mapping(choice)
            if isinstance(reason := choice.get("finish_reason"), str):
                self.stop = _STOPS.get(reason, "end")
            yield from self._delta(mapping(choice.get("delta") or choice.get("message")))

    @property
    def full(self) -> bool:
        """Whether nothing more is taken: the answer counts as cut."""
        if self.size > _MOST:
            self.stop = "length"
        return self.size > _MOST

    def finish(self) -> Iterator[TextDelta | ThinkingDelta]:
        """What was held back because it might have been the beginning of a mark."""
        held, self._held = self._held, ""
        if held:
            yield self._said(held)

    @property
    def said(self) -> Said:
        return Said(self.thinking, tuple(self._details))

    def calls(self) -> tuple[tuple[ToolCall, ...], tuple[str, ...], bool]:
        """The calls, what was mended in them, and whether the last one is cut."""
        made: list[ToolCall] = []
        repairs: list[str] = []
        cut = False
        for _, call in sorted(self._calls.items()):
            if not call.name:
                continue
            read = jsonish.read(call.arguments or "{}")
            cut = self.stop == "length" if read is None else read.cut
            args = read.value if read is not None and isinstance(read.value, dict) else {}
            repairs += read.repairs if read is not None else ("the arguments were no JSON",)
            made.append(ToolCall(f"call_{len(made) + 1}", call.name, args))
        return tuple(made), tuple(repairs), cut

    # ------------------------------------------------------------ within

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[TextDelta | ThinkingDelta]:
        details = delta.get("reasoning_details")
        if isinstance(details, list) and len(self._details) < _MOST_DETAILS:
            self._details[-1:] = _joined([*self._details[-1:], *details])
            self.size += len(str(details))
        thought = next((value for name in _THOUGHTS if isinstance(value := delta.get(name), str) and value), "")
        if thought:
            thought = self._taken(thought)
            self.thinking += thought
            yield ThinkingDelta(thought)
        content = delta.get("content")
        if isinstance(content, list):
            content = "".join(str(mapping(part).get("text", "")) for part in content)
        if isinstance(content, str) and content:
            yield from self._words(self._taken(content))
        calls = delta.get("tool_calls")
        for at, call in enumerate(calls) if isinstance(calls, list) else ():
            self._call(at, mapping(call))

    def _taken(self, text: str) -> str:
        """Counted, and without halves of characters, which nobody can write down."""
        self.size += len(text)
        return _HALF.sub("\ufffd", text)

    def _words(self, content: str) -> Iterator[TextDelta | ThinkingDelta]:
        """Thoughts that come between marks in the text are told from it."""
        self._held += content
        while self._held:
            if self._fresh:
                # The marks stand on lines of their own.
                self._held = self._held.lstrip("\n")
                self._fresh = not self._held
                continue
            mark = _CLOSE if self._inside else _OPEN
            before, found, behind = self._held.partition(mark)
            if found:
                # An answer begins with its thoughts: a mark later on is text that somebody talks about.
                if not self._inside and (self.text.strip() or before.strip()):
                    yield self._said(before + found)
                    self._held = behind
                    continue
                if before and self._inside:
                    yield self._said(before)
                self._inside, self._held, self._fresh = not self._inside, behind, True
                continue
            keep = max((n for n in range(1, len(mark)) if self._held.endswith(mark[:n])), default=0)
            now, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
            if now:
                yield self._said(now)
            return

    def _said(self, text: str) -> TextDelta | ThinkingDelta:
        if self._inside:
            self.thinking += text
            return ThinkingDelta(text)
        self.text += text
        return TextDelta(text)

    def _call(self, at: int, call: Mapping[str, Any]) -> None:
        index = call.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else at
        function = mapping(call.get("function"))
        name, arguments = function.get("name"), function.get("arguments")
        there = self._calls.get(index)
        # Some endpoints number every call 0: a second name is a second call.
        if there is not None and isinstance(name, str) and name and there.name and there.name != name:
            index = max(self._calls) + 1
        if len(self._calls) >= _MOST_CALLS and index not in self._calls:
            return
        there = self._calls.setdefault(index, _Call())
        if isinstance(name, str) and name and there.name != name:
            there.name += self._taken(name)
        if isinstance(arguments, str):
            there.arguments += self._taken(arguments)
        elif isinstance(arguments, Mapping):
            import json

            there.arguments = self._taken(json.dumps(arguments, ensure_ascii=False, default=str))

    def _used(self, usage: Mapping[str, Any]) -> None:
        if not usage:
            return
        cached = mapping(usage.get("prompt_tokens_details")).get("cached_tokens") or usage.get("cached_tokens") or 0
        self.usage = Usage(_count(usage.get("prompt_tokens")), _count(cached), _count(usage.get("completion_tokens")))


def _joined(details: list[Any]) -> list[Any]:
    """Pieces of one reasoning block put together: what goes back is what a whole answer would have held."""
    made: list[Any] = []
    for one in details:
        last = made[-1] if made else None
        same = isinstance(one, Mapping) and isinstance(last, dict) and one.get("index") is not None
        if same and isinstance(last, dict) and (last.get("index"), last.get("type")) == (one.get("index"), one.get("type")):
            for key, value in one.items():
                grows = key in ("text", "summary", "data") and isinstance(value, str) and isinstance(last.get(key), str)
                last[key] = last[key] + value if grows else value if value is not None else last.get(key)
        else:
            made.append(dict(one) if isinstance(one, Mapping) else one)
    return made


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
