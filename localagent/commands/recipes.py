"""`localagent save` and `localagent recipes`: runs that are kept to be done again."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from dataclasses import asdict
from typing import Any

from ..agent.plain import calm_json
from ..agent.shown import visible
from ..errors import LocalAgentError, UsageError
from ..store import recipes, recipes_known

_PARAM = "make VALUE, as it stands in the run, the parameter NAME (repeatable); others are proposed by themselves"


def configure_save(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what to call the recipe")
    parser.add_argument("--session", default="last", metavar="ID", help="as `localagent sessions` shows it (default: the last one)")
    parser.add_argument("--turn", type=int, metavar="N", help="its Nth request (default: the last)")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help=_PARAM)
    parser.add_argument("--force", action="store_true", help="replace a recipe of that name")
    parser.add_argument("--yes", action="store_true", help="do not show it and ask first")


def run_save(args: argparse.Namespace) -> int:
    """0, or 1 where the person says no. Raises UsageError, StoreError."""
    from ..agent.recipes import stored

    if not args.force and args.name in recipes.names():
        raise UsageError(f"There is a recipe {args.name!r} already.", "Take another name, or say --force to replace it.")
    made = stored.propose(args.name, args.session, args.turn, stored.pairs(args.param))
    if not args.yes:
        print(visible(recipes.text(made.recipe)).rstrip("\n"))
    for note in made.notes:
        print(f"localagent: {visible(note, lines=False)}", file=sys.stderr)
    if not args.yes and not _agreed("Keep this recipe? [y/N] "):
        print("Nothing was kept.", file=sys.stderr)
        return 1
    where = stored.keep(made.recipe, args.force)
    print(where)
    print(f"Do it again: localagent run {stored.words(made.recipe)}", file=sys.stderr)
    return 0


def _agreed(question: str) -> bool:
    """Whether the person at the terminal says yes. Nobody there is a no."""
    if not sys.stdin.isatty():
        print("localagent: nobody is here to ask; --yes does it without.", file=sys.stderr)
        return False
    with contextlib.suppress(EOFError):
        return input(question).strip().casefold() in ("y", "yes")
    return False


# --- the kept ones ----------------------------------------------------------------------------------


def configure_recipes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--names", action="store_true", help=argparse.SUPPRESS)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions (default: list)")
    listing = actions.add_parser("list", help="all recipes, what they do and their parameters")
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document")
    for name, told in (
        ("show", "print a recipe"),
        ("check", "say whether a recipe can be used (all of them without NAME); non-zero where one cannot"),
        ("path", "print where it lies (the folder of all without NAME)"),
        ("edit", "open it in $VISUAL or $EDITOR"),
        ("rm", "remove it"),
        ("trust", "confirm a recipe that was changed by other means, or comes from elsewhere, after it was shown"),
    ):
        one = actions.add_parser(name, help=told)
        if name == "trust":
            one.add_argument("--yes", action="store_true", help="do not show it and ask first")
        one.add_argument("name", metavar="NAME", nargs="?" if name in ("check", "path") else None)
        if name in ("show", "check"):
            one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document")


def run_recipes(args: argparse.Namespace) -> int:
    """0; 1 where `check` finds something. Raises UsageError, ConfigError, StoreError."""
    actions = {"show": _show, "check": _check, "path": _path, "edit": _edit, "rm": _remove, "trust": _trust}
    return actions.get(args.action, _list)(args)


def _list(args: argparse.Namespace) -> int:
    if args.names:
        print("\n".join(recipes.names()))
        return 0
    rows = [_row(name) for name in recipes.names()]
    if args.json:
        print(calm_json(json.dumps(rows, ensure_ascii=False)).replace('}, {"name"', '},\n {"name"'))
        return 0
    if not rows:
        print("No recipes yet. `localagent save NAME` makes one of the last run.")
    for row in rows:
        about = row["problem"] or f"{row['description']} ({' '.join(one['name'] + '=' for one in row['params']) or 'no parameters'})"
        print(f"{row['name']:20}  {visible(about, lines=False)}{'' if row['own'] else '  [changed since it was kept]'}")
    return 0


def _row(name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "description": "", "steps": 0, "params": [], "own": True, "problem": ""}
    try:
        recipe = recipes.load(name)
    except LocalAgentError as error:
        return row | {"problem": str(error)}
    row["own"] = recipes_known.own(name)
    return row | {"description": recipe.description, "steps": len(recipe.steps), "params": [asdict(one) for one in recipe.params]}


def _show(args: argparse.Namespace) -> int:
    from ..agent.recipes import stored

    recipe = recipes.load(args.name)
    if args.json:
        print(calm_json(json.dumps(asdict(recipe), ensure_ascii=False, indent=1)))
    else:
        print(visible(recipes.text(recipe)).rstrip("\n"))
        print(f"localagent run {stored.words(recipe)}", file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> int:
    from ..agent.recipes import fill

    found: dict[str, list[str]] = {}
    for name in [args.name] if args.name else recipes.names():
        try:
            found[name] = fill.problems(recipes.load(name))
        except LocalAgentError as error:
            if args.name and isinstance(error, UsageError):
                raise
            found[name] = [str(error)]
    if args.json:
        print(calm_json(json.dumps([{"name": name, "problems": told} for name, told in found.items()], ensure_ascii=False)))
    else:
        for name, told in found.items():
            print("\n".join(visible(f"{name}: {one}", lines=False) for one in told or ["it can be used"]))
    return int(any(found.values()))


def _path(args: argparse.Namespace) -> int:
    print(recipes.path(args.name) if args.name else recipes.folder())
    return 0


def _edit(args: argparse.Namespace) -> int:
    """The editor's exit code, else that of a check of what it left."""
    from ..sandbox import editor

    where = recipes.path(args.name)
    if not where.exists():
        recipes.load(args.name)
    sys.stdout.flush()
    if code := editor.edit(where):
        return code
    # It is the person who has just seen it.
    recipes_known.confirm(args.name)
    return _check(args)


def _trust(args: argparse.Namespace) -> int:
    recipe = recipes.load(args.name)
    if not args.yes:
        print(visible(recipes.text(recipe)).rstrip("\n"))
        if not _agreed("Is this recipe as you want it? [y/N] "):
            return 1
    recipes_known.confirm(args.name)
    print(f"{args.name} is yours as it is now.")
    return 0


def _remove(args: argparse.Namespace) -> int:
    recipes.remove(args.name)
    print(f"{args.name} is removed.")
    return 0
