"""`localagent engine status|stop`: the resident process that holds the model."""

from __future__ import annotations

import argparse
import json
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="status|stop")
    parser.set_defaults(what="status", json=False)
    status = what.add_parser("status", help="which model is loaded, since when, with how much memory")
    status.add_argument("--json", action="store_true")
    what.add_parser("stop", help="end the engine; the next request starts it again")


def run(args: argparse.Namespace) -> int:
    import asyncio

    from ..engine import local

    if args.what == "stop":
        print("The engine was stopped." if asyncio.run(local.stop()) else "The engine was not running.")
        return 0
    status = asyncio.run(local.status())
    if args.json:
        json.dump(status or {"running": False}, sys.stdout, indent=1)
        print()
    elif status is None:
        print("The engine is not running; the next request starts it.")
    else:
        for key, value in status.items():
            print(f"{key:>14}  {value}")
    return 0
