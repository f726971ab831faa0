"""A message as a signed POST of JSON to an address of the user's: out only.

Signed as the Standard Webhooks specification says, so that its verifiers can be used at the other end:
`webhook-id`, `webhook-timestamp`, and in `webhook-signature` "v1," with the base64 of HMAC-SHA256 over
`id.timestamp.body`. The id is the message's own, also as `Idempotency-Key`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..errors import ChannelError
from ..values import Outgoing, Sent
from . import files
from .base import Health
from .fields import Field, flag, word
from .judging import Ask, Secret, failed, lost, quiet, refused, sentence, unsendable
from .text import file_name
from .wire import Lost, Wire

FILES = 10
SEND_BYTES = 10 << 20

FIELDS = (
    Field("url", "the address that is posted to; https, or this machine", required=True),
    Field("key", "the key that messages are signed with (whsec_... or any text), if any", secret=True),
    Field("once", "true where the receiver takes the same Idempotency-Key only once"),
)


def make(name: str, config: Mapping[str, Any], secret: Ask) -> Webhook:
    """ChannelError where the configuration cannot be used."""
    return Webhook(name, word(config, "url"), secret, flag(config, "once"))


class Webhook:
    """The address of a message is passed on as `to`: there is one receiver, and it knows what that means."""

    kind = "webhook"

    def __init__(self, name: str, url: str, secret: Ask, once: bool) -> None:
        self.name, self.idempotent = name, once
        self._key = Secret(secret, "signing key", optional=True, header=False)
        parts = urlsplit(url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._wire = Wire(f"{parts.scheme}://{parts.netloc}", _plain, self._key.scrub)

    async def send(self, message: Outgoing) -> Sent:
        if (no := unsendable(message, files=FILES, service="a webhook")) is not None:
            return no
        if not re.fullmatch(r"[0-9A-Za-z_-]{8,64}", message.id):
            return failed("the message has no id yet")
        if sum(each.size for each in message.attachments) > SEND_BYTES:
            return failed(f"the files are too large: {files.size(SEND_BYTES)} are the most")
        try:
            body = await self._body(message)
            headers = signed(body, message.id, int(time.time()), await self._key.get())
            reply = await self._wire.ask("POST", self._path, content=body, headers=headers)
        except (files.Unfit, ChannelError) as error:
            return failed(str(error))
        except Lost as error:
            return lost(error)
        if reply.ok:
            named = reply.json().get("id")
            return Sent("sent", quiet(named, 100) if isinstance(named, str) and named else f"{reply.status} {message.id}")
        if reply.status in (302, 303):
            # Some answer like this after they have taken it in, some before.
            return Sent("unconfirmed", detail=f"{self._wire.host} answered {reply.status}, which is not followed; "
                        "whether the message arrived is not known")
        return refused(reply, self._wire.host)

    async def _body(self, message: Outgoing) -> bytes:
        attachments = []
        for each in message.attachments:
            content = base64.b64encode(await files.read(each, SEND_BYTES)).decode("ascii")
            about = {"name": file_name(each.name), "media_type": each.media_type, "size": each.size}
            attachments.append(about | {"sha256": each.sha256, "content": content})
        whole = {
            "id": message.id,
            "to": message.address,
            "name": message.name,
            "subject": message.subject,
            "text": message.text,
            "reply_to": message.reply_to,
            "thread": message.thread,
            "attachments": attachments,
        }
        return json.dumps({k: v for k, v in whole.items() if v or k in ("id", "text")}, ensure_ascii=False).encode()

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        """Whether the server answers. It is not posted to: that would be a message."""
        try:
            reply = await self._wire.ask("HEAD", self._path, wait=20)
        except (Lost, ChannelError) as error:
            return Health(False, sentence(error))
        fine = reply.status < 500
        return Health(fine, f"{self._wire.host} answers ({reply.status} to a look that posts nothing).", fine or None)

    async def aclose(self) -> None: ...


async def _plain(path: str) -> tuple[str, Mapping[str, str]]:
    return path, {}


def signed(body: bytes, message: str, at: int, key: str) -> dict[str, str]:
    """The headers of a body: what it is, which message, when, and by whom where there is a key."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": message, "webhook-id": message}
    headers["webhook-timestamp"] = str(at)
    if key:
        digest = hmac.new(_key_bytes(key), f"{message}.{at}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode('ascii')}"
    return headers


def _key_bytes(key: str) -> bytes:
    if not key.startswith("whsec_"):
        return key.encode()
    try:
        return base64.b64decode(key.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ChannelError("The signing key is cut: what follows whsec_ is no base64.") from error
