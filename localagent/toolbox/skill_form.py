"""SKILL.md as agentskills.io describes it: a head of plain YAML between two lines of dashes, then instructions. Pure.

YAML is taken at its plainest: no tags, anchors or aliases, every value a text. What is wrong is said with its line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..store import plain_yaml

FILE = "SKILL.md"
MOST_BYTES = 256 * 1024
_HEAD_BYTES = 16 * 1024
_DEPTH = 3
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_NAME_LENGTH, _DESCRIPTION_LENGTH, _COMPATIBILITY_LENGTH, _OTHER_LENGTH, _ENTRIES = 64, 1024, 500, 500, 50
_BIDI = frozenset((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C))
_KEYS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")


@dataclass(frozen=True, slots=True)
class Skill:
    """One SKILL.md. `line` is the one its instructions begin with, from 1. `allowed_tools` are its author's wish: they grant nothing.

    With any of `problems` it cannot be used; `hints` are worth a look. Both are sentences that begin with the line.
    """

    name: str = ""
    description: str = ""
    license: str = ""
    compatibility: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    allowed_tools: str = ""
    body: str = ""
    line: int = 1
    problems: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


class _Wrong(Exception):
    """A sentence with its line."""


def parse(data: bytes, folder: str) -> Skill:
    """The file's bytes; `folder` is the name of the folder it lies in."""
    if len(data) > MOST_BYTES:
        return Skill(problems=(f"1: it is larger than {MOST_BYTES // 1024} KiB. Move parts of it into files beside it.",))
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return Skill(problems=(f"{line}: it is not UTF-8 text.",))
    problems = [f"{line}: it holds {told}. Remove it." for line, told in _hidden(text)][:5]
    try:
        head, body, first = _parted(text)
        given = dict(_pairs(_root(head)))
        values = {key: _value(key, node) for key, (node, _) in given.items()}
    except _Wrong as error:
        return Skill(problems=(*problems, str(error)))
    lines = {key: line for key, (_, line) in given.items()}
    # YAML's own escapes write what the bytes do not hold.
    for key, value in values.items():
        texts = (value,) if isinstance(value, str) else (*value, *value.values())
        found = [told for one in texts for _, told in _hidden(one)]
        problems += [f"{lines[key]}: it holds {told}, written as an escape. Remove it." for told in found[:1]] if not problems else []
    problems += _problems(values, lines, folder, body)
    hints = [f"{lines[key]}: {key!r} is not a key of the form, and is left out." for key in given if key not in _KEYS]
    description = " ".join(str(values.get("description", "")).split())
    plain = {key: str(values.get(key, "")) for key in ("name", "license", "compatibility")}
    metadata = values.get("metadata") or {}
    tools = " ".join(str(values.get("allowed-tools", "")).split())
    hints += [f"{lines['allowed-tools']}: allowed-tools grants nothing here: rules and questions stay as they are."] if tools else []
    metadata = metadata if isinstance(metadata, Mapping) else {}
    return Skill(
        description=description, metadata=metadata, allowed_tools=tools, body=body, line=first,
        problems=tuple(problems), hints=tuple(hints), **plain,
    )  # fmt: skip


def _hidden(text: str) -> Iterator[tuple[int, str]]:
    """What a person who reads it does not see: control characters, turned writing, letters that are drawn as nothing."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.isascii() and line.replace("\t", "").isprintable():
            continue
        for char in line:
            code = ord(char)
            if (unicodedata.category(char) == "Cc" and char != "\t") or code in _BIDI or 0xE0000 <= code <= 0xE0FFF:
                yield number, f"the hidden character U+{code:04X}"
                break


def _parted(text: str) -> tuple[str, str, int]:
    """Head, instructions, and the line that these begin with."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        raise _Wrong("1: it does not begin with a line of three dashes and `name:` and `description:` behind it.")
    end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise _Wrong("1: its head has no end: a second line of three dashes is missing.")
    head = "\n".join(lines[1:end])
    if len(head) > _HEAD_BYTES:
        raise _Wrong(f"1: its head is longer than {_HEAD_BYTES // 1024} KiB.")
    first = next((at for at in range(end + 1, len(lines)) if lines[at].strip()), end + 1)
    return head, "\n".join(lines[first:]).rstrip() + "\n", first + 1


