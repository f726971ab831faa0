"""`localagent message send`: a message by the person's own hand, through the same outbox."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from pathlib import Path

from ..agent import posting as words
from ..errors import LocalAgentError, UsageError
from ..values import Attachment, Outgoing


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="send", required=True)
    send = what.add_parser("send", help="send a message to a contact or an address")
    send.add_argument("--to", required=True, metavar="WHO", help="a contact's name, or an address")
    send.add_argument("--text", required=True, help="the words, - for standard input")
    send.add_argument("--subject", default="")
    send.add_argument("--channel", default="", help="a channel's name or kind (the usual one)")
    send.add_argument("--attach", action="append", default=[], metavar="FILE")
    send.add_argument("--draft", action="store_true", help="only keep it in the outbox")
    send.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    send.add_argument("--yes", action="store_true", help="do not show it and ask first")
    send.add_argument("--json", action="store_true", help="the entry of the outbox as JSON")


def run(args: argparse.Namespace) -> int:
    from . import posting

    text = sys.stdin.read() if args.text == "-" else args.text
    if not text.strip() and not args.attach:
        raise UsageError("The message has no words.", "Give them with --text.")
    files = tuple(Attachment(str(Path(name).expanduser().resolve()), Path(name).name, "", 0, "") for name in args.attach)
    post = posting.post()
    try:
        message = words.with_files(post.resolved(Outgoing(args.channel, "", text, args.subject, args.to, files, draft=args.draft)))
    except LocalAgentError as error:
        raise UsageError(str(error)) from None
    if args.dry_run:
        print("\n".join(posting.shown(message)))
        print("(dry run: nothing was sent)", file=sys.stderr)
        return 0
    entry = post.outbox.draft(message, f"hand/{uuid.uuid4().hex}")
    repeated = "".join(post.repeats([entry.message]).values())
    if args.draft:
        print(f"Kept as a draft: localagent outbox send {entry.id[:8]}")
        return 0
    if not args.yes and not posting.agreed(entry, repeated):
        post.outbox.refuse(entry.id, "the user said no")
        print("Not sent.", file=sys.stderr)
        return 1
    code = posting.send_now(post, entry, quiet=args.json)
    if args.json:
        from .outbox import plain

        print(json.dumps(plain(post.outbox.get(entry.id)), ensure_ascii=False, indent=1))
    return code
