"""`localagent model usage`: what hosted models have taken and cost, and what is left of the budget."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..store.spend import Line, Spend

if TYPE_CHECKING:
    from ..engine.catalogue import Catalogue
    from ..store.settings import Settings


def run(args: argparse.Namespace, chosen: Settings, known: Catalogue) -> int:
    """Prints the ledger, newest day first."""
    ledger = Spend()
    lines, month = ledger.lines(args.days), ledger.lines(31)
    budget = {name: {"limit": limit, "spent": _spent(name, month)} for name, limit in chosen.budget.items()}
    if args.json:
        print(json.dumps({"days": [asdict(line) for line in lines], "budget": budget}, indent=1))
        return 0
    if not lines:
        print(f"No hosted model was asked in the last {args.days} days.")
    width = max((len(line.model) for line in lines), default=0)
    for line in lines:
        print(_told(line, width))
    for name, facts in budget.items():
        print(f"budget {name}: {_amount(name, facts['spent'])} of {_amount(name, facts['limit'])} spent")
    return 0



def _spent(name: str, lines: list[Line]) -> float:
    import time

    today = time.strftime("%Y-%m-%d")
    counted = [line for line in lines if (line.day == today if name.startswith("day") else line.day[:7] == today[:7])]
    return sum(line.input + line.output if name.endswith("tokens") else line.dollars for line in counted)


def _amount(name: str, value: Any) -> str:
    return f"{value:,.0f} tokens" if name.endswith("tokens") else f"${value:.4f}"


def _told(line: Line, width: int) -> str:
    cost = "price not known" if line.unpriced == line.requests else f"${line.dollars:.4f}"
    more = f" (and {line.unpriced} of unknown price)" if 0 < line.unpriced < line.requests else ""
    more += f" ({line.open} counted with the most they could cost)" if line.open else ""
    asked = f"{line.requests} {'request' if line.requests == 1 else 'requests'}"
    took = f"{line.input:,} tokens in ({line.cached:,} cached), {line.output:,} out"
    return f"{line.day}  {line.model:{width}}  {asked}, {took}, {cost}{more}"
