"""`localagent` as it is with the published tools of a set connected beside its own: what `desk.py` measures as its agent.

    python bench/connected.py [--tools 50] -- do --yes --model starter "..."
    python bench/desk.py --connected 50

The tools can be found and offered like those of servers; a call of one answers that it is not here.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import search

from localagent import cli, wiring
from localagent.agent.offering import Offering
from localagent.toolbox.meaning import Meanings
from localagent.toolbox.registry import Registry
from localagent.values import Text, ToolCall, ToolResult, ToolSpec


class Connected:
    """A `ToolSource` of servers that do nothing."""

    listed = False

    def __init__(self, count: int) -> None:
        # Names are unique in a session, and those of ours are taken.
        self._specs = list({spec.name: spec for spec in reversed(search.tools(count))}.values())[::-1]

    def specs(self) -> list[ToolSpec]:
        return self._specs

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        yield ToolResult(call.id, (Text("That service is not here."),), "failed")


def main() -> None:
    args = sys.argv[1:]
    count = 50
    if args[:1] == ["--tools"]:
        count, args = int(args[1]), args[2:]
    ours = wiring.registry

    async def registry(*given: Any, **named: Any) -> Registry:
        made = await ours(*given, **named)
        made.add(Connected(count))
        if not any(isinstance(source, Offering) for source in made.sources):
            made.add(Offering(made, Meanings()))
        return made

    wiring.registry = registry
    sys.argv = ["localagent", *(args[1:] if args[:1] == ["--"] else args)]
    cli.program()


if __name__ == "__main__":
    main()
