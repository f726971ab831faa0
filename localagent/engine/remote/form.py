"""Our messages and options as the body of a chat completion, in the form that each kind of endpoint wants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...values import Image, Message, Text, ToolSpec
from ..base import Options, Sampling, read_as
from ..entry import Remote

# Top-level fields of OpenAI's own; other endpoints take the rest too, or leave it alone.
_SAMPLED = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_LOCAL_TOO = ("top_k", "min_p")


@dataclass(frozen=True, slots=True)
class Said:
    """What an endpoint said beside the text of an answer, and wants to hear again. `details` are opaque."""

    reasoning: str = ""
    details: tuple[Any, ...] = ()


@dataclass(slots=True)
class Memory:
    """What was said with which call: an answer with calls is known by the first of them, for ids are ours alone."""

    known: dict[tuple[str, ...], Said] = field(default_factory=dict)

    def keep(self, message: Message, said: Said) -> None:
        if message.calls and said.details:
            self.known[_key(message)] = said

    def of(self, message: Message) -> Said:
        return self.known.get(_key(message), Said(message.thinking))


def _key(message: Message) -> tuple[str, ...]:
    return tuple(f"{call.name} {json.dumps(dict(call.args), sort_keys=True, default=str)}" for call in message.calls)


def body(
    messages: Sequence[Message],
    specs: Sequence[ToolSpec],
    options: Options,
    remote: Remote,
    sampling: Sampling | None,
    memory: Memory,
) -> dict[str, Any]:
    """The request for one streamed answer."""
    made: dict[str, Any] = {
        "model": remote.model,
        "messages": [one for message in messages for one in _message(message, remote, memory)],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": options.max_tokens,
        **_thinking(remote.thinking, options.thinking),
    }
    if sampling is not None:
        made |= {name: getattr(sampling, name) for name in _SAMPLED if getattr(sampling, name) or name == "temperature"}
        made |= {name: getattr(sampling, name) for name in _LOCAL_TOO if getattr(sampling, name)}
        if sampling.seed is not None:
            made["seed"] = sampling.seed
    if options.stop:
        made["stop"] = list(options.stop)
    if options.schema is not None:
        made["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(options.schema), "strict": True},
        }
    elif specs and options.tool_choice != "none":
        made["tools"] = [_tool(spec) for spec in specs]
        if options.tool:
            made["tool_choice"] = {"type": "function", "function": {"name": options.tool}}
        elif options.tool_choice == "required":
            made["tool_choice"] = "required"
        if not options.parallel:
            made["parallel_tool_calls"] = False
    return made


def _thinking(how: str, on: bool) -> dict[str, Any]:
    """The field that switches thinking: `always` and "" know none."""
    match how:
        case "" | "always":
            return {}
        case "enable_thinking":
            return {"enable_thinking": on}
        case "thinking.type":
            return {"thinking": {"type": "enabled" if on else "disabled"}}
        case "reasoning":
            return {"reasoning": {"enabled": on}}
        case "reasoning_effort":
            return {"reasoning_effort": "medium" if on else "none"}
        case "chat_template_kwargs":
            return {"chat_template_kwargs": {"enable_thinking": on}}
    return {how: on}


def _tool(spec: ToolSpec) -> dict[str, Any]:
    described = {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
    return {"type": "function", "function": described}


def _message(message: Message, remote: Remote, memory: Memory) -> list[dict[str, Any]]:
    if message.role == "tool":
        result = message.result
        text = _text(result.parts if result else message.parts)
        return [{"role": "tool", "tool_call_id": result.call_id if result else "", "content": text}]
    if message.role != "assistant":
        return [{"role": read_as(message.role), "content": _text(message.parts)}]
    made: dict[str, Any] = {"role": "assistant", "content": _text(message.parts) or None}
    if message.calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.args), ensure_ascii=False, default=str)},
            }
            for call in message.calls
        ]
    else:
        made["content"] = made["content"] or ""
    said = memory.of(message)
    if said.details:
        made["reasoning_details"] = list(said.details)
    elif said.reasoning and remote.echo == "think":
        made["content"] = f"<think>\n{said.reasoning.strip()}\n</think>\n\n{made['content'] or ''}"
    elif said.reasoning and remote.echo:
        made[remote.echo] = said.reasoning
    return [made]


def _text(parts: Sequence[Text | Image]) -> str:
    return "".join(part.text if isinstance(part, Text) else "[image]" for part in parts)


def mapping(value: Any) -> Mapping[str, Any]:
    """The object, {} where it is none."""
    return value if isinstance(value, Mapping) else {}
