"""What an editor sends as a prompt: the person's own words, and what they attached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from acp.schema import EmbeddedResourceContentBlock, ResourceContentBlock, TextContentBlock, TextResourceContents

_ATTACHED = 200_000


def read(blocks: Sequence[Any]) -> tuple[str, str]:
    """The words, and the attached texts, which are data and no words of the person's.

    A linked file is named in the words as `@path`, as a person would type it. What is neither text nor link is named as not read.
    """
    words: list[str] = []
    attached: list[str] = []
    for block in blocks:
        match block:
            case TextContentBlock():
                words.append(block.text)
            case ResourceContentBlock():
                words.append(f" {_named(block.uri)} ")
            case EmbeddedResourceContentBlock(resource=TextResourceContents() as resource):
                words.append(f" {_named(resource.uri)} ")
                attached.append(f"{resource.uri}:\n{resource.text[:_ATTACHED]}")
            case _:
                attached.append(f"({getattr(block, 'type', 'something')} was attached, which cannot be read here)")
    return "".join(words).strip(), "\n\n".join(attached)


def _named(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return uri
    path = unquote(parts.path)
    return f'@"{path}"' if " " in path else f"@{path}"
