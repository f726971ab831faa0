"""While the app runs: what others change in the folder is seen without being asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .words import t

if TYPE_CHECKING:
    from ..store.watch import Watch
    from .app import LocalAgentApp

_PATHS_S = 1.0


class Watching:
    """Watches the app's folder from `AFTER_S` seconds after the first frame on."""

    AFTER_S = 1.0

    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app
        self._watch: Watch | None = None
        self._told = False
        # The names under the folder may be other ones than when they were last read.
        self.names_changed = False
        self._names_at = 0.0

    def begin(self) -> None:
        """Call it once the first frame is drawn."""
        self._app.set_timer(self.AFTER_S, self._start)
        self._app.driver.looked = self._follow

    def _start(self) -> None:
        from ..store.watch import Watch

        self._watch = Watch(str(self._app.house.folder), in_loop(self._heard))
        self._watch.start()
        self._follow()

    def stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    def _follow(self) -> None:
        """Watch the folders of what the model has seen by now; tell once where watching is not to be had."""
        watch, session = self._watch, self._app.driver.session
        if watch is None or session is None:
            return
        if watch.problem and not self._told:
            self._told = True
            self._app.driver.tell(
                t("Changes by others are noticed only before each answer; the folder cannot be watched: {why}", why=watch.problem)
            )
        if session.reads.known:
            self._app.run_worker(asyncio.to_thread(watch.also, list(session.reads.known)), group="watch")

    def fresh_names(self) -> bool:
        """Whether the names have to be read anew; asked each time they are wanted."""
        if self.names_changed and time.monotonic() - self._names_at > _PATHS_S:
            self.names_changed, self._names_at = False, time.monotonic()
            return True
        return False

    def _heard(self, paths: frozenset[str] | None) -> None:
        self.names_changed = True
        session = self._app.driver.session
        if session is not None and (paths is None or not paths.isdisjoint(session.reads.known)):
            self._app.driver.look()


def in_loop(call: Callable[[frozenset[str] | None], None]) -> Callable[[frozenset[str] | None], None]:
    """The same, to be called from any thread."""
    loop = asyncio.get_running_loop()
    return lambda paths: loop.call_soon_threadsafe(call, paths) and None
