"""The parser all dialects share: text flows through, what may open a call is held back.

Time is linear in the text: every character is looked at once by the state it belongs to,
plus a bounded tail that waits for the rest of an opener. Calls that never end are read
again at most `_SECOND_READINGS` times.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from ...values import ToolCall
from ..base import CallOpened, Parsed, Piece, Said, Thought
from ._collect import Collector, Forms, JsonCalls
from ._shell import ShellScript
from ._xml import XmlCalls

_SECOND_READINGS = 8
_TAIL = 96
_SHELLS = ("bash", "sh", "shell", "zsh", "console")
_TAGS = ("<tool_call>", "</tool_call>", "<think>", "</think>", "<function=", "</function>")
_FENCE_TAIL = re.compile(r"[ \t]{0,16}(?:`{1,12}|~{1,12}|(?:`{3,12}|~{3,12})[^`\n]{0,48}|)$")
_OBJECT_TAIL = re.compile(r"[ \t]{0,16}[{\[][\s{]{0,48}(?:\"\w{0,12}(?:\"\s{0,4})?)?$")
_LINE = r"^[ \t]{0,16}"
_OPENERS = {
    "tag": r"<tool_call>",
    "untag": r"</tool_call>",
    "think": r"<think>",
    "unthink": r"</think>",
    "function": r"(?=<function=)",
    "shell": rf"{_LINE}```(?:{'|'.join(_SHELLS)})[ \t]*\n",
    "json": rf"{_LINE}```(?:json|tool_call|tool_code)?[ \t]*\n(?=\s{{0,40}}[{{\[])",
    "bare": rf"{_LINE}(?=[{{\[][\s{{]{{0,40}}\"(?:name|function)\"\s{{0,4}}:)",
    "fence": rf"{_LINE}(?:`{{3,12}}|~{{3,12}})[^`\n]{{0,48}}\n",
}
_BAR = re.compile(r"[ \t]*([`~])\1*")
_UNQUOTE = re.compile(r"(?P<unquote>`|(?<=\n)\n)")
State = Literal["text", "think", "fence"]


class StreamParser:
    """Implements `base.Parser` for one dialect's `Forms`.

    `thinking`: "open" where the prompt has already opened the block, "written" where the
    model opens it itself, "" where there is none. With thinking on, `Parsed.thinking` is
    never empty (at least a line break), so that the next prompt can tell how this answer
    was made. Where `Parsed.cut` is set the last call is the one that did not end, and must
    not be run; a cut call that others follow is left out.
    """

    def __init__(self, forms: Forms, *, thinking: Literal["", "open", "written"] = "") -> None:
        self._forms, self._thinking = forms, thinking
        self._state: State = "think" if thinking == "open" else "text"
        self._openers = {f"own{number}": opener for number, opener in enumerate(forms.openers)}
        tags = (*_TAGS, *forms.strays, *(start for opener in forms.openers for start in opener.starts))
        self._starts = (*tags, *(f"`{tag}" for tag in tags))
        self._quote = rf"(?<!`)`(?:{'|'.join(map(re.escape, tags))})"
        self._patterns = {state: self._pattern(state) for state in ("text", "think")}
        self._firsts = sorted({start[0] for start in self._starts})
        self._hold = "\n"  # begins with one character already read, for "^"
        self._collector: Collector | None = None
        self._announced = False
        self._said: list[str] = []
        self._thought: list[str] = []
        self._space = ""
        self._calls: list[ToolCall] = []
        self._repairs: dict[str, None] = {}
        self._cut: tuple[str, dict[str, Any]] | None = None
        self._unclosed = False
        self._again = 0
        self._in_code = False  # an odd number of backticks stands in this line
        self._pieces: list[Piece] = []

    def feed(self, text: str) -> list[Piece]:
        self._read(text, last=False)
        pieces, self._pieces = self._pieces, []
        return pieces

    def finish(self) -> Parsed:
        self._read("", last=True)
        while self._collector:
            rest = self._caught(ended=False)
            self._again += 1
            if rest and self._again <= _SECOND_READINGS:
                self._read(rest, last=True)
            elif rest:
                self._say(rest)
        thinking = "".join(self._thought)
        if self._thinking and not thinking:
            thinking = "\n"
        if self._cut:
            self._add(self._cut)
        cut, self._cut = self._cut is not None, None
        unclosed = self._unclosed and not cut
        return Parsed("".join(self._said), thinking, tuple(self._calls), tuple(self._repairs), cut, unclosed)

    # ------------------------------------------------------------ reading

    def _pattern(self, state: str) -> re.Pattern[str]:
        forms = self._forms
        own = [kind for kind, opener in self._openers.items() if state == "text" or opener.in_thinking]
        if not forms.names:
            # Without tools nothing is a call, whatever it looks like.
            kinds = ["quote", *(["think", "unthink"] if self._thinking else ()), "fence"]
            kinds = kinds if state == "text" else ["quote", "unthink"]
        elif state == "think":
            kinds = ["quote", "unthink", *own, *(["tag"] if forms.tags else ())]
        else:
            kinds = ["quote", *(["think", "unthink"] if self._thinking else ())]
            kinds += own + (["stray"] if forms.strays else [])
            kinds += ["tag", "untag"] if forms.tags else []
            kinds += ["function"] if forms.xml is not None else []
            kinds += ["shell"] if forms.shell else []
            kinds += ["json"] if forms.fences else []
            kinds += ["bare"] if forms.bare else []
            kinds += ["fence"]
        texts = _OPENERS | {kind: opener.pattern for kind, opener in self._openers.items()}
        texts |= {"quote": self._quote, "stray": "|".join(map(re.escape, forms.strays))}
        return re.compile("|".join(f"(?P<{kind}>{texts[kind]})" for kind in kinds), re.MULTILINE)

    def _read(self, text: str, *, last: bool) -> None:
        data, self._hold = self._hold + text, ""
        at = 1
        while at < len(data):
            if self._collector:
                end = self._collector.feed(data, at)
                self._announce()
                if end is None:
                    at = len(data)
                    break
                at = end
                self._caught(ended=True)
                continue
            opener = self._patterns[self._state].search(data, at)
            wait = len(data) if last else self._waiting(data, at)
            if opener and opener.start() <= wait and not self._undecided(opener, data, last):
                self._emit(data[at : opener.start()])
                at = self._open(opener, data)
                continue
            self._emit(data[at:wait])
            at = wait
            break
        self._hold = data[at - 1 :]

    def _undecided(self, opener: re.Match[str], data: str, last: bool) -> bool:
        """A bare fence line is a JSON fence or another one, or no fence at all: what follows says so."""
        if last:
            return False
        if opener.lastgroup == "unfence":
            return opener.end() == len(data)
        if opener.lastgroup != "fence" or not self._forms.fences:
            return False
        plain = opener.group().strip().strip("`") in ("", "json", "tool_call", "tool_code")
        return plain and not data[opener.end() : opener.end() + 40].strip() and len(data) - opener.end() < 40

    def _waiting(self, data: str, at: int) -> int:
        """Where the tail begins that may turn out to open something; the length without one."""
        low = max(at, len(data) - _TAIL)
        best = len(data)
        for first in self._firsts:
            mark = data.rfind(first, low)
            if mark >= 0 and any(start.startswith(data[mark:]) for start in self._starts):
                best = min(best, mark)
        for own in self._forms.openers:
            if own.held and (self._state == "text" or own.in_thinking):
                best = min(best, own.held(data, low))
        line = max(data.rfind("\n", low) + 1, low)
        starts_line = data[line - 1] == "\n"
        if starts_line and _FENCE_TAIL.match(data, line):
            best = min(best, line)
        opener = self._patterns[self._state].search(data, at)
        if opener and opener.lastgroup == "fence":
            best = min(best, opener.start())
        if self._forms.bare and self._state == "text":
            best = min(best, self._object_tail(data, low))
        return best

    def _object_tail(self, data: str, low: int) -> int:
        """A line in the tail that begins like a bare call."""
        best = len(data)
        for mark in ("{", "["):
            brace = data.find(mark, low)
            while brace >= 0:
                line = data.rfind("\n", 0, brace) + 1
                if line >= low - 16 and _OBJECT_TAIL.match(data, line) and data[line - 1 : line] == "\n":
                    best = min(best, max(line, 1))
                    break
                brace = data.find(mark, brace + 1)
        return best

    # ------------------------------------------------------------ opening and closing

    def _open(self, opener: re.Match[str], data: str) -> int:
        kind, text = opener.lastgroup, opener.group()
        at = opener.end()
        if kind == "think":
            self._state = "text" if self._said else "think"
        elif kind == "unthink":
            self._state = "text"
        elif kind in ("untag", "stray"):
            pass
        elif kind == "fence":
            self._say(text)
            self._state = "fence"
            self._patterns["fence"] = _unfence(text)
        elif kind == "quote":
            at = self._quoted(opener)
        elif kind in ("unfence", "unquote"):
            self._say(text)
            self._state, self._in_code = "text", False
        else:
            if self._state == "think":
                self._repairs["a call inside the thinking"] = None
                self._state = "text"
            self._announced = False
            self._collector = self._collect(kind or "", text)
            self._announce()
        return at

    def _quoted(self, opener: re.Match[str]) -> int:
        """A backtick right before a tag: one that opens code makes it words, one that closes code does not."""
        text = "`" if self._in_code else opener.group()
        if self._state == "text" and not self._in_code:
            self._state, self._patterns["fence"] = "fence", _UNQUOTE
        self._emit(text)
        return opener.start() + len(text)

    def _collect(self, kind: str, text: str) -> Collector:
        forms = self._forms
        if kind in self._openers:
            return self._openers[kind].make(text)
        if kind == "shell" and forms.shell:
            return ShellScript(*forms.shell)
        if kind in ("tag", "function") and forms.xml is not None:
            return XmlCalls(forms.xml, tagged=kind == "tag", names=forms.names)
        if kind == "tag":
            return JsonCalls(text, "</tool_call>", forms.names, any_name=True)
        return JsonCalls(text, "```" if kind == "json" else "", forms.names, any_name=False)

    def _announce(self) -> None:
        if self._collector and self._collector.opened and not self._announced:
            self._announced = True
            self._space = ""
            self._pieces.append(CallOpened(self._collector.opened))

    def _caught(self, *, ended: bool) -> str:
        """Take over what the collector has; the text to be read again."""
        collector, self._collector = self._collector, None
        if collector is None:
            return ""
        caught = collector.close(ended=ended)
        for call in caught.calls:
            self._add(call)
        self._repairs.update(dict.fromkeys(caught.repairs))
        if caught.calls or caught.cut:
            self._cut, self._unclosed = caught.cut, caught.unclosed
        if caught.cut:
            self._repairs[f"the call of {caught.cut[0]} was cut"] = None
        if caught.calls or caught.cut:
            self._space = ""
        self._say(caught.text)
        return caught.rest

    def _add(self, call: tuple[str, dict[str, Any]]) -> None:
        self._calls.append(ToolCall(f"call_{len(self._calls) + 1}", *call))

    def _emit(self, text: str) -> None:
        line = text.rpartition("\n")
        self._in_code = bool((line[2].count("`") + (self._in_code and not line[1])) % 2)
        if self._state != "think":
            self._say(text)
        elif text:
            self._thought.append(text)
            self._pieces.append(Thought(text))

    def _say(self, text: str) -> None:
        """White space waits for more text: before a call and at the end it is not shown."""
        text = self._space + text
        body = text.rstrip()
        if not self._said:
            body = body.lstrip()
        if not body:
            self._space = text if self._said else ""
            return
        self._space = text[len(text.rstrip()) :]
        self._said.append(body)
        self._pieces.append(Said(body))


def _unfence(fence: str) -> re.Pattern[str]:
    """What ends a fence: a line of its own sign, at least as long, so that others may stand inside."""
    bar = _BAR.match(fence)
    sign, length = (bar[1], len(bar[0].strip())) if bar else ("`", 3)
    return re.compile(rf"(?P<unfence>{_LINE}{sign}{{{length},}}[ \t]*(?=\n|\Z))", re.MULTILINE)
