"""A lenient reader for the JSON that models write.

`read` returns the value that starts at a position, with what was mended. `Scanner` finds
where such a value ends while its text is still arriving. Both take linear time and never
raise, whatever the text.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import Any

_SPACE = re.compile(r"\s*")
_PLAIN = {'"': re.compile(r'[^"\\\x00-\x1f]*'), "'": re.compile(r"[^'\\\x00-\x1f]*")}
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[A-Za-z_$][\w$.-]*")
_BARE = re.compile(r"[^,:{}\[\]\n\"'`<]+")
_NEXT_KEY = re.compile(r'"\w[\w -]{0,63}"\s{0,8}:')
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_FOREIGN_WORDS: dict[str, Any] = {
    "True": True, "False": False, "None": None, "undefined": None, "NaN": None, "Infinity": None,
}  # fmt: skip
_MAX_DIGITS = 400
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Read:
    """A value, what was mended, and `end`, the position behind it.

    `cut`: the text stopped inside a string, a number or before a value, so some of it is lost.
    Brackets alone that were never closed are a repair.
    """

    value: Any
    repairs: tuple[str, ...]
    cut: bool
    end: int


def read(text: str, start: int = 0) -> Read | None:
    """Read the value at `start`, behind white space; None where no value starts there."""
    start = _SPACE.match(text, start).end()  # type: ignore[union-attr]
    try:
        value, end = _STRICT.raw_decode(text, start)
        if not _SURROGATE.search(text, start, end):
            return Read(value, (), False, end)
    except (ValueError, RecursionError):
        pass
    return _Reader(text, start).read()


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    return value if abs(value) < float("inf") else _refuse(text)


_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


class _Reader:
    """One reading, with an own stack: depth costs memory, never the interpreter's stack."""

    def __init__(self, text: str, start: int) -> None:
        self.text, self.at = text, start
        self.repairs: dict[str, None] = {}
        self.cut = False
        self.open_end = False
        self.stack: list[Any] = []
        self.keys: list[str] = []
        self.root: Any = None

    def read(self) -> Read | None:
        state = self._value()
        if state == "none":
            return None
        while state != "end":
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at >= len(self.text):
                state = self._ended(state)
            elif state == "value":
                state = self._value()
            elif state == "key":
                state = self._key()
            else:
                state = self._after()
        return Read(self.root, tuple(self.repairs), self.cut, self.at)

    def _mend(self, what: str) -> None:
        self.repairs[what] = None

    def _ended(self, state: str) -> str:
        if state != "after" or self.cut or self.open_end:
            return self._stop()
        self._mend("missing bracket")
        return "end"

    def _stop(self) -> str:
        self.cut = True
        self._mend("ended early")
        return "end"

    def _put(self, value: Any) -> None:
        if not self.stack:
            self.root = value
        elif isinstance(self.stack[-1], list):
            self.stack[-1].append(value)
        else:
            self.stack[-1][self.keys[-1]] = value

    def _open(self, value: Any) -> str:
        self._put(value)
        if len(self.stack) >= _MAX_DEPTH:
            return self._stop()
        self.stack.append(value)
        self.keys.append("")
        self.at += 1
        return "key" if isinstance(value, dict) else "value"

    def _close(self) -> str:
        self.at += 1
        self.stack.pop()
        self.keys.pop()
        return "after" if self.stack else "end"

    def _done(self, value: Any) -> str:
        self._put(value)
        return "after" if self.stack else "end"

    def _value(self) -> str:
        char = self.text[self.at : self.at + 1]
        if char == "{":
            return self._open({})
        if char == "[":
            return self._open([])
        if char in ('"', "'") and char:
            return self._done(self._string(char))
        number = _NUMBER.match(self.text, self.at)
        if number and not _WORD.match(self.text, number.end()):
            self.at = number.end()
            self.open_end = self.at >= len(self.text)
            value = _number(number.group())
            if abs(value) == sys.float_info.max:
                self._mend("a number too large")
            return self._done(value)
        if not self.stack:
            return self._top_word()
        if char == "]" and isinstance(self.stack[-1], list):
            if self.stack[-1]:
                self._mend("trailing comma")
            return self._close()
        if char in (",", "}", "]"):
            self._mend("missing value")
            self._put(None)
            return "after"
        return self._bare()

    def _top_word(self) -> str:
        word = _WORD.match(self.text, self.at)
        if word and word.group() in _WORDS | _FOREIGN_WORDS:
            return self._bare()
        return "none"

    def _bare(self) -> str:
        """A word without quotes: a literal, also Python's, or a string that lost them."""
        word = _WORD.match(self.text, self.at)
        if word and word.group() in _WORDS:
            self.at = word.end()
            return self._done(_WORDS[word.group()])
        if word and word.group() in _FOREIGN_WORDS:
            self._mend(f"{word.group()} is not JSON")
            self.at = word.end()
            return self._done(_FOREIGN_WORDS[word.group()])
        bare = _BARE.match(self.text, self.at)
        if not bare:
            return self._stop()
        self._mend("string without quotes")
        self.at = bare.end()
        self.open_end = self.at >= len(self.text)
        return self._done(_clean(bare.group().strip()))

    def _key(self) -> str:
        char = self.text[self.at]
        if char == "}":
            if self.stack[-1]:
                self._mend("trailing comma")
            return self._close()
        if char in ('"', "'"):
            key = self._string(char)
        elif bare := _WORD.match(self.text, self.at):
            self._mend("key without quotes")
            key, self.at = bare.group(), bare.end()
        else:
            return self._stop()
        self.keys[-1] = key
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
        if self.text[self.at : self.at + 1] != ":":
            return self._stop()
        self.at += 1
        return "value"

    def _after(self) -> str:
        char, inside_list = self.text[self.at], isinstance(self.stack[-1], list)
        if char == ",":
            self.at += 1
            return "value" if inside_list else "key"
        if char == ("]" if inside_list else "}"):
            return self._close()
        if char in "]}":
            if len(self.stack) == 1:
                return self._stop()
            self._mend("missing bracket")
            self.at -= 1  # this bracket closes the container around
            return self._close()
        if char in "\"'{[" or _WORD.match(char):
            self._mend("missing comma")
            return "value" if inside_list else "key"
        return self._stop()

    def _string(self, quote: str) -> str:
        if quote == "'":
            self._mend("single quotes")
        text, parts = self.text, []
        self.at += 1
        while True:
            plain = _PLAIN[quote].match(text, self.at)
            assert plain is not None
            parts.append(plain.group())
            self.at = plain.end()
            char = text[self.at : self.at + 1]
            if not char:
                self.cut = True
                self._mend("ended early")
                break
            if char == "\\":
                parts.append(self._escape())
            elif char != quote:
                self._mend("raw control character in a string")
                parts.append(char)
                self.at += 1
            elif self._closes():
                self.at += 1
                break
            else:
                self._mend("unescaped quote in a string")
                parts.append(char)
                self.at += 1
        return _clean("".join(parts))

    def _closes(self) -> bool:
        """Whether the quote here ends its string: what follows says so."""
        space = _SPACE.match(self.text, self.at + 1)
        assert space is not None
        follow = self.text[space.end() : space.end() + 1]
        if follow == '"' and isinstance(self.stack[-1:] and self.stack[-1], dict):
            return bool(_NEXT_KEY.match(self.text, space.end()))
        return not self.stack or follow in ("", ",", ":", "}", "]", "`", "<") or "\n" in space.group()

    def _escape(self) -> str:
        char = self.text[self.at + 1 : self.at + 2]
        if char == "u" and (digits := _HEX4.match(self.text, self.at + 2)):
            self.at = digits.end()
            return chr(int(digits.group(), 16))
        if char in _ESCAPES and char:
            self.at += 2
            return _ESCAPES[char]
        self._mend("backslash without meaning")
        self.at += 1
        return "\\"


