"""The gateway: what came in goes to the chat it belongs to, if its sender is paired, and nowhere else.

It reads the inbox, not the channels: a message that another process has fetched is seen too, each once, in its order.
Strangers get no answer, and nothing is loaded or asked for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from ..channels import syncing
from ..channels.base import Channel, Receiver
from ..errors import LocalAgentError
from ..store.gateway import Gate, Pairing
from ..store.inbox import Inbox, Stored
from . import listening, words
from .chat import Chat, House, help_text
from .post import Mailer, Replies

_LOOK_S = 3.0
_STALE_S = 86_400.0
_DRAIN_S = 15.0
_ONCE_S = 60.0

Make = Callable[[], Channel]


class Gateway:
    """`receivers` make the channels that receive, by name. `house` makes sessions, `tell` writes a line for who runs this."""

    def __init__(
        self,
        gate: Gate,
        inbox: Inbox,
        house: House,
        mailer: Mailer,
        replies: Replies,
        receivers: Mapping[str, Make],
        tell: Callable[[str], None],
        retry_s: tuple[float, float] = listening.RETRY_S,
    ) -> None:
        self._gate, self._inbox, self._house = gate, inbox, house
        self._mailer, self._replies = mailer, replies
        self._receivers, self._tell, self._retry_s = dict(receivers), tell, retry_s
        self._chats: dict[int, Chat] = {}
        self._came = asyncio.Event()
        self._place = 0
        self._known: set[tuple[str, str, str]] = set()
        self._answers = True

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Receive and answer until `stop` is set; what runs then is broken off, and its chat is told. Raises StoreError."""
        tasks = [asyncio.create_task(self._mailer.run())]
        try:
            self._begin()
            for name in self._receivers:
                tasks.append(asyncio.create_task(self._listen(name)))
            router = asyncio.create_task(self._route_all())
            tasks.append(router)
            ready()
            stopping = asyncio.create_task(stop.wait())
            tasks.append(stopping)
            await asyncio.wait({router, stopping, tasks[0]}, return_when=asyncio.FIRST_COMPLETED)
            for task in (router, tasks[0]):
                if task.done():
                    task.result()
        finally:
            await self._end(tasks)

    async def once(self) -> None:
        """One look at every channel, all the work that brings, and the end. Nobody's answer could come, so questions are denied."""
        self._answers = False
        mailer = asyncio.create_task(self._mailer.run())
        try:
            self._begin()
            for name in self._receivers:
                await self._fetch(name)
            await self._look()
            await asyncio.gather(*(chat.finished() for chat in self._chats.values()))
            await self._replies.drained(_ONCE_S)
        finally:
            await self._end([mailer])

    # ------------------------------------------------------------ its life

    def _begin(self) -> None:
        self._gate.tidy()
        self._replies.recover()
        self._place = self._gate.place(self._inbox.newest())
        for number, id in self._gate.tasks("running"):
            stored, who = self._inbox.get(number), self._gate.get(id)
            if stored is None or who is None:
                self._gate.end(number, "dropped")
            else:
                self._chat(who).go_on(stored)
        for number, id in self._gate.tasks("waiting"):
            stored, who = self._inbox.get(number), self._gate.get(id)
            if stored is None or who is None:
                self._gate.end(number, "dropped")
            else:
                self._chat(who).take_up(stored)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Those who receive first, the chats next, and last the one who sends what they still had to say."""
        mailer, *others = tasks
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.gather(*(chat.close() for chat in self._chats.values()), return_exceptions=True)
        try:
            if not mailer.done():
                await self._replies.drained(_DRAIN_S)
        except LocalAgentError as error:
            self._tell(f"The outbox: {error}")
        mailer.cancel()
        await asyncio.gather(mailer, return_exceptions=True)

    async def _listen(self, name: str) -> None:
        await listening.listen(name, lambda: self._made(name), self._inbox, self._came.set, self._tell, self._retry_s)

    async def _fetch(self, name: str) -> None:
        try:
            channel = self._made(name)
            if isinstance(channel, Receiver):
                done = await syncing.sync(name, channel, self._inbox, seconds=_ONCE_S)
                if not done.reached:
                    self._tell(done.detail)
            await channel.aclose()
        except LocalAgentError as error:
            self._tell(f"{name}: {error}")

    def _made(self, name: str) -> Channel:
        """The channel, which fetches the files of paired senders only."""
        channel = self._receivers[name]()
        if hasattr(channel, "trusts"):
            channel.trusts = lambda sender: self._trusts(name, sender)  # type: ignore[attr-defined]
        return channel

    def _trusts(self, name: str, sender: str) -> bool:
        return any((who.channel, who.sender) == (name, sender) for who in self._gate.pairings())

    # ------------------------------------------------------------ what came in

    async def _route_all(self) -> None:
        while True:
            try:
                await self._look()
                await self._shut_out()
            except LocalAgentError as error:
                self._tell(str(error))
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._came.wait()
            except TimeoutError:
                continue
            self._came.clear()

    async def _shut_out(self) -> None:
        """Whose pairing was taken away meanwhile: what runs for them is broken off."""
        if not self._chats:
            return
        known = {who.id for who in self._gate.pairings()}
        for id in [id for id in self._chats if id not in known]:
            chat = self._chats.pop(id)
            try:
                await chat.close("This chat was shut out")
            except Exception as error:  # noqa: BLE001 - the tools of one chat, which end as they like; the others go on
                self._tell(f"{chat.who.channel}: a chat was not closed well: {type(error).__name__}: {error}")

    async def _look(self) -> None:
        while found := self._inbox.after(self._place):
            self._know()
            for stored in found:
                try:
                    self._route(stored)
                except LocalAgentError:
                    raise
                except Exception as error:  # noqa: BLE001 - one message nobody has foreseen must not stop those behind it
                    self._gate.pass_by(stored.number)
                    self._tell(f"{stored.message.channel}: a message was left out: {type(error).__name__}: {error}")
                self._place = stored.number
                # However many come, what runs goes on beside them.
                await asyncio.sleep(0)
            self._gate.pass_by(self._place)

    def _know(self) -> None:
        self._known = {(who.channel, who.sender, who.chat) for who in self._gate.pairings()}

    def _route(self, stored: Stored) -> None:
        """What nobody acts on is passed by together with what comes behind it: a thousand strangers' messages cost one write."""
        message = stored.message
        if words.by_program(message) or self._again(stored):
            return
        address = (message.channel, message.sender, message.chat)
        if (code := words.pairing_code(message)) is not None:
            if self._gate.pass_by(stored.number):
                self._pair(stored, code)
                self._know()
        # Without the service's word for the sender anybody could be anybody.
        elif message.authentic is True and address in self._known and (who := self._gate.of(*address)) is not None:
            chat = self._chat(who)
            if self._gate.pass_by(stored.number, who.id if chat.keeps(stored) else None):
                self._hand_over(chat, stored)

    def _again(self, stored: Stored) -> bool:
        """Whether it is a mail that was heard already (delivered twice, or sent on by others), or one of our own."""
        message = stored.message
        id, hashed, _ = message.id.partition("#")
        if not hashed or not id:
            return False
        return self._replies.wrote(message) or (message.authentic is True and self._inbox.genuine_before(stored, f"{id}#"))

    def _hand_over(self, chat: Chat, stored: Stored) -> None:
        sent = stored.message.at
        if sent and time.time() - sent > _STALE_S:
            chat.say_stale(stored)
            self._gate.end(stored.number, "dropped")
            return
        chat.take(stored)

    def _pair(self, stored: Stored, code: str) -> None:
        message = stored.message
        vouched = message.authentic is True
        made = self._gate.tried(message.channel, code, message.sender, message.chat, message.name, vouched)
        if made is None:
            self._tell(f"{message.channel}: a pairing code from {message.sender or 'nobody'} was not taken")
            return
        self._tell(f"{message.channel}: {made.sender} is paired (number {made.id})")
        shared = "" if made.chat == made.sender else "\nWhoever else is in this chat can read the answers."
        self._replies.say(made, f"Paired. {help_text(made)}{shared}", f"{stored.number}/paired", message)

    def _chat(self, who: Pairing) -> Chat:
        if who.id not in self._chats:
            self._chats[who.id] = Chat(who, self._house, self._replies, self._gate, answers=self._answers)
        return self._chats[who.id]
