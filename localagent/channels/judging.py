"""What an attempt is called: the one place that decides between failed and unconfirmed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping

from ..errors import ChannelError
from ..values import Outgoing, Sent
from .wire import Lost, Reply

Ask = Callable[[], str | Awaitable[str]]
"""Gives a channel's secret, "" where an optional one was not given; ChannelError where it should be there and is not."""

_DETAIL = 300
# These answers say that the request was not carried out: its address is another one.
_MOVED = (301, 307, 308)


class Secret:
    """A channel's secret, asked for once. `header` says that it travels where only printable ASCII may."""

    def __init__(self, ask: Ask, what: str, *, optional: bool = False, header: bool = True) -> None:
        self._ask, self._what, self._optional, self._header = ask, what, optional, header
        self._lock = asyncio.Lock()
        self._value: str | None = None

    async def get(self) -> str:
        """ChannelError where there is none."""
        async with self._lock:
            if self._value is None:
                # A keyring may wait for its user.
                given = await asyncio.to_thread(self._ask)
                value = (given if isinstance(given, str) else await given).strip()
                if not value and not self._optional:
                    raise ChannelError(f"The {self._what} is missing.", "Add the channel again.")
                if self._header and not re.fullmatch(r"[!-~]*", value):
                    raise ChannelError(f"The {self._what} cannot be right: it holds spaces or other odd characters.")
                self._value = value
            return self._value

    def scrub(self, text: str) -> str:
        """The text without the secret."""
        value = self._value
        return text.replace(value, "[secret]") if value and len(value) > 3 else text


def quiet(text: object, most: int = _DETAIL) -> str:
    """What a service said, as one short line without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def sentence(text: object) -> str:
    """The same as a sentence of a probe."""
    said = quiet(text)
    return f"{said}{'' if said.endswith(('.', '!', '?')) else '.'}"


def lost(error: Lost) -> Sent:
    """The word for an attempt without an answer."""
    said = quiet(error)
    if error.whole:
        return Sent("unconfirmed", detail=f"{said}; whether the message arrived is not known")
    return Sent("failed", detail=said, again=True)


def failed(detail: str, again: bool = False) -> Sent:
    return Sent("failed", detail=quiet(detail), again=again)


def refused(reply: Reply, host: str, said: str = "", wait: float | None = None) -> Sent:
    """The word for an answer that is no success. `said` is the service's own reason, `wait` the seconds it asks for."""
    tail = f": {quiet(said)}" if said else ""
    status = reply.status
    if status == 429:
        wait = retry_after(reply.headers) if wait is None else wait
        later = f"; it asks to wait {wait:g} s" if wait else ""
        return failed(f"{host} wants fewer messages (429){tail}{later}", again=True)
    if status in _MOVED:
        return failed(f"{host} names another address ({status}), which is not followed; set the channel to that one")
    if status == 408:
        return failed(f"{host} did not get all of it in time ({status}){tail}", again=True)
    if 400 <= status < 500:
        return failed(f"{host} refuses it ({status}){tail}")
    detail = f"{host} answered {status}{tail}; whether the message arrived is not known"
    return Sent("unconfirmed", detail=quiet(detail))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks us to wait, None where it does not say (a date counts as not said)."""
    value = headers.get("retry-after", "").strip()
    return min(float(value), 86400.0) if re.fullmatch(r"\d{1,9}(\.\d{1,3})?", value) else None


def unsendable(message: Outgoing, *, files: int, service: str) -> Sent | None:
    """Why a service cannot take this message whatever happens, None where it may. `files`: how many it takes at most."""
    if message.draft:
        return failed(f"{service} keeps no drafts")
    if not message.text.strip() and not message.attachments:
        return failed("the message is empty")
    if any("\ud800" <= c <= "\udfff" for c in message.text + message.subject) or "\0" in message.text + message.subject:
        return failed("the text holds characters that cannot be sent")
    if len(message.attachments) > files:
        return failed(f"{service} takes at most {files} {'file' if files == 1 else 'files'} in a message" if files
                      else f"{service} takes no files")
    return None


def words_of(message: Outgoing) -> str:
    """The text for a service without subjects: a subject becomes the first line."""
    return f"{message.subject}\n\n{message.text}".strip() if message.subject else message.text
