"""How a channel describes what it has to be told before it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ChannelError


@dataclass(frozen=True, slots=True)
class Field:
    """One thing the user says about a channel. `secret`: it goes to the keyring, never into a file of ours."""

    name: str
    help: str
    required: bool = False
    secret: bool = False


def word(config: Mapping[str, Any], name: str, default: str = "") -> str:
    """The text of a field; ChannelError where it is something else."""
    value = config.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ChannelError(f"'{name}' of a channel has to be a text.")
    return str(value).strip()


def words(config: Mapping[str, Any], name: str) -> frozenset[str]:
    """The entries of a field that is a list, or one text with commas."""
    value = config.get(name) or ()
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, int) and not isinstance(parts, bool):
        parts = (parts,)
    if not isinstance(parts, list | tuple) or not all(isinstance(p, str | int) for p in parts):
        raise ChannelError(f"'{name}' of a channel has to be a list of texts.")
    return frozenset(str(part).strip() for part in parts if str(part).strip())


def flag(config: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A field that is yes or no."""
    value = config.get(name, default)
    if isinstance(value, str) and value.strip().lower() in ("yes", "true", "on", "no", "false", "off", ""):
        return value.strip().lower() in ("yes", "true", "on")
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ChannelError(f"'{name}' of a channel has to be true or false.")
    return value
