"""`localagent tools list|info|search|new|check|trust|secret`: what the agent can do, and plugins: written, tried, looked at."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..agent import brief
from ..errors import UsageError
from ..sandbox import launch
from ..store import trusted, workspace
from ..toolbox import own
from . import plugin_making, trusting

if TYPE_CHECKING:
    from ..toolbox.own import Own
    from ..toolbox.registry import Registry
    from ..values import ToolSpec

_STATES = {"on": "on", "off": "off", "changed": "changed since it was confirmed; the earlier version runs"}


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|info|search|new|check|trust|secret")
    parser.set_defaults(what="list", json=False)
    listing = what.add_parser("list", help="every tool with its effects, whether it is found or always there, and your own plugins")
    listing.add_argument("--json", action="store_true")
    info = what.add_parser("info", help="one tool: parameters, effects, where it comes from")
    info.add_argument("name")
    info.add_argument("--json", action="store_true")
    search = what.add_parser("search", help="which of the tools that are found fit some words, and how well")
    search.add_argument("words", nargs="+", metavar="WORDS")
    search.add_argument("--json", action="store_true")
    plugin_making.configure(what)
    trust = what.add_parser("trust", help="look at a plugin file, or at plugins and AGENTS.md of a folder, and have it on if you say yes")
    trust.add_argument("file", metavar="FILE", help="a plugin file, its name, a package's module, or the folder of a project")
    trust.add_argument("--off", action="store_true", help="have it off again")


def run(args: argparse.Namespace, registry: Registry) -> int:
    """`trust`: 0 where it is on (with --off: off) in the end, 1 where it is not."""
    if args.what in ("new", "check", "secret"):
        return plugin_making.run(args)
    if args.what == "search":
        return _search(" ".join(args.words), registry, as_json=args.json)
    if args.what == "trust" and (place := trusting.folder_of(Path(args.file).expanduser())) is not None:
        return trusting.project(place, off=args.off)
    here = workspace.folder(None)
    folder = str(trusted.plugins_folder()) + os.sep
    files = {str(file) for file in own.files(here)}
    taken = [spec.name for spec in registry.every() if spec.source not in files]
    mine = asyncio.run(own.look(taken, here, unsandboxed=launch.probe().name == "none"))
    if args.what == "trust":
        return trusting.withdraw(args.file, mine) if args.off else trusting.confirm(own.find(args.file, mine), taken, here)
    if args.what == "info":
        return _info(args.name, [*registry.every(), *_off_specs(mine)], mine, as_json=args.json)
    found = {spec.name for spec in registry.findable()}
    if args.json:
        rows = [_row(spec, mine) | {"listed": spec.name not in found} for spec in registry.every()]
        json.dump([*rows, *(_row(spec, mine) for spec in _off_specs(mine))], sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    width = max((len(_plain(s.name)) for s in registry.every()), default=0)
    for head, specs in (("Always there:", registry.specs()), ("\nFound when they fit (tools search WORDS):", registry.findable())):
        if found and specs:
            print(head)
        for spec in specs:
            print(f"{_plain(spec.name):{width}}  {', '.join(spec.effects) or 'undeclared':10}  {_plain(spec.description)}")
    for problem in registry.problems:
        if not problem.startswith(folder):
            print(_plain(problem), file=sys.stderr)
    _list(mine)
    return 0


def _search(words: str, registry: Registry, *, as_json: bool) -> int:
    """0 where a tool shares words with the query, else 1."""
    from ..toolbox.search import Finder

    found = asyncio.run(Finder(registry.findable(), registry.specs()).find(words, 10))
    if as_json:
        rows = [
            {"name": one.spec.name, "score": one.score, "offered": one.sure, "description": one.spec.description, "source": one.spec.source}
            for one in found
        ]
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        print()
    elif found:
        width = max(len(_plain(one.spec.name)) for one in found)
        for one in found:
            said = _plain(one.spec.description.partition("\n")[0])
            print(f"{_plain(one.spec.name):{width}}  {one.score:6.2f}  {'offered' if one.sure else 'only if searched':16}  {said}")
    else:
        known = len(registry.findable())
        print(f"None of the {known} tools fits." if known else "There is no tool that would have to be found: all are always there.")
    return 0 if found else 1


def _info(name: str, specs: Sequence[ToolSpec], mine: list[Own], *, as_json: bool) -> int:
    spec = next((spec for spec in specs if spec.name == name), None)
    if spec is None:
        raise UsageError(f"There is no tool {name!r}.", "See `localagent tools list`.")
    row = _row(spec, mine) | {"tokens": _tokens(spec), "parameters": spec.parameters}
    if as_json:
        json.dump(row, sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    print(f"{spec.name} ({', '.join(spec.effects) or 'effects not declared'}), from {spec.source}")
    print(_plain(spec.description))
    if "state" in row:
        print(f"Its plugin is {_STATES[str(row['state'])]}.")
    for line in (*(f"reaches {host}" for host in spec.hosts), *(f"gets the secret {one}" for one in spec.secrets)):
        print(line)
    if spec.confirm:
        print("asks before each call")
    print(f"about {row['tokens']} tokens where it is shown, {spec.timeout:g} s at most")
    print(json.dumps(spec.parameters, ensure_ascii=False, indent=1))
    return 0


def _tokens(spec: ToolSpec) -> int:
    """Four characters are about one."""
    shown = brief.brief(spec)
    return round(len(brief.line(shown) if shown is not None else json.dumps(spec.parameters)) / 4)


def _off_specs(mine: list[Own]) -> list[ToolSpec]:
    return [spec for one in mine if one.running is None for spec in one.now.specs]


def _row(spec: ToolSpec, mine: list[Own]) -> dict[str, object]:
    state = next((one.state for one in mine if str(one.file) == spec.source), None)
    row: dict[str, object] = {"name": spec.name, "description": spec.description, "effects": spec.effects, "source": spec.source}
    row |= {"hosts": spec.hosts, "secrets": spec.secrets, "confirm": spec.confirm}
    return row if state is None else {**row, "state": state}


def _list(mine: list[Own]) -> None:
    if not mine:
        return
    print(f"\nYour plugins ({trusted.plugins_folder()}):")
    width = max(len(one.file.name) for one in mine)
    for one in mine:
        state = _STATES[one.state] if one.running or one.state != "changed" else "off: its package has changed"
        names = ", ".join(spec.name for spec in (one.running or one.now).specs)
        whose = "" if one.place.origin == "yours" else f" ({_plain(one.place.label)})"
        print(f"  {_plain(one.file.name):{width}}  {state}{whose}{f': {names}' if names else ''}")
        for line in (*one.problems, *(f"needs {need}, which is not installed yet" for need in one.needs if one.missing)):
            print(f"    {_plain(line)}")
    if any(one.state != "on" and not one.problems for one in mine):
        print("What is off or changed is on once you have confirmed it: localagent tools trust FILE", file=sys.stderr)


def _plain(text: str) -> str:
    """With nothing in it that a terminal would act on."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
