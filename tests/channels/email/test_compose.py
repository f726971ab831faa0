"""A message as bytes: read back, it is what was agreed to; a file that is another now is not sent."""

from __future__ import annotations

import email
import email.policy
import hashlib
import random
from pathlib import Path

import pytest

from localagent.channels.email import compose
from localagent.channels.email.account import account
from localagent.values import Attachment, Outgoing

ME = account({"address": "me@a.test", "smtp_host": "smtp.a.test", "from_name": 'Jürgen "J" Müller'})


def _back(message: Outgoing) -> tuple[email.message.EmailMessage, bytes]:
    data = compose.compose(message, ME)[1]
    assert all(len(line) <= 998 and line.isascii() and b"\r" not in line for line in data.split(b"\r\n"))
    return email.message_from_bytes(data, policy=email.policy.default), data  # type: ignore[return-value]


def test_texts_of_every_kind_come_back_unchanged() -> None:
    chance = random.Random(4)
    alphabets = ["ab c", "äöü ß", "日本語 ", "🙂👨‍👩‍👧 x", "a.\n", "=?_ \t", "\u05e9\u05dc\u05d5\u05dd ", "x\n.\nFrom "]
    for number in range(150):
        letters = chance.choice(alphabets)
        text = "".join(chance.choices(letters, k=chance.choice((0, 1, 70, 300, 2000)))).strip("\n")
        subject = " ".join("".join(chance.choices(letters, k=chance.choice((1, 30, 200)))).split())
        subject = subject.replace(" ", chance.choice((" ", "  ")))
        back, _ = _back(Outgoing("w", "you@b.test", text, subject, name=subject[:60], id=f"{number:032x}"))
        # The body ends with a line break, as mail does.
        assert back.get_content().replace("\r\n", "\n") in (text, text + "\n"), (number, text)
        assert str(back["Subject"]) == subject and back["Message-ID"] == f"<{number:032x}@a.test>"
        assert back["To"].addresses[0].addr_spec == "you@b.test" and back["From"].addresses[0].display_name == ME.from_name


def test_a_long_domain_and_a_long_thread_stay_whole() -> None:
    long = account({"address": "me@" + "a" * 60 + "." + "b" * 60 + "." + "c" * 60 + ".test", "smtp_host": "x"})
    thread = " ".join(f"<{number:060d}@mail.b.test>" for number in range(80))
    data = compose.compose(Outgoing("w", "you@b.test", "x", id="1" * 32, reply_to="<q@r>", thread=thread), long)[1]
    back = email.message_from_bytes(data)
    assert back["Message-ID"].strip() == f"<{'1' * 32}@{long.domain}>"
    chain = back["References"].split()
    assert len(chain) == 50 and chain[0] == f"<{0:060d}@mail.b.test>" and chain[-1] == "<q@r>" == back["In-Reply-To"]


def _attached(path: Path, data: bytes) -> Attachment:
    return Attachment(str(path), path.name, "text/plain", len(data), hashlib.sha256(data).hexdigest())


def test_a_file_is_sent_only_as_it_was_agreed_to(tmp_path: Path) -> None:
    path = tmp_path / "a;b=c \"ü\".txt"
    path.write_bytes(b"good")
    message = Outgoing("w", "you@b.test", "see", id="1" * 32, attachments=(_attached(path, b"good"),))
    back, _ = _back(message)
    (part,) = list(back.iter_attachments())
    assert part.get_filename() == path.name and part.get_payload(decode=True) == b"good"
    for change in (lambda: path.write_bytes(b"evil"), lambda: path.write_bytes(b"good and more"), path.unlink):
        change()
        with pytest.raises(compose.Refused, match="the file"):
            compose.compose(message, ME)


def test_odd_media_types_are_plain_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"From: a@b\r\n\r\nhi")
    for kind in ("message/rfc822", "multipart/mixed", "text/plain; charset=x\r\nBcc: a@b", "", "x"):
        one = _attached(tmp_path / "x", b"From: a@b\r\n\r\nhi")
        one = Attachment(one.path, one.name, kind, one.size, one.sha256)
        back, data = _back(Outgoing("w", "you@b.test", "see", id="1" * 32, attachments=(one,)))
        (part,) = list(back.iter_attachments())
        assert part.get_content_type() == "application/octet-stream" and b"\nBcc" not in data
