"""Recipes in the app: the last request is kept as one after it was shown whole, and one is done again in the conversation."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

from textual.content import Content

from ..agent import shown
from ..errors import LocalAgentError, UsageError
from ..store import recipes
from .trust import Looked
from .windows import Picker, Row
from .words import t

if TYPE_CHECKING:
    from ..agent.recipes.making import Made
    from .app import LocalAgentApp


class Recipes:
    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app

    def _tell(self, text: str, level: str = "info") -> None:
        self._app.driver.tell(text, level)

    def _ready(self) -> bool:
        if self._app.driver.running:
            self._tell(t("The agent is at work; Esc stops it, then try again."), "warning")
        elif self._app.driver.session is None:
            self._tell(t("There is no conversation yet."), "warning")
        else:
            return True
        return False

    async def save(self, argument: str) -> None:
        """`/save NAME [param=value ...]`: the last request of this conversation. Raises UsageError, StoreError."""
        from ..agent.recipes import stored

        session = self._app.driver.session
        if not self._ready() or session is None:
            return
        name, *rest = _words(argument) or [""]
        if not name:
            self._tell(t("Name the recipe, as in /save sort-photos. name=value behind it makes a value a parameter."), "warning")
            return
        if not session.history:
            self._tell(t("Nothing was asked yet."))
            return
        made = await asyncio.to_thread(stored.propose, name, session.id, None, stored.pairs(rest))
        there = name in recipes.names()
        text = [*made.notes, *([""] if made.notes else []), *recipes.text(made.recipe).rstrip("\n").split("\n")]
        lines = [Content(shown.visible(line, lines=False)) for line in text]
        keys = {"y": t("replaces the recipe of that name") if there else t("keeps it")}
        title = t("The recipe {name}", name=name)
        self._app.push_screen(Looked(title, lines, keys), lambda key: self._app.run_worker(self._kept(made, key)) and None)

    async def _kept(self, made: Made, key: str | None) -> None:
        from ..agent.recipes import stored

        if key != "y":
            return
        try:
            await asyncio.to_thread(stored.keep, made.recipe, True)
        except LocalAgentError as error:
            self._tell(str(error), "error")
            return
        words = stored.words(made.recipe)
        self._tell(t("The recipe is kept. /run {words} does it again, without the model while its checks hold.", words=words))

    async def run(self, argument: str) -> None:
        """`/run [NAME param=value ...]`. Raises UsageError, ConfigError."""
        from ..agent.recipes import stored

        session = self._app.driver.session
        name, *rest = _words(argument) or [""]
        if not name:
            await self._choose()
        elif self._ready() and session is not None:
            engine = session.setting.engine
            self._app.driver.play(stored.play(name, stored.pairs(rest), session.setting.workspace, lambda: engine))

    async def _choose(self) -> None:
        rows = []
        for name in await asyncio.to_thread(recipes.names):
            try:
                about = (await asyncio.to_thread(recipes.load, name)).description
            except LocalAgentError as error:
                about = str(error)
            rows.append(Row(name, name, shown.visible(about, lines=False)))
        if rows:
            self._app.push_screen(Picker(t("Recipes"), rows), lambda name: self._app.run_worker(self._chosen(name)) and None)
        else:
            self._tell(t("There are no recipes yet. /save NAME keeps the last request as one."))

    async def _chosen(self, name: str | None) -> None:
        from ..agent.recipes import stored

        if name is None:
            return
        try:
            recipe = await asyncio.to_thread(recipes.load, name)
            if recipe.params and hasattr(self._app, "prompt"):
                # What it stands for this time is looked at before it is done.
                self._app.prompt.set_text(f"/run {stored.words(recipe)}")
                self._app.prompt.focus()
            else:
                await self.run(name)
        except LocalAgentError as error:
            self._tell(str(error), "error")


def _words(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError:
        raise UsageError(t("A quote is not closed.")) from None
