"""OpenAI's JSON -> our values. What makes no sense is refused with the field's name; unknown fields are left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..engine.base import Options, Sampling, ToolChoice
from ..values import Message, ToolSpec
from . import fields, history, schemas
from .refusals import Refused

_MAX_STOPS = 16
_MAX_USER = 256
_MAX_SEED = (1 << 63) - 1
_EFFORTS = {"none": False, "minimal": False, "low": True, "medium": True, "high": True, "xhigh": True, "max": True}
# Field of the request -> field of `Sampling` and its range.
_SAMPLING = {
    "temperature": ("temperature", 0.0, 2.0),
    "top_p": ("top_p", 0.0, 1.0),
    "min_p": ("min_p", 0.0, 1.0),
    "presence_penalty": ("presence_penalty", -2.0, 2.0),
    "frequency_penalty": ("frequency_penalty", -2.0, 2.0),
    "repeat_penalty": ("repeat_penalty", 0.1, 10.0),
}


@dataclass(frozen=True, slots=True)
class Chat:
    """One request for an answer, independent of the model that will give it.

    `thinking` None means the client said nothing; `sampling` holds what it set of the model's own.
    `max_tokens` None leaves the whole context. `options` lacks these three: `for_model` sets them. `pictures` are the bytes of
    those in the messages.
    """

    model: str
    messages: tuple[Message, ...]
    specs: tuple[ToolSpec, ...]
    options: Options
    thinking: bool | None = None
    sampling: Mapping[str, float | int] | None = None
    max_tokens: int | None = None
    stream: bool = False
    include_usage: bool = False
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    def for_model(self, thinks: bool, context: int, acting: Sampling, thoughtful: Sampling | None) -> Options:
        """The engine's options: what the client set over what suits the model."""
        # A call or JSON that is forced stands at the very start, where a thought would be.
        forced = self.options.schema is not None or self.options.tool_choice == "required"
        thinking = bool(self.thinking) and thinks and not forced
        base = thoughtful if thinking and thoughtful else acting
        return replace(
            self.options,
            thinking=thinking,
            max_tokens=min(self.max_tokens or context, context),
            sampling=replace(base, **self.sampling) if self.sampling else None,
        )


def read(body: Any, client: str = "") -> Chat:
    """`client` tells whose request it is, unless the request itself names a user. Raises `Refused`."""
    if not isinstance(body, Mapping):
        raise Refused("The body must be a JSON object.")
    _refuse_what_we_lack(body)
    pictures: dict[str, bytes] = {}
    messages = history.read(body.get("messages"), pictures)
    specs, choice, tool = _choice(schemas.tools(body.get("tools")), body.get("tool_choice"))
    stream_options = body.get("stream_options")
    return Chat(
        model=fields.text(body.get("model") or "", "model"),
        messages=messages,
        specs=specs,
        options=Options(
            tool_choice=choice,
            tool=tool,
            parallel=fields.flag(body, "parallel_tool_calls", True),
            schema=schemas.answer(body.get("response_format")),
            stop=_stop(body.get("stop")),
            logprobs=_logprobs(body),
            client=_user(body) or client,
        ),
        thinking=_thinking(body),
        sampling=_sampling(body),
        max_tokens=_max_tokens(body),
        pictures=pictures,
        stream=fields.flag(body, "stream", False),
        include_usage=bool(
            stream_options and fields.flag(fields.mapping(stream_options, "stream_options"), "include_usage", False)
        ),
    )


def _user(body: Mapping[str, Any]) -> str:
    named = next((body[name] for name in ("safety_identifier", "user") if body.get(name)), "")
    return named[:_MAX_USER] if isinstance(named, str) else ""


def _refuse_what_we_lack(body: Mapping[str, Any]) -> None:
    """Fields that would change the answer and that we cannot honour are not passed over in silence."""
    if fields.integer(body, "n", 1, 128) not in (None, 1):
        raise Refused("n must be 1: one answer a request.", param="n", code="unsupported_value")
    for name, instead in (("functions", "tools"), ("function_call", "tool_choice")):
        if body.get(name) and not body.get(instead):
            raise Refused(f"{name} is the old form; use {instead}.", param=name, code="unsupported_parameter")
    modalities = body.get("modalities")
    if modalities is not None and fields.items(modalities, "modalities") != ["text"]:
        raise Refused('modalities must be ["text"].', param="modalities", code="unsupported_value")
    if body.get("logit_bias"):
        raise Refused("logit_bias is not supported.", param="logit_bias", code="unsupported_parameter")


