"""Llama 3.1 to 3.3: the whole answer is one object with `name` and `parameters`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ...values import Message, ToolCall, ToolSpec
from .. import gbnf, jsonish
from ..base import CallGrammar, Parser, Segment, Template, ToolChoice, Trigger, Untrusted, read_as
from . import _chatml as chatml
from . import _markers
from ._collect import Caught, Found

_START, _START_END, _TAG = "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>"
_END = "<|eot_id|>"
_ENDS = (_END, "<|eom_id|>", "<|end_of_text|>")
_FUNCTIONS = (
    "Given the following functions, please respond with a JSON for a function call with its proper arguments that best "
    'answers the given prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of argument '
    "name and its value}.Do not use variables.\n\n"
)
_OPENER = '{"name": "'
_OPENERS = (_OPENER, '{"name":"', '{\n  "name": "', '{\n    "name": "', '{"type": "function", "name": "')
_MORE = "; "


class Llama3:
    name = "llama3"
    ends = (*_ENDS, _START)
    opening = ""

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        system, rest = chatml.split_system(messages)
        day = _markers.today().strftime("%d %b %Y")
        told = "Environment: ipython\n" if specs else ""
        segments: list[Segment] = [
            Template(f"{_head('system')}{told}Cutting Knowledge Date: December 2023\nToday Date: {day}\n\n"),
            Untrusted((system or "").strip()),
            Template(_END),
        ]
        if specs:
            segments += [Template(_head("user") + _FUNCTIONS), Untrusted(_tools(specs)), Template("\n\n")]
            if rest and read_as(rest[0].role) == "user":
                segments.append(Untrusted(chatml.plain(rest[0].parts).strip()))
                rest = rest[1:]
            segments.append(Template(_END))
        for message in rest:
            segments += _turn(message)
        segments.append(Template(_head("assistant")))
        return chatml.tight(segments)

    def grammar(self, specs: Sequence[ToolSpec], choice: ToolChoice, *, parallel: bool = True) -> CallGrammar:
        if not specs or choice == "none":
            return CallGrammar()
        rules = gbnf.json_calls(specs, before="", between='", "parameters": ', after="}")
        behind_tag = gbnf.json_calls(specs, before=_OPENER, between='", "parameters": ', after="}")
        triggers = [Trigger(opener, rules, at_line_start=True) for opener in _OPENERS]
        triggers.append(Trigger(_TAG, behind_tag))
        if parallel:
            triggers.append(Trigger(_MORE + _OPENER, rules))
        return CallGrammar(tuple(triggers), _OPENER if choice == "required" else "", once=not parallel)

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> Parser:
        return _LlamaParser(specs)


def _head(role: str) -> str:
    return f"{_START}{role}{_START_END}\n\n"


def _tools(specs: Sequence[ToolSpec]) -> str:
    shown = (
        {"type": "function", "function": {"name": s.name, "description": s.description, "parameters": s.parameters}}
        for s in specs
    )
    return "\n\n".join(json.dumps(one, ensure_ascii=False, indent=4, default=dict) for one in shown)


def _turn(message: Message) -> list[Segment]:
    if message.role == "tool":
        return [Template(_head("ipython")), Untrusted(chatml.dump(chatml.result_text(message))), Template(_END)]
    if message.role != "assistant":
        return [Template(_head(read_as(message.role))), Untrusted(chatml.plain(message.parts).strip()), Template(_END)]
    if message.generated:
        return [Template(_head("assistant")), message.generated, Template(_END)]
    # The published template shows no words beside a call.
    text = _MORE.join(map(_call, message.calls)) if message.calls else chatml.plain(message.parts).strip()
    return [Template(_head("assistant")), Untrusted(text), Template(_END)]


def _call(call: ToolCall) -> str:
    return f'{{"name": "{call.name}", "parameters": {chatml.dump(call.args)}}}'


_OBJECT = r'[{\[][\s{]{0,40}"(?:type|name|function)"\s{0,4}:'
_MARKS = (
    rf"(?P<tag><\|python_tag\|>)|(?P<head><\|start_header_id\|>)|(?P<end><\|end_header_id\|>|<\|eo[tm]_id\|>|"
    rf"<\|end_of_text\|>)|(?P<fence>```)|(?P<bare>(?:^[ \t]{{0,16}}|; )(?={_OBJECT}))"
)
_STARTS = (_TAG, _START, _START_END, *_ENDS, "```")
_TAIL = re.compile(r'(?:[ \t]{0,16}|;|; )(?:[{\[][\s{]{0,40}(?:"\w{0,8}(?:"\s{0,4})?)?)?$')
_WINDOW = 96
_BEHIND_CODE = re.compile(r"<\|(?:eot_id|eom_id|python_tag)\|>")
_METHOD = re.compile(r"\s{0,16}([\w.-]{1,128}?)(?:\.call)?\(")
_METHOD_END = re.compile(r"\s*\)[\s,;]*")
_METHOD_LENGTH = 160
_PYTHON = re.compile(r"""\\.?|[()\[\]{}"']""", re.DOTALL)
_KEY = re.compile(r"\s*,?\s*(\w{1,64})\s*=\s*")


