"""The words of a shell script, exactly as bash would cut them; what is not surely read so is unreadable.

A backslash before a line break is read only between words: within one it may join two
characters to an operator or an expansion.
"""

from __future__ import annotations

import re

from .shell_tree import Command, Opaque, Unreadable, Word, hidden

_DEEPEST = 30
BREAKS = frozenset(" \t\n;|&()<>")
_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+=^-]+")
_NAME = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])")
_PARAMETER = re.compile(
    r"\$\{(?:#?(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?])"
    r"|(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*])"
    r"(?::?[-+?]|##?|%%?|//?|\^\^?|,,?|(?=:[0-9]+(?::[0-9]+)?\}))[\w./:,@%+= *?#^-]*)\}",
    re.ASCII,
)
_NUMBERS = re.compile(r"\$\(\(([0-9\s+*/%<>=!&|^~?:-]*)\)\)")
_ARITHMETIC = re.compile(r"\$\(\(([\w\s+*/%<>=!&|^~?:,$-]*)\)\)", re.ASCII)
_ANSI = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ANSI_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_ANSI_LETTERS = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"', "?": "?"}


class Scanner:
    """A position in a text, up to `stop`. What commands substitutions hold is for `inside`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.stop = len(text)
        self.depth = self.substituted = 0
        self._spread = False
        self.commands: list[Command] = []
        self.opaque: list[Opaque] = []
        self.read: list[Word] = []

    def inside(self, closing: str) -> int:
        """Read commands up to the closing character, which stays; returns how many."""
        raise NotImplementedError

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.text[at] if at < self.stop else ""

    def starts(self, what: str) -> bool:
        return self.text.startswith(what, self.at, self.stop)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Unreadable("it is nested too deeply")

    def blanks(self) -> None:
        """Skip spaces, tabs and line breaks behind a backslash."""
        while self.peek() in (" ", "\t") or (self.peek() == "\\" and self.peek(1) == "\n"):
            self.at += 2 if self.peek() == "\\" else 1

    def word(self) -> Word:
        """One word from here on; the caller has seen that one begins."""
        start = self.at
        out: list[str] = []
        known, splits, braces = True, False, False
        outer, self._spread = self._spread, False
        while self.at < self.stop:
            plain = _PLAIN.match(self.text, self.at, self.stop)
            if plain:
                out.append(plain.group())
                self.at = plain.end()
                continue
            char = self.text[self.at]
            if char in "<>" and self.peek(1) == "(":
                self._process(start, out)
                known = False
            elif char in BREAKS:
                break
            elif char == "'":
                out.append(self._single())
            elif char == '"':
                known = self._double(out) and known
            elif char == "\\":
                out.append(self._escaped())
            elif char in "$`":
                fixed = self.dollar(out, quoted=False) if char == "$" else self._backtick(out)
                known, splits = known and fixed, splits or not fixed
            else:
                known = known and char not in "*?[~"
                braces = braces or char == "{"
                out.append(char)
                self.at += 1
        if braces and self.text[start : self.at] not in ("{}", "{"):
            known, splits = False, True
        known = known or self.text[start : self.at] == "["
        splits, self._spread = splits or self._spread, outer
        self.read.append(Word("".join(out), start, self.at, known, splits))
        return self.read[-1]

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1, self.stop)
        if end < 0:
            raise Unreadable("a quote is not closed")
        value, self.at = self.text[self.at + 1 : end], end + 1
        return value

    def _escaped(self) -> str:
        char = self.peek(1)
        if char in ("", "\n"):
            raise Unreadable("a line is continued within a word")
        self.at += 2
        return char

    def _double(self, out: list[str]) -> bool:
        """The text in double quotes; False where something is expanded in it."""
        self.at += 1
        known = True
        while True:
            char = self.peek()
            if char == "":
                raise Unreadable("a quote is not closed")
            if char == '"':
                self.at += 1
                return known
            known = self.quoted(char, out, '"\\$`') and known

    def quoted(self, char: str, out: list[str], escapable: str) -> bool:
        """One piece of quoted text in which expansions are made; False for one of them."""
        if char == "\\":
            following = self.peek(1)
            if following == "\n":
                raise Unreadable("a line is continued within quotes")
            out.append(following if following and following in escapable else char + following)
            self.at += 2 if following else 1
            return True
        if char == "$":
            return self.dollar(out, quoted=True)
        if char == "`":
            return self._backtick(out)
        out.append(char)
        self.at += 1
        return True

    def dollar(self, out: list[str], quoted: bool) -> bool:
        """What begins with `$`; True where its value is known."""
        start, following = self.at, self.peek(1)
        if following == "'" and not quoted:
            return self._ansi(out)
        if self.starts("$(("):
            self._arithmetic()
        elif following == "(":
            self.at += 2
            self._substitution(")")
        elif following == "{":
            match = _PARAMETER.match(self.text, self.at, self.stop)
            if not match:
                raise Unreadable("it uses an expansion that is not simple")
            self.at = match.end()
        elif following == "[" or (following == '"' and not quoted):
            raise Unreadable("it uses an expansion that is not simple")
        elif match := _NAME.match(self.text, self.at, self.stop):
            self.at = match.end()
        else:
            out.append("$")
            self.at += 1
            return True
        out.append(self.text[start : self.at])
        # In quotes, too, these are as many words as there are.
        self._spread = self._spread or self.text.startswith(("$@", "${@"), start)
        return False

    def _ansi(self, out: list[str]) -> bool:
        """`$'…'`: its value where only plain escapes stand in it."""
        match = _ANSI.match(self.text, self.at, self.stop)
        if not match:
            raise Unreadable("a quote is not closed")
        self.at = match.end()
        known = True

        def decoded(escape: re.Match[str]) -> str:
            nonlocal known
            what = escape[1]
            if what in _ANSI_LETTERS:
                return _ANSI_LETTERS[what]
            if what[0] == "x" and len(what) > 1:
                number = int(what[1:], 16)
            elif what[0] in "01234567":
                number = int(what, 8)
            else:
                number = 0
            if not 0 < number < 128:
                known = False
                return escape[0]
            return chr(number)

        out.append(_ANSI_ESCAPE.sub(decoded, match[1]))
        return known

    def _arithmetic(self) -> None:
        numbers = _NUMBERS.match(self.text, self.at, self.stop)
        match = numbers or _ARITHMETIC.match(self.text, self.at, self.stop)
        if not match:
            raise Unreadable("it calculates in a way that is not simple")
        if not numbers:
            # A variable's value is evaluated again, and `a[$(…)]` in it would run.
            self.opaque.append(Opaque("it calculates with variables", self.at, match.end()))
        self.at = match.end()

    def _substitution(self, closing: str) -> None:
        self.deeper()
        self.substituted += 1
        self.inside(closing)
        if self.peek() != closing:
            raise Unreadable("a substitution is not closed")
        self.at += 1
        self.substituted -= 1
        self.depth -= 1

    def _process(self, start: int, out: list[str]) -> None:
        if self.at != start:
            raise Unreadable("a process substitution stands within a word")
        self.at += 2
        self._substitution(")")
        out.append(self.text[start : self.at])

    def _backtick(self, out: list[str]) -> bool:
        start = self.at
        end = self.text.find("`", start + 1, self.stop)
        if end < 0 or "\\" in self.text[start:end]:
            raise Unreadable("it uses ` in a way that is not simple")
        outer, self.stop = self.stop, end
        self.at += 1
        self.deeper()
        self.inside("")
        if self.at != end:
            raise Unreadable("a command in ` ` is not closed")
        self.depth -= 1
        self.stop, self.at = outer, end + 1
        out.append(self.text[start : end + 1])
        return False


def unseen(text: str) -> bool:
    """Whether the text holds characters that cannot be seen; tabs and line feeds may stand in it."""
    return any(hidden(char) for char in set(text) - {"\n", "\t"})
