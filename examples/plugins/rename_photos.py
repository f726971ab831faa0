"""Photos named by the day they were taken: IMG_4711.JPG becomes 2026-05-31 14.30.05.jpg. Proposes moves; each can be undone."""

import struct
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from localagent import Limit, Move, Result, ToolError, tool

TAKEN, CHANGED, MORE = 0x9003, 0x0132, 0x8769


@tool(effects=["write:fs"])
def rename_photos(
    folder: Path, by: Literal["second", "day"] = "second", most: Annotated[int, Limit(ge=1, le=2000)] = 500
) -> Result:
    """Rename the JPEG photos of a folder by the date and time they were taken.

    Args:
        folder: The folder with the photos.
        by: How exact the new names are; photos of one day are numbered.
        most: How many photos at most.
    """
    if not folder.is_dir():
        raise ToolError(f"{folder} is no folder. Name the folder that the photos are in.")
    photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))[:most]
    taken = {path.name.lower() for path in folder.iterdir()}
    moves, undated = [], 0
    for photo in photos:
        when = taken_at(photo.read_bytes()[:262_144])
        if when is None:
            undated += 1
            continue
        stem = when.strftime("%Y-%m-%d" if by == "day" else "%Y-%m-%d %H.%M.%S")
        if photo.stem == stem or photo.stem.startswith(f"{stem} ("):
            continue
        name = free_name(stem, taken)
        moves.append(Move(photo, folder / name))
    told = f"Renamed {len(moves)} of {len(photos)} photos."
    return Result(f"{told} {undated} have no date in them." if undated else told, moves)


def free_name(stem: str, taken: set[str]) -> str:
    """A name that no file there has; it counts as taken from then on."""
    number, name = 1, f"{stem}.jpg"
    while name.lower() in taken:
        number += 1
        name = f"{stem} ({number}).jpg"
    taken.add(name.lower())
    return name


def taken_at(data: bytes) -> datetime | None:
    """When the camera says it was taken; None where it says nothing."""
    start = data.find(b"Exif\0\0")
    if not data.startswith(b"\xff\xd8") or start < 0:
        return None
    tiff = data[start + 6 :]
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        first = tags(tiff, struct.unpack(f"{order}I", tiff[4:8])[0], order)
        exif = tags(tiff, first[MORE], order) if MORE in first else {}
        at = exif.get(TAKEN) or first[CHANGED]
        return datetime.strptime(tiff[at : at + 19].decode("ascii"), "%Y:%m:%d %H:%M:%S")
    except (struct.error, KeyError, ValueError):
        return None


def tags(tiff: bytes, at: int, order: str) -> dict[int, int]:
    """The numbers of one directory's entries: an offset for what is longer than four bytes."""
    (count,) = struct.unpack(f"{order}H", tiff[at : at + 2])
    entries = (struct.unpack(f"{order}HHII", tiff[at + 2 + 12 * n : at + 14 + 12 * n]) for n in range(count))
    return {tag: value for tag, _, _, value in entries}
