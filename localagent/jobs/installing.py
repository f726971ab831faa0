"""What starts the watcher when a person logs in: a user unit of systemd, or a launch agent of macOS."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from ..errors import StoreError, UsageError
from ..sandbox import launch

NAME = "localagent-jobs"
LABEL = "localagent.jobs"
_SESSION = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")
_KINDS = ("CONFIG", "DATA", "STATE", "CACHE")
# Where our files are; nothing else of the environment, which may hold secrets.
_KEPT = (*(f"LOCALAGENT_{kind}_DIR" for kind in (*_KINDS, "RUNTIME")), *(f"XDG_{kind}_HOME" for kind in _KINDS))


@dataclass(frozen=True, slots=True)
class Service:
    """A file and what makes the system know it; `on` and `off` are commands."""

    path: Path
    text: str
    on: tuple[tuple[str, ...], ...]
    off: tuple[tuple[str, ...], ...]
    hint: str = ""


def service(platform: str, environment: Mapping[str, str], home: Path, python: str, systemd: bool) -> Service:
    """For this system. Raises UsageError where it has neither."""
    argv = [python, "-m", "localagent", "jobs", "watch"]
    kept = {name: value for name, value in sorted(environment.items()) if name in _KEPT}
    if any("\n" in text for text in (*argv, *kept.values())):
        raise UsageError("A setting in the environment holds a line break, which no unit can carry.")
    if platform == "darwin":
        path = home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        return Service(path, _plist(argv, kept), (("launchctl", "load", "-w", str(path)),), (("launchctl", "unload", "-w", str(path)),))
    if platform.startswith("linux") and systemd:
        folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
        ctl = ("systemctl", "--user")
        return Service(
            folder / f"{NAME}.service",
            _unit(argv, kept),
            ((*ctl, "daemon-reload"), (*ctl, "enable", "--now", f"{NAME}.service")),
            ((*ctl, "disable", "--now", f"{NAME}.service"),),
            "It runs while you are logged in; `loginctl enable-linger` lets it run without.",
        )
    raise UsageError(
        "There is no systemd of yours and no launchd here, so nothing can be installed.",
        "Start `localagent jobs watch` yourself, where your session starts programs.",
    )


def here() -> Service:
    """Raises UsageError."""
    systemd = os.path.isdir("/run/systemd/system") and shutil.which("systemctl") is not None
    return service(sys.platform, os.environ, Path.home(), sys.executable, systemd)


def _unit(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    lines = [
        "[Unit]",
        "Description=localagent jobs",
        "",
        "[Service]",
        f"ExecStart={' '.join(map(_quoted, argv))}",
        *(f"Environment={_word(f'{name}={value}')}" for name, value in environment.items()),
        "Restart=on-failure",
        "RestartSec=30",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A word of a command."""
    return _word(text).replace("$", "$$")


def _word(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{plain}"'


def _plist(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    words = "".join(f"    <string>{escape(word)}</string>\n" for word in argv)
    pairs = "".join(f"    <key>{escape(name)}</key><string>{escape(value)}</string>\n" for name, value in environment.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
        '<plist version="1.0">\n<dict>\n'
        f"  <key>Label</key><string>{LABEL}</string>\n"
        f"  <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n"
        f"  <key>EnvironmentVariables</key>\n  <dict>\n{pairs}  </dict>\n"
        "  <key>RunAtLoad</key><true/>\n  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>\n"
        "</dict>\n</plist>\n"
    )


async def tell(commands: Sequence[Sequence[str]]) -> None:
    """Run them in turn. Raises StoreError with what the system said."""
    environment = launch.clean_env({name: os.environ[name] for name in _SESSION if name in os.environ})
    for argv in commands:
        program = shutil.which(argv[0]) or argv[0]
        done = await launch.run([program, *argv[1:]], profile=None, cwd="/", env=environment, limits=launch.Limits(30, 0, 0, 0, 64))
        if done.code != 0:
            raise StoreError(f"`{' '.join(argv)}` failed: {done.output.decode(errors='replace').strip()[:500]}")
