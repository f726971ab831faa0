"""`localagent approvals list|add|revoke`: the rules that a person chose to keep, and those of policy files."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ..agent import binding, policies
from ..agent.shown import visible
from ..errors import ConfigError
from ..policy import rules
from ..policy.written import Written
from ..store import grants


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|add|revoke")
    parser.set_defaults(what="list", json=False)
    listing = what.add_parser(
        "list", help="all rules: the stored ones with their last use, those of policy files with their line"
    )
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


@dataclass(frozen=True, slots=True)
class _Row:
    """A rule of a policy file; `folder` is "" where it holds everywhere, `origin` file and line."""

    rule: str
    folder: str
    verdict: str
    origin: str


def _list(args: argparse.Namespace) -> int:
    known, laid = grants.load(), _rows(policies.own(), "")
    here, unread = policies.here(), ""
    try:
        # What a folder allows does not count, so it is not listed.
        laid += [row for row in _rows(policies.of_project(here), str(here)) if row.verdict != "allow"]
    except ConfigError as error:
        unread = f"The rules of this folder cannot be read, so everything asks here: {error}"
    if args.json:
        stored = [{**asdict(grant), "verdict": "allow", "origin": ""} for grant in known]
        json.dump([*stored, *map(asdict, laid)], sys.stdout, indent=1)
        print()
    else:
        _print(known, laid)
    if unread:
        print(f"localagent: {visible(unread, lines=False)}", file=sys.stderr)
    return 0


def _rows(found: Written, folder: str) -> list[_Row]:
    return [
        _Row(str(placed.rule), folder, verdict, f"{found.where}:{placed.line}")
        for verdict, rules_of in (("deny", found.deny), ("ask", found.ask), ("allow", found.allow))
        for placed in rules_of
    ]


def _print(known: list[grants.Grant], laid: list[_Row]) -> None:
    if not known:
        print("No approvals are stored.")
    for grant in known:
        used = (
            f"used {grant.uses}x, last {time.strftime('%Y-%m-%d', time.localtime(grant.used))}"
            if grant.uses
            else "never used"
        )
        print(f"{visible(grant.rule, lines=False)}  in {grant.folder or 'every folder'}  ({used})")
    for row in laid:
        text = f"{row.verdict} {row.rule}  in {row.folder or 'every folder'}  ({row.origin}; change it there)"
        print(visible(text, lines=False))


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
    if gone == 0 and (place := next((row.origin for row in _rows(policies.own(), "") if row.rule == args.rule), "")):
        print(f"localagent: {args.rule} stands in {place}; take it out there.", file=sys.stderr)
        return 1
    if gone == 0:
        print(f"localagent: there is no stored rule {args.rule!r}; see `localagent approvals list`.", file=sys.stderr)
        return 1
    print(f"Revoked: {gone} rule{'s' if gone != 1 else ''}.")
    return 0
