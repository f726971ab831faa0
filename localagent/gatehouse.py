"""`localagent gateway`: hands the gateway what it is made of."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import gateway as command
from .store import settings

if TYPE_CHECKING:
    from .agent.office import Fetch, Office
    from .agent.posting import Post
    from .agent.session import Session
    from .engine.catalogue import Entry
    from .gateway.gateway import Gateway
    from .gateway.post import Mailer
    from .store.gateway import Pairing
    from .store.settings import Settings

Defaults = Callable[[Sequence[str]], argparse.Namespace]

configure = command.configure


def run(args: argparse.Namespace, defaults: Defaults, at_terminal: bool) -> int:
    """`gateway`, and its subcommands."""
    if args.what != "run":
        return command.run(args)
    with command.alone():
        if args.once:
            asyncio.run(_once(defaults, args.model))
            return 0
        return asyncio.run(_until_stopped(defaults, args.model))


@dataclass(frozen=True, slots=True)
class Counter:
    """What a chat's session may send and see."""

    post: Post | None
    fetch: Fetch | None


class Rooms:
    """Makes the sessions of chats. `defaults` gives what `do` would use."""

    def __init__(self, defaults: Defaults, model: str | None, office: Office, mailer: Mailer) -> None:
        self._defaults, self._model, self._office, self._mailer = defaults, model, office, mailer

    async def session(self, who: Pairing) -> Session:
        """Raises LocalAgentError, for a model that is not here too."""
        from . import wiring
        from .gateway.post import ChatPost

        chosen = await asyncio.to_thread(settings.load)
        engine = await asyncio.to_thread(wiring.chosen_engine, chosen, self._model, _only_what_is_here)
        grants, post = who.grants, self._office.post
        if post is not None:
            post = ChatPost.of(post, self._mailer, who)
        counter = Counter(post, _nothing_new if grants.mail else None)
        allow = [part for rule in grants.allow for part in ("--allow", rule)]
        resumed = ["--resume", who.session] if who.session and _exists(who.session) else []
        args = self._defaults(["-", "--mode", grants.mode, "--cwd", grants.folder, *allow, *resumed])
        session = await wiring.for_do(args, engine, chosen, counter, narrow=True)
        # The session was stored with the mode it had; what was given at the pairing counts.
        session.mode = args.mode
        return session


async def _nothing_new() -> str:
    """The gateway itself receives all the time."""
    return ""


def _exists(session: str) -> bool:
    from .errors import UsageError
    from .store import transcript

    try:
        transcript.find(session)
    except UsageError:
        return False
    return True


def _only_what_is_here(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
    from .commands import pulling

    return pulling.obtain(entry, chosen, pull=False, person=False)


def _made(defaults: Defaults, model: str | None) -> tuple[Gateway, Office]:
    """Raises ConfigError and UsageError, and ModelMissing."""
    from . import wiring
    from .agent.office import Manner, Office
    from .channels import registry
    from .channels.base import Receiver
    from .gateway.gateway import Gateway
    from .gateway.post import Mailer, Replies
    from .store.gateway import Gate
    from .store.inbox import Inbox

    chosen = settings.load()
    manner = Manner(chosen.hold_s, chosen.messages_per_hour, chosen.quiet_hours or "")
    office = Office(manner)

    async def channel(name: str):
        return office.channel(name)

    mailer = Mailer(office.outbox, channel, manner.pace(), command.say)
    replies = Replies(office.outbox, mailer, office.channel)
    receivers = {
        name: (lambda one=one: registry.make(one))
        for name, one in office.known.items()
        if isinstance(office.channel(name), Receiver)
    }
    command.begins(list(receivers))
    # Said now, and not to the first who writes.
    wiring.chosen_engine(chosen, model, _only_what_is_here)
    house = Rooms(defaults, model, office, mailer)
    return Gateway(Gate(), Inbox(), house, mailer, replies, receivers, command.say), office


async def _once(defaults: Defaults, model: str | None) -> None:
    gateway, office = _made(defaults, model)
    try:
        await gateway.once()
    finally:
        await office.aclose()


async def _until_stopped(defaults: Defaults, model: str | None) -> int:
    gateway, office = _made(defaults, model)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await gateway.run(stop, lambda: command.say("Ready. Ctrl+C ends it."))
    finally:
        await office.aclose()
    return 0
