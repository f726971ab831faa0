"""`localagent tools trust`: a person at a terminal looks at a plugin, or at a project's folder, and says yes or no."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from ..agent.shown import visible
from ..errors import UsageError
from ..sandbox import launch
from ..store import settings, toolkeys, trusted, trusted_folders
from ..toolbox import own, places
from ..toolbox.own import Own


def confirm(one: Own, taken: Sequence[str], here: Path) -> int:
    """0 where it is on in the end, 1 where it is not. What it needs is installed first, and then it is looked into."""
    _tell(own.told(one))
    if one.state == "on":
        print("It is on already.")
        return 0
    if one.problems:
        print("It cannot be confirmed.", file=sys.stderr)
        return 1
    _person()
    if one.missing:
        if not _yes("Fetch these packages from your index, as wheels and for this plugin alone? [y/N] "):
            print("It stays as it is." if one.running else "It stays off.")
            return 1
        asyncio.run(own.install(one, settings.load().index_url))
        data = one.data
        one = own.find(str(one.file), asyncio.run(own.look(taken, here, unsandboxed=launch.probe().name == "none")))
        _tell(own.told(one))
        if one.problems or one.data != data:
            print("It cannot be confirmed." if one.problems else "It was changed meanwhile. Look at it again.", file=sys.stderr)
            return 1
    if not _yes("Have exactly these bytes as tools of the agent from now on? [y/N] "):
        print("It stays as it is." if one.running else "It stays off.")
        return 1
    own.confirm(one)
    for name in sorted({name for spec in one.now.specs for name in spec.secrets} - toolkeys.names()):
        print(f"It gets the secret {name} once you have stored it: localagent tools secret {name}")
    print("On, from the next conversation on.")
    return 0


def withdraw(name: str, mine: list[Own]) -> int:
    one = own.find(name, mine)
    done = trusted.withdraw(one.file)
    print(f"{visible(one.file.name, lines=False)} is off{'' if done else ' already'}.")
    return 0


def project(folder: Path, *, off: bool) -> int:
    """Whether the plugin files of a project are looked at; each is off until it is confirmed by itself."""
    folder = folder.resolve()
    shown = visible(str(folder), lines=False)
    if off:
        print(f"{shown} is {'not trusted any more' if trusted_folders.withdraw(folder) else 'not trusted'}.")
        return 0
    if trusted_folders.trusts(folder):
        print(f"{shown} is trusted already. Its plugins: localagent tools list")
        return 0
    files = places.untrusted(folder)
    if not files:
        raise UsageError(f"{shown} has no plugins.", f"They lie in {places.project_folder(folder)}.")
    _tell([f"plugin   {file}" for file in files])
    _person()
    if not _yes("Have these looked at, each off until you confirm it? [y/N] "):
        print("It stays as it is.")
        return 1
    trusted_folders.trust(folder)
    print("Trusted. Look at each: localagent tools trust FILE")
    return 0


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        print(visible(line, lines=False))


def _person() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("Only a person can confirm a plugin, at a terminal.", "Run it again at one.")


def _yes(question: str) -> bool:
    try:
        said = input(question)
    except (EOFError, KeyboardInterrupt):
        print()
        return False
    return said.strip().lower() in ("y", "yes")
