"""`localagent hooks`: the commands that hear what the agent does, tried without a model, and those of a folder confirmed."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from ..agent import hook_form, hooks, policies
from ..agent.shown import visible
from ..errors import UsageError
from ..store import agreed, hooksfile
from ..store.hooksfile import Hook

_TOOL_EVENTS = ("PreToolUse", "PostToolUse")
_INPUTS: dict[str, dict[str, Any]] = {
    "SessionStart": {"source": "startup"},
    "UserPromptSubmit": {"prompt": "which file here is the largest?"},
    "PreToolUse": {},
    "PostToolUse": {"tool_response": {"status": "ok", "success": True, "output": "", "receipts": []}},
    "PreSend": {"channel": "email", "address": "anna@example.org", "name": "Anna", "subject": "", "text": "Hello", "attachments": []},
    "Notification": {"message": "localagent asks whether it may use run", "notification_type": "permission_prompt"},
    "Stop": {"stop_hook_active": False, "last_assistant_message": "Done."},
    "SessionEnd": {"reason": "other"},
}
_INPUTS["PostSend"] = {**_INPUTS["PreSend"], "state": "sent"}


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|test|trust")
    parser.set_defaults(what="list", json=False)
    listing = what.add_parser("list", help="every hook, and where it runs")
    listing.add_argument("--json", action="store_true")
    test = what.add_parser("test", help="run the hooks of an event on an example, and show what they say")
    test.add_argument("event", choices=hooksfile.EVENTS, metavar="EVENT", help=", ".join(hooksfile.EVENTS))
    test.add_argument("--tool", default="run", metavar="NAME", help="the tool of the example call (default: run)")
    test.add_argument("--input", default='{"command": "ls"}', metavar="JSON", help="the arguments of that call")
    test.add_argument("--json", action="store_true")
    trust = what.add_parser("trust", help="look at the hooks of this folder, and have them on if you say yes")
    trust.add_argument("--off", action="store_true", help="have them off again")


def run(args: argparse.Namespace) -> int:
    """`test`: 0 where all ran and nothing is refused, 1 else. `trust`: 1 where they are not on in the end."""
    here = policies.here()
    if here is None:
        raise UsageError("The current folder is gone.", "Go to one that is there.")
    if args.what == "trust":
        return _off(here) if args.off else _trust(here)
    mine, theirs = hooksfile.load(), hooksfile.load_project(here)
    for notice in (*mine.notices, *theirs.notices):
        print(visible(notice, lines=False), file=sys.stderr)
    known = (*mine.hooks, *theirs.hooks)
    return _list(known, here, args.json) if args.what == "list" else asyncio.run(_test(known, here, args))


def _list(known: tuple[Hook, ...], here: Path, as_json: bool) -> int:
    if as_json:
        json.dump([_row(hook, here) for hook in known], sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    if not known:
        print(f"There are no hooks. Yours are in {hooksfile.path()}, in the form that Claude Code uses.")
    for hook in known:
        place = "in the sandbox, reading only" if hooks.held(hook, here) else "as a program of yours"
        gate = f"; where it fails: {hook.on_failure}" if hook.event in hooksfile.GATES else ""
        print(f"{hook.event} {_plain(hook.matcher or '*')}: {_plain(hook.command)}")
        print(f"    {place}, {hook.timeout:g} s at most{gate}; {_plain(hook.where)}")
    return 0


def _row(hook: Hook, here: Path) -> dict[str, object]:
    facts = {"event": hook.event, "matcher": hook.matcher, "command": hook.command, "timeout": hook.timeout}
    return facts | {"on_failure": hook.on_failure, "sandboxed": hooks.held(hook, here), "own": hook.own, "where": hook.where}


async def _test(known: tuple[Hook, ...], here: Path, args: argparse.Namespace) -> int:
    try:
        given = json.loads(args.input)
        if not isinstance(given, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise UsageError(f"--input is not a JSON object: {error}.") from None
    is_tool = args.event in _TOOL_EVENTS
    names = hook_form.names_of(args.tool) if is_tool else ()
    rows, good = [], True
    for hook in known:
        called = hook_form.matched(hook, names) if hook.event == args.event else None
        if called is None:
            continue
        told = hook_form.base(args.event, "test", "", str(here), "ask") | _INPUTS[args.event]
        if is_tool:
            theirs = hook_form.their_arguments(args.tool, called, given, str(here))
            told |= {"tool_name": called, "tool_input": theirs, "localagent_tool": args.tool, "tool_use_id": "call_1"}
        said = await hooks.run(hook, told, here)
        good = good and not said.failed and not said.verdict and said.stop is None
        rows.append({"hook": _row(hook, here), "told": told, "failed": said.failed, "verdict": said.verdict, "reason": said.reason,
                     "context": said.context, "message": said.message, "edited": said.edited, "stop": said.stop})  # fmt: skip
    if args.json:
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0 if good else 1
    for row in rows:
        print(f"{_plain(row['hook']['command'])}")
        said = {key: row[key] for key in ("failed", "verdict", "reason", "context", "message", "edited", "stop") if row[key]}
        for key, text in (said or {"says": "nothing against it"}).items():
            print(f"    {key:8} {_plain(str(text))}")
    if not rows:
        print(f"No hook hears {args.event}{f' of {args.tool}' if is_tool else ''}.")
    return 0 if good else 1


def _trust(here: Path) -> int:
    place, data = hooksfile.project_path(here), hooksfile.project_bytes(here)
    if data is None:
        raise UsageError(f"This folder has no hooks: there is no {place}.")
    found = hooksfile.parse(data, str(place), own=False)
    for line in (str(place), *data.decode("utf-8", "replace").split("\n"), *found.notices):
        print(_plain(line))
    one = agreed.load("hooks").get(str(place))
    tree = agreed.agreed_tree("hooks", one) if one is not None else None
    if tree is not None and tree.files[place.name].data == data:
        print("They are on already.")
        return 0
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("Only a person can confirm hooks, at a terminal.", "Run it again at one.")
    print("They run in the sandbox, may read this folder, and can refuse what the agent does; they allow nothing.")
    try:
        said = input("Have exactly these hooks in this folder from now on? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        said = ""
        print()
    if said.strip().lower() not in ("y", "yes"):
        print("Nothing was changed.")
        return 1
    hooksfile.agree(here, data)
    print("On, from the next conversation on.")
    return 0


def _off(here: Path) -> int:
    done = agreed.withdraw("hooks", hooksfile.project_path(here))
    print(f"The hooks of this folder are off{'' if done else ' already'}.")
    return 0


def _plain(text: str) -> str:
    return visible(text, lines=False)
