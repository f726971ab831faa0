"""`localagent mcp`: servers whose tools the agent uses, and our tools for other agents."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from . import mcp_servers


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="add|list|trust|…|serve", required=True)
    mcp_servers.configure(what)
    serve = what.add_parser("serve", help="offer our tools to another agent, on standard input and output")
    serve.add_argument("--cwd", metavar="DIR", help="the folder to work in (default: here)")
    serve.add_argument("--mode", choices=["plan", "ask", "auto"], help="how much may happen without asking")
    serve.add_argument(
        "--allow", action="append", default=[], metavar="RULE", help="e.g. 'write(notes/**)', 'run(make *)'"
    )
    serve.add_argument("--deny", action="append", default=[], metavar="RULE", help="rules that no other rule lifts")


def run(args: argparse.Namespace, serve: Callable[[list[str]], None]) -> int:
    """`serve(words)` answers until the client goes; the words are those that `do` would understand."""
    if args.what != "serve":
        return mcp_servers.run(args)
    words = ["-"]
    for name in ("cwd", "mode"):
        if value := getattr(args, name):
            words += [f"--{name}", value]
    for name in ("allow", "deny"):
        words += [part for rule in getattr(args, name) for part in (f"--{name}", rule)]
    serve(words)
    return 0
