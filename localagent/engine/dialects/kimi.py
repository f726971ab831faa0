"""Kimi K2: calls in a section of control tokens, each with an id `functions.NAME:NUMBER` and JSON arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from ...values import Message, ToolSpec
from .. import gbnf_forms
from ..base import CallGrammar, Parser, Segment, Template, ToolChoice, Trigger, Untrusted
from . import _chatml as chatml
from ._collect import Forms, Opener
from ._sections import ARGUMENTS, CALL, CALL_END, MARKS, SECTION, SECTION_END, SectionCalls
from ._stream import StreamParser

_MIDDLE, _END = "<|im_middle|>", "<|im_end|>"
_DEFAULT_SYSTEM = "You are Kimi, an AI assistant created by Moonshot AI."
_THINK, _NO_THINKING = "<think>", "<think></think>"
_ROLES = {"user": "<|im_user|>user", "host": "<|im_user|>user", "steer": "<|im_user|>user", "assistant": "<|im_assistant|>assistant"}


class Kimi:
    """Renders as the published template does.

    `thinks`: "" for K2 Instruct, "written" for K2 Thinking, which opens its thinking itself,
    "open" for K2.5, whose prompt opens it.
    """

    ends = ("<|im_end|>", "<|im_user|>", "<|im_assistant|>", "<|im_system|>")
    opening = ""

    def __init__(self, name: str = "kimi", *, thinks: Literal["", "open", "written"] = "") -> None:
        self.name = name
        self._thinks: Literal["", "open", "written"] = thinks

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        segments = self._head(messages, specs)
        ids = _Ids()
        old = _first_closed(messages)
        for at, message in enumerate(messages):
            if message.role == "tool":
                segments += [Template(_start("tool") + "## Return of "), Untrusted(ids.result(message))]
            elif message.role == "assistant":
                segments += self._assistant(message, ids, at > old)
            else:
                segments += [Template(_start(message.role)), Untrusted(chatml.plain(message.parts))]
            segments.append(Template(_END))
        segments.append(Template(_start("assistant") + self._preamble(thinking)))
        return chatml.tight(segments)

    def grammar(self, specs: Sequence[ToolSpec], choice: ToolChoice, *, parallel: bool = True) -> CallGrammar:
        if not specs or choice == "none":
            return CallGrammar()
        rules = {
            opened: gbnf_forms.section_calls(
                specs, opened=opened, prefix="functions.", call=CALL, arguments=ARGUMENTS, end=CALL_END,
                section_end=SECTION_END, several=parallel,
            )
            for opened in (SECTION, CALL)
        }  # fmt: skip
        triggers = tuple(Trigger(opened, grammar) for opened, grammar in rules.items())
        return CallGrammar(triggers, SECTION if choice == "required" else "", once=not parallel)

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> Parser:
        names = frozenset(spec.name for spec in specs)
        openers = tuple(
            Opener(pattern, lambda _, mark=mark: SectionCalls(names, mark), (mark,))
            for mark, pattern in ((SECTION, r"<\|tool_calls_section_begin\|>"), (CALL, r"<\|tool_call_begin\|>"))
        )
        forms = Forms(names, fences=True, bare=True, openers=openers, strays=MARKS[1:2] + MARKS[3:])
        return StreamParser(forms, thinking=self._thinks if thinking else "")

    def _preamble(self, thinking: bool) -> str:
        if not self._thinks:
            return ""
        return _NO_THINKING if not thinking else _THINK if self._thinks == "open" else ""

    def _head(self, messages: Sequence[Message], specs: Sequence[ToolSpec]) -> list[Segment]:
        segments: list[Segment] = []
        if specs:
            segments = [Template(_start("tool_declare")), Untrusted(self._tools(specs)), Template(_END)]
        if messages and messages[0].role == "system":
            return segments
        line = "" if self._thinks else "\n"
        return [*segments, Template(_start("system") + _DEFAULT_SYSTEM + _END + line)]

    def _tools(self, specs: Sequence[ToolSpec]) -> str:
        lines = chatml.tools_json(specs).split("\n")
        if self._thinks == "open":
            lines = [json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":")) for line in lines]
        return "[" + ("," if self._thinks == "open" else ", ").join(lines) + "]"

    def _assistant(self, message: Message, ids: _Ids, current: bool) -> list[Segment]:
        head = _start("assistant")
        calls = [ids.call(call.name) for call in message.calls]
        if message.generated and (current or not message.thinking):
            return [Template(head + self._preamble(bool(message.thinking))), message.generated]
        segments: list[Segment] = [Template(head)]
        if self._thinks:
            thought = message.thinking if current else ""
            segments += [Template(_THINK), Untrusted(thought), Template("</think>")]
        segments.append(Untrusted(chatml.plain(message.parts)))
        if calls:
            segments.append(Template(SECTION))
            for spelt, call in zip(calls, message.calls, strict=True):
                segments += [Template(CALL), Untrusted(spelt), Template(ARGUMENTS), Untrusted(chatml.dump(call.args))]
                segments.append(Template(CALL_END))
            segments.append(Template(SECTION_END))
        return segments


class _Ids:
    """The ids of calls, counted through the whole conversation, and those whose results are due."""

    def __init__(self) -> None:
        self._count = 0
        self._due: list[str] = []

    def call(self, name: str) -> str:
        spelt = f"functions.{name}:{self._count}"
        self._count += 1
        self._due.append(spelt)
        return spelt

    def result(self, message: Message) -> str:
        spelt = self._due.pop(0) if self._due else f"functions.unknown:{self._count}"
        return f"{spelt}\n{chatml.result_text(message)}"


def _start(role: str) -> str:
    return _ROLES.get(role, f"<|im_system|>{role}") + _MIDDLE


def _first_closed(messages: Sequence[Message]) -> int:
    """The position of the first answer without calls in a closed turn, -1 without one: up to there thinking is dropped."""
    closed = messages[: max(chatml.last_query(messages), 0)]
    return next((at for at, m in enumerate(closed) if m.role == "assistant" and not m.calls), -1)
