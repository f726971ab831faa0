"""The place of the attacks: a made-up home with things worth stealing, and a host that listens for whoever gets out."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..profile import Limits, Profile

FILES = {
    ".ssh/id_rsa": "KEY",
    ".aws/credentials": "KEY",
    ".gnupg/private-keys-v1.d/key": "KEY",
    ".mozilla/firefox/profile/logins.json": "KEY",
    ".local/share/keyrings/login.keyring": "KEY",
    ".docker/config.json": "KEY",
    ".netrc": "KEY",
    ".bash_history": "KEY",
    "config/policy.yaml": "KEY",
    "Documents/diary": "KEY",
    ".bashrc": "mine\n",
    "work/file": "work\n",
    "work/.git/HEAD": "ref: refs/heads/main\n",
    "work/.git/config": "[core]\n",
    "work/.git/hooks/README": "mine\n",
    "work/part/.git/HEAD": "ref: refs/heads/main\n",
    "work/part/.git/config": "[core]\n",
    "work/part/.git/hooks/README": "mine\n",
    "work/deep/part/.git/HEAD": "ref: refs/heads/main\n",
    "work/deep/part/.git/hooks/README": "mine\n",
    "work/sub/.git": "gitdir: ../.git/modules/sub\n",
    "work/.git/modules/sub/HEAD": "ref: refs/heads/main\n",
    "work/.git/modules/sub/config": "[core]\n",
    "work/.git/modules/sub/hooks/README": "mine\n",
    "work/.vscode/settings.json": "{}\n",
    "work/.idea/workspace.xml": "<x/>\n",
}


@dataclass(slots=True)
class Scene:
    """`mark` is in everything that must not be seen, and in the name of everything that must not be made.

    `places` are the folders outside of the home that an attack writes to; `sockets` listen, each by the
    name of what it stands for. `python` runs the attacks that are written in Python. `turn` counts the programs that were tried.
    """

    home: Path
    mark: str
    python: str
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    victim: subprocess.Popen[bytes] | None = None
    secret_fd: int = -1
    visited: set[str] = field(default_factory=set)
    turn: int = 0

    @property
    def work(self) -> Path:
        return self.home / "work"

    @property
    def token(self) -> str:
        """What marks the processes of this turn alone: one of an earlier turn may be slow to go."""
        return f"{self.mark}t{self.turn}."

    def profile(self, limits: Limits) -> Profile:
        """The workspace itself open for writing: the most that any program of the agent's gets."""
        return Profile(writable=(str(self.work),), limits=limits)

    def fill(self, script: str) -> str:
        """The script with its places filled in (`@HOME@`, `@MARK@`, `@TCP@` ...)."""
        values = {"HOME": str(self.home), "WORK": str(self.work), "MARK": self.mark, "TURN": self.token, "PYTHON": self.python}
        values |= self.addresses | {"VICTIM": str(self.victim.pid if self.victim else 0)}
        for name, value in values.items():
            script = script.replace(f"@{name}@", value)
        return script

    def environment(self) -> dict[str, str]:
        """What an unwary program would hand on: everything, keys and the way to the agent included."""
        return dict(os.environ) | {"HOME": str(self.home), "STOLEN_API_KEY": self.mark, "SSH_AUTH_SOCK": "/run/x"}

    def reached(self, name: str) -> bool:
        """Whether anybody has connected or sent something there since `forget`."""
        sock = self.sockets[name]
        with contextlib.suppress(OSError):
            while True:
                if sock.type == socket.SOCK_STREAM:
                    sock.accept()[0].close()
                else:
                    sock.recv(65536)
                self.visited.add(name)
        return name in self.visited

    def forget(self) -> None:
        """From now on, `reached` and `survivors` tell of what comes later."""
        self.turn += 1
        for name in self.sockets:
            self.reached(name)
        self.visited.clear()

    def survivors(self) -> list[int]:
        """Running processes whose command line holds the token of this turn."""
        found = []
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and self.token.encode() in Path("/proc", name, "cmdline").read_bytes():
                    found.append(int(name))
        return [pid for pid in found if pid != os.getpid()]


