"""Starts every process we start, and ends it with everything it has started.

A program is run inside the boundary when it comes with a `Profile`; a trusted helper of
ours (profile None) runs as it is. Either way its standard output is read live, its time and
output are bounded, and nothing of its tree is left when `wait` returns.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LocalAgentError, SandboxUnavailable, StoreError
from . import hints, landlock, linux, macos, pids, seccomp
from .holding import Watched
from .process import Process
from .profile import Boundary, Ended, Facts, Limits, Profile

__all__ = [
    "Boundary",
    "Done",
    "Ended",
    "Facts",
    "Limits",
    "Process",
    "Profile",
    "clean_env",
    "command",
    "facts",
    "probe",
    "run",
    "spawn_resident",
    "start",
]

if TYPE_CHECKING:
    from .door import Door

_DETACHED = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
_WORKER = "import asyncio, json, ssl, subprocess; subprocess.run(['/bin/ls', '/usr'], check=True)"
_UNLIMITED = Limits(wall_s=0, memory_mb=0, processes=0, file_mb=0, output_kb=0)


@dataclass(frozen=True, slots=True)
class Done:
    """A finished `run`: `output` holds both streams, `ended` why we ended it, "" where we did not."""

    code: int
    output: bytes
    ended: Ended
    seconds: float


_probed: Boundary | None = None
_probing = threading.Lock()


def probe(again: bool = False) -> Boundary:
    """The boundary of this machine, tried once per process with the real arguments."""
    global _probed
    with _probing:
        if _probed is None or again:
            _probed = _try_boundaries()
        return _probed


def probe_soon() -> None:
    """Begin to try the boundary beside what the caller does next."""

    def tried() -> None:
        # Whoever asks for it is told.
        with contextlib.suppress(LocalAgentError, OSError):
            probe()

    threading.Thread(target=tried, daemon=True, name="probe").start()


def _try_boundaries() -> Boundary:
    """The best that works here: a whole one, a reduced one that says why, or none."""
    if sys.platform == "darwin":
        return _try(Boundary("seatbelt", "macOS has no namespaces."), "")
    if not sys.platform.startswith("linux"):
        return Boundary("none", f"There is no sandbox for {sys.platform} yet.", "Every effect will ask first.")
    if linux.find_bwrap() is None:
        whole = Boundary("none", "bubblewrap is not installed.", hints.install_hint())
    else:
        whole = _try(Boundary("bubblewrap"), hints.refused_hint())
    if whole.name != "none" or not seccomp.supported() or landlock.version() < landlock.OLDEST:
        return whole
    reduced = _try(Boundary("landlock", whole.reason, whole.hint), "")
    return whole if reduced.name == "none" else reduced


def _try(boundary: Boundary, hint: str) -> Boundary:
    """The boundary where a program can be started in it, else none and why."""
    # Where the profile is all there is, it must also let our own workers start others.
    tried = ["/usr/bin/true"] if boundary.name != "seatbelt" else [sys.executable, "-I", "-c", _WORKER]
    with command(Profile(), tried, cwd="/", boundary=boundary) as made:
        try:
            done = subprocess.run(
                made.argv,
                pass_fds=made.fds,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
                env=clean_env(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Boundary("none", f"{boundary.name} could not be started: {error}.", hint)
        finally:
            _remove(made.temporary)
    if done.returncode == 0:
        return boundary
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return Boundary("none", f"{boundary.name} is refused on this machine: {' '.join(said[-1:])}", hint)


def facts() -> Facts:
    """The boundary of this machine, and the version of its program, asked anew."""
    boundary = probe()
    said = (boundary.name, boundary.reason, boundary.hint)
    if boundary.name == "landlock":
        return Facts(*said, "Landlock", f"ABI {landlock.version()}")
    program = linux.find_bwrap()
    if boundary.name != "bubblewrap" or program is None:
        return Facts(*said)
    return Facts(*said, program, _version(program))


def _version(program: str) -> str:
    argv = [program, "--version"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, env=clean_env(), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip().removeprefix("bubblewrap").strip()


def command(
    profile: Profile, argv: Sequence[str], *, cwd: str, report: bool = False, boundary: Boundary | None = None
) -> contextlib.AbstractContextManager[linux.Command]:
    """What starts `argv` inside the boundary (None: this machine's), with its descriptors open in the block.

    Raises SandboxUnavailable where there is none.
    """
    boundary = boundary or probe()
    if boundary.name == "bubblewrap":
        return linux.prepare(profile, argv, cwd=cwd, program=linux.find_bwrap() or "bwrap", report=report)
    if boundary.name == "landlock":
        return landlock.prepare(profile, argv, cwd=cwd, program=landlock.program(), report=report)
    if boundary.name == "seatbelt":
        return macos.prepare(profile, argv, cwd=cwd)
    raise SandboxUnavailable(boundary.reason, boundary.hint)


def _remove(folder: str) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


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
    watched = Watched(profile.writable)
    door = _door(profile, argv)
    with contextlib.ExitStack() as stack:
        if door is not None:
            failed = stack.enter_context(contextlib.ExitStack())
            failed.callback(door.close)
        made = stack.enter_context(command(profile, door.argv if door else argv, cwd=str(cwd), report=True))
        group = pids.room(profile.limits.processes)
        environment = dict(clean_env() if env is None else env) | (door.environment if door else {})
        if made.temporary:
            environment["TMPDIR"] = made.temporary

        def after() -> tuple[str, ...]:
            pids.leave(group)
            _remove(made.temporary)
            if door is not None:
                door.close()
            return watched.hold_back()

        inner = made.argv
        if profile.overlay is not None:
            from . import overlay

            inner = [*overlay.command(profile.overlay), *inner]
        fds, argv = (*made.fds, *(door.fds if door else ())), pids.inside(group, inner)
        report = made.take_report()
        process = _popen(argv, fds, "/", environment, stdin, merge, profile.limits, report, after, made.ends_all)
        if door is not None:
            failed.pop_all()
            door.opened()
            process.refused = door.proxy.reasons
        return process


def _door(profile: Profile, argv: Sequence[str]) -> Door | None:
    """The way to the granted hosts, where there are any and the boundary can have one; else the network stays off."""
    if not profile.hosts or profile.network or probe().name != "bubblewrap":
        return None
    from .door import Door

    return Door(profile, argv)


def _popen(
    argv: list[str],
    fds: tuple[int, ...],
    cwd: str | Path,
    env: Mapping[str, str] | None,
    stdin: bool,
    merge: bool,
    limits: Limits,
    report: int | None,
    after: Callable[[], tuple[str, ...]] = tuple,
    asked: bool = False,
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
        after()
        raise StoreError(f"{argv[0]} could not be started: {error.strerror or error}.") from error
    return Process(popen, limits, report, after, asked)


async def run(
    argv: Sequence[str],
    *,
    profile: Profile | None,
    cwd: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    limits: Limits | None = None,
) -> Done:
    """`start`, feed `stdin`, collect everything, `wait`; a second time where the boundary could not be set up."""
    wanted: dict[str, Any] = {"profile": profile, "cwd": cwd, "env": env, "stdin": stdin, "limits": limits}
    try:
        return await _run(argv, **wanted)
    except SandboxUnavailable:
        # It never ran. What was to be hidden may have gone in the meantime: a socket of another program.
        return await _run(argv, **wanted)


async def _run(
    argv: Sequence[str],
    profile: Profile | None,
    cwd: str | Path,
    env: Mapping[str, str] | None,
    stdin: bytes | None,
    limits: Limits | None,
) -> Done:
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
