"""One widget for each kind of item of the conversation; each draws the item it was last given."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click, Key
from textual.widgets import Markdown, Static

from ..agent import shown
from ..values import Receipt
from . import card, plan, wording
from .view import Asked, Ended, Item, Own, Planned, Said, Told, Tool
from .words import mark, n_of, t, translated

# Of a person's own text so much is drawn; Ctrl+O shows more.
_PASTED_LINES = 40
_PASTED_CHARS = 6_000
_NOTHING = mark("nothing changed, nothing sent")
_WHY = {
    "failed": mark("The run failed."),
    "time": mark("The time budget is spent."),
    "budget": mark("The budget of turns, calls or tokens is spent before the goal was met."),
    "denied": mark("The run needed an approval."),
    "cancelled": mark("Interrupted."),
}


class Block(Vertical):
    """What all have in common: an item, and whether everything of it is shown. `old` before it is mounted: `settle` it at once."""

    old = False

    def __init__(self, item: Item, folder: str, unfolded: bool = False) -> None:
        super().__init__()
        self.item = item
        self.folder = folder
        self.unfolded = unfolded
        self.up = False

    async def on_mount(self) -> None:
        self.up = True
        await self.show(self.item)

    async def show(self, item: Item) -> None:
        """Draw the item as it is now."""
        self.item = item

    async def unfold(self, on: bool) -> None:
        self.unfolded = on
        await self.show(self.item)

    async def settle(self) -> None:
        """Far behind the newest by now: cost as little as possible."""


class Person(Block):
    def compose(self) -> ComposeResult:
        text = self.item.text if isinstance(self.item, Asked) else ""
        self.set_class(isinstance(self.item, Asked) and self.item.steer, "-steer")
        yield Static(Content(wording.calm(self._shown(text))), markup=False)

    async def unfold(self, on: bool) -> None:
        await super().unfold(on)
        if isinstance(self.item, Asked) and self.up:
            self.query_one(Static).update(Content(wording.calm(self._shown(self.item.text))))

    def _shown(self, text: str) -> str:
        """A pasted file would take seconds to draw; the model has all of it."""
        lines, chars = (_PASTED_LINES, _PASTED_CHARS) if not self.unfolded else (50 * _PASTED_LINES, 50 * _PASTED_CHARS)
        head = text if text.count("\n") < lines else "\n".join(text.split("\n", lines)[:lines])
        head = head[:chars]
        more = text.count("\n") - head.count("\n")
        if head == text:
            return text
        return head + "\n" + (n_of(more, "… {n} more line", "… {n} more lines") if more else "…")


class Line(Block):
    """A sentence of ours."""

    def compose(self) -> ComposeResult:
        if isinstance(self.item, Told):
            self.set_class(self.item.level != "info", f"-{self.item.level}")
            yield Static(Content(wording.calm(self.item.text)), markup=False)
        elif isinstance(self.item, Ended):
            # A bar that no answer can draw: what stands behind it is ours.
            self.add_class("-ended")
            yield Static(self._ended(self.item), markup=False)
        elif isinstance(self.item, Planned):
            yield Static(plan.kept(self.item.steps), markup=False)

    def _ended(self, ended: Ended) -> Content:
        if ended.error or ended.status != "done" or not all(one.ok for one in ended.checks):
            self.add_class("-error" if ended.error else "-warning")
        return Content("\n".join(ended_lines(ended, self.folder, "✓ ")))


def ended_lines(ended: Ended, folder: str, before: str = "") -> list[str]:
    """How a turn ended, and what it did; `before` stands before that."""
    lines = []
    if ended.error:
        lines.append(wording.calm(ended.error))
    elif ended.status != "done":
        lines.append(translated(_WHY.get(ended.status, ended.status)))
    lines += [t("A check failed: {check}", check=shown.checked_line(one)) for one in ended.checks if not one.ok]
    held = sum(bool(one.ok) for one in ended.checks)
    checks = t("{held} of {all} checks hold", held=held, all=len(ended.checks)) if ended.checks else ""
    did = before + receipts(ended.receipts, folder) if ended.receipts else translated(_NOTHING)
    return [*lines, "; ".join(filter(None, (did, checks)))]


def receipts(done: tuple[Receipt, ...], folder: str) -> str:
    return shown.summary(done, folder)


class Answer(Block):
    """The model's words: Markdown as it streams, one plain picture of it once it is far behind."""

    def __init__(self, item: Item, folder: str, unfolded: bool = False) -> None:
        super().__init__(item, folder, unfolded)
        self._written = ""
        self._settled = False

    def compose(self) -> ComposeResult:
        yield Static("", classes="thinking", markup=False)
        if self.old and isinstance(self.item, Said) and not self.item.live:
            self._settled = True
            yield self._finished(self.item)
        else:
            yield Markdown("", open_links=False)

    async def on_click(self, event: Click) -> None:
        if isinstance(event.widget, Static) and event.widget.has_class("thinking"):
            await self.unfold(not self.unfolded)

    async def show(self, item: Item) -> None:
        await super().show(item)
        if not isinstance(item, Said) or not self.up:
            return
        thinking = self.query_one(".thinking", Static)
        thinking.display = bool(item.thinking.strip())
        thinking.update(_thought(item, self.unfolded))
        if self._settled:
            return
        await self._write(wording.calm(item.text).strip() if not item.live else wording.calm(item.text).lstrip())

    async def _write(self, text: str) -> None:
        markdown = self.query_one(Markdown)
        markdown.display = bool(text)
        if text == self._written:
            return
        if self._written.startswith(text) and not self._written[len(text) :].strip():
            return
        # Each piece is waited for, and a text grows by appending alone. Textual's stream lets two pieces overlap when it
        # is stopped, and appending to what `update` drew loses the beginning of a list: both swallow text.
        if not text.startswith(self._written):
            await markdown.update("")
            self._written = ""
        await markdown.append(text[len(self._written) :])
        self._written = text

    async def settle(self) -> None:
        """One widget instead of one for each paragraph."""
        if self._settled or not isinstance(self.item, Said) or self.item.live:
            return
        self._settled = True
        await self.mount(self._finished(self.item))
        await self.query_one(Markdown).remove()

    def _finished(self, said: Said) -> Static:
        from rich.markdown import Markdown as RichMarkdown

        text = RichMarkdown(wording.calm(said.text), hyperlinks=False)
        return Static(text, classes="finished", markup=False)


