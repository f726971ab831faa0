"""`localagent tools trust`: a person at a terminal looks at a plugin, or at what a folder brings, and says yes or no."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from ..agent.shown import visible
from ..errors import UsageError
from ..sandbox import launch
from ..store import agreed, instructions, settings, toolkeys, trusted, trusted_folders
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


def folder_of(named: Path) -> Path | None:
    """The folder that is meant by its path or that of its instructions, None for a plugin."""
    return named if named.is_dir() else named.parent if named.name == instructions.NAME else None


def project(folder: Path, *, off: bool) -> int:
    """What a folder brings: instructions (AGENTS.md), followed as they were shown; plugins, each off until it is confirmed by itself.

    0 where nothing is left that was not agreed to, with `off` always.
    """
    folder = folder.resolve()
    name = visible(str(folder), lines=False)
    if off:
        return _project_off(folder, name)
    files, papers = places.untrusted(folder), [one for one in instructions.look(folder) if one.state != "on"]
    if not files and not papers:
        if trusted_folders.trusts(folder) or instructions.root(folder)[1]:
            print(f"{name} is trusted already. Its plugins: localagent tools list")
            return 0
        told = f"{name} has no plugins and no {instructions.NAME}."
        raise UsageError(told, f"Plugins lie in {places.project_folder(folder)}.")
    follows = _instructed(papers, instructions.root(folder)[0]) if papers else True
    return 0 if (_looked_at(files, folder) if files else True) and follows else 1


def _project_off(folder: Path, name: str) -> int:
    beneath = [Path(place) for place in agreed.load("instructions") if Path(place).is_relative_to(folder)]
    for place in instructions.withdraw(beneath):
        print(f"{visible(str(place), lines=False)} does not count as instructions any more.")
    print(f"{name} is {'not trusted any more' if trusted_folders.withdraw(folder) else 'not trusted'}.")
    return 0


def _instructed(papers: list[instructions.Found], top: Path) -> bool:
    """Whether all of them count in the end: each is shown whole, for what was not shown cannot be agreed to."""
    done = True
    for one in papers:
        _tell([f"---- {one.place}", *instructions.lines(one)])
        if one.now is None:
            done = False
            continue
        _person()
        if _yes("Have exactly this followed as instructions in work here from now on? [y/N] "):
            instructions.agree(one, top)
            print("It counts, from the next request on.")
        else:
            print("It stays as it is.")
            done = False
    return done


def _looked_at(files: Sequence[Path], folder: Path) -> bool:
    _tell([f"plugin   {file}" for file in files])
    _person()
    if not _yes("Have these looked at, each off until you confirm it? [y/N] "):
        print("It stays as it is.")
        return False
    trusted_folders.trust(folder)
    print("Trusted. Look at each: localagent tools trust FILE")
    return True


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        print(visible(line, lines=False))


def _person() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("Only a person can agree to that, at a terminal.", "Run it again at one.")


def _yes(question: str) -> bool:
    try:
        said = input(question)
    except (EOFError, KeyboardInterrupt):
        print()
        return False
    return said.strip().lower() in ("y", "yes")
