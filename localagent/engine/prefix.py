"""The tokens a context holds, and how much of them the next prompt can keep.

Attention can be cut back to any length. A recurrent state cannot: it returns only to a
snapshot. After an aborted or failed decode a recurrent context claims tokens it does not
have, so nothing is decoded before a snapshot (or nothing at all) is restored.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import EngineError, PromptTooLong
from .seen import last_position, uncut
from .snapshots import Snapshot, Snapshots, Suspended, Way, begins, shared

if TYPE_CHECKING:
    from .archive import Archive, Found
    from .backend import Backend
    from .sight import Views

ROLLING = 512
"""Tokens at most between two snapshots of a recurrent context: what a divergence costs it beyond what is new."""
NEAR = 64
"""A snapshot so few tokens behind another is not made, but where a message begins."""
WORTH = 256
"""Fewer tokens than this are computed again rather than copied as a whole."""
MARKS = 2
"""As many points to return to behind the start of its last turn are parked with a conversation."""


class Cancelled(Exception):
    """Somebody asked to stop. The sequence knows what it still holds."""


class Prefix:
    """One context's tokens and snapshots. `budget` bounds the snapshots in memory, in bytes.

    `archive` keeps on disk what outlives the process. `read` counts the tokens that prompts cost,
    `restored` those that came from the disk instead, in `restoring_s` seconds, search and check included.
    `prompts` tells one conversation in it from the next.
    """

    def __init__(self, backend: Backend, *, budget: int = 1 << 30, archive: Archive | None = None) -> None:
        self.backend = backend
        self.archive = archive
        self.tokens: array[int] = array("i")
        self.dirty = False
        self.snapshots = Snapshots(budget)
        self.read = self.restored = self.prompts = 0
        self.restoring_s = 0.0
        self._fixed = self._turn = 0
        self._next = 0

    def sync(
        self,
        target: Sequence[int],
        *,
        marks: Sequence[int] = (),
        fixed: int = 0,
        tail: int = 0,
        progress: Callable[[int, int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
        views: Views | None = None,
    ) -> int:
        """Make the context hold exactly `target`, ready to sample; returns the tokens kept without work.

        `marks` are lengths worth a snapshot, the last of them where the newest turn begins; `fixed`
        is the length of the part every conversation starts with, `tail` that up to which the
        conversation will be repeated (0 = unknown), `views` are its pictures. `progress(done, total, cached)` follows each
        batch. Raises `Cancelled`, or `EngineError` where the prompt does not fit or decoding fails.
        """
        goal = array("i", target)
        if not goal:
            raise EngineError("The prompt is empty.", "Say something.")
        if (size := len(goal) + (views.extra if views else 0)) >= self.backend.n_ctx:
            raise PromptTooLong(
                f"The conversation has {size} tokens and the context holds {self.backend.n_ctx}.",
                "Start a new conversation, or choose a larger context.",
            )
        self.prompts += 1
        cached = self._reuse(goal)
        self._fixed = fixed if 0 < fixed < len(goal) else 0
        self._turn = max((m for m in marks if m <= len(goal)), default=0)
        self._advance(goal, cached, self._cuts(len(goal), cached, marks, tail, views), progress, stop, views)
        return cached

    def extend(self, tokens: Sequence[int], decode: Callable[[Sequence[int]], int] | None = None) -> None:
        """Decode a few tokens more, by another way of the backend's if given. Raises `Cancelled` where it was aborted."""
        if self.tokens and not self.dirty and len(self.tokens) + len(tokens) > self._next:
            # Before, not behind them: they may be guesses that are cut off again.
            self.keep()
        self._decode(array("i", tokens), decode)

    def keep(self) -> None:
        """Take care that `back` returns to this length."""
        if self.backend.recurrent:
            self._next = len(self.tokens) + ROLLING
            self._keep(partial=True)

    def cut(self, length: int, state: Any = None) -> None:
        """Drop the tokens behind `length`; on a recurrent model by the partial `state` saved there, also after an abort.

        Raises `EngineError` where the backend does not follow.
        """
        came = state is None or self.backend.load(state, True)
        if not came or not self.backend.truncate(length) or self.backend.last_position() != last_position(self.tokens, length):
            self.dirty = True
            raise EngineError("The engine lost its place in the conversation.", "Run it again.")
        del self.tokens[length:]
        self.dirty = False
        if any(len(snapshot.tokens) > length for snapshot in self.snapshots):
            self.snapshots.tidy(self.tokens)

    def back(self, target: Sequence[int]) -> bool:
        """Return to exactly `target`, with nothing to sample from there; False where that would take work."""
        length = len(target)
        if self.dirty or shared(self.tokens, array("i", target)) < length:
            return False
        if length == len(self.tokens) and self.backend.last_position() == last_position(self.tokens, length):
            return True
        return self._reach(length) == length and self._rewind(length)

    def suspend(self) -> Suspended | None:
        """Lend the context to another conversation, up to `resume`; None where the state cannot be had.

        Nothing that is forgotten meanwhile for want of room is lost to this one.
        """
        if self.dirty or self.backend.last_position() != last_position(self.tokens):
            return None
        whole = None
        if self.tokens:
            state = self.backend.save(False)
            if state is None:
                return None
            whole = Snapshot(self.tokens[:], state, False)
            self.snapshots.lend(whole)
        partial = tuple(s for s in self.snapshots if self._in_place(s))
        return Suspended(whole, partial, self._fixed, self._turn, self._next, self.prompts)

    def resume(self, held: Suspended) -> None:
        """Be exactly where `suspend` was called, with nothing to sample from. Raises `EngineError` where that fails."""
        self.release(held)
        if held.whole is None:
            self._reset()
        elif not self._restore(Way(held.whole, None, len(held.whole.tokens))):
            raise EngineError("The engine could not go on with an interrupted answer.", "Run it again.")
        self._fixed, self._turn, self._next, self.prompts = held.fixed, held.turn, held.next_, held.prompts
        self.snapshots.give_back(held.partial)

    def release(self, held: Suspended) -> None:
        """Nobody will go on with that conversation."""
        if held.whole is not None:
            self.snapshots.end_loan(held.whole)

    def park(self) -> None:
        """Offer the conversation to the archive, with the points it may have to return to."""
        if (
            self.archive is None
            or not self.archive.takes
            or self.dirty
            or len(self.tokens) < max(self._turn, self._fixed + WORTH)
        ):
            return
        if self.backend.size(False) > self.snapshots.budget or (state := self.backend.save(False)) is None:
            return
        ways = [s for s in self.snapshots if s.partial and self._in_place(s) and len(s.tokens) > self._fixed]
        ways.sort(key=lambda s: len(s.tokens))
        turn = [s for s in ways if len(s.tokens) <= self._turn][-1:]
        rest = [s for s in ways if len(s.tokens) > self._turn]
        self.archive.offer([Snapshot(self.tokens[:], state, False), *turn, *rest[:MARKS]], fixed=False)

    # ------------------------------------------------------------ going on

    def _cuts(self, length: int, cached: int, marks: Sequence[int], tail: int, views: Views | None) -> list[int]:
        """The lengths at which to make a snapshot on the way from `cached` to `length`."""
        fixed = self._fixed if cached < self._fixed else 0
        if not self.backend.recurrent:
            return [fixed] if fixed >= WORTH else []
        near = (len(s.tokens) for s in self.snapshots if len(s.tokens) <= cached and begins(self.tokens, s.tokens))
        last, cuts = max(near, default=0), []
        if cached - last >= NEAR:
            self._keep(partial=True)
            last = cached
        places = {*marks, fixed}
        new = cached < self._turn or (views is not None and views.between(cached, tail))
        wanted = {*places, length, *([tail] if new else [])}
        for mark in sorted(m for m in wanted if cached < m <= length):
            while mark - last > ROLLING:
                last += ROLLING
                cuts.append(last)
            if mark in places or mark - last >= NEAR or (views is not None and views.between(last, mark)):
                last = mark
                cuts.append(last)
        self._next = last + ROLLING
        return cuts

    def _advance(
        self,
        goal: array[int],
        cached: int,
        cuts: list[int],
        progress: Callable[[int, int, int], None] | None,
        stop: Callable[[], bool] | None,
        views: Views | None,
    ) -> None:
        at = cached
        if progress:
            progress(at, len(goal), cached)
        while at < len(goal):
            if stop and stop():
                raise Cancelled
            end = min([at + self.backend.n_batch, len(goal), *(c for c in cuts if c > at)])
            if views is None:
                self._decode(goal[at:end])
            else:
                end, see = views.step(at, end, self.backend)
                self._decode(goal[at:end], see)
            self.read += end - at
            at = end
            if at in cuts:
                self._at_cut(at)
            if progress:
                progress(at, len(goal), cached)

    def _at_cut(self, length: int) -> None:
        whole = self._keep(partial=False, pinned=True) if length == self._fixed >= WORTH else None
        if whole is not None and self.archive is not None:
            self.archive.offer([whole], fixed=True)
        if whole is None and self.backend.recurrent:
            self._keep(partial=True, pinned=length == self._fixed)

    def _decode(self, tokens: array[int], decode: Callable[[Sequence[int]], int] | None = None) -> None:
        if self.dirty or self.backend.last_position() != last_position(self.tokens):
            self.dirty = True
            raise EngineError("The engine lost its place in the conversation.", "Run it again.")
        # Said each time: whoever was interrupted may have left its own.
        self.backend.jump = len(self.tokens) if self.tokens and self.tokens[-1] < 0 else None
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
        limit = uncut(goal, len(goal) - 1)
        common = min(shared(self.tokens, goal), limit)
        whole = not self.dirty and self.backend.last_position() == last_position(self.tokens)
        grows = whole and common == len(self.tokens)
        live = common if grows else self._reach(common)
        way = max(self.snapshots.ways(goal, limit, self.backend.recurrent), key=lambda w: w.length, default=None)
        near = max(live, way.length if way else 0)
        began = time.monotonic()
        found = self._on_disk(goal, limit)
        if found and found.length >= near + WORTH:
            self._stash(common)
            fetched = self._fetch(found)
            self.restoring_s += time.monotonic() - began
            return found.length if fetched else self._reuse(goal)
        if way and way.length >= live + WORTH // 4:
            self._stash(common)
            if self._restore(way):
                self.snapshots.touch(way.whole)
                return way.length
            self.snapshots.remove(way.whole)
            return self._reset()
        if grows:
            return common
        self._stash(common)
        return live if self._rewind(live) else self._reset()

    def _reach(self, length: int) -> int:
        """The longest length up to `length` that the context can return to in place."""
        if not self.backend.recurrent:
            return length
        return max((len(s.tokens) for s in self.snapshots if len(s.tokens) <= length and self._in_place(s)), default=0)

    def _in_place(self, snapshot: Snapshot) -> bool:
        return snapshot.partial and begins(self.tokens, snapshot.tokens)

    def _rewind(self, length: int) -> bool:
        """Return to `length`, which `_reach` named."""
        if length == 0:
            self._reset()
            return True
        if self.backend.recurrent:
            found = next((s for s in self.snapshots if len(s.tokens) == length and self._in_place(s)), None)
            self.dirty = True
            # The recurrent part first: cutting the attention part is refused while the other is ahead.
            if found is None or not self.backend.load(found.state, True):
                return False
            self.snapshots.touch(found)
        if not self.backend.truncate(length) or self.backend.last_position() != last_position(self.tokens, length):
            return False
        self._holds(self.tokens[:length])
        return True

    def _restore(self, way: Way) -> bool:
        """Load it; where that fails the context is of no use before a `_reset`."""
        self.backend.clear()
        self.tokens, self.dirty = array("i"), True
        if not self.backend.load(way.whole.state, False):
            return False
        if way.partial is not None:
            if not self.backend.load(way.partial.state, True):
                return False
            self.snapshots.touch(way.partial)
        if way.length < len(way.whole.tokens) and not self.backend.truncate(way.length):
            return False
        if self.backend.last_position() != last_position(way.whole.tokens, way.length):
            return False
        self._holds(way.whole.tokens[: way.length])
        return True

    def _on_disk(self, goal: array[int], limit: int) -> Found | None:
        if self.archive is None:
            return None
        return self.archive.find(goal, limit, self.backend.recurrent, self.backend.n_ctx)

    def _fetch(self, found: Found) -> bool:
        """Load it from the disk; where that fails the file is gone."""
        assert self.archive is not None
        whole, *partial = self.archive.read(found) or [None]
        if whole is None:
            return False
        if not self._restore(Way(whole, partial[-1] if found.partial else None, found.length)):
            self.archive.reject(found)
            self._reset()
            return False
        for snapshot in (*partial, *([whole] if whole.pinned else [])):
            if self.snapshots.find(snapshot.tokens, partial=snapshot.partial) is None:
                self.snapshots.add(snapshot)
        self.snapshots.tidy(self.tokens)
        self.restored += found.length
        return True

    def _reset(self) -> int:
        self.backend.clear()
        self._holds(array("i"))
        return 0

    def _holds(self, tokens: array[int]) -> None:
        """The context holds exactly these now."""
        self.tokens, self.dirty = tokens, False
        self.snapshots.tidy(tokens)

    # ------------------------------------------------------------ snapshots

    def _stash(self, common: int) -> None:
        """Another conversation comes, or another course of this one: keep it whole, if that is worth a copy."""
        if common > max(self._turn - 1, self._fixed + WORTH // 4) or len(self.tokens) - common < WORTH:
            return
        if self.dirty and (self.backend.recurrent or not self.backend.truncate(len(self.tokens))):
            return
        if self.backend.last_position() != last_position(self.tokens):
            return
        self.dirty = False
        self._keep(partial=False)

    def _keep(self, *, partial: bool, pinned: bool = False) -> Snapshot | None:
        """A snapshot of what the context holds; None where there is no room or no state to be had."""
        known = self.snapshots.find(self.tokens, partial=partial)
        if known:
            known.pinned |= pinned
            self.snapshots.touch(known)
            return known
        if self.backend.size(partial) > self.snapshots.budget or (state := self.backend.save(partial)) is None:
            return None
        made = Snapshot(self.tokens[:], state, partial, pinned)
        if not self.snapshots.add(made):
            return None
        self.snapshots.tidy(self.tokens)
        return made

    def shrink(self, budget: int) -> None:
        """Hold at most so many bytes of snapshots from now on; the pinned ones are dropped last."""
        self.snapshots.shrink(budget)
        self.snapshots.tidy(self.tokens)

    @property
    def used(self) -> int:
        """Bytes held by snapshots."""
        return self.snapshots.used
