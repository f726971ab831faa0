import importlib
import struct
import sys
from pathlib import Path

import pytest

from localagent import ToolError

sys.path.insert(0, str(Path(__file__).parents[1]))
plugin = importlib.import_module("rename_photos")


def photo(when: str, order: str = ">") -> bytes:
    """The beginning of a JPEG file whose camera says when it was taken."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    first = struct.pack(f"{order}HHHIII", 1, plugin.MORE, 4, 1, 26, 0)
    exif = struct.pack(f"{order}HHHIII", 1, plugin.TAKEN, 2, 20, 44, 0)
    body = b"Exif\0\0" + head + first + exif + when.encode() + b"\0"
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("order", ["<", ">"])
def test_photos_are_named_by_the_moment_they_were_taken(tmp_path: Path, order: str) -> None:
    (tmp_path / "IMG_1.JPG").write_bytes(photo("2026:05:31 14:30:05", order))
    (tmp_path / "IMG_2.jpg").write_bytes(photo("2026:05:31 14:30:05", order))
    (tmp_path / "scan.jpg").write_bytes(b"\xff\xd8 no date")
    result = plugin.rename_photos(tmp_path)
    names = [(Path(move.path).name, Path(move.destination).name) for move in result.requests]
    assert names == [("IMG_1.JPG", "2026-05-31 14.30.05.jpg"), ("IMG_2.jpg", "2026-05-31 14.30.05 (2).jpg")]
    assert result.text == "Renamed 2 of 3 photos. 1 have no date in them."


def test_what_is_named_so_already_stays(tmp_path: Path) -> None:
    for name in ("2026-05-31.jpg", "2026-05-31 (2).jpg"):
        (tmp_path / name).write_bytes(photo("2026:05:31 14:30:05"))
    assert plugin.rename_photos(tmp_path, by="day").requests == []


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no folder"):
        plugin.rename_photos(tmp_path / "none")
