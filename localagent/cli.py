"""argv -> command. Exit codes are decided here and nowhere else; the work is done in the rooms below.

Only the chosen command's module is imported: `--help` must answer at once.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path
    from typing import NoReturn

    from .engine.catalogue import Entry
    from .events import TurnEnded
    from .store.settings import Settings


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    TIME = 2
    USAGE = 3
    DENIED = 4
    BUDGET = 5
    SANDBOX = 6
    CONFIG = 7
    MODEL = 8
    CHECK = 9
    INTERRUPTED = 130


# command -> (module with `configure(parser)` and `run(args) -> int`, what it does)
COMMANDS = {
    "do": ("", "do one thing and print the answer"),
    "resume": ("interactive", "go on with a session in the terminal app"),
    "sessions": ("commands.sessions", "list, search, name, fork, export and remove past sessions"),
    "undo": ("commands.undo", "take back what the last step (or step N) changed"),
    "redo": ("commands.undo", "put back what undo took away"),
    "changes": ("commands.undo", "show what was changed, step by step"),
    "save": ("commands.recipes", "keep a finished run as a recipe, with parameters and checks"),
    "run": ("replaying", "do a recipe again: without the model while its checks hold"),
    "recipes": ("commands.recipes", "list, show, check, edit and remove recipes"),
    "model": ("commands.model", "list, pull, use, inspect, check and remove models"),
    "engine": ("commands.engine", "show or stop the resident engine"),
    "tune": ("commands.tune", "measure what makes a model fast on this machine, and remember it"),
    "bench": ("commands.bench", "measure how fast a model reads, writes and starts here"),
    "approvals": ("commands.approvals", "list, add and revoke stored approvals"),
    "sandbox": ("commands.sandbox", "say what holds programs in here; --verify attacks it"),
    "audit": ("commands.audit", "show what was decided and done, and check the record of it"),
    "hooks": ("commands.hooks", "commands of yours that hear what the agent does and may refuse it: list, try, confirm"),
    "message": ("commands.message", "send a message to a contact"),
    "contacts": ("commands.contacts", "list, add and remove the people that messages go to"),
    "outbox": ("commands.outbox", "show what was sent, and send, cancel or edit what was not"),
    "channels": ("commands.channels", "add, list, try and remove the channels that messages go through"),
    "gateway": ("gatehouse", "be reached by message: pair senders, receive and answer"),
    "jobs": ("commands.jobs", "things that are done by themselves: at a time, or when something happened"),
    "tools": ("commands.tools", "list the tools and what each may do; confirm plugins of your own"),
    "mcp": ("commands.mcp", "tools of MCP servers: add, list, trust; or offer ours to other agents"),
    "skills": ("commands.skills", "instructions that the agent follows where they fit: list, check, add and confirm them"),
    "memory": ("commands.memory", "what you want remembered: add, list, search, forget, edit by hand"),
    "serve": ("commands.serve", "answer other programs over HTTP, as the OpenAI API does"),
    "acp": ("commands.acp", "be the agent of an editor that speaks the Agent Client Protocol"),
    "web": ("commands.web", "use the app in a browser on this machine"),
    "config": ("commands.config", "get, set and locate the settings"),
    "doctor": ("commands.doctor", "check this machine and say what to do"),
    "completion": ("commands.completion", "print the completion script of bash, zsh or fish"),
}

# The commands in the order above, each group beginning with this one.
_GROUPS = {
    "do": "Work",
    "model": "The model",
    "approvals": "What it may do",
    "message": "Messages and time",
    "tools": "More tools",
    "serve": "For other programs",
    "config": "This program",
}

_KINDS = {
    "usage": Exit.USAGE,
    "config": Exit.CONFIG,
    "sandbox": Exit.SANDBOX,
    **dict.fromkeys(("model", "model_missing", "download"), Exit.MODEL),
    "time": Exit.TIME,
    "check": Exit.CHECK,
    "budget": Exit.BUDGET,
}
# ENOSPC, EIO, EDQUOT; the errno module is not worth its start-up time.
_NO_ROOM = (28, 5, 122)
_STATUSES = {
    "done": Exit.DONE,
    "failed": Exit.FAILED,
    "time": Exit.TIME,
    "budget": Exit.BUDGET,
    "denied": Exit.DENIED,
    "cancelled": Exit.INTERRUPTED,
}


def program() -> NoReturn:
    """`main` as a process of its own: it leaves at once when the command has ended."""
    import gc
    import os

    # Loading makes many objects and drops few: looking for rubbish meanwhile is a fifth of the time to start.
    gc.set_threshold(100_000, 20, 20)
    _open_streams()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or Exit.FAILED
    # Nothing is open here any more; taking the interpreter apart would only keep the caller waiting.
    os._exit(code)


def _open_streams() -> None:
    """Standard streams that the caller closed go nowhere; else a socket of ours would take their numbers."""
    import os

    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open as long as the process


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return _command(args)
    except KeyboardInterrupt:
        print("localagent: interrupted.", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return Exit.FAILED
    except Exception as error:  # noqa: BLE001 - the last line before the person
        from .errors import LocalAgentError

        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            print(f"localagent: the output cannot be written: {error.strerror}.", file=sys.stderr)
            return Exit.FAILED
        if not isinstance(error, LocalAgentError):
            return _bug(error)
        print(f"localagent: {error}", file=sys.stderr)
        return _KINDS.get(error.kind, Exit.FAILED)


def _command(args: Sequence[str]) -> int:
    if not args or args[0].startswith(("--plain", "--model")):
        from . import interactive

        if _at_terminal():
            from .commands import arguments

            return interactive.app(args, arguments.of_do)
        if args:
            print(f'localagent: {args[0]} needs a terminal. Without one: localagent do "..."', file=sys.stderr)
            return Exit.USAGE
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help(), flush=True)
        return Exit.DONE if args else Exit.USAGE
    if args[0] in ("-V", "--version"):
        print(f"localagent {_version()}", flush=True)
        return Exit.DONE
    if args[0] not in COMMANDS:
        return _unknown(args[0])
    return _run(args[0], args[1:])


def _at_terminal() -> bool:
    """Whether a person can read and type here."""
    return all(one is not None and one.isatty() for one in (sys.stdin, sys.stdout, sys.stderr))


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("localagent")
    except PackageNotFoundError:
        return "(a checkout that is not installed)"


def _bug(error: Exception) -> int:
    """A mistake of ours: one sentence for the person, the traceback into a file for whoever mends it."""
    import os
    import traceback

    from .store.paths import state_dir

    if os.environ.get("LOCALAGENT_DEBUG"):
        raise error
    where = state_dir() / "crash.log"
    try:
        with where.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write("".join(traceback.format_exception(error)) + "\n")
        kept = f"The details are in {where}."
    except OSError:
        kept = "Set LOCALAGENT_DEBUG=1 to see the details."
    print(f"localagent: a mistake of ours, sorry: {type(error).__name__}: {error}. {kept}", file=sys.stderr)
    return Exit.FAILED


def _run(name: str, rest: Sequence[str]) -> int:
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str):
            self.print_usage(sys.stderr)
            self.exit(Exit.USAGE, f"localagent: {message}\n")

    parser = Parser(prog=f"localagent {name}", description=COMMANDS[name][1], allow_abbrev=False)
    try:
        if name == "do":
            from .commands import arguments

            arguments.configure(parser)
            return _do(parser.parse_args(rest))
        module = import_module(f".{COMMANDS[name][0]}", __package__)
        configure = getattr(module, f"configure_{name}", None) or module.configure
        run = getattr(module, f"run_{name}", None) or module.run
        configure(parser)
        parsed = parser.parse_args(rest)
        from . import handed

        ended = run(parsed, *handed.needs(name, COMMANDS, _at_terminal))
        return _exit_code(ended) if name == "run" else int(ended)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else Exit.USAGE


def _do(args: argparse.Namespace) -> int:
    from .sandbox import launch

    # It takes as long as loading all that follows.
    launch.probe_soon()
    import asyncio
    from dataclasses import replace

    from . import headless, wiring
    from .commands import goals
    from .errors import LocalAgentError
    from .store import settings

    try:
        goal, piped = goals.read(args.goal)
        chosen = settings.load()
        wiring.check(args)
        if args.local_only:
            chosen = replace(chosen, local_only=True)
        goals.check_images(args, chosen)
        engine = wiring.chosen_engine(chosen, args.model, lambda entry, chosen: _obtain(entry, chosen, args.pull))

        async def run() -> TurnEnded:
            session = await wiring.for_do(args, engine, chosen)
            images = await goals.images(args, session) if args.image else ()
            return await headless.do(session, goal, piped, args.output_format, quiet=args.quiet, images=images)

        return _exit_code(asyncio.run(run()))
    except LocalAgentError as error:
        headless.refused(error, args.output_format)
        raise


def _obtain(entry: Entry, chosen: Settings, pull: bool) -> tuple[Entry, Path]:
    """A model that is not here yet: downloaded if that is allowed, offered to a person, else refused."""
    from .commands import pulling
    from .errors import ModelMissing

    if pull:
        return entry, pulling.fetch(entry, chosen)
    if sys.stdin.isatty() and sys.stderr.isatty():
        return pulling.offer(entry, chosen)
    small = "" if entry.id == "starter" else "; a small one to try: `localagent model pull starter`, then `--model starter`"
    raise ModelMissing(
        f"The model {entry.id} is not on this machine.", f"Get it with `localagent model pull {entry.id}`{small}."
    )


def _exit_code(ended: TurnEnded) -> int:
    if ended.error is not None:
        return _KINDS.get(ended.error.kind, Exit.FAILED)
    if ended.status == "done" and ended.denied:
        return Exit.DENIED
    if ended.status == "done" and any(not one.ok for one in ended.checks):
        return Exit.CHECK
    return _STATUSES[ended.status]


def _unknown(name: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, 1)
    hint = f"Did you mean {near[0]!r}?" if near else "See `localagent --help`."
    print(f"localagent: there is no command {name!r}. {hint}", file=sys.stderr)
    return Exit.USAGE


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines: list[str] = []
    for name, (_, text) in COMMANDS.items():
        lines += ["", f"{_GROUPS[name]}:"] if name in _GROUPS else []
        lines.append(f"  {name:{width}}  {text}")
    return "\n".join(
        [
            "usage: localagent [COMMAND] [options]",
            "",
            "A model on your own machine does things for you: in a sandbox, asking first, with undo.",
            *lines,
            "",
            'Start with:  localagent do "what is the largest file in this folder?"',
            "Without a command, on a terminal: the app, where you talk with it (--model ID; --plain: in plain lines, for screen readers).",
            "Each command has its own --help.",
        ]
    )


if __name__ == "__main__":
    program()
