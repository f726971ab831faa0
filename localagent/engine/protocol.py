"""What the engine host and its clients say to each other: framed JSON over a local socket.

A frame is a 4-byte big-endian length and that many bytes of JSON, at most 64 MiB. Every
request is an object with `op` and `id`; every event of its answer repeats the `id`.

    generate  -> queued* waiting* loading* prefill* token* (done | error)
    score     -> queued* waiting* loading* prefill* (done | error)
    prepare   -> queued* loading* (done | error)
    count     -> queued* (done | error)
    cancel    -> the running answer ends with `done`, stop `cancelled`
    status    -> status
    stop      -> ok, and the host ends
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from ..errors import (
    DownloadError,
    EngineError,
    GrammarRefused,
    LocalAgentError,
    ModelError,
    ModelMissing,
    PromptTooLong,
)
from ..values import Generated
from .base import CallGrammar, ImageData, Sampling, Segment, Template, Trigger, Untrusted
from .power import Mode

VERSION = 4
MAX_FRAME = 64 << 20
MAX_LOGPROBS = 20
MAX_TEXTS = 64
_KINDS: dict[str, type[LocalAgentError]] = {
    kind.kind: kind for kind in (EngineError, PromptTooLong, GrammarRefused, ModelError, ModelMissing, DownloadError)
}


class FrameError(Exception):
    """The other side broke the framing; the connection cannot go on."""


class BadRequest(Exception):
    """A frame arrived whole and does not make sense; the connection can go on."""


def pack(value: Mapping[str, Any]) -> bytes:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body)} bytes is above the limit of {MAX_FRAME}")
    return struct.pack(">I", len(body)) + body


async def read(stream: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next frame, None at the end of the stream. Raises `FrameError` or `BadRequest`."""
    try:
        (length,) = struct.unpack(">I", await stream.readexactly(4))
        if length > MAX_FRAME:
            raise FrameError(f"a message of {length} bytes is above the limit of {MAX_FRAME}")
        body = await stream.readexactly(length)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise FrameError("the connection ended in the middle of a message") from None
        return None
    except ConnectionError:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the message is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the message is not a JSON object")
    return value


# ---------------------------------------------------------------- generate


@dataclass(frozen=True, slots=True)
class Prompted:
    """A prompt for a model.

    `marks` are numbers of leading segments after which a snapshot is worth keeping (the start
    of a user message); `fixed` is the number of those that every conversation begins with.
    `threads` None lets the host choose, with fewer of them where `power` says so. `priority` 0 is a
    waiting person, 1 a job. Requests of one priority take turns by `client`; where it is "", by connection.
    `projector` is the file with which the model sees, `pictures` the folder of those in the segments; each may be "".
    """

    path: str
    context: int
    segments: tuple[Segment, ...]
    priority: int = 0
    threads: int | None = None
    power: Mode = "auto"
    marks: tuple[int, ...] = ()
    fixed: int = 0
    client: str = ""
    projector: str = ""
    pictures: str = ""


@dataclass(frozen=True, slots=True)
class Request(Prompted):
    """One answer to make.

    Of `ends` those that are one control token of the vocabulary end it, and are no part of it.
    `stops` end it where they appear in text that no grammar holds. `logprobs` is how many of the
    likeliest tokens to tell with each token; None tells nothing.
    """

    grammar: CallGrammar = field(default_factory=CallGrammar)
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 2048
    ends: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Score(Prompted):
    """How likely each candidate is as the next text, and the segments from `said[0]` up to `said[1]` where they stand."""

    candidates: tuple[tuple[Segment, ...], ...] = ()
    said: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Prepare(Prompted):
    """Read this prompt ahead, behind everything else; anything else that comes ends it, with stop `cancelled`.

    Without segments only the model is loaded.
    """


@dataclass(frozen=True, slots=True)
class Count(Prompted):
    """How many tokens each segment has. The first `prompt` of them are a prompt, the others texts of their own.

    It goes before everything else, in the middle of an answer too, for it takes no time.
    """

    prompt: int = 0


def _segment(value: Segment) -> dict[str, Any]:
    match value:
        case Template(text):
            return {"template": text}
        case Untrusted(text):
            return {"untrusted": text}
        case Generated(_, ids):
            return {"ids": list(ids)}
        case ImageData(sha256):
            return {"image": sha256}


def _read_segment(value: Any) -> Segment:
    match value:
        case {"template": str(text)}:
            return Template(text)
        case {"untrusted": str(text)}:
            return Untrusted(text)
        case {"ids": list(ids)} if all(type(i) is int for i in ids):
            return Generated("", tuple(ids))
        case {"image": str(sha256)}:
            return ImageData(sha256)
    raise BadRequest("a segment is neither template, untrusted, ids nor image")


def request_to_json(request: Request) -> dict[str, Any]:
    return {
        "op": "generate",
        **_prompted(request),
        "triggers": [asdict(t) for t in request.grammar.triggers],
        "forced": request.grammar.forced,
        "once": request.grammar.once,
        "sampling": asdict(request.sampling),
        "max_tokens": request.max_tokens,
        "ends": list(request.ends),
        "stops": list(request.stops),
        "logprobs": request.logprobs,
    }


def score_to_json(score: Score) -> dict[str, Any]:
    candidates = [[_segment(s) for s in candidate] for candidate in score.candidates]
    return {"op": "score", **_prompted(score), "candidates": candidates, "said": list(score.said)}


