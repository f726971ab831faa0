"""A shell fence as one call: the script from the opening fence to the closing one."""

from __future__ import annotations

import re

from ._collect import Caught

_CLOSER = re.compile(r"[ \t]*```[ \t]*$")
_HEREDOC = re.compile(r"<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1")


class ShellScript:
    """Fences inside a here-document belong to the script, as long as that document ends."""

    def __init__(self, tool: str, parameter: str) -> None:
        self.opened = tool
        self._parameter = parameter
        self._lines: list[str] = []
        self._part: list[str] = []
        self._document = ""
        self._fence: int | None = None

    def feed(self, data: str, at: int) -> int | None:
        while at < len(data):
            stop = data.find("\n", at)
            if stop < 0:
                self._part.append(data[at:])
                return None
            line, self._part = "".join([*self._part, data[at:stop]]), []
            if self._ends(line):
                return stop
            self._lines.append(line)
            at = stop + 1
        return None

    def _ends(self, line: str) -> bool:
        if self._document:
            if _CLOSER.match(line) and self._fence is None:
                self._fence = len(self._lines)
            if line.strip() == self._document:
                self._document, self._fence = "", None
            return False
        if _CLOSER.match(line):
            return True
        mark = _HEREDOC.search(line)
        self._document = mark.group(2) if mark else ""
        return False

    def close(self, *, ended: bool) -> Caught:
        lines, rest, cut = self._lines, "", False
        last = "".join(self._part)
        if not ended:
            if self._ends(last):
                pass
            elif self._fence is not None:
                rest = "\n".join([*lines[self._fence + 1 :], last])
                lines = lines[: self._fence]
            else:
                cut = True
        script = "\n".join(lines).strip("\n")
        if cut:
            return Caught([], cut=(self.opened, {self._parameter: f"{script}\n{last}".strip("\n")}))
        if not script.strip():
            return Caught([], rest=rest)
        return Caught([(self.opened, {self._parameter: script})], rest=rest)
