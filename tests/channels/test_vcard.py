"""Contacts from exported files, whole and broken."""

from __future__ import annotations

import random

import pytest

from localagent.channels.vcard import read


def _card(*lines: str, version: str = "3.0") -> bytes:
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""]).encode()


def test_version_three_with_groups_folds_and_escapes():
    card = _card(
        "N:Lovelace;Ada;King;Dr.;",
        "FN:Ada Lovelace\\, Countess",
        "item1.EMAIL;type=INTERNET;type=pref:ada@exam",
        " ple.org",
        "item1.X-ABLabel:work",
        "EMAIL;TYPE=HOME:ada@home.example",
        "TEL;TYPE=CELL:+44 (0)20-7946 0958",
    )
    assert read(card) == [
        ("Ada Lovelace, Countess", {"email": ["ada@example.org", "ada@home.example"], "phone": ["+4402079460958"]})
    ]


def test_version_four_by_preference_and_by_address():
    card = _card(
        "FN:Bo",
        "EMAIL;PREF=2:second@example.org",
        'EMAIL;PREF=1;TYPE="work,home":mailto:first%40example.org',
        "TEL;VALUE=uri;PREF=1:tel:+1-555-0100;ext=5",
        "IMPP;PREF=1:matrix:u/bo:example.org",
        "IMPP:https://matrix.to/#/@bo2:example.org",
        "IMPP:telegram:123456",
        "IMPP:xmpp:bo@example.org",
        version="4.0",
    )
    ((name, addresses),) = read(card)
    assert name == "Bo" and addresses == {
        "email": ["first@example.org", "second@example.org"],
        "phone": ["+15550100"],
        "matrix": ["@bo:example.org", "@bo2:example.org"],
        "telegram": ["123456"],
    }


def test_version_two_quoted_printable_in_its_own_characters():
    card = (
        b"BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;J=\n=F6rg\n"
        b"EMAIL;INTERNET;PREF:jm@example.org\nTEL;CELL;VOICE:0170 123456\nEND:VCARD\n"
    )
    assert read(card) == [("J\u00f6rg M\u00fcller", {"email": ["jm@example.org"], "phone": ["0170123456"]})]


def test_other_charsets_and_marks():
    assert read("\ufeff".encode() + _card("FN:Zo\u00eb", "EMAIL:z@e.org"))[0][0] == "Zo\u00eb"
    assert read(_card("FN:Zo\u00eb", "EMAIL:z@e.org").decode().encode("utf-16"))[0][0] == "Zo\u00eb"
    assert read(_card("FN:Zo\u00eb", "EMAIL:z@e.org").decode().encode("cp1252"))[0][0] == "Zo\u00eb"


def test_names_come_from_what_there_is():
    for lines, name in (
        (["N:Doe;Jane;;;"], "Jane Doe"),
        (["ORG:Acme\\; Sons;Sales"], "Acme; Sons"),
        (["NICKNAME:jd"], "jd"),
        ([], "j@e.org"),
        (["FN:a\\nb\u202e\x1b[31m"], "a b [31m"),
    ):
        assert read(_card(*lines, "EMAIL:j@e.org"))[0][0] == name


def test_cards_without_an_address_are_left_out_and_inner_ones_too():
    inner = ["AGENT:", "BEGIN:VCARD", "FN:Other", "EMAIL:o@e.org", "END:VCARD"]
    many = _card("FN:Nobody") + _card("FN:One", *inner, "EMAIL:one@e.org") + _card("FN:Two", "EMAIL:two@e.org")
    assert [name for name, _ in read(many)] == ["One", "Two"]
    assert read(many)[0][1] == {"email": ["one@e.org"]}


@pytest.mark.parametrize(
    "address", ["no address", "a@b@c", "a b@c.org", "a@b.org\nBcc: x@y.org", "<script>@x", "a@b..org", '"a@b.org', "a\u202e@b.org", "@x"]
)
def test_what_is_no_address_is_left_out(address):
    assert read(_card("FN:X", f"EMAIL:{address}".replace("\n", "\\n"))) == []


def test_a_card_without_its_end_and_a_picture_do_no_harm():
    photo = "PHOTO;ENCODING=b;TYPE=JPEG:" + "A" * 100_000
    assert read(_card("FN:P", photo, "EMAIL:p@e.org")[:-12])[0] == ("P", {"email": ["p@e.org"]})


def test_google_csv():
    text = (
        "First Name,Middle Name,Last Name,Organization Name,"
        "E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value\n"
        "Ada,,Lovelace,,* Work,ada@example.org ::: ada@home.example,a3@example.org,Mobile,+44 20 7946 0958\n"
        ",,,Acme,,info@acme.example,,,\n"
        "No,,Address,,,,,,\n"
    )
    assert read(text.encode()) == [
        ("Ada Lovelace", {"email": ["ada@example.org", "ada@home.example", "a3@example.org"], "phone": ["+442079460958"]}),
        ("Acme", {"email": ["info@acme.example"]}),
    ]
    older = "Name,Given Name,Family Name,E-mail 1 - Type,E-mail 1 - Value\nAda L,Ada,L,*,ada@example.org\n"
    assert read(older.encode()) == [("Ada L", {"email": ["ada@example.org"]})]


def test_outlook_csv_in_its_own_characters():
    text = (
        '"First Name","Last Name","Company","Business Phone","Mobile Phone","Notes","E-mail Address","E-mail 2 Address","E-mail Type"\r\n'
        '"J\u00f6rg","M\u00fcller","","030/12345","","two\r\nlines, and ""more""","jm@example.org","jm2@example.org","SMTP"\r\n'
    )
    expected = [("J\u00f6rg M\u00fcller", {"phone": ["03012345"], "email": ["jm@example.org", "jm2@example.org"]})]
    assert read(text.encode("cp1252")) == expected
    assert read(text.replace(",", ";").encode("utf-8-sig"))[0][0] == "J\u00f6rg M\u00fcller"


def test_thunderbird_csv():
    text = "First Name,Last Name,Display Name,Nickname,Primary Email,Secondary Email\nA,B,A B,,a@e.org,b@e.org\n"
    assert read(text.encode()) == [("A B", {"email": ["a@e.org", "b@e.org"]})]


def test_other_tables_are_no_contacts():
    assert read(b"date,amount\n2020-01-01,5\n") == read(b"") == read(b"\x00\xff\x00") == read(b"Name\nAda\n") == []


def test_any_damage_is_survived():
    chance = random.Random(3)
    whole = _card("N:Lovelace;Ada", "FN:Ada", "EMAIL;TYPE=a,b:ada@e.org", "TEL:123456", "IMPP:matrix:u/a:e.org")
    table = b"Name,E-mail 1 - Value\nAda,ada@e.org\n"
    for _ in range(500):
        data = bytearray(chance.choice((whole, table)))
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.choice(b'\x00\n\r:;",=\\ \xff\xc3A')
        for name, addresses in read(bytes(data)):
            assert name.isprintable() and name and all(addresses.values())


def test_a_large_file_is_read_in_time():
    assert len(read(_card("FN:X", "EMAIL:x@e.org", "NOTE:" + "y" * 200) * 5000)) == 5000
