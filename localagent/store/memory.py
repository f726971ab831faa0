"""What the user wants remembered: plain Markdown files that a hand may edit, one for the user and one for each project.

An entry is a list item; a comment at its end says when and by whom it was written down. Every other line is left as it is, and what
is not UTF-8 too: an entry is added behind everything, or its own lines are taken out, and nothing else changes.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError, UsageError
from . import trusted_folders
from .atomic import store_error, write_atomic
from .lock import locked
from .paths import data_dir

YOU = "you"
"""The source of what a person wrote by their own hand."""
AGENT = "the agent"
"""What the source of an entry begins with that the agent wrote down and a person agreed to."""
LENGTH = 1000
"""Characters of an entry that is added, at most."""
_BYTES = 1_000_000
"""Of a file that something is still added to."""
_READ = 2_000_000
ENTRIES = 5000
"""Of one file that count: the last ones."""
_SHOWN = 2000
# What is not seen or moves a cursor, and tags, which no eye sees and a model may read.
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_ITEM = re.compile(r"[-*+][ \t]+(?=\S)")
_MORE = re.compile(r"(?: {2,}|\t)[ \t]*\S")
_NOTE = re.compile(r"<!--((?:(?!<!--).)*?)-->", re.DOTALL)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\s*[\u00b7,;|-]\s*|\s+|$)")
_HEAD = """\
# {title}

Each entry is a line that begins with "- ". Change, add and take out what you like; all other lines stay as they are.

"""


@dataclass(frozen=True, slots=True)
class Book:
    """One file. `folder` is the project that it is about, None for the user's own."""

    path: Path
    folder: Path | None = None

    @property
    def title(self) -> str:
        return "What localagent remembers" + (f" in {cleaned(str(self.folder))}" if self.folder is not None else "")


@dataclass(frozen=True, slots=True)
class Entry:
    """`id` follows from the text alone. `date` (YYYY-MM-DD) and `source` are "" where the file does not say.

    It stands in the lines `first` to `last` of its file, from 0, `last` not included.
    """

    id: str
    text: str
    date: str
    source: str
    first: int
    last: int

    @property
    def told(self) -> str:
        """When and by whom, in words."""
        return ", ".join(filter(None, (self.date, self.source or "written by hand")))

    @property
    def own(self) -> bool:
        """Whether it is the user's own hand that wrote it."""
        return not self.source.startswith(AGENT)


def own_book() -> Book:
    return Book(_folder() / "user.md")


def book_of(workspace: Path) -> Book:
    """The file of the project that a folder is in: the nearest folder above that is trusted or a git repository, else itself."""
    here = Path(os.path.realpath(workspace))
    top = next((one for one in (here, *here.parents) if os.path.lexists(one / ".git") or trusted_folders.trusts(one)), here)
    print_of = hashlib.sha256(os.fsencode(str(top))).hexdigest()[:8]
    name = re.sub(r"[^\w.-]+", "-", top.name)[:40].strip("-.") or "root"
    return Book(_folder() / "projects" / f"{name}-{print_of}.md", top)


def books(workspace: Path | None) -> tuple[Book, ...]:
    """Those that count in a folder, there or not: the user's, then the project's."""
    return (own_book(),) if workspace is None else (own_book(), book_of(workspace))


# ---------------------------------------------------------------- texts


def cleaned(text: str) -> str:
    """In one line, without what is not seen: it cannot pass for another entry, nor for the comment behind one."""
    line = " ".join(_HIDDEN.sub(" ", text.replace("\u2028", " ").replace("\u2029", " ")).split())
    return line.replace("<!--", "< !--").replace("-->", "-- >")


def checked(text: str) -> str:
    """The same of a text that is to be an entry. Raises UsageError."""
    if len(text) > 20 * LENGTH or len(line := cleaned(text)) > LENGTH:
        raise UsageError(f"That has more than {LENGTH:,} characters.", "Say it shorter, or keep it in a file.")
    if not line:
        raise UsageError("There is nothing to remember.", "Say it in a sentence.")
    return line


def id_of(text: str) -> str:
    return hashlib.sha256(" ".join(text.casefold().split()).encode("utf-8", "replace")).hexdigest()[:6]


def entries_in(data: bytes) -> list[Entry]:
    """The entries of a file: of a very large one the last ones."""
    lines, left_out = _lines(data), 0
    if len(data) > _READ:
        tail = data[-_READ:]
        left_out = len(lines) - len(_lines(tail))
        # The first line of the rest may be half of one.
        lines, left_out = _lines(tail)[1:], left_out + 1
    found: list[Entry] = []
    at = 0
    while at < len(lines):
        if (item := _ITEM.match(lines[at])) is None:
            at += 1
            continue
        end = at + 1
        while end < len(lines) and _MORE.match(lines[end]):
            end += 1
        found += _entry(" ".join([lines[at][item.end() :], *lines[at + 1 : end]]), left_out + at, left_out + end)
        at = end
    return found[-ENTRIES:]


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\n")


