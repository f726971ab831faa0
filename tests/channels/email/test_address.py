"""Who a From header names, and which addresses can be written to."""

from __future__ import annotations

import pytest

from localagent.channels.email import address
from localagent.channels.email.address import Sender


@pytest.mark.parametrize(
    ("header", "sender"),
    [
        ("Ann Example <ann@a.test>", Sender("ann@a.test", "Ann Example")),
        ("ann@A.Test", Sender("ann@a.test")),
        ("=?utf-8?q?J=C3=BCrgen?= <j@a.test>", Sender("j@a.test", "Jürgen")),
        ('"Doe, Ann" <ann@a.test>', Sender("ann@a.test", "Doe, Ann")),
        ("Ann (hi <x@y.test>) <ann@a.test>", Sender("ann@a.test", "Ann")),
        ("ann@a.test <ann@a.test>", Sender("ann@a.test", "ann@a.test")),
        ('"boss@bank.test" <evil@a.test>', Sender("evil@a.test")),
        ("boss@bank.test <evil@a.test>", Sender("evil@a.test")),
        ("=?utf-8?b?Ym9zc0BiYW5rLnRlc3Q=?= <evil@a.test>", Sender("evil@a.test")),
        ("boss\uff20bank.test <evil@a.test>", Sender("evil@a.test")),
        ("Boss \u202etset.knab <evil@a.test>", Sender("evil@a.test", "Boss tset.knab")),
        ("ann@p\u0430ypal.test", Sender("ann@xn--pypal-4ve.test")),
        ("a@a.test, b@b.test", Sender("")),
        ("<a@a.test> <b@b.test>", Sender("")),
        ("x <a@a.test> y@b.test", Sender("")),
        ("<<a@a.test>>", Sender("")),
        ("x <a@a.test", Sender("")),
        ("a@a.test@b.test", Sender("")),
        ('"a b"@a.test', Sender("")),
        ("group: a@a.test;", Sender("")),
        ("undisclosed", Sender("")),
        ("", Sender("")),
        ("<@a.test:b@b.test>", Sender("")),
        ("a@[127.0.0.1]", Sender("")),
        ("a\u200b@a.test", Sender("")),
    ],
)
def test_who_sent_it(header: str, sender: Sender) -> None:
    assert address.sender([header]) == sender


def test_several_from_headers_name_nobody() -> None:
    assert address.sender(["a@a.test", "a@a.test"]) == Sender("") == address.sender([])


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("A.b+c@Example.TEST", "A.b+c@example.test"),
        ("x@bücher.test", "x@xn--bcher-kva.test"),
        ("x@straße.test", "x@xn--strae-oqa.test"),
    ],
)
def test_domains_are_written_as_servers_know_them(given: str, made: str) -> None:
    assert address.checked(given) == made


@pytest.mark.parametrize("given", ["", "a", "@a.test", "a@", "a@-a.test", "a..b@c.test", ".a@c.test", "a b@c.test", "a@c test",
                                   "a@1.2.3.4", "a@c.test\n", "a\r@c.test", "a@c.test>", "a" * 65 + "@c.test",
                                   "a@" + "b" * 64 + ".test", "a,b@c.test"])  # fmt: skip
def test_what_is_no_address_is_none(given: str) -> None:
    with pytest.raises(ValueError):
        address.checked(given)
