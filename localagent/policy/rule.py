"""Rules as the user writes them: `KIND(OBJECT)`, the same in files, in `--allow` and in stored grants.

    read(GLOB)  write(GLOB)   files. A relative glob starts at the workspace, `~` is home. `*`, `?` and
                              `[…]` stay within one name; `**` crosses folders; `folder/**` is the folder
                              and all beneath it; `*`, `**` or `.` alone is the whole workspace.
    run(WORDS)                exactly these words, written as in a shell. `*` or `...` as the last word
                              stands for any further words, or none. Words that are no plain command match
                              only the very same script. `run(*)` is every program and every script.
    net(HOST)                 a host; `*.example.org` is every host under it; `*` every host
    send(CHANNEL:ADDRESS)     `*` may stand for the channel or the address
    persist(KIND)             what stays after the session; `*` any
    tool(NAME)                one tool: its call, and its effects inside the workspace, never a message

A rule allows only what it matches exactly, and a prefix never reaches past a separator,
since a line with one is no plain command. A deny or ask rule reaches further: letter
case, further words, a program's folder, wrappers such as `sudo`, and any command found
in a script make no difference to it; a script that holds all its words anywhere is met too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol, get_args

from ..errors import UsageError
from .shell_risk import Line, read
from .shell_words import program, segments, strip_wrappers

RuleKind = Literal["read", "write", "run", "net", "send", "persist", "tool"]
KINDS: tuple[RuleKind, ...] = get_args(RuleKind)
# What only a glob matches that covers everything beneath a folder.
_BENEATH = "/\0/\0"
_FORMS = "read(GLOB) write(GLOB) run(WORDS) net(HOST) send(CHANNEL:ADDRESS) persist(KIND) tool(NAME)"


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that a call would touch: `text` is the absolute path, host, address, kind, tool name or line.

    `deep` is set where all that lies beneath the path is touched too.
    """

    kind: RuleKind
    text: str
    line: Line | None = None
    deep: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One parsed rule; `str(rule)` is what the user wrote.

    `words` is set on `run` only, None there for a script; `rest` lets further words follow. `owner` says
    whose rule it is, "" for the user's own.
    """

    kind: RuleKind
    object: str
    words: tuple[str, ...] | None = None
    rest: bool = False
    owner: str = ""

    def __str__(self) -> str:
        return f"{self.kind}({self.object})"

    @property
    def told(self) -> str:
        """The rule in a reason, with whose it is."""
        return f"{self.owner or 'your'} rule {self}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the user has laid down; where several rules match, deny wins over ask, ask over allow.

    `allow` was written out for this run. `kept` was remembered from an answer: it allows the same,
    except what would lose much at once or what other programs act on. `unread` is why rules of this folder
    are not known, so that everything asks; "" where they are.
    """

    deny: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    allow: tuple[Rule, ...] = ()
    kept: tuple[Rule, ...] = ()
    unread: str = ""

    @staticmethod
    def of(
        *, deny: Iterable[str] = (), ask: Iterable[str] = (), allow: Iterable[str] = (), kept: Iterable[str] = ()
    ) -> Rules:
        """Parse all; raises UsageError for the first rule that cannot be read."""
        return Rules(*(tuple(map(parse, texts)) for texts in (deny, ask, allow, kept)))

    def with_allowed(self, rules: Iterable[str]) -> Rules:
        return replace(self, allow=(*self.allow, *map(parse, rules)))

    def with_kept(self, rules: Iterable[str]) -> Rules:
        return replace(self, kept=(*self.kept, *map(parse, rules)))


class Place(Protocol):
    """Where relative globs start, what `~` means, and the real path of a path (None: as written)."""

    @property
    def workspace(self) -> str: ...
    @property
    def home(self) -> str: ...
    @property
    def resolve(self) -> Callable[[str], str] | None: ...


def parse(text: str) -> Rule:
    """One rule. Raises UsageError that names the position and what would be right."""
    text = text.strip()
    match = re.match(r"([A-Za-z]*)(\(?)", text)
    kind = match.group(1) if match else ""
    if kind not in KINDS:
        raise UsageError(
            f"In the rule {text!r}, character 1: {kind or text[:1]!r} is no kind of rule.", f"Use {_FORMS}."
        )
    start = len(kind)
    if not text[start : start + 1] == "(":
        raise UsageError(f"In the rule {text!r}, character {start + 1}: an opening parenthesis must follow {kind!r}.")
    if not text.endswith(")"):
        raise UsageError(f"In the rule {text!r}, character {len(text)}: the closing parenthesis is missing.")
    inner = text[start + 1 : -1].strip()
    if not inner:
        raise UsageError(
            f"In the rule {text!r}, character {start + 2}: nothing stands in the parentheses.", f"Use {_FORMS}."
        )
    return _parse_run(text, inner) if kind == "run" else _parse_object(text, kind, inner)


