"""Told to go, the app leaves; where it cannot, the process ends all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import asyncio, sys, threading
from localagent.tui import leaving
leaving._STOP_S = 0.3
async def main():
    over = asyncio.Event()
    leaving.when_told(over.set)
    print("ready", flush=True)
    {wait}
    print("left", flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("wait", "said", "code"),
    [("await over.wait()", "left\n", 0), ("threading.Semaphore(0).acquire()", "", None)],
    ids=["it leaves", "it hangs"],
)
def test_told_to_go(number: int, wait: str, said: str, code: int | None) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(wait=wait)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.send_signal(number)
    assert process.communicate(timeout=10)[0] == said
    assert process.returncode == (128 + number if code is None else code)
