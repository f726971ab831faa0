"""Ways to load a model, each in a child of its own: one that crashes llama.cpp costs a trial and nothing more."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..sandbox import launch
from ..sandbox.launch import Limits, Process

LOAD_S, RUN_S = 90.0, 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """How a trial loads the model; see `llama.Model` and `llama.Context`."""

    path: str
    repack: bool
    flash: bool
    batch: int
    kv: str
    gpu_layers: int
    split: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """Tokens to read and to write, with so many threads."""

    threads: int
    read: int
    write: int


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds."""

    read_s: float
    write_s: float


class Trials:
    """The children there are: each is started when it is first asked, and kept until `keep` or the end.

    Where `fits` says that one more would not fit beside the others, those asked longest ago end first.
    `trouble` says why the last one that failed did.
    """

    def __init__(self, fits: Callable[[Sequence[Load]], bool] | None = None) -> None:
        self.trouble = ""
        self._fits = fits or _always
        self._children: dict[Load, _Child] = {}
        self._broken: set[Load] = set()

    async def __aenter__(self) -> Trials:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keep(None)

    async def run(self, load: Load, work: Work) -> Took | None:
        """What the work took; None where this way to load crashes, hangs or computes nonsense."""
        if load in self._broken:
            return None
        child = self._children.pop(load, None)
        if child is not None:
            self._children[load] = child
        else:
            while self._children and not self._fits([*self._children, load]):
                await self._end(next(iter(self._children)))
            child = self._children[load] = await _start(load)
            if await child.told(LOAD_S) != {"ready": True}:
                return await self._give_up(load, child)
        child.process.write((json.dumps(asdict(work)) + "\n").encode())
        told = await child.told(RUN_S)
        if told is None or told.get("sane") is not True:
            return await self._give_up(load, child)
        return Took(told["read_s"], told["write_s"])

    async def keep(self, load: Load | None) -> None:
        """End all children but this one."""
        for other in [one for one in self._children if one != load]:
            await self._end(other)

    async def _give_up(self, load: Load, child: _Child) -> None:
        self._broken.add(load)
        await self._end(load)
        said = child.process.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        self.trouble = child.trouble or "; ".join([f"it ended with {child.process.code}", *said])

    async def _end(self, load: Load) -> None:
        process = self._children.pop(load).process
        process.kill()
        await process.wait()


def _always(_: Sequence[Load]) -> bool:
    return True


class _Child:
    def __init__(self, process: Process) -> None:
        self.process = process
        self.trouble = ""
        self._heard = b""

    async def told(self, seconds: float) -> dict[str, Any] | None:
        """The next line it says, None where it has ended, or says nothing for so long."""
        try:
            async with asyncio.timeout(seconds):
                while b"\n" not in self._heard:
                    self._heard += await anext(self.process)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            self.trouble = f"it took more than {seconds:.0f} s"
            return None
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            told = json.loads(line)
        except ValueError:
            return None
        return told if isinstance(told, dict) else None


async def _start(load: Load) -> _Child:
    from .resident import environment

    argv = [sys.executable, "-P", "-m", "localagent.engine.trial", json.dumps(asdict(load))]
    process = await launch.start(
        argv,
        profile=None,
        cwd=Path(os.path.abspath(os.sep)),
        env=environment(),
        stdin=True,
        merge=False,
        limits=Limits(wall_s=600, output_kb=1024),
    )
    return _Child(process)
