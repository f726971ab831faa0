"""The arithmetic and the table of `engine.py`: measurements in, rows with a bar and a verdict out."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bar:
    """What is promised of a value: at most or at least `limit`."""

    limit: float
    at_most: bool = False
    unit: str = ""

    def held(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.limit:g}{self.unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One promise. `value` None means that it was not measured, and `note` says why.

    `figures` are the raw numbers it comes from, `lines` what the table prints of them.
    """

    key: str
    what: str
    bar: Bar
    value: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    note: str = ""

    @property
    def ok(self) -> bool | None:
        return None if self.value is None else self.bar.held(self.value)

    def to_json(self) -> dict[str, Any]:
        plain = asdict(self)
        del plain["lines"]
        return plain | {"bar": str(self.bar), "ok": self.ok}


@dataclass(frozen=True, slots=True)
class Timing:
    """One run: seconds of wall and of CPU time (all threads together) for reading a prompt and for writing `ids`."""

    read: int
    prefill_s: float
    prefill_cpu_s: float
    decode_s: float
    decode_cpu_s: float
    ids: tuple[int, ...]

    def rate(self, phase: str) -> float:
        """Tokens a second of wall time; phase is `prefill` or `decode`."""
        return self.read / self.prefill_s if phase == "prefill" else len(self.ids) / self.decode_s

    def cpu_rate(self, phase: str) -> float:
        """Tokens a second of CPU time."""
        return self.read / self.prefill_cpu_s if phase == "prefill" else len(self.ids) / self.decode_cpu_s


Rounds = Sequence[Mapping[str, Timing]]
"""For each round what every contender took; the names of the raw loops begin with `raw`."""


def ratio_row(phase: str, rounds: Rounds, threads: int, bar: Bar, what: str) -> Row:
    """The host against the faster raw loop: the median over the rounds of the ratio within each.

    A model is loaded in one way for reading and writing, so the faster one is that whose rounds take least in all.
    """
    rates = {name: [one[name].rate(phase) for one in rounds] for name in rounds[0]}
    whole = {name: statistics.median(one[name].prefill_s + one[name].decode_s for one in rounds) for name in rates}
    base = min((name for name in rates if name.startswith("raw")), key=whole.__getitem__)
    figures: dict[str, Any] = {"against": base, "rounds": len(rounds), "threads": threads}
    lines = []
    for name, found in rates.items():
        cpu = [one[name].cpu_rate(phase) * threads for one in rounds]
        ratios = [a / b for a, b in zip(found, rates[base], strict=True)]
        cpu_ratio = statistics.median(one[name].cpu_rate(phase) / one[base].cpu_rate(phase) for one in rounds)
        figures[name] = {
            "tokens_per_s": spread(found),
            "tokens_per_cpu_s_and_thread": spread(cpu),
            "ratio": spread(ratios),
            "cpu_ratio": cpu_ratio,
            "same_tokens": statistics.mean(_same(one[name].ids, one[base].ids) for one in rounds),
        }
        against = f", {shown(ratios, 3).strip()} x {base}" if name != base else ""
        in_cpu = f", {cpu_ratio:.3f} x" if name != base else ""
        lines.append(
            f"{name:12} {shown(found)} tokens/s{against}; by CPU time of each thread {statistics.median(cpu):.2f}{in_cpu}"
        )
    return Row(f"{phase}_ratio", what, bar, figures["host"]["ratio"]["median"], figures, tuple(lines))


def _same(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two answers are alike as far as both go."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def slower_at_both(times: Mapping[str, Timing]) -> set[str]:
    """The raw loops that another one beats by 5 % at reading and at writing alike."""
    raw = [name for name in times if name.startswith("raw")]
    return {
        name
        for name in raw
        for other in raw
        if all(times[other].rate(phase) > 1.05 * times[name].rate(phase) for phase in ("prefill", "decode"))
    }


def turn_ratio(asked: Iterable[tuple[int, int, int]]) -> tuple[float, int, int]:
    """Tokens evaluated for each new one, and both, over the requests of a session behind the first.

    Each request is (prompt tokens, those of them that were cached, tokens written). New is what
    the prompt holds beyond the prompt before and the answer to it.
    """
    requests = list(asked)
    evaluated = sum(prompt - cached for prompt, cached, _ in requests[1:])
    new = sum(later[0] - earlier[0] - earlier[2] for earlier, later in itertools.pairwise(requests))
    return evaluated / new if new > 0 else float("inf"), evaluated, new


def lost(stamps: Sequence[tuple[float, int]], busy_at: float, rate: float) -> tuple[float, float]:
    """(seconds lost until the middle of the busy time, share of `rate` kept from there on).

    `stamps` are (seconds, tokens so far); `rate` is the quiet one in tokens a second.
    """
    busy = [stamp for stamp in stamps if stamp[0] > busy_at]
    if len(busy) < 4:
        raise ValueError("too few tokens were written beside the busy process")
    written = max((count for at, count in stamps if at <= busy_at), default=0)
    half = (busy_at + busy[-1][0]) / 2
    at, count = max((stamp for stamp in busy if stamp[0] <= half), default=(busy_at, written))
    kept = (busy[-1][1] - count) / (busy[-1][0] - at) / rate
    return max(0.0, at - busy_at - (count - written) / rate), kept


# ---------------------------------------------------------------- showing


def spread(found: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(found), "least": min(found), "most": max(found)}


def shown(found: Sequence[float], digits: int = 2) -> str:
    """`median (least .. most)`."""
    return f"{statistics.median(found):8.{digits}f} ({min(found):.{digits}f} .. {max(found):.{digits}f})"


def table(head: Iterable[str], rows: Iterable[Row]) -> str:
    lines = [*head, ""]
    for row in rows:
        verdict = {True: "ok", False: "MISSED", None: "not measured"}[row.ok]
        value = "" if row.value is None else f"{row.value:.3f}{row.bar.unit}"
        lines.append(f"{row.key:15} {value:>10}  {row.bar!s:>9}  {verdict:12}  {row.what}")
        lines += [f"{'':17}{line}" for line in (*row.lines, *([row.note] if row.note else []))]
    return "\n".join(line.rstrip() for line in lines)
