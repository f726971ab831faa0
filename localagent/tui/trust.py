"""Plugins in the app: a new or changed file is offered, and is on when a person confirms its bytes."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content
from textual.events import Key

from ..agent import shown
from ..errors import LocalAgentError
from ..store import instructions, trusted, trusted_folders
from ..toolbox import places
from .watching import in_loop
from .windows import Picker, Reader, Row, Sheet
from .words import t

if TYPE_CHECKING:
    from ..store.watch import Watch
    from ..toolbox.describe import Plugin
    from ..toolbox.own import Own
    from .app import LocalAgentApp



class Trusting:
    """Looks at the plugin folder `AFTER_S` seconds after the first frame, and whenever something changes there."""

    AFTER_S = 1.5

    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app
        self._watch: Watch | None = None
        self._project: Watch | None = None
        self._offered: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """Call it once the first frame is drawn."""
        self._app.set_timer(self.AFTER_S, self._start)

    def _start(self) -> None:
        from ..store.watch import Watch

        # The folder above is watched: the plugins' own need not be there yet.
        self._watch = Watch(str(trusted.plugins_folder().parent), in_loop(self._heard))
        self._watch.start()
        self._watch_project()
        self._app.run_worker(self._offer(), group="trust", exclusive=True)
        self._app.run_worker(self._app.skills.offer(), group="skills", exclusive=True)

    def _watch_project(self) -> None:
        from ..store.watch import Watch

        folder = places.project_folder(self._app.house.folder)
        if self._project is None and folder.is_dir() and trusted_folders.trusts(self._app.house.folder):
            self._project = Watch(str(folder), in_loop(self._heard))
            self._project.start()

    def stop(self) -> None:
        for watch in (self._watch, self._project):
            if watch is not None:
                watch.stop()

    def _heard(self, paths: frozenset[str] | None) -> None:
        tops = [os.path.realpath(place) for place in (trusted.plugins_folder(), places.project_folder(self._app.house.folder))]
        if paths is None or any(path == top or path.startswith(top + os.sep) for path in paths for top in tops):
            self._app.run_worker(self._offer(), group="trust", exclusive=True)
        skills = os.path.realpath(trusted.plugins_folder().parent / "skills")
        if paths is None or any(path == skills or path.startswith(skills + os.sep) for path in paths):
            self._app.run_worker(self._app.skills.offer(), group="skills", exclusive=True)

    async def look(self) -> list[Own]:
        """The files as they are now. Raises ConfigError."""
        from ..toolbox import own

        here = self._app.house.folder
        if not (found := await asyncio.to_thread(own.files, here)):
            return []
        session = self._app.driver.session
        specs = session.setting.registry.every() if session is not None else ()
        files = {str(file) for file in found}
        taken = [spec.name for spec in specs if spec.source not in files]
        unsandboxed = (await asyncio.to_thread(self._app.house.boundary)).name == "none"
        return await own.look(taken, here, unsandboxed=unsandboxed)

    async def _offer(self) -> None:
        """A toast for each file that is not what was confirmed, once for each content."""
        try:
            found = await self.look()
        except LocalAgentError as error:
            self._app.driver.tell(str(error), "warning")
            return
        self._offer_project()
        for one in found:
            key = (str(one.file), one.sha256)
            if one.state == "on" or key in self._offered:
                continue
            self._offered.add(key)
            name = shown.visible(one.file.name, lines=False)
            if one.problems:
                kept = t(" The earlier version runs on.") if one.running else ""
                told = shown.visible(" ".join(one.problems), lines=False)
                self._app.driver.tell(t("The plugin {name} cannot be used: {problem}{kept}", name=name, problem=told, kept=kept), "warning")
            elif one.state == "changed":
                text = t("The plugin {name} was changed; its earlier version runs on. /trust shows it and asks.", name=name)
                self._app.notify(text, timeout=10, markup=False)
            else:
                text = t("The plugin {name} is new, and off. /trust shows it and asks.", name=name)
                self._app.notify(text, timeout=10, markup=False)

    def _offer_project(self) -> None:
        """Once: a folder that brings plugins is not looked into before it is trusted."""
        here = self._app.house.folder
        if ("", str(here)) not in self._offered and places.untrusted(here):
            self._offered.add(("", str(here)))
            text = t("This folder brings plugins, which are not looked at. /trust . shows them and asks.")
            self._app.notify(text, timeout=10, markup=False)

    # ------------------------------------------------------------ asking

    async def command(self, argument: str) -> None:
        """`/trust [FILE]`: the one that is named or the only one that waits, else a list."""
        from ..toolbox import own

        if argument == ".":
            self._show_project()
            return
        found = await self.look()
        if argument:
            self._show(own.find(argument, found))
            return
        if not found:
            folder = str(trusted.plugins_folder())
            self._app.driver.tell(t("There are no plugins of yours. They are Python files in {folder}", folder=folder))
            return
        waiting = [one for one in found if one.state != "on"]
        if len(waiting) == 1:
            self._show(waiting[0])
            return
        states = {"on": t("on"), "off": t("off"), "changed": t("changed")}
        rows = [Row(one.file.name, shown.visible(one.file.name, lines=False), states[one.state]) for one in found]
        by_name = {one.file.name: one for one in found}
        self._app.push_screen(Picker(t("Your plugins"), rows), lambda name: self._show(by_name[name]) if name else None)

    def _show_project(self) -> None:
        """The instructions that this folder brings, one after the other, then its plugins."""
        here = self._app.house.folder
        papers, files = [one for one in instructions.look(here) if one.state != "on"], places.untrusted(here)
        if not files and not papers:
            self._app.driver.tell(t("This folder is trusted already, or brings neither plugins nor instructions."))
        elif papers:
            self._show_paper(papers, instructions.root(here)[0])
        else:
            self._show_plugins(files)

    def _show_paper(self, papers: list[instructions.Found], top: Path) -> None:
        one, rest = papers[0], papers[1:]
        name = shown.visible(shown.relative(str(one.place), str(self._app.house.folder)), lines=False)
        lines = [Content(shown.visible(line, lines=False)) for line in instructions.lines(one)]
        keys = {"y": t("has it followed, exactly as it is here")} if one.now is not None else {}

        def answered(key: str | None) -> None:
            if key == "y":
                try:
                    instructions.agree(one, top)
                    self._app.driver.tell(t("{name} counts as instructions from the next request on.", name=name))
                except LocalAgentError as error:
                    self._app.driver.tell(str(error), "error")
            if rest:
                self._show_paper(rest, top)
            elif files := places.untrusted(self._app.house.folder):
                self._show_plugins(files)

        self._app.push_screen(Looked(t("Instructions of this folder: {name}", name=name), lines, keys), answered)

    def _show_plugins(self, files: list[Path]) -> None:
        lines = [Content(shown.visible(str(file), lines=False)) for file in files]
        keys = {"y": t("has them looked at, each off until you confirm it")}
        window = Looked(t("Plugins of this folder"), lines, keys)
        self._app.push_screen(window, lambda key: self._trust_project() if key == "y" else None)

    def _trust_project(self) -> None:
        trusted_folders.trust(self._app.house.folder)
        self._watch_project()
        self._app.run_worker(self._offer(), group="trust", exclusive=True)

    def _show(self, one: Own) -> None:
        window = Looked(t("Your plugin {name}", name=shown.visible(one.file.name, lines=False)), lines_of(one), keys_of(one))
        self._app.push_screen(window, lambda key: self._app.run_worker(self._answered(one, key)) and None)

    async def _answered(self, one: Own, key: str | None) -> None:
        from ..toolbox import own

        name = shown.visible(one.file.name, lines=False)
        try:
            if key == "x":
                await asyncio.to_thread(trusted.withdraw, one.file)
                self._exchange(replace(one.now, specs=()))
                self._app.driver.tell(t("The plugin {name} is off.", name=name))
            elif key == "i":
                await self._install(one, name)
            elif key == "y":
                await asyncio.to_thread(own.confirm, one)
                if self._exchange(one.now):
                    text = t("The plugin {name} is on, in this conversation too.", name=name)
                else:
                    text = t("The plugin {name} is on. Its tools are there from the next conversation on (/new).", name=name)
                self._app.driver.tell(text)
        except LocalAgentError as error:
            self._app.driver.tell(str(error), "error")


    def _exchange(self, plugin: Plugin) -> bool:
        """Whether the running conversation has these tools for that file from now on; what it was shown of others is told anew."""
        session = self._app.driver.session
        return session is not None and session.setting.registry.exchange(plugin)

    async def _install(self, one: Own, name: str) -> None:
        """The packages that it needs; then it can be looked into, and is shown again."""
        from ..store import settings
        from ..toolbox import own

        self._app.driver.tell(t("Fetching what the plugin {name} needs …", name=name))
        await own.install(one, settings.load().index_url)
        self._show(own.find(str(one.file), await self.look()))


class Looked(Reader):
    """What a plugin is, and all of its code. A key that came too early is no yes, nor is one before its end was seen."""

    LOCKED_S = 0.5

    def on_mount(self) -> None:
        self._opened = time.monotonic()
        self._seen = False
        sheet = self.query_one(Sheet)
        self.watch(sheet, "scroll_y", self._look, init=False)
        self.watch(sheet, "virtual_size", self._look, init=False)
        self.call_after_refresh(self._look)

    def on_sheet_resized(self) -> None:
        self._look()

    def _look(self) -> None:
        for sheet in self.query(Sheet):
            laid_out = sheet.size.height > 0 and sheet.virtual_size.height >= len(self._lines)
            self._seen = self._seen or (laid_out and sheet.scroll_y >= sheet.max_scroll_y - 0.5)

    def on_key(self, event: Key) -> None:
        early = time.monotonic() - self._opened < self.LOCKED_S
        # Textual calls the base class's handler too, unless it is told not to.
        if event.key in ("y", "i") and (early or not self._seen):
            event.stop()
            event.prevent_default()
            if not early:
                told = t("There is more to read: ↓, PgDn or End. A yes counts when you have seen the end.")
                self.notify(told, timeout=4, markup=False)


def keys_of(one: Own) -> dict[str, str]:
    keys = {} if one.state == "on" or one.problems else {"y": t("has it on, exactly as it is here")}
    if "y" in keys and one.missing:
        keys = {"i": t("fetches the packages that it needs, for it alone")}
    return keys if one.running is None else {**keys, "x": t("has it off")}


def lines_of(one: Own) -> list[Content]:
    """Its facts, then its code; where it was changed, what was."""
    import difflib

    from ..toolbox import own
    from . import card, effect

    lines = [Content(shown.visible(line, lines=False)) for line in own.told(one)]
    lines.append(Content(""))
    new = one.data.decode("utf-8", "replace")
    if one.state == "changed" and one.running is not None:
        name = one.file.name
        made = list(difflib.unified_diff(one.running.source.split("\n"), new.split("\n"), name, name, lineterm="", n=3))[2:]
        diff = "\n".join([shown.visible(one.file.name, lines=False), *(shown.visible(line, lines=False) for line in made)])
        return [*lines, *(card.drawn([row]) for row in effect.diff_rows(diff))]
    # All of it: what was not shown cannot be agreed to.
    return [*lines, *(Content(shown.visible(line, lines=False)) for line in new.split("\n"))]
