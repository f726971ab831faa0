"""What the tokens and snapshots of a context need of llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Backend(Protocol):
    """One sequence of tokens. `decode` returns 0 done, 1 full, 2 aborted, below 0 failed.

    `jump` is the position of the next token to be decoded where that does not follow the last one's: behind a picture.
    """

    recurrent: bool
    n_ctx: int
    n_batch: int
    jump: int | None

    def decode(self, tokens: Sequence[int]) -> int: ...

    def see(self, view: Any, position: int) -> int: ...

    def last_position(self) -> int: ...

    def truncate(self, length: int) -> bool: ...

    def clear(self) -> None: ...

    def size(self, partial: bool) -> int: ...

    def save(self, partial: bool) -> Any | None: ...

    def load(self, state: Any, partial: bool) -> bool: ...
