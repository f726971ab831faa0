"""The next token, under a grammar or free.

Masking the whole vocabulary costs more than computing a token on a GPU, so a token is
sampled first and only that one is checked; the mask comes where it is refused.
"""

from __future__ import annotations

import numpy as np

from ..errors import EngineError
from .llama import CANDIDATE, Chain, Context, Grammar

TOP = 256


def sample(context: Context, chain: Chain, grammar: Grammar | None = None, back: int = 1) -> int:
    """The token behind the last one decoded, or behind one further `back`.

    Under a grammar one that it allows, which is still to be accepted there.
    """
    if grammar is None:
        return context.draw(chain, back)
    # A refused token must not count as written where repetition is penalised.
    if not chain.penalised:
        token = context.draw(chain, back)
        if grammar.allows(token):
            return token
    token = _masked(context, chain, grammar, back)
    chain.accept(token)
    return token


def _masked(context: Context, chain: Chain, grammar: Grammar, back: int) -> int:
    """From the likeliest tokens, else from all; the end where nothing else may come."""
    logits = context.logits(back)
    for count in (TOP, len(logits)):
        ids = np.argpartition(logits, -count)[-count:] if count < len(logits) else np.arange(len(logits))
        candidates = np.zeros(len(ids), CANDIDATE)
        candidates["id"], candidates["logit"] = ids, logits[ids]
        allowed = grammar.mask(candidates)
        if len(allowed):
            return chain.pick(np.ascontiguousarray(allowed))
    end = context.model.eog
    if end is not None and grammar.complete():
        return end
    raise EngineError("A tool's grammar leaves no way to go on.", "Leave that tool out.")


def logprob(logits: np.ndarray, token: int) -> float:
    """The natural log probability of the token at temperature 1."""
    return float(logits[token]) - _logsum(logits)


def likeliest(logits: np.ndarray, count: int) -> list[tuple[int, float]]:
    """So many tokens with their natural log probabilities, best first."""
    count = min(count, len(logits))
    if not count:
        return []
    ids = np.argpartition(logits, -count)[-count:]
    total = _logsum(logits)
    return [(int(i), float(logits[i]) - total) for i in ids[np.argsort(-logits[ids], kind="stable")]]


def _logsum(logits: np.ndarray) -> float:
    top = logits.max()
    return float(top) + float(np.log(np.exp(logits - top).sum(dtype=np.float64)))
