"""channels.yaml in the configuration folder: the user's channels, and no secret of any.

Only the form is checked here, with file and line in every complaint; what a kind's settings mean is known to
`channels`. The file names commands that are run, so nobody else may be able to write it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError, UsageError
from . import paths
from .atomic import write_atomic
from .lock import locked

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SECRET = re.compile(r"(?:^|_)(?:pass|password|passwd|passphrase|secret|token|api_?key|credentials?)$")
_MOST_BYTES = 256 * 1024
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Configured:
    """One channel as it stands in the file: `options` are texts, numbers, true, false, or lists of texts."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


def path() -> Path:
    return paths.config_dir() / "channels.yaml"


def is_secret(key: str) -> bool:
    """Whether the setting's name says that its value is a secret."""
    return _SECRET.search(key) is not None


def load() -> dict[str, Configured]:
    """name -> channel, in the file's order. ConfigError: `file:line: reason` and the next step."""
    return _read()[1]


def one(name: str) -> Configured:
    """Raises UsageError for a channel that there is not."""
    known = load()
    if name not in known:
        there = f"The channels are: {', '.join(known)}." if known else "Add one with `localagent channels add`."
        raise UsageError(f"There is no channel {name!r}.", there)
    return known[name]


def add(name: str, kind: str, options: Mapping[str, Any]) -> None:
    """Write a new channel behind the others. UsageError for a name that cannot be, is taken, or for a secret."""
    import yaml

    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a channel.", "Use up to 32 of a-z, 0-9, - and _.")
    for key in options:
        if is_secret(key):
            raise UsageError(f"{key} is a secret and is not written into {path()}.")
    with _alone():
        text, known = _read()
        if name in known:
            raise UsageError(f"There is a channel {name!r} already.", f"Remove it with `localagent channels rm {name}`.")
        made = yaml.safe_dump({name: {"kind": kind, **options}}, allow_unicode=True, sort_keys=False, width=1 << 20)
        new = f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{made}"
        _parsed(new)
        write_atomic(path(), new.encode())


def remove(name: str) -> bool:
    """Take a channel out of the file and leave the rest of it as it is; whether it was there."""
    with _alone():
        text, known = _read()
        if name not in known:
            return False
        nodes = _nodes(text)
        node = nodes[name][1]
        if node.flow_style or _root(text).flow_style:
            raise ConfigError(f"{known[name].place}: {name} is written in braces.", "Take it out by hand.")
        lines = text.splitlines(keepends=True)
        # The value's end mark lies behind what follows it; lines without indentation below are others'.
        first, last = nodes[name][0].start_mark.line, nodes[name][0].start_mark.line + 1
        while last < len(lines) and (lines[last].startswith((" ", "\t")) and lines[last].strip()):
            last += 1
        new = "".join([*lines[:first], *lines[last:]])
        if set(_parsed(new)) != set(known) - {name}:
            raise ConfigError(f"{known[name].place}: {name} cannot be taken out by itself.", "Take it out by hand.")
        write_atomic(path(), new.encode())
        return True


def _alone() -> Any:
    return locked(path().with_suffix(".lock"), poll_s=0.01)


def _read() -> tuple[str, dict[str, Configured]]:
    where = path()
    try:
        with where.open("rb") as file:
            _check_owner(where, os.fstat(file.fileno()))
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return "", {}
    except OSError as error:
        raise ConfigError(f"{where}: it cannot be read: {error.strerror}.") from None
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{where}:1: the file is larger than {_MOST_BYTES // 1024} KiB.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{where}:{line}: the file is not UTF-8 text ({error.reason}).") from None
    return text, _parsed(text)


def _check_owner(where: Path, facts: os.stat_result) -> None:
    if os.name == "nt":
        return
    if facts.st_uid not in (os.getuid(), 0):
        raise ConfigError(f"{where}:1: it belongs to someone else.", "Only your own file is read.")
    if stat.S_IMODE(facts.st_mode) & 0o022:
        raise ConfigError(f"{where}:1: others can write it.", f"Close it with `chmod go-w {where}`.")


def _parsed(text: str) -> dict[str, Configured]:
    return {name: _channel(name, key, node) for name, (key, node) in _nodes(text).items()}


def _root(text: str) -> Any:
    import yaml

    where = path()
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken):
                raise ConfigError(f"{where}:{token.start_mark.line + 1}: anchors, aliases and tags have no use here.")
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{where}:{mark.line + 1 if mark else 1}: {error.problem or 'broken YAML'}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{where}:1: {(str(error).splitlines() or ['broken YAML'])[0]}.") from None


def _nodes(text: str) -> dict[str, tuple[Any, Any]]:
    """name -> (node of the key, node of the value); a name twice is refused."""
    import yaml

    root = _root(text)
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path()}:{root.start_mark.line + 1}: the file must hold `name:` with settings beneath.")
    return _pairs(root)


def _pairs(node: Any) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in found:
            first = found[key][0].start_mark.line + 1
            raise ConfigError(f"{path()}:{line}: {key}: it already stands in line {first}.")
        found[key] = (key_node, value_node)
    return found


def _channel(name: str, key: Any, node: Any) -> Configured:
    import yaml

    place = f"{path()}:{key.start_mark.line + 1}"
    if not NAME.fullmatch(name):
        raise ConfigError(f"{place}: {name!r} cannot be the name of a channel.", "Use up to 32 of a-z, 0-9, - and _.")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{place}: {name}: settings must stand beneath it, `kind: email` among them.")
    options: dict[str, Any] = {}
    for option, (option_node, value_node) in _pairs(node).items():
        at = f"{path()}:{option_node.start_mark.line + 1}: {name}: {option}"
        if is_secret(option):
            raise ConfigError(
                f"{at}: a secret does not belong into this file.",
                f"Take it out and store it with `localagent channels secret {name}`, or use {option}_command.",
            )
        if not _KEY.fullmatch(option):
            raise ConfigError(f"{at}: it cannot be the name of a setting.")
        options[option] = _value(value_node, at)
    kind = options.pop("kind", None)
    if not isinstance(kind, str):
        raise ConfigError(f"{place}: {name}: the kind is missing.", "Say, for example, `kind: email`.")
    return Configured(name, kind, options, place)


def _value(node: Any, at: str) -> Any:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
            raise ConfigError(f"{at}: it must be a list of texts.")
        return [str(item.value) for item in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{at}: it must be a text, a number, true or false.")
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{at}: {str(error).splitlines()[0]}.") from None
    finally:
        loader.dispose()
    if not isinstance(value, str | bool | int):
        value = node.value
    if isinstance(value, str) and (len(value) > _LONGEST or any(ord(ch) < 32 or ord(ch) == 127 for ch in value)):
        raise ConfigError(f"{at}: it must be a text of one line.")
    return value
