"""What `/sessions`, `/rename`, `/fork` and `/export` do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LocalAgentError, UsageError
from ..store import meta, sessions, transcript
from . import wording
from .chooser import Ask, Chooser, Chosen, Entry
from .windows import Picker, Row
from .words import t

if TYPE_CHECKING:
    from .app import LocalAgentApp

_MOST = 200


class Archive:
    """The stored conversations, as the app shows and changes them."""

    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app
        self._folder = str(app.house.folder)

    # ------------------------------------------------------------ choosing

    async def choose(self, words: str) -> None:
        """A window of the earlier conversations, those of this folder first."""
        first = await asyncio.to_thread(self._entries, words)
        if not first and not words:
            self._tell(t("There are no earlier conversations yet."))
            return
        self._app.push_screen(Chooser(self._entries, first), self._chosen)

    def _entries(self, words: str) -> Sequence[Entry]:
        if words.strip():
            found = [(hit.row, hit.snippet) for hit in sessions.search(words, _MOST)]
        else:
            found = [(row, "") for row in sessions.rows(_MOST)]
        here = self._current()
        entries = [
            Entry(
                row.id,
                row.name,
                row.status,
                row.last,
                row.messages,
                "" if row.folder == self._folder else row.folder,
                snippet if snippet != row.name else "",
                row.id == here,
            )
            for row, snippet in found
        ]
        return sorted(entries, key=lambda entry: bool(entry.elsewhere))

    def _chosen(self, chosen: Chosen | None) -> None:
        if chosen is None:
            return
        entry = chosen.entry
        match chosen.deed:
            case "open":
                self._open(entry.id, entry.elsewhere)
            case "rename":
                title = meta.load(entry.id).title or entry.name
                self._app.push_screen(Ask(t("A title for this conversation"), title), lambda text: self._named(entry.id, text))
            case "fork":
                self._soon(partial(self._fork, entry.id, None, entry.elsewhere))
            case "export":
                rows = [Row("md", "Markdown"), Row("html", t("HTML, one page that needs nothing else")), Row("jsonl", "JSON Lines")]
                self._app.push_screen(Picker(t("Export as"), rows), lambda kind: self._exported(entry.id, kind))

    def _open(self, session: str, elsewhere: str) -> None:
        if elsewhere:
            place = wording.calm(elsewhere)
            self._tell(t("That conversation belongs to {place}. Go on with it there: localagent resume {id}", place=place, id=session))
        elif session != self._current() and self._idle():
            self._app.driver.open(session)

    def _named(self, session: str, text: str | None) -> None:
        if text is not None:
            self._soon(partial(self._rename, session, text))

    def _exported(self, session: str, kind: str | None) -> None:
        if kind is not None:
            self._soon(partial(self._export, session, kind, ""))

    # ------------------------------------------------------------ the commands

    async def rename(self, title: str) -> None:
        """`/rename TITLE`; without a title one is asked for."""
        session = self._known()
        if session is None:
            return
        if title:
            await self._rename(session, title)
        else:
            now = (await asyncio.to_thread(meta.load, session)).title
            self._app.push_screen(Ask(t("A title for this conversation"), now), lambda text: self._named(session, text))

    async def go_on_in_a_copy(self, argument: str) -> None:
        """`/fork [N]`: go on in a copy of this conversation, or of its first N requests."""
        session = self._known()
        if argument and not (argument.isdecimal() and int(argument)):
            self._tell(t("Name the number of a request, counted from 1."), "warning")
        elif session is not None:
            await self._fork(session, int(argument) if argument else None, "")

    async def export(self, argument: str) -> None:
        """`/export [md|html|jsonl] [PATH]`."""
        from ..agent.exporting import FORMATS, kind_of

        session = self._known()
        if session is None:
            return
        kind, _, path = argument.partition(" ")
        if kind not in FORMATS:
            kind, path = kind_of(argument) or "md", argument
        await self._export(session, kind, path.strip())

    async def _rename(self, session: str, title: str) -> None:
        kept = await asyncio.to_thread(meta.rename, session, title)
        called = t("This conversation is called {title} now.", title=f'"{wording.calm(kept)}"')
        self._tell(called if kept else t("The title is taken away."))

    async def _fork(self, session: str, at: int | None, elsewhere: str) -> None:
        if not elsewhere and not self._idle():
            return
        made = await asyncio.to_thread(sessions.forked, session, at)
        self._open(made, elsewhere)
        if not elsewhere:
            told = t("This is a fork now. The conversation it came from stays as it was.")
            self._app.notify(told, timeout=5, markup=False)

    async def _export(self, session: str, kind: str, path: str) -> None:
        from ..agent import exporting

        try:
            target = self._app.house.folder / Path(path or f"{session}.{kind}").expanduser()
            await asyncio.to_thread(exporting.save, session, kind, target)
        except (RuntimeError, ValueError) as error:
            # `~nobody`, or a character that no name of a file may hold.
            raise UsageError(t("{path} is no name for a file: {why}.", path=wording.calm(path), why=str(error).rstrip("."))) from error
        self._tell(t("Exported to {path}. You alone may read that file.", path=wording.calm(str(target))))

    # ------------------------------------------------------------ around

    def _current(self) -> str:
        session = self._app.driver.session
        return session.id if session is not None else ""

    def _known(self) -> str | None:
        """The conversation on the screen, where anything of it is on the disk yet."""
        session = self._current()
        if session and (transcript.sessions_dir() / session / "transcript.jsonl").exists():
            return session
        self._tell(t("Nothing was said in this conversation yet."))
        return None

    def _idle(self) -> bool:
        if self._app.driver.running:
            self._tell(t("The agent is at work; Esc stops it, then try again."), "warning")
            return False
        return True

    def _tell(self, text: str, level: str = "info") -> None:
        self._app.driver.tell(text, level)

    def _soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            try:
                await work()
            except LocalAgentError as error:
                self._tell(str(error), "error")
            except Exception as error:  # noqa: BLE001 - what fails beside the conversation does not end it
                self._app.failed(error)

        self._app.run_worker(whole)


def commands(app: Callable[[], LocalAgentApp]) -> dict[str, Callable[[str], Coroutine[Any, Any, None]]]:
    """The commands by name. `app` is asked when one is used."""
    return {
        "sessions": lambda words: Archive(app()).choose(words),
        "rename": lambda title: Archive(app()).rename(title),
        "fork": lambda argument: Archive(app()).go_on_in_a_copy(argument),
        "export": lambda argument: Archive(app()).export(argument),
    }
