"""What starting costs: paired ratios, each pair measured one run after the other.

    help      `localagent --help` against `python -c pass`: at most 3 times as long
    warm do   our own part of a `do` on a warm engine against `python -c 'import asyncio'`:
              at most 150 ms more

Our own part of a `do` is the time from the start of the process to the first request that
reaches the engine, and from the last byte of the engine's answer to the end of the process:
settings, catalogue, the model's record, the sandbox's probe, tools, prompt, transcript,
printing. What the model takes in between is not ours and is left out, and so that it cannot
disturb the clock the engine here is a thread that speaks the host's protocol and answers at
once. The command, its arguments and its folders are those of a user: the model is the
catalogue's `starter`, whose file is a hole of the right size with the record that it was
verified once, as the first use leaves it. Byte code is written before the clock starts.

usage: python bench/startup.py [--pairs 21] [--json]      exit code 1 when a limit is not held
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = [sys.executable, "-P", "-m", "localagent"]
HELP_TIMES = 3.0
DO_MS = 150.0
WARM_UP = 2


class Engine(threading.Thread):
    """A host that is warm and answers one sentence. `asked` and `answered` are the times of the last answer."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self.asked = self.answered = 0.0
        self.requests = 0

    def run(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection, connection.makefile("rwb") as stream:
                (length,) = struct.unpack(">I", stream.read(4))
                self.asked = time.monotonic()
                request = json.loads(stream.read(length))
                for event in _answer(request["id"]):
                    body = json.dumps(event).encode()
                    stream.write(struct.pack(">I", len(body)) + body)
                self.requests += 1
                stream.flush()
                self.answered = time.monotonic()


def _answer(number: int) -> list[dict[str, Any]]:
    usage = {"input": 1000, "cached": 990, "output": 3}
    timings = {"load_ms": 0.0, "prefill_ms": 0.0, "decode_ms": 0.0}
    return [
        {"id": number, "event": "token", "ids": [1, 2, 3], "text": "Hello there."},
        {"id": number, "event": "done", "stop": "end", "text": "", "usage": usage, "timings": timings},
    ]


def environment(home: Path) -> dict[str, str]:
    """A user's own folders; runtime and byte code lie in `home` too."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOCALAGENT_", "PYTHON", "XDG_"))}
    ours = {f"LOCALAGENT_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    return kept | ours | {
        "HOME": str(home),
        "LOCALAGENT_RUNTIME_DIR": str(home / "run"),
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": str(home / "pyc"),
    }  # fmt: skip


def register_starter(env: dict[str, str]) -> None:
    """The starter as it is after its first use: a file of its size, and the record of its sha256."""
    code = """if True:
        from localagent.engine import catalogue, reuse
        entry = catalogue.load().get("starter")
        part, path = entry.parts[0], reuse.own_path(entry, entry.parts[0])
        path.parent.mkdir(parents=True)
        with open(path, "wb") as file:
            file.truncate(part.bytes)
        reuse.remember(path, part.sha256)
    """
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def run(argv: Sequence[str], env: dict[str, str], cwd: Path) -> tuple[float, float]:
    """When the program was started and when it had ended; what it did must have worked."""
    started = time.monotonic()
    done = subprocess.run(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    ended = time.monotonic()
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return started, ended


def paired(pairs: int, ours: Callable[[], float], base: Callable[[], float]) -> dict[str, float]:
    """Medians over alternating runs, in milliseconds, of both, of their ratio and of their difference."""
    for _ in range(WARM_UP):
        base(), ours()
    times = []
    for number in range(pairs):
        first, second = (base, ours) if number % 2 else (ours, base)
        one, two = first(), second()
        times.append((two, one) if number % 2 else (one, two))
    return {
        "pairs": pairs,
        "ours_ms": statistics.median(a for a, _ in times) * 1e3,
        "base_ms": statistics.median(b for _, b in times) * 1e3,
        "ratio": statistics.median(a / b for a, b in times),
        "added_ms": statistics.median(a - b for a, b in times) * 1e3,
    }


def measure(home: Path, pairs: int) -> dict[str, dict[str, float]]:
    env, work = environment(home), home / "work"
    for folder in (work, home / "run"):
        folder.mkdir(mode=0o700)
    register_starter(env)
    engine = Engine(home / "run" / "engine.sock")
    engine.start()

    def whole(*argv: str) -> Callable[[], float]:
        def timed() -> float:
            started, ended = run(argv, env, work)
            return ended - started

        return timed

    def do() -> float:
        before = engine.requests
        started, ended = run([*OURS, "do", "--model", "starter", "Say hello."], env, work)
        if engine.requests != before + 1:
            raise SystemExit("`do` did not ask the engine exactly once")
        return engine.asked - started + ended - engine.answered

    return {
        "help": paired(pairs, whole(*OURS, "--help"), whole(sys.executable, "-c", "pass")),
        "warm do": paired(pairs, do, whole(sys.executable, "-c", "import asyncio")),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=21, help="pairs of runs, 15 at least (21)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    options = parser.parse_args()
    # Short: a socket lies in it.
    home = Path(tempfile.mkdtemp(prefix="la-"))
    try:
        found = measure(home, max(15, options.pairs))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    held = {"help": found["help"]["ratio"] <= HELP_TIMES, "warm do": found["warm do"]["added_ms"] <= DO_MS}
    if options.json:
        json.dump({name: {**figures, "held": held[name]} for name, figures in found.items()}, sys.stdout, indent=1)
        print()
    else:
        print(f"{'':8} {'ours':>9} {'base':>9} {'ratio':>7} {'added':>9}")
        for name, f in found.items():
            limit = f"at most {HELP_TIMES:g} x" if name == "help" else f"at most {DO_MS:g} ms more"
            print(
                f"{name:8} {f['ours_ms']:6.1f} ms {f['base_ms']:6.1f} ms {f['ratio']:7.2f} {f['added_ms']:6.1f} ms"
                f"  {'ok' if held[name] else 'TOO SLOW'} ({limit}, {f['pairs']} pairs)"
            )
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
