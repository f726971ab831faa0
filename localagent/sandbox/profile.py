"""What a program may see, change and use: the values this room is asked with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Ended = Literal["", "timeout", "output", "memory", "processes", "killed"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use. `memory_mb` is the data size of each process; the whole tree
    may be resident with half as much again. `output_kb` 0 and `wall_s` 0 mean no limit."""

    wall_s: float = 120
    memory_mb: int = 4096
    processes: int = 256
    file_mb: int = 2048
    output_kb: int = 1024


@dataclass(frozen=True, slots=True)
class Profile:
    """What a program sees beside the system's own files, all absolute host paths.

    `readable` and `writable` appear at their own place, `binds` shows a host folder read-write
    at another path (the staged copy at the workspace's own). Secrets stay hidden even where
    they lie under one of these, and so does what `closed` names. `network` False leaves only a private loopback.
    """

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    closed: tuple[str, ...] = ()
    network: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Boundary:
    """What holds a program in: `name` none means that nothing does, `reason` and `hint` say why."""

    name: Literal["bubblewrap", "none"]
    reason: str = ""
    hint: str = ""
