"""`localagent acp`: the agent for an editor that speaks the Agent Client Protocol, on standard input and output."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="ID", help="a model of `localagent model list`, or a GGUF file")
    parser.add_argument("--mode", choices=["plan", "ask", "auto"], help="the mode that conversations begin in")


def run(args: argparse.Namespace, serve: Callable[[str | None, str | None], None]) -> int:
    """`serve(model, mode)` answers until the editor goes."""
    serve(args.model, args.mode)
    return 0
