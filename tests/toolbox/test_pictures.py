"""Pictures as results: by their bytes or their file, kept in the session's folder, and told in words."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from localagent.events import ToolFinished, from_json, to_json
from localagent.toolbox import pictures
from localagent.values import Image, ToolCall

from .test_plugins import plugin

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x20\x00\x30\x01\x01\x11\x00\xff\xd9"
Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (f"return {PNG!r}", "Made a picture."),
        (f"return Result('A chart.', pictures=[{PNG!r}])", "A chart."),
        (f"Path('chart.png').write_bytes({PNG!r})\nreturn Path('chart.png')", "chart.png"),
        (f"yield 'drawing'\nyield {PNG!r}", "drawing"),
    ],
)
def test_a_picture_is_kept_and_told_in_words(box: Make, body: str, text: str) -> None:
    made = box(plugin(body))
    result = made.call("go")
    image = next(part for part in result.parts if isinstance(part, Image))
    place = pictures.folder(made.spill) / f"{image.sha256}.png"
    assert image == Image(hashlib.sha256(PNG).hexdigest(), "image/png") and place.read_bytes() == PNG
    assert result.text == f"{text}\n[picture 1: PNG, 1 x 1, {len(PNG)} bytes, in {place}]"
    finished = ToolFinished(ToolCall("c", "go", {}), result, 0.1)
    assert from_json(to_json(finished)) == finished


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return b'no picture'", "no PNG, JPEG, GIF or WebP picture"),
        ("return Result('x', pictures=['a.txt'])", "must be the bytes, or the Path"),
        (f"return [{PNG!r}] * 9", "9 pictures in one result are too many"),
    ],
)
def test_what_is_none_is_one_failed_result(box: Make, body: str, told: str) -> None:
    result = box(plugin(body)).call("go")
    assert result.status == "failed" and told in result.text and len(result.parts) == 1


def test_sizes_are_read_from_the_files_themselves() -> None:
    kinds = {PNG: "png", JPEG: "jpeg", b"GIF89a": "gif", b"RIFF....WEBP": "webp", b"<svg>": "", b"": ""}
    assert {data: pictures.kind(data) for data in kinds} == kinds
    assert pictures._size(JPEG, "jpeg") == ", 48 x 32" and pictures._size(JPEG[:9], "jpeg") == "" and pictures._size(b"", "png") == ""