def prepare_to_json(prepare: Prepare) -> dict[str, Any]:
    return {"op": "prepare", **_prompted(prepare)}


def count_to_json(count: Count) -> dict[str, Any]:
    return {"op": "count", **_prompted(count), "prompt": count.prompt}


def _prompted(request: Prompted) -> dict[str, Any]:
    return {
        "version": VERSION,
        "path": request.path,
        "context": request.context,
        "segments": [_segment(s) for s in request.segments],
        "priority": request.priority,
        "threads": request.threads,
        "power": request.power,
        "marks": list(request.marks),
        "fixed": request.fixed,
        "client": request.client,
        "projector": request.projector,
        "pictures": request.pictures,
    }


def request_from_json(value: Mapping[str, Any]) -> Request:
    """Raises `BadRequest` for anything that is not a whole request."""
    with _whole():
        logprobs = value.get("logprobs")
        return Request(
            **_read_prompted(value),
            grammar=CallGrammar(
                tuple(_read_trigger(t) for t in value.get("triggers", ())),
                _text(value.get("forced", "")),
                _typed(value.get("once", False), bool),
            ),
            sampling=_read_sampling(value.get("sampling", {})),
            max_tokens=_within(value.get("max_tokens", 2048), 1, 1 << 22),
            ends=_texts(value.get("ends", ())),
            stops=_texts(value.get("stops", ())),
            logprobs=None if logprobs is None else _within(logprobs, 0, MAX_LOGPROBS),
        )


def score_from_json(value: Mapping[str, Any]) -> Score:
    """Raises `BadRequest` for anything that is not a whole request."""
    with _whole():
        first, behind = value.get("said", (0, 0))
        return Score(
            **_read_prompted(value),
            candidates=tuple(tuple(map(_read_segment, candidate)) for candidate in value["candidates"]),
            said=(_within(first, 0, 1 << 22), _within(behind, first, 1 << 22)),
        )


def prepare_from_json(value: Mapping[str, Any]) -> Prepare:
    """Raises `BadRequest` for anything that is not a whole request."""
    with _whole():
        return Prepare(**_read_prompted(value))


def count_from_json(value: Mapping[str, Any]) -> Count:
    """Raises `BadRequest` for anything that is not a whole request."""
    with _whole():
        return Count(**_read_prompted(value), prompt=_within(value.get("prompt", 0), 0, 1 << 22))


@contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadRequest(f"the request is not complete: {error!r}") from None


def _read_prompted(value: Mapping[str, Any]) -> dict[str, Any]:
    threads = value.get("threads")
    return {
        "path": _path(value["path"]),
        "context": _within(value["context"], 256, 1 << 22),
        "segments": tuple(map(_read_segment, value["segments"])),
        "priority": _within(value.get("priority", 0), 0, 9),
        "threads": None if threads is None else _within(threads, 1, 1024),
        "power": _power(value.get("power", "auto")),
        "marks": tuple(_within(m, 0, 1 << 22) for m in value.get("marks", ())),
        "fixed": _within(value.get("fixed", 0), 0, 1 << 22),
        "client": _typed(value.get("client", ""), str),
        "projector": _path(value.get("projector", "")),
        "pictures": _path(value.get("pictures", "")),
    }


def _power(value: Any) -> Mode:
    if value not in get_args(Mode):
        raise BadRequest(f"power is one of {', '.join(get_args(Mode))}")
    mode: Mode = value
    return mode


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise BadRequest(f"expected a list of texts, got {type(value).__name__}")
    texts = tuple(map(_text, value))
    if not all(texts) or len(texts) > MAX_TEXTS:
        raise BadRequest(f"a list of texts has at most {MAX_TEXTS}, and none is empty")
    return texts


def _text(value: Any) -> str:
    text: str = _typed(value, str)
    text.encode()
    return text


def _path(value: Any) -> str:
    path: str = _typed(value, str)
    if b"\0" in os.fsencode(path):
        raise BadRequest("no file has such a path")
    return path


def _read_trigger(value: Mapping[str, Any]) -> Trigger:
    text = _text(value["text"])
    if not text:
        raise BadRequest("a trigger has no text")
    return Trigger(text, _typed(value["grammar"], str), bool(value.get("at_line_start", False)))


def _read_sampling(value: Mapping[str, Any]) -> Sampling:
    seed = value.get("seed")
    numbers = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty")
    given = {name: _number(value[name]) for name in numbers if name in value}
    sampling = Sampling(
        **given,
        top_k=_within(value.get("top_k", 0), 0, 1 << 20),
        seed=None if seed is None else _typed(seed, int),
    )
    if not 0.0 < sampling.repeat_penalty <= 10.0:
        raise BadRequest("repeat_penalty must be above 0 and at most 10")
    return sampling


def _typed(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise BadRequest(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not -1e6 < number < 1e6:
        raise BadRequest("a number is out of range")
    return number


def _within(value: Any, low: int, high: int) -> int:
    if not low <= _typed(value, int) <= high:
        raise BadRequest(f"{value} is not between {low} and {high}")
    return int(value)


# ---------------------------------------------------------------- errors


def error_to_json(error: LocalAgentError) -> dict[str, Any]:
    return {"event": "error", "kind": error.kind, "message": error.message, "hint": error.hint}


def error_from_json(value: Mapping[str, Any]) -> LocalAgentError:
    kind = _KINDS.get(str(value.get("kind")), EngineError)
    return kind(str(value.get("message", "The engine failed.")), str(value.get("hint", "")))
