"""Pictures for the next message: from a file, the clipboard or the screen; what was pasted may be one, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..errors import LocalAgentError
from ..values import Part
from .words import t

if TYPE_CHECKING:
    from ..agent.session import Session
    from .app import LocalAgentApp

_LONGEST = 1000


class Showing:
    """What `/image` and `/screenshot` do, and a paste."""

    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app

    def commands(self) -> dict[str, Callable[[str], Awaitable[None]]]:
        return {"image": self.image, "screenshot": self.screenshot}

    async def image(self, argument: str) -> None:
        """Of the file that is named, or what lies in the clipboard; `-` takes all that wait back. Raises LocalAgentError."""
        if argument == "-":
            self._app.driver.attach(None)
        elif argument:
            await self._files([argument])
        elif (session := self._session()) is not None:
            from ..toolbox import screen

            await self._bytes(session, await screen.clipboard(), t("the clipboard"))

    async def screenshot(self, _: str) -> None:
        """Raises LocalAgentError."""
        if (session := self._session()) is not None:
            from ..toolbox import screen

            await self._bytes(session, await screen.screenshot(), t("the screen"))

    def pasted(self, text: str) -> bool:
        """Whether what was pasted is the path of a picture, which is then shown, or nothing while the clipboard holds one."""
        session = self._app.driver.session
        if session is None or not getattr(session.setting.engine, "sees", False):
            return False
        if not text.strip():
            self._app.run_worker(self._tried(self.image("")))
            return True
        path = path_of(text)
        if path is None:
            return False
        from ..toolbox import intake

        if intake.kind(path) not in ("picture", "film", "heic"):
            return False
        self._app.run_worker(self._tried(self._files([str(path)])))
        return True

    async def _files(self, names: Sequence[str]) -> None:
        if (session := self._session()) is not None:
            from ..toolbox import intake

            wanted = [intake.wanted(name, self._app.house.folder) for name in names]
            self._attach(await intake.take(wanted, self._place(session), before=self._count()))

    async def _bytes(self, session: Session, data: bytes, name: str) -> None:
        from ..toolbox import intake

        self._attach(await intake.take_bytes(data, name, self._place(session), before=self._count()))

    def _attach(self, parts: Sequence[Part]) -> None:
        driver = self._app.driver
        driver.attach(parts)
        if not hasattr(self._app, "screen_stack"):
            # In plain lines nothing stands above the prompt.
            driver.tell(t("With your next message: {pictures}", pictures="; ".join(driver.attached)))

    def _session(self) -> Session | None:
        """The one that pictures can be shown to. Raises ModelError where its model cannot see."""
        session = self._app.driver.session
        if session is None:
            self._app.driver.tell(t("The conversation is not there yet."), "warning")
            return None
        from ..agent import pictures

        pictures.refuse_blind(session.setting.engine)
        return session

    def _place(self, session: Session) -> Path:
        from ..store import picture

        return picture.folder(session.transcript.spill)

    def _count(self) -> int:
        from ..agent import pictures

        return pictures.count(self._app.driver.images)

    async def _tried(self, work: Awaitable[None]) -> None:
        try:
            await work
        except LocalAgentError as error:
            self._app.driver.tell(str(error), "error")


def path_of(text: str) -> Path | None:
    """The one absolute path that a text is, as terminals write it when a file is dropped on them; None for other texts."""
    text = text.strip()
    if len(text) > _LONGEST or "\n" in text:
        return None
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    elif text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    else:
        text = text.replace("\\ ", " ")
    return Path(text) if text.startswith("/") else None
