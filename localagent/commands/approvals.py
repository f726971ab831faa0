"""`localagent approvals list|add|revoke`: the rules that a person chose to keep."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from ..agent import binding
from ..agent.shown import visible
from ..policy import rules
from ..store import grants


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|add|revoke")
    parser.set_defaults(what="list", json=False)
    listing = what.add_parser("list", help="all stored rules, where they hold and when they were last used")
    listing.add_argument("--json", action="store_true")
    add = what.add_parser("add", help="allow something from now on")
    add.add_argument("rule", help="e.g. 'write(notes/**)' or 'run(make test)'")
    where = add.add_mutually_exclusive_group()
    where.add_argument("--folder", metavar="DIR", help="only there (default for a relative path: this folder)")
    where.add_argument("--everywhere", action="store_true", help="in every folder, also where a path is relative")
    revoke = what.add_parser("revoke", help="forget a rule")
    revoke.add_argument("rule", help="as `list` shows it, or `all`")


def run(args: argparse.Namespace) -> int:
    return {"list": _list, "add": _add, "revoke": _revoke}[args.what](args)


def _list(args: argparse.Namespace) -> int:
    known = grants.load()
    if args.json:
        json.dump([asdict(grant) for grant in known], sys.stdout, indent=1)
        print()
        return 0
    if not known:
        print("No approvals are stored.")
    for grant in known:
        used = f"used {grant.uses}x, last {time.strftime('%Y-%m-%d', time.localtime(grant.used))}" if grant.uses else "never used"
        print(f"{visible(grant.rule, lines=False)}  in {grant.folder or 'every folder'}  ({used})")
    return 0


def _add(args: argparse.Namespace) -> int:
    here = rules.local(args.rule) and not args.everywhere
    folder = str(Path(args.folder or ".").expanduser().resolve()) if args.folder or here else ""
    why = rules.never_kept(args.rule)
    if why:
        print(f"localagent: {args.rule} is never stored: {why}. Give it to one run with --allow.", file=sys.stderr)
        return 3
    grants.add(args.rule, folder, binding.kept_for(rules.parse(args.rule).words, Path(folder or ".").resolve()))
    print(f"Allowed from now on: {args.rule} in {folder or 'every folder'}")
    return 0


def _revoke(args: argparse.Namespace) -> int:
    wanted = {grant.rule for grant in grants.load()} if args.rule == "all" else {args.rule}
    gone = sum(grants.revoke(rule) for rule in wanted)
    if gone == 0:
        print(f"localagent: there is no stored rule {args.rule!r}; see `localagent approvals list`.", file=sys.stderr)
        return 1
    print(f"Revoked: {gone} rule{'s' if gone != 1 else ''}.")
    return 0
