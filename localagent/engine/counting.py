"""How many tokens a prompt has, as the model's own vocabulary spells it. Nothing is computed for it, and no context is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..values import Message, ToolSpec
from . import protocol
from .base import Dialect, Generated, ImageData, Options, Segment, Template, Untrusted
from .model import ModelFile

if TYPE_CHECKING:
    from .loaded import Loaded

MOST = 4
"""Behind so many times what the context holds, tokens are estimated: spelling a whole log file takes seconds."""
_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class Counted:
    """`total` tokens of `context` that there is room for; `texts` are those of each further text, `images` those of pictures, each of
    which is taken for the most that one may have: only looking at it would tell.

    `exact` is false where the engine cannot count, and bytes were taken for it.
    """

    total: int
    context: int
    texts: tuple[int, ...] = ()
    images: int = 0
    exact: bool = True


@runtime_checkable
class Counting(Protocol):
    """An engine that can count; `context` is what is set, and a model may hold less."""

    context: int

    async def count(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options, texts: Sequence[str] = ()
    ) -> Counted:
        """Of the prompt that `stream` would send, and of each of `texts` by itself. Raises `EngineError` and `ModelError`."""
        ...


# ---------------------------------------------------------------- the client's side


def request(
    file: ModelFile, dialect: Dialect, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options, texts: Sequence[str]
) -> protocol.Count:
    """What the host is asked. The specs are bound, and the messages' ids this model's own."""
    segments = dialect.render(messages, specs, thinking=options.thinking)
    further = (Untrusted(text) for text in texts)
    return protocol.Count(file.path, file.context, (*segments, *further), client=options.client, prompt=len(segments))


def answer(event: dict[str, Any], sent: protocol.Count) -> Counted:
    """What the host said."""
    counts, pictures = list(map(int, event.get("counts", ()))), 0
    for segment, tokens in zip(sent.segments, counts, strict=False):
        pictures += tokens if isinstance(segment, ImageData) else 0
    total = int(event.get("bos", 0)) + sum(counts[: sent.prompt])
    return Counted(total, int(event.get("context", sent.context)), tuple(counts[sent.prompt :]), pictures)


# ---------------------------------------------------------------- the host's side


def counted(loaded: Loaded | None, asked: protocol.Count) -> dict[str, Any]:
    """The final `done` event. Where the model is not in memory only its vocabulary is read, and let go of again.

    Raises `ModelError`.
    """
    if loaded is not None:
        return _event(loaded.context.model, asked, loaded.context.n_ctx, loaded.plan.gpu_layers > 0)
    from .llama import Model

    model = Model(asked.path, gpu_layers=0, vocab_only=True)
    try:
        return _event(model, asked, min(asked.context, model.n_ctx_train or asked.context))
    finally:
        model.close()


def _event(model: Any, asked: protocol.Count, room: int, gpu: bool = False) -> dict[str, Any]:
    counts: list[int] = []
    left = MOST * room
    from .llama import most_tokens

    most = most_tokens(gpu)
    for segment in asked.segments:
        counts.append(_tokens(model, segment, left, most))
        left -= counts[-1]
    bos = int(model.bos is not None)
    first = asked.segments[0] if asked.segments else None
    if bos and isinstance(first, Template) and model.template(first.text)[:1] == (model.bos,):
        bos = 0
    from .queue import nothing_done

    return nothing_done() | {"stop": "end", "counts": counts, "bos": bos, "context": room}


def _tokens(model: Any, segment: Segment, left: int, most: int) -> int:
    match segment:
        case Generated(_, ids):
            return len(ids)
        case ImageData():
            return most
        case Template(text) if left > 0:
            return len(model.template(text))
        case Untrusted(text) if left > 0:
            return len(model.untrusted(text))
        case Template(text) | Untrusted(text):
            return len(text) // _CHARACTERS
