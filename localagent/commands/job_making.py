"""Making a job: what is asked for is read, shown whole, and kept when the person says yes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..agent import binding
from ..agent.shown import visible
from ..errors import LocalAgentError, UsageError
from ..jobs import cron, described, frozen, installing, looking, mailing, reminding, telling, times, wishes
from ..policy import rules
from ..store import channels, workspace
from ..store.atomic import write_atomic
from ..store.inbox import Inbox
from ..store.jobs import Job, Jobs, Trigger, new_id

if TYPE_CHECKING:
    from ..toolbox.registry import Registry

_TRIGGERS = ("at", "every", "cron", "on_change", "on_output", "on_mail", "on_exit")
_POLLS = {"change": 60.0, "output": 300.0, "mail": 120.0, "exit": 2.0}
_MOST_GOAL = 8000


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("goal", help="what to do each time")
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument("--at", metavar="TIME", help="once: 18:30, 'tomorrow 9:00', 'in 20m', '2026-12-24 18:30'")
    when.add_argument("--every", metavar="DURATION", help="again and again: 90s, 15m, 1h30m, 2d")
    when.add_argument("--cron", metavar="EXPR", help="minute hour day month weekday: '0 9 * * 1-5', or @daily")
    when.add_argument("--on-change", metavar="PATH", help="a file, or a file in a folder, is new, changed or gone")
    when.add_argument("--on-output", metavar="CMD", help="the output of a command is another one; it runs in the sandbox and only reads")
    when.add_argument("--on-mail", action="store_true", help="new mail; see --from, --words, --channel")
    when.add_argument("--on-exit", metavar="PID", type=int, help="that process has ended")
    parser.add_argument("--from", dest="sender", default="", metavar="ADDRESS", help="only mail from it; @example.org is all of a domain")
    parser.add_argument("--words", default="", help="only mail in which all these words stand")
    parser.add_argument("--channel", default="", metavar="NAME", help="only messages of this channel (all e-mail)")
    parser.add_argument("--poll", metavar="DURATION", help="how often to look (files 1m and at once, a command 5m, mail 2m)")
    parser.add_argument("--tz", default="", metavar="ZONE", help="the clock of --at and --cron, e.g. Europe/Berlin (this machine's)")
    parser.add_argument("--allow", action="append", default=[], metavar="RULE", help="what it may do without you; nothing else")
    parser.add_argument("--deny", action="append", default=[], metavar="RULE", help="rules that no other rule lifts")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME", help="only this tool; repeatable (all of now)")
    parser.add_argument("--remind", action="store_true", help="only show you the goal's words then; no model runs")
    parser.add_argument("--cwd", metavar="DIR", help="the folder to work in (default: here)")
    parser.add_argument("--name", default="", help="what to call it")
    parser.add_argument("--model", default="", metavar="ID", help="a model of `localagent model list` (the chosen one)")
    parser.add_argument("--max-time", default="30m", metavar="DURATION", help="the longest a run may take (30m)")
    parser.add_argument("--max-turns", type=int, default=40, metavar="N", help="answers of the model in a run at most (40)")
    parser.add_argument("--missed", choices=["once", "skip"], default="once", help="what came while nobody watched: one run, or none")
    parser.add_argument("--tell", default="", metavar="CHANNEL:ADDRESS", help="send how each run ended there")
    parser.add_argument("--yes", action="store_true", help="do not show it and ask first")


def add(args: argparse.Namespace, store: Jobs, tools: Callable[[Path], Awaitable[Registry]]) -> int:
    now = time.time()
    # Beginning a moment later than the mail and the files are looked at would lose what comes between.
    job, due = made(args, store, now)
    registry = asyncio.run(_tools_of(tools, Path(job.folder)))
    job = _with_tools(job, args.tool, registry)
    cursor = looking.World(_no_mail, Inbox()).beginning(job.trigger)
    if not args.yes:
        print("\n".join(described.told(job, due)))
    if not args.yes and not agreed("Make this job? [y/N] ", "--yes makes it without"):
        print("No job was made.", file=sys.stderr)
        return 1
    store.add(job, due, cursor)
    print(visible(f"{job.id}  {job.name}: {described.when(job.trigger)}", lines=False))
    if not described.watched():
        print("It starts by itself while `localagent jobs watch` runs (`localagent jobs install` sees to that).", file=sys.stderr)
    if not job.remind and (missing := _no_model(job)):
        print(f"localagent: its runs will fail until there is a model. {missing}", file=sys.stderr)
    return 0


def _no_model(job: Job) -> str:
    """Why a run of now would have no model, "" where there is one."""
    from ..engine import models
    from ..store import settings
    from . import pulling

    try:
        models.ready(settings.load(), job.model or None, lambda entry, chosen: pulling.obtain(entry, chosen, pull=False, person=False))
    except LocalAgentError as error:
        return str(error)
    return ""


async def _tools_of(tools: Callable[[Path], Awaitable[Registry]], folder: Path) -> Registry:
    registry = await tools(folder)
    await registry.aclose()
    return registry


async def _no_mail(channel: str) -> tuple[frozenset[str], str]:
    return frozenset(), ""


def _with_tools(job: Job, wanted: list[str], registry: Registry) -> Job:
    from dataclasses import replace

    for name in wanted:
        if registry.spec(name) is None:
            raise UsageError(f"There is no tool {name!r}.", "`localagent tools list` shows them.")
    return replace(job, tools=() if job.remind else frozen.tools(registry, wanted))


def made(args: argparse.Namespace, store: Jobs, now: float) -> tuple[Job, float]:
    """The job as it was asked for, and when it comes first (0: when something happens). Raises UsageError."""
    folder = workspace.folder(args.cwd)
    goal = args.goal.strip()
    if not goal or len(goal) > _MOST_GOAL:
        raise UsageError("A job needs a goal." if not goal else f"The goal has more than {_MOST_GOAL:,} characters.")
    trigger, due = _trigger(args, folder, now)
    allow = tuple(_allowed(text, folder) for text in args.allow)
    for text in args.deny:
        rules.parse(text)
    name = " ".join((args.name or goal).split())[:60]
    if args.name and any(kept.job.name == name for kept in store.all()):
        raise UsageError(f"There is a job {name!r} already.", "Give it another name.")
    if args.tell:
        _channel(telling.rule(args.tell).object.partition(":")[0])
    if args.remind and (args.allow or args.deny or args.tool or args.model):
        raise UsageError("--remind runs no model, so it needs no rules, tools or model.")
    if args.max_turns < 1:
        raise UsageError("--max-turns is at least 1.")
    tell = args.tell or (reminding.way() if args.remind else "")
    job = Job(
        new_id(), name, goal, str(folder), trigger, allow, tuple(args.deny), (), args.missed, tell, args.model,
        times.seconds(args.max_time), args.max_turns, now, args.remind,
    )  # fmt: skip
    return job, due


def _allowed(text: str, folder: Path) -> tuple[str, str]:
    rule = rules.parse(text)
    telling.one(rule)
    if why := rules.never_kept(text):
        raise UsageError(f"{text} is never kept: {why}.", "A program's changes are allowed by rules to write: --allow 'write(**)'.")
    return str(rule), binding.kept_for(rule.words, folder)


def _channel(name: str) -> None:
    known = channels.load()
    if name not in known:
        there = f"There are: {', '.join(known)}." if known else "`localagent channels add` makes one."
        raise UsageError(f"There is no channel {name!r}.", there)


def _trigger(args: argparse.Namespace, folder: Path, now: float) -> tuple[Trigger, float]:
    kind = next(name for name in _TRIGGERS if getattr(args, name) not in (None, False))
    if kind != "on_mail" and (args.sender or args.words or args.channel):
        raise UsageError("--from, --words and --channel belong to --on-mail.")
    if kind not in ("at", "cron") and args.tz:
        raise UsageError("--tz belongs to --at and --cron.")
    if kind in ("at", "cron", "every") and args.poll:
        raise UsageError("--poll belongs to what is looked at: --on-change, --on-output, --on-mail, --on-exit.")
    if kind in ("at", "cron", "every"):
        return _timed(args, kind, now)
    short = kind.removeprefix("on_")
    poll = times.seconds(args.poll, 2.0) if args.poll else _POLLS[short]
    if kind == "on_mail":
        if args.channel:
            _channel(args.channel)
        elif not any(one.kind == mailing.KIND for one in channels.load().values()):
            raise UsageError("No e-mail channel is set up.", "`localagent channels add email` does it.")
        return Trigger("mail", "", poll, "", args.sender.strip(), args.words.strip(), args.channel), 0.0
    if kind == "on_exit":
        if not (began := looking.began(args.on_exit)):
            raise UsageError(f"There is no process {args.on_exit}.")
        return Trigger("exit", "", poll, pid=args.on_exit, started=began), 0.0
    if kind == "on_output":
        if not args.on_output.strip():
            raise UsageError("--on-output needs a command.")
        return Trigger("output", args.on_output, poll), 0.0
    path = os.path.realpath(folder / Path(args.on_change).expanduser())
    if not os.path.lexists(path) and not os.path.isdir(os.path.dirname(path)):
        raise UsageError(f"There is no {path}, and no folder for it either.")
    return Trigger("change", path, poll), 0.0


def _timed(args: argparse.Namespace, kind: str, now: float) -> tuple[Trigger, float]:
    if kind == "every":
        trigger = Trigger("every", args.every, times.seconds(args.every))
        return trigger, times.following(trigger, now, now)
    zone = args.tz or times.here()
    if kind == "at":
        return wishes.moment(args.at, now, zone)
    times.zone(zone)
    cron.read(args.cron)
    trigger = Trigger("cron", args.cron, zone=zone)
    return trigger, times.following(trigger, now, now)


def agreed(question: str, otherwise: str) -> bool:
    """Whether the person at the terminal says yes. Nobody there is a no."""
    if not sys.stdin.isatty():
        print(f"localagent: nobody is here to ask; {otherwise}.", file=sys.stderr)
        return False
    with contextlib.suppress(EOFError):
        return input(question).strip().casefold() in ("y", "yes")
    return False


def install(on: bool, yes: bool) -> int:
    """Write the unit or agent and have the system start it, or the other way round."""
    service = installing.here()
    if not on and not service.path.exists():
        raise UsageError(f"There is no {service.path}; nothing was installed.")
    commands = service.on if on else service.off
    if not yes:
        print(f"{service.path}{'' if on else ' will be removed.'}\n")
        print(service.text if on else "", end="")
        print("\n".join(["", "Then:", *("  " + " ".join(argv) for argv in commands)]))
        if not agreed("Install it? [y/N] " if on else "Remove it? [y/N] ", "--yes does it without"):
            return 1
    if not on:
        try:
            asyncio.run(installing.tell(commands))
        except LocalAgentError as error:
            print(f"localagent: {error}", file=sys.stderr)
        service.path.unlink(missing_ok=True)
        print("Jobs do not start with your session any more.")
        return 0
    service.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(service.path, service.text.encode(), 0o644)
    try:
        asyncio.run(installing.tell(commands))
    except LocalAgentError:
        service.path.unlink(missing_ok=True)
        raise
    print(f"Jobs start with your session. {service.hint}".rstrip())
    return 0
