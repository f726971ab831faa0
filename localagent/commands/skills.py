"""`localagent skills`: instructions that others wrote, what each is, and whether you have agreed to it."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from ..agent import policies
from ..agent.shown import visible
from ..errors import StoreError, UsageError
from ..store import agreed, paths, trees
from ..store.atomic import store_error
from ..toolbox import skill_form, skills
from ..toolbox.skills import Found

_STATES = {"on": "on", "off": "off", "changed": "changed since it was confirmed; the earlier version is used"}
_NEW = """\
---
name: {name}
description: What this skill does, and when it is of use. The agent finds it by these words.
---

# {name}

Write down how the work is done, step by step. Files beside this one can be named here: scripts/check.py, references/form.md.

1. Look at ...
2. Run `python3 {{baseDir}}/scripts/check.py` on ...
3. Tell the user ...
"""


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|info|check|trust|new|add|rm")
    parser.set_defaults(what="list", json=False)
    for name, told in (("list", "every skill, and whether it is on"), ("info", "one skill: what it says, its files, its hash")):
        part = what.add_parser(name, help=told)
        part.add_argument("--json", action="store_true")
        if name == "info":
            part.add_argument("name", metavar="NAME")
    check = what.add_parser("check", help="whether a folder is a skill as agentskills.io describes it")
    check.add_argument("folder", metavar="FOLDER", type=Path)
    check.add_argument("--json", action="store_true")
    trust = what.add_parser("trust", help="look at a skill, and have it on if you say yes")
    trust.add_argument("name", metavar="NAME")
    trust.add_argument("--off", action="store_true", help="have it off again")
    new = what.add_parser("new", help="begin a skill of your own")
    new.add_argument("name", metavar="NAME")
    add = what.add_parser("add", help="take a copy of a folder as a skill of your own, and look at it")
    add.add_argument("folder", metavar="FOLDER", type=Path)
    rm = what.add_parser("rm", help="have a skill of your own off, and take its folder away")
    rm.add_argument("name", metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """0 where it went well; `trust` and `check`: 1 where it is not on, or no skill, in the end."""
    match args.what:
        case "check":
            return _check(args.folder, args.json)
        case "new":
            return _new(args.name)
        case "add":
            return _add(args.folder)
    found = skills.look(policies.here())
    match args.what:
        case "list":
            return _list(found, args.json)
        case "info":
            return _info(skills.find(args.name, found), args.json)
        case "rm":
            return _remove(skills.find(args.name, found))
        case _ if args.off:
            return _off(skills.find(args.name, found))
        case _:
            return _trust(skills.find(args.name, found))


def _list(found: list[Found], as_json: bool) -> int:
    if as_json:
        _print_json([_row(one) for one in found])
        return 0
    if not found:
        print(f"There are no skills. They are folders with a SKILL.md in {skills.own_folder()}: localagent skills new NAME")
        return 0
    width = max(len(one.name) for one in found)
    for one in found:
        origin = "" if one.place.whose == "yours" else " (of this folder)"
        print(f"{_plain(one.name):{width}}  {_STATES[one.state]}{origin}: {_plain(one.now.description)}")
        for problem in one.problems:
            print(f"    {_plain(problem)}")
    if any(one.state != "on" and not one.problems for one in found):
        print("What is off or changed is used once you have confirmed it: localagent skills trust NAME", file=sys.stderr)
    return 0


def _row(one: Found) -> dict[str, object]:
    facts = {"name": one.name, "state": one.state, "from": one.place.whose, "folder": str(one.place.folder), "sha256": one.sha256}
    head = {"description": one.now.description, "license": one.now.license, "compatibility": one.now.compatibility}
    more = {"metadata": dict(one.now.metadata), "allowed_tools": one.now.allowed_tools, "problems": list(one.problems)}
    return facts | head | more | {"hints": list(one.now.hints), "tool": skills.spec_of(one.now).name if not one.problems else None}


def _info(one: Found, as_json: bool) -> int:
    if as_json:
        _print_json(_row(one) | {"files": sorted(one.tree.files) if one.tree else [], "instructions": one.now.body})
        return 0
    for line in (*skills.told(one), "", *one.now.body.split("\n")):
        print(_plain(line))
    return 0


def _check(folder: Path, as_json: bool) -> int:
    if not folder.is_dir():
        raise UsageError(f"There is no folder {str(folder)!r}.")
    tree, skill = skills.inspect(folder.resolve())
    if as_json:
        _print_json({"ok": not skill.problems, "name": skill.name, "problems": list(skill.problems), "hints": list(skill.hints)})
        return 1 if skill.problems else 0
    for word, lines in (("", skill.problems), ("hint: ", skill.hints)):
        for line in lines:
            print(f"{_plain(str(folder / skill_form.FILE))}:{word and ' ' + word}{_plain(line)}")
    if not skill.problems and tree is not None:
        tokens = len(skill.body) // 4
        print(f"{skill.name}: a skill of {len(tree.files)} files; its instructions are about {tokens:,} tokens.")
    return 1 if skill.problems else 0


def _trust(one: Found) -> int:
    for line in skills.told(one):
        print(_plain(line))
    if one.state == "on":
        print("It is on already.")
        return 0
    if one.problems:
        print("It cannot be confirmed.", file=sys.stderr)
        return 1
    _print_files(one)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("Only a person can confirm a skill, at a terminal.", f"Run this at one: localagent skills trust {one.name}")
    try:
        said = input("Let the agent follow exactly these instructions, where they fit, from now on? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        said = ""
        print()
    if said.strip().lower() not in ("y", "yes"):
        print("It stays as it is." if one.running else "It stays off.")
        return 1
    skills.agree(one)
    print("On, from the next request on.")
    return 0


def _print_files(one: Found) -> None:
    """All of its text: what was not shown cannot be agreed to."""
    for line in skills.text_of(one):
        print(_plain(line))


def _off(one: Found) -> int:
    done = agreed.withdraw("skills", one.place.folder)
    print(f"{_plain(one.name)} is off{'' if done else ' already'}.")
    return 0


def _new(name: str) -> int:
    text = _NEW.format(name=name)
    if problems := skill_form.parse(text.encode(), name).problems:
        raise UsageError(f"{name!r} is no name for a skill: {problems[0].partition(': ')[2]}")
    folder = skills.own_folder() / name
    _lay(trees.Tree({skill_form.FILE: trees.Leaf(text.encode())}), folder)
    print(f"{folder / skill_form.FILE}\nWrite down how the work is done, then: localagent skills trust {name}")
    return 0


def _add(folder: Path) -> int:
    if not folder.is_dir():
        raise UsageError(f"There is no folder {str(folder)!r}.", "Name one that holds a SKILL.md.")
    folder = folder.resolve()
    tree, skill = skills.inspect(folder)
    if skill.problems or tree is None:
        for problem in skill.problems:
            print(f"{_plain(str(folder / skill_form.FILE))}:{_plain(problem)}", file=sys.stderr)
        raise UsageError(f"{folder} is not a skill that can be taken.", "Mend what stands above.")
    place = skills.own_folder() / skill.name
    _lay(tree, place)
    print(f"{place}")
    one = skills.find(str(place), skills.look(None))
    if sys.stdin.isatty() and sys.stdout.isatty():
        return _trust(one)
    print(f"It is there, and off. A person has it on: localagent skills trust {skill.name}")
    return 0


def _lay(tree: trees.Tree, place: Path) -> None:
    if place.exists():
        raise UsageError(f"{place} is there already.", f"Take it away first: localagent skills rm {place.name}")
    try:
        trees.write(tree, place)
    except OSError as error:
        raise store_error(error, place) from error


def _remove(one: Found) -> int:
    if one.place.folder.parent != skills.own_folder():
        told = f"{one.place.folder} is not in {skills.own_folder()}, so it is not ours to take away."
        raise UsageError(told, f"Have it off: localagent skills trust {one.name} --off")
    agreed.withdraw("skills", one.place.folder)
    kept = paths.state_dir() / "removed" / f"{one.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.move(one.place.folder, kept)
    except OSError as error:
        raise StoreError(f"{one.place.folder} could not be taken away: {error.strerror or error}.") from error
    print(f"{_plain(one.name)} is off and gone. Its files are kept in {kept}")
    return 0


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1)
    print()


def _plain(text: str) -> str:
    return visible(text, lines=False)
