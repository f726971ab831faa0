"""One answer: prefill, then token by token, free text and grammar taking turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import EngineError, PromptTooLong
from ..values import Generated
from .ahead import Ahead, Guesses
from .base import ImageData, Segment, Template, Untrusted
from .grammars import Grammars, Held
from .llama import Chain, Context, Eyes, Model
from .prefix import Cancelled, Prefix
from .protocol import Prompted, Request
from .queue import nothing_done
from .sampling import likeliest, logprob, sample
from .sight import Views, look
from .speech import Speech, Spoken
from .watch import Watch

Emit = Callable[[dict[str, Any]], None]
_ROLE = 16
SURE, PART, SLACK = 12, 16384, 1.02
"""Characters for each token of room up to which a prompt is read at once, and how many of a longer one are at a time."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens of all segments, and the token lengths at which snapshots are worth keeping.

    `ends` are the token lengths behind each segment, the first without any.
    `opener` is the token that opens a message, `role` what follows it where it is the model's own turn,
    `tail` the length up to where that turn is opened: later prompts repeat that much.
    """

    tokens: list[int]
    ends: tuple[int, ...]
    marks: tuple[int, ...]
    fixed: int
    opener: int | None
    role: tuple[int, ...]
    tail: int = 0
    views: Views = field(default_factory=Views)

    @property
    def size(self) -> int:
        """What it takes of the context: pictures take more than the tokens that stand for them."""
        return len(self.tokens) + self.views.extra


def tokenize(model: Model, request: Prompted, room: int, stop: Callable[[], bool], eyes: Eyes | None = None) -> Prompt:
    """Each segment by its kind. Raises `EngineError` for ids that are no tokens, and for images without `eyes`.

    Raises `PromptTooLong` early where there are far more texts than tokens of `room`, and `Cancelled`
    where `stop` says so meanwhile.
    """
    _check_size(model, request.segments, room, stop)
    tokens: list[int] = [] if model.bos is None else [model.bos]
    ends = [len(tokens)]
    opener: int | None = None
    views = Views()
    for segment in request.segments:
        if isinstance(segment, ImageData):
            tokens += views.add(len(tokens), segment.sha256, look(eyes, request.pictures, segment.sha256))
            ends.append(len(tokens))
            continue
        found = spell(model, segment)
        if len(ends) == 1 and tokens and tuple(found[:1]) == tuple(tokens):
            found = found[1:]  # some templates begin with the token that the model file adds by itself
        if opener is None and isinstance(segment, Template):
            opener = next((t for t in found if t in model.structural and t != model.bos and not model.is_eog(t)), None)
        tokens += found
        ends.append(len(tokens))
    length = [ends[min(m, len(ends) - 1)] for m in (*request.marks, request.fixed)]
    marks, fixed = tuple(length[:-1]), length[-1] if request.fixed else 0
    tail = 0 if opener is None else len(tokens) - 1 - tokens[::-1].index(opener)
    return Prompt(tokens, tuple(ends), marks, fixed, opener, _role(model, tokens, opener), tail, views)


def _check_size(model: Model, segments: Sequence[Segment], room: int, stop: Callable[[], bool]) -> None:
    """A whole log file takes seconds for each megabyte, in which nobody else is heard."""
    texts = [(s.text, isinstance(s, Template)) for s in segments if isinstance(s, (Template, Untrusted))]
    if sum(len(text) for text, _ in texts) <= SURE * room:
        return
    count = 0
    for text, special in texts:
        for at in range(0, len(text), PART):
            if stop():
                raise Cancelled
            count += len(model.spell(text[at : at + PART], special))
            # Where a part ends a token may have been cut in two.
            if count > SLACK * room:
                raise PromptTooLong(
                    f"The conversation has more than {room} tokens, which is all that the context holds.",
                    "Leave out the longest text or file, start a new conversation, or choose a larger context.",
                )


def spell(model: Model, segment: Segment) -> Sequence[int]:
    """Its tokens. Raises `EngineError` for ids that are no tokens and for images."""
    match segment:
        case Template(text):
            return model.template(text)
        case Untrusted(text):
            return model.untrusted(text)
        case Generated(_, ids):
            if any(not 0 <= token < model.n_vocab for token in ids):
                raise EngineError("The history holds tokens of another model.", "Start a new conversation.")
            return ids
        case ImageData(_):
            raise EngineError("This model cannot see images.", "Leave the image out or choose another model.")


def _role(model: Model, tokens: Sequence[int], opener: int | None) -> tuple[int, ...]:
    """What stands behind the last opener, up to the next structural token."""
    if opener is None:
        return ()
    at = len(tokens) - tokens[::-1].index(opener)
    found: list[int] = []
    for token in tokens[at : at + _ROLE]:
        if token in model.structural:
            break
        found.append(token)
    return tuple(found)


class Answer:
    """Makes one answer on a context. `run` may be called once."""

    def __init__(
        self,
        context: Context,
        prefix: Prefix,
        grammars: Grammars,
        request: Request,
        emit: Emit,
        stop: Callable[[], bool],
        pace: Callable[[float], None],
        guesses: Guesses | None = None,
    ) -> None:
        self._context, self._model, self._prefix, self._grammars = context, context.model, prefix, grammars
        self._request, self._emit, self._stop, self._pace = request, emit, stop, pace
        self._watch = Watch(request.grammar.triggers)
        self._speech = Speech(emit, request.stops, self._model.untrusted)
        named = {self._model.named(text) for text in request.ends}
        self._ends: frozenset[int] = frozenset(token for token in named if token is not None)
        self._held: Held | None = None
        self._over = self._cut = False
        self._chain: Chain | None = None
        self._guesses = guesses
        self.ahead = Ahead(context, prefix)
        self.output = 0

    def run(self) -> dict[str, Any]:
        """Emits prefill and token events; returns the final `done` event. Raises `EngineError`."""
        started = time.monotonic()
        try:
            prompt = tokenize(self._model, self._request, self._context.n_ctx, self._stop, self._context.eyes)
        except Cancelled:
            return nothing_done()
        cached, stop, prefilled = 0, "cancelled", 0.0
        try:
            for trigger in self._request.grammar.triggers:
                self._grammars.check(trigger.grammar)
            forced = self._force(self._request.grammar.forced)
            cached = self._prefix.sync(
                [*prompt.tokens, *(token for spoken in forced for token in spoken.ids)],
                marks=prompt.marks,
                fixed=prompt.fixed,
                tail=prompt.tail,
                progress=lambda done, total, kept: self._emit(
                    {"event": "prefill", "done": done, "total": total, "cached": kept}
                ),
                stop=self._stop,
                views=prompt.views if prompt.views.at else None,
            )
            prefilled = time.monotonic()
            for spoken in forced:
                self._say(spoken, free=False)
            self._chain = Chain(self._model, self._request.sampling)
            if self._guesses is not None and not self._chain.penalised:
                self.ahead.guess(self._guesses)
            stop = self._decode(self._chain, prompt)
        except Cancelled:
            stop = "cancelled"
        finally:
            self._close()
        ended = time.monotonic()
        prefilled = prefilled or ended
        return {
            "event": "done",
            "stop": stop,
            "cut": self._cut,
            "text": self._speech.finish(),
            "usage": {
                "input": prompt.size,
                "cached": min(cached, len(prompt.tokens)) + prompt.views.beyond(cached),
                "output": self.output,
            },
            "timings": {"prefill_ms": (prefilled - started) * 1e3, "decode_ms": (ended - prefilled) * 1e3},
        }

    def _decode(self, chain: Chain, prompt: Prompt) -> str:
        turn, ahead, n_ctx = _Turn(prompt, self._ends), self.ahead, self._context.n_ctx - prompt.views.extra
        while not self._over:
            if self._stop():
                return "cancelled"
            room = min(self._request.max_tokens - self.output, n_ctx - ahead.length)
            if room <= 0:
                self._cut = self._held is not None
                return "length"
            token = sample(self._context, chain, self._held.grammar if self._held else None, ahead.back)
            if self._held and self._closes(self._held, token, room):
                return "length"
            free, last = self._held is None, token in self._ends or self._model.is_eog(token)
            if free and (turn.ends(token, self._speech) or last):
                return "end"
            spoken = self._follow(token)
            if last and self._held is None:
                return "end"
            if self._say(spoken, free=free):
                return "stop"
            if self._over:
                break
            room = min(self._request.max_tokens - self.output, n_ctx - ahead.length - len(spoken.ids))
            began = time.monotonic()
            ordinary = ahead.extend(spoken.ids, room, self._held.forced if self._held else None)
            if ordinary and len(spoken.ids) == 1:
                self._pace(time.monotonic() - began)
        return "end"

    def _follow(self, token: int) -> Spoken:
        """What to decode for a sampled token, moving between free text and grammar."""
        piece, told = self._model.piece(token), self._logprob(token)
        if self._held is not None:
            self._under(self._held, [token])
            return Spoken([token], piece, told)
        hit = self._watch.feed(piece)
        if hit is None:
            return Spoken([token], piece, told)
        trigger, used = hit
        self._held = self._grammars.start(trigger.grammar)
        if used == len(piece):
            return Spoken([token], piece, told)
        # The token runs past the trigger, where the grammar must have its say: only its start is kept.
        return Spoken(self._model.untrusted(piece[:used].decode("utf-8", "replace")), piece[:used], told)

    def _force(self, text: str) -> list[Spoken]:
        """The text put into the model's mouth, with the grammar moved past it."""
        if not text:
            return []
        hit = self._watch.feed(text.encode())
        if hit is None:
            return [self._ours(text)]
        trigger, used = hit
        first, rest = text.encode()[:used].decode(), text.encode()[used:].decode("utf-8", "replace")
        self._held = self._grammars.start(trigger.grammar)
        if not rest:
            return [self._ours(first)]
        spoken = self._ours(rest)
        self._under(self._held, spoken.ids)
        return [self._ours(first), spoken]

    def _ours(self, text: str) -> Spoken:
        return Spoken(self._model.template(text), text.encode())

    def _under(self, held: Held, tokens: Sequence[int]) -> None:
        """Move the grammar on; free text comes next where its text is whole."""
        for token in tokens:
            self._watch.take(held.accept(token))
        if held.grammar.complete():
            self._over = self._request.grammar.once
            self._free()

    def _closes(self, held: Held, token: int, room: int) -> bool:
        """Whether the call had to be closed now instead of going on with `token`."""
        closing, piece = held.closing, self._model.piece(token)
        if not closing.crowded(piece) and (not closing.near(room) or closing.fits(piece, room - 1)):
            return False
        tokens = held.closed()
        self._cut = True
        self._say(Spoken(tokens, b"".join(map(self._model.piece, tokens))), free=False)
        return True

    def _free(self) -> None:
        if self._held is not None:
            self._held.grammar.close()
            self._held = None

    def _say(self, spoken: Spoken, *, free: bool) -> bool:
        self.output += len(spoken.ids)
        return self._speech.say(spoken, free=free)

    def _logprob(self, token: int) -> tuple[Any, ...] | None:
        """What a token event tells of it: its log probability, and the likeliest tokens with theirs."""
        count = self._request.logprobs
        if count is None:
            return None
        logits = self._context.logits(self.ahead.back)
        top = [(self._model.piece(other).decode("latin-1"), value) for other, value in likeliest(logits, count)]
        return logprob(logits, token), top

    def _close(self) -> None:
        self._free()
        self.ahead.settle()
        if self._chain is not None:
            self._chain.close()


class _Turn:
    """Whether the model goes on in its own turn when it opens another message."""

    def __init__(self, prompt: Prompt, ends: frozenset[int]) -> None:
        self._opener = prompt.opener
        # Where nobody said what ends a turn, a new one does.
        self._role = prompt.role if ends else ()
        self._due: list[int] = []

    def ends(self, token: int, speech: Speech) -> bool:
        """Whether this token shows that the answer was over; what may belong to another turn is held until then."""
        if self._due:
            if token != self._due.pop(0):
                return True
            if not self._due:
                speech.go_on()
        elif token == self._opener:
            self._due = list(self._role)
            speech.hold()
            return not self._due
        return False
