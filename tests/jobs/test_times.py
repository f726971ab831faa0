"""Moments as a person writes them."""

from __future__ import annotations

import pytest

from localagent.errors import UsageError
from localagent.jobs import times


@pytest.mark.parametrize("text", ["9999-12-31 23:59", "9999-12-31T23:59-14:00", "0001-01-01 00:00", "2226-01-01 00:00"])
def test_a_moment_at_the_end_of_the_calendar_is_refused(text):
    for name in ("Pacific/Kiritimati", "Europe/Berlin", "UTC"):
        with pytest.raises(UsageError, match=r"over already|hundred years"):
            times.moment(text, 1.7e9, times.zone(name))
