"""The weaker boundary, for where bubblewrap cannot run: Landlock for files, a system-call filter for the rest.

Nothing is mounted, so a workspace cannot be shown at another path, and what lies inside one
cannot be taken out of it; no socket can be made at all. Never one of the two without the other.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import linux, seccomp
from .linux import Command, Host
from .profile import Limits, Profile

HELPER = str(Path(__file__).with_name("confine.py"))
_ROOT = str(Path(__file__).resolve().parents[2])
OLDEST = 3
"""The first version that keeps files outside from being emptied (Linux 6.2)."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# Everything but devices: what is made can be removed, renamed and linked inside.
_WRITE = _READ | _WRITE_FILE | 0b11_0000 | (1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12) | _REFER | _TRUNCATE
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_KERNEL = (
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version"),
    *("/proc/filesystems", "/proc/sys", "/sys/devices/system/cpu"),
)
_HIDDEN = ("/dev", "/proc", "/sys", "/boot", "/tmp", "/var/tmp", "/run", "/mnt", "/media", "/home", "/root")


def version() -> int:
    """What this kernel's Landlock can do, by the number of its interface; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)))


@contextlib.contextmanager
def prepare(
    profile: Profile, argv: Sequence[str], *, cwd: str, program: str, report: bool = False
) -> Iterator[Command]:
    """The whole command, started by the Python at `program`, with its descriptors open for the duration of the block.

    The helper removes the command's `temporary` folder; one that was never started leaves it to the caller.
    """
    with contextlib.ExitStack() as stack:
        command = Command([], (), ends_all=True)
        fds: list[int] = []
        if report:
            command.report, writing = os.pipe()
            stack.callback(os.close, writing)
            stack.callback(lambda: os.close(command.report) if command.report is not None else None)
            fds.append(writing)
        command.temporary = tempfile.mkdtemp(prefix="localagent-call-")
        wanted = {
            "rules": rules(profile, Host.current(), command.temporary),
            "cwd": os.path.realpath(cwd),
            "limits": _limits(profile.limits),
            "filter": base64.b64encode(seccomp.program(families=_families(profile), keeper=True)).decode(),
            "report": fds[0] if fds else 0,
            "temporary": command.temporary,
            "keeper": [seccomp.KEEPER, seccomp.KEEPERS_GROUP],
        } | handled(version(), profile.network)
        fd = os.memfd_create("confine")
        stack.callback(os.close, fd)
        os.write(fd, json.dumps(wanted).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        command.argv = [program, "-I", "-S", HELPER, str(fd), "--", *argv]
        command.fds = (*fds, fd)
        try:
            yield command
        except BaseException:
            shutil.rmtree(command.temporary, ignore_errors=True)
            raise


def handled(abi: int, internet: bool = False) -> dict[str, object]:
    """What is forbidden unless a rule allows it, as far as this version knows it."""
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    network, scoped = (3 if abi >= 4 and not internet else 0), (3 if abi >= 6 else 0)
    return {"handled": [(1 << bits) - 1, network, scoped], "size": 24 if abi >= 6 else 16 if abi >= 4 else 8}


def _families(profile: Profile) -> tuple[int, ...]:
    return seccomp.INTERNET if profile.network else ()


def _limits(limits: Limits) -> dict[str, int]:
    """Of processes the kernel counts all that the user has, so the limit lies above those."""
    from .tree import tasks

    found = {"RLIMIT_CORE": 0, "RLIMIT_NPROC": tasks() + limits.processes}
    if limits.memory_mb:
        found["RLIMIT_DATA"] = limits.memory_mb * 1024 * 1024
    if limits.file_mb:
        found["RLIMIT_FSIZE"] = limits.file_mb * 1024 * 1024
    return found


def rules(profile: Profile, host: Host, temporary: str) -> list[tuple[str, int]]:
    """(path, what may be done there and beneath), everything else is refused."""
    secrets = (*linux.secrets_of(host.home), *profile.closed)
    holes = {real for path in (*_HIDDEN, *linux.MASKED) if (real := os.path.realpath(path)) != "/"}
    holes |= {host.home, *secrets, *host.own} - {"/"}
    found = [(path, _READ) for path in _around("/", holes)]
    found += [(path, _READ) for path in (*host.tools, *_KERNEL) if os.path.exists(path)]
    found += [(path, _ON_FILES & ~_EXECUTE) for path in _DEVICES]
    if not linux.under(host.home, [_ROOT]):
        # Python finds our package by listing the folder that it lies in; files there stay closed.
        found.append((_ROOT, _READ_DIR))
    closed = {*secrets, *host.own}
    for path in profile.readable:
        found += [(inside, _READ) for inside in _opened(path, secrets, closed)]
    for path in (*profile.writable, *(source for source, _ in profile.binds)):
        found += [(inside, _WRITE) for inside in _opened(path, secrets, closed)]
    found.append((temporary, _WRITE))
    known = handled(version())["handled"][0]  # type: ignore[index]
    return [(path, access & known & (~0 if os.path.isdir(path) else _ON_FILES)) for path, access in found]


def _opened(path: str, secrets: Sequence[str], closed: set[str]) -> list[str]:
    """The path, or what lies in it around what is closed there; nothing where all of it is secret."""
    real = linux.openable(path, secrets)
    if not real or real == "/":
        return []
    return _around(real, {hole for hole in closed if hole.startswith(real + "/")})


def _around(path: str, holes: set[str]) -> list[str]:
    """What covers everything at `path` but the holes: a right holds for all beneath, and none can be taken back."""
    if not any(hole == path or hole.startswith(path.rstrip("/") + "/") for hole in holes):
        return [path]
    found: list[str] = []
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            if entry.path not in holes and not entry.is_symlink():
                inside = {hole for hole in holes if hole.startswith(entry.path + "/")}
                found += _around(entry.path, inside)
    return found


def program() -> str:
    """The Python that runs the helper."""
    return sys.executable or shutil.which("python3") or str(Path("/usr/bin/python3"))
