"""`undo`, `redo` and `changes`: what the agent changed on disk, and how to have it back."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from ..errors import StoreError, UsageError
from ..store import audit, paths, settings
from ..store.journal import Journal, Step, Undone
from ..store.restore import restore
from ..values import Change

_LISTED = 40
_WORDS = {
    "write": "wrote",
    "edit": "changed",
    "move": "moved",
    "copy": "copied",
    "make_folder": "made the folder",
    "trash": "deleted",
    "link": "linked",
    "chmod": "set the permissions of",
}

_STATES = {
    "undone": "  (undone)",
    "expired": "  (kept too long to be undone)",
    "stuck": "  (broken off, and its folder cannot be reached)",
    "damaged": "  (cannot be undone)",
}


def open_journal() -> Journal:
    """The user's journal, with whatever a crash left open taken back.

    Nothing is dropped from it here: what somebody has come to undo must still be there.
    """
    journal = Journal(paths.state_dir() / "journal", settings.load().undo_mb)
    for step in journal.recover(tidy=False):
        print(_plain(step.recovery), file=sys.stderr)
    return journal


def configure_undo(parser: argparse.ArgumentParser) -> None:
    _step_option(parser, "the step to undo (default: the latest in this folder)")
    _file_option(parser, "only what was changed at this path (default step: the latest that changed it)")
    parser.add_argument("--force", action="store_true", help="restore the rest where some files were changed since")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="with --file: have it back although it was changed since; what is there now is kept, as a new step",
    )


def configure_redo(parser: argparse.ArgumentParser) -> None:
    _step_option(parser, "the step to do again (default: the one undone last in this folder)")
    _file_option(parser, "only what was changed at this path")


def configure_changes(parser: argparse.ArgumentParser) -> None:
    _step_option(parser, "show every file of one step")
    parser.add_argument("--session", metavar="ID", help="only the steps of one session (see `localagent sessions`)")
    _file_option(parser, "only the steps that changed something at this path")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many steps to list (default: 20)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _step_option(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--step", type=int, metavar="N", help=text)


def _file_option(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--file", metavar="PATH", help=text)


def run_undo(args: argparse.Namespace) -> int:
    """0 restored, 1 nothing to undo or something stands in the way (then nothing is changed)."""
    if args.overwrite and args.file is None:
        raise UsageError("--overwrite is for one file.", "Name it with --file PATH.")
    journal = open_journal()
    if args.step is None and not any(step.state == "done" for step in journal.steps(limit=1000)):
        print("There is nothing to undo.", file=sys.stderr)
        return 1
    if args.overwrite:
        return _overwrite(journal, args.file, args.step)
    undone = journal.undo(args.step, force=args.force, within=Path.cwd(), file=args.file)
    hint = "Nothing of it could be restored." if args.force else "localagent undo --force restores the rest."
    if args.file is not None and not args.force:
        hint = "With --overwrite it is put back all the same, and what is there now is kept as a step."
    return _report(undone, "Undid", "Restored", hint)


def _overwrite(journal: Journal, file: str, number: int | None) -> int:
    made = restore(journal, file, number)
    print(f"Put back {_shown(made.changes[0].path)} ({made.name}); this is step {made.number}.")
    print(f"What was there is kept: localagent undo --step {made.number}", file=sys.stderr)
    try:
        audit.append("restored", {"step": made.number, "files": 1, "left": 0})
    except StoreError as error:
        print(f"localagent: it is not in the record: {error}", file=sys.stderr)
    return 0


def run_redo(args: argparse.Namespace) -> int:
    """0 done again, 1 nothing to redo or something stands in the way (then nothing is changed)."""
    journal = open_journal()
    if args.step is None and not any(step.state == "undone" for step in journal.steps(limit=1000)):
        print("There is nothing to redo.", file=sys.stderr)
        return 1
    return _report(journal.redo(args.step, within=Path.cwd(), file=args.file), "Did again", "Changed", hint="")


def _report(done: Undone, verb: str, did: str, hint: str) -> int:
    step = done.step
    if done.restored:
        _write_down("undone" if verb == "Undid" else "redone", done)
    if done.restored or not done.conflicts:
        print(f"{verb} step {step.number}: {step.name}")
    there = tuple(path for path in done.restored if os.path.lexists(path))
    _list(f"{did}:", there)
    _list("Removed:", tuple(path for path in done.restored if path not in there))
    missing = tuple(path for path in done.left if not os.path.lexists(path))
    _list("Kept, because something else is in it:", tuple(path for path in done.left if path not in missing))
    for path in missing:
        print(f"{_shown(path)} could not be brought back: what was kept of it is gone.", file=sys.stderr)
    if not done.conflicts:
        return 1 if missing else 0
    if not done.restored:
        print(f"Step {step.number} ({step.name}) was left as it is.", file=sys.stderr)
    for sentence in done.conflicts[:_LISTED]:
        print(f"  {_plain(sentence)}", file=sys.stderr)
    if hint and not done.restored:
        print(hint, file=sys.stderr)
    return 1


def _write_down(what: str, done: Undone) -> None:
    """Into the record; what was restored stays restored where that cannot be written."""
    try:
        audit.append(what, {"step": done.step.number, "files": len(done.restored), "left": len(done.left)})
    except StoreError as error:
        print(f"localagent: it is not in the record: {error}", file=sys.stderr)


def _list(title: str, names: tuple[str, ...]) -> None:
    if not names:
        return
    print(title)
    for name in names[:_LISTED]:
        print(f"  {_shown(name)}")
    if len(names) > _LISTED:
        print(f"  and {len(names) - _LISTED:,} more")


def run_changes(args: argparse.Namespace) -> int:
    """0, also where nothing was ever changed; 1 where there is no such step."""
    journal = open_journal()
    steps = [journal.step(args.step)] if args.step is not None else _listed(journal, args)
    if args.json:
        print(json.dumps([_as_json(step) for step in steps], indent=2))
        return 0
    if not steps:
        print("Nothing has been changed yet.")
    for step in steps:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(step.at))
        told = f"{step.name}: {summary(step)}" if step.changes else step.name
        print(f"{step.number:>4}  {when}  {told}{_STATES.get(step.state, '')}")
        if args.step is not None:
            for change in step.changes:
                print(f"      {sentence(change)}")
    if steps and args.step is None:
        print(f"Earlier contents take {space(journal)}.", file=sys.stderr)
    return 0


def _listed(journal: Journal, args: argparse.Namespace) -> list[Step]:
    """The newest steps of the session and about the path that were asked for."""
    if args.session is None and args.file is None:
        return journal.steps(args.limit)
    file = os.path.abspath(args.file) if args.file is not None else None
    if file is not None:
        file = os.path.join(os.path.realpath(os.path.dirname(file)), os.path.basename(file))
    found = [
        step
        for step in journal.steps(limit=sys.maxsize)
        if args.session in (None, step.session) and (file is None or step.concerns(file))
    ]
    return found[: args.limit]


def space(journal: Journal) -> str:
    """What undo costs on the disk, and by which rule it ends."""
    used, budget = journal.used()
    return (
        f"{-(-used // 1048576):,} of {budget // 1048576:,} MB (setting undo_mb); "
        "the oldest are dropped first, never those of the newest session or of the last day"
    )


def _as_json(step: Step) -> dict[str, object]:
    changes = [{"op": c.kind, "path": c.path, **({"dest": c.dest} if c.dest else {})} for c in step.changes]
    return {**{k: v for k, v in asdict(step).items() if k != "changes"}, "changes": changes}


def summary(step: Step) -> str:
    """The step in a few words: `wrote 3, deleted 1`."""
    counted = Counter(_WORDS[change.kind] for change in step.changes)
    if len(step.changes) == 1:
        return sentence(step.changes[0])
    return ", ".join(f"{word} {count:,}" for word, count in counted.items())


def sentence(change: Change) -> str:
    """One change as a person would say it."""
    word = "made" if change.kind == "write" and change.before == "" else _WORDS[change.kind]
    text = f"{word} {_shown(change.path)}"
    if change.dest:
        text += f" to {_shown(change.dest)}"
    if change.kind == "link":
        text += f" to {_plain(change.content or '')}"
    if change.kind == "chmod" and change.mode is not None:
        text += f" to {change.mode:o}"
    return text


def _shown(path: str) -> str:
    home = str(Path("~").expanduser())
    return _plain("~" + path[len(home) :] if path.startswith(home + "/") else path)


def _plain(text: str) -> str:
    """With nothing in it that a terminal would act on."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
