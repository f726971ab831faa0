"""A program of the user's own in place of this one, on the same terminal: their editor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn


def become(argv: Sequence[str]) -> NoReturn:
    """Outside of any sandbox, as if the user had typed it. Raises OSError where it cannot be started."""
    os.execvp(argv[0], list(argv))
