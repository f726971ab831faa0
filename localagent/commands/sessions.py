"""`localagent sessions`: what was asked before: listed, searched, named, forked, exported, put aside."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..agent import shown
from ..agent.plain import calm_json
from ..store import meta, sessions, transcript
from ..store.sessions import Row

if TYPE_CHECKING:
    from ..agent.session import Session

_ID = "as `localagent sessions` shows it, its unique beginning, or `last`"
# What a shell may be offered as a word.
_WORD = re.compile(r"[\w.-]+", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    _list_options(parser, 20, False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions (default: list)")
    _list_options(actions.add_parser("list", help="the newest sessions"), argparse.SUPPRESS, argparse.SUPPRESS)
    search = actions.add_parser("search", help="sessions that hold all the words; quote a phrase twice: '\"as it stands\"'")
    search.add_argument("words", nargs="+", metavar="WORD")
    _list_options(search, argparse.SUPPRESS, argparse.SUPPRESS)
    rename = _action(actions, "rename", "give a session a title")
    rename.add_argument("title", nargs="+", metavar="TITLE", help='"" takes it away')
    fork = _action(actions, "fork", "a new session that begins as this one did")
    fork.add_argument("--at", type=_count, metavar="N", help="with its first N requests only (default: all)")
    export = _action(actions, "export", "print a session, or write it to a file")
    export.add_argument("--format", choices=["md", "html", "jsonl"], help="default: what FILE's name says, else md")
    export.add_argument("-o", "--output", metavar="FILE", help="write to this file (default: standard output)")
    export.add_argument("--force", action="store_true", help="replace FILE if it is there")
    context = _action(actions, "context", "where the tokens of a session go, as its model counts them")
    context.add_argument("--model", metavar="ID", help="as this model counts (default: the one that is chosen)")
    context.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document")
    remove = _action(actions, "rm", f"put a session aside; it can be brought back for {sessions.KEPT_DAYS} days")
    remove.add_argument("--force", action="store_true", help="also one that seems to be at work")
    restore = actions.add_parser("restore", help="bring back what rm put aside")
    restore.add_argument("id", metavar="ID", help="its whole id")


def _list_options(parser: argparse.ArgumentParser, limit: object, no: object) -> None:
    parser.add_argument("--json", action="store_true", default=no, help="one JSON document")
    parser.add_argument("-n", type=_count, default=limit, metavar="N", help="how many at most (20)")
    parser.add_argument("--folder", default=no or None, metavar="DIR", help="only those held in this folder (`.` for here)")
    parser.add_argument("--ids", action="store_true", default=no, help=argparse.SUPPRESS)


def _action(actions: argparse._SubParsersAction, name: str, told: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=told)
    parser.add_argument("id", metavar="ID", help=_ID)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def run(args: argparse.Namespace, stored: Callable[[str, str | None], Session]) -> int:
    """0, also where nothing is found. `stored` gives a session to look at."""
    if args.action == "context":
        from . import contexts

        return contexts.tell(stored(transcript.find(args.id), args.model), args.json)
    actions = {"search": _search, "rename": _rename, "fork": _fork, "export": _export, "rm": _remove, "restore": _restore}
    return actions.get(args.action, _list)(args)


def _folder(args: argparse.Namespace) -> str | None:
    return os.path.realpath(os.path.expanduser(args.folder)) if args.folder else None


def _list(args: argparse.Namespace) -> int:
    if args.ids:
        print("\n".join(row.id for row in sessions.rows() if _WORD.fullmatch(row.id)))
        return 0
    rows = sessions.rows(args.n, _folder(args))
    if args.json:
        return _json([asdict(row) for row in rows])
    if not rows:
        print('No sessions yet. Start one with: localagent do "..."')
    for row in rows:
        print(line(row))
    return 0


def _search(args: argparse.Namespace) -> int:
    hits = sessions.search(" ".join(args.words), args.n, _folder(args))
    if args.json:
        return _json([{**asdict(hit.row), "snippet": hit.snippet} for hit in hits])
    if not hits:
        print("Nothing was found.", file=sys.stderr)
    for hit in hits:
        print(f"{line(hit.row)}\n    {_visible(hit.snippet)}")
    return 0


def _json(values: Sequence[dict]) -> int:
    print(calm_json(json.dumps(values, ensure_ascii=False)).replace('}, {"id"', '},\n {"id"'))
    return 0


def line(row: Row) -> str:
    """A session on one line."""
    messages = f"{row.messages:,} message{'s' if row.messages != 1 else ''}"
    about = f"{_visible(row.folder)}, {_visible(row.model)}, {messages}, {_size(row.size)}"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.last)) if 0 < row.last < 1e11 else "?"
    return f"{_visible(row.id)}  {when}  {_visible(row.status):9}  {_visible(row.name[:70])}  ({about})"


def _size(size: int) -> str:
    return f"{size:,} B" if size < 1000 else f"{size / 1000:,.0f} kB" if size < 1e6 else f"{size / 1e6:,.1f} MB"


def _visible(text: str) -> str:
    return shown.visible(text, lines=False)


def _rename(args: argparse.Namespace) -> int:
    session = transcript.find(args.id)
    title = meta.rename(session, " ".join(args.title))
    print(f"{session}: {_visible(title) if title else 'has no title of its own any more'}")
    return 0


def _fork(args: argparse.Namespace) -> int:
    made = sessions.forked(transcript.find(args.id), args.at)
    print(made)
    print(f"Go on with it: localagent resume {made}", file=sys.stderr)
    return 0


def _export(args: argparse.Namespace) -> int:
    from ..agent import exporting

    session = transcript.find(args.id)
    kind = args.format or (exporting.kind_of(args.output or "") or "md")
    if args.output and args.output != "-":
        exporting.save(session, kind, Path(args.output).expanduser(), args.force)
        print(f"{_visible(args.output)} is written; you alone may read it.", file=sys.stderr)
        return 0
    sys.stdout.flush()
    sys.stdout.buffer.write(exporting.export(session, kind).encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


def _remove(args: argparse.Namespace) -> int:
    session = transcript.find(args.id)
    sessions.remove(session, args.force)
    told = f"`localagent sessions restore {session}` brings it back within {sessions.KEPT_DAYS} days."
    print(f"{session} is put aside. {told} What it changed can still be undone.")
    return 0


def _restore(args: argparse.Namespace) -> int:
    sessions.restore(args.id)
    print(f"{args.id} is back.")
    return 0
