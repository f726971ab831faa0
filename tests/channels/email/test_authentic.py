"""What the receiving server says of the sender counts, and only what it says."""

from __future__ import annotations

import pytest

from localagent.channels.email.authentic import verdict

OURS = ("mx.own.test",)
FROM = "ann@bank.test"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("mx.own.test; dmarc=pass header.from=bank.test", True),
        ("mx.own.test; spf=pass smtp.mailfrom=x.test; dkim=pass header.d=bank.test header.s=1; dmarc=none", True),
        ("MX.own.test 1; dkim=fail header.d=x.test; dkim=pass (good \"key\"; x) header.d=bank.test", True),
        ("mx.own.test; dmarc=fail (p=NONE) header.from=bank.test", False),
        ("mx.own.test; dkim=fail header.d=bank.test", False),
        ("mx.own.test; dkim=pass header.d=evil.test", None),
        ("mx.own.test; dkim=pass header.d=sub.bank.test", None),
        ("mx.own.test; dkim=pass header.d=test", None),
        ("mx.own.test; spf=pass smtp.mailfrom=bank.test", None),
        ("mx.own.test; dmarc=pass header.from=evil.test", None),
        ("mx.own.test; none", None),
        ("mx.evil.test; dmarc=pass header.from=bank.test", None),
        ("mx.own.test.evil.test; dmarc=pass header.from=bank.test", None),
        ('mx.own.test; spf=fail smtp.mailfrom="x; dmarc=pass header.from=bank.test"', None),
        ("mx.own.test; spf=fail (x; dmarc=pass header.from=bank.test)", None),
        ("mx.own.test; spf=fail (a(b) ; dmarc=pass header.from=bank.test ) x", None),
        ("mx.own.test; dkim=pass (x header.d=bank.test) header.d=evil.test", None),
        ('mx.own.test; dkim=pass reason="header.d=bank.test" header.d=evil.test', None),
        ("mx.own.test; dkim=fail reason=x dmarc=pass header.from=bank.test", None),
        ("", None),
        (";", None),
    ],
)
def test_what_the_topmost_header_says(header: str, said: bool | None) -> None:
    assert verdict([header], OURS, FROM) is said


def test_only_the_topmost_counts_and_only_of_a_server_that_is_known() -> None:
    good = "mx.own.test; dmarc=pass header.from=bank.test"
    assert verdict(["mx.other.test; none", good], OURS, FROM) is None
    assert verdict([good, "mx.other.test; dmarc=fail"], OURS, FROM) is True
    assert verdict([good], (), FROM) is None and verdict([], OURS, FROM) is None and verdict([good], OURS, "") is None
