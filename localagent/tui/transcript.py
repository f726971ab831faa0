"""The conversation on the screen: the newest blocks of it, earlier ones a page at a time."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.widgets import Static

from .blocks import Block, block_for, blocks_for
from .view import Item, View
from .words import t

PAGE = 30
# Blocks that stay Markdown widgets; those before them become one widget each.
_FRESH = 8
# More mounted blocks than this, and the oldest go (they come back a page at a time).
_MOUNTED = 400


class Transcript(VerticalScroll, can_focus=True):
    """Shows a `View`. `show` must not be called again before it has returned."""

    def __init__(self, folder: str) -> None:
        super().__init__(id="transcript")
        self._folder = folder
        self._items: tuple[Item, ...] = ()
        self._from = 0
        self._blocks: list[Block] = []
        self._talk = 0
        self._unfolded = False

    def on_mount(self) -> None:
        self.anchor()

    async def show(self, view: View) -> None:
        """Draw what is new or has changed since the last call."""
        items = view.all
        if view.talk != self._talk:
            self._talk = view.talk
            await self._begin(items)
        await self._update(items)
        self._items = items
        for block in self._blocks[max(0, len(self._blocks) - 2 * _FRESH) : -_FRESH]:
            await block.settle()
        if len(self._blocks) > _MOUNTED and self.scroll_y >= self.max_scroll_y:
            await self._drop(len(self._blocks) - _MOUNTED // 2)
        self._tell_earlier()

    async def _begin(self, items: tuple[Item, ...]) -> None:
        async with self.batch():
            await self.remove_children(Block)
        self._blocks, self._items = [], ()
        self._from = max(0, len(items) - PAGE)
        self.anchor()

    async def _update(self, items: tuple[Item, ...]) -> None:
        first = self._from + max(0, len(self._blocks) - PAGE)
        for index in range(first, min(len(items), self._from + len(self._blocks))):
            block = self._blocks[index - self._from]
            if block.item is items[index]:
                continue
            if isinstance(block, type(block_for(items[index], self._folder, False))):
                await block.show(items[index])
            else:
                made = block_for(items[index], self._folder, self._unfolded)
                await self.mount(made, after=block)
                await block.remove()
                self._blocks[index - self._from] = made
        gone = self._blocks[len(items) - self._from :]
        del self._blocks[len(items) - self._from :]
        for block in gone:
            await block.remove()
        new = list(blocks_for(items[self._from + len(self._blocks) :], self._folder, self._unfolded))
        for block in new[:-_FRESH]:
            block.old = True
        if new:
            self._blocks += new
            async with self.batch():
                await self.mount_all(new)

    async def unfold(self) -> None:
        """Everything shown, or everything folded again."""
        self._unfolded = not self._unfolded
        for block in self._blocks:
            await block.unfold(self._unfolded)

    async def earlier(self) -> None:
        """One more page of what came before."""
        if self._from == 0:
            return
        start = max(0, self._from - PAGE)
        new = list(blocks_for(self._items[start : self._from], self._folder, self._unfolded))
        for block in new:
            block.old = True
        before, height = self._blocks[0] if self._blocks else None, self.virtual_size.height
        self.release_anchor()
        async with self.batch():
            await self.mount_all(new, before=before)
        self._from, self._blocks = start, [*new, *self._blocks]
        self._tell_earlier()
        self.call_after_refresh(lambda: self.scroll_to(y=self.virtual_size.height - height, animate=False))

    async def _drop(self, number: int) -> None:
        gone, self._blocks = self._blocks[:number], self._blocks[number:]
        self._from += number
        async with self.batch():
            for block in gone:
                await block.remove()

    def _tell_earlier(self) -> None:
        found = self.query("#earlier")
        if self._from == 0:
            found.remove()
            return
        text = Content(t("↑ {number} earlier (Page Up at the top shows them)", number=f"{self._from:,}"))
        if found:
            found.first(Static).update(text)
        else:
            self.mount(Static(text, id="earlier", markup=False), before=0)

    async def on_key(self, event: Key) -> None:
        if event.key in ("pageup", "pagedown", "ctrl+home", "ctrl+end"):
            event.stop()
            event.prevent_default()
            await self.scroll_by(event.key)

    async def scroll_by(self, key: str) -> None:
        """A page, or to an end. Past the top that is a page of earlier blocks; at the bottom it follows what comes."""
        match key:
            case "pageup" if self.scroll_y <= 0:
                await self.earlier()
            case "pageup":
                self.release_anchor()
                self.scroll_page_up(animate=False)
            case "pagedown":
                self.scroll_page_down(animate=False)
            case "ctrl+home":
                self.release_anchor()
                self.scroll_home(animate=False)
            case "ctrl+end":
                self.anchor()
