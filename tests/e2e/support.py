"""The real command line as a process of its own, and an engine host that says what a script says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
ARGV = [sys.executable, "-P", "-m", "localagent"]


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        """Our own lines on stderr."""
        return "\n".join(line for line in self.err.splitlines() if line.startswith("localagent: "))


@dataclass(slots=True)
class Cli:
    """`localagent` in `work`, with nobody at a terminal."""

    work: Path
    env: dict[str, str] = field(default_factory=lambda: {**os.environ, "PYTHONPATH": str(ROOT)})
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        return Path(self.env["LOCALAGENT_CACHE_DIR"])

    def start(self, *argv: str, before: Sequence[str] = (), **options: Any) -> subprocess.Popen[bytes]:
        """`before` is a program that starts ours (a limit, a shell)."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(
            [*before, *ARGV, *argv], cwd=self.work, env=self.env, start_new_session=True, **options
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """End what a test that failed left behind, and the engine."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                process.wait(10)
        if Path(self.env["LOCALAGENT_RUNTIME_DIR"], "engine.sock").exists():
            subprocess.run([*ARGV, "engine", "stop"], env=self.env, check=False, capture_output=True, timeout=30)

    def __call__(self, *argv: str, timeout: float = 60, **options: Any) -> Ran:
        began = time.monotonic()
        return ended(self.start(*argv, **options), began, timeout)


def ended(process: subprocess.Popen[bytes], began: float, timeout: float = 60) -> Ran:
    """Wait for the end. No traceback is ever shown, whatever happened."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"still running after {timeout} s; stderr: {err.decode(errors='replace')}")
    ran = Ran(process.returncode, (out or b"").decode(), (err or b"").decode(), time.monotonic() - began)
    assert "Traceback" not in ran.err and "Exception ignored" not in ran.err, ran.err
    return ran


class Host(threading.Thread):
    """Speaks the engine host's protocol. Each answer is the script's next step: a text, or a function that writes it."""

    def __init__(self, *script: str | Callable[[Callable[[str], None]], None]) -> None:
        super().__init__(daemon=True)
        self._script = list(script)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(Path(os.environ["LOCALAGENT_RUNTIME_DIR"]) / "engine.sock"))
        self._server.listen()
        self.requests: list[dict[str, Any]] = []
        self.asked = threading.Event()
        self.left = threading.Event()
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            head = stream.read(4)
            if len(head) < 4:
                return
            request = json.loads(stream.read(struct.unpack(">I", head)[0]))

            def send(event: dict[str, Any]) -> None:
                body = json.dumps({"id": request["id"], **event}).encode()
                connection.sendall(struct.pack(">I", len(body)) + body)

            if request["op"] == "prepare":
                # Nothing is read ahead here; the client may be gone before it hears that.
                with contextlib.suppress(OSError):
                    send({"event": "done", "stop": "end", "text": ""})
                return
            self.requests.append(request)
            self.asked.set()
            step = self._script.pop(0) if self._script else "All is well."
            try:
                if callable(step):
                    step(lambda text: send({"event": "token", "ids": [1], "text": text}))
                else:
                    send({"event": "token", "ids": [1], "text": step})
                usage = {"input": 10, "cached": 5, "output": 1}
                timings = {"load_ms": 0.0, "prefill_ms": 0.0, "decode_ms": 0.0}
                send({"event": "done", "stop": "end", "text": "", "usage": usage, "timings": timings})
            except OSError:
                # The client is gone, or the script wants the connection to break.
                self.left.set()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        Path(os.environ["LOCALAGENT_RUNTIME_DIR"], "engine.sock").unlink(missing_ok=True)


def tool_call(name: str, **arguments: Any) -> str:
    """A call as the hermes dialect writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def transcript(env: Mapping[str, str] = os.environ) -> list[dict[str, Any]]:
    """The events of the last session."""
    sessions = Path(env["LOCALAGENT_STATE_DIR"]) / "sessions"
    last = max(sessions.iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
    return [json.loads(line) for line in (last / "transcript.jsonl").read_text().splitlines()]


def until(process: subprocess.Popen[bytes], wanted: str, timeout: float = 300) -> dict[str, Any]:
    """Read a run's event stream up to the first event of that name."""
    assert process.stdout is not None
    timer = threading.Timer(timeout, process.kill)
    timer.start()
    line = b""
    try:
        for line in process.stdout:
            if (event := json.loads(line))["event"] == wanted:
                return event
    finally:
        timer.cancel()
    pytest.fail(f"the run ended without {wanted}; its last event: {line.decode()}")


def running(text: str) -> list[str]:
    """The command lines of living processes that hold this text."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if text in line and process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found.append(line)
    return found


def interrupt(process: subprocess.Popen[bytes]) -> Ran:
    """What Ctrl+C does. Every program the run had started, but the resident engine, must be gone with it."""
    tree = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    ran = ended(process, began)
    left = [one for one in tree if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    lines = [" ".join(one.cmdline()) for one in left]
    assert [line for line in lines if "localagent.engine.host" not in line] == []
    return ran
