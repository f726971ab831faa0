"""Reads what a process and all its descendants use, from /proc."""

from __future__ import annotations

import os

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def tasks() -> int:
    """How many threads the whole machine has, read in microseconds; 0 without /proc."""
    try:
        with open("/proc/loadavg", "rb") as file:
            return int(file.read().split()[3].partition(b"/")[2])
    except (OSError, IndexError, ValueError):
        return 0


def usage(pid: int) -> tuple[int, int]:
    """(number of processes, resident bytes) of `pid` and everything below it; (0, 0) without /proc."""
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return 0, 0
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The program's name may hold spaces and brackets: fields count from the last one.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(name))
        resident[int(name)] = int(fields[21]) * _PAGE
    below, total = [pid], 0
    for parent in below:
        total += resident.get(parent, 0)
        below += children.get(parent, ())
    return len(below), total
