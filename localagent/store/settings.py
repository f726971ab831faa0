"""The user's config.yaml: read once, checked wholly, every complaint with file and line."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, UsageError
from . import paths
from .atomic import write_atomic

DEFAULT_HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose. `context` is in tokens, `idle_s` in seconds.

    `model` None means the catalogue's default, `threads` None as many as help,
    `index_url` None whatever pip is configured to use, `language` None the locale's, `theme` None the dark one,
    `quiet_hours` None for none, `search_url` None for no search of the web. `secret_patterns` are regular expressions.
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


Check = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _OneOf:
    choices: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        if value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        return value


def _one_of(*choices: str) -> Check:
    return _OneOf(choices)


def _integer(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ValueError("must be a number of seconds above 0")
    return float(value)


def _seconds_or_none(value: Any) -> float:
    return 0.0 if value in (0, 0.0) and not isinstance(value, bool) else _seconds(value)


def _hours(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", value.strip()):
        raise ValueError('must be two times of day, such as "22:00-07:00"')
    return value.strip()


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise ValueError("must be a text of one line")
    return value.strip()


def _url(*schemes: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must be an address that begins with {' or '.join(f'{s}://' for s in schemes)}")
        return value.rstrip("/")

    return check


def _search(value: Any) -> str:
    address = _url("https", "http")(value)
    if address.count("{query}") != 1 or "{" in address.replace("{query}", ""):
        raise ValueError("must hold {query} once, where the words to search for go")
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,4}|:[1-5][0-9]{4}|:6[0-4][0-9]{3}|:65[0-4][0-9]{2})?/.*", address):
        raise ValueError("must name its host plainly, such as https://search.example.org/search?q={query}&format=json")
    return address


def _expressions(value: Any) -> tuple[str, ...]:
    import re

    listed = [value] if isinstance(value, str) and value else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise ValueError("must be a list of regular expressions")
    for one in listed:
        try:
            if re.compile(one).search("") is not None:
                raise ValueError(f"must not match nothing at all ({one!r} does)")
        except re.error as error:
            raise ValueError(f"holds {one!r}, which is no regular expression: {error}") from None
    return tuple(listed)


# key -> (check, may be null, what it is)
_KEYS: Mapping[str, tuple[Check, bool, str]] = {
    "model": (_text, True, "the model to use: an id of the catalogue or the path of a GGUF file"),
    "mode": (
        _one_of("plan", "ask", "auto"),
        False,
        "plan (read only), ask (changes ask), auto (undoable changes do not)",
    ),
    "context": (_integer(1024, 1_048_576), False, "tokens the model can see at once; more needs more memory"),
    "threads": (_integer(1, 1024), True, "threads the engine computes with; null for as many as help"),
    "power": (
        _one_of("auto", "full", "save"),
        False,
        "auto (half the threads on a low battery or a hot processor), full (never), save (always)",
    ),
    "secret_patterns": (
        _expressions,
        True,
        "regular expressions of more secrets to hide from the model (of the whole match, or of its first group)",
    ),
    "idle_s": (_seconds, False, "seconds without a request after which the engine frees its memory"),
    "undo_mb": (
        _integer(0, 1_048_576),
        False,
        "MB that earlier contents, kept for undo, may take; the oldest go first, never the newest session's",
    ),
    "background": (_yes_or_no, False, "true offers the model tools for commands that go on in the background"),
    "plans": (_one_of("auto", "always", "never"), False, "whether the model writes plans: auto (models of 4 GB or more), always, never"),
    "language": (_one_of("en", "de", "zh", "es"), True, "language of the terminal app; null for the locale's"),
    "theme": (_text, True, "look of the terminal app, as /theme names it; null for the dark one"),
    "motion": (_yes_or_no, False, "false leaves out spinners and other movement in the terminal app"),
    "plain": (_yes_or_no, False, "true makes `localagent` a conversation in plain lines, for screen readers"),
    "hold_s": (_seconds_or_none, False, "seconds in which a message that was agreed to can still be taken back"),
    "messages_per_hour": (_integer(0, 100_000), False, "messages an hour that each channel sends at most; 0 for no limit"),
    "quiet_hours": (_hours, True, "times of day in which no message goes out, such as 22:00-07:00"),
    "memory": (_yes_or_no, False, "false neither shows the model what is remembered nor lets it ask to remember"),
    "local_only": (_yes_or_no, False, "true never uses a model on another machine"),
    "search_url": (
        _search,
        True,
        "where the web is searched, with {query} in it, such as http://localhost:8888/search?q={query}&format=json",
    ),
    "hub": (_url("https", "http"), False, "where models are downloaded from"),
    "index_url": (_url("https", "http", "file"), True, "Python index of the starter models; null for pip's own"),
}


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
        for key, (check, _, help) in _KEYS.items()
    ]


def _choices(check: Check) -> tuple[str, ...]:
    return check.choices if isinstance(check, _OneOf) else ("true", "false") if check is _yes_or_no else ()


def set_value(key: str, value: str, file: Path | None = None) -> Settings:
    """Write `key: value` (YAML text; "null" removes a choice) and leave the rest of the file alone.

    UsageError for an unknown key or a value it cannot have; ConfigError where the file is already wrong.
    """
    import yaml

    where = file or path()
    if key not in _KEYS:
        raise UsageError(f"There is no setting {key!r}.", f"The settings are: {', '.join(_KEYS)}.")
    text, _ = _read(where)
    _from_text(text, where)
    try:
        _checked(key, _scalar(value))
    except ValueError as error:
        raise UsageError(f"{key} {error} (got {value!r}).") from None
    written = yaml.safe_dump(_scalar(value), allow_unicode=True, width=1 << 20).removesuffix("\n...\n").strip()
    new = _replaced(text, where, key, written)
    settings = _from_text(new, where)
    write_atomic(where, new.encode())
    return settings


def _scalar(value: str) -> Any:
    """What YAML makes of it, or the text itself where YAML would read something else than a scalar."""
    import yaml

    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return read if isinstance(read, str | int | float | bool | None) else value


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
        if key not in _KEYS:
            raise ConfigError(
                f"{where}:{line}: {key}: there is no such setting.", f"The settings are: {', '.join(_KEYS)}."
            )
        try:
            checked = _checked(key, value)
        except ValueError as error:
            raise ConfigError(f"{where}:{line}: {key}: {error} (got {value!r}).") from None
        if checked is not None or key not in ("hub", "secret_patterns"):
            chosen[key] = checked
    return replace(base, **chosen)


def _checked(key: str, value: Any) -> Any:
    check, may_be_null, _ = _KEYS[key]
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


assert set(_KEYS) == {field.name for field in fields(Settings)}
