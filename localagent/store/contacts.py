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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, UsageError
from . import atomic, paths

_MOST = 20_000


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
    return one.casefold().strip() == other.casefold().strip()


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
        read = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ConfigError(f"{file()}, line {line}: this is not YAML.", "Mend that line.") from None
    return tuple(_contact(str(name), held) for name, held in _mapping(read, "the file").items())


def _mapping(value: object, where: str) -> Mapping[object, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{file()}: {where} should be names with values beneath them.", "See `localagent contacts --help`.")
    return value


def _contact(name: str, held: object) -> Contact:
    found: list[tuple[str, str]] = []
    for kind, given in _mapping(held, repr(name)).items():
        for address in given if isinstance(given, list) else [given]:
            found.append((str(kind), _clean(str(address), name)))
    return Contact(_clean(name, name), tuple(found))


def _clean(text: str, name: str) -> str:
    if not text.strip() or any(ord(char) < 32 for char in text):
        raise ConfigError(f"{file()}: {name!r} holds an empty text or a control character.", "Mend that entry.")
    return text.strip()


def find(known: Iterable[Contact], wanted: str) -> list[Contact]:
    """Who is meant: the one of exactly that name or address, else all whose name holds it as a word or begins with it."""
    wanted, known = wanted.strip(), tuple(known)
    exact = [one for one in known if same(one.name, wanted) or one.has(wanted)]
    if exact:
        return exact[:1] if len(exact) == 1 or same(exact[0].name, wanted) else exact
    folded = wanted.casefold()
    words = [one for one in known if folded in one.name.casefold().split()]
    return words or [one for one in known if folded and one.name.casefold().startswith(folded)]


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
    book = {contact.name.casefold(): contact for contact in known}
    for contact in more:
        there = book.get(contact.name.casefold(), Contact(contact.name, ()))
        new = [(kind, a) for kind, a in contact.addresses if not any(k == kind and same(a, b) for k, b in there.addresses)]
        book[contact.name.casefold()] = Contact(there.name, (*there.addresses, *new))
    return tuple(book.values())
