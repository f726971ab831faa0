"""Our own form for Qwen2.5-Coder, which answers with Markdown fences whatever it is told.

Calls are a JSON list in a ```json fence: a list is gone on with where single objects end after
the first. Where a tool runs programs, a script in a ```bash fence is a call of it and stands
first, since a small coder model acts with scripts where it only describes or misuses other
tools; there a line of JSON is a call. Tools are shown as one-line signatures; results come back
in the next user turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...values import Message, Text, ToolCall, ToolSpec
from .. import gbnf
from ..base import CallGrammar, Parser, Segment, Template, ToolChoice, Trigger, Untrusted
from . import _chatml as chatml
from . import _examples
from ._collect import Forms
from ._stream import StreamParser

_CALL = '{"name": "TOOL", "arguments": {"PARAMETER": "VALUE"}}'
_JSON = f"```json\n{_CALL}\n```"
_TOOLS_HEAD = "# Tools\n"
_TOOLS_FOOT = (
    "\n\nCall tools with a JSON list in a fence. A request for several things, places, people or times needs a call for "
    f"each. Leave out an optional parameter (?) that the request does not mention.\n```json\n[{_CALL}, {_CALL}]\n```"
)
_SHELL_HEAD = (
    "# Acting\nWrite one fenced block. It runs at once and you get its output. A shell script with the usual programs "
    "(ls, find, grep, wc, sort, sed, awk, mv, cp, mkdir) does most things:\n"
    "```bash\nfind . -name '*.txt' | wc -l\n```\n"
    f"These tools exist too, but not in scripts. One line of JSON is one call:\n{_JSON}\n"
)
_AFTER_RESULTS = "Request: {goal}\nIf all of it is done, answer in one sentence. Else make the next call."
_SPACINGS = ('{"name": "', '{"name":"', '{\n  "name": "', '{ "name": "')
_LINES = tuple(f"```json\n{spacing}" for spacing in _SPACINGS)
_LISTS = tuple(f"```json\n[{space}{spacing}" for space in ("", "\n  ") for spacing in (*_SPACINGS, '{\n    "name": "'))
_SENTENCE = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z])")
_MAX_DESCRIPTION = 160
_MAX_PARAMETER = 80
_MAX_GOAL = 300


class Coder:
    name = "coder"
    ends = chatml.ENDS
    opening = ""

    def render(self, messages: Sequence[Message], specs: Sequence[ToolSpec], *, thinking: bool) -> list[Segment]:
        system, rest = chatml.split_system(messages)
        segments = self._head(system, specs)
        names: dict[str, str] = {}
        goal = ""
        for at, message in enumerate(rest):
            names.update({call.id: call.name for call in message.calls})
            if message.role == "tool":
                last = at + 1 == len(rest) or rest[at + 1].role != "tool"
                first = at == 0 or rest[at - 1].role != "tool"
                segments += self._result(message, names, goal, first=first, last=last)
            elif message.role == "assistant":
                segments += self._assistant(message, specs)
            else:
                if message.role in ("user", "steer"):
                    goal = f"{goal} {_goal(message)}" if message.role == "steer" else _goal(message)
                segments += chatml.turn(message.role, chatml.plain(message.parts))
        segments.append(Template(chatml.start("assistant")))
        return chatml.tight(segments)

    def grammar(self, specs: Sequence[ToolSpec], choice: ToolChoice, *, parallel: bool = True) -> CallGrammar:
        if not specs or choice == "none":
            return CallGrammar()
        lines = _rules(specs, after="}\n```", again='}\n{"name": "' if parallel else "")
        lists = _rules(specs, after="}]\n```", again='}, {"name": "' if parallel else "")
        triggers = [Trigger(opener, lines, at_line_start=True) for opener in _LINES]
        triggers += [Trigger(opener, lists, at_line_start=True) for opener in _LISTS]
        forced = _LINES[0] if shell_tool(specs) else _LISTS[0]
        return CallGrammar(tuple(triggers), forced if choice == "required" else "", once=not parallel)

    def parser(self, specs: Sequence[ToolSpec], *, thinking: bool) -> Parser:
        names = frozenset(spec.name for spec in specs)
        return StreamParser(Forms(names, fences=True, bare=True, shell=shell_tool(specs)))

    def _head(self, system: str | None, specs: Sequence[ToolSpec]) -> list[Segment]:
        if not specs:
            return [] if system is None else chatml.turn("system", system)
        shell = shell_tool(specs)
        shown = [spec for spec in specs if not shell or spec.name != shell[0]]
        return [
            Template(chatml.start("system")),
            Untrusted("" if not system else system + "\n\n"),
            Template(_SHELL_HEAD if shell else _TOOLS_HEAD),
            Untrusted("\n".join(signature(spec) for spec in shown)),
            Template(chatml.END if shell else _TOOLS_FOOT + chatml.END),
            *_examples_for(shell, specs),
        ]

    def _assistant(self, message: Message, specs: Sequence[ToolSpec]) -> list[Segment]:
        if message.generated:
            return [Template(chatml.start("assistant")), message.generated, Template(chatml.END)]
        segments: list[Segment] = [Template(chatml.start("assistant")), Untrusted(chatml.plain(message.parts))]
        shell, lines = shell_tool(specs), list[str]()
        if not shell:
            return [*segments, *_list(message), Template(chatml.END)]
        blocks: list[tuple[str, str]] = []
        for call in message.calls:
            if shell and call.name == shell[0] and set(call.args) == {shell[1]}:
                blocks += [("json", "\n".join(lines))] if lines else []
                blocks.append(("bash", str(call.args[shell[1]])))
                lines = []
            else:
                lines.append(_line(call))
        blocks += [("json", "\n".join(lines))] if lines else []
        between = "\n\n" if segments[1] != Untrusted("") else ""
        for language, body in blocks:
            segments += [Template(f"{between}```{language}\n"), Untrusted(body + "\n"), Template("```")]
            between = "\n"
        return [*segments, Template(chatml.END)]

    def _result(
        self, message: Message, names: Mapping[str, str], goal: str, *, first: bool, last: bool
    ) -> list[Segment]:
        name = names.get(message.result.call_id, "the call") if message.result else "the call"
        segments: list[Segment] = [Template(chatml.start("user"))] if first else []
        body = chatml.result_text(message).strip("\n")
        segments += [Template("Result of "), Untrusted(f"{name}:\n{body}\n\n")]
        if not last:
            return segments
        before, behind = _AFTER_RESULTS.split("{goal}")
        return [*segments, Template(before), Untrusted(goal), Template(behind + chatml.END)]


def _rules(specs: Sequence[ToolSpec], *, after: str, again: str) -> str:
    return gbnf.json_calls(specs, before="", between='", "arguments": ', after=after, again=again)


def _list(message: Message) -> list[Segment]:
    """The calls of a message in one fence, behind its text."""
    if not message.calls:
        return []
    between = "\n\n" if chatml.plain(message.parts) else ""
    calls = ", ".join(map(_line, message.calls))
    return [Template(f"{between}```json\n["), Untrusted(calls), Template("]\n```")]


def _examples_for(shell: tuple[str, str] | None, specs: Sequence[ToolSpec]) -> list[Segment]:
    if not shell:
        return []
    read = any(spec.name == "read_file" for spec in specs)
    return [Template(_examples.shown(shell[0], read=read, after=_AFTER_RESULTS))]


def _goal(message: Message) -> str:
    """The first part of a user's message in one line: the request itself, without what the host tells after it."""
    first = next((part.text for part in message.parts if isinstance(part, Text)), "")
    words = " ".join(first.split())
    return words if len(words) <= _MAX_GOAL else words[:_MAX_GOAL] + "…"


