"""From Enter to the first new token, through the real command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any

import startup
from engine_session import SETTLE_S
from engine_table import Bar, Row, shown

from localagent.engine import local
from localagent.errors import EngineError

COLD_BAR = Bar(2.0, at_most=True, unit=" s")
WARM_BAR = Bar(startup.DO_MS, at_most=True, unit=" ms")
TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds from the start of the process to the first new token's evaluation, and until all were evaluated."""

    before: float
    read: float
    total: int
    cached: int

    @property
    def evaluating(self) -> float:
        return self.read - self.before


def start(model: str, goal: str) -> Started:
    """One `do`, interrupted as soon as its prompt is read. Raises `EngineError` where that never happens."""
    argv = [*startup.OURS, "do", "--output-format", "stream-json", "--mode", "plan", "--quiet", "--model", model, goal]
    env = {**os.environ, "PYTHONPATH": str(startup.ROOT)}
    # Compiled once and kept, as everywhere but where somebody forbids it.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="do-") as work:
        began, first = time.monotonic(), 0.0
        process = subprocess.Popen(
            argv, env=env, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        timer = threading.Timer(TIMEOUT_S, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                at, event = time.monotonic() - began, json.loads(line)
                if event["event"] != "PrefillProgress":
                    continue
                first = first or at
                if event["done"] == event["total"]:
                    return Started(first, at, event["total"], event["cached"])
        finally:
            timer.cancel()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
    raise EngineError(f"`do` ended without asking the engine: {err.decode(errors='replace').strip()[-300:]}")


def ready(model: str) -> None:
    """What was used once: the host has read the fixed prefix, and had the time to keep it."""
    start(model, "Say hello.")
    time.sleep(SETTLE_S)


def cold(model: str, times: int, token_s: float) -> Row:
    """`do` while nothing runs, behind `ready`. What the request's own tokens cost to read is told and left out."""
    found = []
    for number in range(times):
        asyncio.run(local.stop())
        found.append(start(model, f"Say the number {number}."))
    values = [one.before + token_s for one in found]
    last = found[-1]
    figures: dict[str, Any] = {
        "before_s": [one.before for one in found], "evaluating_s": [one.evaluating for one in found],
        "first_token_s": [one.read + token_s for one in found], "token_s": token_s,
        "tokens": last.total, "cached": last.cached,
    }  # fmt: skip
    lines = (
        f"first token after {shown([one.read + token_s for one in found])} s, of which "
        f"{statistics.median(one.evaluating for one in found):.2f} s read {last.total - last.cached:,} of {last.total:,} tokens",
    )
    what = "a `do` with nothing running to its first token, without reading"
    return Row("cold_s", what, COLD_BAR, statistics.median(values), figures, lines)


def warm(model: str, times: int) -> Row:
    """`do` on a warm host up to the first evaluated token, against an interpreter that only starts."""
    start(model, "Say hello.")
    number = 0

    def ours() -> float:
        nonlocal number
        number += 1
        return start(model, f"Say the number {number} again.").before

    def base() -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
        return time.monotonic() - began

    found = startup.paired(times, ours, base)
    lines = (f"{found['ours_ms']:.0f} ms from Enter, {found['base_ms']:.0f} ms of them the interpreter's own start",)
    what = "a `do` on a warm host to its first evaluated token, ours"
    return Row("warm_ms", what, WARM_BAR, found["added_ms"], found, lines)
