"""A recipe of a stored run, as the settings of this machine have it: what counts as a secret, and where sessions lie."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...engine.base import Engine
from ...errors import UsageError
from ...store import credentials, mask_key, recipes, recipes_known, settings, transcript
from ...store.recipes import Recipe
from ..masks import Masks
from ..shown import visible
from . import making
from .play import Play


def propose(name: str, session: str, turn: int | None, given: Mapping[str, str]) -> making.Made:
    """The recipe of request `turn` (from 1; None: the last) of a session. Raises UsageError, StoreError."""
    recipes.path(name)
    credentials.known()
    masks = Masks(mask_key.load(), [re.compile(one) for one in settings.load().secret_patterns], credentials.noted)
    found = making.requests(transcript.Transcript(transcript.find(session)).read())
    return making.made(name, making.chosen(found, turn), masks, given)


def keep(recipe: Recipe, replace: bool) -> Path:
    """Write it down as the user's own, who has seen it. Raises UsageError, StoreError."""
    where = recipes.save(recipe, replace=replace)
    recipes_known.confirm(recipe.name)
    return where


def play(name: str, given: Mapping[str, str], folder: Path, open_engine: Callable[[], Engine] | None) -> Play:
    """A run of the recipe of that name. Raises UsageError, ConfigError."""
    return Play(recipes.load(name), given, folder, open_engine, own=recipes_known.own(name))


def pairs(words: Sequence[str]) -> dict[str, str]:
    """name=value words. Raises UsageError."""
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise UsageError(f"{word[:60]!r} is no name=value.")
        if name in found:
            raise UsageError(f"{name[:60]!r} stands there twice.")
        found[name] = value
    return found


def words(recipe: Recipe) -> str:
    """The recipe's name and its parameters with their defaults, as they are typed."""
    typed = [f"{one.name}={shlex.quote(one.default) if one.default is not None else '...'}" for one in recipe.params]
    return visible(" ".join([recipe.name, *typed]), lines=False)
