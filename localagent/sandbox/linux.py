"""The bubblewrap command line of a profile: what exists inside, and what does not.

Everything of the system is there to read; homes, temporary and run-time folders are empty;
what the profile names is opened again, and secrets are closed again wherever they lie.
Of two rules the one for the deeper path holds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SandboxUnavailable
from ..store.secrets import STARTING_NAMES, secret_paths
from . import seccomp, starting
from .profile import Limits, Profile

_MIB = 1024 * 1024
# Together they must fit into the memory of a small machine; what is not meant for files gets next to nothing.
_SIZES = {"/tmp": 512 * _MIB, "/var/tmp": 128 * _MIB, "/dev/shm": 128 * _MIB}
_HOME_BYTES = 128 * _MIB
_LEAST_BYTES = 1 * _MIB
MASKED = (
    *("/tmp", "/var/tmp", "/run", "/var/run", "/mnt", "/media", "/home", "/root", "/dev/shm", "/lost+found"),
    *("/var/mail", "/var/spool", "/var/crash", "/var/lib/systemd/coredump"),
)
# A secret that is a link to nothing (.bash_history to /dev/null) needs no hiding.
_KERNELS = ("/dev", "/proc", "/sys")
_TOOLCHAINS = (".rustup", ".local/lib", ".local/pipx", ".local/share/pipx", ".local/share/uv", ".local/share/pnpm")

# Which rule holds where two name the same path.
_WEAK_MASK, _READ, _WRITE, _STRONG_MASK = range(4)


@dataclass(frozen=True, slots=True)
class Host:
    """What the arguments depend on beside the profile; all paths absolute and real."""

    home: str
    tools: tuple[str, ...]
    own: tuple[str, ...]
    sockets: tuple[str, ...] = ()

    @staticmethod
    def current() -> Host:
        home = os.path.realpath(os.path.expanduser("~"))
        return Host(home, _tool_paths(), own_folders(), _listening_sockets())


def secrets_of(home: str) -> tuple[str, ...]:
    """The secret places that exist, where they really lie: many keep theirs behind links."""
    found = {os.path.realpath(path) for path in secret_paths(home) if os.path.lexists(path)}
    return tuple(sorted(path for path in found if not under(path, _KERNELS) and not under(home, [path])))


def closed() -> tuple[str, ...]:
    """The real paths that no program may see, wherever it works: secrets and our own folders."""
    host = Host.current()
    return (*secrets_of(host.home), *host.own)


@dataclass(slots=True)
class Command:
    """An argument list and the descriptors that must be passed on to it.

    `temporary` is a folder made for it; with `ends_all` it ends its tree itself on SIGTERM.
    """

    argv: list[str]
    fds: tuple[int, ...]
    report: int | None = None
    temporary: str = ""
    ends_all: bool = False

    def take_report(self) -> int | None:
        """The reading end of bubblewrap's status messages; the caller closes it from now on."""
        report, self.report = self.report, None
        return report


def find_bwrap() -> str | None:
    """The system's program first: distributions permit only that path to make namespaces."""
    for path in ("/usr/bin/bwrap", "/usr/local/bin/bwrap"):
        if os.access(path, os.X_OK):
            return path
    return shutil.which("bwrap")


@contextlib.contextmanager
def prepare(
    profile: Profile, argv: Sequence[str], *, cwd: str, program: str, report: bool = False
) -> Iterator[Command]:
    """The whole command, with its descriptors open for the duration of the block."""
    with contextlib.ExitStack() as stack:
        head = [program]
        fds: list[int] = []
        if seccomp.supported():
            fd = os.memfd_create("filter")
            stack.callback(os.close, fd)
            # With the host's network come its sockets without a file, which no mount can hide.
            families = seccomp.INTERNET if profile.network else seccomp.EVERYDAY
            os.write(fd, seccomp.program(families=families))
            os.lseek(fd, 0, os.SEEK_SET)
            fds.append(fd)
            head += ["--seccomp", str(fd)]
        command = Command([], ())
        if report:
            command.report, writing = os.pipe()
            stack.callback(os.close, writing)
            stack.callback(lambda: os.close(command.report) if command.report is not None else None)
            fds.append(writing)
            head += ["--json-status-fd", str(writing)]
        command.argv = [*head, *build(profile, Host.current(), cwd=cwd), "--", *limited(argv, profile.limits)]
        command.fds = tuple(fds)
        yield command


