"""What the gateway sends: answers to whoever asked, once each, and what the agent sends in a chat's name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..agent.plain import calm
from ..agent.posting import Post
from ..channels.base import Channel
from ..channels.sender import Channels, Pace, Sender, me
from ..channels.text import split
from ..errors import LocalAgentError
from ..store import attachments
from ..store.gateway import Pairing
from ..store.outbox import Entry, Outbox
from ..values import Attachment, Incoming, Outgoing

_IDLE_S, _WAIT_S = 2.0, 0.1
_DEFAULT_UNITS = 4000
_MAIL_UNITS = 100_000
_MOST_PARTS = 12
# A chat that takes files gets the beginning of a longer answer, and all of it as a file.
_FILE_PARTS, _FILE_KINDS = 4, ("telegram", "matrix")
_OURS, _LAST = "gateway/", "last"
_OWN_ID = re.compile(r"<([0-9a-f]{32})@")
_BLANKS = re.compile(r"[ \t]+\n")
_SENT = ("sent", "handed over")


class Mailer(Sender):
    """The one who sends here. Nobody else's interruption ends an attempt: those who wait only look at the outbox."""

    def __init__(self, outbox: Outbox, channels: Channels, pace: Pace, tell: Callable[[str], None]) -> None:
        super().__init__(outbox, channels, pace, self._heard, free=lambda entry: entry.session.startswith(_OURS))
        self._tell = tell
        self.lost: Callable[[Entry], None] = lambda entry: None
        self._wake = asyncio.Event()

    def _heard(self, entry: Entry) -> None:
        if entry.state == "unconfirmed":
            self.lost(entry)

    def kick(self) -> None:
        self._wake.set()

    async def wait_for(self, ids: list[str]) -> list[Entry]:
        while True:
            found = [await asyncio.to_thread(self._outbox.get, id) for id in ids]
            if all(self._over(entry) for entry in found):
                return found
            self.kick()
            await asyncio.sleep(_WAIT_S)

    async def run(self) -> None:
        while True:
            try:
                await self.run_once()
            except LocalAgentError as error:
                self._tell(f"The outbox: {error}")
                await asyncio.sleep(_IDLE_S)
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()


@dataclass(frozen=True, slots=True)
class ChatPost(Post):
    """For a chat's session: "me" is whoever writes there."""

    pairing: Pairing | None = None

    @classmethod
    def of(cls, post: Post, sender: Sender, pairing: Pairing) -> ChatPost:
        """Without received messages of others, where the chat may not see them."""
        made = cls(post.outbox, sender, post.channels, post.received, post.hold_s, post.told, ("me",), post.attached, pairing)
        if pairing.grants.mail:
            return made
        return replace(made, received=lambda id: None, told=lambda goal: "", attached=lambda text: None)

    def resolved(self, wish: Outgoing) -> Outgoing:
        """As in `Post`. Raises ToolError."""
        who = self.pairing
        if who is not None and wish.name.strip().casefold() in ("me", "user", "the user", "myself", who.sender.casefold()):
            return replace(wish, channel=who.channel, address=who.chat, name=_name(who), reply_to="")
        return Post.resolved(self, wish)


def _name(who: Pairing) -> str:
    return who.name or who.sender


