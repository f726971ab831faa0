"""Pictures of a request: data of the request itself, decoded in the sandbox and kept for a while. Nothing is fetched."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SandboxUnavailable
from ..store import paths, picture
from ..toolbox import intake
from ..values import Image
from . import fields
from .refusals import Refused

if TYPE_CHECKING:
    from .models import Model
    from .requests import Chat

KINDS = ("image_url", "input_image")
_KEPT = 200


def read(part: Mapping[str, Any], where: str, found: dict[str, bytes]) -> Image:
    """The picture of an `image_url` part, its bytes put into `found`. Raises `Refused`."""
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, Mapping) else given
    head, comma, data = fields.text(url, f"{where}.image_url.url").partition(",")
    if not head.startswith("data:") or not comma:
        told = f"{where}.image_url.url must be a data URL: nothing is fetched for a request."
        raise Refused(told, param=f"{where}.image_url.url", code="unsupported_value")
    if not head.endswith(";base64"):
        raise Refused(f"{where}.image_url.url must be in base64.", param=f"{where}.image_url.url")
    try:
        made = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{where}.image_url.url is not base64.", param=f"{where}.image_url.url") from None
    name = hashlib.sha256(made).hexdigest()
    found[name] = made
    if len(found) > intake.MOST:
        raise Refused(f"{intake.MOST} pictures are the most in one request.", param="messages")
    return Image(name)


async def shown(chat: Chat, model: Model) -> Chat:
    """The request with its pictures where the engine finds them. Raises `Refused` for a model that cannot see, and for a bad one."""
    if not chat.pictures:
        return chat
    if not getattr(model.engine, "sees", False):
        told = f"{model.id} reads text only; GET /v1/models says which models see."
        raise Refused(told, param="messages", code="unsupported_value")
    place = picture.folder(paths.cache_dir() / "served")
    await asyncio.to_thread(_forget, place, frozenset(chat.pictures))
    for name, data in chat.pictures.items():
        if picture.find(place, name) is None:
            try:
                await intake.converted(data, place, name)
            except intake.Unseen as error:
                raise Refused(f"A picture of the request cannot be read: {error.message}", param="messages") from None
            except SandboxUnavailable as error:
                raise Refused(f"Pictures cannot be read here: {error.message}", param="messages") from None
    return replace(chat, options=replace(chat.options, pictures=str(place)))


def _forget(place: Path, keep: frozenset[str]) -> None:
    """The oldest beyond so many: a request brings its pictures anew."""
    try:
        held = sorted(place.glob("*.png"), key=lambda file: file.stat().st_mtime_ns)
        for file in held[: max(0, len(held) - _KEPT)]:
            if file.name.partition(".")[0] not in keep:
                file.unlink(missing_ok=True)
    except OSError:
        return
