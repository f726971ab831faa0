"""The outbox: what was written to whom, what became of it; one message whole, sent, taken back or reworded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import Input, OptionList, Static, TextArea
from textual.widgets.option_list import Option

from ..agent import posting, shown
from ..channels.sender import alive
from ..errors import LocalAgentError
from ..store.outbox import Entry, Outbox
from . import wording
from .fields import Area, Field
from .windows import Modal, Sheet, fit
from .words import t

if TYPE_CHECKING:
    from ..agent.posting import Post

_MOST = 200
_REFRESH_S = 0.5
_TONES = {"sent": "$text-success", "handed over": "$text-success", "failed": "$text-error", "unconfirmed": "$text-warning"}
SENDABLE = ("draft", "held", "failed", "unconfirmed", "cancelled", "refused")
OPEN = ("draft", "held")

Told = tuple[str, bool]


def state(entry: Entry) -> str:
    """Where it stands, in the person's words."""
    if left_over(entry):
        return t("left over")
    if entry.state == "held":
        left = entry.due - time.time()
        return t("goes out in {seconds}", seconds=wording.seconds(left)) if left > 0 else t("goes out now")
    return {
        "draft": t("draft"),
        "refused": t("refused"),
        "sending": t("being sent"),
        "sent": t("sent"),
        "handed over": t("handed over"),
        "failed": t("failed"),
        "unconfirmed": t("unconfirmed"),
        "cancelled": t("cancelled"),
    }[entry.state]


def left_over(entry: Entry) -> bool:
    """Agreed to, and the program that should have sent it is gone."""
    return entry.state == "held" and bool(entry.owner) and not alive(entry.owner)


class Letters:
    """What the windows can do; each returns the sentence to show, and whether it went well. `post` is None without a channel."""

    def __init__(
        self,
        box: Outbox,
        post: Post | None,
        begin: Callable[[Coroutine[Any, Any, None]], object],
        tell: Callable[[str, str], None],
    ) -> None:
        self.box = box
        self._post = post
        self._begin = begin
        self._tell = tell

    async def entries(self) -> list[Entry]:
        return await asyncio.to_thread(self.box.entries, (), _MOST)

    async def cancel(self, entry: Entry) -> Told:
        return await self._do(lambda: self.box.cancel(entry.id), t("Taken back: it does not go out."))

    async def reword(self, entry: Entry, text: str, subject: str) -> Told:
        return await self._do(lambda: self.box.reword(entry.id, text=text, subject=subject), t("Kept. It is a draft now: s sends it."))

    def send(self, entry: Entry) -> Told:
        """Begin to send; what becomes of it is told in the conversation."""
        if self._post is None:
            return t("No channel is set up: `localagent channels add`."), False
        if entry.state not in SENDABLE or (entry.state == "held" and not left_over(entry) and entry.owner):
            return t("It is not sent again."), False
        self._begin(self._through(self._post, entry))
        return t("It goes out in {seconds}; c takes it back.", seconds=wording.seconds(self._post.hold_s)), True

    async def _through(self, post: Post, entry: Entry) -> None:
        try:
            async for item in post.deliver([entry]):
                if not isinstance(item, str):
                    good = item[0].state in ("sent", "handed over")
                    self._tell(shown.visible(posting.told(item[0]), lines=False), "info" if good else "warning")
        except LocalAgentError as error:
            self._tell(shown.visible(str(error), lines=False), "error")

    async def _do(self, work: Callable[[], object], told: str) -> Told:
        try:
            await asyncio.to_thread(work)
        except LocalAgentError as error:
            return shown.visible(str(error), lines=False), False
        return told, True


class Messages(Modal):
    """The messages, newest first. Enter opens one."""

    def __init__(self, letters: Letters) -> None:
        super().__init__()
        self._letters = letters
        self._entries: list[Entry] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(Content(t("Outbox")), classes="title", markup=False)
            yield OptionList(id="first", markup=False)
            yield Static("", id="said", classes="about", markup=False)
            yield Static(Content(t("Enter shows it · Esc closes")), classes="about", markup=False)

    async def on_mount(self) -> None:
        self.query_one("#said").display = False
        await self._fill()
        self.set_interval(_REFRESH_S, self._fill)

    async def _fill(self) -> None:
        try:
            found = await self._letters.entries()
        except LocalAgentError as error:
            self._say(shown.visible(str(error), lines=False))
            return
        if not self.is_attached:
            return
        if not found:
            self._say(t("The outbox is empty."))
        options = self.query_one(OptionList)
        at = options.highlighted
        here = self._entries[at].id if at is not None and at < len(self._entries) else ""
        self._entries = found
        options.clear_options()
        options.add_options([Option(line(entry), entry.id) for entry in found])
        if found:
            options.highlighted = next((n for n, entry in enumerate(found) if entry.id == here), 0)

    def _say(self, text: str) -> None:
        said = self.query_one("#said", Static)
        said.display = True
        said.update(Content(text))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        entry = next((entry for entry in self._entries if entry.id == event.option.id), None)
        if entry is not None:
            self.app.push_screen(OneMessage(self._letters, entry), lambda _: self.run_worker(self._fill()))


