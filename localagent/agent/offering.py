"""Tools that are found, not listed: those that fit the person's words, and what `tool_search` finds.

They are shown at the end of the conversation and never in its beginning, which stays what it was however many there are.
What was shown stands in the history, and can be called as long as it stands there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..events import ToolsOffered
from ..toolbox.registry import Registry
from ..toolbox.search import Finder, Found
from ..values import Text, ToolCall, ToolResult, ToolSpec
from . import brief, context

SEARCH = ToolSpec(
    "tool_search",
    "Find further tools when none here fits.",
    {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "what the tool should do"}},
        "required": ["query"],
        "additionalProperties": False,
    },
    ("compute",),
    "offering",
)
COUNT = 5
_NEAREST = 3
_CHARACTERS = 2400
"""Of one message, about 600 tokens."""
_QUERY = 300


class Ranker(Protocol):
    async def find(self, query: str, count: int = 5) -> tuple[Found, ...]: ...


@dataclass(frozen=True, slots=True)
class _Shown:
    """`place` is the message of the history that shows it."""

    place: int
    spec: ToolSpec


class Offering:
    """What a session knows of the findable tools of its registry; a `ToolSource` of `tool_search` too."""

    def __init__(self, registry: Registry, rank: Callable[[Sequence[ToolSpec], Sequence[ToolSpec]], Ranker] = Finder) -> None:
        self._registry = registry
        self._rank = rank
        self._ranked: tuple[ToolSpec, ...] = ()
        self._ranker: Ranker = rank((), ())
        self._shown: list[_Shown] = []
        self._found: dict[str, tuple[ToolSpec, ...]] = {}

    # ------------------------------------------------------------ the tool

    def specs(self) -> list[ToolSpec]:
        return [SEARCH]

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        query = " ".join(str(call.args.get("query", "")).split())[:_QUERY]
        if not query:
            yield ToolResult(call.id, (Text("Say in a few words what the tool should do."),), "failed")
            return
        found = await self._find(query)
        sure = [one.spec for one in found if one.sure]
        known = [spec.name for spec in sure or [one.spec for one in found[:_NEAREST]] if self._stands(spec)]
        new = self._fitting(sure or [one.spec for one in found[:_NEAREST]])
        self._found[call.id] = new
        yield ToolResult(call.id, (Text(context.found_tools(query, new, known, sure=bool(sure))),))

    def found(self, call_id: str) -> ToolsOffered | None:
        """What the result of that call has shown, told once."""
        specs = self._found.pop(call_id, ())
        return ToolsOffered(specs, self._changed_of(specs), call_id) if specs else None

    async def aclose(self) -> None:
        """End what the ranking has running."""
        if (aclose := getattr(self._rank, "aclose", None)) is not None:
            await aclose()

    # ------------------------------------------------------------ the session

    async def fitting(self, words: str) -> ToolsOffered | None:
        """What is to be shown behind a request in these words: tools that fit for sure, and those that are not what was shown.

        Takes the registry's tools as they are now.
        """
        self._registry.refresh()
        changed = self._changed()
        if not self._registry.findable():
            return _offer(changed, changed)
        found = [*self._registry.wished(words), *(one.spec for one in await self._find(words) if one.sure)]
        found = list({spec.name: spec for spec in found}.values())
        return _offer([*changed, *self._fitting(found, [spec.name for spec in changed])], changed)

    def changed(self) -> ToolsOffered | None:
        """What is not as it was shown any more."""
        changed = self._changed()
        return _offer(changed, changed)

    def callable(self) -> tuple[ToolSpec, ...]:
        """What the history shows, as it is now; one that is gone as it was shown, for a call of it to be answered plainly."""
        listed = {spec.name for spec in self._registry.specs()}
        last = {one.spec.name: one.spec for one in self._shown if one.spec.name not in listed}
        return tuple(self._registry.spec(name) or spec for name, spec in last.items())

    def note(self, event: ToolsOffered, place: int) -> None:
        self._shown += [_Shown(place, spec) for spec in event.tools]

    def cut(self, place: int) -> None:
        """The history has lost its messages from this one on."""
        self._shown = [one for one in self._shown if one.place < place]

    # ------------------------------------------------------------ within

    async def _find(self, query: str) -> tuple[Found, ...]:
        findable = self._registry.findable()
        if findable != self._ranked:
            listed = [spec for spec in self._registry.specs() if spec.source != SEARCH.source]
            self._ranked, self._ranker = findable, self._rank(findable, listed)
        return await self._ranker.find(query, COUNT)

    def _fitting(self, specs: Sequence[ToolSpec], but: Sequence[str] = ()) -> tuple[ToolSpec, ...]:
        """As they are to be shown, without those that the history shows, as far as they fit into one message."""
        made: list[ToolSpec] = []
        left = _CHARACTERS
        for spec in specs:
            shown = brief.brief(spec)
            if shown is None or spec.name in but or self._stands(spec) or len(brief.line(shown)) > left:
                continue
            left -= len(brief.line(shown))
            made.append(shown)
        return tuple(made)

    def _last(self, name: str) -> ToolSpec | None:
        return next((one.spec for one in reversed(self._shown) if one.spec.name == name), None)

    def _stands(self, spec: ToolSpec) -> bool:
        """Whether the history shows it as it is now."""
        last, now = self._last(spec.name), brief.brief(spec)
        return last is not None and now is not None and brief.line(last) == brief.line(now)

    def _changed(self) -> tuple[ToolSpec, ...]:
        names = dict.fromkeys(one.spec.name for one in self._shown)
        now = [spec for name in names if (spec := self._registry.spec(name)) is not None]
        return tuple(shown for spec in now if not self._stands(spec) and (shown := brief.brief(spec)) is not None)

    def _changed_of(self, specs: Sequence[ToolSpec]) -> tuple[str, ...]:
        return tuple(spec.name for spec in specs if self._last(spec.name) is not None)


def of(registry: Registry) -> Offering:
    """The one that is among the registry's sources, else one whose tool nobody can call."""
    return next((source for source in registry.sources if isinstance(source, Offering)), None) or Offering(registry)


def _offer(tools: Sequence[ToolSpec], changed: Sequence[ToolSpec]) -> ToolsOffered | None:
    return ToolsOffered(tuple(tools), tuple(spec.name for spec in changed)) if tools else None
