"""Contacts out of and into files of other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localagent import cli
from localagent.channels import vcard
from localagent.commands import contact_files
from localagent.errors import UsageError
from localagent.store import contacts
from localagent.store.contacts import Contact

CARDS = """BEGIN:VCARD
VERSION:3.0
FN:Anna Berg
EMAIL:anna@example.org
EMAIL:anna@work.example
END:VCARD
BEGIN:VCARD
VERSION:3.0
FN:Robert Smith
EMAIL:bob@example.org
TEL:+1 555 0100
END:VCARD
BEGIN:VCARD
VERSION:3.0
FN:Nobody
END:VCARD
BEGIN:VCARD
VERSION:3.0
FN:Zo\u00eb\u202e
EMAIL:zoe@example.org
END:VCARD
"""
KNOWN = [
    Contact("anna berg", (("email", "anna@example.org"), ("telegram", "123456"))),
    Contact("Bob", (("email", "BOB@example.org"),)),
]


def test_what_is_left_out_is_named_by_its_line(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.vcf").write_text(CARDS.replace("EMAIL:anna@work.example", "EMAIL:not an\n  address\x1b[1m\nrubbish"))
    (tmp_path / "a.csv").write_text('Name,E-mail\nAnna,a@example.org\n"B\no",@\n\nCarl,\n')
    expected = {
        "a.vcf": [(7, "not understood"), (5, "no mail address"), (15, "no address")],
        "a.csv": [(4, "no mail address"), (4, "no address"), (6, "no address")],
    }
    for name, lines in expected.items():
        assert cli.main(["contacts", "import", str(tmp_path / name), "--dry-run", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["refused"]
        assert [(one["line"], one["why"]) for one in told] == lines
    assert cli.main(["contacts", "import", str(tmp_path / "a.vcf"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "3 left out:" in out and "- line 5: no mail address: not an" in out and "\x1b" not in out


@pytest.fixture
def cards(tmp_path: Path) -> str:
    file = tmp_path / "cards.vcf"
    file.write_text(CARDS)
    return str(file)


def test_an_import_adds_and_takes_nothing_away(cards: str, capsys: pytest.CaptureFixture[str]) -> None:
    contacts.save(KNOWN)
    assert cli.main(["contacts", "import", cards, "--yes"]) == 0
    out, err = capsys.readouterr()
    assert "1 new (+), 2 get further addresses (~), 0 are known already." in out
    assert "~ Bob" in out and "phone:+15550100" in out and "\u202e" not in out
    assert "1 added, 2 completed" in err
    book = {one.name: one.addresses for one in contacts.load()}
    assert book["anna berg"] == (("email", "anna@example.org"), ("email", "anna@work.example"), ("telegram", "123456"))
    assert book["Bob"] == (("email", "BOB@example.org"), ("phone", "+15550100"))
    assert [name for name in book if name.startswith("Zo")] and "Nobody" not in book
    old = contacts.file().with_suffix(".yaml.old")
    assert "work.example" not in old.read_text() and "anna@example.org" in old.read_text()
    assert cli.main(["contacts", "import", cards, "--yes"]) == 0
    assert "0 new (+), 0 get further addresses (~), 3 are known already." in capsys.readouterr().out


def test_nobody_there_to_ask_changes_nothing(cards: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["contacts", "import", cards]) == 1
    assert "--yes takes them over" in capsys.readouterr().err
    assert contacts.load() == ()
    assert cli.main(["contacts", "import", cards, "--dry-run", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["new"]][:2] == ["Anna Berg", "Robert Smith"]
    assert contacts.load() == ()


@pytest.mark.parametrize("text", ["", "hello\n", "a,b\n1,2\n", "\0\1\2", "BEGIN:VCARD\nEND:VCARD\n"])
def test_what_holds_no_contact_is_said_so(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    assert cli.main(["contacts", "import", str(file), "--yes"]) == 3
    assert "holds no contact" in capsys.readouterr().err
    assert cli.main(["contacts", "import", str(tmp_path / "none"), "--yes"]) == 3


def test_an_address_of_two_people_joins_nobody() -> None:
    known = [Contact("A", (("email", "x@example.org"),)), Contact("B", (("email", "x@example.org"),))]
    plan = contact_files.planned(known, [("C", {"email": ["x@example.org"]})])
    assert plan.new == (Contact("C", (("email", "x@example.org"),)),)


def test_an_export_is_read_again_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "Anna Maria \u00c4nne, of the " + "very " * 20 + "long; name"
    book = [
        Contact(long, (("email", "anna@example.org"), ("email", "a@example.com"), ("phone", "+15550100"))),
        Contact("Bo", (("matrix", "@bo:example.org"), ("telegram", "123456"))),
    ]
    contacts.save(book)
    for name in ("book.vcf", "book.csv"):
        assert cli.main(["contacts", "export", str(tmp_path / name)]) == 0
        with pytest.raises(UsageError, match="is there already"):
            contact_files.give(type("A", (), {"file": str(tmp_path / name), "format": None}))  # type: ignore[arg-type]
    (anna, bo) = vcard.read((tmp_path / "book.vcf").read_bytes())
    assert anna == (long, {"email": ["anna@example.org", "a@example.com"], "phone": ["+15550100"]})
    assert bo == ("Bo", {"matrix": ["@bo:example.org"], "telegram": ["123456"]})
    assert all(len(line) <= 75 for line in (tmp_path / "book.vcf").read_bytes().split(b"\r\n"))
    assert vcard.read((tmp_path / "book.csv").read_bytes())[0] == anna
    capsys.readouterr()
    assert cli.main(["contacts", "export", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("Name,E-mail 1 - Value,E-mail 2 - Value,Phone 1 - Value,Matrix 1,Telegram 1")


def test_a_spreadsheet_gets_no_formula() -> None:
    text = contact_files._csv([Contact("=HYPERLINK(1)", (("email", "a@example.org"),)), Contact("+@SUM(1)", ())])
    assert "'=HYPERLINK(1)" in text and "'+@SUM(1)" in text


@pytest.mark.parametrize("cell", ["-1+cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "\tcmd", "=1", "-x"])
def test_no_cell_begins_a_formula(cell: str) -> None:
    assert contact_files._harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["+49 (30) 123-45/6", "@bo:example.org", "@bo_x", "Bo-=x", ""])
def test_numbers_and_names_stay(cell: str) -> None:
    assert contact_files._harmless(cell) == cell
