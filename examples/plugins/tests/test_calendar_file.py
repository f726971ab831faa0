import importlib
import sys
from datetime import date
from pathlib import Path

import pytest

from localagent import ToolError

pytest.importorskip("icalendar", reason="localagent installs it for the plugin alone")
sys.path.insert(0, str(Path(__file__).parents[1]))
plugin = importlib.import_module("calendar_file")
EVENTS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:x
BEGIN:VEVENT
UID:2
SUMMARY:Dentist
LOCATION:Main street 1
DTSTART:20260531T143000Z
END:VEVENT
BEGIN:VEVENT
UID:1
SUMMARY:Ann's birthday
DTSTART;VALUE=DATE:20260531
RRULE:FREQ=YEARLY
END:VEVENT
BEGIN:VEVENT
UID:3
SUMMARY:Later
DTSTART;VALUE=DATE:20270531
END:VEVENT
END:VCALENDAR
"""


def test_events_are_listed_by_time(tmp_path: Path) -> None:
    file = tmp_path / "my.ics"
    file.write_text(EVENTS)
    told = plugin.read_calendar(file, date(2026, 5, 1))
    assert told == "2026-05-31 all day  Ann's birthday, repeats\n2026-05-31 14:30  Dentist (Main street 1)"
    assert plugin.read_calendar(file, date(2026, 5, 1), words="dentist").endswith("Dentist (Main street 1)")
    assert plugin.read_calendar(file, date(2026, 6, 1)) == "No event from 2026-06-01 to 2026-07-01."


def test_another_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no calendar")
    with pytest.raises(ToolError, match="no calendar file"):
        plugin.read_calendar(tmp_path / "a.txt")
