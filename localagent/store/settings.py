"""The user's config.yaml: read once, checked wholly, every complaint with file and line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, UsageError
from . import paths
from .atomic import write_atomic
from .setting_values import KEYS, Check, OneOf, yes_or_no

DEFAULT_HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose. `context` is in tokens, `idle_s` in seconds.

    `model` None means the catalogue's default, `threads` None as many as help,
    `index_url` None whatever pip is configured to use, `language` None the locale's, `theme` None the dark one,
    `quiet_hours` None for none, `search_url` None for no search of the web, `bigger` None for no bigger model.
    `secret_patterns` are regular expressions; `budget` is in dollars and tokens (see `setting_values.LIMITS`), {} without limits.
    """

    model: str | None = None
    mode: str = "ask"
    context: int = 16384
    threads: int | None = None
    idle_s: float = 600.0
    hub: str = DEFAULT_HUB
    index_url: str | None = None
    power: str = "auto"
    secret_patterns: tuple[str, ...] = ()
    undo_mb: int = 2048
    background: bool = False
    language: str | None = None
    theme: str | None = None
    motion: bool = True
    plain: bool = False
    hold_s: float = 10.0
    messages_per_hour: int = 30
    quiet_hours: str | None = None
    search_url: str | None = None
    local_only: bool = False
    plans: str = "auto"
    memory: bool = True
    bigger: str | None = None
    escalate: str = "ask"
    fallback: tuple[str, ...] = ()
    budget: Mapping[str, float] = field(default_factory=dict)
    provider_tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as `config get` shows it. `source` is `default`, `HF_ENDPOINT`, or `file:line`.

    `choices` are the words it may be, () where it is not one of a few.
    """

    key: str
    value: Any
    source: str
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()


_LISTED = frozenset({"secret_patterns", "fallback", "budget", "provider_tools"})
_NEVER_NONE = frozenset({"hub", "secret_patterns", "fallback", "budget", "provider_tools"})
_SIMPLE = re.compile(r"(?:([a-z][a-z_]+): (0|[1-9][0-9]{0,17}|[a-z][a-z0-9-]*))?", re.ASCII)
_CONSTANTS = {"true": True, "false": False, "null": None}
_OTHERS = frozenset({"yes", "no", "on", "off", "y", "n"})
"""Words that YAML reads as true or false; left to YAML."""


def path() -> Path:
    """The file that `load` reads and `set_value` writes."""
    return paths.config_dir() / "config.yaml"


def load(file: Path | None = None) -> Settings:
    """The settings of `file` over the defaults. ConfigError: `file:line: key: reason`."""
    return _from_text(*_read(file or path()))


def describe(file: Path | None = None) -> list[Described]:
    """Every setting with its value and where that value comes from."""
    where = file or path()
    text, _ = _read(where)
    settings = _from_text(text, where)
    lines = {key: line for key, (_, line) in _entries(text, where).items()}
    base = _base()
    hub_source = "HF_ENDPOINT" if os.environ.get("HF_ENDPOINT") else "default"
    return [
        Described(
            key,
            getattr(settings, key),
            f"{where}:{lines[key]}" if key in lines else hub_source if key == "hub" else "default",
            help,
            getattr(base, key),
            _choices(check),
        )
        for key, (check, _, help) in KEYS.items()
    ]


def _choices(check: Check) -> tuple[str, ...]:
    return check.choices if isinstance(check, OneOf) else ("true", "false") if check is yes_or_no else ()


def set_value(key: str, value: str, file: Path | None = None) -> Settings:
    """Write `key: value` (YAML text; "null" removes a choice) and leave the rest of the file alone.

    UsageError for an unknown key or a value it cannot have; ConfigError where the file is already wrong.
    """
    import yaml

    where = file or path()
    if key not in KEYS:
        raise UsageError(f"There is no setting {key!r}.", f"The settings are: {', '.join(KEYS)}.")
    text, _ = _read(where)
    _from_text(text, where)
    try:
        _checked(key, _read_value(key, value))
    except ValueError as error:
        raise UsageError(f"{key} {error} (got {value!r}).") from None
    written = yaml.safe_dump(_read_value(key, value), allow_unicode=True, width=1 << 20, default_flow_style=True)
    written = written.removesuffix("\n...\n").strip()
    new = _replaced(text, where, key, written)
    settings = _from_text(new, where)
    write_atomic(where, new.encode())
    return settings


def _read_value(key: str, value: str) -> Any:
    """What YAML makes of it, or the text itself where YAML would read something else than such a setting can be."""
    import yaml

    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return read if isinstance(read, str | int | float | bool | None) or (key in _LISTED and isinstance(read, list | dict)) else value


def _replaced(text: str, where: Path, key: str, written: str) -> str:
    node = _nodes(text, where).get(key)
    if node is None:
        return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{key}: {written}\n"
    start, end = node.start_mark.index, node.end_mark.index
    gap = "" if text[start - 1 : start].isspace() else " "
    return f"{text[:start]}{gap}{written}{text[end:]}"


def _read(where: Path) -> tuple[str, Path]:
    try:
        return where.read_text(encoding="utf-8"), where
    except FileNotFoundError:
        return "", where
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}:1: the file is not UTF-8 text ({error.reason}).") from None
    except OSError as error:
        raise ConfigError(f"{where}: it cannot be read: {error.strerror}.") from None


def _base() -> Settings:
    """What holds where nobody chose."""
    return Settings(hub=(os.environ.get("HF_ENDPOINT") or DEFAULT_HUB).rstrip("/"))


def _from_text(text: str, where: Path) -> Settings:
    base = _base()
    chosen: dict[str, Any] = {}
    for key, (value, line) in _entries(text, where).items():
        if key not in KEYS:
            raise ConfigError(
                f"{where}:{line}: {key}: there is no such setting.", f"The settings are: {', '.join(KEYS)}."
            )
        try:
            checked = _checked(key, value)
        except ValueError as error:
            raise ConfigError(f"{where}:{line}: {key}: {error} (got {value!r}).") from None
        if checked is not None or key not in _NEVER_NONE:
            chosen[key] = checked
    return replace(base, **chosen)


def _checked(key: str, value: Any) -> Any:
    check, may_be_null, _ = KEYS[key]
    return None if value is None and may_be_null else check(value)


def _entries(text: str, where: Path) -> dict[str, tuple[Any, int]]:
    """key -> (value, line), in the file's order."""
    simple = _simple(text)
    if simple is not None:
        return simple
    found: dict[str, tuple[Any, int]] = {}
    for key, node in _nodes(text, where).items():
        line = node.start_mark.line + 1
        found[key] = (_value(node, f"{where}:{line}: {key}"), line)
    return found


