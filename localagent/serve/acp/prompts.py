"""What an editor sends as a prompt: the person's own words, and what they attached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from acp.schema import EmbeddedResourceContentBlock, ResourceContentBlock, TextContentBlock, TextResourceContents

from ...agent import shown

_ATTACHED, _NAME = 200_000, 4096


def read(blocks: Sequence[Any]) -> tuple[str, str]:
    """The words, and the attached texts, which are data and no words of the person's.

    A linked file is named in the words as `@path`, as a person would type it, where its name can be nothing but one. What is neither
    text nor link is named as not read.
    """
    words: list[str] = []
    attached: list[str] = []
    for block in blocks:
        match block:
            case TextContentBlock():
                words.append(block.text)
            case ResourceContentBlock():
                _link(block.uri, words, attached)
            case EmbeddedResourceContentBlock(resource=TextResourceContents() as resource):
                _link(resource.uri, words, attached)
                attached.append(f"{resource.uri}:\n{resource.text[:_ATTACHED]}")
            case _:
                attached.append(f"({getattr(block, 'type', 'something')} was attached, which cannot be read here)")
    return "".join(words).strip(), "\n\n".join(attached)


def _link(uri: str, words: list[str], attached: list[str]) -> None:
    """Among the words where it can be nothing but a name: whoever named a file must not put sentences into the person's mouth."""
    name = _named(uri)
    plain = name.removeprefix('@"').removesuffix('"') if name.startswith('@"') else name
    if '"' in plain or not plain.isprintable() or (" " in plain and not name.startswith('@"')) or len(plain) > _NAME:
        attached.append(f"(attached: {shown.visible(name, lines=False)[:_NAME]})")
    else:
        words.append(f" {name} ")


def _named(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return uri
    path = unquote(parts.path)
    return f'@"{path}"' if " " in path else f"@{path}"
