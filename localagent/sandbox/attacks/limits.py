"""Attacks that use up the machine."""

from __future__ import annotations

from ..profile import Limits
from .scene import Judge, Scene
from .values import Attack, python


def _number(above: int) -> Judge:
    """Whether the last number that was said is above this."""

    def judge(scene: Scene, said: str) -> bool:
        numbers = [int(word) for word in said.split() if word.isdigit()]
        return bool(numbers) and numbers[-1] > above

    return judge


def _longer(than: int) -> Judge:
    return lambda scene, said: len(said) > than


_FORK = """
import os, signal, time
made = []
try:
    for _ in range(200):
        pid = os.fork()
        if pid == 0: time.sleep(3); os._exit(0)
        made.append(pid)
except OSError as error: print(error)
time.sleep(0.2)
print(len(made), flush=True)
for pid in made: os.kill(pid, signal.SIGKILL)
"""
_MEMORY = """
try: print(len(bytearray(300 * 2**20)))
except MemoryError: print("MemoryError 0")
"""
_TOGETHER = """
import os, time
for _ in range(7):
    if os.fork() == 0: break
space = bytearray(b"x") * (60 * 2**20)
time.sleep(1)
print(len(space), flush=True)
"""
_BIG = "head -c 3000000 /dev/zero > big; stat -c %s big; rm -f big"
_TMP = "for d in /tmp /dev/shm /var/tmp; do df -B1 --output=size $d | tail -1; done | sort -n | tail -1"

ATTACKS: tuple[Attack, ...] = (
    Attack("make too many processes", "limits", python(_FORK), _number(150), limits=Limits(wall_s=10, processes=40)),
    Attack(
        "multiply without end",
        "limits",
        "b() { b | b & }; : @TURN@; b; sleep 20",
        lambda scene, said: bool(scene.survivors()),
        False,
        limits=Limits(wall_s=1, processes=64),
    ),
    Attack(
        "take too much memory at once",
        "limits",
        python(_MEMORY),
        _number(10**8),
        limits=Limits(wall_s=10, memory_mb=128),
    ),
    Attack(
        "take too much memory together",
        "limits",
        python(_TOGETHER),
        _number(10**7),
        False,
        limits=Limits(wall_s=10, memory_mb=128),
    ),
    Attack("write too large a file", "limits", _BIG, _number(2**20), limits=Limits(wall_s=10, file_mb=1)),
    Attack("fill the memory by temporary files", "limits", _TMP, _number(600 * 2**20), False),
    Attack(
        "flood the output",
        "limits",
        "head -c 5000000 /dev/zero | tr '\\0' x",
        _longer(2**20),
        limits=Limits(wall_s=10, output_kb=100),
    ),
    Attack(
        "flood the output with one line for ever",
        "limits",
        "tr '\\0' x < /dev/zero",
        _longer(2**20),
        False,
        limits=Limits(wall_s=10, output_kb=100),
    ),
    Attack(
        "run for ever",
        "limits",
        ": @TURN@; trap '' TERM INT HUP; while :; do sleep 1; done",
        lambda scene, said: bool(scene.survivors()),
        False,
        limits=Limits(wall_s=0.5),
    ),
)
