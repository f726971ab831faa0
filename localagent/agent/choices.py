"""The named sets that a tool's parameter may ask for (`OneOf`), filled from what the conversation has shown.

`paths`: every path in the folder that the user, a result or an earlier call has spelled and that
exists, the latest first. `contacts`: where the user names one, the contact book, the addresses that they have written or that a
received message came from, and other names among their words. A set that is not known here is absent, and then any text will do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..engine.gbnf import CHOICES
from ..values import Message, Text, ToolSpec

_MARKS = r"\u00ab\u00bb\u201c-\u201f\u060c\u061f\u3001\u3002\u3008-\u3011\uff01\uff0c\uff1a\uff1f"
_WORD = re.compile(rf"""'([^'\n]{{1,255}})'|"([^"\n]{{1,255}})"|([^\s"'`,;:!?()\[\]{{}}<>|={_MARKS}]{{1,255}})""")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[@!#][\w.=/-]+:[\w.-]+|@\w{4,}|(?<!\w)-?\d{5,}(?!\w)")
_WROTE = re.compile(r"^(?:from: |\d+: (?:[-\d]+ [\d:]+ )?from )(?:[^\n<]*<)?([^\s<>:]+(?::[^\s<>:]+)?)>?(?=$|:)", re.MULTILINE)
_NAME = re.compile(r"\b[A-Z\u00c0-\u00de\u0391-\u03a9\u0410-\u042f][\w'-]+")
_MOST = 500
_READ = 60_000
_TRIED = 5000


def sets(history: Sequence[Message], specs: Sequence[ToolSpec], folder: Path, people: Sequence[str] = ()) -> Mapping[str, tuple[str, ...]]:
    """The sets that these tools ask for; nothing is looked at where none does. `people` are names beside the contact book."""
    asked = {name for spec in specs for name in _asked(spec.parameters)}
    found = {}
    if "paths" in asked:
        found["paths"] = paths(history, lambda path: os.path.lexists(folder / path))
    if "contacts" in asked and (known := recipients(history)):
        found["contacts"] = (*people, *known)
    return found


def recipients(history: Sequence[Message]) -> tuple[str, ...]:
    """Whom a message may be for. A text that was read adds nobody; who wrote a received message may be answered.

    A model that must choose from a list chooses somebody. So whom the user names is in it although no contact has the
    name (the host then says so), and where they name nobody that is known there is no list.
    """
    from ..store import contacts

    own = [part.text for m in history if m.role in ("user", "steer") for part in m.parts[:1] if isinstance(part, Text)]
    said = [address.rstrip(".") for text in own for address in _ADDRESS.findall(text)]
    wrote = [line for m in history if m.role == "tool" for line in _WROTE.findall(m.text)]
    spoken = "\n".join(own).casefold()
    known = contacts.load()
    meant = any(part in spoken for contact in known for part in contact.name.casefold().split())
    if not meant and not said and not wrote:
        return ()
    # What begins a sentence is written large whatever it is.
    names = [found[0] for text in own for found in _NAME.finditer(text) if text[: found.start()].rstrip(" \"'")[-1:] not in ("", *".!?:\n")]
    return tuple(dict.fromkeys([*(contact.name for contact in known), *said, *wrote, *names]))[:_MOST]


def paths(history: Sequence[Message], exists: Callable[[str], bool]) -> tuple[str, ...]:
    """The paths that the messages spell, as they spell them without a trailing slash, latest first, and "." at last.

    `exists` says of a path relative to the folder (or an absolute one) whether there is such a thing.
    """
    tried: dict[str, bool] = {}
    for word in _words(history):
        path = _plain(word)
        if path in tried or len(tried) >= _TRIED:
            continue
        tried[path] = bool(path) and "\0" not in path and exists(path)
        if sum(tried.values()) >= _MOST:
            break
    found = [path for path, there in tried.items() if there and path != "."]
    return (*found, ".") if found else ()


def _words(history: Sequence[Message]) -> Iterator[str]:
    """What may be a path, from the latest message to the first; a bounded amount of text."""
    left = _READ
    for message in reversed(history):
        texts = [text for call in message.calls for text in _texts(call.args)]
        yield from (text for text in texts if len(text) < 256)
        text = (message.result.text if message.result else message.text)[:left]
        left -= len(text)
        for groups in _WORD.findall(text):
            yield next(group for group in groups if group)
        if left <= 0:
            return


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _plain(word: str) -> str:
    """Without a trailing slash, and without the full stop that ends a sentence."""
    plain = word.removeprefix("./").rstrip("/") or word[:1]
    return plain.rstrip(".") or plain if not plain.startswith("..") else plain


def _asked(schema: Any) -> Iterator[str]:
    """The names of the sets in a schema."""
    if isinstance(schema, Mapping):
        name = schema.get(CHOICES)
        if isinstance(name, str):
            yield name
        for part in schema.values():
            yield from _asked(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            yield from _asked(part)
