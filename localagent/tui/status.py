"""What goes on (the line above the prompt) and where we are (the line below): pure functions of the view."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from . import wording
from .view import Tool, View
from .words import n_of, t

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_BAR = 20
MODE_STYLE = {"plan": "bold $text-secondary", "ask": "bold $text-success", "auto": "bold $text-warning"}


def activity(view: View, now: float, width: int, motion: bool, writing: bool = False) -> str:
    """One line while something runs, "" else. Where the person is `writing` it says what becomes of that."""
    if not view.busy:
        return ""
    mark = _FRAMES[int(now * 10) % len(_FRAMES)] if motion else "*"
    doing, took = _doing(view, now, width), wording.seconds(max(0.0, now - view.began))
    keys = t("Enter tells it now · Tab queues it · Esc stops") if writing else t("Esc stops")
    line = f"{mark} {doing} · {took} · {keys}" if view.phase != "asking" else f"? {doing}"
    return wording.cut(line, width)


def _doing(view: View, now: float, width: int) -> str:
    match view.phase:
        case "loading":
            return t("loading the model {bar} {done}", bar=_bar(view.loading, width), done=f"{view.loading:.0%}")
        case "queued":
            return n_of(view.before, "waiting for {n} other answer", "waiting for {n} other answers")
        case "waiting":
            return t("waiting: the memory is taken by a model that is still answering")
        case "reading":
            return _reading(view, now, width)
        case "tool":
            running = [item for item in view.items if isinstance(item, Tool) and item.state == "running"]
            name = wording.one_line(running[-1].call.name, 40) if running else ""
            return t("running {tool}", tool=name) if name else t("working")
        case "asking":
            return t("waiting for your answer")
        case "thinking":
            return t("thinking")
        case "answering":
            return t("writing")
        case _:
            return t("starting")


def _reading(view: View, now: float, width: int) -> str:
    at = view.reading
    if at is None or at.total <= 0:
        return t("reading")
    if at.done >= at.total:
        return t("writing")
    bar, done, total = _bar(at.done / at.total, width), f"{at.done:,}", f"{at.total:,}"
    told = t("reading {bar} {done} of {total} tokens", bar=bar, done=done, total=total)
    left = at.left(now)
    return f"{told} · {t('{time} left', time=wording.seconds(left))}" if left is not None else told


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
    sandbox = (place.sandbox, "") if place.sandbox else (t("no sandbox: everything asks"), "bold $text-error")
    model = (place.waits or t("loading tools…") if not place.ready else wording.one_line(view.model, 30), "")
    parts: list[tuple[str, str]] = [mode, sandbox]
    used = _used(view.used, place.context) if view.used and place.context else ""
    speed = f"{view.speed:.0f} tok/s" if view.speed >= 10 else f"{view.speed:.1f} tok/s" if view.speed else ""
    for text, style, front in (
        (*model, True),
        (used, "", False),
        (wording.place(place.folder, 36), "", False),
        (speed, "", False),
    ):
        taken = sum(cell_len(shown) + 3 for shown, _ in parts)
        if text and taken + cell_len(text) <= width:
            parts.insert(1, (text, style)) if front else parts.append((text, style))
    gap = (" · ", "$text-disabled")
    pieces = [piece for part in parts for piece in (part, gap)][:-1]
    return Content.assemble(*pieces)


def _used(tokens: int, context: int) -> str:
    return t("{part} of {size}k", part=f"{tokens / context:.0%}", size=f"{context / 1024:.0f}")
