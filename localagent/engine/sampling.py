"""The next token, under a grammar or free.

Masking the whole vocabulary costs more than computing a token on a GPU, so a token is
sampled first and only that one is checked; the mask comes where it is refused.
"""

from __future__ import annotations

import numpy as np

from ..errors import EngineError
from .llama import CANDIDATE, Chain, Context, Grammar

TOP = 256


def sample(context: Context, chain: Chain, grammar: Grammar | None = None) -> int:
    """The next token; under a grammar one that it allows, which is still to be accepted there."""
    if grammar is None:
        return context.draw(chain)
    # A refused token must not count as written where repetition is penalised.
    if not chain.penalised:
        token = context.draw(chain)
        if token not in context.model.control and grammar.allows(token):
            return token
    token = _masked(context, chain, grammar)
    chain.accept(token)
    return token


def _masked(context: Context, chain: Chain, grammar: Grammar) -> int:
    """From the likeliest tokens, else from all, else with control tokens too where the grammar names one."""
    logits = context.logits()
    for count, structure in ((TOP, False), (len(logits), False), (len(logits), True)):
        ids = np.argpartition(logits, -count)[-count:] if count < len(logits) else np.arange(len(logits))
        if not structure:
            ids = ids[context.model.plain[ids]]
        candidates = np.zeros(len(ids), CANDIDATE)
        candidates["id"], candidates["logit"] = ids, logits[ids]
        allowed = grammar.mask(candidates)
        if len(allowed):
            return chain.pick(np.ascontiguousarray(allowed))
    raise EngineError("A tool's grammar leaves no way to go on.", "Leave that tool out.")
