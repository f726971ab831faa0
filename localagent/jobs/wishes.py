"""When, as a model or a person says it in a few words: `18:30`, `tomorrow 9:00`, `in 20m`, `every monday 8:00`, `file PATH`."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path

from ..errors import UsageError
from ..store.jobs import Trigger
from . import cron, times

FORMS = "18:30, tomorrow 9:00, 2026-12-24 18:30, in 20m, every 1h, every day 8:00, every monday 8:00, or file PATH"
_POLL_S = 60.0
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_UNITS = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h", "day": "d", "week": "w"}
_CLOCK = r"(?:at )?(\d{1,2})(?:[:.](\d{2}))?(?::\d{2})? ?(am|pm|o'clock|h)?"
_DAY = "|".join([*_DAYS, *(day[:3] for day in _DAYS)])
_COMES = "(?: (?:changes|appears|is new|is there))?"
# Between quotes a name is as it stands, whatever is in it.
_NAMED = re.compile(rf"(?:when )?file ([\"'])(.+)\1{_COMES}", re.IGNORECASE | re.DOTALL)

# Words for a later time, and for what comes again, in the languages that the app speaks. Too much costs some tokens; too little, the tool.
_LATER = re.compile(
    r"\bremind|\balarm\b|\bschedul|\b(?:every|each) (?:\d+ sec|(?:\d+ )?(?:minute|hour|day|night|morning|evening|week|month|"
    rf"(?:{_DAY})\b))|\b(?:hourly|daily|weekly)\b|\btomorrow (?:at|morning|evening)|\bin (?:\d+|an?|half an) (?:min|hour|day|week)|"
    r"\b(?:when|whenever|once|as soon as)\b.{1,80}\b(?:appears?|arrives?|changes?|shows up|is there|is new)\b|"
    r"\berinner|\bwecker\b|\bjede[nrs]? (?:\d+ )?(?:tag|morgen|abend|nacht|woche|stunde|minute|monat|\w+tag\b|mittwoch)|"
    r"\balle \d+ (?:minuten|stunden|tage)|\b(?:st\u00fcndlich|t\u00e4glich|w\u00f6chentlich)|\bmorgen (?:um|fr\u00fch|abend)|"
    r"\bin (?:\d+|einer|einem) (?:minute|stunde|tag|woche)|\b(?:sobald|immer wenn)\b|"
    r"\brecu[e\u00e9]rd|\brecordar|\balarma\b|\bcada (?:\d+ )?(?:minuto|hora|d\u00eda|noche|ma\u00f1ana|semana|mes|lunes|martes|"
    r"mi\u00e9rcoles|jueves|viernes|s\u00e1bado|domingo)|\btodos los (?:d\u00edas|lunes|martes|mi\u00e9rcoles|jueves|viernes)|"
    r"\bma\u00f1ana (?:a las|por la)|\bdentro de \d+|\bcuando\b.{1,80}\b(?:aparezca|llegue|cambie)|"
    "\u63d0\u9192|\u95f9\u949f|\u5b9a\u65f6|\u6bcf(?:\u5929|\u5468|\u6708|\u665a|\u65e9|\u5c0f\u65f6|\u9694|\u5206\u949f)|"
    "\u660e\u5929.{0,6}\u70b9|(?:\u5206\u949f|\u5c0f\u65f6)\u540e",
    re.IGNORECASE,
)
_SPOKEN = 4000


def speaks_of_later(words: str) -> bool:
    return _LATER.search(words[:_SPOKEN]) is not None


def trigger(text: str, folder: Path, now: float) -> tuple[Trigger, float]:
    """What sets it off and when that comes first, 0 for what is looked for. On this machine's clock. Raises UsageError."""
    if match := _NAMED.fullmatch(text.strip()):
        return _file(match[2], folder)
    said = " ".join(text.split())
    if match := re.fullmatch(rf"(?:when )?file (\S.*?){_COMES}", said, re.IGNORECASE):
        return _file(match[1], folder)
    said = re.sub(r"^(?:on|at|once) ", "", said.lower()).replace(" at ", " ").replace(",", "")
    zone = times.here()
    if match := re.fullmatch(r"(?:every|each) (.*)|(daily|hourly|weekly)(.*)", said):
        return _again(match[1] or f"{ {'daily': 'day', 'hourly': 'hour', 'weekly': 'week'}[match[2]] }{match[3]}", zone, now)
    if len(said.split()) == 5 and not re.search("[a-z]{4}", said):
        return _cron(said, zone, now)
    return _at(said, now, zone)


