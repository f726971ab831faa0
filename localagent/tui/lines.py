"""Lines from and to a person at a terminal that draws nothing: `readline` where there is one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING

from . import commands, wording
from .words import t

if TYPE_CHECKING:
    from ..agent.session import Session

# An answer that comes sooner was typed before the question was there.
LOCKED_S = 0.5

try:
    import readline
except ImportError:  # not everywhere
    readline = None  # type: ignore[assignment]


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def prepare(history: Sequence[str]) -> None:
    """Earlier requests behind the arrow keys, /commands behind Tab."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdin else "backslashreplace")
    if readline is None:
        return
    readline.set_auto_history(False)
    for text in history:
        remember(text)
    readline.set_completer_delims(" ")
    readline.set_completer(_complete)
    readline.parse_and_bind("tab: complete")


def _complete(word: str, state: int) -> str | None:
    found = [f"/{one.name} " for one in commands.COMMANDS if f"/{one.name}".startswith(word)] if word[:1] == "/" else []
    return found[state] if state < len(found) else None


def remember(text: str) -> None:
    if readline is not None and "\n" not in text:
        readline.add_history(text)


def read(prompt: str) -> str | None:
    """One line, None at the end of the input."""
    try:
        return input(prompt)
    except EOFError:
        say()
        return None


def answer(prompt: str) -> tuple[str | None, float]:
    """A line that was begun after now, and the seconds it took; what was typed before is dropped."""
    with suppress(Exception):
        import termios

        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    began = time.monotonic()
    return read(prompt), time.monotonic() - began


def chosen(keys: Collection[str]) -> str | None:
    """One of the keys, None for anything else and for what came too soon to be an answer."""
    if not keys:
        return None
    said, seconds = answer(t("Your choice, or Enter for none: "))
    told = (said or "").strip()
    if told in keys and seconds < LOCKED_S:
        say(t("That came too soon to be an answer to this; once more."))
        return chosen(keys)
    return told if told in keys else None


def edit(prompt: str, text: str) -> str | None:
    """A line to change. Without readline, or where the text has several lines, it is shown and typed anew."""
    if readline is None or "\n" in text:
        say(text)
        return read(prompt)
    readline.set_startup_hook(lambda: readline.insert_text(text))
    try:
        return read(prompt)
    finally:
        readline.set_startup_hook(None)


def one(text: str) -> str:
    return wording.one_line(text, 400)


def kept(session: Session) -> str:
    """Where a conversation lies, and how to go on with it."""
    folder = session.transcript.folder
    return t("The conversation is kept in {folder}. Go on with: localagent resume {id}", folder=folder, id=session.id)


def silence() -> None:
    """The terminal has gone: what is still written goes nowhere, and nothing fails for it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
