"""The picture in the clipboard, and one of the screen, as the desktop's own programs give them.

These are trusted helpers: they need the desktop, which no sandbox shows. What they give is decoded in the sandbox like
any other picture.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import LocalAgentError
from ..sandbox import launch
from .intake import Unseen

_LIMITS = launch.Limits(wall_s=20, memory_mb=0, processes=0, file_mb=0, output_kb=65536)
_FILE = "FILE"
"""In a program's words: it writes there, and not to its standard output."""
Program = tuple[str, ...]


def clipboards() -> list[Program]:
    """What reads a picture from the clipboard here, the likeliest first."""
    if sys.platform == "darwin":
        return [("pngpaste", "-")]
    wayland: list[Program] = [("wl-paste", "--type", "image/png")]
    x11: list[Program] = [("xclip", "-selection", "clipboard", "-t", "image/png", "-o")]
    return [*wayland, *x11] if os.environ.get("WAYLAND_DISPLAY") else x11


def screens() -> list[Program]:
    """What takes a picture of the screen here, the likeliest first."""
    if sys.platform == "darwin":
        return [("screencapture", "-x", "-t", "png", _FILE)]
    wayland: list[Program] = [("grim", "-")] if os.environ.get("WAYLAND_DISPLAY") else []
    others: list[Program] = [("gnome-screenshot", "-f", _FILE), ("spectacle", "-b", "-n", "-o", _FILE)]
    x11: list[Program] = [("scrot", "-o", _FILE), ("import", "-window", "root", "png:-")]
    return [*wayland, *others, *(x11 if os.environ.get("DISPLAY") else [])]


async def clipboard() -> bytes:
    """The picture in the clipboard. Raises `Unseen` where there is none, or nothing that could read it."""
    return await _first(clipboards(), "There is no picture in the clipboard.", "Reading pictures from the clipboard")


async def screenshot() -> bytes:
    """What is on the screen now. Raises `Unseen` where nothing here can take it."""
    return await _first(screens(), "The screen could not be taken.", "Taking the screen")


async def _first(programs: Sequence[Program], failed: str, what: str) -> bytes:
    """What the first program that is here and succeeds gave."""
    here = [(found, *rest) for name, *rest in programs if (found := shutil.which(name))]
    if not here:
        names = ", ".join(dict.fromkeys(program[0] for program in programs)) or "a desktop"
        raise Unseen(f"{what} needs one of these: {names}.", "Install one, or give the picture as a file.")
    said = ""
    for argv in here:
        data, told = await _run(argv)
        if data:
            return data
        said = said or told
    raise Unseen(f"{failed}{f' ({said})' if said else ''}", "Copy one, or give it as a file.")


async def _run(argv: Sequence[str]) -> tuple[bytes, str]:
    """What the program gave, and what it said of its failure."""
    with tempfile.TemporaryDirectory(prefix="localagent-screen-") as room:
        file = Path(room) / "picture.png"
        words = [str(file) if word == _FILE else word for word in argv]
        try:
            process = await launch.start(words, profile=None, cwd=room, env=os.environ, merge=False, limits=_LIMITS)
            async with process:
                data = b"".join([chunk async for chunk in process])
                code = await process.wait()
        except LocalAgentError as error:
            return b"", str(error)
        if file.is_file():
            data = file.read_bytes()
        lines = process.stderr.decode("utf-8", "replace").strip().splitlines()
        said = " ".join((lines[-1] if lines else "").split())[:120]
        return (data, "") if code == 0 else (b"", said if said.isprintable() else "")