def _choice(specs: tuple[ToolSpec, ...], value: Any) -> tuple[tuple[ToolSpec, ...], ToolChoice, str]:
    """The tools to show, whether one must be called, and the one it must be."""
    match value:
        case None | "auto":
            return specs, "auto", ""
        case "none":
            return specs, "none", ""
        case "required":
            return _some(specs), "required", ""
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return _some(specs), "required", _known(specs, name)
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(allowed)}}:
            names = {_known(specs, _allowed(tool)) for tool in allowed}
            shown = tuple(spec for spec in specs if spec.name in names)
            return (_some(shown), mode, "") if mode == "required" else (shown, mode, "")
    text = 'tool_choice must be "auto", "none", "required" or {"type": "function", "function": {"name": ...}}.'
    raise Refused(text, param="tool_choice")


def _some(specs: tuple[ToolSpec, ...]) -> tuple[ToolSpec, ...]:
    if not specs:
        raise Refused("tool_choice asks for a call, and there are no tools.", param="tool_choice")
    return specs


def _known(specs: tuple[ToolSpec, ...], name: str) -> str:
    if name not in {spec.name for spec in specs}:
        raise Refused(f"tool_choice names {name!r}, which is not among the tools.", param="tool_choice")
    return name


def _allowed(tool: Any) -> str:
    match tool:
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return name
    raise Refused("tool_choice.allowed_tools.tools must name functions.", param="tool_choice")


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    given = [value] if isinstance(value, str) else fields.items(value, "stop")
    if len(given) > _MAX_STOPS:
        raise Refused(f"stop may hold {_MAX_STOPS} texts.", param="stop")
    found = tuple(fields.text(one, "stop") for one in given)
    if not all(found):
        raise Refused("stop must not hold an empty text.", param="stop")
    if any("\ud800" <= char <= "\udfff" for one in found for char in one):
        raise Refused("stop must not hold half a surrogate pair: no answer does.", param="stop")
    return found


def _logprobs(body: Mapping[str, Any]) -> int | None:
    wanted = fields.flag(body, "logprobs", False)
    top = fields.integer(body, "top_logprobs", 0, 20)
    if top and not wanted:
        raise Refused("top_logprobs needs logprobs to be true.", param="top_logprobs")
    return (top or 0) if wanted else None


def _thinking(body: Mapping[str, Any]) -> bool | None:
    """What the chat template is told goes before the general wish."""
    arguments = body.get("chat_template_kwargs")
    if arguments is not None:
        given = fields.mapping(arguments, "chat_template_kwargs")
        if given.get("enable_thinking") is not None:
            return fields.flag(given, "enable_thinking", False)
    effort = body.get("reasoning_effort")
    if effort is None:
        return None
    if not isinstance(effort, str) or effort not in _EFFORTS:
        raise Refused(f"reasoning_effort must be one of {', '.join(_EFFORTS)}.", param="reasoning_effort")
    return _EFFORTS[effort]


def _sampling(body: Mapping[str, Any]) -> dict[str, float | int]:
    found: dict[str, float | int] = {}
    for name, (own, low, high) in _SAMPLING.items():
        value = fields.number(body, name, low, high)
        if value is not None:
            found[own] = value
    top_k = fields.integer(body, "top_k", -1, 1 << 20)
    if top_k is not None:
        found["top_k"] = max(top_k, 0)
    seed = fields.integer(body, "seed", -_MAX_SEED - 1, _MAX_SEED)
    if seed is not None:
        found["seed"] = seed & 0x7FFF_FFFF
    return found


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if body.get(name) == -1:
            return None
        value = fields.integer(body, name, 1, 1 << 31)
        if value is not None:
            return value
    return None
