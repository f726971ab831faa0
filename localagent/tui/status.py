"""What goes on (the line above the prompt) and where we are (the line below): pure functions of the view."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from . import wording
from .view import Tool, View

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_BAR = 20
MODE_STYLE = {"plan": "bold $text-secondary", "ask": "bold $text-success", "auto": "bold $text-warning"}


def activity(view: View, now: float, width: int, motion: bool) -> str:
    """One line while something runs, "" else."""
    if not view.busy:
        return ""
    mark = _FRAMES[int(now * 10) % len(_FRAMES)] if motion else "*"
    doing, took = _doing(view, now, width), wording.seconds(max(0.0, now - view.began))
    line = f"{mark} {doing} · {took} · Esc stops" if view.phase != "asking" else f"? {doing}"
    return line if len(line) <= width else line[: width - 1] + "…"


def _doing(view: View, now: float, width: int) -> str:
    match view.phase:
        case "loading":
            return f"loading the model {_bar(view.loading, width)} {view.loading:.0%}"
        case "queued":
            return f"waiting for {wording.count(view.before, 'other answer')}"
        case "waiting":
            return "waiting: the memory is taken by a model that is still answering"
        case "reading":
            return _reading(view, now, width)
        case "tool":
            running = [item for item in view.items if isinstance(item, Tool) and item.state == "running"]
            return f"running {wording.one_line(running[-1].call.name, 40)}" if running else "working"
        case "asking":
            return "waiting for your answer"
        case "thinking":
            return "thinking"
        case "answering":
            return "writing"
        case _:
            return "starting"


def _reading(view: View, now: float, width: int) -> str:
    at = view.reading
    if at is None or at.total <= 0:
        return "reading"
    if at.done >= at.total:
        return "writing"
    told = f"reading {_bar(at.done / at.total, width)} {at.done:,} of {at.total:,} tokens"
    left = at.left(now)
    return f"{told} · {wording.seconds(left)} left" if left is not None else told


def _bar(fraction: float, width: int) -> str:
    return wording.bar(fraction, _BAR if width >= 90 else 8)


@dataclass(frozen=True, slots=True)
class Place:
    """What the status line says besides the view. `sandbox` is "" where there is none; `ready` once there is a session.

    `waits` is said where a model would be named and there is none.
    """

    mode: str
    sandbox: str
    folder: str
    context: int
    ready: bool = True
    waits: str = ""


def status(view: View, place: Place, width: int) -> Content:
    """The mode and the sandbox always; the rest as far as there is room."""
    mode = (place.mode.upper(), MODE_STYLE.get(place.mode, "bold"))
    sandbox = (place.sandbox, "") if place.sandbox else ("no sandbox: everything asks", "bold $text-error")
    model = (place.waits or "loading tools…" if not place.ready else wording.one_line(view.model, 30), "")
    parts: list[tuple[str, str]] = [mode, sandbox]
    used = f"{view.used / place.context:.0%} of {place.context / 1024:.0f}k" if view.used and place.context else ""
    speed = f"{view.speed:.0f} tok/s" if view.speed >= 10 else f"{view.speed:.1f} tok/s" if view.speed else ""
    for text, style, front in (
        (*model, True),
        (used, "", False),
        (wording.place(place.folder, 36), "", False),
        (speed, "", False),
    ):
        taken = sum(len(t) + 3 for t, _ in parts)
        if text and taken + len(text) <= width:
            parts.insert(1, (text, style)) if front else parts.append((text, style))
    gap = (" · ", "$text-disabled")
    pieces = [piece for part in parts for piece in (part, gap)][:-1]
    return Content.assemble(*pieces)
