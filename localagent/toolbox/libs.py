"""The packages that a plugin file needs, in a folder of their own for exactly these bytes and this Python.

They are installed on a person's word alone: wheels only, so nothing of them runs while they are. pip works in the sandbox and
reaches nothing but the user's own index; what it brought is unpacked there without any network. The hash of each wheel is kept.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigError, SandboxUnavailable
from ..sandbox import launch
from ..store.atomic import write_atomic
from ..store.files import remove_tree
from ..store.paths import cache_dir

_PYPI = "https://pypi.org/simple"
_FILES_OF = {"pypi.org": "files.pythonhosted.org"}
_KEPT = ("index_url", "extra_index_url", "find_links", "no_index", "cert", "constraint", "trusted_host", "default_timeout", "pre")
_SECONDS = 300.0
_LIMITS = launch.Limits(wall_s=_SECONDS, memory_mb=2048, file_mb=1024, output_kb=4096)
_SHORT = launch.Limits(wall_s=20, memory_mb=0, processes=0, file_mb=0, output_kb=256)
_WHEELS = 80


@dataclass(frozen=True, slots=True)
class Wheel:
    name: str
    sha256: str


def place(data: bytes) -> Path | None:
    """Where the packages of this file lie; None where they are not installed for this Python."""
    folder = _folder(data)
    return folder / "site" if (folder / "lock.json").is_file() and (folder / "site").is_dir() else None


def wheels(data: bytes) -> list[Wheel]:
    """What was installed for this file."""
    try:
        found = json.loads((_folder(data) / "lock.json").read_bytes())["wheels"]
        return [Wheel(str(one["name"]), str(one["sha256"])) for one in found]
    except (OSError, ValueError, KeyError, TypeError):
        return []


async def install(data: bytes, needs: Sequence[str], index_url: str | None = None) -> list[Wheel]:
    """Fetch and unpack what the file needs; a second time costs nothing.

    Raises ConfigError with pip's own reason, SandboxUnavailable where there is nothing to hold it in.
    """
    if place(data) is not None:
        return wheels(data)
    config = await _config()
    chosen = index_url or config.get("index_url") or os.environ.get("UV_DEFAULT_INDEX") or _PYPI
    config = {name: value for name, value in config.items() if name in _KEPT} | {"index_url": chosen}
    hosts = _hosts(config)
    if launch.probe().name == "none" or (hosts and launch.probe().name != "bubblewrap"):
        raise SandboxUnavailable("Packages of plugins are installed in the sandbox of bubblewrap alone, and it cannot be used here.")
    parent = _parent()
    room = Path(tempfile.mkdtemp(prefix=".room-", dir=parent))
    try:
        found = await _fill(room, needs, config, hosts)
        lock = {
            "file": hashlib.sha256(data).hexdigest(),
            "python": platform.python_version(),
            "needs": list(needs),
            "wheels": [{"name": one.name, "sha256": one.sha256} for one in found],
        }
        write_atomic(room / "lock.json", json.dumps(lock, indent=1).encode())
        for name in ("wheels", "tmp"):
            remove_tree(str(room / name))
        target = _folder(data)
        if target.exists():
            remove_tree(str(target))
        os.rename(room, target)
        return found
    except OSError as error:
        raise ConfigError(f"The packages could not be stored: {error.strerror}.", "Free some space and try again.") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def sweep(kept: Sequence[bytes]) -> None:
    """Remove what belongs to none of these files."""
    wanted = {_folder(data).name for data in kept}
    for path in _parent().iterdir():
        if path.name not in wanted and path.name[0] != ".":
            shutil.rmtree(path, ignore_errors=True)


def _parent() -> Path:
    made = cache_dir() / "plugin-packages"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def _folder(data: bytes) -> Path:
    facts = (hashlib.sha256(data).hexdigest(), sys.implementation.cache_tag, sys.platform, platform.machine())
    return _parent() / hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()[:32]


async def _fill(room: Path, needs: Sequence[str], config: Mapping[str, str], hosts: tuple[str, ...]) -> list[Wheel]:
    for name in ("wheels", "site", "tmp"):
        (room / name).mkdir(mode=0o700)
    readable = tuple(path for path in _paths(config) if os.path.lexists(path))
    fetching = launch.Profile(readable=readable, writable=(str(room),), hosts=hosts, private=hosts, limits=_LIMITS)
    plain = ("--only-binary", ":all:", "--no-cache-dir", "--progress-bar", "off", "--quiet")
    await _pip(["download", *plain, "--dest", str(room / "wheels"), "--", *needs], fetching, room, config)
    found = sorted((room / "wheels").iterdir())
    if not found or len(found) > _WHEELS or not all(path.suffix == ".whl" and path.is_file() and not path.is_symlink() for path in found):
        raise ConfigError(f"pip brought {len(found)} files, which are not from 1 to {_WHEELS} wheels; none is installed.")
    known = [Wheel(path.name, _digest(path)) for path in found]
    unpacking = launch.Profile(writable=(str(room),), limits=_LIMITS)
    target = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--target", str(room / "site")]
    await _pip(["install", *target, *map(str, found)], unpacking, room, {})
    if [_digest(path) for path in found] != [one.sha256 for one in known]:
        raise ConfigError("The wheels changed while they were unpacked; none is installed.")
    _plain_files(room / "site")
    return known


async def _pip(argv: Sequence[str], profile: launch.Profile, room: Path, config: Mapping[str, str]) -> None:
    settings = {f"PIP_{name.upper()}": value for name, value in config.items()}
    settings |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    settings |= {"TMPDIR": str(room / "tmp"), "HOME": str(room / "tmp")}
    process = await launch.start([*_program(), *argv], profile=profile, cwd=room, env=launch.clean_env(settings))
    async with process:
        output = b"".join([chunk async for chunk in process]).decode(errors="replace")
        code = await process.wait()
    if process.ended:
        raise ConfigError(f"The packages were not installed: pip was stopped ({process.ended}).", "Try again.")
    if code != 0:
        refused = process.refused()
        more = f" The sandbox lets it reach the index alone, and refused: {'; '.join(refused[:3])}." if refused else ""
        raise ConfigError(f"The packages were not installed: {_reason(output, code)}{more}", "The plugin stays off.")


def _program() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-I", "-m", "pip"]
    if program := shutil.which("pip3") or shutil.which("pip"):
        return [program]
    raise ConfigError("pip is not installed, and packages of plugins come through it.", f"Install it: {sys.executable} -m ensurepip")


async def _config() -> dict[str, str]:
    """The user's own settings of pip, which the sandbox hides from it."""
    extra = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "XDG_"))}
    done = await launch.run([*_program(), "config", "list"], profile=None, cwd="/", env=launch.clean_env(extra), limits=_SHORT)
    return _settings(done.output.decode(errors="replace")) if done.code == 0 else {}


