"""Pictures among the tokens of a prompt: each is as many negative numbers as it takes positions, made from what it is.

So the prefix of a conversation is compared, kept and restored like any other: the same picture is the same numbers, and
another one differs in the first of them. Where a model holds all of a picture at its first position (M-RoPE), the numbers
say that too. Pure.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

_FIRST, _STILL, _NAME = 1 << 30, 1 << 29, (1 << 29) - 1


def ids(name: str, positions: int, *, still: bool) -> tuple[int, ...]:
    """What stands for a picture. `name` tells it from every other, also from the same one read in another way.

    `still`: for the model all of it is at its first position, though what follows comes behind all of them.
    """
    told = hashlib.shake_256(f"{name} {positions}".encode()).digest(4 * positions)
    kind = _STILL if still else 0
    numbers = struct.unpack(f"<{positions}I", told)
    return tuple(-1 - ((number & _NAME) | kind | (0 if at else _FIRST)) for at, number in enumerate(numbers))


def uncut(tokens: Sequence[int], length: int) -> int:
    """The greatest length up to `length` that cuts through no picture."""
    while 0 < length < len(tokens) and tokens[length] < 0 and not _begins(tokens[length]):
        length -= 1
    return length


def last_position(tokens: Sequence[int], length: int | None = None) -> int:
    """Where a model that holds the first `length` of them (None: all) has the last one, -1 for none."""
    at = (len(tokens) if length is None else length) - 1
    if at < 0 or tokens[at] >= 0 or not (-1 - tokens[at]) & _STILL:
        return at
    while at > 0 and not _begins(tokens[at]):
        at -= 1
    return at


def _begins(token: int) -> bool:
    return token < 0 and bool((-1 - token) & _FIRST)
