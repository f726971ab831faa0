"""Times that services tell: numbers out of untrusted JSON. Pure."""

from __future__ import annotations

from typing import Any

# Until the year 2096; what lies beyond breaks calendars.
_LAST = 4_000_000_000


def seconds(value: Any, per_second: int = 1) -> float:
    """Seconds since the epoch; 0.0, as where none is told, for what is no such number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST * per_second:
        return 0.0
    return value / per_second
