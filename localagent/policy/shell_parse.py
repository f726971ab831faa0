"""A strict reader of shell scripts: every simple command in them, or the reason why they are not read.

It knows lists, pipelines, subshells, groups, branches, loops, functions, redirections,
here-documents and the common expansions. It accepts less than bash and never more: whatever
it is not sure to cut as bash would is unreadable, and what is unreadable is asked about.
Chains are read in loops, so their length does not matter; nesting is bounded.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from .shell_scan import BREAKS, Scanner, unseen
from .shell_tree import Command, Opaque, Redirect, Script, Unreadable, Word

LONGEST = 32 * 1024
RESERVED = frozenset(
    "if then else elif fi do done case esac while until for select in function time coproc [[ ]] { } !".split()
)
_REDIRECT = re.compile(r"(?:[0-9]{0,2}(<<<|<<-|<<|<>|<&|>&|>>|>\||<|>)|(&>>|&>))")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?=[\s;])")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DELIMITER = re.compile(
    r"""(?:'([A-Za-z0-9_.]+)'|"([A-Za-z0-9_.]+)"|\\([A-Za-z0-9_.]+)|([A-Za-z0-9_.]+))(?=[\s;|&()<>]|\Z)"""
)
_KEYWORD = re.compile(r"[a-zA-Z!{}\[\]]+(?=[\s;|&()<>]|\Z)")
_CASE_ENDS = (";;&", ";;", ";&")
# In `[[ ]]` these evaluate what a variable holds, or read their right side by rules of their own.
_EVALUATING = frozenset("-eq -ne -lt -le -gt -ge -v -R =~".split())


@lru_cache(maxsize=32)
def parse(text: str) -> Script | str:
    """Every command of the script, or why it is not read completely."""
    if len(text) > LONGEST:
        return "it is longer than 32 KiB"
    if unseen(text):
        return "it holds a control or invisible character"
    parser = _Parser(text)
    try:
        parser.script()
    except Unreadable as reason:
        return str(reason)
    return Script(tuple(map(parser.complete, parser.commands)), tuple(parser.opaque), tuple(parser.read))


class _Parser(Scanner):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._waiting: list[tuple[str, bool, bool, int]] = []
        self._found: dict[int, str] = {}

    def script(self) -> None:
        if not self._list(()):
            raise Unreadable("it is empty")
        if self.at < self.stop:
            raise Unreadable(f"it has {self.peek()!r} where a command should begin")
        self._settled()

    def complete(self, command: Command) -> Command:
        """The command with its here-documents, which were read after it."""
        if not any(redirect.target is None for redirect in command.redirects):
            return command
        redirects = tuple(replace(r, body=self._found.get(r.start, "")) for r in command.redirects)
        return replace(command, redirects=redirects)

    def inside(self, closing: str) -> int:
        self._settled()
        count = self._list((closing,) if closing else ())
        self._settled()
        return count

    def _settled(self) -> None:
        if self._waiting:
            raise Unreadable("a here-document does not follow its line")

    # --- lists and pipelines ------------------------------------------------------------------

    def _list(self, ends: tuple[str, ...]) -> int:
        """Pipelines up to one of these ends, which stays; how many."""
        count = 0
        while True:
            self._lines()
            if self._at_end(ends):
                return count
            self._pipeline()
            count += 1
            self.blanks()
            if self.starts("&&") or self.starts("||"):
                self.at += 2
                self._lines()
                if self._at_end(ends):
                    raise Unreadable("a command is missing")
            elif self.peek() == "\n" or self.peek() == "#":
                pass
            elif self.peek() in (";", "&") and not any(self.starts(end) for end in _CASE_ENDS):
                self.at += 1
            elif self._at_end(ends):
                return count
            else:
                raise Unreadable(f"it has {self.peek()!r} where it cannot be")

    def _at_end(self, ends: tuple[str, ...]) -> bool:
        if self.at >= self.stop:
            if ends:
                raise Unreadable(f"{ends[-1]!r} is missing")
            return True
        if not ends:
            return False
        word = self._keyword()
        return any(word == end if end.isalpha() or end == "}" else self.starts(end) for end in ends)

    def _keyword(self) -> str:
        match = _KEYWORD.match(self.text, self.at, self.stop)
        return match.group() if match else ""

    def _lines(self) -> None:
        """Skip blanks, comments and line breaks; read the here-documents that wait for a line break."""
        while True:
            self.blanks()
            if self.peek() == "#":
                end = self.text.find("\n", self.at, self.stop)
                self.at = self.stop if end < 0 else end
            if self.peek() != "\n":
                return
            self.at += 1
            self._bodies()

    def _pipeline(self) -> None:
        while self._keyword() in ("!", "time"):
            self.at += len(self._keyword())
            self.blanks()
            if self.peek() in ("-", "", "\n", ";"):
                raise Unreadable("it uses the shell's own 'time' or '!' in a way that is not simple")
        self._command()
        while True:
            self.blanks()
            if self.peek() != "|" or self.peek(1) == "|":
                return
            self.at += 2 if self.peek(1) == "&" else 1
            self._lines()
            self._command()

    # --- compound commands --------------------------------------------------------------------

    def _command(self) -> None:
        self.blanks()
        word = self._keyword()
        if self.peek() == "(":
            if self.peek(1) == "(":
                raise Unreadable("it calculates in a way that is not simple")
            self._group(")")
        elif word == "{":
            self._group("}")
        elif word in ("if", "while", "until", "for", "case", "[["):
            self.at += len(word)
            self.deeper()
            {"if": self._if, "for": self._for, "case": self._case, "[[": self._test}.get(word, self._loop)()
            self.depth -= 1
        elif word == "function":
            self.at += len(word)
            self.blanks()
            name = self.word()
            self._function(name)
            return
        elif word in RESERVED:
            raise Unreadable(f"it has the shell's own word {word!r} where it cannot be")
        else:
            self._simple()
            return
        self._behind()

    def _behind(self) -> None:
        """The redirections of a compound command."""
        start, found = self.at, self._redirects()
        if found:
            self.commands.append(Command((), (), tuple(found), start, self.at))

    def _group(self, closing: str) -> None:
        self.at += 1
        if closing == "}" and self.peek() not in (" ", "\t", "\n"):
            raise Unreadable("it groups commands in a way that is not simple")
        self.deeper()
        if not self._list((closing,)):
            raise Unreadable("a command is missing")
        self.at += 1
        self.depth -= 1

    def _body(self, *ends: str) -> str:
        """Commands up to one of these words, which is taken and returned."""
        if not self._list(ends):
            raise Unreadable("a command is missing")
        word = self._keyword()
        self.at += len(word)
        return word

    def _if(self) -> None:
        self._body("then")
        while (word := self._body("elif", "else", "fi")) != "fi":
            self._body("then" if word == "elif" else "fi")
            if word == "else":
                return

    def _loop(self) -> None:
        self._body("do")
        self._body("done")

    def _for(self) -> None:
        self.blanks()
        name = _NAME.match(self.text, self.at, self.stop)
        if not name:
            raise Unreadable("it loops in a way that is not simple")
        self.opaque += _overwrites(name.group(), self.at, name.end())
        self.at = name.end()
        self._lines()
        if self._keyword() == "in":
            self.at += 2
            self.blanks()
            while self.peek() not in (";", "\n", ""):
                self._plain_word()
                self.blanks()
        if self.peek() == ";":
            self.at += 1
        self._lines()
        if self._keyword() != "do":
            raise Unreadable("it loops in a way that is not simple")
        self.at += 2
        self._body("done")

    def _case(self) -> None:
        self.blanks()
        self._plain_word()
        self._lines()
        if self._keyword() != "in":
            raise Unreadable("it chooses in a way that is not simple")
        self.at += 2
        self._lines()
        while self._keyword() != "esac":
            if self.peek() == "(":
                self.at += 1
                self.blanks()
            self._plain_word()
            self.blanks()
            while self.peek() == "|":
                self.at += 1
                self.blanks()
                self._plain_word()
                self.blanks()
            if self.peek() != ")":
                raise Unreadable("it chooses in a way that is not simple")
            self.at += 1
            self._list((*_CASE_ENDS, "esac"))
            ending = next((end for end in _CASE_ENDS if self.starts(end)), "")
            self.at += len(ending)
            self._lines()
        self.at += 4

    def _test(self) -> None:
        while True:
            self.blanks()
            if self.starts("&&") or self.starts("||"):
                self.at += 2
                continue
            word = self._plain_word()
            raw = self.text[word.start : word.end]
            if raw == "]]":
                return
            if raw in _EVALUATING:
                raise Unreadable("it tests in a way that is not simple")

    def _plain_word(self) -> Word:
        start = self.at
        if self.peek() == "#":
            raise Unreadable("a word is missing")
        word = self.word()
        if self.at == start:
            raise Unreadable(f"it has {self.peek()!r} where a word should be")
        return word

    # --- simple commands ----------------------------------------------------------------------

    def _simple(self) -> None:
        start = self.at
        words: list[Word] = []
        sets: list[Word] = []
        redirects: list[Redirect] = []
        last = start
        while True:
            found = self._redirects()
            if found:
                redirects += found
                last = found[-1].end
            char = self.peek()
            if char == "(" and len(words) == 1 and not (sets or redirects):
                self._function(words[0])
                return
            if char in ("", "#") or (char in BREAKS and not (char in "<>" and self.peek(1) == "(")):
                break
            assigns = not words and _ASSIGNMENT.match(self.text, self.at, self.stop)
            word = self.word()
            raw, last = self.text[word.start : word.end], word.end
            if self.peek() == "(" and (words or sets or redirects or assigns):
                raise Unreadable("it uses '(' in a way that is not simple")
            if self.peek() in ("<", ">") and (raw[0] in "{" or raw.isdigit()):
                raise Unreadable("it redirects in a way that is not simple")
            (sets if assigns else words).append(word)
        if words and (words[0].text in RESERVED or "" in (words[0].text, self.text[words[0].start : words[0].end])):
            raise Unreadable(f"it has the word {words[0].text!r} where a program should be")
        if not (words or sets or redirects):
            raise Unreadable("a command is missing")
        for word in sets:
            name = _ASSIGNMENT.match(self.text, word.start)
            self.opaque += _overwrites(name.group().rstrip("+=") if name else "", word.start, word.end)
        self.commands.append(Command(tuple(words), tuple(sets), tuple(redirects), start, last))

    def _function(self, name: Word) -> None:
        if not _FUNCTION.fullmatch(self.text[name.start : name.end]) or name.text in RESERVED:
            raise Unreadable("it uses '(' in a way that is not simple")
        self.blanks()
        if self.peek() == "(":
            self.at += 1
            self.blanks()
            if self.peek() != ")":
                raise Unreadable("it uses '(' in a way that is not simple")
            self.at += 1
        self._lines()
        if self.peek() != "(" and self._keyword() not in ("{", "if", "while", "until", "for", "case"):
            raise Unreadable("it has a function that is not simple")
        self._settled()
        self._command()

    # --- redirections and here-documents ------------------------------------------------------

    def _redirects(self) -> list[Redirect]:
        found: list[Redirect] = []
        while True:
            self.blanks()
            match = _REDIRECT.match(self.text, self.at, self.stop)
            if not match or (match.group() in ("<", ">") and self.text[match.end() : match.end() + 1] == "("):
                return found
            start, op = self.at, match.group(1) or match.group(2)
            self.at = match.end()
            if self.peek() == "(":
                raise Unreadable("it uses '(' in a way that is not simple")
            self.blanks()
            if op in ("<<", "<<-"):
                self._wait_for_body(op, start, found)
            else:
                if op.endswith("&") and self.peek() == "-" and self.peek(1) not in BREAKS | {""}:
                    raise Unreadable("it redirects in a way that is not simple")
                target = self._plain_word()
                found.append(Redirect(op, target, start, target.end))

    def _wait_for_body(self, op: str, start: int, found: list[Redirect]) -> None:
        if self.substituted:
            # bash writes a substitution out anew and reads that again; behind a body it may then split words otherwise.
            raise Unreadable("a here-document stands within a substitution")
        match = _DELIMITER.match(self.text, self.at, self.stop)
        if not match:
            raise Unreadable("a here-document ends in a way that is not simple")
        self.at = match.end()
        delimiter = next(filter(None, match.groups()))
        found.append(Redirect(op, None, start, self.at))
        self._waiting.append((delimiter, op == "<<-", match.group(4) is None, start))

    def _bodies(self) -> None:
        """Read what waits for the line that begins here."""
        waiting, self._waiting = self._waiting, []
        for delimiter, tabs, literal, start in waiting:
            begin = at = self.at
            while True:
                end = self.text.find("\n", at, self.stop)
                line = self.text[at : self.stop if end < 0 else end]
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
                if end < 0:
                    raise Unreadable("a here-document is not closed")
                at = end + 1
            self._found[start] = self.text[begin:at]
            outer, self.stop = self.stop, at
            while not literal and self.at < at:
                self.quoted(self.text[self.at], [], "\\$`")
            self.stop = outer
            self.at = self.stop if end < 0 else end + 1


def _overwrites(name: str, start: int, end: int) -> list[Opaque]:
    """Variables that decide what runs: all whose name is not in small letters, but for a few."""
    if name in _HARMLESS or (name.islower() and not name.endswith("_proxy")):
        return []
    return [Opaque(f"it sets {name}", start, end)]


_HARMLESS = frozenset(
    "LANG LANGUAGE LC_ALL LC_CTYPE LC_COLLATE LC_NUMERIC TZ NO_COLOR COLUMNS LINES TERM FORCE_COLOR CI".split()
)
