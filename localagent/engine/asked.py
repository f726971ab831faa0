"""The small parts of a local engine's request and of its answer. Pure, but for the path of the host's log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import EngineError, PromptTooLong, UsageError
from ..events import TextDelta, ThinkingDelta
from ..store import picture
from ..values import Image, Message, Part, Text, Timings, ToolSpec, Usage
from . import protocol
from .base import JSON_FENCE, UNSEEN, CallGrammar, Options, Parser, Said, Segment, Thought, TokenLogprob, Trigger
from .resident import log_path

# The end of a word, behind which a space or punctuation stands already: what follows changes no token of it.
_WORD = re.compile(r"[^\W_](?=[\s!-/:-@\[-`{-~\u2000-\u206f\u3000-\u303f\uff01-\uff0f\uff1a-\uff20])")


def packed(request: Mapping[str, Any]) -> bytes:
    try:
        return protocol.pack(request)
    except protocol.FrameError as error:
        raise PromptTooLong(
            f"The conversation is larger than the engine takes: {error}.", "Leave out the longest text or file."
        ) from None


def seen(message: Message, pictures: str) -> Message:
    """With a text in the place of each picture that is not in the folder `pictures`; "" for none."""

    def shown(parts: tuple[Part, ...]) -> tuple[Part, ...]:
        return tuple(
            Text(UNSEEN) if isinstance(part, Image) and picture.find(pictures, part.sha256) is None else part for part in parts
        )

    result = message.result
    if not any(isinstance(part, Image) for part in (*message.parts, *(result.parts if result else ()))):
        return message
    return replace(message, parts=shown(message.parts), result=result and replace(result, parts=shown(result.parts)))


def cost(event: Mapping[str, Any]) -> tuple[Usage, Timings]:
    usage, timings = event.get("usage", {}), event.get("timings", {})
    return (
        Usage(usage.get("input", 0), usage.get("cached", 0), usage.get("output", 0)),
        Timings(timings.get("load_ms", 0.0), timings.get("prefill_ms", 0.0), timings.get("decode_ms", 0.0)),
    )


def answer_grammar(schema: Mapping[str, Any], opening: str) -> CallGrammar:
    """The answer is a fence of JSON, opened for the model and closed by the grammar."""
    from . import gbnf

    fence = Trigger(JSON_FENCE, gbnf.json_value(schema, after="\n```"))
    return CallGrammar((fence,), forced=opening + JSON_FENCE, once=True)


def bound(specs: Sequence[ToolSpec], choices: Mapping[str, tuple[str, ...]]) -> Sequence[ToolSpec]:
    """The tools with the named sets of their parameters written out, or left open where there is none."""
    from . import gbnf

    return gbnf.bind(specs, choices)


def callable(specs: Sequence[ToolSpec], options: Options) -> Sequence[ToolSpec]:
    """The tools that may be called. Raises `UsageError` where the one that is named is none of them."""
    # Which tool runs programs, and so is spelt in another way, is settled by those at the beginning of the prompt.
    known = [*specs, *(replace(spec, effects=()) for spec in options.offered)]
    if not options.tool:
        return known
    found = [spec for spec in known if spec.name == options.tool]
    if not found:
        names = ", ".join(spec.name for spec in known) or "none"
        raise UsageError(f"There is no tool {options.tool!r} to call.", f"There are: {names}.")
    return found


def settled(draft: str) -> str:
    """The words of a text in the making whose tokens will be the same whatever follows."""
    words = list(_WORD.finditer(draft))
    return draft[: words[-1].end()] if words else ""


def logprob(told: Sequence[Any]) -> TokenLogprob:
    piece, value, top = told
    return TokenLogprob(piece.encode("latin-1"), value, tuple((one.encode("latin-1"), lower) for one, lower in top))


def deltas(parser: Parser, text: str) -> list[TextDelta | ThinkingDelta]:
    found: list[TextDelta | ThinkingDelta] = []
    for piece in parser.feed(text) if text else ():
        if isinstance(piece, Said):
            found.append(TextDelta(piece.text))
        elif isinstance(piece, Thought):
            found.append(ThinkingDelta(piece.text))
    return found


def alike(one: Sequence[Segment], other: Sequence[Segment]) -> int:
    """How many segments at the beginning are the same."""
    return next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )


def broke_off() -> EngineError:
    return EngineError("The engine stopped while answering.", f"Run it again; {log_path()} may say why.")
