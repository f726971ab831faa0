"""Times as a person writes them: durations, moments, zones; and when a job of that kind comes next."""

from __future__ import annotations

import math
import os
import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from ..errors import UsageError
from ..store.jobs import Trigger
from . import cron

LEAST_S, MOST_S = 10.0, 366 * 86400.0
_FURTHEST_S = 100 * 366 * 86400.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)


def seconds(text: str, least: float = LEAST_S) -> float:
    """`90s`, `15m`, `1h30m`, `2d`. Raises UsageError."""
    wanted = text.strip().lower()
    pieces = _PIECE.findall(wanted)
    if not pieces or _PIECE.sub("", wanted).strip():
        raise UsageError(f"{text!r} is no duration.", "Write a number and s, m, h, d or w, such as 15m or 1h30m.")
    found = sum(float(number) * _UNITS[unit] for number, unit in pieces)
    if not least <= found <= MOST_S:
        raise UsageError(f"{text!r} is not between {least:g} seconds and a year.")
    return found


def moment(text: str, now: float, zone: tzinfo) -> float:
    """`18:30` (the next one), `2026-12-24 18:30`, or with an offset as ISO 8601 has it. Raises UsageError for others and the past."""
    match = _TIME.fullmatch(text.strip())
    if match:
        hour, minute, second = (int(part or 0) for part in match.groups())
        if hour > 23 or minute > 59 or second > 59:
            raise UsageError(f"{text!r} is no time of day.")
        today = datetime.fromtimestamp(now, zone).replace(hour=hour, minute=minute, second=second, microsecond=0, tzinfo=None, fold=0)
        at = cron.instant(today, zone)
        return at if at > now else cron.instant(today + timedelta(days=1), zone)
    try:
        given = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is no time.", "Write 18:30, or 2026-12-24 18:30.") from None
    if len(text.strip()) <= 10:
        raise UsageError(f"{text!r} has no time of day.", "Write 2026-12-24 18:30.")
    try:
        at = given.timestamp() if given.tzinfo else cron.instant(given, zone)
    except (OverflowError, ValueError):
        # The first and the last year of the calendar, for a zone in which they have another day.
        at = now if given.year < 9999 else math.inf
    if at <= now:
        raise UsageError(f"{text!r} is over already.")
    if at > now + _FURTHEST_S:
        raise UsageError(f"{text!r} is more than a hundred years away.")
    return at


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """A zone of the IANA database by its name. Raises UsageError."""
    if name.upper() in ("UTC", "GMT", "ETC/UTC"):
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise UsageError(
            f"There is no time zone {name!r} here.", "They are named as in Europe/Berlin; the system's package is tzdata."
        ) from None


def here() -> str:
    """The name of this machine's zone: by TZ, or by the system's own file. "UTC" where neither says."""
    for name in (os.environ.get("TZ", "").lstrip(":"), _linked(), _written()):
        if name:
            try:
                zone(name)
            except UsageError:
                continue
            return name
    return "UTC"


def _linked() -> str:
    return os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]


def _written() -> str:
    try:
        with open("/etc/timezone", encoding="ascii") as file:
            return file.read(100).strip()
    except (OSError, ValueError):
        return ""


@lru_cache(maxsize=256)
def _cron(text: str) -> cron.Cron:
    return cron.read(text)


def following(trigger: Trigger, made: float, now: float) -> float:
    """When a trigger of time comes next behind `now`, 0 for never again."""
    if trigger.kind == "every":
        return made + (int((now - made) // trigger.seconds) + 1) * trigger.seconds if now >= made else made + trigger.seconds
    if trigger.kind == "cron":
        return _cron(trigger.text).after(now, zone(trigger.zone)) or 0.0
    return 0.0


def between(trigger: Trigger, made: float, due: float, now: float, most: int = 1000) -> int:
    """How many times came from `due` on until `now`."""
    if trigger.kind == "every":
        return int((now - due) // trigger.seconds) + 1
    count, at = 0, due
    while at and at <= now and count < most:
        count, at = count + 1, following(trigger, made, at)
    return count


def said(at: float, name: str) -> str:
    """A moment for a person, on the clock of that zone ("": this machine's)."""
    if not at:
        return "never"
    return datetime.fromtimestamp(at, zone(name) if name else zone(here())).strftime("%Y-%m-%d %H:%M:%S %Z")


def span(amount: float) -> str:
    """A duration for a person: 1h 30m."""
    left, parts = round(amount), []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
