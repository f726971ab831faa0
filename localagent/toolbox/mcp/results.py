"""What a server answered, as text for the model; what is no text lies in a file beside it and is said."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mcp_types as types

from ...store.atomic import write_atomic
from ...values import Image
from .. import pictures

_MOST_FILES = 20
_FILE_BYTES = 12 << 20
_LISTED = 100


def text_of(result: types.CallToolResult, folder: Path, label: str) -> str:
    """Its parts one after the other; where it has none but structured content, that."""
    told = parts(result.content, folder, label)
    if not told.strip() and result.structured_content is not None:
        told = json.dumps(result.structured_content, ensure_ascii=False, indent=1)
    return told or "(no output)"


def pictures_of(result: types.CallToolResult, spill: Path) -> tuple[Image, ...]:
    """Its pictures, for a model that sees: kept like those of any other tool. What is none by its bytes is left out."""
    found: list[Image] = []
    for part in result.content[:_MOST_FILES]:
        if not isinstance(part, types.ImageContent) or len(found) >= pictures.MOST or len(part.data) > 2 * pictures.BYTES:
            continue
        try:
            made = base64.b64decode(part.data, validate=False)
        except ValueError:
            continue
        if pictures.kind(made) and len(made) <= pictures.BYTES:
            found.append(pictures.stored(made, spill))
    return tuple(found)


def read(result: types.ReadResourceResult, folder: Path, label: str) -> str:
    return "\n".join(_resource(one, folder, label) for one in result.contents) or "(empty)"


def listing(found: Sequence[types.Resource], words: str = "") -> str:
    """One line each: address, kind, what it is."""
    wanted = [one for one in found if words.casefold() in f"{one.uri} {one.name} {one.description or ''}".casefold()]
    lines = [f"{one.uri}  {one.mime_type or ''}  {_flat(one.title or one.name)}: {_flat(one.description or '')[:200]}" for one in wanted]
    more = [f"… and {len(lines) - _LISTED} more; give words that they hold."] if len(lines) > _LISTED else []
    return "\n".join([*lines[:_LISTED], *more]) or "There is nothing to read."


def prompt(result: types.GetPromptResult, folder: Path) -> str:
    return "\n\n".join(parts([message.content], folder, "prompt") for message in result.messages)


def parts(content: Sequence[Any], folder: Path, label: str) -> str:
    told = [_part(part, folder, f"{label}-{number}") for number, part in enumerate(content[:_MOST_FILES])]
    return "\n".join([*told, *map(_plain, content[_MOST_FILES:])])


def _plain(part: Any) -> str:
    return part.text if isinstance(part, types.TextContent) else f"[{part.type} left out]"


def _part(part: Any, folder: Path, label: str) -> str:
    if isinstance(part, types.TextContent):
        return part.text
    if isinstance(part, types.ImageContent | types.AudioContent):
        kind = "picture" if isinstance(part, types.ImageContent) else "sound"
        return _kept(part.data, part.mime_type, folder, label, kind)
    if isinstance(part, types.EmbeddedResource):
        return _resource(part.resource, folder, label)
    if isinstance(part, types.ResourceLink):
        return f"[to read: {_flat(str(part.uri))} ({_flat(part.title or part.name)})]"
    return f"[{getattr(part, 'type', 'something')} that is not known here]"


def _resource(resource: Any, folder: Path, label: str) -> str:
    if isinstance(resource, types.TextResourceContents):
        return f"[{resource.uri}]\n{resource.text}"
    return _kept(resource.blob, resource.mime_type or "", folder, label, f"content of {_flat(str(resource.uri))}")


def _kept(data: str, media_type: str, folder: Path, label: str, what: str) -> str:
    """Bytes as a file that tools can go on with; the model is told of it."""
    try:
        made = base64.b64decode(data, validate=False)
    except ValueError:
        return f"[a {what} that cannot be decoded]"
    if len(made) > _FILE_BYTES:
        return f"[a {what} of {len(made):,} bytes, which is too large to keep]"
    media_type = _flat(media_type)[:80]
    ending = mimetypes.guess_extension(media_type.partition(";")[0].strip().lower()) or ".bin"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / f"{label}-{hashlib.sha256(made).hexdigest()[:8]}{ending}"
    write_atomic(file, made)
    return f"[a {what}, {media_type or 'of unknown kind'}, {len(made):,} bytes, saved as {file}]"


def _flat(text: str) -> str:
    return " ".join(text.split())
