"""Hermes JSON: `<tool_call>` around one object with `name` and `arguments` (Qwen2.5, Qwen3)."""

from __future__ import annotations

from collections.abc import Sequence

from ...values import Message, ToolCall, ToolSpec
from .. import gbnf
from ..base import CallGrammar, Parser, Segment, Template, ToolChoice, Trigger, Untrusted
from . import _chatml as chatml
from ._collect import Forms
from ._stream import StreamParser

_DEFAULT_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
_TOOLS_HEAD = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
)
_TOOLS_FOOT = (
    "</tools>\n\nFor each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>' + chatml.END
)
_NO_THINKING = "<think>\n\n</think>\n\n"
_OPENER = "<tool_call>"


class Hermes:
    """Renders as the published template does; `thinks` is the Qwen3 form of it."""

    ends = chatml.ENDS
    opening = ""
    shows = True

    def __init__(self, name: str = "hermes", *, thinks: bool = False) -> None:
        self.name = name
        self._thinks = thinks

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        system, rest = chatml.split_system(messages)
        segments = self._head(system, specs)
        query = chatml.last_query(rest)
        for at, message in enumerate(rest):
            if message.role == "tool":
                segments += chatml.results(rest, at)
            elif message.role == "assistant":
                segments += self._assistant(message, at > query, at + 1 == len(rest))
            else:
                segments += [Template(chatml.start(message.role)), *chatml.content(message.parts), Template(chatml.END)]
        segments.append(Template(chatml.start("assistant") + self._preamble(thinking)))
        return chatml.tight(segments)

    def grammar(self, specs: Sequence[ToolSpec], choice: ToolChoice, *, parallel: bool = True) -> CallGrammar:
        if not specs or choice == "none":
            return CallGrammar()
        rules = gbnf.json_calls(specs, before='\n{"name": "', between='", "arguments": ', after="}\n</tool_call>")
        return CallGrammar((Trigger(_OPENER, rules),), _OPENER if choice == "required" else "", once=not parallel)

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> Parser:
        forms = Forms(names=frozenset(spec.name for spec in specs), fences=True, bare=True)
        return StreamParser(forms, thinking="written" if self._thinks and thinking else "")

    def _preamble(self, thinking: bool) -> str:
        return _NO_THINKING if self._thinks and not thinking else ""

    def _head(self, system: str | None, specs: Sequence[ToolSpec]) -> list[Segment]:
        if system is None and not self._thinks:
            system = _DEFAULT_SYSTEM
        if not specs:
            return [] if system is None else chatml.turn("system", system)
        return [
            Template(chatml.start("system")),
            Untrusted("" if system is None else system + "\n\n"),
            Template(_TOOLS_HEAD),
            Untrusted(chatml.tools_json(specs) + "\n"),
            Template(_TOOLS_FOOT),
        ]

    def _assistant(self, message: Message, current: bool, last: bool) -> list[Segment]:
        head = chatml.start("assistant")
        if message.generated and (current or not message.thinking):
            return [Template(head + self._preamble(bool(message.thinking))), message.generated, Template(chatml.END)]
        segments: list[Segment] = [Template(head)]
        text = chatml.plain(message.parts)
        if self._thinks and current and (message.thinking or last):
            segments += [
                Template("<think>\n"),
                Untrusted(message.thinking.strip("\n") + "\n"),
                Template("</think>\n\n"),
            ]
            text = text.lstrip("\n")
        segments.append(Untrusted(text))
        for number, call in enumerate(message.calls):
            segments += [Untrusted("\n" if number or text else ""), *_call(call)]
        return [*segments, Template(chatml.END)]


def _call(call: ToolCall) -> list[Segment]:
    body = f'{{"name": "{call.name}", "arguments": {chatml.dump(call.args)}}}\n'
    return [Template(_OPENER + "\n"), Untrusted(body), Template("</tool_call>")]