def _root(head: str) -> Any:
    import yaml

    try:
        line, odd = plain_yaml.odd(yaml.parse(head, Loader=yaml.SafeLoader), _DEPTH)
        if odd:
            raise _Wrong(f"{line + 1}: {odd.replace('lists', 'a list', 1)} cannot stand in the head. Write plain texts.")
        root = yaml.compose(head, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = " A text with a colon in it stands in quotes." if "mapping values" in str(error.problem) else ""
        raise _Wrong(f"{mark.line + 2 if mark else 1}: {error.problem or 'broken YAML'}.{hint}") from None
    except (yaml.reader.ReaderError, RecursionError):
        raise _Wrong("1: its head holds a control character, or is nested without end.") from None
    if not isinstance(root, yaml.MappingNode):
        raise _Wrong("2: its head must hold `key: value` lines, name and description at least.")
    return root


def _pairs(root: Any) -> Iterator[tuple[str, tuple[Any, int]]]:
    seen: set[str] = set()
    for key, value in root.value:
        line, name = key.start_mark.line + 2, str(key.value)
        if name in seen:
            raise _Wrong(f"{line}: {name} stands there twice.")
        seen.add(name)
        yield name, (value, line)


def _value(key: str, node: Any) -> str | dict[str, str]:
    """A text, for metadata texts by name; a list of texts is one with spaces between."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return "" if node.tag == "tag:yaml.org,2002:null" else node.value.strip()
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return " ".join(item.value for item in node.value)
    if isinstance(node, yaml.MappingNode) and all(isinstance(part, yaml.ScalarNode) for pair in node.value for part in pair):
        return {name.value: value.value for name, value in node.value[:_ENTRIES]}
    if key in _KEYS:
        raise _Wrong(f"{node.start_mark.line + 2}: {key} must be a text{' or texts by name' if key == 'metadata' else ''}.")
    return ""


def _problems(values: Mapping[str, Any], lines: Mapping[str, int], folder: str, body: str) -> Iterator[str]:
    at = lambda key: lines.get(key, 1)  # noqa: E731 - the line of a key
    for key, value in values.items():
        if key in _KEYS and (key == "metadata") != isinstance(value, Mapping) and value:
            yield f"{at(key)}: {key} must be {'texts by name' if key == 'metadata' else 'a text'}."
            return
    name, description = values.get("name", ""), values.get("description", "")
    if not name:
        yield "1: it has no name. Write `name: " + folder + "`."
    elif len(name) > _NAME_LENGTH or not _NAME.fullmatch(name):
        yield f"{at('name')}: the name {name[:80]!r} is not 1 to {_NAME_LENGTH} small letters, digits and single hyphens between them."
    elif name != folder:
        yield f"{at('name')}: the name {name!r} is not that of its folder, {folder[:80]!r}. Make them the same."
    if not description:
        yield "1: it has no description. Say what the skill does and when it is of use."
    elif len(description) > _DESCRIPTION_LENGTH:
        yield f"{at('description')}: the description has {len(description):,} characters; {_DESCRIPTION_LENGTH} are the most."
    if len(str(values.get("compatibility", ""))) > _COMPATIBILITY_LENGTH:
        yield f"{at('compatibility')}: compatibility has more than {_COMPATIBILITY_LENGTH} characters."
    if len(str(values.get("license", ""))) > _OTHER_LENGTH or len(str(values.get("allowed-tools", ""))) > 2 * _DESCRIPTION_LENGTH:
        yield "1: license or allowed-tools is too long."
    if any(len(key) + len(value) > _DESCRIPTION_LENGTH for key, value in (values.get("metadata") or {}).items()):
        yield f"{at('metadata')}: an entry of metadata has more than {_DESCRIPTION_LENGTH} characters."
    if not body.strip():
        yield f"{max(lines.values(), default=1)}: it holds no instructions behind its head."
