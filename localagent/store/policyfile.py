"""policy.yaml as it lies on the disk: the user's in the configuration folder, a project's in `.localagent`.

Only the form is checked here, with file and line in every complaint; what a rule means is the
policy's business. YAML is taken at its plainest: no tags, anchors or aliases, nothing nested deeply.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError
from . import paths, plain_yaml

VERDICTS = ("deny", "ask", "allow")
_EXAMPLE = ("rule_for", "text", "verdict")
_KEYS = (*VERDICTS, "examples")
_FORM = "It may hold lists of rules under allow, ask and deny, and examples."
_MOST_BYTES = 64 * 1024
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A text of the file and the line it stands in, from 1."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Example:
    """What the rules must say about one subject: `verdict` is deny, ask, allow, or none where no rule meets it."""

    kind: str
    text: str
    verdict: str
    line: int


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its path, the rules under each of `VERDICTS` in their order, and the examples."""

    where: str
    rules: Mapping[str, tuple[Line, ...]] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()


def path() -> str:
    """The user's own file."""
    return str(paths.config_dir() / "policy.yaml")


def project_path(workspace: str) -> str:
    return os.path.join(os.path.realpath(workspace), ".localagent", "policy.yaml")


def load() -> Document | None:
    """The user's file, None where there is none. ConfigError: `file:line: reason` and the next step."""
    return _load(path(), own=True)


def load_project(workspace: str) -> Document | None:
    """The file of the project, None where there is none. A link is not followed. ConfigError as for `load`."""
    return _load(project_path(workspace), own=False)


def _load(where: str, *, own: bool) -> Document | None:
    if not own and os.path.realpath(where) != where:
        raise ConfigError(f"{where}:1: it is reached through a link.", "Put the file itself there.")
    if not os.path.lexists(where):
        return _absent(where)
    data = _read(where, own)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{where}:{line}: the file is not UTF-8 text ({error.reason}).") from None
    return _document(text, where)


def _absent(where: str) -> None:
    """Raises ConfigError where it cannot even be said that there is no such file."""
    try:
        os.lstat(where)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _unreadable(where, error) from None


def _read(where: str, own: bool) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        fd = os.open(where, flags if own else flags | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise _unreadable(where, error) from None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigError(f"{where}:1: it is not a file.", "Put the file itself there, or remove it.")
        if own:
            _check_owner(where, facts)
        with os.fdopen(fd, "rb", closefd=False) as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(where, error) from None
    finally:
        os.close(fd)
    if len(data) > _MOST_BYTES:
        line = data.count(b"\n") + 1
        raise ConfigError(f"{where}:{line}: the file is larger than {_MOST_BYTES // 1024} KiB.", "Write fewer rules.")
    return data


def _unreadable(where: str, error: OSError) -> ConfigError:
    return ConfigError(f"{where}:1: it cannot be read: {error.strerror}.", "Make it readable, or remove it.")


def _check_owner(where: str, facts: os.stat_result) -> None:
    """Rules that somebody else could write are not the user's."""
    if not hasattr(os, "getuid"):
        return
    folders = dict.fromkeys((os.path.dirname(where), os.path.dirname(os.path.realpath(where))))
    for place, known in [(where, facts), *((folder, os.stat(folder)) for folder in folders)]:
        if known.st_uid not in (os.getuid(), 0):
            raise ConfigError(f"{where}:1: {place} belongs to someone else.", f"Make it yours: chown $USER {place}")
        sticky = stat.S_ISDIR(known.st_mode) and known.st_mode & stat.S_ISVTX
        if known.st_mode & 0o022 and not sticky:
            mode = stat.S_IMODE(known.st_mode)
            raise ConfigError(f"{where}:1: others may write {place} (mode {mode:04o}).", f"chmod go-w {place}")


# --- the text -------------------------------------------------------------------------------------


def _document(text: str, where: str) -> Document:
    root = _root(text, where)
    if root is None:
        return Document(where)
    found: dict[str, Any] = {}
    for key, node, line in _pairs(root, where, _KEYS, _FORM):
        found[key] = (node, line)
    rules = {key: tuple(_rules(key, found[key][0], where)) for key in VERDICTS if key in found}
    examples = tuple(_examples(found["examples"][0], where)) if "examples" in found else ()
    return Document(where, rules, examples)


def _root(text: str, where: str) -> Any:
    import yaml

    try:
        line, odd = plain_yaml.odd(yaml.parse(text, Loader=yaml.SafeLoader), _DEPTH)
        if odd:
            raise ConfigError(f"{where}:{line}: {odd} cannot stand here.", "Write plain texts, rules in quotes.")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{where}:{mark.line + 1 if mark else 1}: {error.problem or 'broken YAML'}.", _FORM) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(f"{where}:{line}: it holds a control character.", "Remove it.") from None
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value and root.style is None):
        return None
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{where}:{root.start_mark.line + 1}: the file must hold `key: value` lines.", _FORM)
    return root


def _pairs(node: Any, where: str, known: tuple[str, ...], form: str) -> Iterator[tuple[str, Any, int]]:
    """key, value node and line of a mapping with these keys, each once."""
    import yaml

    seen: dict[str, int] = {}
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list"
        if key not in known:
            raise ConfigError(f"{where}:{line}: {key}: there is no such key.", form)
        if key in seen:
            raise ConfigError(f"{where}:{line}: {key}: it already stands in line {seen[key]}.", "Join the two.")
        seen[key] = line
        yield key, value, line


def _items(key: str, node: Any, where: str) -> list[Any]:
    """The nodes of a list; a key with nothing behind it is an empty one."""
    import yaml

    if isinstance(node, yaml.ScalarNode) and not node.value and node.style is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        line = node.start_mark.line + 1
        raise ConfigError(f"{where}:{line}: {key} must be a list.", 'Write it as ["...", "..."] or with dashes.')
    return node.value


def _rules(key: str, node: Any, where: str) -> Iterator[Line]:
    for item in _items(key, node, where):
        yield Line(_text(item, where, f"a rule under {key}", 'Write it in quotes: "run(git push)".'), _line(item))


def _examples(node: Any, where: str) -> Iterator[Example]:
    import yaml

    form = 'Write {rule_for: "run", text: "git push", verdict: ask}.'
    for item in _items("examples", node, where):
        if not isinstance(item, yaml.MappingNode):
            raise ConfigError(f"{where}:{_line(item)}: an example names rule_for, text and verdict.", form)
        given = {
            key: Line(_text(value, where, key, form), _line(value))
            for key, value, _ in _pairs(item, where, _EXAMPLE, form)
        }
        missing = [key for key in _EXAMPLE if key not in given]
        if missing:
            raise ConfigError(f"{where}:{_line(item)}: the example lacks {' and '.join(missing)}.", form)
        verdict = given["verdict"]
        if verdict.text not in (*VERDICTS, "none"):
            raise ConfigError(f"{where}:{verdict.line}: a verdict is deny, ask, allow or none (got {verdict.text!r}).")
        yield Example(given["rule_for"].text, given["text"].text, verdict.text, _line(item))


def _text(node: Any, where: str, what: str, hint: str) -> str:
    import yaml

    if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str" or not node.value.strip():
        raise ConfigError(f"{where}:{_line(node)}: {what} must be a text.", hint)
    return node.value


def _line(node: Any) -> int:
    return node.start_mark.line + 1
