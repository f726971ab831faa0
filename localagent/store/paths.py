"""Where our files are. Functions, not constants: the environment decides at the call.

Each folder is made on demand, readable by its owner only, and can be set by
LOCALAGENT_CONFIG_DIR, LOCALAGENT_DATA_DIR, LOCALAGENT_STATE_DIR, LOCALAGENT_CACHE_DIR
and LOCALAGENT_RUNTIME_DIR.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from ..errors import StoreError

_NAME = "localagent"
# Unix socket paths end at about 104 bytes (macOS), of which a file name of ours may take this much.
_SOCKET_PATH_BYTES = 100
_SOCKET_NAME_BYTES = 32


def config_dir() -> Path:
    """What the user writes: config.yaml, policy.yaml, models.toml, tools."""
    return _made(_chosen("CONFIG"))


def data_dir() -> Path:
    """What must not be lost: models, sessions, journals."""
    return _made(_chosen("DATA"))


def state_dir() -> Path:
    """What may be lost without harm but is worth keeping: logs, grants, last used."""
    return _made(_chosen("STATE"))


def cache_dir() -> Path:
    """What can be made again."""
    return _made(_chosen("CACHE"))


def runtime_dir() -> Path:
    """Sockets and locks of running processes; ours alone, and short enough for a socket path."""
    folder = _chosen("RUNTIME")
    if len(os.fsencode(str(folder))) + 1 + _SOCKET_NAME_BYTES < _SOCKET_PATH_BYTES:
        return _private(folder)
    base = _private(_short_runtime())
    if folder == base:
        return base
    import hashlib

    return _private(base / hashlib.sha256(os.fsencode(str(folder))).hexdigest()[:8])


def shipped(name: str) -> Path:
    """The path of `tools` or `models.toml`, in a checkout as in an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_shipped" / name
    return installed if installed.exists() else package.parent / name


def _chosen(kind: str) -> Path:
    override = os.environ.get(f"LOCALAGENT_{kind}_DIR")
    if override:
        return Path(os.path.abspath(os.path.expanduser(override)))
    if sys.platform == "darwin":
        return _mac(kind)
    if os.name == "nt":
        return _windows(kind)
    return _xdg(kind)


def _xdg(kind: str) -> Path:
    if kind == "RUNTIME":
        base = os.environ.get("XDG_RUNTIME_DIR", "")
        return Path(base) / _NAME if os.path.isabs(base) and os.path.isdir(base) else _short_runtime()
    variable, default = {
        "CONFIG": ("XDG_CONFIG_HOME", ".config"),
        "DATA": ("XDG_DATA_HOME", ".local/share"),
        "STATE": ("XDG_STATE_HOME", ".local/state"),
        "CACHE": ("XDG_CACHE_HOME", ".cache"),
    }[kind]
    base = os.environ.get(variable, "")
    return (Path(base) if os.path.isabs(base) else Path.home() / default) / _NAME


def _mac(kind: str) -> Path:
    library = Path.home() / "Library"
    return {
        "CONFIG": library / "Application Support" / _NAME / "config",
        "DATA": library / "Application Support" / _NAME / "data",
        "STATE": library / "Application Support" / _NAME / "state",
        "CACHE": library / "Caches" / _NAME,
        "RUNTIME": library / "Caches" / _NAME / "run",
    }[kind]


def _windows(kind: str) -> Path:
    base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    return Path(base) / _NAME / kind.lower()


def _short_runtime() -> Path:
    return Path("/tmp") / f"{_NAME}-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            f"Make it writable, or name another with LOCALAGENT_{_kind_of(folder)}_DIR.",
        ) from error
    return folder


def _kind_of(folder: Path) -> str:
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        if _chosen(kind) == folder:
            return kind
    return "RUNTIME"


def _private(folder: Path) -> Path:
    """Refuses a folder that someone else made or could enter: sockets in it are trusted."""
    made = _made(folder)
    if os.name == "nt":
        return made
    facts = os.lstat(made)
    if stat.S_ISLNK(facts.st_mode) or facts.st_uid != os.getuid():
        raise StoreError(f"The folder {folder} belongs to someone else.", "Name another with LOCALAGENT_RUNTIME_DIR.")
    if facts.st_mode & 0o077:
        os.chmod(made, 0o700)
    return made
