"""The first start: at most two questions, each asked once, while everything else works already."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ..errors import LocalAgentError, ModelMissing
from ..store import settings, welcome
from ..values import Mode
from .windows import Row
from .words import t

if TYPE_CHECKING:
    from ..engine.offers import Offer
    from .app import LocalAgentApp
    from .machine import Machine

_MODES = ("ask", "plan", "auto")


class FirstStart:
    """What is done where the app has no model to begin with."""

    def __init__(self, app: LocalAgentApp, machine: Machine) -> None:
        self._app, self._machine = app, machine

    def no_model(self, error: LocalAgentError) -> None:
        """The session cannot begin for want of a model: ask once, go on with a download, or say what to do."""
        self._machine.lacking = str(error)
        known = welcome.load()
        if known.fetching:
            self._machine.soon(self._go_on(known.fetching))
        elif "model" in known.asked or settings.load().model is not None:
            self._machine.tell(" ".join((self._machine.lacking, t("In the app: /model chooses one and downloads it."))), "warning")
        else:
            if not isinstance(error, ModelMissing):
                self._machine.tell(self._machine.lacking, "warning")
            self._machine.soon(self._first_model())
        self._app._changed()

    async def _go_on(self, model: str) -> None:
        """With a download that ran when the app was left."""
        found = await asyncio.to_thread(self._app.house.offers)
        offer = next((one for one in found if one.entry.id == model and one.entry.sources), None)
        if offer is not None:
            await self._machine.fetch(offer)
        else:
            welcome.fetching("")
            self._machine.tell(" ".join((self._machine.lacking, t("In the app: /model chooses one and downloads it."))), "warning")

    async def _first_model(self) -> None:
        from ..engine.offers import recommended
        from . import offered

        found = await asyncio.to_thread(self._app.house.offers)
        rows = offered.first_rows(found, recommended(found))
        about = t(
            "Tell it what to do, and a model on this machine does it: nothing you write leaves it. "
            "Which model should that be? You can go on while it is downloaded. (1 of 2)"
        )
        window = offered.Ask(t("Welcome to localagent"), about, rows, t("not now"))
        self._app.push_screen(window, lambda name: self._machine.soon(self._model_answered(name, found)))

    async def _model_answered(self, name: str | None, found: Sequence[Offer]) -> None:
        welcome.asked("model")
        offer = next((one for one in found if one.entry.id == name), None)
        if offer is None:
            self._machine.tell(t("There is no model yet: /model chooses one and downloads it. /help shows what else there is."))
        else:
            if not offer.default:
                await asyncio.to_thread(self._keep, "model", offer.entry.id)
            await self._machine.want(offer.entry.id, found)
        if "mode" not in welcome.load().asked:
            self._ask_mode()

    def _ask_mode(self) -> None:
        from . import offered

        does = {
            "ask": t("it looks by itself, and asks before it changes anything"),
            "plan": t("it only looks, and tells what it would do"),
            "auto": t("it also changes files by itself where /undo can take that back; it asks about the rest"),
        }
        rows = [Row(mode, f"{mode} ({t('recommended')})" if mode == "ask" else mode, does[mode]) for mode in _MODES]
        about = t("How much may it do without asking you? Shift+Tab changes that at any time. (2 of 2)")
        window = offered.Ask(t("Welcome to localagent"), about, rows, "ask")
        self._app.push_screen(window, lambda mode: self._machine.soon(self._mode_answered(mode)))

    async def _mode_answered(self, mode: str | None) -> None:
        welcome.asked("mode")
        if mode is not None:
            if mode != settings.load().mode:
                await asyncio.to_thread(self._keep, "mode", mode)
            self._app.driver.set_mode(cast("Mode", mode))
        self._app.prompt.focus()

    def _keep(self, key: str, value: str) -> None:
        try:
            settings.set_value(key, value)
            self._app.house.reload()
        except LocalAgentError as error:
            self._machine.tell(str(error), "error")
