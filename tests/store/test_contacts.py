"""The contact book: what people write into it by hand, and who is meant by a name."""

from __future__ import annotations

import unicodedata

import pytest

from localagent.errors import ConfigError
from localagent.store import contacts
from localagent.store.contacts import Contact


def _book(text: str) -> tuple[Contact, ...]:
    contacts.file().parent.mkdir(parents=True, exist_ok=True)
    contacts.file().write_text(text, encoding="utf-8")
    return contacts.load()


def test_addresses_are_taken_as_they_stand_there(isolated):
    found = _book("Anna:\n  telegram: 012345\n  phone: 12:30:00\n  email: [2024-13-45, yes]\nBo:\nCy: {}\n")
    assert found[0].addresses == (("telegram", "012345"), ("phone", "12:30:00"), ("email", "2024-13-45"), ("email", "yes"))
    assert [one.name for one in found] == ["Anna", "Bo", "Cy"] and found[1].addresses == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Anna:\n  email: a@x.org\nAnna:\n  email: b@x.org\n", "line 3: 'Anna' stands in line 1 already"),
        ("Anna:\n  email:\n    work: a@x.org\n", "line 3: an address of 'Anna' is no text"),
        ("- Anna\n", "line 1: the file should be names"),
        ("Anna: a@x.org\n", "line 1: 'Anna' should be names"),
        ("? [a, b]\n: c\n", "line 1"),
        ("Anna: {email: 'a\n", "this is not YAML"),
        ("[" * 5000, "this is not YAML"),
        ('Anna:\n  email: "a@x.org\\nBcc: b@x.org"\n', "control character"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: {email: *b}\n", "line 1"),
    ],
)
def test_a_garbled_book_is_a_line_to_mend(isolated, text, told):
    with pytest.raises(ConfigError, match=r"contacts\.yaml") as caught:
        _book(text)
    assert told in str(caught.value)


def test_a_name_that_is_anothers_address_settles_nothing():
    trap, anna = Contact("anna@x.org", (("email", "eve@evil.test"),)), Contact("Anna", (("email", "anna@x.org"),))
    assert contacts.find([trap, anna], "anna@x.org") == contacts.find((trap, anna), "ANNA@x.org") == [trap, anna]
    twins = [Contact("Jo", (("email", "a@x.org"),)), Contact("jo", (("email", "b@x.org"),))]
    assert contacts.find(twins, "Jo") == twins


def test_a_name_is_found_however_its_accents_are_written():
    known = [Contact(unicodedata.normalize("NFD", "José Ruiz"), ())]
    assert contacts.find(known, unicodedata.normalize("NFC", "josé")) == known


@pytest.mark.parametrize(("one", "other"), [("kate@x.org", "\u212aate@x.org"), ("strasse@x.org", "stra\u00dfe@x.org")])
def test_letters_that_only_fold_to_the_same_are_another_address(one, other):
    assert one == other.casefold() and not contacts.same(one, other)
    assert contacts.same("Kate@X.org ", "kate@x.ORG")


def test_adding_keeps_two_whose_names_differ_in_case_alone():
    twins = (Contact("Jo", (("email", "a@x.org"),)), Contact("jo", (("email", "b@x.org"),)))
    made = contacts.merged(twins, [Contact("JO", (("email", "A@x.org"), ("phone", "1"))), Contact("Al", ())])
    assert made == (Contact("Jo", (("email", "a@x.org"), ("phone", "1"))), twins[1], Contact("Al", ()))