def _thought(said: Said, unfolded: bool) -> Content:
    text = wording.calm(said.thinking).strip()
    if unfolded:
        return Content.assemble((t("▾ thinking"), "bold"), ("\n" + text, "italic"))
    if said.live and not said.text:
        last = (text.splitlines() or [""])[-1]
        return Content.assemble((t("▸ thinking") + "  ", "bold"), (last[-100:], "italic"))
    return Content(n_of(len(text.split()), "▸ thought, {n} word", "▸ thought, {n} words"))


class Card(Block, can_focus=True):
    """A call, or a command of the person's own."""

    def compose(self) -> ComposeResult:
        yield Static("", classes="head", markup=False)
        yield Static("", classes="body", markup=False)

    async def show(self, item: Item) -> None:
        await super().show(item)
        if not self.up or not isinstance(item, Tool | Own):
            return
        state = card.state(item)
        for name in ("running", "asking", "ok", "failed", "denied", "cancelled"):
            self.set_class(name == state, f"-{name}")
        self.query_one(".head", Static).update(card.head(item, self.unfolded))
        body = card.body(item, self.folder, self.unfolded)
        self.query_one(".body", Static).update(body)
        self.query_one(".body", Static).display = bool(body.plain)

    async def on_click(self) -> None:
        if not self.screen.get_selected_text():
            await self.unfold(not self.unfolded)

    async def on_key(self, event: Key) -> None:
        if event.key in ("enter", "space"):
            event.stop()
            await self.unfold(not self.unfolded)


def block_for(item: Item, folder: str, unfolded: bool) -> Block:
    kinds: dict[type, type[Block]] = {Asked: Person, Said: Answer, Tool: Card, Own: Card, Told: Line, Ended: Line, Planned: Line}
    return kinds[type(item)](item, folder, unfolded)


def blocks_for(items: tuple[Item, ...], folder: str, unfolded: bool) -> Iterator[Block]:
    for item in items:
        yield block_for(item, folder, unfolded)