def limited(argv: Sequence[str], limits: Limits) -> list[str]:
    """`argv` behind a shell that sets the kernel's limits on itself and becomes it."""
    script = (
        f"ulimit -c 0; ulimit -d {limits.memory_mb * 1024}; ulimit -f {limits.file_mb * 1024}; "
        f'ulimit -u {limits.processes} 2>/dev/null; exec -- "$@"'
    )
    if os.access("/bin/bash", os.X_OK):
        return ["/bin/bash", "--norc", "--noprofile", "-c", script, "bash", *argv]
    return ["/bin/sh", "-c", script.replace("exec --", "exec"), "sh", *argv]


def build(profile: Profile, host: Host, *, cwd: str) -> list[str]:
    """bubblewrap's options for this profile, without the program, its descriptors and the command.

    Raises SandboxUnavailable for a profile that would open everything (`/` writable).
    """
    options = ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    options += ["--unshare-user-try", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if not profile.network:
        options.append("--unshare-net")
    options += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *_tmpfs("/sys", _LEAST_BYTES)]
    options += _proc()
    options += ["--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu"]
    options += _mounts(profile, host)
    options += ["--remount-ro", "/dev", "--remount-ro", "/sys"]
    return [*options, "--chdir", os.path.realpath(cwd)]


def _proc() -> list[str]:
    """Root without any capability still owns the kernel's parameters, and could have it run a program outside."""
    if os.geteuid() != 0:
        return []
    names = ("sys", "sysrq-trigger", "fs", "mtrr", "pressure")
    found = [f"/proc/{name}" for name in names if os.path.lexists(f"/proc/{name}")]
    return [word for path in found for word in ("--ro-bind", path, path)]


@dataclass(frozen=True, slots=True)
class _Rule:
    path: str
    rank: int
    source: str = ""


class _Rules:
    """The one rule for each path."""

    def __init__(self) -> None:
        self.by_path: dict[str, _Rule] = {}

    def add(self, path: str, rank: int, source: str = "") -> None:
        if path not in self.by_path or self.by_path[path].rank <= rank:
            self.by_path[path] = _Rule(path, rank, source or path)


def _mounts(profile: Profile, host: Host) -> list[str]:
    rules = _Rules()
    masked = [real for path in (*MASKED, host.home) if os.path.isdir(real := os.path.realpath(path)) and real != "/"]
    secrets = (*secrets_of(host.home), *profile.closed)
    for path in masked:
        rules.add(path, _WEAK_MASK)
    for path in (*host.own, *secrets, *host.sockets):
        rules.add(path, _STRONG_MASK)
    for path in (*host.tools, *_network_files(profile)):
        if under(path, masked):
            rules.add(path, _READ)
    links = []
    for path in profile.readable:
        real = openable(path, secrets)
        if real and real != "/":
            rules.add(real, _READ)
            links += _link(path, real, masked)
    for path in profile.writable:
        links += _writable(rules, path, path, secrets, masked, STARTING_NAMES, host.own)
    for source, path in profile.binds:
        links += _writable(rules, source, path, secrets, masked, frozenset())
    return [*_in_order(rules.by_path, host.home), *links]


def _writable(
    rules: _Rules,
    source: str,
    path: str,
    secrets: Sequence[str],
    masked: Sequence[str],
    names: frozenset[str],
    own: Sequence[str] = (),
) -> list[str]:
    """Open a folder for writing, but not what is held in it; returns the links it needs.

    `names` are held too: in a staged copy they may change, because the changes are judged.
    """
    real, source = os.path.realpath(path), os.path.realpath(source)
    if real == "/":
        raise SandboxUnavailable("The whole disk cannot be opened for writing.", "Choose a folder to work in.")
    if not openable(real, secrets) or not os.path.exists(source):
        return []
    rules.add(real, _WRITE, source)
    for inside, rank in held_rules(source, names, beneath(real, (*secrets, *own)) if names else ()):
        rules.add(os.path.join(real, inside), rank, os.path.join(source, inside))
    return _link(path, real, masked)


def _in_order(rules: dict[str, _Rule], home: str) -> list[str]:
    """Parents first: a mount hides what an earlier one put below it."""
    options: list[str] = []
    closing: list[str] = []
    for path in sorted(rules, key=lambda path: path.split("/")):
        rule = rules[path]
        above = _nearest(path, rules)
        if rule.rank == _STRONG_MASK:
            # What its parent hides already needs nothing; a missing one has no place to mount on.
            source = _shown_as(path, above)
            if source is None or not os.path.lexists(source):
                if not (above and above.rank in (_WEAK_MASK, _STRONG_MASK) and _has_below(path, rules)):
                    continue
                options += _tmpfs(path, _LEAST_BYTES)
                closing += ["--remount-ro", path]
            elif os.path.isdir(source) and not os.path.islink(source):
                options += _tmpfs(path, _LEAST_BYTES)
                closing += ["--remount-ro", path]
            elif not os.path.islink(source):
                options += ["--ro-bind", "/dev/null", path]
        elif rule.rank == _WEAK_MASK:
            options += _tmpfs(path, _HOME_BYTES if path == home else _SIZES.get(path, _LEAST_BYTES))
        elif os.path.exists(rule.source):
            options += ["--bind" if rule.rank == _WRITE else "--ro-bind", rule.source, path]
    if home != "/" and not any(rules[p].rank in (_READ, _WRITE) and under(p, [home]) and p == home for p in rules):
        options += ["--dir", home]
    return [*options, *closing]


