"""Which values of a request are parameters: those that reappear in what was done."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import UsageError
from ...store.recipes import HERE, Check, Param, ParamType, Step
from . import fill

_QUOTED = re.compile(
    r"\"([^\"\n]{1,200})\"|“([^”\n]{1,200})”|„([^“”\n]{1,200})[“”]|«([^»\n]{1,200})»|`([^`\n]{1,200})`|(?<!\w)'([^'\n]{1,200})'(?!\w)"
)
_EDGES = ".,;:!?()[]{}<>\"'`“”„«»…"
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}", re.ASCII)
_FILE = re.compile(r"[^\s/]*\.\w{1,8}")
_GIVEN = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_MOST = 12


@dataclass(frozen=True, slots=True)
class Proposed:
    goal: str
    steps: tuple[Step, ...]
    params: tuple[Param, ...] = ()
    notes: tuple[str, ...] = ()


def proposed(request: str, steps: Sequence[Step], given: Mapping[str, str]) -> Proposed:
    """The request and steps with `{name}` for each value that is likely to differ, and for those that the person names.

    Raises UsageError where one of these stands nowhere, or where it cannot.
    """
    values: dict[str, Param] = {}
    notes: list[str] = []
    everything = "\n".join([request, *(text for step in steps for text in texts(dict(step.args)))])
    for name, value in given.items():
        if not _GIVEN.fullmatch(name) or name == HERE:
            raise UsageError(f"{name[:60]!r} is no name for a parameter.", "Small letters, digits and underscores; not `here`.")
        if f"{{{name}}}" in everything:
            raise UsageError(f"The run holds the text {{{name}}} already.", "Take another name for the parameter.")
        if not value or not any(_found(text, value) for step in steps for text in texts(dict(step.args))):
            raise UsageError(f"No step of the run holds {value[:60]!r}, so {name} would change nothing.")
        secret = value.startswith("SECRET_")
        values[value] = Param(name, "text" if secret else _type(value, steps) or "text", None if secret else value)
    for value in _candidates(request):
        kind = _type(value, steps)
        if not kind or value in values or len(values) >= _MOST or not _useful(value, kind, steps):
            continue
        values[value] = Param(_free(kind, [*given, *(one.name for one in values.values())], everything), kind, value)
    goal, made = request, tuple(steps)
    for value in sorted(values, key=len, reverse=True):
        param = values[value]
        put = tuple(_put(step, value, param.name) for step in made)
        wrong = (misplaced(step.args, key, text, [param.name]) for step in put for key, text in step.args.items())
        if why := next(filter(None, wrong), ""):
            if param.name in given:
                raise UsageError(f"{value[:60]!r} cannot be the parameter {param.name}: {why}.")
            notes.append(f"{value!r} stays as it is: {why.replace('{' + param.name + '}', 'it')}.")
            values[value] = replace(param, name="")
            continue
        made, goal = put, _replaced(goal, value, param.name)
    return Proposed(goal, made, tuple(one for one in values.values() if one.name), tuple(notes))


def misplaced(args: Mapping[str, Any], key: str, value: Any, names: Sequence[str]) -> str:
    """Why placeholders of these names cannot stand in an argument, "" where they can."""
    if isinstance(value, str):
        return fill.can_stand(args, key, value, names)
    if isinstance(value, Mapping):
        return next((why for inner, item in value.items() if (why := misplaced(args, str(inner), item, names))), "")
    return next((why for item in value if (why := misplaced(args, key, item, names))), "") if isinstance(value, list | tuple) else ""


def _candidates(request: str) -> Iterator[str]:
    """Quoted parts of the request, then its words, each once."""
    quoted = [next(filter(None, match.groups())).strip() for match in _QUOTED.finditer(request)]
    words = [word.strip(_EDGES).rstrip("/") for word in request.split()]
    yield from dict.fromkeys(one for one in (*quoted, *words) if one)


def _type(value: str, steps: Sequence[Step]) -> ParamType | None:
    """What a value is, by its look and by the checks; None for a plain word that is no path and no whole argument."""
    paths = {str(check.value): check.kind for step in steps for check in (*step.before, *step.after) if check.what in ("exists", "absent")}
    if _MAIL.fullmatch(value):
        return "recipient"
    if _DATE.fullmatch(value):
        return "date"
    if _NUMBER.fullmatch(value):
        return "number"
    if paths.get(value):
        return "folder" if paths[value] == "folder" else "file"
    if any(path.startswith(f"{value}/") or f"/{value}/" in path for path in paths):
        return "folder"
    if _FILE.fullmatch(value.rpartition("/")[2]) and not value.startswith("*"):
        return "file"
    if value in paths or any(path.rpartition("/")[2] == value for path in paths):
        return "file"
    if any(step.args.get(key) == value for step in steps for key in ("to", "recipient")):
        return "recipient"
    if any(value in (text, text.rstrip("/")) for step in steps for text in texts(dict(step.args))):
        return "text"
    return "text" if " " in value else None


def _useful(value: str, kind: ParamType, steps: Sequence[Step]) -> bool:
    """Whether it reappears: a single digit only as a whole argument or word of its own, for it stands everywhere."""
    written = [text for step in steps for text in texts(dict(step.args))]
    whole = [number for step in steps for number in step.args.values() if isinstance(number, int | float) and not isinstance(number, bool)]
    if kind == "number" and len(value) < 2:
        return any(value == str(number) for number in whole) or any(re.search(rf"(?:^|\s){value}(?=\s|$)", text) for text in written)
    return any(_found(text, value) for text in written) or any(value == str(number) for number in whole)


def _expression(value: str) -> re.Pattern[str]:
    """The value where it is a word or a part of a path of its own; never where it stands as `{value}` already."""
    return re.compile(rf"(?<![\w.{{$-]){re.escape(value)}(?![\w}}-]|\.\w)")


def _found(text: str, value: str) -> bool:
    return bool(_expression(value).search(text))


def _replaced(text: str, value: str, name: str) -> str:
    return _expression(value).sub(f"{{{name}}}", text)


def _put(step: Step, value: str, name: str) -> Step:
    args = {key: _in(item, value, name) for key, item in step.args.items()}
    return replace(step, args=args, before=_in_checks(step.before, value, name), after=_in_checks(step.after, value, name))


def _in(item: Any, value: str, name: str) -> Any:
    if isinstance(item, str):
        return _replaced(item, value, name)
    if isinstance(item, int | float) and not isinstance(item, bool) and str(item) == value:
        return f"{{{name}}}"
    if isinstance(item, Mapping):
        return {key: _in(inner, value, name) for key, inner in item.items()}
    return [_in(inner, value, name) for inner in item] if isinstance(item, list | tuple) else item


def _in_checks(found: Sequence[Check], value: str, name: str) -> tuple[Check, ...]:
    return tuple(replace(one, value=_replaced(one.value, value, name)) if isinstance(one.value, str) else one for one in found)


def _free(name: str, taken: Sequence[str], everything: str) -> str:
    """A name that no other parameter has, and that stands nowhere in braces already."""
    tries = [name, *(f"{name}_{n}" for n in range(2, 99))]
    return next(one for one in tries if one not in taken and f"{{{one}}}" not in everything)


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in texts(item)]
    return [text for item in value for text in texts(item)] if isinstance(value, list | tuple) else []
