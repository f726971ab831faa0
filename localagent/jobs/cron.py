"""Reads the five fields of cron, and says when they come next on the clock of a place.

    minute hour day-of-month month day-of-week      0-59 0-23 1-31 1-12|jan-dec 0-7|sun-sat

`*`, lists, ranges, steps (`*/15`, `8-18/2`) and `@hourly @daily @midnight @weekly @monthly @yearly @annually`. Where both days are
given (not `*`), one of them is enough, as in every cron. A time that the clock skips comes once, at the moment behind the gap;
one that it shows twice comes the first time only.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import partial

from ..errors import UsageError

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = {name: n for n, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_DAYS = {name: n for n, name in enumerate("sun mon tue wed thu fri sat".split())}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
# The 29th of February is at most eight years away.
_MOST_DAYS = 366 * 8 + 2


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule. `either` is set where the day of the month and that of the week are both given, so that one is enough."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week

    def after(self, moment: float, zone: tzinfo) -> float | None:
        """The first time behind `moment` (seconds since the epoch), None where there is none."""
        # A day before: behind a gap the clock may already show the next date.
        day = datetime.fromtimestamp(moment, zone).date() - timedelta(days=1)
        for _ in range(_MOST_DAYS):
            if self.on(day):
                # Its times come in this order on every clock, so the first one behind the moment is halved towards.
                count, when = len(self.hours) * len(self.minutes), partial(self._at, day, zone)
                if (place := bisect_right(range(count), moment, key=when)) < count:
                    return when(place)
            day += timedelta(days=1)
        return None

    def _at(self, day: date, zone: tzinfo, place: int) -> float:
        """The moment of the day's time at that place among them."""
        hour, minute = divmod(place, len(self.minutes))
        return instant(datetime.combine(day, time(self.hours[hour], self.minutes[minute])), zone)


def read(text: str) -> Cron:
    """Raises UsageError that names the field, and for what never comes."""
    parts = _NICKNAMES.get(text.strip().lower(), text).split()
    if len(parts) != len(_FIELDS):
        raise UsageError(
            f"{text!r} is no cron schedule: it has {len(parts)} fields and needs 5.",
            "They are minute, hour, day of the month, month, day of the week: `0 9 * * 1-5` is 9:00 from Monday to Friday.",
        )
    minutes, hours, days, months, weekdays = (_field(part, *known) for part, known in zip(parts, _FIELDS, strict=True))
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    week = frozenset(day % 7 for day in weekdays)
    made = Cron(tuple(sorted(minutes)), tuple(sorted(hours)), frozenset(days), frozenset(months), week, either)
    if made.after(0.0, UTC) is None:
        raise UsageError(f"The cron schedule {text!r} never comes.")
    return made


def _field(text: str, name: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    found: set[int] = set()
    for piece in text.lower().split(","):
        span, slash, step_text = piece.partition("/")
        step = _number(step_text, {}, name, text) if slash else 1
        if step < 1:
            raise UsageError(f"In the {name} {text!r}: a step is at least 1.")
        if span == "*":
            # The week's 7 is its 0 once more.
            first, last = low, 6 if names is _DAYS else high
        else:
            begin, dash, end = span.partition("-")
            first = _number(begin, names, name, text)
            last = _number(end, names, name, text) if dash else high if slash else first
        if first < low or last > high or first > last:
            raise UsageError(f"In the {name} {text!r}: {span!r} is not within {low}-{high}.")
        found.update(range(first, last + 1, step))
    return found


def _number(text: str, names: dict[str, int], name: str, whole: str) -> int:
    if text in names:
        return names[text]
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise UsageError(f"In the {name} {whole!r}: {text!r} is not understood.")
    return int(text)


def instant(wall: datetime, zone: tzinfo) -> float:
    """When the clocks of a place show `wall` (without a zone): the first time of two, or the end of the gap they skip it in."""
    early = wall.replace(tzinfo=zone, fold=0).timestamp()
    if datetime.fromtimestamp(early, zone).replace(tzinfo=None, fold=0) == wall.replace(fold=0):
        return early
    # In a gap the two folds lie on both sides of the change; it comes at a whole second.
    before, behind = sorted((int(early), int(wall.replace(tzinfo=zone, fold=1).timestamp())))
    offset = _offset(before, zone)
    while behind - before > 1:
        middle = (before + behind) // 2
        if _offset(middle, zone) == offset:
            before = middle
        else:
            behind = middle
    return float(behind)


def _offset(moment: int, zone: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(moment, zone).utcoffset()
