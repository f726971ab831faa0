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

    Later Qwen2.5-Coder files give themselves away by the doubled braces of their template.
    Earlier ones publish the plain Qwen2.5 template: of those the catalogue knows better.
    """
    if "<|im_start|>" not in template_text or "<tool_call>" not in template_text:
        return None
    if "<function=" in template_text:
        return "qwen35" if "enable_thinking" in template_text else None
    if "arguments" not in template_text:
        return None
    if "enable_thinking" in template_text:
        return "qwen3"
    return "coder" if '{{\\"name\\"' in template_text else "hermes"
