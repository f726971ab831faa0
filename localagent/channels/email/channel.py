"""The e-mail channel: one account, sent by SMTP, read by IMAP."""

from __future__ import annotations

import asyncio
import contextlib
import random
import smtplib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from ...errors import ChannelError
from ...store import attachments
from ...values import Outgoing, Sent
from ..base import Arrival, Health
from ..threads import blocking
from . import compose, smtp, wire
from .account import Account
from .imap import MOST_BYTES, Entry, Failures, LoginRefused, Mailbox, Position, Unanswered
from .parse import incoming

_T = TypeVar("_T")
_WHOLE_S = 1200.0
_LOOK_S = 120.0
_RETRY_S = (5.0, 300.0)


class Email:
    """`secret` gives the password, or the access token, at each connection anew.

    `idle_s`: how long one wait for new mail lasts (servers forget who waits 29 minutes); `poll_s`: how often a server
    without IDLE is asked; `patience_s`: how long a server may take to confirm a message it was given.
    """

    kind = "email"
    idempotent = False

    def __init__(
        self,
        name: str,
        account: Account,
        secret: Callable[[], Awaitable[str]],
        *,
        idle_s: float = 280.0,
        poll_s: float = 60.0,
        patience_s: float = smtp.PATIENCE_S,
        retry_s: tuple[float, float] = _RETRY_S,
    ) -> None:
        self.name = name
        self._account = account
        self._secret = secret
        self._idle_s, self._poll_s, self._patience_s, self._retry_s = idle_s, poll_s, patience_s, retry_s
        self._cuts: set[wire.Cut] = set()

    async def send(self, message: Outgoing) -> Sent:
        try:
            to, data = await blocking(compose.compose, message, self._account)
            proof = compose.message_id(message, self._account)
        except compose.Refused as no:
            return Sent("failed", detail=f"Nothing was sent: {no}.")
        try:
            secret = await self._secret()
        except ChannelError as error:
            return Sent("failed", detail=str(error))
        if message.draft:
            return await self._keep_draft(data, proof, secret)
        server = self._account.smtp
        if server is None:
            return Sent("failed", detail=f"The channel {self.name} only receives: it has no smtp_host.")
        letter = smtp.Letter(to, data, proof)
        with self._cutting(_WHOLE_S + len(data) / 20_000) as cut:
            sent = await blocking(smtp.deliver, self._account, server, secret, letter, cut, self._patience_s)
        if sent.state != "sent":
            return sent
        missing = await self._copy(data, proof, secret)
        return Sent("sent", sent.proof, f"{sent.detail}; {missing}" if missing else sent.detail)

    async def _keep_draft(self, data: bytes, proof: str, secret: str) -> Sent:
        def put(box: Mailbox) -> Sent:
            folder = box.folder("\\Drafts", self._account.drafts_folder)
            if not folder:
                return Sent("failed", detail="No folder for drafts was found; name it with drafts_folder.")
            try:
                box.put(folder, data, "\\Draft", "\\Seen")
            except Unanswered as error:
                return Sent("unconfirmed", proof, str(error))
            return Sent("sent", proof, f"kept in {folder}")

        if self._account.imap is None:
            return Sent("failed", detail=f"The channel {self.name} keeps no drafts: it has no imap_host.")
        try:
            return await self._with_box(put, secret)
        except LoginRefused as error:
            return Sent("failed", detail=str(error))
        except Failures as error:
            return Sent("failed", detail=self._told(error, secret), again=isinstance(error, OSError))

    async def _copy(self, data: bytes, proof: str, secret: str) -> str:
        """Put a copy into the folder for sent mail, where the server does not do so itself; what went wrong, or ""."""
        if self._account.imap is None or self._account.save_sent is False:
            return ""

        def put(box: Mailbox) -> str:
            folder = box.folder("\\Sent", self._account.sent_folder)
            if not folder:
                return "no folder for sent mail was found; name it with sent_folder"
            if not box.has(folder, proof):
                box.put(folder, data, "\\Seen")
            return ""

        try:
            return await self._with_box(put, secret)
        except (LoginRefused, Unanswered, *Failures) as error:
            return f"no copy was kept among the sent mail: {self._told(error, secret)}"

    async def find(self, message: Outgoing) -> Sent | None:
        if self._account.imap is None:
            return None
        try:
            proof = compose.message_id(message, self._account)
            secret = await self._secret()
        except (compose.Refused, ChannelError):
            return None

        def look(box: Mailbox) -> Sent | None:
            if message.draft:
                folder = box.folder("\\Drafts", self._account.drafts_folder)
                return Sent("sent", proof, f"found in {folder}") if folder and box.has(folder, proof) else None
            for folder in (box.folder("\\Sent", self._account.sent_folder), self._account.inbox):
                if folder and box.has(folder, proof):
                    return Sent("sent", proof, f"found in {folder}")
            return None

        try:
            return await self._with_box(look, secret)
        except (LoginRefused, *Failures):
            return None

    async def probe(self) -> Health:
        """Logs in wherever it would, and out again."""
        try:
            secret = await self._secret()
        except ChannelError as error:
            return Health(False, str(error))
        sends = receives = None
        told = []
        if (server := self._account.smtp) is not None:
            try:
                with self._cutting(_LOOK_S) as cut:
                    await blocking(smtp.log_in, self._account, server, secret, cut)
                sends = True
                told.append(f"sends through {server.host}:{server.port}")
            except (smtp.Refused, OSError, smtplib.SMTPException, ValueError) as error:
                sends = False
                told.append(f"cannot send through {server.host}:{server.port}: {self._told(error, secret)}")
        if (server := self._account.imap) is not None:
            try:
                await self._with_box(lambda box: box.open(self._account.inbox), secret)
                receives = True
                told.append(f"receives from {server.host}:{server.port}")
            except (LoginRefused, *Failures) as error:
                receives = False
                told.append(f"cannot receive from {server.host}:{server.port}: {self._told(error, secret)}")
        return Health(sends is not False and receives is not False, "; ".join(told), sends, receives)

    async def aclose(self) -> None:
        for cut in list(self._cuts):
            cut()

    async def receive(self, cursor: str, *, wait: bool) -> AsyncIterator[Arrival]:
        """As in `channels.base`; without `wait` a server that cannot be reached raises ChannelError too."""
        if self._account.imap is None:
            raise ChannelError(f"The channel {self.name} only sends: it has no imap_host.")
        pause = self._retry_s[0]
        while True:
            begun = time.monotonic()
            secret = ""
            try:
                secret = await self._fresh(wait)
                async with contextlib.aclosing(self._connection(cursor, secret, wait)) as arrivals:
                    async for arrival in arrivals:
                        cursor = arrival.cursor
                        yield arrival
                return
            except LoginRefused as error:
                hint = f"Store it anew with `localagent channels secret {self.name}`."
                raise ChannelError(f"{self.name}: {self._told(error, secret)}.", hint) from None
            except Failures as error:
                if not wait:
                    raise ChannelError(f"{self.name}: {self._told(error, secret)}.") from None
            if time.monotonic() - begun > 2 * self._retry_s[1]:
                pause = self._retry_s[0]
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * 2, self._retry_s[1])

    async def _fresh(self, wait: bool) -> str:
        """The secret; for who waits, a token that cannot be had just now (no network) is a failed connection."""
        try:
            return await self._secret()
        except ChannelError as error:
            if wait and self._account.oauth:
                raise OSError(str(error)) from None
            raise

    async def _connection(self, cursor: str, secret: str, wait: bool) -> AsyncGenerator[Arrival, None]:
        """What one connection brings. Raises LoginRefused and `Failures`."""
        account = self._account
        assert account.imap is not None
        with self._cutting(None if wait else _WHOLE_S) as cut:
            box = await blocking(Mailbox, account, account.imap, secret, cut)
            try:
                validity = await blocking(lambda: box.open(account.inbox, change=account.mark_seen))
                position = Position.read(cursor)
                if position is None:
                    position = await blocking(box.newest)
                    yield Arrival(None, str(position))
                entries: list[Entry]
                if position.validity != validity:
                    # Numbered anew: what came before is told apart by its time, and by its id where that is not enough.
                    entries = await blocking(box.since, position.at)
                    position = Position(validity, 0, position.at)
                    if not entries:
                        position = await blocking(box.newest)
                        yield Arrival(None, str(position))
                else:
                    entries = await blocking(box.behind, position.uid)
                while True:
                    for entry in entries:
                        position = Position(validity, max(entry.uid, position.uid), max(entry.at, position.at))
                        yield await self._arrival(box, entry, position)
                        if account.mark_seen:
                            await blocking(box.mark_seen, entry.uid)
                    if not wait:
                        return
                    if not entries:
                        await blocking(box.wait, self._idle_s, self._poll_s)
                    entries = await blocking(box.behind, position.uid)
            except BaseException:
                cut()
                box.drop()
                raise
            finally:
                if not cut.ended.is_set():
                    await blocking(box.close)

    async def past(self, since: float) -> AsyncIterator[Arrival]:
        """What lies in the mailbox from `since` (seconds since the epoch) on; the cursors are "". Raises ChannelError."""
        account = self._account
        if account.imap is None:
            raise ChannelError(f"The channel {self.name} only sends: it has no imap_host.")
        secret = await self._secret()
        try:
            with self._cutting(_WHOLE_S) as cut:
                box = await blocking(Mailbox, account, account.imap, secret, cut)
                try:
                    await blocking(box.open, account.inbox)
                    for entry in reversed(await blocking(box.since, since)):
                        yield Arrival((await self._arrival(box, entry, "")).message, "")
                finally:
                    cut()
                    box.drop()
        except (LoginRefused, *Failures) as error:
            raise ChannelError(f"{self.name}: {self._told(error, secret)}.") from None

    async def _arrival(self, box: Mailbox, entry: Entry, position: Position | str) -> Arrival:
        def read() -> Arrival:
            raw = box.read(entry)
            if raw is None:
                return Arrival(None, str(position))
            cut = entry.size > MOST_BYTES
            return Arrival(incoming(raw, self._account, self.name, entry.at, attachments.keep, cut=cut), str(position))

        return await blocking(read)

    async def _with_box(self, work: Callable[[Mailbox], _T], secret: str) -> _T:
        server = self._account.imap
        assert server is not None

        def run(cut: wire.Cut) -> _T:
            box = Mailbox(self._account, server, secret, cut)
            try:
                return work(box)
            finally:
                box.close()

        with self._cutting(_LOOK_S) as cut:
            return await blocking(run, cut)

    @contextlib.contextmanager
    def _cutting(self, seconds: float | None) -> Iterator[wire.Cut]:
        """Whatever ends the block early, cancellation too, ends the conversation in the thread."""
        cut = wire.Cut(seconds)
        self._cuts.add(cut)
        try:
            yield cut
        except BaseException:
            cut()
            raise
        finally:
            self._cuts.discard(cut)
            cut.close()

    def _told(self, error: BaseException, secret: str) -> str:
        said = wire.reason(error) if isinstance(error, OSError) else error.args[0] if error.args else error
        return wire.hider(self._account.user, secret)(said).rstrip(".")
