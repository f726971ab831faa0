"""The folders that a step works in: their times, and making the renames in them durable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from ..errors import StoreError
from .apply import Roots, where
from .files import Root
from .steps import Op


def parents(op: Op) -> list[str]:
    found = [os.path.dirname(where(op))]
    if op.dest:
        found.append(os.path.dirname(os.path.join(op.dest_root, op.dest)))
    if op.temp and not os.path.isabs(op.temp):
        found.append(os.path.dirname(os.path.join(op.root, op.temp)))
    return found


def time_of(path: str) -> int | None:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return None


def set_time(path: str, mtime_ns: int | None) -> None:
    if mtime_ns is None or os.path.islink(path) or time_of(path) == mtime_ns:
        return
    with contextlib.suppress(OSError, StoreError), Root(path) as root:
        root.utime("", mtime_ns)


def sync(ops: Sequence[Op], roots: Roots) -> None:
    """Make the renames durable, a folder once."""
    done: set[tuple[str, str]] = set()
    for op in ops:
        for root, path in ((op.root, op.path), (op.dest_root, op.dest)):
            folder = (root, os.path.dirname(path))
            if path and folder not in done:
                done.add(folder)
                with contextlib.suppress(OSError, StoreError):
                    roots.get(root).sync(folder[1])
