"""Programs of ours in a terminal that is drawn elsewhere, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from localagent.errors import StoreError
from localagent.sandbox.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
# Starts a terminal with a program that would spin for ever, says its number, and waits.
STARTER = """
import asyncio, os, sys
from localagent.sandbox.terminal import Terminal
async def main():
    spin = "import os\\nos.write(1, b'up')\\nwhile True: pass"
    up = asyncio.Event()
    made = Terminal([sys.executable, "-I", "-S", "-c", spin], cwd="/", env=dict(os.environ), size=(80, 24),
                    wrote=lambda data: up.set(), ended=lambda status: None)
    await up.wait()
    print(made.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def run(code: str, then: Any = None) -> tuple[int, bytes]:
    """Its exit status and all it wrote; `then(terminal)` is called at its first words."""
    wrote, over, first = bytearray(), asyncio.get_running_loop().create_future(), [then]

    def took(data: bytes) -> None:
        wrote.extend(data)
        if (call := first[0]) is not None:
            first[0] = None
            call(made)

    argv = [sys.executable, "-I", "-S", "-c", code]
    made = Terminal(argv, cwd="/", env={"HERE": "1"}, size=(90, 33), wrote=took, ended=over.set_result)
    status = await asyncio.wait_for(over, 20)
    assert not made.open
    made.write(b"late")
    made.resize(1, 1)
    made.end()
    made.kill()
    return status, bytes(wrote)


def test_the_program_has_a_terminal_of_its_own_and_all_its_output_comes() -> None:
    code = (
        "import os\nassert os.isatty(0) and os.isatty(1) and os.isatty(2) and os.environ['HERE'] == '1'\n"
        "assert os.tcgetpgrp(0) == os.getpid() == os.getsid(0)\n"
        "print(os.get_terminal_size(), 'x' * 300_000 + 'END')\nraise SystemExit(3)"
    )
    status, wrote = asyncio.run(run(code))
    assert status == 3 and b"columns=90, lines=33" in wrote and wrote.endswith(b"END\r\n") and wrote.count(b"x") >= 300_000


def test_it_can_be_asked_to_end_and_be_ended() -> None:
    wait = "import os, time\nos.write(1, b'up')\ntime.sleep(60)"
    assert asyncio.run(run(wait, lambda made: made.end()))[0] == -signal.SIGTERM
    deaf = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{wait}"
    assert asyncio.run(run(deaf, lambda made: (made.end(), made.kill())))[0] == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system cannot say that a program has stopped")
def test_a_program_that_stops_itself_goes_on() -> None:
    stop = "import os, signal\nfor n in range(3):\n    os.kill(os.getpid(), signal.SIGSTOP)\nos.write(1, b'on')"
    assert asyncio.run(run(stop)) == (0, b"on")


def test_what_a_program_leaves_behind_does_not_hold_its_end_up() -> None:
    code = "import os, time\nif os.fork() == 0:\n    time.sleep(5)\n    os._exit(0)\nos.write(1, b'gone')"
    began = time.monotonic()
    assert asyncio.run(run(code)) == (0, b"gone")
    assert time.monotonic() - began < 4


def test_a_program_that_is_not_there_is_said() -> None:
    async def whole() -> tuple[int, bytes]:
        wrote, over = bytearray(), asyncio.get_running_loop().create_future()
        Terminal(["/no/such"], cwd="/", env={}, size=(80, 24), wrote=wrote.extend, ended=over.set_result)
        return await asyncio.wait_for(over, 20), bytes(wrote)

    status, wrote = asyncio.run(whole())
    assert status == 1 and b"No such file" in wrote

    async def nowhere() -> None:
        Terminal(["/bin/true"], cwd="/no/such", env={}, size=(80, 24), wrote=print, ended=print)

    with pytest.raises(StoreError):
        asyncio.run(nowhere())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_program_outlives_the_process_that_started_it(number: int) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert starter.stdout
    program = psutil.Process(int(starter.stdout.readline()))
    assert program.is_running()
    starter.send_signal(number)
    starter.wait(10)
    psutil.wait_procs([program], timeout=5)
    assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE
