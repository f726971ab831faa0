"""Recipes as they lie on the disk: one YAML file each in the folder `recipes` of the user's configuration.

A recipe is data. What it says is read strictly (no tags, anchors or aliases, no unknown keys), and grants nothing.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ..errors import ConfigError, StoreError, UsageError
from . import paths, plain_yaml
from .atomic import store_error, write_atomic

CheckKind = Literal["exists", "absent", "exit_code", "changed", "says"]
PathKind = Literal["", "file", "folder", "link"]
ParamType = Literal["text", "file", "folder", "number", "date", "recipient"]

HERE = "here"
"""The name that stands for the folder of the run; no parameter can have it."""
MOST_STEPS = 100
_MOST_BYTES, _MOST_PARAMS, _MOST_CHECKS, _DEEPEST = 256 * 1024, 30, 50, 12
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_PARAM = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_CHANGES = ("write", "edit", "move", "copy", "make_folder", "trash", "link", "chmod")
_HEAD = "# A recipe of localagent. Yours to edit; `localagent recipes check {name}` looks at it.\n"


@dataclass(frozen=True, slots=True)
class Check:
    """What has to hold. `exists` and `absent`: `value` is a path (a path of `kind`, "" for any); `exit_code`: its number;
    `changed`: the kinds of change that may happen, of which at least one does; `says`: a text that stands in the result.
    """

    what: CheckKind
    value: str | int | tuple[str, ...]
    kind: PathKind = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One call; `before` has to hold for it to be made, `after` for it to have gone well."""

    tool: str
    args: Mapping[str, Any]
    before: tuple[Check, ...] = ()
    after: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Param:
    """What may differ from run to run. `default` None: it has to be given."""

    name: str
    type: ParamType = "text"
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """`goal` is the request in the user's words. In it, in arguments and in checks `{name}` stands for a parameter."""

    name: str
    description: str
    goal: str
    steps: tuple[Step, ...]
    params: tuple[Param, ...] = ()


def folder() -> Path:
    return paths.config_dir() / "recipes"


