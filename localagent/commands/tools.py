"""`localagent tools list|info`: what the agent can do, and what each tool may touch."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ..toolbox.registry import Registry


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|info")
    parser.set_defaults(what="list", json=False)
    listing = what.add_parser("list", help="every tool with its effects")
    listing.add_argument("--json", action="store_true")
    info = what.add_parser("info", help="one tool: parameters, effects, where it comes from")
    info.add_argument("name")


def run(args: argparse.Namespace, registry: Registry) -> int:
    specs = registry.specs()
    if args.what == "info":
        spec = registry.spec(args.name)
        if spec is None:
            raise UsageError(f"There is no tool {args.name!r}.", "See `localagent tools list`.")
        print(f"{spec.name} ({', '.join(spec.effects) or 'effects not declared'}), from {spec.source}")
        print(spec.description)
        print(json.dumps(spec.parameters, ensure_ascii=False, indent=1))
    elif args.json:
        rows = [{"name": s.name, "description": s.description, "effects": s.effects, "source": s.source} for s in specs]
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        print()
    else:
        width = max((len(s.name) for s in specs), default=0)
        for spec in specs:
            print(f"{spec.name:{width}}  {', '.join(spec.effects) or 'undeclared':10}  {spec.description}")
    return 0