def _line(call: ToolCall) -> str:
    return f'{{"name": "{call.name}", "arguments": {chatml.dump(call.args)}}}'


def shell_tool(specs: Sequence[ToolSpec]) -> tuple[str, str] | None:
    """The first tool that runs programs, and its first required string parameter: the script."""
    for spec in specs:
        if "run" in spec.effects:
            properties = spec.parameters.get("properties", {})
            for name in spec.parameters.get("required", ()):
                if properties.get(name, {}).get("type") == "string":
                    return spec.name, name
    return None


def signature(spec: ToolSpec) -> str:
    """A tool in one line: `name(a, b?: integer) - What it does. (a: what it is)`."""
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})
    required = set(spec.parameters.get("required", ()))
    shown = sorted(properties, key=lambda name: name not in required)
    parameters = ", ".join(_parameter(name, properties[name], name in required) for name in shown)
    words = " ".join(_SENTENCE.split(spec.description.strip(), maxsplit=1)[0].split())[:_MAX_DESCRIPTION]
    notes = "; ".join(
        f"{name}: {_note(properties[name])}"
        for name in shown
        if isinstance(properties[name], Mapping) and _note(properties[name])
    )
    return f"{spec.name}({parameters})" + (f" - {words}" if words else "") + (f" ({notes})" if notes else "")


def _note(schema: Mapping[str, Any]) -> str:
    return " ".join(str(schema.get("description", "")).split())[:_MAX_PARAMETER].rstrip(".")


def _parameter(name: str, schema: Any, required: bool) -> str:
    kind = _type(schema)
    return name + ("" if required else "?") + ("" if kind == "string" else f": {kind}")


def _type(schema: Any) -> str:
    """A schema as a short type. A parameter without a type shown is a string."""
    if not isinstance(schema, Mapping):
        return "any"
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if choices:
        return "|".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return "|".join(dict.fromkeys(_type(option) for option in options if _type(option) != "null"))
    kind = schema.get("type", "object" if "properties" in schema else "any")
    if isinstance(kind, (list, tuple)):
        return "|".join(one for one in kind if one != "null")
    if kind == "array":
        item = _type(schema.get("items", {}))
        return f"({item})[]" if "|" in item else f"{item}[]"
    properties = schema.get("properties")
    if kind == "object" and isinstance(properties, Mapping) and properties:
        required = set(schema.get("required", ()))
        return "{" + ", ".join(_parameter(name, properties[name], name in required) for name in properties) + "}"
    return str(kind)
