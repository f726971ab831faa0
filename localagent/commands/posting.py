"""Sending by a person's own hand: what goes out is shown, asked about once, held, sent, and told."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from ..agent import posting
from ..agent.office import Manner, Office
from ..agent.posting import Post
from ..agent.shown import message_lines, visible
from ..errors import UsageError
from ..store import settings
from ..store.outbox import Entry
from ..values import Outgoing


def post() -> Post:
    """Raises UsageError where no channel is set up."""
    chosen = settings.load()
    made = Office(Manner(chosen.hold_s, chosen.messages_per_hour, chosen.quiet_hours or "")).post
    if made is None:
        raise UsageError("No channel is set up.", "`localagent channels add email` does it.")
    return made


def shown(message: Outgoing) -> list[str]:
    bold = (lambda text: f"\x1b[1m{text}\x1b[0m") if sys.stdout.isatty() else str
    return message_lines(message, bold=bold)


def agreed(entry: Entry, warning: str = "") -> bool:
    """Whether the person at the terminal says yes to these words. Nobody there is a no."""
    print("\n".join(shown(entry.message)), file=sys.stderr)
    if warning:
        print(f"Careful: {visible(warning, lines=False)}", file=sys.stderr)
    if not sys.stdin.isatty():
        print("localagent: nobody is here to ask; --yes sends it without.", file=sys.stderr)
        return False
    with contextlib.suppress(EOFError):
        return input("Send it? [y/N] ").strip().casefold() in ("y", "yes")
    return False


def send_now(made: Post, entry: Entry, *, quiet: bool = False) -> int:
    """See it through. 0 where it was sent or handed over, 1 where it was not, 130 where it was taken back."""
    try:
        last = asyncio.run(_through(made, entry))
    except KeyboardInterrupt:
        state = made.outbox.get(entry.id).state
        print(f"\n{'Taken back: it was not sent.' if state == 'cancelled' else f'Interrupted: it is {state}.'}", file=sys.stderr)
        return 130
    if not quiet:
        print(posting.told(last))
    return 0 if last.state in ("sent", "handed over") else 1


async def _through(made: Post, entry: Entry) -> Entry:
    async for item in made.deliver([entry]):
        if isinstance(item, str):
            print(visible(item.rstrip()) + "  (Ctrl+C takes it back)", file=sys.stderr)
        else:
            return item[0]
    return await asyncio.to_thread(made.outbox.get, entry.id)
