"""A lenient look into any shell text: what commands it might run, quotes removed, in any nesting.

Only for finding more danger: what it finds may make us ask or refuse, and what it
misses never makes anything allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAX_DEPTH = 4
_MAX_SEGMENTS = 500
_MAX_LOOKED = 128 * 1024

_TOKEN = re.compile(
    r"""(?P<quoted>'[^']*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<escaped>\\[\s\S])"""
    r"""|(?P<redirect>\d*&?>>?[|&]?|\d*<<?<?[&>]?)"""
    r"""|(?P<break>\$\(|[;|&()`\n]+|(?<!\S)[{}](?!\S))"""
    r"""|(?P<space>\s+)"""
    r"""|(?P<plain>[\w./:,%@=+-]+)"""
    r"""|(?P<char>[\s\S])"""
)
_WRAPPERS = {
    "sudo": "ugCDhpRTU",
    "doas": "uC",
    "env": "uSC",
    "nohup": "",
    "nice": "n",
    "ionice": "cnp",
    "time": "fo",
    "timeout": "ks",
    "stdbuf": "ioe",
    "setsid": "",
    "xargs": "aEeIiLlnPsd",
    "exec": "a",
    "command": "",
    "builtin": "",
    "busybox": "",
    "toybox": "",
    "unbuffer": "",
    "watch": "n",
    "chronic": "",
    "parallel": "jI",
    "flock": "wE",
    "strace": "oe",
    "then": "",
    "do": "",
    "else": "",
    "if": "",
    "while": "",
    "until": "",
    "!": "",
}
SHELLS = frozenset("sh bash dash zsh ksh fish ash csh tcsh mksh".split())
INTERPRETERS = SHELLS | frozenset(
    "python perl ruby node deno bun php lua awk gawk mawk tclsh osascript pwsh powershell r rscript ssh make".split()
)
WRAPPERS = frozenset(name for name in _WRAPPERS if name.isalpha()) | {"find", "ld.so"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece between separators: its dequoted words and the files that `>` would overwrite."""

    words: tuple[str, ...]
    overwritten: tuple[str, ...]


def segments(text: str, depth: int = MAX_DEPTH) -> tuple[Segment, ...]:
    """Every command that the text might run, also inside `sh -c`, `eval` and substitutions.

    Of a text over 128 KiB, which no system takes as one argument, only its beginning and its end.
    """
    if len(text) > _MAX_LOOKED:
        text = text[: _MAX_LOOKED // 2] + "\n" + text[-_MAX_LOOKED // 2 :]
    return _segments(text, depth)


@lru_cache(maxsize=32)
def _segments(text: str, depth: int) -> tuple[Segment, ...]:
    found: list[Segment] = []
    todo = [(text, depth)]
    while todo and len(found) < _MAX_SEGMENTS:
        source, left = todo.pop()
        for segment in dict.fromkeys(_split(source)):
            found.append(segment)
            if left > 0:
                todo.extend((inner, left - 1) for inner in _nested(segment.words))
        if left > 0:
            todo.extend((inner, left - 1) for inner in _substitutions(source))
    return tuple(found)


def program(words: tuple[str, ...]) -> str:
    """The bare name of the program: no folder, no `.exe`, lower case; version digits of interpreters dropped."""
    name = words[0].replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe") or words[0]
    bare = name.rstrip("0123456789.-")
    return bare if bare in INTERPRETERS else name


def strip_wrappers(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command that `sudo`, `env`, `timeout 5`, `xargs` and their like would start."""
    at, end = 0, len(words)
    for _ in range(16):
        while at < end and _ASSIGNMENT.match(words[at]):
            at += 1
        if at >= end:
            return ()
        name = program(words[at : at + 1])
        if name not in _WRAPPERS:
            break
        takes = _WRAPPERS[name]
        at += 1
        while at < end and words[at].startswith("-") and len(words[at]) > 1:
            at += 2 if len(words[at]) == 2 and words[at][1] in takes else 1
        if name in ("timeout", "flock"):
            at += 1
    return words[at:]


def _split(text: str) -> list[Segment]:
    found: list[Segment] = []
    words: list[str] = []
    overwritten: list[str] = []
    word: list[str] = []
    started = False
    target = ""

    def end_word() -> None:
        nonlocal started, target
        if not started:
            return
        value = "".join(word)
        if not target:
            words.append(value)
        elif target == ">" and value not in ("/dev/null", "/dev/stderr", "/dev/stdout") and not value.isdigit():
            overwritten.append(value)
        word.clear()
        started, target = False, ""

    def end_segment() -> None:
        end_word()
        if words or overwritten:
            found.append(Segment(tuple(words), tuple(overwritten)))
        words.clear()
        overwritten.clear()

    for match in _TOKEN.finditer(text):
        kind, piece = match.lastgroup, match.group()
        if kind == "space" and "\n" not in piece:
            end_word()
        elif kind == "redirect":
            end_word()
            target = ">" if ">" in piece and ">>" not in piece and not piece.endswith("&") else "other"
        elif kind in ("break", "space"):
            end_segment()
        else:
            plain = piece[1:-1] if kind == "quoted" else piece[1:] if kind == "escaped" else piece
            word.append("" if kind == "escaped" and plain == "\n" else plain)
            started = True
    end_segment()
    return found


def _nested(words: tuple[str, ...]) -> list[str]:
    rest = strip_wrappers(words)
    if not rest:
        return []
    name = program(rest)
    if name == "eval":
        return [" ".join(rest[1:])]
    if name in SHELLS or name in ("ssh", "su", "script"):
        return [word for word in rest[1:] if " " in word or (name in SHELLS and not word.startswith("-"))]
    if name in ("trap", "alias"):
        return [word.partition("=")[2] if name == "alias" else word for word in rest[1:]]
    if program(words) == "env":
        return [word for word in words[1:] if " " in word]
    return []


def _substitutions(text: str) -> list[str]:
    return [inner for pair in re.findall(r"\$\(([^()]*)\)|`([^`]*)`", text) for inner in pair if inner.strip()]
