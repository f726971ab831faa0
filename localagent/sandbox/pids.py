"""A process limit for root, whom the kernel exempts from the one every other user has (RLIMIT_NPROC)."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Sequence

_HIERARCHIES = ("/sys/fs/cgroup/pids", "/sys/fs/cgroup")
# bubblewrap's own two processes, and those of the moment in which it starts.
_OURS = 8
_counter = itertools.count()


def room(processes: int) -> str:
    """A new control group for one call that holds that many processes; "" where it is not needed or not possible."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return ""
    for top in _HIERARCHIES:
        folder = os.path.join(top, f"localagent-{os.getpid()}-{next(_counter)}")
        try:
            os.mkdir(folder)
        except OSError:
            continue
        try:
            with open(os.path.join(folder, "pids.max"), "r+", encoding="ascii") as file:
                file.write(str(processes + _OURS))
        except OSError:
            leave(folder)
            continue
        _sweep(top)
        return folder
    return ""


def inside(folder: str, argv: Sequence[str]) -> list[str]:
    """`argv` begun by a shell that enters the group and becomes it."""
    if not folder:
        return list(argv)
    script = 'echo 0 > "$0" 2>/dev/null; exec "$@"'
    return ["/bin/sh", "-c", script, os.path.join(folder, "cgroup.procs"), *argv]


def leave(folder: str) -> None:
    """Remove the group; its processes have ended."""
    if folder:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _sweep(top: str) -> None:
    """Remove what was left by processes of ours that were killed."""
    with contextlib.suppress(OSError):
        for name in os.listdir(top):
            owner = name.removeprefix("localagent-").partition("-")[0]
            if name.startswith("localagent-") and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
                leave(os.path.join(top, name))
