"""A watcher that is killed at any moment: nothing is begun twice, and what was begun is known."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from localagent.channels.sender import alive
from localagent.store.jobs import Job, Jobs, Trigger

KILLS = int(os.environ.get("LOCALAGENT_JOB_KILLS", "5"))
WATCHER = """
import asyncio, os, sys
from pathlib import Path
from localagent.jobs import watcher
from localagent.jobs.clock import SystemClock
from localagent.jobs.running import Outcome
from localagent.store import jobs
from localagent.store.jobs import Jobs

jobs._KEPT_RUNS = 10**6
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

async def run(job, run, began):
    os.write(log, f"{run.number} {job.id} {run.why}\\n".encode())
    await asyncio.sleep(0.004)
    return Outcome("done")

async def tell(job, run):
    if run.state == "cut off":
        os.write(log, f"cut {run.number}\\n".encode())

print("ready", flush=True)
asyncio.run(watcher.Watcher(watcher.Kit(Jobs(Path(sys.argv[1])), SystemClock(), None, run, tell)).run())
"""


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def test_nothing_is_begun_twice(tmp_path: Path) -> None:
    path, log, chosen = tmp_path / "jobs.db", tmp_path / "log", random.Random(1)
    now = time.time()
    with_jobs = Jobs(path)
    for n in range(4):
        with_jobs.add(Job(f"job{n}", f"job{n}", "g", "/", Trigger("every", "", 0.02 + n / 100), made=now), now)
    with_jobs.close()
    for _ in range(KILLS):
        argv = [sys.executable, "-c", WATCHER, str(path), str(log)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.getcwd()}) as child:
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            began, until = _size(log), time.monotonic() + 20
            while _size(log) - began < 200 and time.monotonic() < until:
                time.sleep(0.002)
            time.sleep(chosen.random() * 0.05)
            child.kill()
    store = Jobs(path)
    last = [run.number for run in store.cut_off(alive, time.time())]
    runs = {run.number: run for kept in store.all() for run in store.runs(kept.job.id, 10**6) if run.state not in ("skipped", "missed")}
    lines = [line.split() for line in log.read_text().splitlines()]
    started = [int(words[0]) for words in lines if words[0] != "cut"]
    told = [int(words[1]) for words in lines if words[0] == "cut"]
    # Every start is on record, once. What was cut off is known for that, and told once at the most: a kill can come between.
    assert len(started) == len(set(started)) >= 3 * KILLS and set(started) <= runs.keys()
    cut = {number for number, run in runs.items() if run.state == "cut off"}
    assert len(told + last) == len({*told, *last}) and {*told, *last} <= cut and (len(told) > KILLS / 10 or KILLS < 50)
    assert all(runs[number].state in ("done", "cut off") for number in started)
    assert {run.state for run in runs.values()} <= {"done", "cut off"}
