"""Giving memory back: what is decided, and what the kernel says."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.engine.machine import GIB
from localagent.engine.pressure import Pressure, Relief, relief, this_pressure

MIB = 1 << 20


@pytest.mark.parametrize(
    ("now", "held", "expected"),
    [
        (Pressure(16 * GIB, 8 * GIB), 0, Relief(GIB)),
        (Pressure(16 * GIB, 4 * GIB), 0, Relief(GIB // 2)),
        # What the snapshots hold already is not held against them.
        (Pressure(16 * GIB, 3 * GIB), GIB, Relief(GIB // 2)),
        (Pressure(16 * GIB, 400 * MIB), 0, Relief(64 * MIB)),
        (Pressure(16 * GIB, 300 * MIB), 500 * MIB, Relief(0)),
        (Pressure(16 * GIB, 300 * MIB), 0, Relief(0, unload=True)),
        (Pressure(64 * GIB, GIB), 0, Relief(0, unload=True)),
        # Programs that wait for memory count only where there is little of it: one in a small box of its own waits too.
        (Pressure(16 * GIB, GIB, 30.0), 0, Relief(0, unload=True)),
        (Pressure(16 * GIB, GIB, 30.0), GIB, Relief(0)),
        (Pressure(16 * GIB, 8 * GIB, 30.0), 0, Relief(GIB)),
        (Pressure(16 * GIB, GIB, 2.0), 0, Relief(GIB // 8)),
        (Pressure(0, 0), 0, Relief(256 * MIB)),
    ],
)
def test_what_is_given_back(now: Pressure, held: int, expected: Relief) -> None:
    assert relief(now, held) == expected


def test_what_the_kernel_says(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_text("some avg10=9.00 avg60=1.00 avg300=0.00 total=5\nfull avg10=12.50 avg60=1.00 avg300=0.00 total=4\n")
    now = this_pressure(file)
    assert now.stalled == 12.5 and 0 < now.available <= now.total
    file.write_text("nothing of the kind\n")
    assert this_pressure(file).stalled == 0.0 == this_pressure(tmp_path / "none").stalled
