"""The one inference thread: it owns the model, and answers one request after the other."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import EngineError, LocalAgentError, ModelError
from . import pace, preflight
from .protocol import Prompted, Request, Score, error_to_json

if TYPE_CHECKING:
    from .ahead import Guesses
    from .grammars import Grammars
    from .llama import Context, Model
    from .prefix import Prefix

log = logging.getLogger("localagent.engine")
LOOK_S = 15.0
"""How often an idle host looks whether other programs need its memory."""
REMEMBERED = 1024
"""Clients whose last turn is known."""
Emit = Callable[[dict[str, Any]], None]


@dataclass(eq=False)
class Job:
    """One request in the queue. `emit` may be called from any thread; the last event is done or error."""

    request: Request | Score
    client: int
    emit: Emit
    cancelled: threading.Event = field(default_factory=threading.Event)
    number: int = 0
    since: float = 0.0

    @property
    def turn(self) -> int | str:
        """Whose turn it takes."""
        return self.request.client or self.client


@dataclass(slots=True)
class Loaded:
    key: tuple[Any, ...]
    model: Model
    context: Context
    prefix: Prefix
    grammars: Grammars
    pace: pace.Pace
    offloaded: str
    guesses: Guesses

    def close(self) -> None:
        self.grammars.close()
        self.context.close()
        self.model.close()


class Runner:
    """A queue and its thread. A waiting person goes before a job, then whoever was served longest ago."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._waiting: list[Job] = []
        self._current: Job | None = None
        self._loaded: Loaded | None = None
        self._served: dict[int | str, int] = {}
        self._count = self._turns = 0
        self._closing = False
        self._busy_until = time.monotonic()
        self._state = "idle"
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ from the I/O thread

    def submit(self, job: Job) -> int:
        """Queue a job; returns how many stand before it."""
        with self._wake:
            self._count += 1
            job.number = self._count
            # Whoever is new goes before those served since, and behind those who have waited longer.
            job.since = self._turns - 0.5
            self._waiting.append(job)
            self._wake.notify()
            return len(self._waiting) - 1 + (self._current is not None)

    def cancel(self, job: Job) -> None:
        with self._wake:
            job.cancelled.set()
            if job is self._current and self._loaded is not None:
                self._loaded.context.abort(True)
            elif job in self._waiting:
                self._waiting.remove(job)
                job.emit(_nothing_done())

    def forget(self, client: int) -> None:
        """A client is gone."""
        with self._wake:
            self._served.pop(client, None)

    def close(self) -> bool:
        """Break off everything and free the model; False where the thread is still in llama.cpp."""
        with self._wake:
            self._closing = True
            jobs = [*self._waiting, *([self._current] if self._current else [])]
            self._wake.notify()
        for job in jobs:
            self.cancel(job)
        self._thread.join(5.0)
        return not self._thread.is_alive()

    def idle_for(self) -> float:
        """Seconds since the last answer ended, 0 while one is made or waits."""
        with self._wake:
            return 0.0 if self._current or self._waiting else time.monotonic() - self._busy_until

    def status(self) -> dict[str, Any]:
        loaded = self._loaded
        return {
            "state": self._state,
            "waiting": len(self._waiting),
            "answered": self._count - len(self._waiting) - (self._current is not None),
            "model": loaded.key[0] if loaded else None,
            "context": loaded.context.n_ctx if loaded else 0,
            "used": len(loaded.prefix.tokens) if loaded else 0,
            "threads": loaded.context.threads if loaded else 0,
            "gpu_layers": loaded.offloaded if loaded else "",
            "snapshots": len(loaded.prefix.snapshots) if loaded else 0,
            "snapshot_bytes": loaded.prefix.used if loaded else 0,
        }

    # ------------------------------------------------------------ the inference thread

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                event = self._answer(job)
            except LocalAgentError as error:
                event = error_to_json(error)
            except Exception:
                log.exception("an answer failed")
                self._drop()
                event = error_to_json(EngineError("The engine failed; its log says why.", "Run it again."))
            with self._wake:
                self._current = None
                self._state = "idle"
                self._busy_until = time.monotonic()
            job.emit(event)
        self._drop()

    def _next(self) -> Job | None:
        with self._wake:
            while not self._waiting and not self._closing:
                if not self._wake.wait(LOOK_S) and self._loaded is not None and preflight.memory_is_short():
                    log.info("memory is short: the model is unloaded")
                    self._loaded.close()
                    self._loaded = None
            if self._closing:
                return None
            job = min(self._waiting, key=lambda j: (j.request.priority, self._served.get(j.turn, j.since), j.number))
            self._waiting.remove(job)
            self._turns += 1
            self._served[job.turn] = self._turns
            if len(self._served) > REMEMBERED:
                del self._served[min(self._served, key=lambda turn: self._served[turn])]
            self._current = job
            if self._loaded is not None:
                self._loaded.context.abort(False)
            return job

    def _answer(self, job: Job) -> dict[str, Any]:
        from .answer import Answer
        from .score import Scoring

        loaded, load_ms = self._load(job)
        if loaded is None:
            return _nothing_done()
        request, threads = job.request, job.request.threads
        if threads:
            loaded.context.set_threads(threads)
        self._state = "answering"
        step = (lambda _: None) if threads else loaded.pace.step
        stopped = job.cancelled.is_set
        if isinstance(request, Score):
            event = Scoring(loaded.context, loaded.prefix, request, job.emit, stopped).run()
        else:
            event = Answer(
                loaded.context, loaded.prefix, loaded.grammars, request, job.emit, stopped, step, loaded.guesses
            ).run()
        event["timings"]["load_ms"] = load_ms
        return event

    def _load(self, job: Job) -> tuple[Loaded | None, float]:
        """The model the job names, loaded now where it is not yet; None where the job was cancelled."""
        request = job.request
        facts = preflight.check_file(request.path)
        key = (request.path, facts.st_size, facts.st_mtime_ns, request.context)
        if self._loaded is not None and self._loaded.key == key:
            return self._loaded, 0.0
        self._drop()
        self._state = "loading"
        began = time.monotonic()
        from . import ahead, grammars, llama, prefix

        preflight.check_model(request.path, request.context, gpu=llama.supports_gpu())

        told = 0.0

        def progress(fraction: float) -> bool:
            nonlocal told
            if fraction - told >= 0.02:
                told = fraction
                job.emit({"event": "loading", "fraction": round(fraction, 3)})
            return not job.cancelled.is_set()

        job.emit({"event": "loading", "fraction": 0.0})
        try:
            model, context = _open(request, progress)
        except EngineError:
            if job.cancelled.is_set():
                return None, 0.0
            raise
        budget = preflight.snapshot_budget()
        with self._wake:
            held = prefix.Prefix(context, budget=budget)
            steps = pace.Pace(context, pace.default_threads())
            compiled = grammars.Grammars(model)
            layers, guesses = _offloaded(llama.log_tail(200)), ahead.Guesses()
            self._loaded = Loaded(key, model, context, held, compiled, steps, layers, guesses)
            if job.cancelled.is_set():
                context.abort(True)
        seconds = time.monotonic() - began
        log.info("loaded %s in %.2f s (%d tokens of context)", os.path.basename(request.path), seconds, context.n_ctx)
        return self._loaded, seconds * 1e3

    def _drop(self) -> None:
        with self._wake:
            loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.close()


