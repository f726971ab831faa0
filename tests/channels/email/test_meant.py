"""A genuine mail that was written to somebody else, or long ago, is no word to this account."""

from __future__ import annotations

import pytest

from localagent.channels.email.account import account
from localagent.channels.email.meant import here_and_now

ME = account({"address": "Agent@own.test", "user": "ann@own.test", "imap_host": "imap.own.test"})
AT, DATE = 1_790_000_000.0, "Mon, 21 Sep 2026 14:13:20 +0000"


def _meant(to: str = "agent@own.test", date: str = DATE, signed: str = "v=1; d=b.test; h=From:To:Date") -> bool:
    return here_and_now([to], [date] if date else [], [signed], ME, AT)


@pytest.mark.parametrize("to", ["agent@own.test", "Bo <bo@b.test>, The Agent <AGENT@own.test>", "agent+notes@own.test", "ann@own.test"])
def test_written_to_this_account(to: str) -> None:
    assert _meant(to)


@pytest.mark.parametrize("to", ["", "bo@b.test", "agent@own.test.evil.test", '"agent@own.test" <bo@b.test>', "agent@evil.test"])
def test_written_to_others(to: str) -> None:
    assert not _meant(to)


@pytest.mark.parametrize("date", ["", "nonsense", "Sun, 20 Sep 2026 14:13:20 +0000", "Tue, 22 Sep 2026 14:13:21 +0000", "Mon, 99 Sep 2026"])
def test_not_now(date: str) -> None:
    assert not _meant(date=date)


def test_two_dates_are_none_and_a_signature_over_a_part_is_none() -> None:
    assert not here_and_now(["agent@own.test"], [DATE, DATE], [], ME, AT)
    assert not _meant(signed="v=1; d=b.test;\r\n\tl=120; h=From") and _meant(signed="v=1; bl=120; d=b.test")
