"""Starts every process we start, and ends it with everything it has started.

A program is run inside the boundary when it comes with a `Profile`; a trusted helper of
ours (profile None) runs as it is. Either way its standard output is read live, its time and
output are bounded, and nothing of its tree is left when `wait` returns.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SandboxUnavailable, StoreError
from . import linux, pids
from .process import Process
from .profile import Boundary, Ended, Limits, Profile

__all__ = [
    "Boundary",
    "Done",
    "Ended",
    "Limits",
    "Process",
    "Profile",
    "clean_env",
    "probe",
    "run",
    "spawn_resident",
    "start",
]

_DETACHED = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
_UNLIMITED = Limits(wall_s=0, memory_mb=0, processes=0, file_mb=0, output_kb=0)


@dataclass(frozen=True, slots=True)
class Done:
    """A finished `run`: `output` holds both streams, `ended` why we ended it, "" where we did not."""

    code: int
    output: bytes
    ended: Ended
    seconds: float


_probed: Boundary | None = None


def probe(again: bool = False) -> Boundary:
    """The boundary of this machine, tried once per process with the real arguments."""
    global _probed
    if _probed is None or again:
        _probed = _try_boundary()
    return _probed


def _try_boundary() -> Boundary:
    if not sys.platform.startswith("linux"):
        return Boundary("none", f"There is no sandbox for {sys.platform} yet.", "Every effect will ask first.")
    program = linux.find_bwrap()
    if program is None:
        return Boundary("none", "bubblewrap is not installed.", linux.install_hint())
    with linux.prepare(Profile(), ["/bin/true"], cwd="/", program=program) as command:
        try:
            done = subprocess.run(
                command.argv,
                pass_fds=command.fds,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
                env=clean_env(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Boundary("none", f"bubblewrap could not be started: {error}.", linux.install_hint())
    if done.returncode == 0:
        return Boundary("bubblewrap")
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return Boundary("none", f"bubblewrap is refused on this machine: {' '.join(said[-1:])}", linux.refused_hint())


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment a program of the agent's gets: an allow-list of the caller's, then `extra`."""
    kept = ("PATH", "HOME", "LANG", "LANGUAGE", "USER", "LOGNAME", "TZ")
    env = {k: v for k, v in os.environ.items() if k in kept or k.startswith("LC_")}
    env.setdefault("PATH", os.defpath)
    env |= {"TERM": "dumb", "TMPDIR": "/tmp", "PAGER": "cat", "GIT_PAGER": "cat", "NO_COLOR": "1"}
    return env | dict(extra or {})


async def start(
    argv: Sequence[str],
    *,
    profile: Profile | None,
    cwd: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: bool = False,
    merge: bool = True,
    limits: Limits | None = None,
) -> Process:
    """Start a program; its environment is exactly `env` (None: `clean_env()`).

    `profile` None starts a trusted helper of ours without a boundary; else it runs inside it
    under the profile's limits. `limits` sets a helper's time and output (None: unlimited).
    With `merge` standard error comes in the output, else its tail is kept apart.
    Raises SandboxUnavailable when a profile is given and there is no boundary, StoreError
    when the program or the folder does not exist.
    """
    if not os.path.isdir(cwd):
        raise StoreError(f"The folder {cwd} does not exist.")
    if profile is None:
        return _popen(list(argv), (), cwd, env, stdin, merge, limits or _UNLIMITED, None)
    boundary = probe()
    if boundary.name == "none":
        raise SandboxUnavailable(boundary.reason, boundary.hint)
    program = linux.find_bwrap() or "bwrap"
    with linux.prepare(profile, argv, cwd=str(cwd), program=program, report=True) as command:
        group = pids.room(profile.limits.processes)
        inner = command.argv
        if profile.overlay is not None:
            from . import overlay

            inner = [*overlay.command(profile.overlay), *inner]
        argv = pids.inside(group, inner)
        return _popen(argv, command.fds, "/", env, stdin, merge, profile.limits, command.take_report(), group)


def _popen(
    argv: list[str],
    fds: tuple[int, ...],
    cwd: str | Path,
    env: Mapping[str, str] | None,
    stdin: bool,
    merge: bool,
    limits: Limits,
    report: int | None,
    group: str = "",
) -> Process:
    try:
        popen = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(clean_env() if env is None else env),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            pass_fds=fds,
            start_new_session=True,
        )
    except OSError as error:
        if report is not None:
            os.close(report)
        raise StoreError(f"{argv[0]} could not be started: {error.strerror or error}.") from error
    return Process(popen, limits, report, group)


async def run(
    argv: Sequence[str],
    *,
    profile: Profile | None,
    cwd: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    limits: Limits | None = None,
) -> Done:
    """`start`, feed `stdin`, collect everything, `wait`."""
    process = await start(argv, profile=profile, cwd=cwd, env=env, stdin=stdin is not None, limits=limits)
    async with process:
        if stdin is not None:
            process.write(stdin)
            process.close_stdin()
        output = b"".join([chunk async for chunk in process])
        code = await process.wait()
    return Done(code, output, process.ended, process.seconds)


def spawn_resident(argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> int:
    """Start a program of ours that outlives us: own session, no terminal, both outputs
    appended to `log` (0600). Returns its process id. Raises StoreError when it cannot start."""
    try:
        with open(os.open(log, _APPEND, 0o600), "ab") as out:
            popen = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=os.path.abspath(os.sep),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                close_fds=True,
                start_new_session=True,
                creationflags=_DETACHED,
            )
    except OSError as error:
        raise StoreError(f"{argv[0]} could not be started: {error.strerror or error}.") from error
    # Somebody has to collect its end, or it stays a zombie for as long as we live.
    threading.Thread(target=popen.wait, daemon=True, name="resident").start()
    return popen.pid
