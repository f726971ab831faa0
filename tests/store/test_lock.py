from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store.lock import locked

ROOT = Path(__file__).resolve().parents[2]


def test_only_one_holds_it_and_the_others_wait(tmp_path: Path) -> None:
    file, order = tmp_path / "lock", []

    def hold(name: str) -> None:
        with locked(file, poll_s=0.01):
            order.append(f"{name} in")
            time.sleep(0.05)
            order.append(f"{name} out")

    threads = [threading.Thread(target=hold, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [step.split()[1] for step in order] == ["in", "out"] * 3


def test_it_says_whether_one_waited_and_waiting_can_be_given_up(tmp_path: Path) -> None:
    file = tmp_path / "lock"

    def tired() -> None:
        raise TimeoutError

    with locked(file) as waited:
        assert not waited
        with pytest.raises(TimeoutError), locked(file, tired):
            pass
    with locked(file) as waited:
        assert not waited


def test_a_killed_holder_frees_it(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from localagent.store.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    tries: list[int] = []

    def waiting() -> None:
        tries.append(1)
        if len(tries) == 3:
            holder.kill()
            holder.wait()

    with locked(file, waiting, poll_s=0.01) as waited:
        assert waited and len(tries) >= 3
    holder.stdout.close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError), locked(tmp_path / "no" / "lock"):
        pass
