"""The boundary of macOS: a Seatbelt profile as text. Of two rules that match, the later one holds.

What bubblewrap does by mounting is done by name here, so a file that is not there yet can be held
too; a program that leaves its session is not ended with the call.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from ..errors import SandboxUnavailable
from ..store.secrets import STARTING_NAMES
from . import linux
from .linux import Command, Host
from .profile import Limits, Profile

_PROGRAM = "/usr/bin/sandbox-exec"
_HIDDEN = ("/Users", "/Volumes", "/private/tmp", "/private/var/tmp", "/private/var/folders", "/private/var/root")
_BASE = """\
(version 1)
(deny default)
(allow process-exec process-fork)
(allow signal process-info* (target same-sandbox))
(allow sysctl-read)
(allow ipc-posix-sem ipc-posix-shm)
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
(allow file-read*)
(allow file-write-data file-ioctl (literal "/dev/null") (literal "/dev/zero") (literal "/dev/dtracehelper"))\
"""


@contextlib.contextmanager
def prepare(profile: Profile, argv: Sequence[str], *, cwd: str, port: int = 0) -> Iterator[Command]:
    """The whole command; its `temporary` folder is the caller's to remove once it has ended."""
    temporary = os.path.realpath(tempfile.mkdtemp(prefix="localagent-call-"))
    try:
        made = text(profile, Host.current(), temporary, port)
        script = f'cd "$1" && shift && {_limits(profile.limits)}; exec "$@"'
        shell = ["/bin/bash", "--norc", "--noprofile", "-c", script, "bash", os.path.realpath(cwd)]
        yield Command([_PROGRAM, "-p", made, *shell, *argv], (), temporary=temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def text(profile: Profile, host: Host, temporary: str, port: int = 0) -> str:
    """The profile in Seatbelt's own language; `port` is where our proxy listens on this machine, 0 = no network.

    Raises SandboxUnavailable for paths that cannot be written there, and for the whole disk.
    """
    secrets = (*linux.secrets_of(host.home), *profile.closed)
    read = _real((*host.tools, *profile.readable), secrets)
    write = _real((*profile.writable, *(source for source, _ in profile.binds)), secrets)
    if "/" in write:
        raise SandboxUnavailable("The whole disk cannot be opened for writing.", "Choose a folder to work in.")
    opened = [path for path in (*read, *write, temporary) if path != "/"]
    lines = [_BASE, _rule("deny file-read*", _subpaths([*_HIDDEN, host.home]))]
    # To reach a folder, those above it must be looked at.
    lines.append(_rule("allow file-read-metadata", _literals(_above(opened))))
    lines.append(_rule("allow file-read*", _subpaths(opened)))
    lines.append(_rule("allow file-write*", _subpaths([*write, temporary])))
    closed = [path for path in (*host.own, *secrets) if path not in write]
    lines.append(_rule("deny file-read* file-write*", _subpaths(closed)))
    # What is ours but was opened for this call lies deeper.
    lines.append(_rule("allow file-read* file-write*", _subpaths(p for p in write if linux.under(p, host.own))))
    lines += _held([p for p in write if not linux.under(p, host.own)], closed)
    if profile.network:
        lines += ["(allow network-outbound)", "(deny network-outbound (remote unix-socket))", "(allow system-socket)"]
    elif port:
        lines.append(f'(allow network-outbound (remote ip "localhost:{port}"))')
    return "\n".join(line for line in lines if line) + "\n"


def _held(roots: Sequence[str], closed: Sequence[str]) -> list[str]:
    """Nothing that others run by themselves is written, nor moved away to be made anew, nor what it lies in."""
    # The disk of a Mac seldom tells capitals from small letters.
    names = "|".join(_any_case(name) for name in sorted(STARTING_NAMES))
    git, ends = _any_case(".git"), f"({_any_case('hooks')}|{_any_case('config')})"
    places = f"({names}|{git}/{ends}|{git}/({_any_case('modules')}|{_any_case('worktrees')})/.+/{ends})"
    lines = []
    for root in roots:
        start = "^" + _escaped(root) + "/(.*/)?"
        lines.append(_rule("deny file-write*", [_regex(f"{start}{places}(/|$)")]))
        lines.append(_rule("deny file-write-unlink", [_regex(f"{start}{git}$"), f"(literal {quoted(root)})"]))
        lines.append(_rule("deny file-write-unlink", _literals(_ancestors(root, closed))))
    return lines


def _ancestors(root: str, closed: Sequence[str]) -> list[str]:
    """The folders inside that something held or closed lies in now."""
    held = linux.held_rules(root, STARTING_NAMES, linux.beneath(root, closed))
    return sorted({os.path.join(root, inside) for inside, _ in held})


def _rule(head: str, filters: Iterable[str]) -> str:
    body = " ".join(dict.fromkeys(filters))
    return f"({head} {body})" if body else ""


def _subpaths(paths: Iterable[str]) -> list[str]:
    return [f"(subpath {quoted(path)})" for path in paths]


def _literals(paths: Iterable[str]) -> list[str]:
    return [f"(literal {quoted(path)})" for path in paths]


def _above(paths: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for path in paths:
        while (path := os.path.dirname(path)) != "/":
            found[path] = None
    return sorted(found)


def _real(paths: Iterable[str], secrets: Sequence[str]) -> list[str]:
    return [real for path in paths if (real := linux.openable(path, secrets))]


def quoted(path: str) -> str:
    """A path as a string of Seatbelt's language. Raises SandboxUnavailable for one with control characters."""
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        raise SandboxUnavailable(f"The path {path!a} cannot be named to the sandbox.", "Rename it, or work elsewhere.")
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _regex(pattern: str) -> str:
    quoted(pattern)
    return '(regex #"' + pattern.replace('"', '\\"') + '")'


def _escaped(text: str) -> str:
    return re.sub(r"([][.^$*+?(){}|\\])", r"\\\1", text)


def _any_case(text: str) -> str:
    return "".join(f"[{char}{char.upper()}]" if char.isalpha() else _escaped(char) for char in text.lower())


def _limits(limits: Limits) -> str:
    return f"ulimit -c 0; ulimit -f {limits.file_mb * 1024}; ulimit -u {limits.processes * 4} 2>/dev/null"