def _parse_object(text: str, kind: RuleKind, inner: str) -> Rule:
    where = f"In the rule {text!r}, character {len(kind) + 2}"
    if any(ord(char) < 32 for char in inner):
        raise UsageError(f"The rule {text!r} holds a control character.")
    if kind in ("read", "write"):
        _check_glob(text, inner)
    elif kind == "send" and ":" not in inner and inner != "*":
        raise UsageError(f"{where}: a send rule is written send(CHANNEL:ADDRESS).")
    elif kind == "net" and not re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9_.:\[\]-]+", inner):
        raise UsageError(f"{where}: a net rule names a host, such as net(example.org).")
    elif kind == "persist" and not re.fullmatch(r"\*|[\w.:-]+", inner):
        raise UsageError(f"{where}: {inner!r} is no name.")
    elif kind == "tool" and not re.fullmatch(r"[\w.:-]+", inner):
        raise UsageError(f"{where}: {inner!r} is not the name of one tool.")
    return Rule(kind, inner)


def _check_glob(text: str, glob: str) -> None:
    if ".." in glob.split("/"):
        raise UsageError(f"In the rule {text!r}: a path with '..' cannot be matched.", "Write it from `/` or `~` on.")
    try:
        re.compile(_glob_regex(glob))
    except re.error as error:
        raise UsageError(f"In the rule {text!r}: the brackets of the glob cannot be read ({error}).") from error


def _parse_run(text: str, inner: str) -> Rule:
    if inner in ("*", "..."):
        return Rule("run", inner, (), rest=True)
    match = re.fullmatch(r"(.*\S)\s+(\*|\.\.\.)", inner, re.DOTALL)
    line = read(match.group(1) if match else inner)
    if match and line.words is None:
        raise UsageError(
            f"The rule {text!r} ends in {match.group(2)!r}, but what stands before it is no plain command: {line.why}.",
            "Use plain words and quotes before it.",
        )
    return Rule("run", inner, line.words, rest=bool(match))


def allows(rule: Rule, subject: Subject, place: Place) -> bool:
    """Whether an allow rule covers this subject, exactly."""
    if rule.kind != subject.kind:
        return False
    if rule.kind == "run":
        return _run_matches(rule, subject)
    if rule.kind in ("read", "write"):
        glob = _glob(rule.object, place, False)
        ends = ("", _BENEATH) if subject.deep else ("",)
        return all(glob.fullmatch(form + end) for form in _forms(subject.text, place) for end in ends)
    if rule.kind == "send" and not subject.text.isascii():
        # Letters that fold to the same may be somebody else's: K and the sign of Kelvin.
        return _text_matches(rule, subject.text) and rule.object.rpartition(":")[2] in ("*", subject.text.partition(":")[2])
    return _text_matches(rule, subject.text)


def reaches(rule: Rule, subject: Subject, place: Place) -> bool:
    """Whether a deny or ask rule meets this subject: like `allows`, but wider, never narrower."""
    if rule.kind != subject.kind:
        return False
    if rule.kind == "run":
        return _run_matches(rule, subject) or _run_reaches(rule, subject)
    if rule.kind in ("read", "write"):
        return any(_glob(rule.object, place, True).fullmatch(form) for form in _forms(subject.text, place))
    if rule.kind == "net" and _text_matches(rule, subject.text.partition(":")[0]):
        # Whatever the port: who denies a host means all of it.
        return True
    return _text_matches(rule, subject.text)


def real(path: str, resolve: Callable[[str], str] | None) -> str:
    """The path with its links followed; as written where they cannot be, or where no file could have this name."""
    try:
        return path if resolve is None else resolve(path)
    except ValueError:
        return path


def _forms(path: str, place: Place) -> tuple[str, ...]:
    return (path, real(path, place.resolve))


def _run_matches(rule: Rule, subject: Subject) -> bool:
    if rule.rest and not rule.words:
        return True
    words = subject.line.words if subject.line else None
    if rule.words is None:
        return words is None and rule.object == subject.text.strip()
    if words is None:
        return False
    return words == rule.words or (rule.rest and words[: len(rule.words)] == rule.words)


def _run_reaches(rule: Rule, subject: Subject) -> bool:
    if not rule.words:
        return False
    wanted = tuple(word.casefold() for word in rule.words)
    if _mentioned(rule.words, subject):
        return True
    if subject.line and subject.line.words is not None and _starts(subject.line.words, wanted):
        return True
    return any(_starts(segment.words, wanted) for segment in segments(subject.text) if segment.words)


