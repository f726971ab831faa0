"""A tool's description as it came from a worker, held to what may reach the model, the policy and the screen.

The code that described itself may have changed every word of it on the way.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..values import EFFECTS, ToolSpec

_DESCRIPTION = 2_000
_SCHEMA = 16_000
_DEEP = 24
_HOSTS = 20
_SECRETS = 10


class Odd(ValueError):
    """A description that is none, said with what to do about it."""


def spec(file: Path, item: Mapping[str, Any]) -> ToolSpec:
    """Raises Odd, and KeyError, TypeError or ValueError for what is not even of its form."""
    from .derive import HOST, NAME, SECRET

    name, description, effects = str(item["name"]), str(item["description"]), tuple(item["effects"])
    if not NAME.match(name):
        raise Odd(f"{plain(name)[:80]!r} is no tool name; use lower-case letters, digits and _")
    if not all(effect in EFFECTS for effect in effects):
        raise Odd(f"{name} declares an unknown effect in {effects!r:.200}; known are {', '.join(EFFECTS)}")
    if len(description) > _DESCRIPTION:
        raise Odd(f"{name} is described in {len(description):,} characters; say it in {_DESCRIPTION:,} at most")
    parameters = item["parameters"]
    if parameters["type"] != "object" or not isinstance(parameters["properties"], dict):
        raise ValueError("its parameters are no object")
    if _depth(parameters) > _DEEP:
        raise Odd(f"{name} has parameters that lie more than {_DEEP} levels deep; use flatter ones")
    text = json.dumps(parameters, ensure_ascii=False)
    if len(text) > _SCHEMA:
        raise Odd(f"{name} has parameters of {len(text):,} characters, more than {_SCHEMA:,}; name fewer choices, or less of each")
    if (found := odd(description)) or (found := _odd_in(parameters)):
        raise Odd(f"{name} has the invisible or control character {found} in its texts; take it out")
    hosts, secrets = tuple(map(str, item.get("hosts", ()))), tuple(map(str, item.get("secrets", ())))
    if hosts and ("net" not in effects or len(hosts) > _HOSTS or not all(map(HOST.fullmatch, hosts))):
        raise ValueError("it declares hosts that are none")
    if len(secrets) > _SECRETS or not all(map(SECRET.match, secrets)):
        raise ValueError("it declares secrets with names that are none")
    timeout = min(max(float(item["timeout"]), 0.1), 86400.0)
    told = (name, description, parameters, effects, str(file), timeout)
    posts = "send" in effects and "net" not in effects
    return ToolSpec(*told, posts=posts, hosts=hosts, secrets=secrets, confirm=bool(item.get("confirm")))


def odd(text: str) -> str:
    """The first character that would be drawn as nothing, as something else, or would act on a screen; "" where there is none."""
    for char in text:
        if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and char not in "\u200c\u200d":
            return f"U+{ord(char):04X}"
    return ""


def plain(text: str) -> str:
    """The text with such characters spelt out."""
    return "".join(f"\\u{{{ord(char):x}}}" if odd(char) or char == "\n" else char for char in text)[:1000]


def _odd_in(value: Any) -> str:
    if isinstance(value, str):
        return odd(value)
    if isinstance(value, Mapping):
        return next((found for key, one in value.items() if (found := odd(str(key)) or _odd_in(one))), "")
    if isinstance(value, list):
        return next((found for one in value if (found := _odd_in(one))), "")
    return ""


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        if depth > _DEEP:
            return depth
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, Mapping) else one if isinstance(one, list) else ())
        ]
    return depth
