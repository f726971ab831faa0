"""Webhooks against a receiver on this machine that checks the signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest

from localagent.channels import webhook
from localagent.channels.base import Channel, Receiver
from localagent.errors import ChannelError
from tests.channels.messages import ID, attached, outgoing
from tests.channels.web import Answer, Drop, run, web

KEY = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def _sent(message, answer=None, key=KEY, path="/in?x=1", **config):
    async def go():
        async def handler(_):
            return answer if answer is not None else Answer({}, 202)

        async with web(handler) as server:
            made = webhook.make("c", {"url": server.url + path} | config, lambda: key)
            return await made.send(message), server.asked

    return run(go())


def _verified(asked, key: bytes) -> bool:
    signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return asked.headers["webhook-signature"] == f"v1,{digest}"


def test_a_message_is_posted_signed_and_with_its_id(tmp_path):
    file = attached(tmp_path / "a.bin", b"\x00\xff")
    sent, (asked,) = _sent(outgoing("ops", "täxt", subject="s", attachments=(file,)))
    assert (sent.state, sent.proof) == ("sent", f"202 {ID}")
    assert (asked.method, asked.path, asked.query) == ("POST", "/in", {"x": "1"})
    assert asked.headers["idempotency-key"] == asked.headers["webhook-id"] == ID
    assert abs(int(asked.headers["webhook-timestamp"]) - time.time()) < 10
    assert _verified(asked, b"0123456789abcdef01234567") and not _verified(asked, b"other")
    about = {"name": "a.bin", "media_type": "text/plain", "size": 2, "sha256": file.sha256, "content": "AP8="}
    assert asked.json == {"id": ID, "to": "ops", "text": "täxt", "subject": "s", "attachments": [about]}


def test_a_plain_key_signs_too_and_no_key_signs_nothing():
    _, (asked,) = _sent(outgoing("", "x"), key="any words")
    assert _verified(asked, b"any words")
    _, (asked,) = _sent(outgoing("", "x"), key="")
    assert "webhook-signature" not in asked.headers
    sent, asked = _sent(outgoing("", "x"), key="whsec_!!")
    assert sent.state == "failed" and not asked


def test_the_signature_is_that_of_the_specification():
    """The example that the specification's libraries test themselves with."""
    headers = webhook.signed(
        b'{"test": 2432232314}', "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("answer", "state", "again"),
    [
        (Answer({"id": "row-7"}, 200), "sent", False),
        (Answer({}, 303, {"Location": "http://127.0.0.1:1/"}), "unconfirmed", False),
        (Answer({}, 301, {"Location": "http://127.0.0.1:1/"}), "failed", False),
        (Answer({}, 429, {"Retry-After": "3"}), "failed", True),
        (Answer({}, 404), "failed", False),
        (Answer({}, 503), "unconfirmed", False),
        (Drop(), "unconfirmed", False),
    ],
)
def test_what_each_answer_is_called(answer, state, again):
    sent, _ = _sent(outgoing("ops"), answer)
    assert (sent.state, sent.again) == (state, again)


def test_the_receivers_own_id_is_the_proof():
    assert _sent(outgoing("ops"), Answer({"id": "row-7"}))[0].proof == "row-7"


def test_what_cannot_be_posted(tmp_path):
    assert _sent(outgoing("ops", id=""))[0].state == "failed"
    assert _sent(outgoing("ops", draft=True))[0].state == "failed"
    for url in ("http://example.org/x", "https://me:pw@example.org/", "", "file:///x"):
        with pytest.raises(ChannelError):
            webhook.make("c", {"url": url}, lambda: "")


def test_it_only_sends_and_says_whether_the_receiver_sorts_out_doubles():
    once = webhook.make("c", {"url": "https://example.org", "once": True}, lambda: "")
    assert isinstance(once, Channel) and not isinstance(once, Receiver) and once.idempotent
    assert not webhook.make("c", {"url": "https://example.org"}, lambda: "").idempotent


def test_a_probe_posts_nothing():
    async def go():
        async def handler(_):
            return Answer(b"", 405)

        async with web(handler) as server:
            return await webhook.make("c", {"url": server.url}, lambda: "").probe(), server.asked

    health, asked = run(go())
    assert health.ok and [a.method for a in asked] == ["HEAD"]
