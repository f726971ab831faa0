"""Forgiving repair of a call's arguments before anything judges them.

Small models give the right thing under a near name or in a near type. Repair mends
what is plain, drops what is foreign and asks for what is missing; it never guesses a
value that was not there, and it never raises.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .twins import as_on_disk

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "folder", "folder_path", "directory",
              "directory_path", "dir", "dirname", "pathname", "target", "location", "name", "source"),
    "content": ("text", "contents", "data", "body", "file_content", "file_text"),
    "command": ("cmd", "script", "code", "shell", "bash", "commands", "command_line"),
    "source": ("src", "from", "from_path", "source_path", "src_path", "origin", "old_path", "file", "path",
                "filename", "files", "pattern"),
    "destination": ("dst", "dest", "to", "to_path", "destination_path", "dest_path", "target", "new_path",
                     "target_path", "folder", "directory", "new_name"),
    "old": ("old_text", "old_string", "old_str", "search", "find", "before", "original", "from", "old_content"),
    "new": ("new_text", "new_string", "new_str", "replace", "replacement", "replace_with", "after", "with", "to",
             "new_content", "content", "text"),
    "pattern": ("query", "glob", "regex", "search", "term", "text", "name", "keyword", "string", "filename"),
    "start": ("start_line", "from_line", "first", "offset", "begin", "line"),
    "end": ("end_line", "to_line", "last", "stop"),
    "timeout": ("timeout_s", "seconds", "timeout_seconds", "time_limit"),
}  # fmt: skip
_WRAPPERS = ("arguments", "args", "parameters", "params", "input", "kwargs")
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_BLANK = {"", "null", "none", "undefined"}
_MISSING = object()
_LIST = (list, tuple)
_WORDS: Mapping[str, Any] = {"enum": _LIST, "anyOf": _LIST, "oneOf": _LIST, "prefixItems": _LIST, "description": str}


class _Unfit(Exception):
    """The value cannot be what is due; the text says what to give."""


def repair(parameters: Mapping[str, Any], args: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    """The mended arguments, what was mended, and what only the model can mend.

    `parameters` is a closed JSON Schema object, or one that names nothing. With no errors the arguments fit it.
    """
    shapes, due = parameters.get("properties"), parameters.get("required")
    properties = {name: _plain(shape) for name, shape in shapes.items()} if isinstance(shapes, Mapping) else {}
    required = [name for name in due if isinstance(name, str) and name in properties] if isinstance(due, _LIST) else []
    notes: list[str] = []
    given = _as_mapping(args, properties, required, notes)
    placed, foreign = _place(given, properties, required, notes)
    _adopt(placed, foreign, properties, required, notes)
    # An open schema is one of others' tools: what it does not name may be meant all the same.
    mended: dict[str, Any] = foreign if parameters.get("additionalProperties") and not placed else {}
    notes += [f"ignored the unknown argument {name!r}" for name in foreign if name not in mended]
    errors: list[str] = []
    for name, shape in properties.items():
        value = placed.get(name, _MISSING)
        if value is not _MISSING and name not in required and _is_blank(value, shape):
            notes.append(f"left out the empty {name!r}")
            value = _MISSING
        if value is _MISSING or (value is None and not _takes_null(shape)):
            if name in required:
                errors.append(f"{name!r} is missing. Give {name!r}: {_due(shape)}.")
            continue
        try:
            mended[name] = _fit(value, shape, name, notes)
        except _Unfit as unfit:
            errors.append(str(unfit))
        except (ValueError, OverflowError, RecursionError, TypeError, AttributeError):
            errors.append(f"{name!r} must be {_due(shape)}.")
    return mended, notes, errors


def _plain(shape: Any) -> Mapping[str, Any]:
    """A schema without the words that have a value they cannot have."""
    if not isinstance(shape, Mapping):
        return {}
    return {word: value for word, value in shape.items() if isinstance(value, _WORDS.get(word, object))}


def _as_mapping(args: Any, properties: Mapping[str, Any], required: list[str], notes: list[str]) -> dict[str, Any]:
    if isinstance(args, str):
        parsed = _parsed(args)
        if isinstance(parsed, dict):
            args = parsed
            notes.append("read the arguments as JSON")
    if isinstance(args, Mapping):
        given = {str(name): value for name, value in args.items()}
        for wrapper in _WRAPPERS:
            inner = given.get(wrapper)
            if wrapper not in properties and isinstance(inner, Mapping) and len(given) == 1:
                notes.append(f"took the arguments out of {wrapper!r}")
                return {str(name): value for name, value in inner.items()}
        return given
    order = required or list(properties)
    if args is None or args == [] or not order:
        return {}
    values = list(args) if isinstance(args, list | tuple) else [args]
    notes.append("took the values in the order of the parameters")
    return dict(zip([*order, *(name for name in properties if name not in order)], values, strict=False))


def _place(
    given: dict[str, Any], properties: Mapping[str, Any], required: list[str], notes: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments by the parameter they are for, and those that are for none."""
    placed = {name: value for name, value in given.items() if name in properties}
    foreign: dict[str, Any] = {}
    for name, value in given.items():
        if name in properties:
            continue
        target = _target(name, properties, required, placed)
        if target is None:
            foreign[name] = value
        else:
            placed[target] = value
            notes.append(f"took {name!r} as {target!r}")
    return placed, foreign


