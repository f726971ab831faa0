"""What hosted models have cost: a ledger that a crash leaves whole, and the limits that are held before a request.

Each request is written down with the most it may cost before it is sent, and with what it did cost afterwards. Where the program
dies in between, the most stays: a budget is never overrun for want of a line.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import BudgetSpent
from . import paths
from .database import Database

_SCHEMA = """
CREATE TABLE spent (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, day TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,
    input INTEGER NOT NULL, cached INTEGER NOT NULL, output INTEGER NOT NULL, micros INTEGER, settled INTEGER NOT NULL
);
CREATE INDEX spent_day ON spent (day);
"""
_MICRO = 1_000_000
_COLUMNS = "day, model, count(*), sum(input), sum(cached), sum(output), sum(micros), sum(micros IS NULL), sum(NOT settled)"


@dataclass(frozen=True, slots=True)
class Request:
    """Tokens and dollars of one request; `dollars` None where nobody knows the price."""

    input: int
    output: int
    cached: int = 0
    dollars: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """What one model cost on one day (YYYY-MM-DD, here). `unpriced` of the requests have no known price and are not in `dollars`;
    of `open` ones nobody knows how they ended: they count with the most they could cost."""

    day: str
    model: str
    requests: int
    input: int
    cached: int
    output: int
    dollars: float
    unpriced: int
    open: int


class Spend:
    """The ledger of this user. Every method raises StoreError where the disk refuses."""

    def __init__(self, path: Path | None = None) -> None:
        where = path or paths.state_dir() / "spend.db"
        self._base = Database(where, _SCHEMA, 1, damaged="Move it away: budgets begin anew then.")

    def close(self) -> None:
        self._base.close()

    def reserve(self, model: str, provider: str, most: Request, limits: Mapping[str, float], at: float | None = None) -> int:
        """Write down a request before it is sent; the number `settle` wants. Raises BudgetSpent where a limit would not hold."""
        at = time.time() if at is None else at
        day = _day(at)
        with self._base.writing() as db:
            for name, limit in limits.items():
                if most.dollars is None and not name.endswith("tokens"):
                    continue
                since = day if name.startswith("day") else f"{day[:7]}-01"
                micros, tokens = db.execute(
                    "SELECT coalesce(sum(micros), 0), coalesce(sum(input + output), 0) FROM spent WHERE day >= ? AND day <= ?", (since, day)
                ).fetchone()
                _hold(name, limit, micros / _MICRO, tokens, most)
            made = db.execute(
                "INSERT INTO spent (at, day, model, provider, input, cached, output, micros, settled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (at, day, model, provider, most.input, 0, most.output, _micros(most.dollars)),
            )
            return int(made.lastrowid or 0)

    def settle(self, number: int, was: Request) -> None:
        """What the request really took."""
        with self._base.writing() as db:
            db.execute(
                "UPDATE spent SET input = ?, cached = ?, output = ?, micros = ?, settled = 1 WHERE id = ?",
                (was.input, was.cached, was.output, _micros(was.dollars), number),
            )

    def release(self, number: int) -> None:
        """The request took nothing: it was refused, or never arrived."""
        with self._base.writing() as db:
            db.execute("DELETE FROM spent WHERE id = ?", (number,))

    def lines(self, days: int = 31, at: float | None = None) -> list[Line]:
        """The last so many days, newest first, and within a day by model."""
        since = _day((time.time() if at is None else at) - (days - 1) * 86400)
        with self._base.reading() as db:
            found = db.execute(
                f"SELECT {_COLUMNS} FROM spent WHERE day >= ? GROUP BY day, model ORDER BY day DESC, model", (since,)
            ).fetchall()
        return [Line(*row[:6], (row[6] or 0) / _MICRO, *row[7:]) for row in found]


def _hold(name: str, limit: float, dollars: float, tokens: int, most: Request) -> None:
    what = "today" if name.startswith("day") else "this month"
    how = "It begins anew by itself; `localagent model usage` shows what was spent, `localagent config set budget` changes it."
    if name.endswith("tokens"):
        if tokens + most.input + most.output > limit:
            told = f"{tokens:,} of {limit:,.0f} tokens are spent {what}, and this request may take {most.input + most.output:,}"
            raise BudgetSpent(f"The budget of tokens is spent: {told}.", how)
    elif most.dollars is not None and dollars + most.dollars > limit + 1e-9:
        told = f"${dollars:.4f} of ${limit:.2f} are spent {what}, and this request may cost ${most.dollars:.4f}"
        raise BudgetSpent(f"The budget is spent: {told}.", how)


def _micros(dollars: float | None) -> int | None:
    """Rounded up: what is a little more than nothing is not nothing."""
    return None if dollars is None else -int(-dollars * _MICRO // 1)


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))