def _open(request: Prompted, progress: Callable[[float], bool]) -> tuple[Model, Context]:
    """Model and context; where a GPU has too little memory with fewer layers on it, down to none."""
    from .llama import Context, Model, supports_gpu

    threads = request.threads or pace.default_threads()
    layers = 0
    for share in (1.0, 0.75, 0.5, 0.25):
        model = None
        try:
            model = Model(request.path, gpu_layers=int(layers * share) if layers else -1, progress=progress)
            layers = model.n_layer + 1
            return model, Context(model, n_ctx=request.context, threads=threads)
        except ModelError:
            if model is not None:
                model.close()
            if not supports_gpu():
                raise
            layers = layers or 64
    model = Model(request.path, gpu_layers=0, progress=progress)
    return model, Context(model, n_ctx=request.context, threads=threads)


def _offloaded(log: list[str]) -> str:
    """How many layers llama.cpp says it put on a GPU, as "33/33"; "0" where it put none."""
    found = [m[1] for line in log if (m := re.search(r"offloaded (\d+/\d+) layers", line))]
    return found[-1] if found else "0"


def _nothing_done() -> dict[str, Any]:
    return {
        "event": "done",
        "stop": "cancelled",
        "text": "",
        "usage": {"input": 0, "cached": 0, "output": 0},
        "timings": {"load_ms": 0.0, "prefill_ms": 0.0, "decode_ms": 0.0},
    }