def path(name: str) -> Path:
    """Where the recipe of that name lies. Raises UsageError for what is no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is no name for a recipe.", "Small letters, digits, hyphens and underscores, 64 at most.")
    return folder() / f"{name}.yaml"


def names() -> list[str]:
    """Of all recipes, sorted."""
    place = folder()
    found = [one.stem for one in place.glob("*.yaml")] if place.is_dir() else []
    return sorted(name for name in found if _NAME.fullmatch(name))


def load(name: str) -> Recipe:
    """Raises UsageError where there is none, ConfigError with place and reason where it cannot be used."""
    where = path(name)
    try:
        data = _read(where)
    except FileNotFoundError:
        from difflib import get_close_matches

        near = get_close_matches(name, names(), 1)
        hint = f"Did you mean {near[0]!r}?" if near else "`localagent recipes` lists them; `localagent save NAME` makes one."
        raise UsageError(f"There is no recipe {name!r}.", hint) from None
    except OSError as error:
        raise ConfigError(f"{where}:1: it cannot be read: {error.strerror}.") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}:{data[: error.start].count(10) + 1}: it is not UTF-8 text.") from None
    return parse(text, name, str(where))


def save(recipe: Recipe, *, replace: bool = False) -> Path:
    """Write it down, for its owner alone. UsageError where there is one of that name, unless `replace`."""
    where = path(recipe.name)
    if not replace and os.path.lexists(where):
        raise UsageError(f"There is a recipe {recipe.name!r} already.", "Take another name, or say --force to replace it.")
    made = text(recipe)
    parse(made, recipe.name, str(where))
    try:
        where.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise store_error(error, where.parent) from error
    write_atomic(where, made.encode())
    return where


def remove(name: str) -> None:
    """Raises UsageError where there is none, StoreError."""
    where = path(name)
    try:
        where.unlink()
    except FileNotFoundError:
        raise UsageError(f"There is no recipe {name!r}.", "`localagent recipes` lists them.") from None
    except OSError as error:
        raise StoreError(f"{where} cannot be removed: {error.strerror}.") from error


def _read(where: Path) -> bytes:
    fd = os.open(where, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigError(f"{where}:1: it is not a file.")
        if os.name != "nt" and facts.st_uid not in (os.getuid(), 0):
            raise ConfigError(f"{where}:1: it belongs to someone else.", "Only your own file is read.")
        if os.name != "nt" and facts.st_mode & 0o022:
            raise ConfigError(f"{where}:1: others can write it.", f"Look at it, then close it with `chmod go-w {where}`.")
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{where}:1: it is larger than {_MOST_BYTES // 1024} KiB.")
    return data


# --- reading --------------------------------------------------------------------------------------


def parse(text: str, name: str, where: str) -> Recipe:
    """The recipe that the text of a file says. Raises ConfigError."""
    made = _Reader(where).recipe(_plain(text, where), name)
    _check_names(made, where)
    return made


def _plain(text: str, where: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    # A date is a text here, as everything that is filled in.
    pairs = yaml.SafeLoader.yaml_implicit_resolvers.items()
    Loader.yaml_implicit_resolvers = {k: [p for p in v if p[0] != "tag:yaml.org,2002:timestamp"] for k, v in pairs}
    try:
        line, odd = plain_yaml.odd(yaml.parse(text, Loader=Loader), _DEEPEST)
        if odd:
            raise ConfigError(f"{where}:{line}: {odd} cannot stand here.", "Write plain texts and lists.")
        _check_keys(yaml.compose(text, Loader=Loader), where)
        return yaml.load(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{where}:{mark.line + 1 if mark else 1}: {error.problem or 'broken YAML'}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{where}:1: {(str(error).splitlines() or ['broken YAML'])[0]}.") from None


def _check_keys(node: Any, where: str) -> None:
    """Every key once, and a text: the later one would silently take the place of the first."""
    import yaml

    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in one.value:
                if key.value in seen or not isinstance(key, yaml.ScalarNode):
                    raise ConfigError(f"{where}:{key.start_mark.line + 1}: the key {key.value!r} stands there twice, or is no text.")
                seen.add(key.value)
                pending.append(value)
        elif isinstance(one, yaml.SequenceNode):
            pending += one.value


class _Reader:
    def __init__(self, where: str) -> None:
        self._where = where

    def _wrong(self, place: str, told: str) -> ConfigError:
        return ConfigError(f"{self._where}: {place}: {told}.")

    def recipe(self, data: Any, name: str) -> Recipe:
        given = self._map(data, "the file", ("recipe", "description", "goal", "params", "steps"))
        if given.get("recipe") != 1:
            raise self._wrong("recipe", "this version reads recipes with `recipe: 1` alone")
        goal = self._text(given.get("goal"), "goal")
        params = given.get("params") or {}
        if not isinstance(params, dict) or len(params) > _MOST_PARAMS:
            raise self._wrong("params", f"they must be names with a type or default beneath, {_MOST_PARAMS} at most")
        steps = self._list(given.get("steps"), "steps", MOST_STEPS)
        if not steps:
            raise self._wrong("steps", "there is none")
        return Recipe(
            name,
            self._text(given.get("description", ""), "description", empty=True),
            goal,
            tuple(self._step(one, f"step {n}") for n, one in enumerate(steps, 1)),
            tuple(self._param(str(key), value) for key, value in params.items()),
        )

    def _param(self, name: str, data: Any) -> Param:
        place = f"params: {name}"
        if not _PARAM.fullmatch(name) or name == HERE:
            raise self._wrong(place, "a parameter is named with small letters, digits and underscores, and not `here`")
        given = self._map({} if data is None else data, place, ("type", "default"))
        kind, default = given.get("type", "text"), given.get("default")
        if kind not in get_args(ParamType):
            raise self._wrong(place, f"its type is one of {', '.join(get_args(ParamType))}")
        if isinstance(default, bool | list | dict):
            raise self._wrong(place, "its default must be a text or a number")
        return Param(name, cast("ParamType", kind), None if default is None else str(default))

    def _step(self, data: Any, place: str) -> Step:
        given = self._map(data, place, ("tool", "args", "before", "after"))
        args = given.get("args") or {}
        if not isinstance(args, dict) or not all(isinstance(key, str) for key in args):
            raise self._wrong(place, "args must be names with values")
        before, after = (
            tuple(self._check(one, f"{place}, {when}") for one in self._list(given.get(when), f"{place}, {when}", _MOST_CHECKS))
            for when in ("before", "after")
        )
        if any(check.what not in ("exists", "absent") for check in before):
            raise self._wrong(place, "before it, only `exists` and `absent` can be checked")
        return Step(self._text(given.get("tool"), f"{place}, tool"), args, before, after)

    def _check(self, data: Any, place: str) -> Check:
        given = self._map(data, place, (*get_args(CheckKind), "kind"))
        whats = [key for key in given if key != "kind"]
        if len(whats) != 1 or ("kind" in given and whats[0] not in ("exists", "absent")):
            raise self._wrong(place, f"a check is one of {', '.join(get_args(CheckKind))}; `kind` belongs to a path")
        what, value, kind = cast("CheckKind", whats[0]), given[whats[0]], given.get("kind", "")
        if kind not in get_args(PathKind):
            raise self._wrong(place, "kind is file, folder or link")
        if what == "exit_code" and (not isinstance(value, int) or isinstance(value, bool)):
            raise self._wrong(place, "exit_code is a number")
        if what == "changed":
            value = tuple(self._list(value, place, len(_CHANGES)))
            if not value or any(one not in _CHANGES for one in value):
                raise self._wrong(place, f"changed is a list of {', '.join(_CHANGES)}")
        elif what != "exit_code":
            value = self._text(value, place)
        return Check(what, value, kind)

    def _map(self, data: Any, place: str, known: Sequence[str]) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self._wrong(place, f"it must hold {', '.join(known)}")
        if odd := [key for key in data if key not in known]:
            raise self._wrong(place, f"there is no key {odd[0]!r}; the keys are {', '.join(known)}")
        return data

    def _list(self, data: Any, place: str, most: int) -> list[Any]:
        if data is not None and not isinstance(data, list):
            raise self._wrong(place, "it must be a list")
        if data and len(data) > most:
            raise self._wrong(place, f"{most} entries are the most")
        return data or []

    def _text(self, data: Any, place: str, empty: bool = False) -> str:
        if isinstance(data, bool | list | dict) or data is None or not (str(data).strip() or empty):
            raise self._wrong(place, "it must be a text")
        return str(data)


def _check_names(recipe: Recipe, where: str) -> None:
    """A parameter that nothing uses is one that somebody thinks is used."""
    held = f"{recipe.goal}\n{recipe.steps!r}"
    for param in recipe.params:
        if f"{{{param.name}}}" not in held:
            raise ConfigError(f"{where}: params: {param.name}: no step and no goal has {{{param.name}}}.", "Use it, or take it out.")


# --- writing --------------------------------------------------------------------------------------


def text(recipe: Recipe) -> str:
    """The file of a recipe."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def written(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, written)
    data: dict[str, Any] = {"recipe": 1, "description": recipe.description, "goal": recipe.goal}
    if recipe.params:
        data["params"] = {one.name: _param(one) for one in recipe.params}
    data["steps"] = [_step(one) for one in recipe.steps]
    made = yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)
    return _HEAD.format(name=recipe.name) + made


def _param(param: Param) -> dict[str, str]:
    return {"type": param.type} | ({} if param.default is None else {"default": param.default})


def _step(step: Step) -> dict[str, Any]:
    made: dict[str, Any] = {"tool": step.tool, "args": dict(step.args)}
    for when, checks in (("before", step.before), ("after", step.after)):
        if checks:
            made[when] = [_check(one) for one in checks]
    return made


def _check(check: Check) -> dict[str, Any]:
    value = list(check.value) if isinstance(check.value, tuple) else check.value
    return {check.what: value} | ({"kind": check.kind} if check.kind else {})
