"""`sandbox --verify` without its printing: the attacks on this machine's own boundary."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from ...errors import SandboxUnavailable, StoreError
from .. import launch
from . import trial
from .scene import scene
from .values import Attack, Outcome


def attacks() -> tuple[Attack, ...]:
    """Those that make sense for the user who runs them."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return tuple(attack for attack in trial.ATTACKS if root or not attack.root_only)


async def verify() -> AsyncIterator[Outcome]:
    """What came of each attack, as soon as it is known. Raises SandboxUnavailable where nothing holds here."""
    boundary = launch.probe(again=True)
    if boundary.name == "none":
        raise SandboxUnavailable(boundary.reason, boundary.hint)
    if not os.path.isdir("/proc/self"):
        raise SandboxUnavailable("The attacks are written for Linux.", "On macOS only the profile's text is tested.")
    try:
        with scene() as made:
            async for outcome in trial.trials(made, attacks()):
                yield outcome
    except OSError as error:
        raise StoreError(f"The place for the attacks could not be made: {error}.") from error
