"""MiniMax M2: `<minimax:tool_call>` around one `<invoke name="…">` or several, strings raw in `<parameter>`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...values import Message, ToolCall, ToolSpec
from .. import gbnf_forms, rawtext
from ..base import CallGrammar, Parser, Segment, Template, ToolChoice, Trigger, Untrusted, read_as
from . import _chatml as chatml
from ._collect import Forms, Opener
from ._stream import StreamParser
from ._tagged import Marks, TaggedCalls

_OPENER, _CLOSER = "<minimax:tool_call>", "</minimax:tool_call>"
_INVOKE = "<invoke name="
_END = "[e~[\n"
_ATTRIBUTE = """ name=(?:"(?P<{0}>[^"<>\\n]{{1,128}})"|'?(?P<{1}>[^\\s"'<>]{{1,128}})'?) ?>"""
_MARKS = Marks(
    tags=re.compile(
        "(?P<open><minimax:tool_call>)|(?P<close></minimax:tool_call>)"
        f"|(?P<call><invoke{_ATTRIBUTE.format('name', 'bare')})|(?P<endcall></invoke>)"
        f"|(?P<key><parameter{_ATTRIBUTE.format('named', 'loose')})|(?P<endvalue></parameter>)"
    ),
    texts=(_OPENER, _CLOSER, _INVOKE, "</invoke>", "<parameter name=", "</parameter>"),
    opener=_OPENER, closer=_CLOSER, value_end="</parameter>",
    partial=re.compile(
        r"""<(?:invoke|parameter) name=(?:"[^"<>\n]{0,128}|"[^"<>\n]{1,128}" ?|'?[^\s"'<>]{0,128}'? ?)"""
    ),
    many=True,
)  # fmt: skip
_DEFAULT_SYSTEM = "You are a helpful assistant."
_TOOLS_HEAD = (
    "\n\n# Tools\nYou may call one or more tools to assist with the user query.\n"
    "Here are the tools available in JSONSchema format:\n\n<tools>\n"
)
_TOOLS_FOOT = (
    "</tools>\n\nWhen making tool calls, use XML format to invoke tools and pass parameters:\n\n"
    '<minimax:tool_call>\n<invoke name="tool-name-1">\n<parameter name="param-key-1">param-value-1</parameter>\n'
    '<parameter name="param-key-2">param-value-2</parameter>\n...\n</invoke>\n</minimax:tool_call>'
)
_THINK, _NO_THINKING = "<think>\n", "<think>\n\n</think>\n\n"
_SPELLING = gbnf_forms.Spelling(
    '<invoke name="', '">\n', '<parameter name="', '">', "</parameter>", "\n", "</invoke>\n"
)


class MiniMax:
    """Renders as the published template does, which always thinks; without thinking its block is closed at once."""

    name = "minimax"
    ends = ("[e~[", "]~b]", "]~!b[")
    opening = ""

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        system, rest = chatml.split_system(messages)
        segments = _head(system, specs)
        query = chatml.last_query(rest)
        for at, message in enumerate(rest):
            if message.role == "tool":
                segments += _result(rest, at)
            elif message.role == "assistant":
                segments += [*_assistant(message, at > query), Template(_END)]
            else:
                segments += [Template(_start(message.role)), Untrusted(chatml.plain(message.parts)), Template(_END)]
        segments.append(Template(_start("ai") + _preamble(thinking)))
        return chatml.tight(segments)

    def grammar(self, specs: Sequence[ToolSpec], choice: ToolChoice, *, parallel: bool = True) -> CallGrammar:
        if not specs or choice == "none":
            return CallGrammar()
        rules = gbnf_forms.tagged_calls(specs, _SPELLING, before="\n", after=_CLOSER, several=parallel)
        return CallGrammar((Trigger(_OPENER, rules),), _OPENER if choice == "required" else "", once=not parallel)

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> Parser:
        tools, names = rawtext.tools(specs), frozenset(spec.name for spec in specs)
        missing = (f"missing {_OPENER}",)
        openers = (
            Opener(_OPENER, lambda _: TaggedCalls(_MARKS, tools, "out"), (_OPENER,)),
            Opener(f"(?={_INVOKE})", lambda _: TaggedCalls(_MARKS, tools, "out", missing), (_INVOKE,)),
        )
        forms = Forms(names, fences=True, bare=True, openers=openers, strays=(_CLOSER, "</invoke>"))
        return StreamParser(forms, thinking="open" if thinking else "")


def _start(role: str) -> str:
    return f"]~b]{read_as(role)}\n"


def _preamble(thinking: bool) -> str:
    return _THINK if thinking else _NO_THINKING


def _head(system: str | None, specs: Sequence[ToolSpec]) -> list[Segment]:
    segments: list[Segment] = [Template("]~!b[" + _start("system")), Untrusted(system or "")]
    if not system:
        segments.append(Template(_DEFAULT_SYSTEM))
    if specs:
        segments.append(Template(_TOOLS_HEAD))
        for spec in specs:
            tool = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
            segments += [Template("<tool>"), Untrusted(chatml.dump(tool)), Template("</tool>\n")]
        segments.append(Template(_TOOLS_FOOT))
    return [*segments, Template(_END)]


def _assistant(message: Message, current: bool) -> list[Segment]:
    if message.generated and (current or not message.thinking):
        return [Template(_start("ai") + _preamble(bool(message.thinking))), message.generated]
    segments: list[Segment] = [Template(_start("ai"))]
    if message.thinking and current:
        thought = Untrusted(message.thinking.removesuffix("\n") + "\n")
        segments += [Template(_THINK), thought, Template("</think>\n\n")]
    segments.append(Untrusted(chatml.plain(message.parts)))
    if message.calls:
        calls = [segment for call in message.calls for segment in _call(call)]
        segments += [Template(f"\n{_OPENER}\n"), *calls, Template(_CLOSER)]
    return segments


def _call(call: ToolCall) -> list[Segment]:
    segments: list[Segment] = [Template('<invoke name="'), Untrusted(call.name), Template('">\n')]
    for key, value in call.args.items():
        text = value if isinstance(value, str) else chatml.dump(value)
        segments += [Template('<parameter name="'), Untrusted(key), Template('">'), Untrusted(text)]
        segments.append(Template("</parameter>\n"))
    return [*segments, Template("</invoke>\n")]


def _result(messages: Sequence[Message], at: int) -> list[Segment]:
    """One tool result; neighbours share one turn."""
    first = at == 0 or messages[at - 1].role != "tool"
    last = at + 1 == len(messages) or messages[at + 1].role != "tool"
    return [
        Template(("]~b]tool" if first else "") + "\n<response>"),
        Untrusted(chatml.result_text(messages[at])),
        Template("</response>" + (_END if last else "")),
    ]
