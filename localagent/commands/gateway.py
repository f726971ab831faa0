"""`localagent gateway [run]|pair|list|unpair`: who may talk to the agent by message."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import cast

from ..agent.shown import visible
from ..channels import registry
from ..channels.base import Receiver
from ..errors import UsageError
from ..policy import rules
from ..store import channels, paths
from ..store.channels import Configured
from ..store.gateway import CODE_S, TRIES, Gate, Grants, Pairing
from ..store.lock import locked
from ..store.workspace import folder
from ..values import Mode


def configure(parser: argparse.ArgumentParser) -> None:
    _run_options(parser)
    what = parser.add_subparsers(dest="what", metavar="run|pair|list|unpair")
    parser.set_defaults(what="run", once=False, model=None, json=False)
    _run_options(what.add_parser("run", help="receive and answer messages until it is stopped (the default)"))
    pair = what.add_parser("pair", help="show a code that lets a sender in, valid for ten minutes")
    pair.add_argument("channel", help="a channel of `localagent channels list` that receives")
    pair.add_argument("--folder", metavar="DIR", help="the folder that the chat works in (default: here)")
    pair.add_argument("--mode", choices=["plan", "ask", "auto"], default="ask", help="how much may happen without asking (ask)")
    pair.add_argument("--allow", action="append", default=[], metavar="RULE", help="what needs no question in this chat")
    pair.add_argument("--mail", action="store_true", help="the chat may read messages that were received from others")
    listed = what.add_parser("list", help="who is paired, and the codes that are open")
    listed.add_argument("--json", action="store_true")
    gone = what.add_parser("unpair", help="shut a sender out")
    gone.add_argument("id", type=int, help="the number that `list` shows")


def _run_options(parser: argparse.ArgumentParser) -> None:
    # What was said before the subcommand is not undone by its defaults.
    parser.add_argument("--once", action="store_true", default=argparse.SUPPRESS, help="fetch and answer what is there, and end")
    parser.add_argument("--model", metavar="ID", default=argparse.SUPPRESS, help="a model of `localagent model list`")


def run(args: argparse.Namespace) -> int:
    """Everything but `run` itself."""
    return {"pair": _pair, "list": _list, "unpair": _unpair}[args.what](args)


def say(text: str) -> None:
    """A line of the running gateway, for whoever looks after it."""
    print(f"{time.strftime('%H:%M:%S')} {visible(text, lines=False)}", file=sys.stderr, flush=True)


def begins(receivers: Sequence[str]) -> None:
    """Raises UsageError where nothing could come in."""
    if not receivers:
        raise UsageError("No channel that receives is set up.", "Add one: `localagent channels add telegram` (or matrix, or email).")
    say(f"Receiving through {', '.join(receivers)}.")
    if not Gate().pairings():
        say("Nobody is paired yet: `localagent gateway pair CHANNEL` shows a code.")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One gateway at a time. Raises UsageError where another runs."""

    def taken() -> None:
        raise UsageError("A gateway runs already.", "Stop it first: two would take each other's messages.")

    with locked(paths.state_dir() / "gateway.lock", waiting=taken):
        yield


def _pair(args: argparse.Namespace) -> int:
    known = channels.one(args.channel)
    _vouches(known)
    for rule in args.allow:
        rules.parse(rule)
    place = os.path.realpath(folder(args.folder))
    if place in (os.path.realpath(os.path.expanduser("~")), os.sep):
        raise UsageError(f"{place} is too much for a chat.", "Name a folder beneath it with --folder.")
    grants = Grants(place, cast("Mode", args.mode), tuple(args.allow), args.mail)
    code = Gate().offer(args.channel, grants)
    print(f"pair {code[:4]}-{code[4:]}")
    print(
        f"Send this line through {args.channel} within {CODE_S / 60:.0f} minutes, from the account that may talk to the agent. "
        f"`localagent gateway` must run. After {TRIES} wrong ones it is void; whoever sends it works in {visible(place, lines=False)} "
        f"(mode {args.mode}).",
        file=sys.stderr,
    )
    return 0


def _vouches(known: Configured) -> None:
    """Raises UsageError for a channel on which a sender could be anybody."""
    if not isinstance(registry.make(known), Receiver):
        raise UsageError(f"{known.name} only sends.", "Pair through telegram, matrix or email.")
    if known.kind in ("ntfy", "webhook", "desktop", "other"):
        raise UsageError(f"{known.kind} does not say who writes, so nobody can be paired there.", "Use telegram, matrix or email.")
    if known.kind == "email" and not known.options.get("authserv"):
        raise UsageError(
            f"{known.name} does not know whether a mail's sender is genuine.",
            f"Say in {channels.path()} what your provider's server calls itself: `authserv: mx.example.org`.",
        )


def _list(args: argparse.Namespace) -> int:
    gate = Gate()
    known, codes = gate.pairings(), gate.codes()
    if args.json:
        print(json.dumps([_as_json(one) for one in known], indent=2, ensure_ascii=False))
        return 0
    if not known:
        print("Nobody is paired.")
    for one in known:
        who = f"{one.name} <{one.sender}>" if one.name else one.sender
        chat = "" if one.chat == one.sender else f" in {one.chat}"
        more = "".join([*(f", allows {rule}" for rule in one.grants.allow), ", reads mail" if one.grants.mail else ""])
        print(visible(f"{one.id:>3}  {one.channel}: {who}{chat}: {one.grants.folder} ({one.grants.mode}{more})", lines=False))
    for code in codes:
        if code.open:
            left = max(1, round((code.until - time.time()) / 60))
            print(f"A code for {code.channel} is open for {left} more minutes, {code.tries} wrong tries so far.", file=sys.stderr)
        if code.refused:
            print(f"Refused: {visible(code.refused, lines=False)}. Make a new code.", file=sys.stderr)
    return 0


def _as_json(one: Pairing) -> dict[str, object]:
    grants = one.grants
    made = {"id": one.id, "channel": one.channel, "sender": one.sender, "chat": one.chat, "name": one.name, "folder": grants.folder}
    return {**made, "mode": grants.mode, "allow": list(grants.allow), "mail": grants.mail, "session": one.session, "paired": one.made}


def _unpair(args: argparse.Namespace) -> int:
    gone = Gate().remove(args.id)
    print(visible(f"{gone.sender} on {gone.channel} is shut out; what runs for them is broken off.", lines=False))
    return 0
