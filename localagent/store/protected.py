"""What no change ever touches, whatever was approved: the floor below every mode."""

from __future__ import annotations

import os
from collections.abc import Iterable

from . import paths, secrets


class Floor:
    """The protected places of this user, looked up once for many paths."""

    def __init__(self) -> None:
        made = (paths.config_dir(), paths.data_dir(), paths.state_dir(), paths.runtime_dir())
        self._own = {form.casefold() for form in _both(map(str, made))}
        home = os.path.expanduser("~")
        places = _both((*secrets.secret_paths(home), *secrets.startup_paths(home)))
        self._places = {place.casefold() for place in places}
        # What exists of them now, and the folders that it lies in.
        self._holders = {above for place in places if os.path.lexists(place) for above in _upwards(place.casefold())}

    def refusal(self, path: str) -> str:
        """Why `path` (absolute) must not be changed, "" where it may. Letter case does not matter."""
        places = {os.path.abspath(path), os.path.realpath(path)}
        if any(is_hook_place(place) for place in places):
            return "a git hook, or what leads git to one, runs programs by itself"
        if any(place.casefold().endswith(f"{os.sep}.localagent{os.sep}policy.yaml") for place in places):
            return "it holds rules for localagent"
        for place in {place.casefold() for place in places}:
            for own in self._own:
                if _below(place, own):
                    return "it belongs to localagent itself"
                if _below(own, place):
                    return "localagent's own files are in it"
            if any(above in self._places for above in _upwards(place)):
                return "it runs by itself or holds keys"
            if place in self._holders:
                return "files that run by themselves, or hold keys, are in it"
        return ""


def is_hook_place(path: str) -> bool:
    """Whether a file at this path would be run by git or Mercurial, or lead git to others; the samples never are."""
    parts = [part.casefold() for part in path.split(os.sep)]
    if parts[-2:] == [".hg", "hgrc"]:
        return True
    if ".git" not in parts:
        return False
    behind = parts[parts.index(".git") + 1 :]
    if behind[:1] not in (["hooks"], ["modules"], ["worktrees"], ["commondir"], ["gitdir"]):
        return False
    if behind[-1] in ("commondir", "gitdir"):
        return True
    return "hooks" in behind[:-1] and not behind[-1].endswith(".sample")


def _both(places: Iterable[str]) -> set[str]:
    """Each as it is written and with its links followed."""
    return {form for place in places for form in (place, os.path.realpath(place))}


def _upwards(path: str) -> Iterable[str]:
    """The path and every folder it lies in, the root left out."""
    while path.strip(os.sep):
        yield path
        path = path.rpartition(os.sep)[0]


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
