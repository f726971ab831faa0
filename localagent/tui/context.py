"""`/context` and `/compact`: where the tokens of the conversation go, and making room for more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual.content import Content

from ..events import Compacted
from . import wording
from .windows import Reader
from .words import mark, t, translated

if TYPE_CHECKING:
    from ..agent.accounting import Account
    from .app import LocalAgentApp

_BAR = 24
_NAMES = {
    "system": mark("instructions"),
    "tools": mark("tools"),
    "offered": mark("tools offered"),
    "words": mark("your words"),
    "around": mark("folder and files named"),
    "short": mark("shortened part"),
    "answers": mark("the model's answers"),
    "results": mark("tool results"),
    "host": mark("notes of localagent"),
    "images": mark("images"),
    "form": mark("marks between messages"),
}


def told(event: Compacted) -> str:
    """The sentence about a conversation that was shortened."""
    before, after = f"{event.before:,}", f"{event.after:,}"
    text = t("The conversation was shortened to make room: {before} tokens are {after} now.", before=before, after=after)
    if event.seconds >= 1:
        text += " " + t("Reading it anew takes about {time}, once.", time=wording.seconds(event.seconds))
    return text


def rows(account: Account) -> list[Content]:
    """The window, top to bottom."""
    head = t("{total} of {context} tokens", total=f"{account.total:,}", context=f"{account.context:,}")
    lines = [Content.styled(f"{head}{'' if account.exact else ' ' + t('(estimated)')}", "bold"), Content("")]
    width = max(len(translated(name)) for name in _NAMES.values())
    parts = [(translated(_NAMES[name]), size) for name, size in account.parts if size]
    for name, size in [*parts, (t("free"), account.free)]:
        share = size / account.context if account.context else 0.0
        took = account.seconds(size)
        cost = "  " + wording.seconds(took) if took >= 0.1 and name != t("free") else ""
        text = f"{wording.padded(name, width)}  {size:>8,}  {share:>4.0%}  "
        lines.append(Content.assemble((text, ""), (wording.bar(share, _BAR), "$text-secondary"), (cost, "$text-muted")))
    if account.reading:
        speed = f"{account.reading:.0f}"
        lines += [Content(""), Content(t("Read at {speed} tokens per second; what was read before is not read again.", speed=speed))]
    lines.append(Content(t("From {limit} tokens on it is shortened by itself; /compact does it now.", limit=f"{account.limit:,}")))
    return lines


class Contexts:
    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app

    def commands(self) -> dict[str, Callable[[str], Awaitable[None]]]:
        return {"context": self._context, "compact": self._compact}

    async def _context(self, _: str) -> None:
        from ..agent.accounting import account

        session = self._app.driver.session
        if session is None:
            self._app.driver.tell(t("There is no conversation yet."))
            return
        made = await account(session)
        self._app.push_screen(Reader(t("Context of {model}", model=wording.one_line(made.model, 40)), rows(made)))

    async def _compact(self, _: str) -> None:
        driver = self._app.driver
        if driver.running:
            driver.tell(t("The agent is at work; Esc stops it, then try again."), "warning")
        elif driver.session is None or not driver.session.history:
            driver.tell(t("There is nothing to shorten yet."))
        else:
            driver.compact()


def nothing() -> str:
    """Where shortening gains nothing."""
    return t("The conversation is as short as it can be.")
