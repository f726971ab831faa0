"""A context that remembers which batches made its state, and the same answer again from those alone."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from localagent.engine import llama, protocol
from localagent.engine.answer import Answer
from localagent.engine.base import Sampling
from localagent.engine.dialects.qwen35 import Qwen35
from localagent.engine.grammars import Grammars
from localagent.engine.local import LocalEngine
from localagent.engine.model import ModelFile
from localagent.engine.prefix import Prefix
from localagent.engine.protocol import Request
from localagent.engine.yielding import Yielding

CONTEXT = 24576


class Recording(llama.Context):
    """`batches` made what the context holds; a whole number among them is a cut back to that length."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.batches: list[tuple[int, ...] | int] = []
        self._known: dict[tuple[int, int], list[tuple[int, ...] | int]] = {}

    def _decode(self, tokens: Sequence[int], outputs: int) -> int:
        code = super()._decode(tokens, outputs)
        if code == 0:
            self.batches.append(tuple(tokens))
        return code

    def truncate(self, length: int) -> bool:
        done = super().truncate(length)
        if done and length != self.held:
            self.batches.append(length)
        return done

    @property
    def held(self) -> int:
        count = 0
        for batch in self.batches:
            count = batch if isinstance(batch, int) else count + len(batch)
        return count

    def clear(self) -> None:
        super().clear()
        self.batches = []

    def save(self, partial: bool) -> Any | None:
        state = super().save(partial)
        if state is not None:
            self._known[zlib.crc32(state), len(state)] = list(self.batches)
        return state

    def load(self, state: Any, partial: bool) -> bool:
        done = super().load(state, partial)
        if done:
            self.batches = list(self._known.get((zlib.crc32(state), len(state)), []))
        return done


class Recorded(Recording):
    """An ordinary context that remembers."""


class RecordedYielding(Recording, Yielding):
    """The one of the runner that remembers."""


class Watched(Prefix):
    """Knows the batches behind the last prompt."""

    made: list[tuple[int, ...] | int]

    def sync(self, target: Sequence[int], **named: Any) -> int:
        cached = super().sync(target, **named)
        self.made = list(self.backend.batches)  # type: ignore[attr-defined]
        return cached


class Given(Prefix):
    """Holds its prompt already."""

    def sync(self, target: Sequence[int], **_: Any) -> int:
        assert list(self.tokens) == list(target)
        return 0


def put_back(prefix: Prefix, batches: Sequence[tuple[int, ...] | int]) -> None:
    """Make a clean context hold what these batches make."""
    backend: Any = prefix.backend
    for batch in batches:
        if isinstance(batch, int):
            assert backend.truncate(batch)
            del prefix.tokens[batch:]
        else:
            assert backend._decode(batch, 1) == 0
            prefix.tokens.extend(batch)


class Direct(LocalEngine):
    """The engine with its host in this process; prompts, requests and answers are the product's own.

    `stop(tokens)` may say after how many tokens of an answer somebody interrupts.
    """

    def __init__(self, path: str, **prefix: Any) -> None:
        file = ModelFile("random", path, context=CONTEXT, sampling=Sampling(), sha256="random", thinks=True)
        super().__init__(file, Qwen35(), threads=1)
        self.loaded = llama.Model(path)
        self.context = Recorded(self.loaded, n_ctx=CONTEXT, threads=1)
        self.prefix = Watched(self.context, **prefix)
        self.grammars = Grammars(self.loaded)
        self.prompt: list[int] = []
        self.answered: list[int] = []
        self.last: Request | None = None
        self.stop: Callable[[int], bool] = lambda _: False

    def shut(self) -> None:
        self.grammars.close()
        self.context.close()
        self.loaded.close()

    async def _events(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        self.last = protocol.request_from_json(request)
        self.answered, events = [], []

        def emit(event: dict[str, Any]) -> None:
            events.append(event)
            self.answered += event.get("ids", ())
            if self.stop(len(self.answered)):
                self.context.abort(True)

        done = self._run(self.context, self.prefix, self.last, emit)
        self.context.abort(False)
        for event in (*events, done):
            yield event

    def _run(self, context: Any, prefix: Prefix, request: Request, emit: Callable[[dict[str, Any]], None]) -> Any:
        answer = Answer(context, prefix, self.grammars, request, emit, lambda: False, lambda _: None)
        noted = prefix.sync

        def sync(target: Sequence[int], **named: Any) -> int:
            self.prompt = list(target)
            return noted(target, **named)

        prefix.sync = sync  # type: ignore[method-assign]
        try:
            return answer.run()
        finally:
            del prefix.sync

    def again(self) -> list[int]:
        """The last answer's tokens as a clean context gives them after the same batches."""
        assert self.last is not None
        context = llama.Context(self.loaded, n_ctx=CONTEXT, threads=1)
        try:
            prefix, ids = Given(context), []
            put_back(prefix, self.prefix.made)
            self._run(context, prefix, self.last, lambda event: ids.extend(event.get("ids", ())))
            return ids
        finally:
            context.close()
