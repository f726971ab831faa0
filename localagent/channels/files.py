"""Files of messages: the bytes that were agreed to go out, those that come in go to the store."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from typing import Any

from ..errors import StoreError
from ..store.received import coming
from ..values import Attachment
from .judging import quiet
from .text import file_name
from .wire import Backoff, Lost, Wire

_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# All the time that one file may take.
_FETCH_S = 300.0


class Unfit(Exception):
    """A file that is not sent, or not fetched, and the reason."""


async def read(attachment: Attachment, most: int) -> bytes:
    """The bytes of a file that goes out; Unfit where they are not those that were agreed to, or more than `most`."""
    return await asyncio.to_thread(_read, attachment, most)


def _read(attachment: Attachment, most: int) -> bytes:
    if attachment.size > most:
        raise Unfit(f"{attachment.name} is too large: {size(attachment.size)}, and {size(most)} are the most")
    try:
        handle = os.open(attachment.path, _OPEN)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unfit(f"{attachment.name} is no file")
            data = file.read(attachment.size + 1)
    except OSError as error:
        raise Unfit(f"{attachment.name} cannot be read: {error.strerror or error}") from error
    if len(data) != attachment.size or hashlib.sha256(data).hexdigest() != attachment.sha256:
        raise Unfit(f"{attachment.name} is not what it was when the message was agreed to")
    return data


async def fetch(
    wire: Wire, path: str, *, name: Any, media_type: Any, most: int, tries: int = 3, **asked: Any
) -> Attachment:
    """A file of a message that came in, stored; Unfit where it cannot be had, also after some tries."""
    backoff = Backoff()
    for left in reversed(range(tries)):
        try:
            async with asyncio.timeout(_FETCH_S):
                return await _fetch(wire, path, file_name(name), kind(media_type), most, asked)
        except StoreError as error:
            raise Unfit(error.message.rstrip(".")) from error
        except TimeoutError:
            raise Unfit("it took too long") from None
        except Lost as error:
            if not left:
                raise Unfit(quiet(error)) from error
        await backoff.wait()
    raise Unfit("it was not asked for")


async def _fetch(wire: Wire, path: str, name: str, media_type: str, most: int, asked: dict[str, Any]) -> Attachment:
    with coming(most) as file:
        async with wire.open("GET", path, **asked) as (reply, chunks):
            if reply.status == 429 or reply.status >= 500:
                raise Lost(f"{wire.host} answered {reply.status}", False)
            if not reply.ok:
                raise Unfit(f"the server answered {reply.status}")
            async for chunk in chunks:
                if not file.write(chunk):
                    raise Unfit(f"larger than {size(most)}")
            length = reply.headers.get("content-length", "")
            if length.isdigit() and int(length) != file.size:
                raise Lost("it came in part only", False)
        return await asyncio.to_thread(file.keep, name, media_type)


def kind(media_type: Any) -> str:
    """A media type from outside, as far as it is one."""
    said = str(media_type or "").partition(";")[0].strip().lower()
    return said if re.fullmatch(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,80}", said) else "application/octet-stream"


def size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MB" if count >= 1 << 20 else f"{count:,} bytes"


def unread(what: str) -> str:
    """The line that stands in place of a message of a kind that is not read here."""
    return f"[not read: {what}]"


def missing(name: Any, why: object) -> str:
    """The line that stands in a message for a file that was not fetched."""
    return f"[not fetched: {file_name(name)}, {why}]"
