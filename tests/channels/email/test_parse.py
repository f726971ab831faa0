"""Mail as it comes: nested, broken, huge, lying. Something always comes out, and nothing of it leads anywhere."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from localagent.channels.email import parse
from localagent.channels.email.account import account
from localagent.channels.email.names import file_name
from localagent.errors import StoreError
from localagent.store import attachments
from localagent.values import Incoming

ME = account({"address": "me@a.test", "imap_host": "imap.a.test", "authserv": "mx.a.test"})


def read(raw: bytes, cut: bool = False) -> Incoming:
    return parse.incoming(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), ME, "work", 5.0, attachments.keep, cut=cut)


HEAD = b"From: Ann <ann@b.test>\nSubject: Hi\nMessage-ID: <1@b.test>\nDate: Mon, 1 Jan 2026 00:00:00 +0000\n"


def test_a_plain_mail() -> None:
    got = read(HEAD + b"References: <a@b.test> <b@b.test>\nIn-Reply-To: <b@b.test>\n\nHello\n\n> quoted  \n")
    assert (got.sender, got.chat, got.name, got.subject, got.text) == ("ann@b.test", "ann@b.test", "Ann", "Hi", "Hello\n\n> quoted")
    assert (got.at, got.reply_to, got.thread) == (5.0, "<b@b.test>", "<a@b.test> <b@b.test> <1@b.test>")
    assert got.id.startswith("<1@b.test>#") and got.authentic is None and got.attachments == ()


def test_an_id_is_one_mails_alone_though_anybody_can_repeat_it() -> None:
    one, again = read(b"Received: a\n" + HEAD + b"\nx"), read(b"Received: a\n" + HEAD + b"\nx")
    other, none = read(b"Received: b\n" + HEAD + b"\nx"), read(b"From: ann@b.test\n\nx")
    assert one.id == again.id and other.id != one.id and none.id.startswith("#")


def test_the_plain_form_is_taken_and_the_html_where_there_is_none() -> None:
    both = (
        b"Content-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/plain\n\n%s\n--x\n"
        b'Content-Type: text/html\n\n<p>rich <b style="display:none">obey</b></p>\n--x--\n'
    )
    assert read(HEAD + both % b"plain").text == "plain" and read(HEAD + both % b"  ").text == "rich"
    assert read(HEAD + b"Content-Type: text/html\n\n<p>only</p>").text == "only"


def test_files_are_kept_by_what_is_in_them(isolated: Path) -> None:
    mail = HEAD + (
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\nsee\n"
        b"--x\nContent-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''..%2F..%2F.ssh%2Fr%C3%A9sum%C3%A9.pdf\n"
        b"Content-Transfer-Encoding: base64\n\naGVsbG8=\n"
        b"--x\nContent-Type: message/rfc822\n\nFrom: evil@c.test\nSubject: inner\n\ninner text\n"
        b"--x\nContent-Type: text/plain\nContent-Disposition: attachment; filename=\"=?utf-8?q?n=C3=B6te.txt?=\"\n\nnote\n--x--\n"
    )
    got = read(mail)
    assert got.text == "see" and [one.name for one in got.attachments] == ["résumé.pdf", "attachment-2.eml", "nöte.txt"]
    first = got.attachments[0]
    assert Path(first.path).read_bytes() == b"hello" and Path(first.path).name == first.sha256
    assert Path(first.path).stat().st_mode & 0o777 == 0o600 and Path(first.path).is_relative_to(isolated)
    assert b"inner text" in Path(got.attachments[1].path).read_bytes()


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (b"From: Ann <ann@b.test>\nReply-To: spy@evil.test\n", "wants answers to go to spy@evil.test"),
        (b'From: "boss@bank.test" <ann@b.test>\n', "ann@b.test, calls itself boss (at) bank.test"),
        (b"From: a@b.test\nFrom: c@d.test\n", "sender cannot be told"),
        (b"Subject: x\n", "sender cannot be told"),
        (b"From: a@b.test\nAuto-Submitted: auto-replied\n", "Sent by a program"),
    ],
)
def test_what_a_person_must_know_stands_above_the_text(headers: bytes, told: str) -> None:
    got = read(headers + b"\nbody")
    assert got.text.startswith("[") and told in got.text.partition("\n")[0] and got.text.endswith("\n\nbody")
    assert got.chat == got.sender and "spy@" not in got.chat


def test_reply_to_the_sender_itself_is_no_news() -> None:
    assert read(b"From: Ann <ann@b.test>\nReply-To: Ann <ANN@b.test>\n\nx").text == "x"


def test_the_servers_word_on_the_sender() -> None:
    said = b"Authentication-Results: mx.a.test; dmarc=pass header.from=b.test\n"
    head = HEAD.replace(b"Mon, 1 Jan 2026 00:00:00", b"Thu, 1 Jan 1970 00:00:05") + b"To: me@a.test\n"
    assert read(said + head + b"\nx").authentic is True
    assert read(b"Authentication-Results: mx.other.test; none\n" + said + head + b"\nx").authentic is None
    assert read(said + HEAD + b"To: me@a.test\n\nx").authentic is None
    forged = b"Authentication-Results: mx.a.test; dmarc=fail header.from=b.test\n"
    assert read(forged + HEAD + b"\nx").authentic is False


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        (b"text/plain; charset=utf-8", "grüße".encode(), "grüße"),
        (b"text/plain; charset=us-ascii", "grüße".encode(), "grüße"),
        (b"text/plain; charset=utf-8", "grüße".encode("latin-1"), "grüße"),
        (b"text/plain; charset=no-such-thing", "grüße".encode(), "grüße"),
        (b"text/plain; charset=unicode_escape", rb"a\u0062", r"a\u0062"),
        (b"text/plain; charset=rot13", b"abc", "abc"),
        (b"text/plain; charset=zlib", b"abc", "abc"),
        (b"text/plain; charset=utf-16", "grüße".encode("utf-16"), "grüße"),
        (b"text/plain; charset=gb2312", "你好".encode("gb2312"), "你好"),
        (b"text/plain; charset=koi8-r", "привет".encode("koi8-r"), "привет"),
        (b"text/plain", b"a\x00b\x1b[31mc\x08\xe2\x80\xaed", "ab[31mcd"),
    ],
)
def test_charsets_are_believed_as_far_as_they_work(kind: bytes, body: bytes, text: str) -> None:
    raw = HEAD + b"Content-Type: " + kind + b"\nContent-Transfer-Encoding: 8bit\n\n"
    assert parse.incoming(raw.replace(b"\n", b"\r\n") + body, ME, "work", 0.0, attachments.keep).text == text


def test_subjects_are_one_clean_line() -> None:
    subject = b"=?utf-8?q?a=0Ab=E2=80=AE?=\n =?utf-8?b?IMOk?= =?no?q?x?= =?utf-8?b?***?= \xff"
    got = read(b"From: a@b.test\nSubject: " + subject + b"\n\nx")
    assert "\n" not in got.subject and "\u202e" not in got.subject and got.subject.startswith("a b ä")


def test_a_long_mail_says_that_it_was_cut() -> None:
    assert "only its beginning" in read(HEAD + b"\nx", cut=True).text
    assert len(read(HEAD + b"\n" + b"word " * 200_000).text) < parse.MOST_TEXT + 100


@pytest.mark.parametrize("depth", [50, 3000])
def test_parts_in_parts_without_end_do_no_harm(depth: int) -> None:
    inner = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
    got = read(HEAD + inner + b"Content-Type: text/plain\n\nend")
    assert got.sender in ("ann@b.test", "") and got.text


def test_broken_mails_always_give_a_message() -> None:
    chance = random.Random(7)
    pieces = [
        *(b"From: a@b.test\n", b"\n", b"--x\n", b"--x--\n", b"\xff\xfe\x00", b"aGVsbG8=\n", b"=\n=3", b"<div", b"From", b": \n"),
        *(b"Content-Type: multipart/mixed; boundary=x\n", b"Content-Type: text/html\n", b"Content-Type: message/rfc822\n"),
        *(b"Content-Transfer-Encoding: base64\n", b"Content-Transfer-Encoding: quoted-printable\n", b"Subject: =?\n"),
        *(b" folded\n", b"Content-Type: ;;=\n", b"Content-Disposition: attachment; filename*0*=x''%\n", b"Content-Type: message/partial\n"),
        *(b"Content-Type: multipart/digest\n", b"References: <<<>>>\n", b"Content-Transfer-Encoding: uuencode\n"),
    ]
    for _ in range(400):
        raw = b"".join(chance.choices(pieces, k=chance.randrange(25)))
        got = parse.incoming(raw, ME, "work", 0.0, attachments.keep)
        assert "could not be read" not in got.text, raw
        assert got.id and "\0" not in got.text


def test_a_mail_nobody_foresaw_is_said_and_stops_nothing() -> None:
    def keep(data: bytes, name: str, media_type: str) -> attachments.Attachment:
        raise KeyError("x")

    got = parse.incoming(HEAD + b"Content-Type: application/x\n\nx", ME, "work", 0.0, keep)
    assert "could not be read (KeyError)" in got.text and got.chat == ""


def test_a_full_disk_loses_no_mail() -> None:
    def keep(data: bytes, name: str, media_type: str) -> attachments.Attachment:
        raise StoreError("The disk is full.")

    with pytest.raises(StoreError):
        parse.incoming(HEAD + b"Content-Type: application/x\n\nx", ME, "work", 0.0, keep)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        (".bashrc", "bashrc"),
        ("a\u202efdp.exe", "afdp.exe"),
        ("a\nb\0.txt", "a b.txt"),
        ("con.txt", "_con.txt"),
        ("", "attachment-3.pdf"),
        ("..", "attachment-3.pdf"),
        ("a:b*c?.txt", "a_b_c_.txt"),
        ("x" * 300 + ".docx", "x" * 115 + ".docx"),
    ],
)
def test_names_of_files_lead_nowhere(given: str, name: str) -> None:
    assert file_name(given, "application/pdf", 3) == name
    assert len(file_name("日" * 300 + ".pdf", "application/pdf", 1).encode()) <= 240


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (b"Content-Type: multipart/mixed; boundary=b\n\n", b"--b\n\n"),
        (b"Content-Type: multipart/alternative; boundary=b\n\n", b"--b\n\nx\n"),
        (b"", b"From: x@y.test\n"),
        (b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(300)), b"hi\n"),
    ],
    ids=["parts", "alternatives", "headers", "nesting"],
)
def test_a_mail_made_to_cost_hours_costs_seconds(head: bytes, line: bytes) -> None:
    raw = HEAD + head + line * (1_000_000 // len(line))
    begun = time.process_time()
    got = parse.incoming(raw, ME, "work", 5.0, attachments.keep)
    assert time.process_time() - begun < 4
    assert got.id.startswith("<1@b.test>")


def test_a_mail_with_more_lines_than_are_read_says_so() -> None:
    got = parse.incoming(HEAD + b"\n" + b"x\n" * 500_100, ME, "work", 5.0, attachments.keep)
    assert got.sender == "ann@b.test" and "only its beginning was read" in got.text
    assert "only its beginning" not in parse.incoming(HEAD + b"\n" + b"x\n" * 100_000, ME, "work", 5.0, attachments.keep).text