def _nearest(path: str, rules: dict[str, _Rule]) -> _Rule | None:
    while (parent := os.path.dirname(path)) != path:
        path = parent
        if path in rules:
            return rules[path]
    return None


def _shown_as(path: str, above: _Rule | None) -> str | None:
    """The host path that would be seen at `path`, None where a mask above hides it."""
    if above is None:
        return path
    if above.rank in (_WEAK_MASK, _STRONG_MASK):
        return None
    return os.path.join(above.source, os.path.relpath(path, above.path))


def _has_below(path: str, rules: dict[str, _Rule]) -> bool:
    return any(other.startswith(path + "/") and rules[other].rank in (_READ, _WRITE) for other in rules)


def _tmpfs(path: str, size: int) -> list[str]:
    return ["--size", str(size), "--tmpfs", path]


def under(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def openable(path: str, secrets: Sequence[str]) -> str:
    """The real path, or "" where there is none or a secret would be opened."""
    real = os.path.realpath(path)
    return real if os.path.lexists(real) and not under(real, secrets) else ""


def _link(path: str, real: str, masked: Sequence[str]) -> list[str]:
    """The symbolic link by which a folder was named, where an empty folder would hide it."""
    path = os.path.abspath(path)
    while path not in ("/", real):
        parent = os.path.dirname(path)
        if os.path.islink(path) and os.path.realpath(parent) == parent and under(path, masked):
            return ["--symlink", os.path.realpath(path), path]
        path = parent
    return []


def held_rules(root: str, names: frozenset[str], closed: Sequence[str] = ()) -> list[tuple[str, int]]:
    """Relative paths in a writable folder that are held, each with what may be done there: what leads git or, by
    its name, other programs to run something is read only, the folders above are mounts of their own, so that
    they cannot be renamed away."""
    return [(path, _READ if kept else _WRITE) for path, kept in starting.held(root, names, closed)]


def beneath(root: str, paths: Sequence[str]) -> list[str]:
    """Those of the paths that lie in the folder, relative to it."""
    return [os.path.relpath(path, root) for path in paths if path.startswith(root.rstrip("/") + "/")]


def _network_files(profile: Profile) -> list[str]:
    return [os.path.realpath("/etc/resolv.conf")] if profile.network else []


def _tool_paths() -> tuple[str, ...]:
    """Where programs, this Python and our own tools live, for when that is under a home."""
    from ..store import paths

    home = os.path.realpath(os.path.expanduser("~"))
    package = Path(__file__).resolve().parents[1]
    found = [sys.prefix, sys.base_prefix, os.path.dirname(sys.executable), str(package), str(paths.shipped("tools"))]
    for path in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if os.path.isabs(path):
            found.append(path)
            # Programs installed into X/bin or X/shims keep what they need beside it, in X.
            if os.path.basename(path.rstrip("/")) in ("bin", "shims", "sbin"):
                found.append(os.path.dirname(path.rstrip("/")))
    found += [os.path.join(home, name) for name in _TOOLCHAINS]
    everything = {"/", home, os.path.join(home, ".local"), *(os.path.realpath(path) for path in MASKED)}
    real = dict.fromkeys(os.path.realpath(path) for path in found if os.path.isdir(path))
    kept = [path for path in real if path not in everything and not home.startswith(path + "/")]
    # Each mount takes time: what lies in another of them is there already.
    return tuple(path for path in kept if not any(path != other and under(path, [other]) for other in kept))


def own_folders() -> tuple[str, ...]:
    from ..store import paths

    made = (paths.config_dir(), paths.data_dir(), paths.state_dir(), paths.cache_dir(), paths.runtime_dir())
    return tuple(dict.fromkeys(os.path.realpath(path) for path in made))


def _listening_sockets() -> tuple[str, ...]:
    """The host's unix sockets by path: read-only mounts do not stop a connection to them."""
    found = set()
    with contextlib.suppress(OSError), open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            path = line.rstrip("\n").split(" ", 7)[-1].strip()
            with contextlib.suppress(OSError, ValueError):
                if path.startswith("/") and stat.S_ISSOCK(os.lstat(path).st_mode):
                    found.add(os.path.realpath(path))
    return tuple(sorted(found))
