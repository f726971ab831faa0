"""The resident host as its clients see it: where it listens, whether it runs, starting and ending it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import EngineError
from ..store import paths
from . import protocol

START_S = 20.0
_PASSED = ("LOCALAGENT_", "CUDA_", "HIP_", "ROCR_", "GGML_", "LLAMA_", "OMP_", "VK_", "LD_LIBRARY_PATH", "DYLD_")


def socket_path() -> Path:
    return paths.runtime_dir() / "engine.sock"


def log_path() -> Path:
    return paths.state_dir() / "engine.log"


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """A connection, or None where no host listens."""
    if not hasattr(asyncio, "open_unix_connection"):
        raise EngineError("The engine cannot run on this system yet.", "Use Linux, macOS, or WSL on Windows.")
    try:
        return await asyncio.open_unix_connection(path, limit=1 << 20)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


async def start(path: Path, idle_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Start a host and connect to it. Raises `EngineError` with the end of its log."""
    from ..sandbox import launch

    log = log_path()
    with suppress(OSError):
        if log.stat().st_size > 1 << 20:
            log.unlink()
    began = log.stat().st_size if log.exists() else 0
    argv = [sys.executable, "-P", "-m", "localagent.engine.host", "--socket", str(path), "--idle-s", str(idle_s)]
    pid = launch.spawn_resident(argv, env=environment(), log=log)
    deadline, gone = time.monotonic() + START_S, None
    while time.monotonic() < deadline:
        found = await connect(path)
        if found is not None:
            return found
        # A host that lost the race for the lock ends at once: the winner's socket is about to be there.
        gone = gone or (time.monotonic() if not _alive(pid) else None)
        if gone and time.monotonic() - gone > 1.0:
            break
        await asyncio.sleep(0.01)
    raise EngineError(f"The engine did not start. Its log ends: {_tail(log, began)}", f"The whole log is {log}.")


def environment() -> dict[str, str]:
    """What a process of ours that loads a model runs with."""
    from ..sandbox import launch

    passed = {k: v for k, v in os.environ.items() if k.startswith(_PASSED)}
    passed |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "GGML_NO_BACKTRACE": "1"}
    return launch.clean_env(passed)


def _alive(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _tail(log: Path, start: int) -> str:
    try:
        lines = log.read_bytes()[start:].decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return "(no log)"
    return " / ".join(lines[-3:]) or "(empty)"


async def _ask(op: str, until_gone: bool = False, wait_s: float = 5.0) -> dict[str, Any] | None:
    """The answer to `op`, None where no host listens; with `until_gone` when the host has closed the connection."""
    found = await connect(socket_path())
    if found is None:
        return None
    reader, writer = found
    try:
        async with asyncio.timeout(wait_s):
            writer.write(protocol.pack({"op": op, "id": 1}))
            answer = await protocol.read(reader)
            while until_gone and await protocol.read(reader) is not None:
                pass
            return {} if answer is None and until_gone else answer
    except (ConnectionError, protocol.FrameError, protocol.BadRequest, TimeoutError) as error:
        what = "end" if until_gone else "answer"
        raise EngineError(f"The engine does not {what}.", f"End its process{_pid()} and run it again.") from error
    finally:
        writer.close()


def _pid() -> str:
    """The number of the host's process, which its lock holds."""
    try:
        return f" {int(socket_path().with_suffix('.lock').read_text())}"
    except (OSError, ValueError):
        return ""


async def status() -> dict[str, Any] | None:
    """What the running host says of itself (pid, model, context, memory_bytes, idle_s, ...); None where none runs."""
    answer = await _ask("status")
    return None if answer is None else {k: v for k, v in answer.items() if k not in ("id", "event")}


async def stop(wait_s: float = 8.0) -> bool:
    """End the running host and wait until its models are freed; False where none runs. Raises `EngineError`."""
    return await _ask("stop", until_gone=True, wait_s=wait_s) is not None
