"""`localagent config get|set|path`: the settings, where each comes from, and the file."""

from __future__ import annotations

import argparse
import json
import sys

from ..errors import UsageError
from ..store import settings


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="get|set|path")
    parser.set_defaults(what="get", key=None, json=False)
    get = what.add_parser("get", help="one setting, or all with their meaning")
    get.add_argument("key", nargs="?")
    get.add_argument("--json", action="store_true")
    put = what.add_parser("set", help="change one setting (`null` takes a choice back where there need not be one)")
    put.add_argument("key")
    put.add_argument("value")
    what.add_parser("path", help="the file that holds them")


def run(args: argparse.Namespace) -> int:
    if args.what == "path":
        print(settings.path())
        return 0
    if args.what == "set":
        made = settings.set_value(args.key, args.value)
        print(f"{args.key}: {json.dumps(getattr(made, args.key))}")
        return 0
    described = [d for d in settings.describe() if args.key in (None, d.key)]
    if not described:
        raise UsageError(f"There is no setting {args.key!r}.", "See `localagent config get`.")
    if args.json:
        json.dump({d.key: d.value for d in described}, sys.stdout, indent=1)
        print()
    elif args.key:
        print(json.dumps(described[0].value) if not isinstance(described[0].value, str) else described[0].value)
    else:
        for d in described:
            print(f"{d.key}: {json.dumps(d.value)}  # {d.help} [{d.source}]")
    return 0
