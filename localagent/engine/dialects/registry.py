"""The dialects by name, and the one that a published chat template asks for."""

from __future__ import annotations

from ...errors import ConfigError
from ..base import Dialect
from .coder import Coder
from .hermes import Hermes
from .qwen35 import Qwen35

_DIALECTS: dict[str, Dialect] = {
    "hermes": Hermes("hermes"),
    "qwen3": Hermes("qwen3", thinks=True),
    "coder": Coder(),
    "qwen35": Qwen35(),
}


def names() -> tuple[str, ...]:
    return tuple(_DIALECTS)


def by_name(name: str) -> Dialect:
    """Raises ConfigError for a name that no dialect has."""
    if name not in _DIALECTS:
        raise ConfigError(f"unknown dialect {name!r}; there are {', '.join(_DIALECTS)}")
    return _DIALECTS[name]


def detect(template_text: str) -> str | None:
    """The dialect of a model by its chat template; None where we have none for it.

    Qwen2.5 and Qwen2.5-Coder publish the same template, so "coder" is never detected:
    the catalogue says which file is a coder model.
    """
    if "<|im_start|>" not in template_text or "<tool_call>" not in template_text:
        return None
    if "<function=" in template_text:
        return "qwen35" if "enable_thinking" in template_text else None
    if '"arguments' not in template_text and "arguments" not in template_text:
        return None
    return "qwen3" if "enable_thinking" in template_text else "hermes"
