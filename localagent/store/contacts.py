"""The contact book: names, and where each is reached. `contacts.yaml` in the configuration folder, the user's own.

    Anna Berg:
      email: anna@example.org
      telegram: "123456"
    Team:
      email: [team@example.org, lead@example.org]

The keys beneath a name are kinds of channels. Only a person or a command of theirs writes the file.
"""

from __future__ import annotations

import os
import string
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, UsageError
from . import atomic, paths

_MOST = 20_000
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class Contact:
    """`addresses` are (kind of channel, address) in the order of the file."""

    name: str
    addresses: tuple[tuple[str, str], ...]

    def at(self, kind: str) -> str:
        """The first address of a kind, "" where there is none."""
        return next((address for known, address in self.addresses if known == kind), "")

    def has(self, address: str) -> bool:
        return any(same(known, address) for _, known in self.addresses)


def same(one: str, other: str) -> bool:
    """Whether two addresses are one. Only the case of A to Z makes no difference: of other letters, some that fold to the same
    look like them (K and the sign of Kelvin) and belong to somebody else."""
    return _plain(one) == _plain(other)


def _plain(address: str) -> str:
    return address.strip().translate(_LOWER)


def folded(name: str) -> str:
    """A name for comparing: its letters' case, and how its accents are written, make no difference."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def file() -> Path:
    return paths.config_dir() / "contacts.yaml"


def load() -> tuple[Contact, ...]:
    """Every contact in the order of the file. Raises ConfigError with the line."""
    import yaml

    try:
        text = file().read_text("utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The contacts cannot be read: {error}.", f"They lie in {file()}.") from None
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ConfigError(f"{file()}, line {line}: this is not YAML.", "Mend that line.") from None
    return tuple(_contact(name, held) for name, held in _pairs(root, "the file"))


def _pairs(node: Any, what: str) -> list[tuple[str, Any]]:
    """(key, node of its value) beneath a node. Texts are taken as they stand there: 0123 is no number in another system."""
    import yaml

    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        return []
    if not isinstance(node, yaml.MappingNode) or not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
        raise _wrong(node, f"{what} should be names with values beneath them")
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if key.value in lines:
            raise _wrong(key, f"{key.value!r} stands in line {lines[key.value]} already")
        lines[key.value] = key.start_mark.line + 1
    return [(key.value, value) for key, value in node.value]


def _wrong(node: Any, why: str) -> ConfigError:
    return ConfigError(f"{file()}, line {node.start_mark.line + 1}: {why}.", "Mend that line; see `localagent contacts --help`.")


def _contact(name: str, node: Any) -> Contact:
    import yaml

    found: list[tuple[str, str]] = []
    for kind, given in _pairs(node, repr(name)):
        for address in given.value if isinstance(given, yaml.SequenceNode) else [given]:
            if not isinstance(address, yaml.ScalarNode):
                raise _wrong(address, f"an address of {name!r} is no text")
            found.append((kind, _clean(address.value, name)))
    return Contact(_clean(name, name), tuple(found))


def _clean(text: str, name: str) -> str:
    if not text.strip() or any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ConfigError(f"{file()}: {name!r} holds an empty text or a control character.", "Mend that entry.")
    return text.strip()


def find(known: Iterable[Contact], wanted: str) -> list[Contact]:
    """Who is meant: the one of exactly that name or address, else all whose name holds it as a word or begins with it."""
    known, meant = tuple(known), folded(wanted)
    # A name that is another's address settles nothing: both may be meant.
    if exact := [one for one in known if folded(one.name) == meant or one.has(wanted)]:
        return exact
    words = [one for one in known if meant in folded(one.name).split()]
    return words or [one for one in known if meant and folded(one.name).startswith(meant)]


def save(contacts: Sequence[Contact]) -> None:
    """The whole book, in place of the old one."""
    import yaml

    if len(contacts) > _MOST:
        raise UsageError(f"{len(contacts):,} contacts are more than the book holds ({_MOST:,}).")
    made: dict[str, dict[str, str | list[str]]] = {}
    for contact in contacts:
        held = made.setdefault(contact.name, {})
        for kind, address in contact.addresses:
            there = held.get(kind)
            held[kind] = address if there is None else [*(there if isinstance(there, list) else [there]), address]
    os.makedirs(file().parent, mode=0o700, exist_ok=True)
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    atomic.write_atomic(file(), yaml.dump(made, Dumper=dumper, allow_unicode=True, sort_keys=False).encode())


def merged(known: Sequence[Contact], more: Iterable[Contact]) -> tuple[Contact, ...]:
    """The book with these added: a name that is there gets the addresses it has not."""
    book, places = list(known), {folded(contact.name): place for place, contact in reversed(list(enumerate(known)))}
    for contact in more:
        place = places.setdefault(folded(contact.name), len(book))
        there = book[place] if place < len(book) else Contact(contact.name, ())
        new = [(kind, a) for kind, a in contact.addresses if not any(k == kind and same(a, b) for k, b in there.addresses)]
        book[place : place + 1] = [Contact(there.name, (*there.addresses, *new))]
    return tuple(book)
