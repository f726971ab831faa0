"""A long session as a process of its own, killed in the middle of it and gone on with: nothing that holds is lost."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from localagent.agent.room import limit
from tests.agent.test_compaction import WISHES, said

KILLS = 8
TURNS = 200


@pytest.mark.slow
def test_killed_and_gone_on_with_it_knows_every_wish(tmp_path: Path) -> None:
    rng, argv = random.Random(7), [sys.executable, "-m", "tests.agent.compact_child", str(tmp_path / "child"), str(TURNS)]
    for _ in range(KILLS):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(rng.randrange(1, TURNS // KILLS)):
                child.stdout.readline()
            child.kill()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    end = json.loads((tmp_path / "child" / "end.json").read_text())
    assert end["bad"] == [] and end["most"] <= limit(4096, 2048)
    shown = "\n".join(end["shown"])
    assert all(wish in shown for wish in WISHES) and said(TURNS) in shown