def _target(name: str, properties: Mapping[str, Any], required: list[str], placed: Mapping[str, Any]) -> str | None:
    """The parameter that is meant by `name`: a required one before an optional one."""
    plain = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower().replace("-", "_").replace(" ", "_").strip("_")
    free = sorted((known for known in properties if known not in placed), key=lambda known: known not in required)
    if plain in free:
        return plain
    for known in free:
        if plain in _ALIASES.get(known, ()):
            return known
    from difflib import get_close_matches

    close = get_close_matches(plain, free, n=1, cutoff=0.8)
    return close[0] if close else None


def _adopt(
    placed: dict[str, Any],
    foreign: dict[str, Any],
    properties: Mapping[str, Any],
    required: list[str],
    notes: list[str],
) -> None:
    """One thing missing and one thing left over of the same type: that is it."""
    missing = [name for name in required if name not in placed]
    if len(missing) != 1 or len(foreign) != 1:
        return
    name, value = next(iter(foreign.items()))
    same = {"string": str, "array": list, "object": dict, "boolean": bool}.get(str(properties[missing[0]].get("type")))
    if same is not None and isinstance(value, same):
        placed[missing[0]] = foreign.pop(name)
        notes.append(f"took {name!r} as {missing[0]!r}")


def _is_blank(value: Any, shape: Mapping[str, Any]) -> bool:
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    if shape.get("type") == "string":
        return value == "" and ("enum" in shape or shape.get("format") == "path")
    return value.strip().lower() in _BLANK


def _takes_null(shape: Mapping[str, Any]) -> bool:
    """Whether null is a value here, not the want of one."""
    kind, options = shape.get("type"), [*(shape.get("anyOf") or ()), *(shape.get("oneOf") or ())]
    if "$ref" in shape or "allOf" in shape:
        return True
    if shape.get("enum") or "const" in shape:
        return None in (shape.get("enum") or [shape["const"]])
    if not kind:
        return not options or any(not isinstance(option, Mapping) or _takes_null(option) for option in options)
    return shape.get("nullable") is True or "null" in kind or (isinstance(kind, str) and kind not in _MENDERS)


def _due(shape: Mapping[str, Any]) -> str:
    if "enum" in shape:
        return "one of " + ", ".join(str(choice) for choice in shape["enum"])
    words = {
        "string": "a path" if shape.get("format") == "path" else "a text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "array": "a list",
        "object": "an object",
    }
    told = words.get(str(shape.get("type")), "a value")
    return f"{told} ({shape['description'].rstrip('.')})" if shape.get("description") else told


def _fit(value: Any, shape: Mapping[str, Any], name: str, notes: list[str]) -> Any:
    if value is None and _takes_null(shape):
        return None
    kind = shape.get("type")
    mend = _MENDERS.get(kind) if isinstance(kind, str) else None
    fitted = value if mend is None else mend(value, shape, name, notes)
    if shape.get("enum"):
        fitted = _enum(fitted, shape, name)
    if type(fitted) is not type(value) or fitted != value:
        notes.append(f"read {name!r} as {_due(shape)}")
    return fitted


def _enum(value: Any, shape: Mapping[str, Any], name: str) -> Any:
    choices = list(shape["enum"])
    if value in choices:
        return value
    wanted = str(value).strip().lower()
    for choice in choices:
        if str(choice).lower() == wanted:
            return choice
    from difflib import get_close_matches

    close = get_close_matches(wanted, [str(choice).lower() for choice in choices], n=1, cutoff=0.8)
    for choice in choices:
        if close and str(choice).lower() == close[0]:
            return choice
    raise _Unfit(f"{name!r} must be {_due(shape)}, not {value!r}.")


def _string(value: Any, shape: Mapping[str, Any], name: str, notes: list[str]) -> str:
    if isinstance(value, str):
        return _bare_path(value) if shape.get("format") == "path" else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        if len(value) == 1:
            return value[0]
        if name in ("content", "command", "text", "new", "old"):
            return "\n".join(value)
        raise _Unfit(f"{name!r} must be one text, not a list. Call once for each, or give a pattern such as *.txt.")
    if isinstance(value, dict | list):
        return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"
    raise _Unfit(f"{name!r} must be {_due(shape)}.")