def moment(text: str, now: float, zone: str) -> tuple[Trigger, float]:
    """The same for a single moment, on the clock of that zone. Raises UsageError."""
    times.zone(zone)
    return _at(re.sub(r"^(?:on|at|once) ", "", " ".join(text.lower().split())).replace(" at ", " ").replace(",", ""), now, zone)


def _at(said: str, now: float, zone: str) -> tuple[Trigger, float]:
    at = _once(said, now, zone)
    here = datetime.fromtimestamp(at, times.zone(zone))
    # What the clock shows twice is told apart by its distance from UTC.
    text = here.isoformat(" ", "seconds") if here.fold else here.strftime("%Y-%m-%d %H:%M:%S")
    return Trigger("at", text, zone=zone), at


def canonical(made: Trigger) -> str:
    """The same again in words that `trigger` reads."""
    match made.kind:
        case "at":
            return made.text
        case "every":
            return f"every {times.span(made.seconds)}"
        case "change":
            return f"file '{made.text}'"
    return made.text


def _once(said: str, now: float, zone: str) -> float:
    clock = times.zone(zone)
    if match := re.fullmatch(r"in (an?|\d+(?:\.\d+)?) ?([a-z]+?)s?", said):
        number = "1" if match[1] in ("a", "an") else match[1]
        return now + times.seconds(f"{number}{_UNITS.get(match[2], match[2])}", 1.0)
    if said.startswith("in "):
        return now + times.seconds(said[3:], 1.0)
    if match := re.fullmatch(rf"(?:(today|tonight|tomorrow|next)? ?({_DAY})? )?{_CLOCK}", said):
        return _on_day(match[1] or "", match[2] or "", _of_day(match[3], match[4], match[5] or ""), now, zone)
    try:
        return times.moment(said.upper() if "t" in said else said, now, clock)
    except UsageError as error:
        raise UsageError(str(error), f"Say when as one of: {FORMS}.") from None


def _on_day(which: str, day: str, of_day: tuple[int, int], now: float, zone: str) -> float:
    clock = times.zone(zone)
    here = datetime.fromtimestamp(now, clock)
    hour, minute = of_day
    at = here.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None, fold=0)
    if day:
        ahead = ([one[:3] for one in _DAYS].index(day[:3]) - (here.isoweekday() % 7)) % 7
        at += timedelta(days=ahead)
        if cron.instant(at, clock) <= now:
            at += timedelta(days=7)
    elif which in ("tomorrow", "next"):
        at += timedelta(days=1)
    elif cron.instant(at, clock) <= now:
        if which:
            raise UsageError(f"{hour}:{minute:02} is over for today.", f"Say when as one of: {FORMS}.")
        at += timedelta(days=1)
    return cron.instant(at, clock)


def _of_day(hour: str, minute: str | None, half: str) -> tuple[int, int]:
    made = int(hour) % 12 + (12 if half == "pm" else 0) if half in ("am", "pm") else int(hour)
    if made > 23 or int(minute or 0) > 59:
        raise UsageError(f"{hour}:{minute or '00'} is no time of day.")
    return made, int(minute or 0)


def _again(said: str, zone: str, now: float) -> tuple[Trigger, float]:
    if match := re.fullmatch(rf"(day|weekday|workday|{_DAY})s?(?: {_CLOCK})?", said):
        hour, minute = _of_day(match[2] or "9", match[3], match[4] or "")
        of_week = "*" if match[1] == "day" else "1-5" if match[1] in ("weekday", "workday") else _number(match[1])
        return _cron(f"{minute} {hour} * * {of_week}", zone, now)
    if match := re.fullmatch(r"(\d+ )?(second|sec|minute|min|hour|hr|week)s?", said):
        said = f"{(match[1] or '1').strip()}{_UNITS[match[2]]}"
    try:
        seconds = times.seconds(re.sub(r" ?(second|minute|hour|day|week)s?", lambda unit: unit[1][0], said))
    except UsageError as error:
        raise UsageError(str(error), f"Say when as one of: {FORMS}.") from None
    made = Trigger("every", times.span(seconds).replace(" ", ""), seconds)
    return made, times.following(made, now, now)


def _number(day: str) -> str:
    return str([one[:3] for one in _DAYS].index(day[:3]))


def _cron(said: str, zone: str, now: float) -> tuple[Trigger, float]:
    cron.read(said)
    made = Trigger("cron", said, zone=zone)
    return made, times.following(made, now, now)


def _file(name: str, folder: Path) -> tuple[Trigger, float]:
    path = os.path.realpath(folder / Path(name).expanduser())
    if not os.path.lexists(path) and not os.path.isdir(os.path.dirname(path)):
        raise UsageError(f"There is no {path}, and no folder for it either.")
    return Trigger("change", path, _POLL_S), 0.0
