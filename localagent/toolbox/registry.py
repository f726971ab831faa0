"""All tools of a session under unique names, whatever they come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..values import Text, ToolCall, ToolResult, ToolSpec


@dataclass(frozen=True, slots=True)
class Completed:
    """A call with what it left open spelt out, and in words for a person what that comes to."""

    call: ToolCall
    note: str = ""


class ToolSource(Protocol):
    """Where tools come from.

    - `specs` is cheap and has a stable order.
    - `listed` False (as an attribute; True where there is none): its tools are not shown with every request but found
      when they fit, and may become others from one request to the next.
    - `call` yields live output as text and ends with exactly one `ToolResult`; a failure is a
      result, never an exception. Cancelling it (or closing the iterator) ends the tool at once.
    - It may have `word(call) -> str`, what the host says to the model behind a result, `foreign(name) -> bool`, whether texts of others
      stand in a tool's results whatever its effects, and `folders()`, folders of ours that may be read for the sake of its tools.
    - It may have `completed(call) -> Completed`, which spells out what is then judged, shown and run, or raises a
      LocalAgentError whose words the model gets.
    """

    def specs(self) -> Sequence[ToolSpec]: ...

    def call(self, call: ToolCall) -> AsyncIterator[str | ToolResult]: ...


class Registry:
    """The tools of `sources` in their order. A name that is taken is refused, not renamed.

    `problems` says which tools were refused, and why, after those that are given.
    """

    def __init__(self, sources: Sequence[ToolSource], problems: Sequence[str] = ()) -> None:
        self._sources: tuple[ToolSource, ...] = ()
        self._tools: dict[str, tuple[ToolSpec, ToolSource]] = {}
        self._fits: Callable[[ToolSpec], bool] = lambda spec: True
        self.problems: tuple[str, ...] = tuple(problems)
        for source in sources:
            self.add(source)

    def add(self, source: ToolSource) -> None:
        """One more source, behind the others."""
        self._sources = (*self._sources, source)
        self._take(source)

    @property
    def sources(self) -> tuple[ToolSource, ...]:
        return self._sources

    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools that every request shows, always the same in the same order."""
        return tuple(spec for spec, source in self._tools.values() if _listed(source))

    def findable(self) -> tuple[ToolSpec, ...]:
        """The tools that are shown where they fit; in the same order as long as they are the same."""
        return tuple(spec for spec, source in self._tools.values() if not _listed(source))

    def wished(self, words: str) -> tuple[ToolSpec, ...]:
        """Those of them whose source says that a request in these words is for it (`fits`)."""
        held = [(spec, getattr(source, "fits", None)) for spec, source in self._tools.values() if not _listed(source)]
        return tuple(spec for spec, fits in held if fits is not None and fits(words))

    def every(self) -> tuple[ToolSpec, ...]:
        """All of them."""
        return tuple(spec for spec, _ in self._tools.values())

    def refresh(self) -> None:
        """Take the findable tools as their sources have them now. The listed ones stay: the prompt begins with them."""
        self._tools = {name: held for name, held in self._tools.items() if _listed(held[1])}
        for source in self._sources:
            if not _listed(source):
                self._take(source)

    def _take(self, source: ToolSource) -> None:
        problems = []
        for spec in source.specs():
            if not self._fits(spec):
                continue
            if (taken := self._tools.get(spec.name)) is not None:
                problems.append(
                    f"{spec.source}: the tool {spec.name!r} is not loaded, for {taken[0].source} "
                    f"has one of that name. Give one of them another name."
                )
                continue
            self._tools[spec.name] = (spec, source)
        self.problems = tuple(dict.fromkeys([*self.problems, *problems]))

    def spec(self, name: str) -> ToolSpec | None:
        found = self._tools.get(name)
        return found[0] if found else None

    def completed(self, call: ToolCall) -> Completed:
        """What this call comes to. Raises LocalAgentError where it comes to nothing."""
        found = self._tools.get(call.name)
        completed = getattr(found[1], "completed", None) if found else None
        return completed(call) if completed is not None else Completed(call)

    def fingerprint(self, call: ToolCall) -> str:
        """Which code would carry out this call, and under which profile; another one gives another text."""
        found = self._tools.get(call.name)
        fingerprint = getattr(found[1], "fingerprint", None) if found else None
        return str(fingerprint(call)) if fingerprint is not None else found[0].source if found else ""

    def code(self, name: str) -> str:
        """A print of the code behind a tool of a file, "" for one that is part of the program."""
        code = getattr(self._tools[name][1], "code", None) if name in self._tools else None
        return str(code(name)) if code is not None else ""

    def wrong(self, call: ToolCall) -> list[str]:
        """What does not fit in a call's arguments though it looked right, as sentences; the source knows more than the schema says."""
        wrong = getattr(self._tools[call.name][1], "wrong", None) if call.name in self._tools else None
        return list(wrong(call)) if wrong is not None else []

    def word(self, call: ToolCall) -> str:
        """What the host has to say behind a result of this call, "" for nothing."""
        word = getattr(self._tools[call.name][1], "word", None) if call.name in self._tools else None
        return str(word(call)) if word is not None else ""

    def foreign(self, name: str) -> bool:
        """Whether texts of others stand in this tool's results, whatever its effects are."""
        foreign = getattr(self._tools[name][1], "foreign", None) if name in self._tools else None
        return foreign is not None and bool(foreign(name))

    def readable(self) -> tuple[str, ...]:
        """Folders of ours that the tools and the model may read."""
        return tuple(folder for source in self._sources for folder in getattr(source, "folders", tuple)())

    def exchange(self, plugin: Any) -> bool:
        """Have the tools of a plugin's file be those that it has now, in the middle of a conversation; False where none can be others.

        Only tools that are found can be: the prompt begins with the others. What was shown of them stands, and is told anew.
        """
        for source in self._sources:
            if not _listed(source) and getattr(source, "plugins", False):
                source.exchange(plugin)  # type: ignore[attr-defined]
                self.refresh()
                return True
        return False

    def keep(self, fits: Callable[[ToolSpec], bool]) -> None:
        """Give up the tools that do not fit, for good."""
        before = self._fits
        self._fits = lambda spec: before(spec) and fits(spec)
        self._tools = {name: held for name, held in self._tools.items() if fits(held[0])}

    def release(self, call_id: str) -> None:
        """What this call's requests point to is no longer needed."""
        for source in self._sources:
            if (release := getattr(source, "release", None)) is not None:
                release(call_id)

    async def aclose(self) -> None:
        """End what the sources still have running."""
        for source in self._sources:
            if (aclose := getattr(source, "aclose", None)) is not None:
                await aclose()

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        """The call's live output and its result; an unknown name is a failed result."""
        found = self._tools.get(call.name)
        if found is None:
            known = ", ".join(spec.name for spec in self.specs())
            yield ToolResult(call.id, (Text(f"There is no tool {call.name!r}. The tools are: {known}."),), "failed")
            return
        output = found[1].call(call)
        try:
            async for item in output:
                yield item
        finally:
            close = getattr(output, "aclose", None)
            if close is not None:
                await close()


def _listed(source: ToolSource) -> bool:
    return bool(getattr(source, "listed", True))