def _entry(text: str, first: int, last: int) -> Iterator[Entry]:
    if len(text) > 5 * _SHOWN:
        text = f"{text[: 4 * _SHOWN]} {text[-_SHOWN:]}"
    # The last comment is ours, also where a hand has written on behind it.
    note = next(iter(reversed(list(_NOTE.finditer(text)))), None)
    said = cleaned(text[: note.start()] + text[note.end() :] if note else text)[:_SHOWN]
    if not said:
        return
    told = cleaned(note[1])[:200] if note else ""
    date = _DATE.match(told)
    yield Entry(id_of(said), said, date[1] if date else "", told[date.end() :] if date else told, first, last)


# ---------------------------------------------------------------- files


def entries(book: Book) -> list[Entry]:
    """[] where there is no such file. Raises StoreError where it cannot be read."""
    return entries_in(data_of(book))


def data_of(book: Book) -> bytes:
    try:
        return book.path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StoreError(f"{book.path} cannot be read: {error.strerror}.", "Make it a readable file, or move it away.") from error


@contextmanager
def alone(book: Book) -> Iterator[None]:
    """Nobody else of ours writes the file meanwhile. Raises StoreError."""
    try:
        book.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise store_error(error, book.path) from error
    with locked(_folder() / ".lock", poll_s=0.01):
        yield


def added(book: Book, data: bytes, text: str, source: str, now: float) -> tuple[bytes, Entry | None]:
    """The file with one more entry, and the one that says the same already (then nothing is added). Raises UsageError, StoreError."""
    line = checked(text)
    known = next((one for one in entries_in(data) if one.id == id_of(line)), None)
    if known is not None:
        return data, known
    if len(data) > _BYTES:
        raise StoreError(f"{book.path} has more than {_BYTES // 1_000_000} MB.", "Take out what is not needed: localagent memory edit")
    note = cleaned(f"{time.strftime('%Y-%m-%d', time.localtime(now))} \u00b7 {source}")
    made = f"- {line} <!-- {note} -->\n".encode("utf-8", "replace")
    head = data or _HEAD.format(title=book.title).encode("utf-8", "replace")
    return head + (b"" if head.endswith(b"\n") else b"\n") + made, None


def add(book: Book, text: str, source: str = YOU, now: float | None = None) -> tuple[Entry, bool]:
    """The entry, and whether it is new. Raises UsageError, StoreError."""
    with alone(book):
        data, known = added(book, data_of(book), text, source, time.time() if now is None else now)
        if known is not None:
            return known, False
        write_atomic(book.path, data)
    return entries_in(data)[-1], True


def forget(book: Book, ids: Sequence[str]) -> list[Entry]:
    """Take these entries out; those that were there. What the file was before is kept beside it, as `.before`. Raises StoreError."""
    with alone(book):
        data = data_of(book)
        gone = [one for one in entries_in(data) if one.id in ids]
        if gone:
            lines = _lines(data)
            left = {at for one in gone for at in range(one.first, one.last)}
            kept = "\n".join(line for at, line in enumerate(lines) if at not in left)
            write_atomic(book.path.with_name(f"{book.path.name}.before"), data)
            write_atomic(book.path, kept.encode("utf-8", "surrogateescape"))
    return gone


def chosen(named: str, among: Sequence[Book]) -> tuple[Book, Entry]:
    """The one entry that has this id, or all of these words. Raises UsageError where it is none, or several; StoreError."""
    wanted, found = named.casefold().split(), [(book, one) for book in among for one in entries(book)]
    if not wanted:
        raise UsageError("Say what to forget: the id of an entry, or words of it.")
    by_id = {(book, one.id): (book, one) for book, one in found if one.id == named.strip()}
    near = list(by_id.values()) or [pair for pair in found if all(word in pair[1].text.casefold() for word in wanted)]
    if len(near) == 1:
        return near[0]
    if not near:
        raise UsageError(f"Nothing that is remembered has all the words of {cleaned(named)!r}.", "`localagent memory list` shows it.")
    listed = "; ".join(f"{one.id}: {one.text[:60]}" for _, one in near[:10])
    raise UsageError(f"{len(near)} entries have these words. Name one by its id: {listed}")


def begin(book: Book) -> Path:
    """The file, made where it is not there: for an editor. Raises StoreError."""
    with alone(book):
        if not book.path.exists():
            write_atomic(book.path, _HEAD.format(title=book.title).encode("utf-8", "replace"))
    return book.path


def _folder() -> Path:
    made = data_dir() / "memory"
    try:
        made.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise store_error(error, made) from error
    return made
