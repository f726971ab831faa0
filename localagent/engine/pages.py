"""Brings files into the system's cache bit by bit, before llama.cpp maps them: mapping reads all of a file
at once, tells nothing meanwhile and cannot be given up.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PART = 1 << 20


def bring_in(files: Sequence[Path], progress: Callable[[float], bool]) -> bool:
    """Read what is not in memory yet; False where `progress`, told the share that is there, says to give up.

    Where the system does not say what is in memory nothing is read, and of a file that cannot be read nothing either:
    loading it says what is wrong.
    """
    resident = _resident_of()
    try:
        total = sum(os.stat(file).st_size for file in files)
    except OSError:
        return True
    if resident is None or not total:
        return True
    done, buffer = 0, bytearray(PART)
    for file in files:
        try:
            with open(file, "rb", buffering=0) as opened:
                size = os.fstat(opened.fileno()).st_size
                for at in range(0, size, PART):
                    if not progress(min(1.0, (done + at) / total)):
                        return False
                    if not resident(opened.fileno(), at, min(PART, size - at)):
                        os.preadv(opened.fileno(), [buffer], at)
        except OSError:
            return True
        done += size
    return progress(1.0)


def _resident_of() -> Callable[[int, int, int], bool] | None:
    """Says whether all of a part of an open file is in memory; None where that cannot be known."""
    if sys.platform != "linux":
        return None
    libc: Any = ctypes.CDLL(None, use_errno=True)
    try:
        map_, unmap, incore = libc.mmap, libc.munmap, libc.mincore
    except AttributeError:
        return None
    map_.restype = ctypes.c_void_p
    map_.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    unmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    incore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    failed = ctypes.c_void_p(-1).value

    def resident(file: int, at: int, size: int) -> bool:
        place = map_(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file, at)
        if place == failed:
            return True
        pages = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
        told = incore(place, size, pages) == 0
        unmap(place, size)
        return not told or pages.raw.count(1) == len(pages)

    return resident
