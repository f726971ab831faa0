"""`localagent tools list|info|search|trust`: what the agent can do, what each tool may touch, and the user's own plugins."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..sandbox import launch
from ..store import trusted
from ..toolbox import own

if TYPE_CHECKING:
    from ..toolbox.own import Own
    from ..toolbox.registry import Registry
    from ..values import ToolSpec

_HIDDEN = "changed since it was confirmed; the earlier version runs"


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|info|search|trust")
    parser.set_defaults(what="list", json=False)
    listing = what.add_parser("list", help="every tool with its effects, whether it is found or always there, and your own plugins")
    listing.add_argument("--json", action="store_true")
    info = what.add_parser("info", help="one tool: parameters, effects, where it comes from")
    info.add_argument("name")
    search = what.add_parser("search", help="which of the tools that are found fit some words, and how well")
    search.add_argument("words", nargs="+", metavar="WORDS")
    search.add_argument("--json", action="store_true")
    trust = what.add_parser("trust", help="look at a plugin file of yours, and have it on if you say yes")
    trust.add_argument("file", metavar="FILE", help="a file of your plugin folder, or its name")
    trust.add_argument("--off", action="store_true", help="have it off again")


def run(args: argparse.Namespace, registry: Registry) -> int:
    """`trust`: 0 where it is on (with --off: off) in the end, 1 where it is not."""
    folder = str(trusted.plugins_folder()) + os.sep
    taken = [spec.name for spec in registry.every() if not spec.source.startswith(folder)]
    if args.what == "search":
        return _search(" ".join(args.words), registry, as_json=args.json)
    mine = asyncio.run(own.look(taken, unsandboxed=launch.probe().name == "none"))
    if args.what == "trust":
        return _off(args.file, mine) if args.off else _trust(own.find(args.file, mine))
    if args.what == "info":
        return _info(args.name, registry.every())
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

    found = asyncio.run(Finder(registry.findable()).find(words, 10))
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


def _info(name: str, specs: Sequence[ToolSpec]) -> int:
    spec = next((spec for spec in specs if spec.name == name), None)
    if spec is None:
        raise UsageError(f"There is no tool {name!r}.", "See `localagent tools list`.")
    print(f"{spec.name} ({', '.join(spec.effects) or 'effects not declared'}), from {spec.source}")
    print(_plain(spec.description))
    print(json.dumps(spec.parameters, ensure_ascii=False, indent=1))
    return 0


def _off_specs(mine: list[Own]) -> list[ToolSpec]:
    return [spec for one in mine if one.running is None for spec in one.now.specs]


def _row(spec: ToolSpec, mine: list[Own]) -> dict[str, object]:
    state = next((one.state for one in mine if str(one.file) == spec.source), None)
    row = {"name": spec.name, "description": spec.description, "effects": spec.effects, "source": spec.source}
    return row if state is None else {**row, "state": state}


def _list(mine: list[Own]) -> None:
    if not mine:
        return
    print(f"\nYour plugins ({trusted.plugins_folder()}):")
    width = max(len(one.file.name) for one in mine)
    for one in mine:
        state = {"on": "on", "off": "off", "changed": _HIDDEN}[one.state]
        names = ", ".join(spec.name for spec in (one.running or one.now).specs)
        print(f"  {_plain(one.file.name):{width}}  {state}{f': {names}' if names else ''}")
        for problem in one.problems:
            print(f"    {_plain(problem)}")
    if any(one.state != "on" and not one.problems for one in mine):
        print("What is off or changed is on once you have confirmed it: localagent tools trust FILE", file=sys.stderr)


def _trust(one: Own) -> int:
    for line in own.told(one):
        print(_plain(line))
    if one.state == "on":
        print("It is on already.")
        return 0
    if one.problems:
        print("It cannot be confirmed.", file=sys.stderr)
        return 1
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("Only a person can confirm a plugin, at a terminal.", "Run it again at one.")
    try:
        said = input("Have exactly these bytes as tools of the agent from now on? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        said = ""
        print()
    if said.strip().lower() not in ("y", "yes"):
        print("It stays as it is." if one.running else "It stays off.")
        return 1
    own.confirm(one)
    print("On, from the next conversation on.")
    return 0


def _off(name: str, mine: list[Own]) -> int:
    one = own.find(name, mine)
    done = trusted.withdraw(one.file)
    print(f"{_plain(one.file.name)} is off{'' if done else ' already'}.")
    return 0


def _plain(text: str) -> str:
    """With nothing in it that a terminal would act on."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
