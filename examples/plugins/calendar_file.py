# /// script
# requires-python = ">=3.11"
# dependencies = ["icalendar>=6"]
# ///
"""What is in a calendar that was exported as an .ics file."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import icalendar

from localagent import Limit, ToolError, tool


@tool(effects=["read:fs"])
def read_calendar(path: Path, first: date | None = None, days: Annotated[int, Limit(ge=1, le=3660)] = 31, words: str = "") -> str:
    """List the events (appointments, meetings, birthdays) of a calendar file (.ics) from a day on.

    Args:
        path: The .ics file.
        first: The first day; today where not given.
        days: How many days from then on.
        words: Only events with these words in their title, place or notes.
    """
    start = first or date.today()
    end = start + timedelta(days=days)
    try:
        calendar = icalendar.Calendar.from_ical(path.read_bytes())
    except ValueError as error:
        raise ToolError(f"{path.name} is no calendar file ({error}). Name a file that ends with .ics.") from None
    found = []
    for event in calendar.walk("VEVENT"):
        begins = event.decoded("dtstart", None)
        text = " ".join(str(event.get(name, "")) for name in ("summary", "location", "description"))
        if begins is not None and start <= day_of(begins) < end and words.lower() in text.lower():
            found.append((moment(begins), line(event, begins)))
    if not found:
        return f"No event from {start} to {end - timedelta(days=1)}."
    return "\n".join(text for _, text in sorted(found))


def line(event: icalendar.Event, begins: date) -> str:
    at = begins.strftime("%Y-%m-%d %H:%M") if isinstance(begins, datetime) else f"{begins} all day"
    place = f" ({event['location']})" if event.get("location") else ""
    again = ", repeats" if event.get("rrule") else ""
    return f"{at}  {event.get('summary', 'without a title')}{place}{again}"


def day_of(begins: date) -> date:
    return begins.date() if isinstance(begins, datetime) else begins


def moment(begins: date) -> datetime:
    """For sorting: in local time, a whole day at its beginning."""
    return begins.astimezone() if isinstance(begins, datetime) else datetime.combine(begins, time()).astimezone()