def _simple(text: str) -> dict[str, tuple[Any, int]] | None:
    """A file of nothing but plain keys with words, whole numbers, true, false and null; None for any other.

    Most files are such, and loading a whole YAML library costs every start 10 ms.
    """
    found: dict[str, tuple[Any, int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _SIMPLE.fullmatch(line)
        if match is None or match[1] in found or match[1] in _OTHERS or match[2] in _OTHERS:
            return None
        if match[1]:
            word = match[2]
            value = _CONSTANTS[word] if word in _CONSTANTS else int(word) if word.isdigit() else word
            found[match[1]] = (value, number)
    return found


def _value(node: Any, place: str) -> Any:
    from yaml import SafeLoader, YAMLError

    loader = SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except (YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{place}: {reason}.") from None
    finally:
        loader.dispose()


def _nodes(text: str, where: Path) -> dict[str, Any]:
    """key -> YAML node of its value. Duplicate keys, lists and broken YAML are refused."""
    if not text.strip():
        return {}
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{where}:{mark.line + 1 if mark else 1}: {error.problem or 'broken YAML'}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}:1: {str(error).splitlines()[0]}.") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{where}:{root.start_mark.line + 1}: the file must hold `key: value` lines.")
    found: dict[str, Any] = {}
    for key_node, value_node in root.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in found:
            first = found[key].start_mark.line + 1
            raise ConfigError(f"{where}:{line}: {key}: it is already set in line {first}.")
        found[key] = value_node
    return found


assert set(KEYS) == {field.name for field in fields(Settings)}
