"""The tokens a context holds, and how much of them the next prompt can keep.

Attention can be cut back to any length. A recurrent state cannot: it returns only to a
snapshot. After an aborted or failed decode a recurrent context claims tokens it does not
have, so nothing is decoded before a snapshot (or nothing at all) is restored.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import EngineError, PromptTooLong

ROLLING = 4096
"""Tokens between the snapshots of a long prefill."""
WORTH = 256
"""Fewer tokens than this are computed again rather than copied."""


class Backend(Protocol):
    """What a sequence needs of llama.cpp. `decode` returns 0 done, 1 full, 2 aborted, below 0 failed."""

    recurrent: bool
    n_ctx: int
    n_batch: int

    def decode(self, tokens: Sequence[int]) -> int: ...

    def last_position(self) -> int: ...

    def truncate(self, length: int) -> bool: ...

    def clear(self) -> None: ...

    def save(self, partial: bool) -> Any | None: ...

    def load(self, state: Any, partial: bool) -> bool: ...


class Cancelled(Exception):
    """Somebody asked to stop. The sequence knows what it still holds."""


@dataclass(slots=True)
class Snapshot:
    """State after `tokens`. A partial one holds the recurrent part only and needs its tokens in place."""

    tokens: array[int]
    state: Any
    partial: bool
    pinned: bool
    used: int

    @property
    def size(self) -> int:
        return len(self.state) + self.tokens.itemsize * len(self.tokens)


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    limit = min(len(one), len(other))
    step, at = 512, 0
    while at < limit and one[at : at + step] == other[at : at + step]:
        at += step
    at = min(at, limit)
    while at < limit and one[at] == other[at]:
        at += 1
    return at


class Prefix:
    """One context's tokens and snapshots. `budget` bounds the snapshots in bytes."""

    def __init__(self, backend: Backend, *, budget: int = 1 << 30) -> None:
        self.backend = backend
        self.budget = budget
        self.tokens: array[int] = array("i")
        self.dirty = False
        self.snapshots: list[Snapshot] = []
        self._fixed = 0
        self._clock = 0

    def sync(
        self,
        target: Sequence[int],
        *,
        marks: Sequence[int] = (),
        fixed: int = 0,
        progress: Callable[[int, int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> int:
        """Make the context hold exactly `target`, ready to sample; returns the tokens kept without work.

        `marks` are lengths worth a snapshot, `fixed` the length of the part every conversation
        starts with (0 = unknown). `progress(done, total, cached)` follows each batch. Raises
        `Cancelled`, or `EngineError` where the prompt does not fit or decoding fails.
        """
        goal = array("i", target)
        if not goal:
            raise EngineError("The prompt is empty.", "Say something.")
        if len(goal) >= self.backend.n_ctx:
            raise PromptTooLong(
                f"The conversation has {len(goal)} tokens and the context holds {self.backend.n_ctx}.",
                "Start a new conversation, or choose a larger context.",
            )
        cached = self._reuse(goal)
        self._fixed = fixed if 0 < fixed < len(goal) else 0
        cuts = {m for m in (*marks, self._fixed) if cached < m <= len(goal)} if self.backend.recurrent else set()
        if cuts or self.backend.recurrent:
            cuts |= set(range((cached // ROLLING + 1) * ROLLING, len(goal), ROLLING)) | {len(goal)}
        self._advance(goal, cached, sorted(cuts), progress, stop)
        return cached

    def extend(self, tokens: Sequence[int], decode: Callable[[Sequence[int]], int] | None = None) -> None:
        """Decode a few tokens more, by another way of the backend's if given. Raises `Cancelled` where it was aborted."""
        self._decode(array("i", tokens), decode)

    def keep(self) -> None:
        """Take care that `back` returns to this length."""
        if self.backend.recurrent:
            self._keep(partial=True, pinned=False)

    def cut(self, length: int, state: Any = None) -> None:
        """Drop the tokens behind `length`; on a recurrent model by the partial `state` saved there, also after an abort.

        Raises `EngineError` where the backend does not follow.
        """
        came = state is None or self.backend.load(state, True)
        if not came or not self.backend.truncate(length) or self.backend.last_position() != length - 1:
            self.dirty = True
            raise EngineError("The engine lost its place in the conversation.", "Run it again.")
        del self.tokens[length:]
        self.dirty = False
        if any(len(snapshot.tokens) > length for snapshot in self.snapshots):
            self._forget_beyond()

    def back(self, target: Sequence[int]) -> bool:
        """Return to exactly `target`, with nothing to sample from there; False where that would take work."""
        length = len(target)
        if self.dirty or shared(self.tokens, array("i", target)) < length:
            return False
        if length == len(self.tokens) and self.backend.last_position() == length - 1:
            return True
        return self._reach(length) == length and self._rewind(length)

    # ------------------------------------------------------------ going on

    def _advance(
        self,
        goal: array[int],
        cached: int,
        cuts: list[int],
        progress: Callable[[int, int, int], None] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        at = cached
        if progress:
            progress(at, len(goal), cached)
        while at < len(goal):
            if stop and stop():
                raise Cancelled
            end = min([at + self.backend.n_batch, len(goal), *(c for c in cuts if c > at)])
            self._decode(goal[at:end])
            at = end
            if at in cuts:
                self._keep(partial=True, pinned=at == self._fixed)
            if progress:
                progress(at, len(goal), cached)

    def _decode(self, tokens: array[int], decode: Callable[[Sequence[int]], int] | None = None) -> None:
        if self.dirty or self.backend.last_position() != len(self.tokens) - 1:
            self.dirty = True
            raise EngineError("The engine lost its place in the conversation.", "Run it again.")
        code = (decode or self.backend.decode)(tokens)
        if code == 0:
            self.tokens.extend(tokens)
        elif code == 1:
            raise EngineError(
                f"The context of {self.backend.n_ctx} tokens is full.",
                "Start a new conversation, or choose a larger context.",
            )
        else:
            self.dirty = True
            if code == 2:
                raise Cancelled
            raise EngineError(f"llama.cpp could not decode (code {code}).", "Run it again.")

    # ------------------------------------------------------------ going back

    def _reuse(self, goal: array[int]) -> int:
        """Bring the context to the longest prefix of `goal` that can be had, short of all of it."""
        common = min(shared(self.tokens, goal), len(goal) - 1)
        whole = not self.dirty and self.backend.last_position() == len(self.tokens) - 1
        if whole and common == len(self.tokens):
            return common
        live = self._reach(common)
        best, usable = self._best(goal)
        self._stash(common)
        if best and usable >= live + WORTH // 4 and self._restore(best, usable):
            return usable
        return live if self._rewind(live) else self._reset()

    def _reach(self, length: int) -> int:
        """The longest length up to `length` that the context can return to in place."""
        if not self.backend.recurrent:
            return length
        return max((len(s.tokens) for s in self.snapshots if self._in_place(s) and len(s.tokens) <= length), default=0)

    def _in_place(self, snapshot: Snapshot) -> bool:
        return snapshot.partial and self.tokens[: len(snapshot.tokens)] == snapshot.tokens

    def _best(self, goal: array[int]) -> tuple[Snapshot | None, int]:
        """The whole-state snapshot that saves most, and how much of it serves."""
        best, most = None, 0
        for snapshot in self.snapshots:
            if snapshot.partial:
                continue
            common = min(shared(snapshot.tokens, goal), len(goal) - 1)
            if self.backend.recurrent and common < len(snapshot.tokens):
                continue
            if common > most:
                best, most = snapshot, common
        return best, most

    def _rewind(self, length: int) -> bool:
        """Return to `length`, which `_reach` named."""
        if length == 0:
            self._reset()
            return True
        if self.backend.recurrent:
            found = next((s for s in self.snapshots if len(s.tokens) == length and self._in_place(s)), None)
            # The recurrent part first: cutting the attention part is refused while the other is ahead.
            if found is None or not self.backend.load(found.state, True):
                return False
            self._touch(found)
        if not self.backend.truncate(length) or self.backend.last_position() != length - 1:
            return False
        del self.tokens[length:]
        self.dirty = False
        self._forget_beyond()
        return True

    def _restore(self, snapshot: Snapshot, length: int) -> bool:
        self.backend.clear()
        self.tokens, self.dirty = array("i"), False
        if not self.backend.load(snapshot.state, False):
            self.snapshots.remove(snapshot)
            return False
        if length < len(snapshot.tokens) and not self.backend.truncate(length):
            return False
        if self.backend.last_position() != length - 1:
            return False
        self.tokens = snapshot.tokens[:length]
        self._touch(snapshot)
        self._forget_beyond()
        return True

    def _reset(self) -> int:
        self.backend.clear()
        self.tokens, self.dirty = array("i"), False
        self._forget_beyond()
        return 0

    def _forget_beyond(self) -> None:
        """Drop partial snapshots whose tokens are no longer in place."""
        self.snapshots = [s for s in self.snapshots if not s.partial or self._in_place(s)]

    # ------------------------------------------------------------ snapshots

    def _stash(self, common: int) -> None:
        """Another conversation comes: keep this one whole, and its fixed part, if that is worth a copy."""
        if common > self._fixed + WORTH // 4 or len(self.tokens) - common < WORTH:
            return
        if self.dirty and (self.backend.recurrent or not self.backend.truncate(len(self.tokens))):
            return
        self.dirty = False
        if self.backend.last_position() != len(self.tokens) - 1:
            return
        self._keep(partial=False, pinned=False)
        fixed = self._fixed
        if fixed >= WORTH and common < fixed and self._reach(fixed) == fixed and self._rewind(fixed):
            self._keep(partial=False, pinned=True)

    def _keep(self, *, partial: bool, pinned: bool) -> None:
        known = next((s for s in self.snapshots if s.partial == partial and s.tokens == self.tokens), None)
        if known:
            known.pinned |= pinned
            self._touch(known)
            return
        state = self.backend.save(partial)
        if state is None:
            return
        snapshot = Snapshot(self.tokens[:], state, partial, pinned, 0)
        self._touch(snapshot)
        self.snapshots.append(snapshot)
        while self.used > self.budget and self.snapshots:
            self.snapshots.remove(min(self.snapshots, key=lambda s: (s.pinned, s.used)))

    def _touch(self, snapshot: Snapshot) -> None:
        self._clock += 1
        snapshot.used = self._clock

    @property
    def used(self) -> int:
        """Bytes held by snapshots."""
        return sum(s.size for s in self.snapshots)