def _settings(told: str) -> dict[str, str]:
    """`pip config list`: the environment goes before what is set for the command, and that before all commands."""
    ranks, found = {"global": 0, "download": 1, "install": 1, ":env:": 2}, dict[str, tuple[int, str]]()
    for line in told.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        try:
            said = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            continue
        key, rank = key.replace("-", "_"), ranks.get(section)
        if rank is not None and isinstance(said, str) and rank >= found.get(key, (0, ""))[0]:
            found[key] = (rank, " ".join(said.split()))
    return {key: value for key, (_, value) in found.items() if value}


def _addresses(config: Mapping[str, str]) -> list[str]:
    return [one for name in ("index_url", "extra_index_url", "find_links") for one in config.get(name, "").split()]


def _hosts(config: Mapping[str, str]) -> tuple[str, ...]:
    """The hosts of the user's index, each with its port."""
    if config.get("no_index", "").lower() in ("1", "true", "yes", "on"):
        config = {"find_links": config.get("find_links", "")}
    found: dict[str, None] = {}
    for address in _addresses(config):
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            found[f"{parts.hostname}:{port}"] = None
            if parts.hostname in _FILES_OF:
                found[f"{_FILES_OF[parts.hostname]}:{port}"] = None
    return tuple(found)


def _paths(config: Mapping[str, str]) -> list[str]:
    """What of it lies on this machine."""
    named = [one.removeprefix("file://") for one in _addresses(config) if not one.startswith(("http://", "https://"))]
    return [os.path.expanduser(path) for path in (*named, config.get("cert", ""), config.get("constraint", "")) if path]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain_files(folder: Path) -> None:
    """Nothing but files and folders: a link would show a plugin what it may not see."""
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(top, name)
            if os.path.islink(path) or not (os.path.isfile(path) or os.path.isdir(path)):
                raise ConfigError(f"A package brings {name!r}, which is no plain file; none is installed.")


def _reason(output: str, code: int) -> str:
    """pip's first complaint, which has the cause."""
    said = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR:")]
    if any("No space left" in line for line in said):
        return "the disk is full."
    if errors[:1] == ["Exception:"]:
        # Behind it stands a whole traceback of pip's.
        errors = said[-1:]
    found = errors or said
    return found[0][:400] if found else f"pip ended with {code}."
