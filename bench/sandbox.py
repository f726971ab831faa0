"""What the sandbox costs a call: `true` inside against `true` alone, each pair measured one after the other.

    bubblewrap         a program as `run` starts it: at most 60 ms in the median
    with granted hosts the same, with the proxy's door opened first
    Landlock           the reduced boundary, where bubblewrap cannot run

usage: python bench/sandbox.py [--pairs 41] [--json]      exit code 1 when the limit is not held
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from localagent.sandbox import landlock, launch
from localagent.sandbox.profile import Boundary, Profile

LIMIT_MS = 60.0
WARM_UP = 3
KINDS = {
    "bubblewrap": ("bubblewrap", Profile()),
    "with granted hosts": ("bubblewrap", Profile(hosts=("example.org",))),
    "Landlock": ("landlock", Profile()),
}


async def once(profile: Profile | None) -> float:
    began = time.perf_counter()
    done = await launch.run(["/bin/bash", "--norc", "-c", "true"], profile=profile, cwd="/")
    assert done.code == 0, done
    return 1000 * (time.perf_counter() - began)


async def measured(kind: str, pairs: int) -> dict[str, float]:
    """Medians in ms, the least inside, and the median of the pairs' ratios."""
    backend, profile = KINDS[kind]
    launch._probed = Boundary(backend)  # type: ignore[arg-type]
    for _ in range(WARM_UP):
        await once(profile)
    timed = [(await once(None), await once(profile)) for _ in range(pairs)]
    return {
        "alone_ms": statistics.median(alone for alone, _ in timed),
        "inside_ms": statistics.median(inside for _, inside in timed),
        "least_ms": min(inside for _, inside in timed),
        "ratio": statistics.median(inside / alone for alone, inside in timed),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=41)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    there = launch.probe()
    kinds = [k for k in KINDS if k != "Landlock" or landlock.version() >= landlock.OLDEST]
    kinds = [k for k in kinds if k == "Landlock" or there.name == "bubblewrap"]
    found = {kind: asyncio.run(measured(kind, args.pairs)) for kind in kinds}
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        for kind, row in found.items():
            inside, least, alone = row["inside_ms"], row["least_ms"], row["alone_ms"]
            print(f"{kind:20} {inside:6.1f} ms (least {least:.1f})  alone {alone:5.1f} ms  {row['ratio']:5.1f} times")
    whole = found.get("bubblewrap")
    return int(whole is None or whole["inside_ms"] > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