class Replies:
    """Answers and questions, into the outbox and out of it without a hold: who is paired has asked for them.

    `channel` gives the channel of a name. A `key` twice is one message.
    """

    def __init__(self, outbox: Outbox, mailer: Mailer, channel: Callable[[str], Channel]) -> None:
        self._outbox, self._mailer, self._channel = outbox, mailer, channel
        mailer.lost = self._lost

    def parts(self, name: str, text: str) -> list[str]:
        """The text as messages that the channel takes. Raises ChannelError."""
        channel = self._channel(name)
        shown = _BLANKS.sub("\n", calm(text)).strip() or "(nothing)"
        cut = getattr(channel, "parts", None)
        if cut is not None:
            return list(cut(shown))
        return split(shown, _MAIL_UNITS if channel.kind == "email" else _DEFAULT_UNITS)

    def say(self, who: Pairing, text: str, key: str, answers: Incoming | None = None) -> list[str]:
        """Put an answer on its way; the ids of its parts. What is too long for a chat ends with a word about the rest."""
        parts = self.parts(who.channel, text)
        file = self._file(who, parts, text)
        if file:
            parts = [parts[0], "… The whole answer is in this file."]
        elif len(parts) > _MOST_PARTS:
            left = sum(len(part) for part in parts[_MOST_PARTS:])
            parts = [*parts[:_MOST_PARTS], f"… and {left:,} more characters, in the session on the machine (`localagent resume`)."]
        names = [*map(str, range(len(parts) - 1)), _LAST]
        drafts = [
            self._draft(who, part, f"{key}/{name}", "answer", answers, file if name == _LAST else ())
            for name, part in zip(names, parts, strict=True)
        ]
        for entry in drafts:
            if entry.state == "draft":
                self._outbox.hold(entry.id, 0.0, me())
        self._mailer.kick()
        return [entry.id for entry in drafts]

    def whole(self, key: str) -> bool:
        """Whether all of the answer of that key was put on its way."""
        return self._outbox.knows(key=f"{_OURS}{key}/{_LAST}")

    def wrote(self, message: Incoming) -> bool:
        """Whether a mail that came in is one of our own, as in a mailbox that writes to itself."""
        found = _OWN_ID.match(message.id)
        return found is not None and self._outbox.knows(id=found[1])

    def _file(self, who: Pairing, parts: Sequence[str], text: str) -> tuple[Attachment, ...]:
        """The answer as a file, where it is long and the channel takes files."""
        if len(parts) <= _FILE_PARTS or self._channel(who.channel).kind not in _FILE_KINDS:
            return ()
        return (attachments.keep(calm(text).encode("utf-8", "replace"), "answer.txt", "text/plain"),)

    async def show(self, who: Pairing, parts: Sequence[str], key: str, answers: Incoming | None = None) -> bool:
        """Have a question's parts sent one behind the other; whether each has arrived, as far as the service says."""
        for n, part in enumerate(parts):
            entry = self._draft(who, part, f"{key}/{n}", "question", answers)
            try:
                self._outbox.hold(entry.id, 0.0, me())
                (done,) = await self._mailer.wait_for([entry.id])
            except BaseException:
                self._take_back(entry.id)
                raise
            if done.state not in _SENT:
                self._take_back(entry.id)
                return False
        return True

    def recover(self) -> None:
        """What an earlier gateway left (there is one at a time): its answers go out, its questions do not, nobody waits for them."""
        for entry in self._outbox.entries(("held", "draft"), limit=2000):
            if entry.session.startswith(_OURS):
                if entry.session.endswith("/question"):
                    self._outbox.cancel(entry.id)
                else:
                    self._outbox.hold(entry.id, 0.0, me())
        self._mailer.kick()

    def _lost(self, entry: Entry) -> None:
        """Nobody knows whether an answer has arrived: it is not sent again, but that is said."""
        if not (entry.session.startswith(_OURS) and entry.session.endswith("/answer")):
            return
        begins = " ".join(entry.message.text.split())[:60]
        told = f"It is not certain that an answer of mine has reached you; it begins “{begins}…”. Ask again if it has not."
        notice = replace(entry.message, id="", text=told, attachments=())
        made = self._outbox.draft(notice, f"{_OURS}{entry.id}/lost", f"{entry.session.removesuffix('/answer')}/notice")
        if made.state == "draft":
            self._outbox.hold(made.id, 0.0, me())
            self._mailer.kick()

    async def drained(self, seconds: float) -> None:
        """Wait until the answers that lie in the outbox are over, but no longer."""
        held = [e.id for e in self._outbox.entries(("held", "sending"), limit=2000) if e.session.startswith(_OURS)]
        if held:
            try:
                async with asyncio.timeout(seconds):
                    await self._mailer.wait_for(held)
            except TimeoutError:
                return

    def _draft(
        self, who: Pairing, text: str, key: str, what: str, answers: Incoming | None, files: tuple[Attachment, ...] = ()
    ) -> Entry:
        subject = ""
        if answers is not None and answers.subject:
            subject = answers.subject if answers.subject[:3].casefold() == "re:" else f"Re: {answers.subject}"
        reply_to, thread = (answers.id, answers.thread) if answers is not None else ("", "")
        made = Outgoing(who.channel, who.chat, text, subject, _name(who), files, reply_to=reply_to, thread=thread)
        return self._outbox.draft(made, f"{_OURS}{key}", f"{_OURS}{who.id}/{what}")

    def _take_back(self, id: str) -> None:
        if self._outbox.get(id).state in ("draft", "held"):
            self._outbox.cancel(id)
