"""Pictures as they are kept: written and read without anybody's decoder."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from localagent.errors import StoreError
from localagent.store import picture


def points(wide: int, high: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(0, 255, wide * high * 3, dtype=np.uint8).tobytes()


@pytest.mark.parametrize(("wide", "high"), [(1, 1), (1, 40), (40, 1), (317, 211)])
def test_what_was_written_is_read_and_others_read_it_too(wide: int, high: int) -> None:
    from PIL import Image

    made = points(wide, high)
    file = picture.encode(wide, high, made)
    assert picture.decode(file) == (wide, high, made)
    with Image.open(io.BytesIO(file)) as seen:
        assert (seen.format, seen.size, seen.convert("RGB").tobytes()) == ("PNG", (wide, high), made)


@pytest.mark.parametrize(("wide", "high", "size"), [(0, 1, 0), (2, 2, 11), (5000, 1, 15000), (2048, 1024, 2048 * 1024 * 3)])
def test_other_sizes_are_not_written(wide: int, high: int, size: int) -> None:
    with pytest.raises(ValueError, match="no size"):
        picture.encode(wide, high, bytes(size))


def test_nothing_but_our_own_form_is_read() -> None:
    good = picture.encode(20, 10, points(20, 10))
    huge = good[:16] + struct.pack(">II", 1 << 20, 1 << 20) + good[24:]
    interlaced = good[:28] + b"\1" + good[29:]
    for file in (b"", b"\x89PNG", good[:40], good[:-20], huge, interlaced, b"GIF89a" + good, good[:60] + b"\xff\xff" + good[62:]):
        with pytest.raises(ValueError):
            picture.decode(file)
    from PIL import Image

    other = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(other, "PNG")
    with pytest.raises(ValueError):
        picture.decode(other.getvalue())


def test_a_picture_is_found_by_its_name_alone(tmp_path: Path) -> None:
    place = picture.folder(tmp_path)
    name = picture.keep(place, picture.encode(2, 2, bytes(12)))
    found = picture.find(place, name)
    assert found is not None and picture.read(place, name) == found.read_bytes()
    assert picture.keep(place, found.read_bytes(), "a" * 64) == "a" * 64 and picture.find(place, "a" * 64) is not None
    for wrong in ("", "b" * 64, "../" + "a" * 61, name.upper()):
        assert picture.find(place, wrong) is None
    assert picture.find("", name) is None
    with pytest.raises(StoreError):
        picture.read(place, "b" * 64)
