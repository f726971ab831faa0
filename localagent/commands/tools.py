"""`localagent tools list|info|trust`: what the agent can do, what each tool may touch, and the user's own plugins."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
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
    what = parser.add_subparsers(dest="what", metavar="list|info|trust")
    parser.set_defaults(what="list", json=False)
    listing = what.add_parser("list", help="every tool with its effects, and whether your own plugins are on")
    listing.add_argument("--json", action="store_true")
    info = what.add_parser("info", help="one tool: parameters, effects, where it comes from")
    info.add_argument("name")
    trust = what.add_parser("trust", help="look at a plugin file of yours, and have it on if you say yes")
    trust.add_argument("file", metavar="FILE", help="a file of your plugin folder, or its name")
    trust.add_argument("--off", action="store_true", help="have it off again")


def run(args: argparse.Namespace, registry: Registry) -> int:
    """`trust`: 0 where it is on (with --off: off) in the end, 1 where it is not."""
    mine = asyncio.run(own.look([s.name for s in registry.specs()], unsandboxed=launch.probe().name == "none"))
    if args.what == "trust":
        return _off(args.file, mine) if args.off else _trust(own.find(args.file, mine))
    specs = [*registry.specs(), *(spec for one in mine if one.running for spec in one.running.specs)]
    if args.what == "info":
        return _info(args.name, specs)
    if args.json:
        json.dump([_row(spec, mine) for spec in [*specs, *_off_specs(mine)]], sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    width = max((len(s.name) for s in specs), default=0)
    for spec in specs:
        print(f"{spec.name:{width}}  {', '.join(spec.effects) or 'undeclared':10}  {_plain(spec.description)}")
    _list(mine)
    return 0


def _info(name: str, specs: list[ToolSpec]) -> int:
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
