"""The machine and what is set on it: `/monitor`, `/model` with its downloads, `/settings`, `/tools`, `/approvals`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from ..errors import LocalAgentError, UsageError
from ..store import settings, welcome
from . import look, wording
from .download import Download, Fetching, line
from .first import FirstStart
from .windows import Picker, Reader
from .words import t

if TYPE_CHECKING:
    # Windows that few open are loaded when they are.
    from ..engine.offers import Offer
    from .allowed import Kept
    from .app import LocalAgentApp

# Settings of the app itself, read once.
_AT_START = ("language", "motion", "plain")


class Machine:
    """Holds the one download; everything else is in windows."""

    def __init__(self, app: LocalAgentApp, resume: str | None = None) -> None:
        self._app = app
        self._resume = resume
        self.download = Download(app._changed, self._ended)
        self.lacking = ""
        self._told_lacking = False
        self._others: tuple[str, ...] = ()
        self.first = FirstStart(app, self)

    def commands(self) -> dict[str, Callable[[str], Awaitable[None]]]:
        """What `/commands` of this part do."""
        return {
            "monitor": self._monitor,
            "model": self._model,
            "settings": self._settings,
            "tools": self._tools,
            "approvals": self._approvals,
        }

    # ------------------------------------------------------------ the screen

    def draw(self, base: Screen, width: int) -> None:
        """The line of the download, above the prompt."""
        state = self.download.state
        if state is None and not base.query("#download"):
            return
        if not base.query("#download"):
            base.query_one("#below").mount(Static("", id="download", markup=False), before=0)
        shown = base.query_one("#download", Static)
        shown.display = state is not None
        if state is not None:
            shown.update(Content(line(state, time.monotonic(), width)))

    def escape(self) -> bool:
        """Esc with nothing else to stop: pause what is downloaded, then put its line away. False where there is none."""
        if self.download.going:
            welcome.fetching("")
            self._app.run_worker(self.download.pause())
            return True
        if self.download.state is not None:
            self.download.dismiss()
            return True
        return False

    def submitted(self) -> None:
        """A request was sent: where no model will ever answer it, say what to do."""
        if self.lacking and not self.download.going and not self._told_lacking:
            self._told_lacking = True
            self.tell(t("Your request waits for a model: /model chooses one and downloads it."), "warning")

    async def close(self) -> None:
        """Stop the download; the next start goes on with it."""
        await self.download.pause()

    # ------------------------------------------------------------ the monitor

    async def _monitor(self, _: str) -> None:
        await self.toggle_monitor()

    async def toggle_monitor(self) -> None:
        from . import monitor

        base = self._app.screen_stack[0]
        if base.query(monitor.Panel):
            await base.query(monitor.Panel).remove()
        elif self._app.size.width >= monitor.WIDE:
            await base.mount(monitor.Panel(self._app.house.sample, self._app.driver.speeds))
        elif len(self._app.screen_stack) == 1:
            self._app.push_screen(monitor.MonitorWindow(self._app.house.sample, self._app.driver.speeds))
        self._app.call_after_refresh(self._app._draw_lines)

    def resized(self, width: int) -> None:
        """A panel that has no room any more goes."""
        panels = self._app.screen_stack[0].query("#monitor") if self._app.screen_stack else ()
        if panels:
            from . import monitor

            if width < monitor.WIDE:
                panels.remove()

    # ------------------------------------------------------------ models

    async def _model(self, argument: str) -> None:
        from . import offered

        found = await asyncio.to_thread(self._app.house.offers)
        if argument:
            await self.want(argument, found)
            return
        machine = found[0].fit.machine if found else None
        title = t("Models")
        if machine is not None:
            from ..engine.fit import gib

            title = t(
                "Models · {free} of {all} GiB memory free, {disk} GiB disk free",
                free=gib(machine.available), all=gib(machine.ram), disk=gib(machine.disk),
            )  # fmt: skip
        window = offered.ModelPicker(title, found, self._app.driver.view.model)
        self._app.push_screen(window, lambda name: self.soon(self.want(name, found)) if name else None)

    async def want(self, name: str, found: Sequence[Offer]) -> None:
        """Use a model that is here, fetch one that is not; `name` may name a source behind it."""
        from . import offered

        id, _, source = name.strip().partition(" ")
        offer = next((one for one in found if one.entry.id == id.lower()), None)
        if offer is not None and offer.entry.hosted:
            if await self._use(name):
                self.tell(offered.hosted(offer), "warning")
        elif offer is not None and offer.path is None:
            if source and source not in offer.entry.sources:
                sources = ", ".join(offer.entry.sources)
                raise UsageError(t("{model} comes from: {sources}.", model=id, sources=sources))
            self._fetch_or_ask(offer, source)
        else:
            await self._use(name)

    def _fetch_or_ask(self, offer: Offer, source: str) -> None:
        from . import offered

        if offer.fit.verdict != "too big":
            self.soon(self.fetch(offer, source))
            return
        lines = [Content(t("It would not fit into this machine's memory.")), Content(""), Content(offered.detail(offer))]
        window = Reader(t("{model} is too big", model=offer.entry.id), lines, {"d": t("downloads it all the same")})
        self._app.push_screen(window, lambda key: self.soon(self.fetch(offer, source)) if key == "d" else None)

    async def _use(self, name: str) -> bool:
        """Let a model answer from now on, in the conversation that runs; whether it will."""
        if self._app.driver.session is None:
            self._open(name)
            return True
        try:
            engine = await self._app.house.engine_for(name)
        except LocalAgentError as error:
            self.tell(str(error), "error")
            return False
        self._app.driver.switch(engine)
        self.tell(t("{model} answers from the next request on.", model=engine.model))
        return True

    def _open(self, name: str | None) -> None:
        self.lacking, self._told_lacking = "", False
        self._app.driver.open(self._resume, name)

    async def fetch(self, offer: Offer, source: str = "") -> None:
        """Download it while the person goes on; a download that runs is paused for it."""
        state, model = self.download.state, offer.entry.id
        if state is not None and state.going:
            if state.model == model:
                self.tell(t("{model} is on its way already; Esc pauses it.", model=model))
                return
            await self.download.pause()
            self.tell(t("{model} is paused; what has come of it is kept.", model=state.model))
        welcome.fetching(model)
        self._others = tuple(one for one in offer.entry.sources if one != (source or offer.entry.sources[0]))
        self.download.start(model, self._app.house.fetching(model, source))

    def _ended(self, state: Fetching) -> None:
        welcome.fetching("")
        if state.step == "ready":
            self.tell(t("{model} is here.", model=state.model))
            self.download.dismiss()
            self.soon(self._use(state.model))
        else:
            again = t("`/model {model}` tries again.", model=state.model)
            if self._others:
                again += " " + t("From another place: `/model {model} {source}`.", model=state.model, source=self._others[0])
            self.tell(" ".join(filter(None, (state.told, state.hint, again))), "error")

    # ------------------------------------------------------------ settings, tools, approvals

    async def _settings(self, argument: str) -> None:
        from .preferences import Preferences

        key, _, value = argument.partition(" ")
        if value:
            looks_there = self._app.available_themes
            if key == "theme" and value.strip() not in (*looks_there, "null"):
                raise UsageError(t("There is no look {name}; /theme lists them.", name=wording.one_line(value, 60)))
            made = settings.set_value(key, value.strip())
            self._changed_setting(key, made)
            return
        if key and key not in {one.key for one in settings.describe()}:
            raise UsageError(t("There is no setting {key}.", key=key), t("/settings lists them."))
        looks = {"theme": tuple(sorted(self._app.available_themes))}
        self._app.push_screen(Preferences(self._changed_setting, key, looks))

    def _changed_setting(self, key: str, made: settings.Settings) -> None:
        self._app.house.reload()
        value: Any = getattr(made, key)
        if key == "mode":
            self._app.driver.set_mode(value)
        elif key == "theme":
            # The dark one where the choice was taken back.
            self._app.theme = value if value in self._app.available_themes else look.CYCLE[0]
        else:
            next_start = key in _AT_START
            text = t("{key} counts from the next start on.", key=key) if next_start else t(
                "{key} counts from the next conversation on (/new).", key=key
            )  # fmt: skip
            self._app.notify(text, timeout=3, markup=False)

    async def _tools(self, argument: str) -> None:
        from . import allowed

        session = self._app.driver.session
        if session is None:
            self.tell(t("The tools are not loaded yet."), "warning")
            return
        specs = {one.name: one for one in session.setting.registry.every()}
        if argument and argument not in specs:
            raise UsageError(t("There is no tool {name}.", name=argument), t("/tools lists them."))
        if argument:
            self._app.push_screen(Reader(argument, allowed.tool_lines(specs[argument])))
            return

        def show(name: str | None) -> None:
            if name is not None:
                self._app.push_screen(Reader(name, allowed.tool_lines(specs[name])))

        self._app.push_screen(Picker(t("What the agent can do"), allowed.tool_rows(list(specs.values()))), show)

    async def _approvals(self, _: str) -> None:
        from . import allowed

        found, trouble = await asyncio.to_thread(allowed.kept)
        if trouble:
            self.tell(trouble, "warning")
        if not found:
            self.tell(t("No rules are kept. The answer `a` (always) to a question keeps one."))
            return

        def show(at: str | None) -> None:
            if at is not None:
                one = found[int(at)]
                keys = {"r": t("takes it back")} if one.grant is not None else {}
                window = Reader(t("A rule"), allowed.kept_lines(one), keys)
                self._app.push_screen(window, lambda key: self.soon(self._revoke(one)) if key else None)

        self._app.push_screen(Picker(t("What is allowed, asked and denied"), allowed.kept_rows(found)), show)

    async def _revoke(self, one: Kept) -> None:
        from ..agent.shown import visible
        from ..store import grants

        gone = await asyncio.to_thread(grants.revoke, one.rule, one.folder)
        session = self._app.driver.session
        if session is not None:
            session.forget(one.rule)
        told = t("Taken back: {rule}", rule=visible(one.rule, lines=False)) if gone else t("It was gone already.")
        if one.rule.startswith("net("):
            told += " " + t("Programs of this conversation may reach it until /new.")
        self.tell(told)

    # ------------------------------------------------------------ small things

    def tell(self, text: str, level: str = "info") -> None:
        """A line in the conversation."""
        self._app.driver.tell(text, level)

    def soon(self, work: Any) -> None:
        """Do it beside everything else; what goes wrong is told."""
        self._app.run_worker(self._guarded(work))

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except LocalAgentError as error:
            self.tell(str(error), "error")
        except Exception as error:  # noqa: BLE001 - what fails beside the conversation does not end it
            self._app.failed(error)
