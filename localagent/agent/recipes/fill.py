"""What stands for `{name}`: the values of a run, and where they can be put in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import UsageError
from ...policy import shell_fill
from ...policy.shell_fill import Misplaced, Value
from ...store.recipes import HERE, Check, Param, Recipe, Step

_SHELL = frozenset({"command", "script"})
_CODE = frozenset({"code", "source_code", "program"})
_MOST = 8000
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}", re.ASCII)
_PROGRAM_FILE = re.compile(
    r"\.(?:sh|bash|zsh|fish|py|pyw|rb|pl|pm|js|mjs|cjs|ts|php|lua|r|jl|awk|sed|bat|cmd|ps1|vbs|mk|service|desktop|sql|html?|svg)$"
    r"|(?:^|/)(?:makefile|dockerfile|justfile|rakefile|jenkinsfile)$",
    re.IGNORECASE,
)


def settled(recipe: Recipe, given: Mapping[str, str], folder: str) -> dict[str, Value]:
    """The values of a run in `folder`: what was given, else the defaults. Raises UsageError."""
    known = {param.name: param for param in recipe.params}
    if odd := [name for name in given if name not in known]:
        there = f"It has {', '.join(known)}." if known else "It has none."
        raise UsageError(f"The recipe {recipe.name} has no parameter {odd[0][:60]!r}.", there)
    values = {HERE: Value(folder, "folder")}
    for name, param in known.items():
        text = given.get(name, param.default)
        if text is None:
            raise UsageError(f"The recipe {recipe.name} needs {name} ({param.type}).", f"Give it: {name}=...")
        values[name] = _value(param, text)
    return values


def _value(param: Param, text: str) -> Value:
    name = param.name
    if "\0" in text or len(text) > _MOST:
        raise UsageError(f"{name} is longer than {_MOST:,} characters, or holds one that nothing can be given.")
    if param.type in shell_fill.PATHS:
        text = os.path.expanduser(text)
        text = text.rstrip("/") or text[:1]
    if not text.strip() and param.type != "text":
        raise UsageError(f"{name} is empty.", f"Give it: {name}=...")
    if param.type == "number" and not _NUMBER.fullmatch(text):
        raise UsageError(f"{name} must be a number (got {text[:60]!r}).")
    if param.type == "date" and not _DATE.fullmatch(text):
        raise UsageError(f"{name} must be a date such as 2026-01-31 (got {text[:60]!r}).")
    if param.type == "recipient" and "\n" in text:
        raise UsageError(f"{name} must be one line.")
    return Value(text, param.type)


def plain(text: str, values: Mapping[str, Value]) -> str:
    """A text that nobody reads as code, with the values in it."""
    return shell_fill.placeholder(values).sub(lambda match: values[match[1]].text, text)


def arguments(step: Step, values: Mapping[str, Value]) -> dict[str, Any]:
    """The arguments of a step. Raises Misplaced where a value would be more than a value."""
    return {key: _filled(step, key, value, values) for key, value in step.args.items()}


def _filled(step: Step, key: str, value: Any, values: Mapping[str, Value]) -> Any:
    if isinstance(value, str):
        if key in _SHELL:
            return shell_fill.fill(value, values)
        if told := code(step.args, key, value) and shell_fill.placeholder(values).search(value):
            raise Misplaced(f"{{{told[1]}}} stands in {key}, which is code; a parameter cannot stand there")
        return plain(value, values)
    if isinstance(value, Mapping):
        return {str(inner): _filled(step, str(inner), item, values) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(step, key, item, values) for item in value]
    return value


def code(args: Mapping[str, Any], key: str, value: str) -> bool:
    """Whether an argument (other than a command) is a program's text, in which a value could become an order."""
    if key in _CODE or value.startswith("#!"):
        return True
    named = (one for name, one in args.items() if name != key and isinstance(one, str) and len(one) < 1000)
    return len(value) > 1 and key not in ("path", "source", "destination") and any(_PROGRAM_FILE.search(one.strip()) for one in named)


def can_stand(args: Mapping[str, Any], key: str, value: str, names: Sequence[str]) -> str:
    """Why placeholders of these names cannot stand in the argument, "" where they can."""
    if key in _SHELL:
        return shell_fill.why_not(value, names)
    if code(args, key, value) and shell_fill.placeholder(names).search(value):
        return f"{key} is code"
    return ""


def check(one: Check, values: Mapping[str, Value]) -> Check:
    """The check with the values in it."""
    from dataclasses import replace

    return replace(one, value=plain(one.value, values)) if isinstance(one.value, str) else one


def problems(recipe: Recipe) -> list[str]:
    """What is wrong with a recipe that can be read, as sentences."""
    names = [HERE, *(param.name for param in recipe.params)]
    found = []
    for number, step in enumerate(recipe.steps, 1):
        for key, value in step.args.items():
            if isinstance(value, str) and (why := can_stand(step.args, key, value, names)):
                found.append(f"step {number}: {why}")
    for param in recipe.params:
        if param.default is not None:
            try:
                _value(param, param.default)
            except UsageError as error:
                found.append(f"params: {error}")
    return found
