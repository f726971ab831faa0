"""The parameter form of Qwen3.5: `<tool_call>`, `<function=NAME>`, one `<parameter=KEY>` a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...values import Message, ToolCall, ToolSpec
from .. import gbnf, gbnf_shape
from ..base import CallGrammar, Parser, Segment, Template, ToolChoice, Trigger, Untrusted
from . import _chatml as chatml
from ._collect import Forms
from ._stream import StreamParser

_TOOLS_HEAD = "# Tools\n\nYou have access to the following functions:\n\n<tools>\n"
_TOOLS_FOOT = (
    "</tools>\n\nIf you choose to call a function ONLY reply in the following format with NO suffix:\n\n"
    "<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n</parameter>\n"
    "<parameter=example_parameter_2>\nThis is the value for the second parameter\nthat can span\nmultiple lines\n"
    "</parameter>\n</function>\n</tool_call>\n\n<IMPORTANT>\nReminder:\n"
    "- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested "
    "within <tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n"
    "- You may provide optional reasoning for your function call in natural language BEFORE the function call, "
    "but NOT after\n"
    "- If there is no function call available, answer the question like normal with your current knowledge and "
    "do not tell the user about function calls\n</IMPORTANT>"
)
_OPENER = "<tool_call>"
_THINK = "<think>\n"
_NO_THINKING = "<think>\n\n</think>\n\n"


class Qwen35:
    name = "qwen35"
    ends = chatml.ENDS
    opening = ""
    shows = True

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        system, rest = chatml.split_system(messages)
        segments = self._head(system, specs)
        query = chatml.last_query(rest)
        for at, message in enumerate(rest):
            if message.role == "tool":
                segments += chatml.results(rest, at, trim=True)
            elif message.role == "assistant":
                segments += self._assistant(message, at > query)
            else:
                segments += [Template(chatml.start(message.role)), *chatml.trimmed(chatml.content(message.parts)), Template(chatml.END)]
        segments.append(Template(chatml.start("assistant") + (_THINK if thinking else _NO_THINKING)))
        return chatml.tight(segments)

    def grammar(self, specs: Sequence[ToolSpec], choice: ToolChoice, *, parallel: bool = True) -> CallGrammar:
        if not specs or choice == "none":
            return CallGrammar()
        rules = gbnf.xml_calls(specs, before="\n<function=", after="</function>\n</tool_call>")
        return CallGrammar((Trigger(_OPENER, rules),), _OPENER if choice == "required" else "", once=not parallel)

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> Parser:
        types = {spec.name: _types(spec) for spec in specs}
        return StreamParser(Forms(frozenset(types), xml=types), thinking="open" if thinking else "")

    def _head(self, system: str | None, specs: Sequence[ToolSpec]) -> list[Segment]:
        text = (system or "").strip()
        if not specs:
            return [] if system is None else chatml.turn("system", text)
        return [
            Template(chatml.start("system") + _TOOLS_HEAD),
            Untrusted(chatml.tools_json(specs) + "\n"),
            Template(_TOOLS_FOOT),
            Untrusted(f"\n\n{text}" if text else ""),
            Template(chatml.END),
        ]

    def _assistant(self, message: Message, current: bool) -> list[Segment]:
        head = chatml.start("assistant")
        if message.generated and (current or not message.thinking):
            preamble = _THINK if message.thinking else _NO_THINKING
            return [Template(head + preamble), message.generated, Template(chatml.END)]
        segments: list[Segment] = [Template(head)]
        if current:
            thought = message.thinking.strip()
            segments += [Template(_THINK), Untrusted(thought + "\n"), Template("</think>\n\n")]
        text = chatml.plain(message.parts).strip()
        segments.append(Untrusted(text))
        for number, call in enumerate(message.calls):
            segments += [Template("\n" if number else "\n\n" if text else ""), *call_segments(call)]
        return [*segments, Template(chatml.END)]


def call_segments(call: ToolCall) -> list[Segment]:
    segments: list[Segment] = [Template(f"{_OPENER}\n<function="), Untrusted(f"{call.name}>\n")]
    for name, value in call.args.items():
        text = chatml.dump(value) if isinstance(value, (Mapping, list, tuple)) else str(value)
        segments += [Template("<parameter="), Untrusted(f"{name}>\n{text}\n"), Template("</parameter>\n")]
    return [*segments, Template("</function>\n</tool_call>")]


def _types(spec: ToolSpec) -> dict[str, frozenset[str]]:
    """The JSON types each parameter may have; empty where the schema does not say."""
    shapes = gbnf_shape.properties(spec.parameters)
    return {name: gbnf.json_types(schema, spec.parameters) for name, schema in shapes.items()}