def _bare_path(value: str) -> str:
    bare = value.strip("\n")
    for quote in ('"', "'", "`"):
        if len(bare) > 2 and bare[0] == bare[-1] == quote:
            bare = bare[1:-1]
    return bare.removeprefix("file://")


def _integer(value: Any, shape: Mapping[str, Any], name: str, notes: list[str]) -> int:
    number = _number(value, shape, name, notes)
    if number != number or number in (float("inf"), float("-inf")):
        raise _Unfit(f"{name!r} must be {_due(shape)}, not {value!r}.")
    return round(number)


def _number(value: Any, shape: Mapping[str, Any], name: str, notes: list[str]) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, list) and len(value) == 1:
        return _number(value[0], shape, name, notes)
    if isinstance(value, str):
        found = re.fullmatch(r"\s*([+-]?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?)\s*[a-zA-Z%]*\.?\s*", value)
        if found:
            return float(found[1]) if re.search(r"[.eE]", found[1]) else int(found[1])
    raise _Unfit(f"{name!r} must be {_due(shape)}, not {str(value)[:80]!r}.")


def _boolean(value: Any, shape: Mapping[str, Any], name: str, notes: list[str]) -> bool:
    if isinstance(value, bool):
        return value
    wanted = str(value).strip().lower()
    if wanted in _TRUE or wanted in _FALSE:
        return wanted in _TRUE
    raise _Unfit(f"{name!r} must be true or false, not {str(value)[:80]!r}.")


def _array(value: Any, shape: Mapping[str, Any], name: str, notes: list[str]) -> list[Any]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        parsed = _parsed(value)
        value = parsed if isinstance(parsed, list) else value
    values = list(value) if isinstance(value, list | tuple) else [value]
    shapes = [*(shape.get("prefixItems") or ())]
    shapes += [shape.get("items")] * max(len(values) - len(shapes), 0)
    return [
        _fit(item, shapes[index], f"{name}[{index}]", []) if isinstance(shapes[index], Mapping) else item
        for index, item in enumerate(values)
    ]


def _object(value: Any, shape: Mapping[str, Any], name: str, notes: list[str]) -> dict[str, Any]:
    if isinstance(value, str):
        # A text where one text is all that has to be said.
        only, parsed = _only_text(shape), _parsed(value)
        value = {only: value} if only and value.strip() and not isinstance(parsed, Mapping) else parsed
    if not isinstance(value, Mapping):
        raise _Unfit(f'{name!r} must be an object such as {{"key": "value"}}.')
    return {str(key): item for key, item in value.items()}


def _only_text(shape: Mapping[str, Any]) -> str:
    """The one parameter that an object needs, where it is a text; "" else."""
    required = list(shape.get("required") or ())
    known = shape.get("properties")
    one = known.get(required[0]) if len(required) == 1 and isinstance(known, Mapping) else None
    return str(required[0]) if isinstance(one, Mapping) and one.get("type") == "string" else ""


_MENDERS = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def settle_paths(
    parameters: Mapping[str, Any], args: Mapping[str, Any], workspace: Path
) -> tuple[dict[str, Any], list[str]]:
    """Path arguments as they were meant, with a note for each change.

    `~` is expanded, a path beneath the workspace becomes relative to it, and `/inbox/a.txt`
    becomes `inbox/a.txt` where the disk has no `/inbox` but the workspace has one (a small
    model takes the workspace for the root).
    """
    settled = dict(args)
    notes: list[str] = []
    shapes = parameters.get("properties")
    for name, shape in shapes.items() if isinstance(shapes, Mapping) else ():
        value = args.get(name)
        if not isinstance(shape, Mapping) or shape.get("format") != "path" or not isinstance(value, str) or not value:
            continue
        path = as_on_disk(_settle(value, str(workspace)), str(workspace))
        if path != value:
            settled[name] = path
            notes.append(f"read {name!r} as {path!r}")
    return settled, notes


def _settle(value: str, workspace: str) -> str:
    path = os.path.expanduser(value)
    if "\0" in path or not os.path.isabs(path):
        return path
    plain = os.path.normpath(path)
    keep = "/" if path.endswith("/") and plain != "/" else ""
    if plain == workspace:
        return "."
    if plain.startswith(workspace + os.sep):
        return os.path.relpath(plain, workspace) + keep
    first, *rest = plain.lstrip(os.sep).split(os.sep)
    if not first or os.path.lexists(os.sep + first):
        return path
    if first in ("workspace", os.path.basename(workspace)) and not os.path.lexists(os.path.join(workspace, first)):
        return (os.path.join(*rest) + keep) if rest else "."
    if os.path.lexists(os.path.join(workspace, first)) or not rest:
        return plain.lstrip(os.sep) + keep
    return path
