"""Where the tokens of a conversation go, as the engine's own vocabulary counts them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..engine.counting import Counted, Counting
from ..values import Message, Text, ToolSpec
from . import context
from .room import limit

if TYPE_CHECKING:
    from .session import Session

CATEGORIES = ("system", "tools", "offered", "words", "around", "short", "answers", "results", "host", "images", "form")
_OFFERED = "More tools that can be called now"
_BYTES = 3


@dataclass(frozen=True, slots=True)
class Account:
    """Tokens by category, those of `total` in a `context`; from `limit` on the conversation is shortened.

    `exact` is false where the engine cannot count. `reading` is tokens per second as measured, 0 where nothing was yet.
    """

    model: str
    context: int
    limit: int
    total: int
    parts: tuple[tuple[str, int], ...]
    exact: bool = True
    reading: float = 0.0

    @property
    def free(self) -> int:
        return max(0, self.context - self.total)

    def seconds(self, tokens: int) -> float:
        """What reading so many takes, 0.0 where that is not known."""
        return tokens / self.reading if self.reading else 0.0


async def account(session: Session) -> Account:
    """Of what the model would be shown now. Raises what the engine raises."""
    setting, shown = session.setting, session.talk.shown
    specs, options = setting.registry.specs(), setting.options
    texts = _texts(shown, bool(session.talk.short.now.upto))
    flat = [text for found in texts.values() for text in found]
    messages = context.for_model(shown or [Message("user", (Text("."),))])
    engine = setting.engine
    counting = engine if isinstance(engine, Counting) else None

    async def count(messages: Sequence[Message], specs: Sequence[ToolSpec], further: Sequence[str] = ()) -> Counted:
        if counting is not None:
            return await counting.count(messages, specs, options, further)
        return _guessed(messages, specs, further, session.room.size)

    made = await count(messages, specs, flat)
    least = context.for_model([Message("user", (Text("."),))])
    tools = (await count(least, specs)).total - (await count(least, ())).total
    sizes, at = {"tools": max(0, tools), "images": made.images}, 0
    for name, found in texts.items():
        sizes[name] = sum(made.texts[at : at + len(found)])
        at += len(found)
    sizes["form"] = max(0, made.total - sum(sizes.values()))
    parts = tuple((name, sizes.get(name, 0)) for name in CATEGORIES)
    size = made.context or session.room.size
    return Account(engine.model, size, limit(size, options.max_tokens), made.total, parts, made.exact, round(session.talk.pace.reading, 1))


def _texts(shown: Sequence[Message], short: bool) -> dict[str, list[str]]:
    """What each category says."""
    found: dict[str, list[str]] = {name: [] for name in CATEGORIES if name not in ("tools", "images", "form")}
    found["system"].append(context.SYSTEM)
    for at, message in enumerate(shown):
        texts = [part.text for part in message.parts if isinstance(part, Text)]
        if at == 0 and short:
            found["short"] += texts
        elif message.role in ("user", "steer"):
            found["words"] += texts[:1]
            found["around"] += texts[1:]
        elif message.role == "assistant":
            calls = (json.dumps({"name": c.name, "arguments": c.args}, ensure_ascii=False, default=dict) for c in message.calls)
            found["answers"] += [*texts, *([message.thinking] if message.thinking else []), *calls]
        elif message.role == "tool":
            found["results"] += texts
        else:
            found["offered" if texts and texts[0].startswith(_OFFERED) else "host"] += texts
    return found


def _guessed(messages: Sequence[Message], specs: Sequence[ToolSpec], further: Sequence[str], size: int) -> Counted:
    told = sum(len(json.dumps([s.name, s.description, s.parameters], default=dict)) for s in specs)
    told += sum(len(m.text.encode("utf-8", "replace")) + 16 for m in messages)
    return Counted(told // _BYTES, size, tuple(len(text.encode("utf-8", "replace")) // _BYTES for text in further), exact=False)