def _number(text: str) -> int | float:
    if re.fullmatch(r"[-+]?\d+", text) and len(text) < _MAX_DIGITS:
        return int(text)
    value = float(text)
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def _clean(text: str) -> str:
    """Join surrogate pairs; a lone half becomes U+FFFD, so that the text can always be encoded."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


_OUTSIDE = re.compile(r"[{}\[\],:\"'`<\S]")
_INSIDE = {'"': re.compile(r'["\\]'), "'": re.compile(r"['\\]")}


class Scanner:
    """Finds the end of one object or list that arrives in pieces."""

    def __init__(self) -> None:
        self.depth = 0
        self.broken = False
        self._quote = ""
        self._skip = False
        self._opens = True

    @property
    def in_string(self) -> bool:
        return bool(self._quote)

    def feed(self, text: str, start: int = 0) -> int | None:
        """The position behind the value, or None while it goes on.

        Where "`" or "<" stands outside a string the value cannot go on: its position is
        returned and `broken` is set.
        """
        at = start
        while at < len(text):
            if self._skip:
                self._skip, at = False, at + 1
                continue
            found = (_INSIDE[self._quote] if self._quote else _OUTSIDE).search(text, at)
            if not found:
                return None
            at, char = found.end(), found.group()
            if self._quote:
                if char == "\\":
                    self._skip = True
                else:
                    self._quote, self._opens = "", False
                continue
            if char in "`<":
                self.broken = True
                return found.start()
            if char in "{[":
                self.depth += 1
            elif char in "}]":
                self.depth -= 1
                if self.depth <= 0:
                    return at
            elif char == '"' or (char == "'" and self._opens):
                self._quote = char
            self._opens = char in "{[,:"
        return None
