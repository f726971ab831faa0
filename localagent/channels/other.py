"""Other services (Slack, Discord, Teams, SMS and many more), out only, through Apprise: `pip install 'localagent[notify]'`.

Apprise tells yes or no and nothing of what the service said, so a yes is handed over and never sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from ..errors import ChannelError
from ..values import Outgoing, Sent
from . import files
from .base import Health
from .fields import Field, word
from .judging import Ask, Secret, failed, quiet, unsendable

FILES = 10
SEND_BYTES = 50 << 20

FIELDS = (
    Field("url", "the service's address as Apprise writes it, such as slack://...", required=True, secret=True),
    Field("address", "who it reaches, in your words; messages to anyone else are refused", required=True),
)


def make(name: str, config: Mapping[str, Any], secret: Ask) -> Other:
    """ChannelError where the configuration cannot be used."""
    address = word(config, "address")
    if not address:
        raise ChannelError("Say whom this channel reaches, with 'address'.")
    return Other(name, address, secret)


class Other:
    """One address of Apprise's, which reaches one place."""

    kind = "other"
    idempotent = False

    def __init__(self, name: str, address: str, secret: Ask) -> None:
        self.name = name
        self._address = address
        self._url = Secret(secret, "service's address", header=False)

    async def send(self, message: Outgoing) -> Sent:
        if (no := unsendable(message, files=FILES, service="this channel")) is not None:
            return no
        if message.address != self._address:
            return failed(f"this channel reaches {self._address} and nobody else")
        try:
            for each in message.attachments:
                await files.read(each, SEND_BYTES)
            service = await asyncio.to_thread(_service, await self._url.get())
        except (files.Unfit, ChannelError) as error:
            return failed(str(error))
        if message.attachments and not service[0].attachment_support:
            return failed("this service takes no files")
        limit = service[0].body_maxlen
        if isinstance(limit, int) and 0 < limit < len(message.text) + len(message.subject):
            return failed(f"the text is too long: this service takes {limit:,} characters")
        try:
            taken = await asyncio.to_thread(
                service.notify,
                body=message.text,
                title=message.subject,
                body_format="text",
                attach=[each.path for each in message.attachments] or None,
            )
        except Exception as error:  # noqa: BLE001  (a plugin of Apprise's may raise anything)
            return Sent("unconfirmed", detail=f"Apprise broke off ({type(error).__name__}); whether it arrived is not known")
        if taken:
            return Sent("handed over", detail="Apprise passed it on")
        return Sent("unconfirmed", detail="Apprise reports a failure without its reason; whether it arrived is not known")

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        """Whether Apprise knows the service. It cannot try it without sending."""
        try:
            service = await asyncio.to_thread(_service, await self._url.get())
        except ChannelError as error:
            return Health(False, str(error))
        return Health(True, f"Apprise knows this service as {quiet(service[0].service_name, 60)}; it was not tried.", True)

    async def aclose(self) -> None: ...


def _service(url: str) -> Any:
    apprise = _library()
    if re.search(r"[?&]verify=(no|false|0|off|n|f)\b", url, re.IGNORECASE):
        raise ChannelError("The service's address turns off the check of certificates (verify=no).", "Leave that out.")
    if re.search(r"[?&]retry=[1-9]", url, re.IGNORECASE):
        raise ChannelError("The service's address has messages sent again (retry=).", "Leave that out: a copy may come of it.")
    # Apprise's own words may hold the address; nothing of it is passed on.
    service = apprise.Apprise()
    if not service.add(url):
        raise ChannelError("Apprise does not understand the service's address.", "Look it up in Apprise's list.")
    if len(service) != 1:
        raise ChannelError("The service's address names several services.", "Add a channel for each.")
    return service


def _library() -> Any:
    try:
        import apprise
    except ImportError as error:
        raise ChannelError(
            "This channel needs the library Apprise, which is not installed.", "pip install 'localagent[notify]'"
        ) from error
    return apprise