def _mentioned(words: tuple[str, ...], subject: Subject) -> bool:
    """Whether a script, or a text handed to a program, holds all these words somewhere, in any order."""
    argv = subject.line.words if subject.line else None
    if argv is None:
        texts = [subject.text]
    elif not argv or program(argv) in _TAKES_TEXT:
        return False
    else:
        texts = [word for word in argv[1:] if _SCRIPT.search(word)]
    if not texts:
        return False
    known = _named("\n".join(texts))
    return all(word.casefold() in known or program((word,)) in known for word in words)


@lru_cache(maxsize=32)
def _named(script: str) -> frozenset[str]:
    """Every word of a script as it stands there and with quotes and escapes taken away, letter case folded."""
    decoded = _CODED.sub(lambda m: chr(int(m[1], 16) if m[1] else int(m[2], 8) % 256), script)
    forms = (script, script.translate(_UNQUOTED), decoded.translate(_UNQUOTED))
    words = (word for form in forms for word in _BETWEEN.split(form.casefold()) if word)
    return frozenset(part for word in words for part in (word, word.rpartition("/")[2], word.rpartition("=")[2]))


_TAKES_TEXT = frozenset("echo printf grep egrep fgrep rg git".split())
_SCRIPT = re.compile(r"[\s;|&$`()<>]")
_CODED = re.compile(r"\\x([0-9a-fA-F]{1,2})|\\0?([0-7]{3})")
_BETWEEN = re.compile(r"""[\s;|&$`()<>{}"'\[\],]+""")
_UNQUOTED = str.maketrans("", "", "'\"\\")


def _starts(words: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    for candidate in (words, strip_wrappers(words)):
        if not candidate:
            continue
        folded = tuple(word.casefold() for word in candidate)
        if folded[: len(wanted)] == wanted or (program(candidate), *folded[1:])[: len(wanted)] == wanted:
            return True
        # Options may stand between the words (`git -C dir push`): the words in their order are enough.
        if program(candidate) == wanted[0] and _in_order(wanted[1:], folded[1:]):
            return True
    return False


def _in_order(wanted: tuple[str, ...], words: tuple[str, ...]) -> bool:
    rest = iter(words)
    return all(word in rest for word in wanted)


def _text_matches(rule: Rule, text: str) -> bool:
    wanted, given = rule.object.casefold(), text.casefold()
    if rule.kind == "send":
        if wanted == "*":
            return True
        channel, _, address = wanted.partition(":")
        has_channel, _, has_address = given.partition(":")
        return channel in ("*", has_channel) and address in ("*", has_address)
    if rule.kind == "net" and wanted.startswith("*."):
        return given.endswith(wanted[1:]) and len(given) > len(wanted) - 1
    if rule.kind == "tool":
        return rule.object == text
    return wanted in ("*", given)


def _glob(pattern: str, place: Place, any_case: bool) -> re.Pattern[str]:
    return _compiled(pattern, place.workspace, place.home, any_case)


@lru_cache(maxsize=512)
def _compiled(pattern: str, workspace: str, home: str, any_case: bool) -> re.Pattern[str]:
    if pattern in ("*", "**", ".", "./**"):
        base, rest = workspace, "/**"
    elif pattern == "~" or pattern.startswith("~/"):
        base, rest = home, pattern[1:]
    elif pattern.startswith("/"):
        base, rest = "", pattern
    else:
        base, rest = workspace, "/" + pattern.removeprefix("./")
    if len(rest) > 1:
        rest = rest.rstrip("/")
    flags = re.DOTALL | (re.IGNORECASE if any_case else 0)
    return re.compile(re.escape(base.rstrip("/")) + _glob_regex(rest), flags)


def _glob_regex(glob: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(glob):
        if glob.startswith("/**/", at):
            out.append("/(?:.*/)?")
            at += 4
        elif glob.startswith("/**", at) and at + 3 == len(glob):
            out.append("(?:/.*)?")
            at += 3
        elif glob.startswith("**", at):
            out.append(".*")
            at += 2
        elif glob[at] == "*":
            out.append("[^/]*")
            at += 1
        elif glob[at] == "?":
            out.append("[^/]")
            at += 1
        elif glob[at] == "[" and (end := glob.find("]", at + 2)) > 0:
            body = glob[at + 1 : end]
            negated = body[0] in "!^"
            inner = (body[1:] if negated else body).replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            out.append(f"(?!/)[{'^' if negated else ''}{inner}]")
            at = end + 1
        else:
            out.append(re.escape(glob[at]))
            at += 1
    return "".join(out)
