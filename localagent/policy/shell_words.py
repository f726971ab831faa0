"""A lenient look into any shell text: what commands it might run, quotes removed, in any nesting.

Only for finding more danger: what it finds may make us ask or refuse, and what it
misses never makes anything allowed.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from functools import lru_cache

_MAX_LOOKED = 128 * 1024
# How much text in texts is looked at for each script: enough for any nesting that a person would read.
_MAX_NESTED = 4 * _MAX_LOOKED

_TOKEN = re.compile(
    r"""(?P<quoted>\$?'[^']*'|\$?"(?:[^"\\]|\\.)*")"""
    r"""|(?P<escaped>\\[\s\S])"""
    r"""|(?P<redirect>\d*&?>>?[|&]?|\d*<<?<?[&>]?)"""
    r"""|(?P<break>\$\(|[;|&()`\n]+|(?<!\S)[{}](?!\S))"""
    r"""|(?P<space>\s+)"""
    r"""|(?P<plain>[\w./:,%@=+-]+)"""
    r"""|(?P<char>[\s\S])"""
)
_ESCAPED = re.compile(r"""\\([$`"\\])""")
_CODED = re.compile(r"\\x([0-9a-fA-F]{1,2})|\\([0-7]{1,3})")
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
    "strace": "oeapuEOS",
    "ltrace": "oeapuEnsw",
    "taskset": "",
    "chrt": "",
    "prlimit": "",
    "setarch": "",
    "linux32": "",
    "linux64": "",
    "setpriv": "",
    "runuser": "ugG",
    "pkexec": "",
    "run0": "",
    "unshare": "RrSG",
    "nsenter": "tSG",
    "chroot": "",
    "caffeinate": "tw",
    "torsocks": "",
    "proxychains": "f",
    "proxychains4": "f",
    "catchsegv": "",
    "cpulimit": "lpe",
    "firejail": "",
    "dbus-run-session": "",
    "xvfb-run": "nfsepw",
    "systemd-run": "pEuGMH",
    "systemd-inhibit": "",
    "npx": "pc",
    "uvx": "",
    "pipx": "",
    "script": "cIOBTmoE",
    "gosu": "",
    "su-exec": "",
    "sshpass": "pfde",
    "start-stop-daemon": "xaopugdNkI",
    "run-parts": "",
    "ld.so": "",
}
_KEYWORDS = frozenset("then do else elif if while until !".split())
_POSITIONAL = {"timeout": 1, "flock": 1, "taskset": 1, "chrt": 1, "chroot": 1, "setarch": 1, "gosu": 1, "su-exec": 1}
SHELLS = frozenset("sh bash dash zsh ksh fish ash csh tcsh mksh rbash rzsh oksh yash elvish nu xonsh".split())
INTERPRETERS = SHELLS | frozenset(
    "python pypy perl ruby node nodejs deno bun php lua luajit awk gawk mawk nawk tclsh wish expect osascript pwsh "
    "powershell r rscript julia ghci runghc groovy scala jshell guile emacs vim vi nvim ed ex gdb lldb irb ipython "
    "ssh make gmake just ninja rake".split()
)
WRAPPERS = (frozenset(_WRAPPERS) - _KEYWORDS) | {"find", "docker", "podman", "kubectl", "uv", "poetry", "conda"}
_LOADER = re.compile(r"ld(?:-linux|-musl|64)?[\w-]*\.so(?:\.\d+)*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece between separators: its dequoted words, the files that `>` would overwrite, and where it stands.

    What was found within a word or quotes stands where these stand.
    """

    words: tuple[str, ...]
    overwritten: tuple[str, ...]
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


def segments(text: str) -> tuple[Segment, ...]:
    """Every command that the text might run, also inside `sh -c`, `eval` and substitutions, each once.

    Of a text over 128 KiB, which no system takes as one argument, only its beginning and its end.
    """
    if len(text) > _MAX_LOOKED:
        text = text[: _MAX_LOOKED // 2] + "\n" + text[-_MAX_LOOKED // 2 :]
    return _segments(text)


@lru_cache(maxsize=32)
def _segments(text: str) -> tuple[Segment, ...]:
    found: dict[Segment, None] = {}
    todo: list[tuple[str, tuple[int, int] | None]] = [(text, None)]
    looked: set[str] = set()
    left = _MAX_NESTED
    while todo:
        source, place = todo.pop()
        if source in looked or len(source) > left:
            continue
        looked.add(source)
        left -= len(source)
        for segment in _split(source):
            known = replace(segment, start=place[0], end=place[1]) if place else segment
            if known in found:
                continue
            found[known] = None
            todo.extend((inner, (known.start, known.end)) for inner, _ in nested(segment.words))
        todo.extend((inner, place or span) for inner, *span in _substitutions(source))
    return tuple(found)


def program(words: tuple[str, ...]) -> str:
    """The bare name of the program: no folder, no `.exe`, lower case; version digits of interpreters dropped."""
    name = words[0].replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe") or words[0]
    bare = name.rstrip("0123456789.-")
    if bare in INTERPRETERS:
        return bare
    return "ld.so" if _LOADER.fullmatch(name) else name


def strip_wrappers(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command that `sudo`, `env`, `timeout 5`, `xargs` and their like would start."""
    at, end = 0, len(words)
    for _ in range(16):
        while at < end and _ASSIGNMENT.match(words[at]):
            at += 1
        if at >= end:
            return ()
        name = program(words[at : at + 1])
        if name not in _WRAPPERS and name not in _KEYWORDS:
            break
        takes = _WRAPPERS.get(name, "")
        at += 1
        while at < end and words[at].startswith("-") and len(words[at]) > 1:
            at += 2 if len(words[at]) == 2 and words[at][1] in takes else 1
        at += _POSITIONAL.get(name, 0)
    return words[at:]


def _split(text: str) -> list[Segment]:
    found: list[Segment] = []
    words: list[str] = []
    overwritten: list[str] = []
    word: list[str] = []
    started = False
    target = ""
    begin = end = -1

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
        nonlocal begin
        end_word()
        if words or overwritten:
            found.append(Segment(tuple(words), tuple(overwritten), max(begin, 0), max(end, 0)))
        words.clear()
        overwritten.clear()
        begin = -1

    for match in _TOKEN.finditer(text):
        kind, piece = match.lastgroup, match.group()
        if kind == "space" and "\n" not in piece:
            end_word()
        elif kind in ("break", "space"):
            end_segment()
        else:
            begin, end = match.start() if begin < 0 else begin, match.end()
            if kind == "redirect":
                end_word()
                target = ">" if ">" in piece and ">>" not in piece and not piece.endswith("&") else "other"
                continue
            if kind == "quoted" and piece[0] == "$":
                piece = _CODED.sub(_decoded, piece[1:])
            plain = piece[1:-1] if kind == "quoted" else piece[1:] if kind == "escaped" else piece
            if piece[:1] == '"' and "\\" in plain:
                plain = _ESCAPED.sub(r"\1", plain)
            word.append("" if kind == "escaped" and plain == "\n" else plain)
            started = True
    end_segment()
    return found


def _decoded(match: re.Match[str]) -> str:
    return chr(int(match[1], 16) if match[1] else int(match[2], 8) % 256)


def nested(words: tuple[str, ...]) -> list[tuple[str, int]]:
    """The scripts that this command is given as words, each with the index of its word (-1: of all of them)."""
    if not words:
        return []
    rest = strip_wrappers(words)
    by_option = [(w, n) for n, w in enumerate(words) if n and " " in w] if program(words) in _SCRIPT_OPTIONS else []
    if not rest:
        return by_option
    name, first = program(rest), len(words) - len(rest) + 1
    if name == "eval":
        return [(" ".join(rest[1:]), -1)]
    given = list(enumerate(words))[first:]
    if name in SHELLS or name in _TAKES_SCRIPT:
        return [(w, n) for n, w in given if " " in w or ";" in w or (name in SHELLS and not w.startswith("-"))]
    if name in ("trap", "alias"):
        return [(word.partition("=")[2] if name == "alias" else word, n) for n, word in given]
    if name in INTERPRETERS or name in _RUNS_TEXT:
        return [(text, n) for n, word in given for text in _handed_on(word)]
    if name == "git":
        return [(word.partition("=!")[2], n) for n, word in given if "=!" in word]
    if name == "find":
        return [(shlex.join(words[n + 1 : n + _NEAR]), n) for n, w in given if w in _FIND_RUNS][:_NEAR]
    return by_option


_NEAR = 64
_FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_TAKES_SCRIPT = frozenset("ssh su nix-shell tmux screen xterm sg busybox".split())
# An option of these takes a whole command: `env -S`, `flock -c`, `script -c`, `watch`, `xargs sh -c`.
_SCRIPT_OPTIONS = frozenset("env flock script watch runuser parallel unbuffer xargs sudo npx".split())
_RUNS_TEXT = frozenset("vim vi nvim ed ex gdb sqlite3 psql mysql tar sed expect".split())
# What a program in another language, or an option, hands to a shell: `system("…")`, `=exec=…`, `!…`.
_CALLS = re.compile(
    r"""\b(?:system|[pP]?open|exec\w*|spawn\w*|call|run|check_\w+|qx|Popen|execSync)\b[\s(\["'{]*([^)\]}`]+)"""
    r"""|`([^`]+)`|=exec=(.+)|(?:^|[\s\d/;{}])(?:[\\:]?[!e]|\.(?:shell|system))\s*(.+)|(?:command|program|to-command)=(.+)|print\s*\|\s*(.+)""",
)
_NO_QUOTES = str.maketrans("\"',", "   ")


def _handed_on(word: str) -> list[str]:
    return [text.translate(_NO_QUOTES) for found in _CALLS.findall(word) for text in found if text.strip()]


def _substitutions(text: str) -> list[tuple[str, int, int]]:
    found = re.finditer(r"\$\(([^()]*)\)|`([^`]*)`", text)
    return [(inner, m.start(), m.end()) for m in found for inner in m.groups() if inner and inner.strip()]
