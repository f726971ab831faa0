"""The dialects by name, and the one that a published chat template asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from ...errors import ConfigError
from ..base import Dialect

# Name to module, class and arguments: only the one that is asked for is loaded.
_DIALECTS: Mapping[str, tuple[str, str, tuple[Any, ...], Mapping[str, Any]]] = {
    "hermes": ("hermes", "Hermes", ("hermes",), {}),
    "qwen3": ("hermes", "Hermes", ("qwen3",), {"thinks": True}),
    "coder": ("coder", "Coder", (), {}),
    "qwen35": ("qwen35", "Qwen35", (), {}),
    "qwen3-coder": ("qwen3coder", "Qwen3Coder", (), {}),
    "glm": ("glm", "Glm", ("glm",), {}),
    "glm46": ("glm", "Glm", ("glm46",), {"lined": True}),
    "kimi": ("kimi", "Kimi", ("kimi",), {}),
    "kimi-thinking": ("kimi", "Kimi", ("kimi-thinking",), {"thinks": "written"}),
    "kimi25": ("kimi", "Kimi", ("kimi25",), {"thinks": "open"}),
    "minimax": ("minimax", "MiniMax", (), {}),
    "llama3": ("llama3", "Llama3", (), {}),
    "mistral": ("mistral", "Mistral", ("mistral",), {}),
    "ministral": ("mistral", "Mistral", ("ministral",), {"ids": False}),
    "harmony": ("harmony", "Harmony", (), {}),
    "gemma": ("gemma", "Gemma", (), {}),
}


# What only the templates of one family hold all of; the first row that fits counts.
_MARKS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("[gMASK]<sop>", "<arg_key>", "/nothink"), "glm46"),
    (("[gMASK]<sop>", "<arg_key>"), "glm"),
    (("<|tool_calls_section_begin|>", "<|im_middle|>", "thinking is defined"), "kimi25"),
    (("<|tool_calls_section_begin|>", "<|im_middle|>", "<think>"), "kimi-thinking"),
    (("<|tool_calls_section_begin|>", "<|im_middle|>"), "kimi"),
    (("<minimax:tool_call>", "]~b]"), "minimax"),
    (("<|start|>", "<|channel|>", "<|message|>"), "harmony"),
    (("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"), "mistral"),
    (("[TOOL_CALLS]", "[ARGS]", "[INST]"), "ministral"),
    (("<|start_header_id|>", '"parameters": dictionary of argument name'), "llama3"),
    (("<|turn>", "<|tool_call>"), "gemma"),
)

# Forms of families that do not name their form: the turns at least are right.
_TURNS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("<|start_header_id|>", "<|eot_id|>"), "llama3"),
    (("[SYSTEM_PROMPT]", "[INST]"), "ministral"),
)

# What a template holds where its model can think; () where we know no way to let it.
_THOUGHTS = dict.fromkeys(("hermes", "coder", "qwen3-coder", "kimi", "llama3"), ()) | {
    "harmony": ("<|channel|>",),
    "mistral": ("[THINK]",),
    "ministral": ("[THINK]",),
}


def names() -> tuple[str, ...]:
    return tuple(_DIALECTS)


def by_name(name: str) -> Dialect:
    """Raises ConfigError for a name that no dialect has."""
    if name not in _DIALECTS:
        raise ConfigError(f"unknown dialect {name!r}; there are {', '.join(_DIALECTS)}")
    return _made(name)


@cache
def _made(name: str) -> Dialect:
    module, kind, positional, named = _DIALECTS[name]
    made: Dialect = getattr(import_module(f".{module}", __package__), kind)(*positional, **named)
    return made


def detect(template_text: str) -> str | None:
    """The dialect of a model by its chat template; None where we have none for it.

    Later Qwen2.5-Coder files give themselves away by the doubled braces of their template.
    Earlier ones publish the plain Qwen2.5 template: of those the catalogue knows better.
    """
    return _marked(_MARKS, template_text) or _qwen(template_text) or _marked(_TURNS, template_text)


def thinks(name: str, template_text: str) -> bool:
    """Whether a model with this dialect and chat template can think before it answers."""
    return any(mark in template_text for mark in _THOUGHTS.get(name, ("enable_thinking", "<think>")))


def _marked(rows: tuple[tuple[tuple[str, ...], str], ...], template_text: str) -> str | None:
    return next((name for marks, name in rows if all(mark in template_text for mark in marks)), None)


def _qwen(template_text: str) -> str | None:
    if "<|im_start|>" not in template_text or "<tool_call>" not in template_text:
        return None
    if "<function=" in template_text:
        if "enable_thinking" in template_text:
            return "qwen35"
        return "qwen3-coder"
    if "arguments" not in template_text:
        return None
    if "enable_thinking" in template_text or "assistant\\n<think>" in template_text:
        return "qwen3"
    return "coder" if '{{\\"name\\"' in template_text else "hermes"
