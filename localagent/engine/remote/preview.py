"""What a request to an endpoint holds, in words for the person who is asked whether it may go out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...values import Image, Message, ToolSpec
from ..entry import Entry
from .meter import tokens

_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")


SHOWN = ("model", "to", "size", "price", "provider_tools", "images", "tools", "messages")
"""The fields of `Leaving` in the order in which a person reads them."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """`to` is the host; `messages` their whole text as it goes out; `price` in words, "" where nobody knows it."""

    model: str
    to: str
    size: str
    price: str
    provider_tools: str
    tools: str
    images: str
    messages: str


def leaving(
    entry: Entry, body: Mapping[str, Any], messages: Sequence[Message], specs: Sequence[ToolSpec], on: Sequence[str]
) -> Leaving:
    """Of the very `body` that `RemoteEngine.request` made of these messages; `on` are the provider's tools that are switched on."""
    assert entry.remote is not None
    read, most = tokens(messages, specs), int(body.get("max_tokens") or 0)
    clear = "" if entry.remote.base_url.startswith("https://") else " (in the clear: others in the network can read it)"
    return Leaving(
        model=entry.id,
        to=urlsplit(entry.remote.base_url).netloc.rpartition("@")[2] + clear,
        size=f"about {read:,} tokens; the answer has {most:,} at most",
        price=_price(entry, read, most),
        provider_tools=_switches(entry, on),
        tools=", ".join(spec.name for spec in specs) if "tools" in body else "",
        images=_images(messages),
        messages="\n".join(_told(one) for one in body["messages"]),
    )


def _price(entry: Entry, read: int, most: int) -> str:
    if entry.price is None:
        return "not known"
    low, high = entry.price.of(read, 0), entry.price.of(read, most)
    return f"about ${low:.4f}, ${high:.4f} at most ({entry.price.source}, {entry.price.date})"


def _switches(entry: Entry, on: Sequence[str]) -> str:
    known = entry.remote.tools if entry.remote else {}
    if not known:
        return ""
    told = ", ".join(f"{name.replace('_', ' ')} {'ON' if name in on else 'off'}" for name in known)
    return f"{told}{' (the provider uses them by itself, with what is sent)' if any(name in on for name in known) else ''}"


def _images(messages: Sequence[Message]) -> str:
    parts = [part for message in messages for part in (message.result.parts if message.result else message.parts)]
    found = [part for part in parts if isinstance(part, Image)]
    names = [getattr(one, "name", "") or one.sha256[:12] for one in found]
    return f"{len(found)}: {', '.join(names)}" if found else ""


def _told(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", f"[{part.get('type', 'part')}]")) for part in content if isinstance(part, Mapping))
    lines = [f"[{message.get('role', '')}] {content or ''}".rstrip()]
    lines += [f"[its thoughts] {_plain(message[name])}" for name in _THOUGHTS if message.get(name)]
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        lines.append(f"[its call] {function.get('name', '')} {function.get('arguments', '')}")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
