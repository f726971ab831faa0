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
class Overlay:
    """A host folder that a call sees overlaid: what it writes there lands in `upper`. `work` is the kernel's."""

    folder: str
    upper: str
    work: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What a program sees beside the system's own files, all absolute host paths.

    `readable` and `writable` appear at their own place, `binds` shows a host folder read-write
    at another path (the staged copy at the workspace's own). Secrets stay hidden even where
    they lie under one of these, and so does what `closed` names. `network` False leaves only a private loopback,
    and `hosts` (patterns of rules, such as `example.org` and `*.example.org`) the way to these through our proxy;
    `private` (exact `name:port`) are those of them that may lie on this machine or its own network.
    With `overlay` its folder is overlaid before anything is opened (it must be named in `binds` or `writable` too),
    or the program is not started.
    """

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    closed: tuple[str, ...] = ()
    network: bool = False
    hosts: tuple[str, ...] = ()
    denied_hosts: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    overlay: Overlay | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Boundary:
    """What holds a program in: `name` none means that nothing does, `reason` and `hint` say why."""

    name: Literal["bubblewrap", "landlock", "seatbelt", "none"]
    reason: str = ""
    hint: str = ""

    @property
    def reduced(self) -> bool:
        """Whether it holds less than the full boundary; `reason` then says why it is used."""
        return self.name in ("landlock", "seatbelt")

    @property
    def in_place(self) -> bool:
        """Whether no folder can be shown at another path, so that a staged copy is worked on where it lies."""
        return self.name in ("landlock", "seatbelt", "none")


@dataclass(frozen=True, slots=True)
class Facts:
    """The boundary and what is known of the program that makes it."""

    name: Literal["bubblewrap", "landlock", "seatbelt", "none"]
    reason: str = ""
    hint: str = ""
    program: str = ""
    version: str = ""
