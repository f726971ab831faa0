"""`localagent outbox`: what was written to whom, and what became of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from ..agent.shown import message_lines, visible
from ..channels import sender
from ..errors import UsageError
from ..store.outbox import Entry, Outbox

_WAITING = ("draft", "held", "failed", "unconfirmed", "cancelled", "refused")


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|show|send|cancel|edit")
    parser.set_defaults(what="list", json=False, n=20)
    listing = what.add_parser("list", help="the messages, the newest first")
    listing.add_argument("--json", action="store_true")
    listing.add_argument("-n", type=int, default=20, metavar="N", help="how many at most (20)")
    show = what.add_parser("show", help="one message whole")
    show.add_argument("id", help="as `list` shows it; a beginning is enough")
    show.add_argument("--json", action="store_true")
    send = what.add_parser("send", help="send a draft, or one that did not go out")
    send.add_argument("id")
    send.add_argument("--yes", action="store_true", help="do not show it and ask first")
    cancel = what.add_parser("cancel", help="keep one from going out")
    cancel.add_argument("id")
    edit = what.add_parser("edit", help="change the words of one that has not gone out; it is a draft then")
    edit.add_argument("id")
    edit.add_argument("--text", help="the new words, - for standard input")
    edit.add_argument("--subject")


def run(args: argparse.Namespace) -> int:
    return {"list": _list, "show": _show, "send": _send, "cancel": _cancel, "edit": _edit}[args.what](args)


def plain(entry: Entry) -> dict[str, Any]:
    """The entry as JSON values; `left_over` where the process that should have sent it is gone."""
    message = asdict(entry.message)
    facts = {"id": message.pop("id"), "state": entry.state, "made": entry.made, "changed": entry.changed, "due": entry.due}
    return {**facts, "proof": entry.proof, "detail": entry.detail, "session": entry.session, "left_over": _left_over(entry), **message}


def _left_over(entry: Entry) -> bool:
    return entry.state == "held" and bool(entry.owner) and not sender.alive(entry.owner)


def _list(args: argparse.Namespace) -> int:
    entries = Outbox().entries(limit=args.n)
    if args.json:
        json.dump([plain(entry) for entry in entries], sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    if not entries:
        print("The outbox is empty.")
    for entry in entries:
        message = entry.message
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed))
        state = "left over" if _left_over(entry) else entry.state
        about = " ".join((message.subject or message.text).split())[:50]
        to = message.name or message.address
        print(visible(f"{entry.id[:8]}  {when}  {state:11}  {message.channel}: {to}  {about}", lines=False))
    if any(_left_over(entry) for entry in entries):
        print("\n`left over`: agreed to, but the program ended before it went out. `localagent outbox send ID` or `cancel ID`.")
    return 0


def _show(args: argparse.Namespace) -> int:
    entry = Outbox().get(args.id)
    if args.json:
        json.dump(plain(entry), sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    print("\n".join(message_lines(entry.message)))
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.changed))
    told = [entry.state, f"since {when}"] + [f"({text})" for text in (entry.proof, entry.detail) if text]
    print(visible(" ".join(told), lines=False))
    return 0


def _send(args: argparse.Namespace) -> int:
    box = Outbox()
    entry = box.get(args.id)
    if entry.state == "held" and not _left_over(entry) and entry.owner:
        raise UsageError(f"The message {entry.id[:8]} is about to go out by itself.")
    if entry.state not in _WAITING:
        raise UsageError(f"The message {entry.id[:8]} is {entry.state}.", "What has gone out is not sent again.")
    from . import posting

    warning = ""
    if entry.state == "unconfirmed":
        warning = "It may have gone out already: send it again only if you know that it did not arrive."
    if not args.yes and not posting.agreed(entry, warning):
        print("Not sent.", file=sys.stderr)
        return 1
    return posting.send_now(posting.post(), entry)


def _cancel(args: argparse.Namespace) -> int:
    entry = Outbox().cancel(args.id)
    print(f"{entry.id[:8]} is cancelled; it does not go out.")
    return 0


def _edit(args: argparse.Namespace) -> int:
    box = Outbox()
    entry = box.get(args.id)
    if args.text is None and args.subject is None:
        raise UsageError("Nothing to change.", "Give --text or --subject.")
    text = entry.message.text if args.text is None else sys.stdin.read() if args.text == "-" else args.text
    subject = entry.message.subject if args.subject is None else args.subject
    made = box.reword(entry.id, text=text, subject=subject)
    print("\n".join(message_lines(made.message)))
    print(f"It is a draft now: localagent outbox send {made.id[:8]}")
    return 0
