"""Decoding ahead of what is said: guessed tokens are computed in one batch with the last one said.

Each guess counts only where the sampler, asked behind the tokens before it, draws that very token:
the answer is the one that would have come without. What was computed beyond is cut off again; a
recurrent state cannot be cut, so it is copied before and put back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import EngineError
from .llama import Context
from .lookup import LONGEST, Index
from .prefix import Prefix
from .worth import FORCED, LARGE, SMALL, Clock, Costs, Worth


class Guesses:
    """What guessing knows from answer to answer about one context. `worth` makes what decides in each."""

    def __init__(self, worth: Callable[[Costs, bool], Worth] = Worth) -> None:
        self.index, self.costs, self.worth = Index(), Costs(), worth
        self.state: Any = None

    def beside(self) -> Guesses:
        """For an answer in the middle of another one: only what batches cost is the same for both."""
        other = Guesses(self.worth)
        other.costs = self.costs
        return other


class Ahead:
    """The tokens of one answer on their way into the context, one step at a time until it is told to `guess`."""

    def __init__(self, context: Context, prefix: Prefix) -> None:
        self._context, self._prefix = context, prefix
        self._guesses: Guesses | None = None
        self._pending: list[int] = []
        self._again: list[int] = []
        self._length = 0
        self._foreseen = -1
        self._marked = self._prompts = -1
        self.tried = self.taken = 0

    def guess(self, guesses: Guesses) -> None:
        """From here on."""
        self._guesses, self._worth = guesses, guesses.worth(guesses.costs, self._context.recurrent)
        guesses.index.follow(self._prefix.tokens)
        self._prompts = self._prefix.prompts

    @property
    def back(self) -> int:
        """How far behind the last token decoded the last one said is, from 1 (see `Context.logits`)."""
        return len(self._pending) + 1

    @property
    def length(self) -> int:
        """Tokens read and said."""
        return len(self._prefix.tokens) - len(self._pending) + len(self._again)

    def extend(self, ids: Sequence[int], room: int, forced: Callable[[], Sequence[int]] | None = None) -> bool:
        """Go on behind these tokens; whether that was an ordinary step, with nothing guessed.

        At most `room` tokens follow; `forced` tells those that must. Raises like `Prefix.extend`.
        """
        if self._guesses is None:
            self._prefix.extend(ids)
            return True
        self._guesses.index.push(ids)
        self._worth.said()
        if self._pending:
            if self._pending[: len(ids)] == list(ids):
                self._accept(len(ids))
                return False
            self._worth.odds.saw(self._length, False)
            self._reject()
        elif self._foreseen >= 0:
            self._worth.odds.saw(self._length, ids[0] == self._foreseen)
        draft = () if self._again else self._draft(self._guesses, room, forced)
        if draft and self._context.recurrent and not self._mark(self._guesses):
            draft = ()
        return self._decode(self._guesses, ids, draft)

    def settle(self) -> None:
        """Leave a context that holds nothing but what was said, though perhaps not all of it."""
        if self._prompts != self._prefix.prompts:
            return  # interrupted and given up: the context is another's now
        if self._pending or (self._prefix.dirty and self._marked == len(self._prefix.tokens)):
            with contextlib.suppress(EngineError):  # then it is dirty, which the next prompt mends
                self._reject()
        self._again = []

    # ------------------------------------------------------------ one batch

    def _decode(self, guesses: Guesses, ids: Sequence[int], draft: Sequence[int]) -> bool:
        again, self._again = self._again, []
        batch = [*again, *ids, *draft]
        with Clock() as clock:
            self._prefix.extend(batch, self._context.decode_all if draft else None)
        self._pending = list(draft)
        self.tried += len(draft)
        if len(batch) == 1:
            guesses.costs.alone(clock.seconds)
        else:
            self._worth.paid(self._length, guesses.costs.together(len(batch), clock.seconds) - 1.0)
        return not again and not draft

    def _draft(self, guesses: Guesses, room: int, forced: Callable[[], Sequence[int]] | None) -> Sequence[int]:
        """What to guess now. What would have been guessed is remembered."""
        worth, room = self._worth, min(room, LARGE)
        must = forced() if forced else ()
        length, place = guesses.index.find()
        sure, few = worth.count(FORCED, min(room, len(must)))
        value, count = worth.count(length, room) if length else (0.0, 0)
        if must and sure >= value:
            self._length, self._foreseen = FORCED, must[0]
            return must[:few]
        if not length:
            self._foreseen = -1
            return ()
        self._length, self._foreseen = length, guesses.index.tokens[place]
        found = guesses.index.behind(place, count) if count else []
        end = next((at for at, token in enumerate(found) if token < 0 or self._context.model.is_eog(token)), count)
        return found[: end if end in (SMALL, LARGE) else SMALL if end > SMALL else 0]

    def _accept(self, count: int) -> None:
        del self._pending[:count]
        self.taken += count
        for _ in range(count):
            self._worth.won(self._length)
            self._length = min(self._length + 1, LONGEST) if self._length != FORCED else FORCED
        self._foreseen = -1

    # ------------------------------------------------------------ going back

    def _mark(self, guesses: Guesses) -> bool:
        """Copy the recurrent state, to come back to this length."""
        fresh = guesses.state is None
        with Clock() as clock:
            guesses.state = self._context.save(True, guesses.state)
        if not fresh:
            guesses.costs.copied(clock.seconds, back=False)
        self._marked = -1 if guesses.state is None else len(self._prefix.tokens)
        return guesses.state is not None

    def _reject(self) -> None:
        """Cut off what was computed and not said; on a recurrent model what was said since the copy comes again."""
        assert self._guesses is not None
        said = len(self._prefix.tokens) - len(self._pending)
        self._pending, self._foreseen = [], -1
        if not self._context.recurrent:
            self._prefix.cut(said)
            return
        self._again = self._prefix.tokens[self._marked : said].tolist()
        with Clock() as clock:
            self._prefix.cut(self._marked, self._guesses.state)
        self._worth.paid(self._length, self._guesses.costs.units(clock.seconds))
        self._guesses.costs.copied(clock.seconds, back=True)