class _LlamaParser(_markers.MarkerParser):
    """Objects count as calls at the start of a line and one behind the other, not inside fences."""

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        lists = [f"[{spec.name}(" for spec in specs]
        super().__init__(specs, [*_STARTS, *lists], bare=False)
        python = rf"|(?P<python>^(?:{'|'.join(map(re.escape, lists))}))" if lists else ""
        self.marks = re.compile(_MARKS + python, re.MULTILINE)
        self._fenced = False

    def _undecided(self, data: str, at: int) -> int:
        for start in range(max(at, len(data) - _WINDOW), len(data)):
            if (data[start - 1] == "\n" or data[start] == ";") and _TAIL.match(data, start):
                return start
        return len(data)

    def _mark(self, mark: re.Match[str], data: str) -> int:
        if mark.lastgroup == "tag":
            self._collect(_Tagged(self.names))
        elif mark.lastgroup == "fence":
            self._fenced = not self._fenced
            self._emit(mark.group())
        elif mark.lastgroup == "bare":
            if self._fenced:
                self._emit(data[mark.start() : mark.end() + 1])
                return mark.end() + 1
            self._collect(_markers.Objects(self.names, any_name=False, opener=mark.group()))
        elif mark.lastgroup == "python" and not self._fenced:
            self._collect(_Python(self.names, "["))
            return mark.start() + 1
        elif mark.lastgroup == "python":
            self._emit(mark.group())
        elif mark.lastgroup == "head":
            self.sink = "own"
        return mark.end()

    def _own(self, text: str) -> None:
        """The role in the head of a message that the model began by itself."""
        _, line, rest = text.partition("\n")
        if line:
            self.sink = "text"
            self._emit(line + rest)


class _Tagged:
    """What follows `<|python_tag|>`: JSON, or a call in Python; any other code is text."""

    def __init__(self, names: frozenset[str]) -> None:
        self.openings: list[str] = []
        self._names = names
        self._body: _markers.Objects | _Python | None = None

    def feed(self, data: str, at: int) -> int | None:
        while self._body is None and at < len(data):
            if data[at].isspace():
                at += 1
            elif data[at] in "{[":
                self._body = _markers.Objects(self._names, any_name=True)
            else:
                self._body = _Python(self._names, "")
        if self._body is None:
            return None
        end = self._body.feed(data, at)
        self.openings = self._body.openings
        return end

    def close(self, *, ended: bool) -> Caught:
        return self._body.close(ended=ended) if self._body else Caught([])


class _Python:
    """Calls in Python, `NAME(KEY=VALUE)` or `NAME.call(KEY=VALUE)`: up to a marker, or up to the end of a list."""

    def __init__(self, names: frozenset[str], opener: str) -> None:
        self.openings: list[str] = []
        self._names, self._opener = names, opener
        self._code: list[str] = []
        self._head = self._hold = self._again = ""
        self._depth, self._quote, self._skip = int(bool(opener)), "", False

    def feed(self, data: str, at: int) -> int | None:
        if self._opener:
            stop = self._list_end(data, at)
            part = data[at:stop]
        else:
            part, stop = self._code_end(data, at)
        self._code.append(part)
        if not self.openings and len(self._head) < _METHOD_LENGTH:
            self._head += part[: _METHOD_LENGTH - len(self._head)]
            method = _METHOD.match(self._head)
            self.openings = [method.group(1)] if method and method.group(1) in self._names else []
        return stop

    def _code_end(self, data: str, at: int) -> tuple[str, int | None]:
        """The code up to a marker, and the position behind that."""
        text = self._hold + data[at:]
        mark = _BEHIND_CODE.search(text)
        if mark:
            stop = at + mark.end() - len(self._hold)
            self._hold, self._again = "", mark.group()
            return text[: mark.start()], stop
        tail = text.rfind("<", max(0, len(text) - len(_TAG)))
        held = tail if tail >= 0 and any(one.startswith(text[tail:]) for one in (*_ENDS, _TAG)) else len(text)
        self._hold = text[held:]
        return text[:held], None

    def _list_end(self, data: str, at: int) -> int | None:
        start, self._skip = at + self._skip, False
        for found in _PYTHON.finditer(data, start):
            char = found.group()
            self._skip = char == "\\"
            if self._quote:
                self._quote = "" if char == self._quote else self._quote
            elif char in "\"'":
                self._quote = char
            elif char in "([{":
                self._depth += 1
            elif char in ")]}":
                self._depth -= 1
                if self._depth == 0:
                    return found.end()
        return None

    def close(self, *, ended: bool) -> Caught:
        code = "".join(self._code) + self._hold
        calls: list[Found] = []
        at = 0
        while (method := _METHOD.match(code, at)) and method.group(1) in self._names:
            args: dict[str, Any] = {}
            at = method.end()
            while key := _KEY.match(code, at):
                value = jsonish.read(code, key.end())
                if value is None:
                    break
                args[key.group(1)], at = value.value, value.end
                if value.cut:
                    return Caught(calls, rest=self._again, cut=(method.group(1), args))
            end = _METHOD_END.match(code, at)
            if end is None and not ended:
                return Caught(calls, cut=(method.group(1), args))
            calls.append((method.group(1), args))
            at = end.end() if end else len(code)
        if not calls:
            return Caught([], text=self._opener + code.rstrip(), rest=self._again)
        return Caught(calls, rest=self._again, repairs=("a Python call in place of JSON",))
