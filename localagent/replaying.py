"""`localagent run`: a recipe done again, without a model while its checks hold.

It is a `do` whose answers come from the recipe: the same session, questions, sandbox, journal, transcript and exit codes.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .engine.base import Engine
    from .engine.catalogue import Entry
    from .events import TurnEnded
    from .store.settings import Settings

# What `do` understands by the same words.
_SAME = ("mode", "yes", "allow", "deny", "cwd", "max_turns", "max_time", "dry_run", "think")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a recipe, as `localagent recipes` lists them")
    parser.add_argument("values", nargs="*", metavar="arg=value", help="what its parameters stand for this time")
    parser.add_argument("--mode", choices=["plan", "ask", "auto", "yolo"], help="how much may happen without asking")
    parser.add_argument("--yes", action="store_true", help="same as --mode auto: what can be undone is not asked about")
    parser.add_argument("--allow", action="append", default=[], metavar="RULE", help="e.g. 'write(notes/**)', 'run(make *)'")
    parser.add_argument("--deny", action="append", default=[], metavar="RULE", help="rules that no other rule lifts")
    parser.add_argument("--cwd", metavar="DIR", help="the folder to work in (default: here)")
    parser.add_argument("--model", metavar="ID", help="the model that is asked where a check fails")
    parser.add_argument("--no-model", action="store_true", help="ask no model: where a check fails the run ends with exit code 9")
    parser.add_argument("--pull", action="store_true", help="download the model where it is needed and missing")
    parser.add_argument("--local-only", action="store_true", help="never use a model on another machine")
    parser.add_argument("--think", action="store_true", help="let a thinking model think before it acts")
    parser.add_argument("--max-turns", type=int, default=40, metavar="N", help="answers of the model at most (40)")
    parser.add_argument("--max-time", type=float, default=0.0, metavar="SECONDS", help="wall time at most")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")
    parser.add_argument("--output-format", choices=["text", "json", "stream-json"], default="text")
    parser.add_argument("--json", action="store_true", help="same as --output-format json")
    parser.add_argument("--quiet", "-q", action="store_true", help="nothing on stderr but errors")


def run(args: argparse.Namespace) -> TurnEnded:
    """How it ended. Raises LocalAgentError where it could not begin."""
    from .sandbox import launch

    # It takes as long as loading all that follows.
    launch.probe_soon()
    import asyncio
    from dataclasses import replace

    from . import headless, wiring
    from .agent.recipes import stored
    from .commands import arguments, pulling
    from .errors import LocalAgentError, UsageError
    from .store import settings

    form = "json" if args.json else args.output_format
    try:
        if args.max_turns < 1 or not 0 <= args.max_time < float("inf"):
            raise UsageError("--max-turns and --max-time are numbers above 0.")
        chosen = settings.load()
        chosen = replace(chosen, local_only=True) if args.local_only else chosen
        as_do = arguments.of_do(["-"])
        for name in _SAME:
            setattr(as_do, name, getattr(args, name))
        wiring.check(as_do)

        def obtain(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
            return pulling.obtain(entry, chosen, pull=args.pull, person=False)

        def model() -> Engine:
            return wiring.chosen_engine(chosen, args.model, obtain)

        play = stored.play(args.name, stored.pairs(args.values), wiring.folder(args.cwd), None if args.no_model else model)

        async def do() -> TurnEnded:
            session = await wiring.for_do(as_do, play, chosen)
            play.begin(session)
            return await headless.do(session, play.goal, "", form, quiet=args.quiet)

        return asyncio.run(do())
    except LocalAgentError as error:
        headless.refused(error, form)
        raise
