"""Our own engine as `engine.py` runs it: the resident host over its socket, and the loop inside this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from engine_table import Timing

from localagent.engine import cores, machine, protocol, resident
from localagent.engine.base import Segment
from localagent.engine.protocol import Request
from localagent.errors import EngineError
from localagent.values import Generated

IDLE_S = 120.0


def default_threads() -> int:
    """What the host computes with where nobody says."""
    return cores.this_cores().advice()[0]


def gpu_names() -> list[str]:
    return [gpu.name for gpu in machine.gpus()]


def cpu_seconds(pid: int) -> float:
    """CPU time a process has taken, all its threads together."""
    with suppress(AttributeError, OSError):
        # Linux's clock of another process: its number is made of the id.
        return time.clock_gettime((~pid << 3) | 2)
    import psutil

    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@dataclass(slots=True)
class Heard:
    """The events of one answer as they came: (seconds since it was asked, CPU seconds, event)."""

    events: list[tuple[float, float, Mapping[str, Any]]] = field(default_factory=list)

    def timing(self) -> Timing:
        """The prompt is read when its last batch is told, the answer is written when it is done."""
        read = next((e for e in self.events if e[2]["event"] == "prefill" and e[2]["done"] == e[2]["total"]), None)
        done = self.events[-1]
        if read is None or done[2]["event"] != "done":
            raise EngineError("The engine ended an answer before it had read the prompt.")
        ids = [id for _, _, event in self.events if event["event"] == "token" for id in event["ids"]]
        fresh = read[2]["total"] - read[2]["cached"]
        wall, cpu = done[0] - read[0], done[1] - read[1]
        load_s = float(done[2]["timings"]["load_ms"]) / 1000
        return Timing(
            fresh, max(read[0] - load_s, 1e-9), max(read[1], 1e-9), max(wall, 1e-9), max(cpu, 1e-9), tuple(ids)
        )


@dataclass(frozen=True, slots=True)
class Plain:
    """A request for greedy text: `context` tokens of room, `threads` None lets the host choose."""

    path: str
    context: int
    threads: int | None = None

    def request(self, prompt: Sequence[int], new: int) -> Request:
        segments: tuple[Segment, ...] = (Generated("", tuple(prompt)),)
        return Request(self.path, self.context, segments, threads=self.threads, max_tokens=new)


async def ask(request: Request, watch: Callable[[int], None] | None = None) -> Heard:
    """Put a request to the host, which is started where none runs. `watch` hears how many tokens come, as they come.

    Raises `EngineError` and `ModelError` as the engine does.
    """
    path = resident.socket_path()
    reader, writer = await resident.connect(path) or await resident.start(path, IDLE_S)
    state = await resident.status()
    pid = int(state["pid"]) if state else 0
    heard = Heard()
    before, began = cpu_seconds(pid), time.monotonic()
    try:
        writer.write(protocol.pack({"id": 1, **protocol.request_to_json(request)}))
        while (event := await protocol.read(reader)) is not None:
            if event["event"] == "error":
                raise protocol.error_from_json(event)
            at = time.monotonic() - began
            heard.events.append((at, cpu_seconds(pid) - before, event))
            if watch and event["event"] == "token":
                watch(len(event["ids"]))
            if event["event"] == "done":
                return heard
    finally:
        writer.close()
    raise EngineError("The engine stopped while answering.", f"{resident.log_path()} may say why.")


class InProcess:
    """The host's loop (`engine/answer.py`) without the host: the same context, prefix and sampling."""

    def __init__(self, path: str, context: int, threads: int) -> None:
        from localagent.engine.grammars import Grammars
        from localagent.engine.llama import Context, Model
        from localagent.engine.prefix import Prefix

        self._plain = Plain(path, context, threads)
        self.model = Model(path)
        self._context = Context(self.model, n_ctx=context, threads=threads)
        self._prefix, self._grammars = Prefix(self._context), Grammars(self.model)

    def run(self, prompt: Sequence[int], new: int) -> Timing:
        from localagent.engine.answer import Answer

        heard, before, began = Heard(), time.process_time(), time.monotonic()

        def emit(event: Mapping[str, Any]) -> None:
            heard.events.append((time.monotonic() - began, time.process_time() - before, event))

        request = self._plain.request(prompt, new)
        answer = Answer(
            self._context, self._prefix, self._grammars, request, emit, lambda: False, lambda _: None
        )  # fmt: skip
        ended = answer.run()
        emit(ended | {"timings": {**ended["timings"], "load_ms": 0.0}})
        return heard.timing()

    def close(self) -> None:
        self._grammars.close()
        self._context.close()
        self.model.close()
