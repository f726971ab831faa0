"""What the machine is doing, read from it (`sample`), and how a person sees that (`rows`). Nothing here knows Textual's widgets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual.content import Content

from ..engine import machine, power, resident
from ..engine.fit import gib
from ..errors import LocalAgentError
from . import wording
from .speeds import Speeds
from .words import t

_MARKS = "▁▂▃▄▅▆▇█"
_LABEL = 9
_WARM, _HOT = 0.85, 0.95


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card: bytes `used` of `total`, None where the driver does not tell."""

    name: str
    used: int | None
    total: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the machine. `cpu` is a share of all cores, memory is in bytes; `engine` is the host's own status, None
    where it does not run, and `trouble` why it gives none. `battery` is in percent, None where there is none."""

    cpu: float = 0.0
    used: int = 0
    total: int = 0
    cards: tuple[Card, ...] = ()
    engine: Mapping[str, Any] | None = None
    trouble: str = ""
    battery: float | None = None
    plugged: bool | None = None


async def sample() -> Sample:
    """Look once: what blocks does so in a thread. The share of the processor is that since the last look."""
    looked, (status, trouble) = await asyncio.gather(asyncio.to_thread(_look), _engine())
    cpu, (total, free), cards, now = looked
    used = total - free
    return Sample(cpu, used, total, cards, status, trouble, now.battery, now.plugged)


def _look() -> tuple[float, tuple[int, int], tuple[Card, ...], power.Power]:
    import psutil

    cards = tuple(
        Card(gpu.name, None if gpu.free is None else gpu.total - gpu.free, gpu.total) for gpu in machine.gpus()
    )
    return psutil.cpu_percent() / 100, machine.memory(), cards, power.this_power()


async def _engine() -> tuple[Mapping[str, Any] | None, str]:
    try:
        return await resident.status(), ""
    except (LocalAgentError, OSError) as error:
        return None, str(error)


# ---------------------------------------------------------------- drawing


def spark(values: Sequence[float], width: int, top: float = 0.0) -> str:
    """The newest `width` values as bars, the highest being `top` or, without it, the largest of them."""
    shown = list(values)[-width:] if width > 0 else []
    highest = max([top, *shown], default=0.0)
    if highest <= 0:
        return _MARKS[0] * len(shown)
    return "".join(_MARKS[min(7, max(0, int(value / highest * 8)))] for value in shown)


def rows(samples: Sequence[Sample], speeds: Speeds, width: int) -> list[Content]:
    """The panel, top to bottom, in `width` columns; what is unknown is left out."""
    if not samples:
        return [Content.styled(t("looking …"), "$text-muted")]
    now, room = samples[-1], max(4, width - _LABEL - 1)
    lines = [_row(t("CPU"), f"{now.cpu:4.0%} ", spark([one.cpu for one in samples], room - 6, 1.0), now.cpu)]
    if now.total:
        lines += _sized(t("memory"), now.used, now.total, room)
    for card in now.cards:
        name = "" if len(now.cards) == 1 else wording.one_line(card.name, width)
        lines += [Content(name)] if name else []
        if card.used is None:
            lines.append(_row(t("GPU"), t("{size} GiB", size=gib(card.total))))
        else:
            lines += _sized(t("GPU"), card.used, card.total, room)
    lines += [Content(""), *_engine_rows(now, room)]
    if now.battery is not None:
        state = {True: t("plugged in"), False: t("on battery"), None: ""}[now.plugged]
        lines += [Content(""), _row(t("battery"), f"{now.battery:.0f} %{f', {state}' if state else ''}")]
    return [*lines, Content(""), _speed(t("reading"), speeds.reading, room), _speed(t("writing"), speeds.writing, room)]


def _row(label: str, text: str, more: str = "", share: float = 0.0) -> Content:
    style = "$text-error" if share >= _HOT else "$text-warning" if share >= _WARM else "$text-secondary"
    return Content.assemble((_label(label), "dim"), (text, ""), (more, style))


def _label(label: str) -> str:
    return f"{wording.one_line(label, _LABEL):{_LABEL}} "


def _sized(label: str, used: int, total: int, room: int) -> list[Content]:
    share = used / total
    text = t("{used} of {total} GiB", used=gib(used), total=gib(total))
    return [_row(label, text), _row("", "", wording.bar(share, room), share)]


def _engine_rows(now: Sample, room: int) -> list[Content]:
    if now.trouble:
        return [_row(t("engine"), wording.one_line(now.trouble, room))]
    if now.engine is None:
        return [_row(t("engine"), t("not running"))]
    lines = [_row(t("engine"), wording.one_line(f"{now.engine.get('state', '')}, {_gib(now.engine)}", room))]
    for model in now.engine.get("models", ()):
        name = wording.one_line(os.path.basename(str(model.get("model", ""))).removesuffix(".gguf"), room + _LABEL)
        lines.append(Content.styled(name, "bold" if model.get("busy") else ""))
        told = t("{used} of {context} tokens", used=f"{model.get('used', 0):,}", context=f"{model.get('context', 0):,}")
        lines.append(_row("", told))
        if len(now.engine["models"]) > 1:
            lines.append(_row("", _gib(model)))
        layers = model.get("gpu_layers")
        if layers not in (None, 0, "0"):
            lines.append(_row("", t("layers on the GPU: {layers}", layers=layers)))
    waiting = int(now.engine.get("waiting", 0))
    return [*lines, *([_row("", t("waiting: {number}", number=waiting))] if waiting else [])]


def _gib(status: Mapping[str, Any]) -> str:
    return t("{size} GiB", size=gib(status.get("memory_bytes", 0)))


def _speed(label: str, values: Sequence[float], room: int) -> Content:
    if not values:
        return _row(label, t("nothing yet"))
    last = values[-1]
    told = f"{last:.0f}" if last >= 10 else f"{last:.1f}"
    text = t("{number} tok/s", number=told) + " "
    return _row(label, text, spark(list(values), room - len(text)))