def line(entry: Entry) -> Content:
    """Two lines: when, state, to whom; what it says."""
    message = entry.message
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed))
    to = wording.one_line(shown.visible(message.name or message.address, lines=False), 40)
    about = wording.one_line(shown.visible(message.subject or message.text), 100)
    return Content.assemble(
        (f"{when}  ", "$text-muted"),
        (to, "bold"),
        (f"  {wording.one_line(message.channel, 20)}", "$text-muted"),
        (f"  {state(entry)}", _TONES.get(entry.state, "$text-warning" if entry.state in OPEN else "$text-muted")),
        (f"\n    {about}", "$text-muted"),
    )


class OneMessage(Modal):
    """One message whole. s sends it (asked for once more), c takes it back, e rewords it."""

    def __init__(self, letters: Letters, entry: Entry) -> None:
        super().__init__()
        self._letters = letters
        self._entry = entry
        self._sure = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static("", id="what", classes="title", markup=False)
            yield Sheet([Content(row) for row in shown.message_lines(self._entry.message)], "first")
            yield Static("", id="said", classes="about", markup=False)
            yield Static("", id="keys", classes="about", markup=False)

    def on_mount(self) -> None:
        self.query_one("#said").display = False
        self._draw()
        self.set_interval(_REFRESH_S, self._again)

    def on_resize(self) -> None:
        self.call_after_refresh(lambda: fit(self))

    async def _again(self) -> None:
        try:
            self._entry = await asyncio.to_thread(self._letters.box.get, self._entry.id)
        except LocalAgentError as error:
            self._say(shown.visible(str(error), lines=False), False)
        if self.is_attached:
            self._draw()

    def _draw(self) -> None:
        entry = self._entry
        detail = f" ({wording.one_line(shown.visible(entry.detail, lines=False), 100)})" if entry.detail else ""
        self.query_one("#what", Static).update(Content(f"{state(entry)}{detail}"))
        keys = [t("s sends it")] if entry.state in SENDABLE and (entry.state != "held" or left_over(entry)) else []
        keys += [t("c takes it back"), t("e rewords it")] if entry.state in OPEN else []
        self.query_one("#keys", Static).update(Content(" · ".join([*keys, t("Esc closes")])))

    def _say(self, text: str, well: bool) -> None:
        said = self.query_one("#said", Static)
        said.display = True
        said.update(Content.styled(text, "$text-success" if well else "$text-warning"))

    async def on_key(self, event: Key) -> None:
        if event.key == "s":
            event.stop()
            if not self._sure:
                self._sure = True
                warning = t("It may have gone out already: look there first.") + " " if self._entry.state == "unconfirmed" else ""
                self._say(warning + t("Press s again to send exactly this."), False)
                return
            self._sure = False
            self._say(*self._letters.send(self._entry))
            return
        self._sure = False
        if event.key == "c" and self._entry.state in OPEN:
            event.stop()
            self._say(*await self._letters.cancel(self._entry))
            await self._again()
        elif event.key == "e" and self._entry.state in OPEN:
            event.stop()
            self.app.push_screen(Rewording(self._entry), lambda words: words and self.run_worker(self._reworded(*words)))

    async def _reworded(self, text: str, subject: str) -> None:
        self._say(*await self._letters.reword(self._entry, text, subject))
        await self._again()
        await self.query_one(Sheet).refill([Content(row) for row in shown.message_lines(self._entry.message)])


class Rewording(Modal):
    """Other words for a message; the result is (text, subject), None where it is left."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self._entry = entry

    def compose(self) -> ComposeResult:
        message = self._entry.message
        with Vertical(classes="window"):
            to = shown.visible(message.name or message.address, lines=False)
            yield Static(Content(t("To {who}", who=to)), classes="title", markup=False)
            yield Field(message.subject, placeholder=t("subject"), id="subject")
            yield Area(message.text, id="first")
            yield Static(Content(t("Ctrl+S keeps it · Esc leaves it as it was")), classes="about", markup=False)

    def on_key(self, event: Key) -> None:
        if event.key == "ctrl+s":
            event.stop()
            event.prevent_default()
            text = self.query_one(TextArea).text
            if text.strip() or self._entry.message.attachments:
                self.close((text, self.query_one("#subject", Input).value))
