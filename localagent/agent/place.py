"""What the host tells of the place with the person's words: what lies in the folder, and what the words name there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..policy import decide, marks
from ..policy.decide import Context
from ..policy.marks import Marks
from ..values import ToolCall, ToolSpec
from . import context, mentions


@dataclass(frozen=True, slots=True)
class Place:
    """`rules` are those that hold now, `mask` hides secrets, `letters` tells of the messages that some words name."""

    workspace: Path
    rules: Callable[[], Context]
    mask: Callable[[str], str]
    letters: Callable[[str], str] = lambda goal: ""

    def told(self, goal: str, piped: str) -> tuple[str, list[Path]]:
        """What lies in the folder and what the goal names there, as far as it may be read unasked; and the files that it shows."""
        listed = context.listing(self.workspace) if self._may_read()(self.workspace) else ""
        seen, files = self.named(goal)
        return context.surroundings(listed, "\n".join(filter(None, (seen, self.letters(goal)))), piped), files

    def named(self, goal: str) -> tuple[str, list[Path]]:
        """What the goal names, and the files among it."""
        may_read, files = self._may_read(), list[Path]()

        def look_at(path: Path) -> bool:
            if may_read(path):
                files.append(path)
            return path in files

        return mentions.told(goal, self.workspace, look_at, self.mask), files

    def _may_read(self) -> Callable[[Path], bool]:
        looking = ToolSpec(
            "read_file", "", {"type": "object", "properties": {"path": {"type": "string"}}}, ("read:fs",)
        )
        rules_now = self.rules()

        def may_read(path: Path) -> bool:
            call = ToolCall("", looking.name, {"path": str(path)})
            return decide.before(call, looking, rules_now).verdict == "allow"

        return may_read


def seen(place: str) -> Marks:
    """Names and first lines of files, and what was piped in, are text that others may have written."""
    if place in ("", context.EMPTY):
        return Marks()
    return Marks(untrusted=True, private=bool(context.without_listing(place)), speaks=marks.speaks(place))
