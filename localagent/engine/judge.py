"""How far one model's own signs can be trusted when it wants to call a tool."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Judge:
    """A logistic model over four signs, measured for one model file (`bench/judge.py`).

    - `fits`: log odds that the model says yes when asked whether a tool does what is asked.
    - `news`: by how much the tools make the request less surprising, in nats, at most `MOST_NEWS`.
    - `support`: how far the conversation says the values of the call, 0 to 1 (`agent.evidence`).
    - `named`: how far it speaks of the called tools, by their names and descriptions, 0 to 1.
    """

    fits: float
    news: float
    support: float
    named: float
    bias: float

    def chance(self, fits: float, news: float, support: float, named: float) -> float:
        """The chance, 0 to 1, that a call is what the request needs."""
        odds = self.bias + self.fits * fits + self.news * min(news, MOST_NEWS)
        odds += self.support * support + self.named * named
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, odds))))


MOST_NEWS = 40.0
