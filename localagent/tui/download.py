"""One model on its way here: a process of our own that is told to stop by the end of its input.

Nothing here knows Textual. What has come stays on the disk, whatever ends the process, and the next
one goes on from there.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import LocalAgentError
from . import wording
from .words import t

if TYPE_CHECKING:
    from ..sandbox.process import Process

Step = Literal["starting", "checking", "downloading", "paused", "failed", "ready"]
_GOING: tuple[Step, ...] = ("starting", "checking", "downloading")
_STOP_S = 3.0
_QUIET_S = 8.0
_SPEED_OVER_S = 10.0
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Fetching:
    """How far it is. Bytes; `marks` are (seconds, bytes) of the last while, `told` and `hint` why it failed."""

    model: str
    step: Step = "starting"
    done: int = 0
    total: int = 0
    marks: tuple[tuple[float, int], ...] = ()
    told: str = ""
    hint: str = ""

    @property
    def going(self) -> bool:
        return self.step in _GOING

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0

    def speed(self, now: float) -> float:
        """Bytes per second over the last while; 0 where that cannot be told or nothing comes any more."""
        recent = [mark for mark in self.marks if now - mark[0] <= _SPEED_OVER_S]
        if len(recent) < 2 or recent[-1][0] - recent[0][0] < 0.5:
            return 0.0
        return (recent[-1][1] - recent[0][1]) / (now - recent[0][0])

    def silent(self, now: float) -> float:
        """Seconds since the last byte, 0 while they come."""
        waited = now - self.marks[-1][0] if self.marks else 0.0
        return waited if waited >= _QUIET_S else 0.0


def heard(state: Fetching, line: dict[str, Any], now: float) -> Fetching:
    """The state after a line of the process."""
    match line.get("what"):
        case "downloading" | "checking" as step:
            done, total = int(line.get("done", 0)), int(line.get("total", 0))
            grew = step != state.step or done > state.done or not state.marks
            marks = state.marks if step == state.step else ()
            return replace(
                state, step=step, done=done, total=total, marks=(*marks, (now, done))[-_KEPT:] if grew else marks
            )
        case "ready":
            return replace(state, step="ready", done=state.total)
        case "failed":
            return replace(state, step="failed", told=str(line.get("message", "")), hint=str(line.get("hint", "")))
        case _:
            return state


def line(state: Fetching, now: float, width: int) -> str:
    """One line for the screen."""
    from ..engine.partial import size_text

    name = wording.one_line(state.model, 30)
    if state.step == "paused":
        return _cut(t("‖ {model} paused at {share} · /model {model} goes on", model=name, share=f"{state.share:.0%}"), width)
    if state.step == "failed":
        return _cut(t("✗ {model} has not come · /model {model} tries again", model=name), width)
    if state.step == "checking":
        return _cut(t("↓ looking whether a file here is {model} already {share}", model=name, share=f"{state.share:.0%}"), width)
    if state.step != "downloading":
        return _cut(t("↓ {model}: asking for it …", model=name), width)
    amount = t("{done} of {total}", done=size_text(state.done), total=size_text(state.total))
    parts = [f"↓ {name} {wording.bar(state.share, 16 if width >= 90 else 8)} {state.share:.0%}", amount]
    speed, silent = state.speed(now), state.silent(now)
    if silent:
        parts.append(t("nothing came for {seconds}", seconds=wording.seconds(silent)))
    elif speed > 0:
        parts.append(f"{size_text(speed)}/s")
        parts.append(t("{time} left", time=wording.seconds((state.total - state.done) / speed)))
    parts.append(t("Esc pauses"))
    # What matters least goes first where there is no room.
    for index in (1, 2):
        if len(" · ".join(parts)) > width and len(parts) > index + 1:
            parts.pop(1)
    return _cut(" · ".join(parts), width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def command(model: str, source: str = "") -> list[str]:
    """The process that fetches a model of the catalogue, from its usual source unless another is named."""
    argv = [sys.executable, "-P", "-m", "localagent", "model", "pull", model, "--json", "--while-open"]
    return [*argv, "--source", source] if source else argv


class Download:
    """Fetches one model at a time. `changed` is called after every step, `ended` once a process has ended by itself."""

    def __init__(self, changed: Callable[[], None], ended: Callable[[Fetching], None]) -> None:
        self.state: Fetching | None = None
        self._changed, self._ended = changed, ended
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def going(self) -> bool:
        return self.state is not None and self.state.going

    def start(self, model: str, argv: list[str]) -> None:
        """Begin, or go on where it was paused."""
        before, stopping = self.state, self._task
        self.state = replace(before, step="starting", marks=()) if before and before.model == model else Fetching(model)
        self._task = asyncio.create_task(self._run(model, argv, stopping))
        self._changed()

    async def pause(self) -> None:
        """Stop it; what has come is kept. Returns when its process is gone."""
        if not self.going or self.state is None:
            return
        self.state = replace(self.state, step="paused", marks=())
        self._changed()
        task, process = self._task, self._process
        if process is not None:
            process.close_stdin()
        if task is not None:
            done, _ = await asyncio.wait([task], timeout=_STOP_S)
            if not done:
                task.cancel()
                await asyncio.wait([task])

    def dismiss(self) -> None:
        """No longer shown; nothing is deleted."""
        if not self.going:
            self.state = None
            self._changed()

    async def _run(self, model: str, argv: list[str], before: asyncio.Task[None] | None) -> None:
        from ..sandbox import launch

        if before is not None:
            await asyncio.wait([before])
        if not self.going:
            return
        said = b""
        try:
            env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
            self._process = await launch.start(argv, profile=None, cwd=os.getcwd(), env=env, stdin=True, merge=False)
            async with self._process as process:
                if not self.going:
                    process.close_stdin()
                rest = b""
                async for chunk in process:
                    *lines, rest = (rest + chunk).split(b"\n")
                    for one in lines:
                        self._hear(one)
                code = await process.wait()
            said = bytes(process.stderr)
        except LocalAgentError as error:
            code, said = 1, str(error).encode()
        finally:
            self._process = None
        self._end(code, said)

    def _hear(self, text: bytes) -> None:
        if self.state is None or not self.state.going:
            return
        try:
            told = json.loads(text)
        except ValueError:
            return
        if isinstance(told, dict):
            self.state = heard(self.state, told, time.monotonic())
            self._changed()

    def _end(self, code: int, said: bytes) -> None:
        state = self.state
        if state is None or state.step == "paused":
            return
        if state.going:
            last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or [t("it ended with {code}", code=code)]
            state = replace(state, step="failed", told=last[0].removeprefix("localagent: "), hint="")
        self.state = state
        self._changed()
        self._ended(state)