@contextlib.contextmanager
def scene(*, owner: int | None = None, python: str = "") -> Iterator[Scene]:
    """Build it, for another user where `owner` is one, and take everything away at the end of the block.

    The environment variables that name the home and our own folders point into it meanwhile.
    """
    home = Path(tempfile.mkdtemp(prefix="localagent-attacks-", dir="/var/tmp"))
    made = Scene(home, f"la{secrets.token_hex(8)}", python or sys.executable)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home, True)
        home.chmod(0o755)
        for name, text in FILES.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made.mark if text == "KEY" else text)
        stack.callback(_clear, made)
        _listen(made, stack)
        _victim(made, owner, stack)
        made.secret_fd = os.open(home / "Documents" / "diary", os.O_RDONLY)
        stack.callback(os.close, made.secret_fd)
        if owner is not None:
            # Our own run-time folder stays ours, or we would not use it.
            for path in (home, *(path for path in home.rglob("*") if path.parts[len(home.parts)] != "own")):
                os.chown(path, owner, owner, follow_symlinks=False)
        stack.enter_context(_pointed_there(made))
        yield made


@contextlib.contextmanager
def _pointed_there(made: Scene) -> Iterator[None]:
    kinds = ("CONFIG", "DATA", "STATE", "CACHE")
    new = {f"LOCALAGENT_{kind}_DIR": str(made.home / kind.lower()) for kind in kinds}
    new |= {"HOME": str(made.home), "STOLEN_API_KEY": made.mark, "LOCALAGENT_RUNTIME_DIR": str(made.home / "own")}
    old = {name: os.environ.get(name) for name in new}
    os.environ.update(new)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _listen(made: Scene, stack: contextlib.ExitStack) -> None:
    """One listener for each service of a desktop that a program could take orders to."""
    _inet(made, stack, "TCP", socket.SOCK_STREAM)
    _inet(made, stack, "UDP", socket.SOCK_DGRAM)
    runtime = os.environ.get("XDG_RUNTIME_DIR") or "/run"
    places = {
        "DBUS": _folder(made, stack, [runtime, "/run"]) / "bus",
        "DOCKER": made.home / ".docker" / "docker.sock",
        "AGENT": _folder(made, stack, ["/tmp"]) / "agent.1",
        "X11": _folder(made, stack, ["/var/tmp"]) / "X0",
        "WAYLAND": _folder(made, stack, ["/opt", "/srv", "/var/tmp"]) / "wayland-0",
        "ENGINE": made.home / "own" / "engine",
        "INSIDE": made.work / "sock",
    }
    (made.home / "own").mkdir()
    for name, path in places.items():
        _unix(made, stack, name, str(path))
        path.chmod(0o777)
    _unix(made, stack, "ABSTRACT", f"\0{made.mark}")
    made.addresses["ABSTRACT"] = f"\\0{made.mark}"


def _inet(made: Scene, stack: contextlib.ExitStack, name: str, kind: socket.SocketKind) -> None:
    sock = stack.enter_context(socket.socket(socket.AF_INET, kind))
    sock.bind(("127.0.0.1", 0))
    _ready(made, name, sock, str(sock.getsockname()[1]))


def _unix(made: Scene, stack: contextlib.ExitStack, name: str, address: str) -> None:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX))
    sock.bind(address)
    _ready(made, name, sock, address)


def _ready(made: Scene, name: str, sock: socket.socket, address: str) -> None:
    if sock.type == socket.SOCK_STREAM:
        sock.listen(16)
    sock.setblocking(False)
    made.sockets[name], made.addresses[name] = sock, address


def _folder(made: Scene, stack: contextlib.ExitStack, wanted: list[str]) -> Path:
    """A folder of ours in the first of these that we may write to, else in the home."""
    for top in (*wanted, str(made.home)):
        with contextlib.suppress(OSError):
            path = Path(tempfile.mkdtemp(prefix="la-", dir=top))
            path.chmod(0o755)
            stack.callback(shutil.rmtree, path, True)
            return path
    raise AssertionError("the home is ours")


def _victim(made: Scene, owner: int | None, stack: contextlib.ExitStack) -> None:
    script = f"trap 'exit 3' TERM; : {made.mark}; read -r line <&0"
    env = {"PATH": os.defpath, "KEPT": made.mark}
    user = {} if owner is None else {"user": owner, "group": owner, "extra_groups": []}
    reading, writing = os.pipe()
    stack.callback(os.close, writing)
    made.victim = subprocess.Popen(["/bin/sh", "-c", script], stdin=reading, env=env, **user)  # type: ignore[call-overload]
    os.close(reading)

    def end() -> None:
        assert made.victim is not None
        made.victim.kill()
        made.victim.wait()

    stack.callback(end)


def _clear(made: Scene) -> None:
    for top in ("/tmp", "/var/tmp", "/dev/shm", "/etc", "/usr", "/opt", "/run"):
        with contextlib.suppress(OSError):
            Path(top, f"evil-{made.mark}").unlink()


Judge = Callable[[Scene, str], bool]
