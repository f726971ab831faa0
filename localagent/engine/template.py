"""A model file's own chat template, rendered in a sandbox as its publisher would."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from ..errors import ModelError
from ..values import Message, ToolSpec
from .base import read_as


def render(
    template: str,
    messages: Sequence[Message],
    specs: Sequence[ToolSpec],
    *,
    thinking: bool,
    tokens: Mapping[str, str] | None = None,
) -> str:
    """The prompt up to where the next answer begins.

    `tokens` are the texts of bos_token and eos_token. ModelError where the template is no
    valid Jinja, refuses this history, or reaches for what the sandbox forbids. It gets copies:
    whatever it does to them, the history and the tools stay what they are.
    """
    import jinja2

    # Families name the switch for thinking differently, and none minds the other names.
    switches = {
        "enable_thinking": thinking,
        "thinking": thinking,
        "reasoning_effort": "medium" if thinking else "low",
    }
    try:
        return (
            _environment()
            .from_string(template)
            .render(
                messages=[_copy(_message(message)) for message in messages],
                tools=[_copy(_tool(spec)) for spec in specs] or None,
                add_generation_prompt=True,
                **switches,
                **(tokens or {}),
            )
        )
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise ModelError(f"The chat template cannot be rendered: {str(error).rstrip('.')}.") from None


def _environment() -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """Nothing that a template is given may be changed, but for lists, which some keep notes in."""

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            noting = type(obj) is list and attr in ("append", "pop")
            return noting or super().is_safe_attribute(obj, attr, value)

    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = _tojson
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return environment


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value, default=dict))


def _refuse(reason: str) -> NoReturn:
    import jinja2

    raise jinja2.TemplateError(reason)


def _tojson(value: Any, ensure_ascii: bool = False, **form: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **form)


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return {"type": "function", "function": function}


def _message(message: Message) -> dict[str, Any]:
    role = read_as(message.role)
    if message.result is not None:
        return {"role": role, "content": message.result.text, "tool_call_id": message.result.call_id}
    made: dict[str, Any] = {"role": role, "content": message.text}
    if message.thinking:
        made["reasoning_content"] = made["thinking"] = message.thinking
    if message.calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": dict(call.args)}}
            for call in message.calls
        ]
    return made
