"""The one inference thread: it owns the models, and answers one request after the other.

A request that may not wait is answered in the middle of one that may: between two tokens or
batches, or in the middle of a long batch. What was interrupted goes on afterwards from where
it was, its sampler and grammar having lived on, so `_frames` is a stack, the running one last.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from ..errors import EngineError, LocalAgentError
from . import counting
from . import loaded as loading
from .frames import Frame
from .loaded import Key, Loaded, Models
from .protocol import Count, Prepare, Score, error_to_json
from .queue import Emit, Job, Turns, before, goes_on, nothing_done, told

__all__ = ["Emit", "Job", "Runner"]
log = logging.getLogger("localagent.engine")
LOOK_S = 15.0
"""How often an idle host looks whether other programs need its memory."""
PAUSE_S = 0.1
"""After a failure between two answers, so that the log is not flooded."""


class _Overtaken(Exception):
    """What was being loaded was given up for somebody who goes before and needs another model."""


class Runner:
    """A queue and its thread. A waiting person goes before a job, then whoever was served longest ago."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._waiting: list[Job] = []
        self._frames: list[Frame] = []
        self._models = Models()
        self._turns = Turns()
        self._answered = 0
        self._closing = self._unload = False
        # Something came that goes before the running job, and nobody has looked at it yet.
        self._pressing = False
        self._busy_until = time.monotonic()
        self._state = "idle"
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ from the I/O thread

    def submit(self, job: Job) -> int:
        """Queue a job; returns how many are answered before it. Whatever only reads ahead makes room for it."""
        with self._wake:
            for ahead in [other for other in self._waiting if other.ahead]:
                self._waiting.remove(ahead)
                ahead.end(nothing_done())
            self._turns.join(job)
            self._waiting.append(job)
            if self._frames:
                self._press(self._frames[-1], job)
            self._wake.notify()
            return before(job, self._waiting, [frame.job for frame in self._frames])

    def cancel(self, job: Job) -> None:
        with self._wake:
            frame = next((frame for frame in self._frames if frame.job is job), None)
            if frame is not None and job.ahead and not self._closing:
                # Whoever types on asks again at once, and needs the batch in hand: only somebody else breaks it off.
                job.given_up = True
                return
            job.cancelled.set()
            if job in self._waiting:
                self._waiting.remove(job)
                job.end(nothing_done())
            elif frame is not None and frame is not self._frames[-1]:
                # It is let go of where it would go on.
                job.end(nothing_done())
            elif frame is not None and frame.loaded is not None:
                frame.loaded.context.abort(True)

    def forget(self, client: int) -> None:
        """A client is gone."""
        with self._wake:
            self._turns.forget(client)

    def unload_idle(self) -> None:
        """Free, as soon as the running batch or token is done, every model that no answer is being made with."""
        with self._wake:
            self._unload = self._pressing = True
            self._wake.notify()

    def close(self) -> bool:
        """Break off everything and free the models; False where the thread is still in llama.cpp."""
        with self._wake:
            self._closing = True
            jobs = [*self._waiting, *(frame.job for frame in self._frames)]
            self._wake.notify()
        for job in jobs:
            self.cancel(job)
        self._thread.join(5.0)
        return not self._thread.is_alive()

    def idle_for(self) -> float:
        """Seconds since the last answer ended, 0 while one is made or waits."""
        with self._wake:
            return 0.0 if self._frames or self._waiting else time.monotonic() - self._busy_until

    def status(self) -> dict[str, Any]:
        """`model` and what follows it are of the model used last; `models` has them all, `queue` who waits for what."""
        with self._wake:
            waiting, frames = self._turns.order(self._waiting), tuple(self._frames)
        return {
            "state": self._state,
            "waiting": len(waiting),
            "answered": self._answered,
            **self._models.status([frame.loaded for frame in frames]),
            "queue": [
                *(told(f.job, self._state if f is frames[-1] else "interrupted") for f in reversed(frames)),
                *(told(job, "waiting for memory" if job.blocked else "waiting") for job in waiting),
            ],
        }

    def _press(self, running: Frame, job: Job) -> None:
        """Let the running job know that this one goes before it, or that reading ahead is over."""
        if running.job.ahead:
            same = running.job.request.path == job.request.path
            running.job.given_up = True
            if not same:
                running.job.cancelled.set()
            # The batch in hand is waited for where the newcomer needs it anyhow.
            if same and goes_on(running.job.request.segments, job.request.segments):
                return
        elif job.priority >= running.job.priority:
            return
        self._pressing = True
        if running.loaded is not None:
            running.loaded.context.leave()

    # ------------------------------------------------------------ the inference thread

    def _run(self) -> None:
        while True:
            try:
                if (frame := self._next()) is None:
                    break
                self._serve(frame)
                if self._models.relieve():
                    self._models.unload_idle([frame.loaded], "its memory is wanted")
                self._models.write_down(self._wanted)
            except Exception:
                # Whoever asks next is to be answered all the same; without this thread everybody would wait for ever.
                log.exception("something failed between two answers")
                self._forsake()
                time.sleep(PAUSE_S)
        self._models.unload_idle((), "the engine ends")

    def _forsake(self) -> None:
        """Nobody goes on with what had begun."""
        with self._wake:
            frames, self._frames = self._frames, []
            self._state, self._busy_until = "idle", time.monotonic()
        for frame in frames:
            frame.job.end(error_to_json(EngineError("The engine failed; its log says why.", "Run it again.")))

    def _next(self) -> Frame | None:
        while True:
            with self._wake:
                called = self._wake.wait_for(self._wanted, LOOK_S)
                if self._closing:
                    return None
            if not called:
                self._look()
            self._unload_if_asked()
            if (frame := self._take(None)) is not None:
                return frame

    def _wanted(self) -> bool:
        return bool(self._waiting) or self._closing or self._unload

    def _look(self) -> None:
        """Nobody has asked for a while."""
        if self._models.relieve():
            self.unload_idle()
        self._models.write_down(self._wanted, park=True)

    def _unload_if_asked(self) -> None:
        if self._unload:
            self._unload = False
            self._models.unload_idle(self._busy(), "its memory is wanted")

    def _busy(self) -> list[Loaded]:
        return [frame.loaded for frame in self._frames if frame.loaded is not None]

    def _take(self, below: int | None) -> Frame | None:
        """Begin with the first waiting job that can run now, of a smaller priority number than `below` if given."""
        with self._wake:
            self._pressing = False
            queue = self._turns.order(self._waiting)
        for job in queue:
            if below is not None and job.priority >= below:
                break
            if not self._admit(job):
                continue
            with self._wake:
                if job in self._waiting:
                    self._waiting.remove(job)
                    self._turns.serve(job)
                    self._frames.append(frame := Frame(job))
                    return frame
        return None

    def _admit(self, job: Job) -> bool:
        """Make room for a job beside those interrupted; False where it has to wait for them, which is told once."""
        if not self._frames or isinstance(job.request, Count):
            return True
        try:
            wanted = loading.key(job.request)
            found = self._models.find(wanted)
            if found is not None and all(frame.lend() for frame in self._frames if frame.loaded is found):
                return True
            if found is None and self._models.in_the_way(wanted, self._busy()) is not None:
                return True
        except LocalAgentError:
            return True  # it fails when its turn comes
        if not job.blocked:
            job.blocked = True
            job.emit({"event": "waiting", "for": "memory"})
        return False

    def _give_way(self) -> None:
        """Answer whatever goes before the running job, then be exactly where it was. Raises `EngineError`."""
        frame, began = self._frames[-1], time.monotonic()
        threads = frame.loaded.context.threads if frame.loaded else 0
        self._unload_if_asked()
        while not frame.job.stopped() and (other := self._take(frame.job.priority)) is not None:
            self._serve(other)
        loaded = frame.loaded
        if loaded is None:
            return
        frame.take_back()
        with self._wake:
            loaded.context.abort(frame.job.cancelled.is_set())
        loaded.context.set_threads(threads)
        loaded.governor.set(frame.job.request)
        self._state = "answering"
        frame.away[frame.speaking] += time.monotonic() - began

    def _left(self) -> None:
        """A batch was left in the middle."""
        from .prefix import Cancelled

        frame = self._frames[-1]
        if not frame.job.stopped():
            self._give_way()
        if frame.job.stopped():
            raise Cancelled

    def _serve(self, frame: Frame) -> None:
        """Run a job to its end. The frame is the last one, before and afterwards not there."""
        try:
            event = self._answer(frame)
        except _Overtaken:
            self._wait_again(frame.job)
            return
        except LocalAgentError as error:
            event = error_to_json(frame.loaded.explained(error) if frame.loaded else error)
        except Exception:
            log.exception("an answer failed")
            event = error_to_json(EngineError("The engine failed; its log says why.", "Run it again."))
            if frame.loaded is not None and frame.loaded not in [other.loaded for other in self._frames[:-1]]:
                self._models.unload(frame.loaded, "an answer failed")
        if frame.loaded is not None and frame.job.request.segments:
            # What other programs ask, who name themselves, and what was only typed leaves nothing on the disk.
            frame.loaded.own = not frame.job.request.client and not frame.job.ahead
        for name, away in zip(("prefill_ms", "decode_ms"), frame.away, strict=True):
            if away and event["event"] == "done":
                event["timings"][name] = max(0.0, event["timings"][name] - away * 1e3)
        with self._wake:
            self._frames.pop()
            self._answered += not frame.job.ahead
            self._busy_until = time.monotonic()
            if not self._frames:
                self._state = "idle"
        frame.job.end(event)

    def _wait_again(self, job: Job) -> None:
        """The last frame's job has not begun after all."""
        with self._wake:
            self._frames.pop()
            if not self._frames:
                self._state = "idle"
            if not job.stopped():
                self._waiting.append(job)
                queued = before(job, self._waiting, [frame.job for frame in self._frames])
        if job.stopped():
            job.end(nothing_done())
        else:
            job.emit({"event": "queued", "before": queued})

    def _answer(self, frame: Frame) -> dict[str, Any]:
        from . import sight
        from .answer import Answer
        from .reading import read_ahead
        from .score import Scoring

        job, request = frame.job, frame.job.request
        if isinstance(request, Count):
            return counting.counted(self._models.find(loading.key(request)), request)
        loaded, load_ms = self._load(frame)
        if loaded is None:
            return nothing_done()
        context, prefix = loaded.context, loaded.prefix
        sight.open_eyes(loaded, request)
        with self._wake:
            frame.loaded = loaded
            context.abort(job.cancelled.is_set())
            context.left, context.pressing = self._left, lambda: self._pressing
        step, emit = loaded.governor.start(request, frame.emit)
        self._state = "reading ahead" if job.ahead else "answering"

        def stopped() -> bool:
            if self._pressing and not job.stopped():
                self._give_way()
            return job.stopped()

        if isinstance(request, Prepare):
            event = read_ahead(loaded, request, stopped)
        elif isinstance(request, Score):
            event = Scoring(context, prefix, request, emit, stopped).run()
        else:
            event = Answer(context, prefix, loaded.grammars, request, emit, stopped, step, loaded.guesses).run()
        event["timings"]["load_ms"] = load_ms
        return event

    def _load(self, frame: Frame) -> tuple[Loaded | None, float]:
        """The model the job names, loaded now where it is not yet; None where the job was cancelled."""
        job = frame.job
        wanted = loading.key(job.request)
        if (found := self._models.find(wanted)) is not None:
            # Loaded for another while this one waited.
            return found, max(0.0, found.ready - job.arrived) * 1e3
        self._state = "loading"
        began = time.monotonic()
        self._make_room(wanted)
        known, overtaken = 0.0, False

        def progress(fraction: float) -> bool:
            nonlocal known, overtaken
            overtaken = overtaken or self._goes_before(job)
            if fraction - known >= 0.02:
                known = fraction
                self._tell_loading(job, fraction)
            return not (overtaken or job.cancelled.is_set())

        self._tell_loading(job, 0.0)
        try:
            made = self._models.load(wanted, progress)
        except EngineError:
            if job.cancelled.is_set():
                return None, 0.0
            if overtaken:
                raise _Overtaken from None
            raise
        seconds = time.monotonic() - began
        log.info("loaded %s in %.2f s (%d tokens of context)", os.path.basename(wanted[0]), seconds, made.context.n_ctx)
        return made, seconds * 1e3

    def _goes_before(self, job: Job) -> bool:
        """Whether somebody waits who goes before this job and needs another model: theirs is loaded first."""
        with self._wake:
            asked, wanted = job.request, self._waiting
            return any(
                one.priority < job.priority
                and not one.blocked
                and (one.request.path, one.request.context) != (asked.path, asked.context)
                for one in wanted
            )

    def _tell_loading(self, job: Job, fraction: float) -> None:
        """Whoever waits for the same model wants to know too."""
        with self._wake:
            same = [other for other in self._waiting if other.request.path == job.request.path]
        for one in (job, *same):
            one.emit({"event": "loading", "fraction": round(fraction, 3)})

    def _make_room(self, wanted: Key) -> None:
        busy = self._busy()
        idle = [held for held in self._models.all() if held not in busy]
        for held in idle:
            if held.key[0] == wanted[0] and held.key[:3] != wanted[:3]:
                self._models.unload(held, "its file has changed")
        gone = self._models.in_the_way(wanted, busy)
        for held in idle if gone is None else gone:
            self._models.unload(held, f"{os.path.basename(wanted[0])} needs its memory")
