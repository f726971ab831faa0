"""How often a random test repeats: a quarter in the fast suite, all with LOCALAGENT_TEST_LONG set, as CI does."""

from __future__ import annotations

import os

# Read once: a test's own environment holds no variable of ours.
LONG = bool(os.environ.get("LOCALAGENT_TEST_LONG"))


def rounds(full: int) -> int:
    return full if LONG else max(1, full // 4)
