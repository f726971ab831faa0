"""Schedules against a reader that walks over every minute, and the days on which the clocks change."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from localagent.errors import UsageError
from localagent.jobs import cron, times
from localagent.store.jobs import Trigger

BERLIN, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")


def _all(text: str, begin: datetime, end: datetime, zone: ZoneInfo) -> list[str]:
    made, at, found = cron.read(text), begin.timestamp(), []
    while (at := made.after(at, zone) or 0.0) and at < end.timestamp():
        found.append(datetime.fromtimestamp(at, zone).strftime("%m-%d %H:%M %z"))
    return found


def _day(year: int, month: int, day: int, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime(year, month, day, tzinfo=zone) - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0 9 * * 1-5", ["11-02 09:00 +0100", "11-03 09:00 +0100"]),
        ("*/30 8-9 2 nov *", ["11-02 08:00 +0100", "11-02 08:30 +0100", "11-02 09:00 +0100", "11-02 09:30 +0100"]),
        ("5 4 1,3 * *", ["11-01 04:05 +0100", "11-03 04:05 +0100"]),
        ("0 0 3 * sun", ["11-01 00:00 +0100", "11-03 00:00 +0100"]),
        ("0 0 */2 * sun", ["11-01 00:00 +0100"]),
        ("0 12 * * 7", ["11-01 12:00 +0100"]),
        ("@daily", ["11-01 00:00 +0100", "11-02 00:00 +0100", "11-03 00:00 +0100"]),
        ("0 10/6 1 11 *", ["11-01 10:00 +0100", "11-01 16:00 +0100", "11-01 22:00 +0100"]),
    ],
)
def test_fields_are_read_as_every_cron_reads_them(text: str, found: list[str]) -> None:
    assert _all(text, _day(2026, 11, 1), _day(2026, 11, 4), BERLIN) == found


def test_a_skipped_hour_comes_once_behind_the_gap() -> None:
    spring = (_day(2026, 3, 29), _day(2026, 3, 30))
    assert _all("30 2 * * *", *spring, BERLIN) == ["03-29 03:00 +0200"]
    assert _all("*/10 2 * * *", *spring, BERLIN) == ["03-29 03:00 +0200"]
    assert _all("0 2,3 * * *", *spring, BERLIN) == ["03-29 03:00 +0200"]
    # A gap of half an hour, from 2:00 to 2:30.
    assert _all("15 2 * * *", _day(2026, 10, 4, LORD_HOWE), _day(2026, 10, 5, LORD_HOWE), LORD_HOWE) == ["10-04 02:30 +1100"]


def test_a_doubled_hour_comes_once() -> None:
    autumn = (_day(2026, 10, 25), _day(2026, 10, 26))
    assert _all("30 2 * * *", *autumn, BERLIN) == ["10-25 02:30 +0200"]
    assert _all("0 2-3 * * *", *autumn, BERLIN) == ["10-25 02:00 +0200", "10-25 03:00 +0100"]
    # Begun within the second pass, the hour is over.
    second = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN).timestamp()
    assert datetime.fromtimestamp(cron.read("30 2 * * *").after(second, BERLIN) or 0, BERLIN).day == 26


def test_a_whole_day_may_be_skipped() -> None:
    apia = ZoneInfo("Pacific/Apia")
    begin, end = datetime(2011, 12, 29, 12, tzinfo=apia), datetime(2012, 1, 1, 12, tzinfo=apia)
    assert [text[:11] for text in _all("0 9 * * *", begin, end, apia)] == ["12-31 00:00", "12-31 09:00", "01-01 09:00"]


def test_schedules_agree_with_every_minute_looked_at() -> None:
    chosen = random.Random(7)

    def field(low: int, high: int) -> str:
        first = chosen.randint(low, high)
        last = chosen.randint(first, high)
        return chosen.choice(["*", str(first), f"{first}-{last}", f"*/{chosen.randint(2, 9)}", f"{first},{last}", f"{first}-{last}/2"])

    for _ in range(40):
        parts = [field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)]
        made = cron.read(" ".join(parts))
        start = datetime(2026, chosen.randint(1, 12), chosen.randint(1, 28), chosen.randint(0, 23), chosen.randint(0, 59), tzinfo=UTC)
        after = made.after(start.timestamp(), UTC)
        assert after is not None and after > start.timestamp()
        for minute in range(1, 3000):
            at = start + timedelta(minutes=minute)
            hit = made.on(at.date()) and at.hour in made.hours and at.minute in made.minutes
            assert hit is (at.timestamp() == after) or at.timestamp() > after, (parts, at)
            if hit:
                break


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-2 * * * *", "a * * * *",
     "0 0 30 2 *", "-1 * * * *", "* * L * *", "* * * * 1#2", "@reboot", "1,,2 * * * *", "٣ * * * *"],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        cron.read(text)


def test_durations_and_moments() -> None:
    assert times.seconds("1h30m") == 5400 and times.seconds("90s") == 90 and times.seconds("2d") == 172800
    for wrong in ("", "5", "1x", "3s", "h", "1h later", "9999w"):
        with pytest.raises(UsageError):
            times.seconds(wrong)
    now = datetime(2026, 10, 24, 20, tzinfo=BERLIN).timestamp()

    def moment(text: str) -> str:
        return datetime.fromtimestamp(times.moment(text, now, BERLIN), BERLIN).strftime("%d %H:%M %z")

    assert moment("21:30") == "24 21:30 +0200" and moment("19:00") == "25 19:00 +0100"
    assert moment("2026-12-24 18:30") == "24 18:30 +0100" and moment("2026-10-24T19:30:00+00:00") == "24 21:30 +0200"
    for wrong in ("25:00", "2026-12-24", "2020-01-01 10:00", "soon"):
        with pytest.raises(UsageError):
            times.moment(wrong, now, BERLIN)
    with pytest.raises(UsageError):
        times.zone("Europe/Atlantis")
    with pytest.raises(UsageError):
        times.zone("../../etc/passwd")


def test_every_keeps_its_beat_over_a_change_of_the_clock() -> None:
    made = datetime(2026, 3, 29, 0, 30, tzinfo=BERLIN).timestamp()
    every = Trigger("every", "1h", 3600)
    assert [times.following(every, made, made + 3600 * n + 5) - made for n in range(4)] == [3600, 7200, 10800, 14400]
    assert times.between(every, made, made + 3600, made + 3 * 3600 + 1) == 3
