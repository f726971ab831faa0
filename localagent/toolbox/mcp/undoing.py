"""What a server changes in the workspace during a call, as a step that can be undone: from a copy of before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import LocalAgentError, StoreError
from ...sandbox import linux, stage
from ...sandbox.difference import look
from ...store.adopt import Before
from ...store.journal import Journal, Step
from ...store.secrets import startup_paths
from ...values import Receipt, ToolCall

_RECORDED = 200


@dataclass(slots=True)
class Kept:
    """`step` is set behind the block where anything was changed; `warning` says what cannot be undone, "" where all can."""

    step: Step | None = None
    warning: str = ""

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        changes = self.step.changes if self.step is not None else ()
        return tuple(
            Receipt("changed", {"op": one.kind, "path": one.path} | ({"dest": one.dest} if one.dest else {})) for one in changes[:_RECORDED]
        )


class Undoing:
    """Steps of one session in the journal. `record` hears what was changed."""

    def __init__(
        self, journal: Journal, session: str, workspace: Path, scratch: Path, record: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        self._journal = journal
        self._session = session
        self._workspace = Path(os.path.realpath(workspace))
        self._scratch = scratch
        self._record = record
        self._budget = stage.StageBudget(overlaid=False)

    @asynccontextmanager
    async def around(self, call: ToolCall, closed: Sequence[str]) -> AsyncIterator[Kept]:
        """The block in which the server may write. Raises StoreError where that cannot be: then it is not to be called."""
        if place := self._starts_programs():
            told = f"{self._workspace} may hold {place}, which starts programs by itself, so no server may write there directly."
            raise StoreError(told, "Choose a folder inside it with --cwd.")
        kept = Kept()
        async with AsyncExitStack() as stack:
            view = None
            try:
                view = await stack.enter_async_context(stage.open(self._workspace, self._scratch, self._budget, closed))
            except stage.TooLarge as error:
                kept.warning = f"What it changes cannot be undone: {error.message}"
            after = max((step.number for step in self._journal.steps(1)), default=0)
            try:
                yield kept
            finally:
                if view is not None:
                    await asyncio.shield(asyncio.to_thread(self._adopt, call, view, after, kept))

    def _adopt(self, call: ToolCall, view: stage.View, after: int, kept: Kept) -> None:
        root = str(self._workspace)
        untouched = set()
        for path, seen in view.original.items():
            try:
                if look(os.path.join(root, path)) == seen:
                    untouched.add(path)
            except OSError:
                continue
        others = [path for step in self._journal.steps(1000) if step.number > after for path in _paths(step)]
        skipped = (*view.left_out, *view.closed, *(os.path.relpath(os.path.realpath(path), root) for path in others))
        label = f"{call.name} {next((str(value) for value in call.args.values()), '')}".splitlines()[0][:100]
        try:
            before = Before(root, str(view.path), frozenset(untouched), skipped)
            kept.step = self._journal.adopt(before, session=self._session, call=call.id, label=label)
            if kept.step is not None:
                facts = {"session": self._session, "call": call.id, "tool": call.name, "step": kept.step.number}
                changes = [dict(one.data) for one in kept.receipts]
                self._record("changed", {**facts, "files": len(kept.step.changes), "changes": changes})
        except (LocalAgentError, OSError) as error:
            kept.warning = f"What it changed cannot be undone: {error}"

    def _starts_programs(self) -> str:
        work = str(self._workspace)
        places = startup_paths(os.path.realpath(os.path.expanduser("~")))
        return next((place for place in places if linux.under(place, [work]) or linux.under(work, [place])), "")


def _paths(step: Step) -> list[str]:
    return [path for change in step.changes for path in (change.path, change.dest) if path]
