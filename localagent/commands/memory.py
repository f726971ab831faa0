"""`localagent memory`: what is remembered, for the user and for a folder: added, listed, searched, taken out, edited by hand."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys

from ..agent import policies
from ..agent.remembering import refuse_secrets
from ..agent.shown import visible
from ..errors import UsageError
from ..sandbox import becoming
from ..store import memory, settings
from ..store.memory import Book, Entry
from ..toolbox import recall


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="add|list|search|forget|path|edit")
    parser.set_defaults(what="list", json=False, here=False)
    add = what.add_parser("add", help="have a sentence remembered")
    add.add_argument("text", nargs="+", metavar="TEXT")
    listing = what.add_parser("list", help="everything that is remembered here, with when and by whom")
    search = what.add_parser("search", help="what fits some words, best first, and what a request in them would be told")
    search.add_argument("words", nargs="+", metavar="WORDS")
    forget = what.add_parser("forget", help="take an entry out, by the id that `list` shows or by words that only it has")
    forget.add_argument("named", nargs="+", metavar="WHAT")
    path = what.add_parser("path", help="where the files are; they are Markdown, yours to edit")
    edit = what.add_parser("edit", help="open the file in your editor ($VISUAL, $EDITOR)")
    for part in (add, edit):
        part.add_argument("--here", action="store_true", help="what matters for work in this project only")
    for part in (listing, search, path):
        part.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """0; `search` 1 where nothing fits."""
    match args.what:
        case "add":
            return _add(" ".join(args.text), _book(args.here))
        case "search":
            return _search(" ".join(args.words), args.json)
        case "forget":
            return _forget(" ".join(args.named))
        case "path":
            return _path(args.json)
        case "edit":
            return _edit(_book(args.here))
    return _list(args.json)


def _books() -> tuple[Book, ...]:
    return memory.books(policies.here())


def _book(here: bool) -> Book:
    if not here:
        return memory.own_book()
    if (folder := policies.here()) is None:
        raise UsageError("The current folder is gone.", "Go to one that is there.")
    return memory.book_of(folder)


def _add(text: str, book: Book) -> int:
    refuse_secrets(text)
    entry, new = memory.add(book, text)
    print(f"{'Remembered' if new else 'Remembered already'}{_where(book)}: {_plain(entry.text)}")
    if not settings.load().memory:
        print("It is kept and not used: the setting memory is false.", file=sys.stderr)
    return 0


def _list(as_json: bool) -> int:
    found = [(book, one) for book in _books() for one in memory.entries(book)]
    if as_json:
        _print_json([_row(book, one) for book, one in found])
        return 0
    if not found:
        print('Nothing is remembered yet. localagent memory add "..." has something remembered; --here for this project only.')
        return 0
    for book in dict.fromkeys(book for book, _ in found):
        print(f"In every conversation ({book.path}):" if book.folder is None else f"In {_plain(str(book.folder))} ({book.path}):")
        for one in (one for other, one in found if other == book):
            print(f"  {one.id}  {_plain(one.text)}  ({_plain(one.told)})")
        if sum(other == book for other, _ in found) == memory.ENTRIES:
            print(f"Only the last {memory.ENTRIES:,} entries of {book.path} count.", file=sys.stderr)
    return 0


def _search(words: str, as_json: bool) -> int:
    found = recall.find(words, _books())
    if as_json:
        _print_json([_row(hit.one.book, hit.one.entry) | {"score": hit.score, "shown": hit.shown} for hit in found])
    elif not found:
        print("Nothing that is remembered fits.")
    for hit in found if not as_json else ():
        told = "told" if hit.shown else "not told"
        print(f"{hit.one.entry.id}  {hit.score:5.2f}  {told:8}  {_plain(hit.one.entry.text)}{_where(hit.one.book)}")
    return 0 if found else 1


def _forget(named: str) -> int:
    book, entry = memory.chosen(named, _books())
    memory.forget(book, [entry.id])
    print(f"Forgotten{_where(book)}: {_plain(entry.text)}")
    return 0


def _path(as_json: bool) -> int:
    books = _books()
    if as_json:
        _print_json([{"file": str(book.path), "folder": str(book.folder) if book.folder else None} for book in books])
        return 0
    for book in books:
        print(book.path)
    return 0


def _edit(book: Book) -> int:
    file = memory.begin(book)
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        words = shlex.split(editor)
    except ValueError:
        words = []
    if not words:
        raise UsageError("No editor is named in $VISUAL or $EDITOR.", f"Open it yourself: {file}")
    if not sys.stdin.isatty():
        raise UsageError("An editor needs a terminal.", f"Change the file yourself: {file}")
    try:
        becoming.become([*words, str(file)])
    except OSError as error:
        raise UsageError(f"The editor {words[0]!r} cannot be started: {error.strerror}.", f"Open it yourself: {file}") from None


def _row(book: Book, one: Entry) -> dict[str, object]:
    facts = {"id": one.id, "text": one.text, "date": one.date or None, "source": one.source or None}
    return facts | {"folder": str(book.folder) if book.folder is not None else None, "file": str(book.path)}


def _where(book: Book) -> str:
    return f" for {_plain(str(book.folder))}" if book.folder is not None else ""


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1)
    print()


def _plain(text: str) -> str:
    return visible(text, lines=False)
