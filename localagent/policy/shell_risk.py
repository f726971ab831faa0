"""What a shell line says: its exact words where it is one plain command, otherwise "complex".

The strict reader accepts one simple command of plain words and quotes and gives its argv
exactly as a POSIX shell would. Everything else (expansion, glob, redirection, pipe, list,
subshell, here-document, assignment, reserved word, control or invisible character, more
than 8 KiB) is complex: never read-only, and judged as one opaque script. The risks are
looked for in complex lines too, by best effort: they make us ask more, never less.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from .shell_readers import reads_only
from .shell_words import MAX_DEPTH, program, segments, strip_wrappers

MAX_BYTES = 8192

RiskKind = Literal["deletes", "overwrites", "discards", "wipes", "device", "privilege", "network", "code", "persists"]
DESTRUCTIVE: frozenset[RiskKind] = frozenset({"deletes", "overwrites", "discards", "wipes", "device"})

_RESERVED = frozenset(
    "if then else elif fi do done case esac while until for select in function time coproc [[ ]] { } !".split()
)
_PLAIN = frozenset("_-.,/:@%+=")
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


@dataclass(frozen=True, slots=True)
class Risk:
    """One dangerous shape; `what` is the piece of the line that shows it."""

    kind: RiskKind
    what: str


@dataclass(frozen=True, slots=True)
class Line:
    """One shell line. `words` is the exact argv, None where the line is complex and `why` says for what reason."""

    text: str
    words: tuple[str, ...] | None
    why: str = ""
    read_only: bool = False
    risks: tuple[Risk, ...] = ()

    @property
    def complex(self) -> bool:
        return self.words is None

    @property
    def destructive(self) -> bool:
        return any(risk.kind in DESTRUCTIVE for risk in self.risks)


@lru_cache(maxsize=32)
def read(text: str, home: str = "") -> Line:
    """Read one shell line. `home` is only compared with the words, to see that it is not wiped."""
    found = _exact(text)
    if isinstance(found, str):
        return Line(text, None, found, risks=_risks(text, home))
    return Line(text, found, read_only=reads_only(found), risks=_risks(text, home))


def read_argv(argv: Sequence[str], home: str = "") -> Line:
    """The same for a program that is started without a shell: the words are known exactly."""
    return _read_words(tuple(argv), home)


@lru_cache(maxsize=32)
def _read_words(words: tuple[str, ...], home: str) -> Line:
    text = " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)
    if not words or any(_hidden(char) for word in words for char in word):
        return Line(text, None, "it holds a control or invisible character", risks=_risks(text, home))
    return Line(text, words, read_only=reads_only(words), risks=_risks(text, home))


def _exact(text: str) -> tuple[str, ...] | str:
    """The argv of a simple command, or the reason why the line is complex."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return "it is longer than 8 KiB"
    text = text.strip(" \n")
    if not text:
        return "it is empty"
    if any(_hidden(char) for char in text):
        return "it holds a control or invisible character"
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        word = _word(text, at)
        if isinstance(word, str):
            return word
        value, at = word
        words.append(value)
    if words[0] in _RESERVED:
        return f"it starts with the shell's own word {words[0]!r}"
    if not words[0]:
        return "it has no program"
    if "=" in words[0]:
        return "it sets a variable"
    return tuple(words)


def _word(text: str, at: int) -> tuple[str, int] | str:
    """One word from `at` on: its value and where it ends, or the reason why it cannot be read exactly."""
    value: list[str] = []
    while at < len(text) and text[at] != " ":
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            if end < 0:
                return "a quote is not closed"
            value.append(text[at + 1 : end])
            at = end + 1
        elif char == '"':
            quoted = _double(text, at + 1)
            if isinstance(quoted, str):
                return quoted
            value.append(quoted[0])
            at = quoted[1]
        elif char == "\\":
            if at + 1 >= len(text) or not text[at + 1].isascii():
                return "a backslash escapes nothing plain"
            value.append(text[at + 1])
            at += 2
        elif char in _PLAIN or char.isalnum() or (not char.isascii() and not _hidden(char)):
            value.append(char)
            at += 1
        else:
            return f"it uses {char!r}"
    return "".join(value), at


def _double(text: str, at: int) -> tuple[str, int] | str:
    value: list[str] = []
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(value), at + 1
        if char in "$`":
            return f"it expands {char!r} inside quotes"
        if char == "\\" and at + 1 < len(text) and text[at + 1] in '"\\$`':
            value.append(text[at + 1])
            at += 2
            continue
        value.append(char)
        at += 1
    return "a quote is not closed"


def _hidden(char: str) -> bool:
    return char != " " and unicodedata.category(char) in _INVISIBLE


# --- dangerous shapes, by best effort -------------------------------------------------------------

_GIT_DISCARDS = {
    "reset": ("--hard", "--merge", "--keep"),
    "clean": (),
    "checkout": ("-f", "--force", "--", "."),
    "restore": (),
    "stash": ("drop", "clear"),
    "branch": ("-D", "-d", "--delete"),
    "push": ("-f", "--force", "--delete", "--mirror", "--force-with-lease"),
    "rm": (),
    "gc": (),
    "prune": (),
    "reflog": ("expire", "delete"),
    "filter-branch": (),
    "update-ref": ("-d",),
    "worktree": ("remove", "prune"),
}
_NETWORK = frozenset(
    "curl wget ssh scp sftp rsync ftp nc ncat netcat socat telnet dig nslookup host ping mosh aria2c gh glab".split()
)
_PRIVILEGE = frozenset("sudo doas su pkexec run0 setcap chroot unshare nsenter mount umount".split())
_PERSISTS = frozenset("crontab at batch systemctl launchctl chsh update-rc.d".split())
_CODE = frozenset("eval source . exec".split())
_ERASES = frozenset("mkfs wipefs fdisk sfdisk parted mkswap blkdiscard".split())
_LOOKS_AT_NAMES = frozenset("echo printf grep egrep fgrep rg ls stat df file readlink realpath lsblk".split())
_NEAR = 64
_DEVICES = ("sd", "hd", "vd", "xvd", "nvme", "mmcblk", "disk", "mapper/", "loop", "dm-", "md", "nbd", "ram", "sr")
_MEMORY = frozenset({"/dev/mem", "/dev/kmem", "/dev/port"})


def is_device(word: str) -> bool:
    """Whether the word names a raw disk or the machine's memory."""
    path = word.rpartition("=")[2]
    return path in _MEMORY or (path.startswith("/dev/") and path[5:].startswith(_DEVICES))


def _risks(text: str, home: str) -> tuple[Risk, ...]:
    found: list[Risk] = []
    for segment in segments(text, MAX_DEPTH):
        for target in segment.overwritten:
            kind: RiskKind = "device" if is_device(target) else "overwrites"
            found.append(Risk(kind, f"> {target}"))
        if segment.words:
            found.extend(_command_risks(segment.words, home))
    return tuple(dict.fromkeys(found))


def _command_risks(words: tuple[str, ...], home: str) -> list[Risk]:
    found: list[Risk] = []
    if program(words) in _PRIVILEGE:
        found.append(Risk("privilege", words[0]))
    rest = strip_wrappers(words)
    if not rest:
        return found
    name, args = program(rest), rest[1:]
    shown = " ".join(rest[:3])
    if name in _PRIVILEGE:
        found.append(Risk("privilege", shown))
    if name in _NETWORK or (name == "git" and {"push", "pull", "fetch", "clone"} & set(args)):
        found.append(Risk("network", shown))
    if name in _PERSISTS:
        found.append(Risk("persists", shown))
    if name in _CODE:
        found.append(Risk("code", shown))
    if name not in _LOOKS_AT_NAMES:
        found.extend(Risk("device", word) for word in args if is_device(word))
    if name.split(".")[0] in _ERASES:
        found.append(Risk("device", shown))
    found.extend(Risk(kind, shown) for kind in _file_risks(name, args))
    if _wipes(name, args, home):
        found.append(Risk("wipes", shown))
    return found


def _file_risks(name: str, args: tuple[str, ...]) -> list[RiskKind]:
    if name in ("rm", "rmdir", "unlink", "srm", "trash", "trash-put"):
        return ["deletes"]
    if name in ("shred", "truncate"):
        return ["overwrites"]
    if name == "dd" and any(word.startswith("of=") for word in args):
        return ["overwrites"]
    if name == "find" and _find_deletes(args):
        return ["deletes"]
    if name == "git" and _git_discards(args):
        return ["discards"]
    if name == "rsync" and any(word.startswith("--del") or word == "--remove-source-files" for word in args):
        return ["deletes"]
    if name == "tar" and any(word.startswith("--remove-files") for word in args):
        return ["deletes"]
    if name == "tee" and not {"-a", "--append"} & set(args) and any(not word.startswith("-") for word in args):
        return ["overwrites"]
    if name in ("chmod", "chown", "chgrp") and any(word == "--recursive" or _short(word, "R") for word in args):
        return ["overwrites"]
    return []


def _find_deletes(args: tuple[str, ...]) -> bool:
    if "-delete" in args:
        return True
    for flag in ("-exec", "-execdir", "-ok", "-okdir"):
        for at, word in enumerate(args):
            # The options that make a command delete stand near it; a `find` in a `find` has its own turn here.
            if word == flag and _file_risks_of(args[at + 1 : at + _NEAR]):
                return True
    return False


def _file_risks_of(words: tuple[str, ...]) -> bool:
    rest = strip_wrappers(words)
    if not rest or program(rest) == "find":
        return False
    return bool(_file_risks(program(rest), rest[1:]))


def _git_discards(args: tuple[str, ...]) -> bool:
    for at, word in enumerate(args):
        flags = _GIT_DISCARDS.get(word)
        if flags is not None:
            rest = args[at + 1 :]
            if word == "clean" and any(w == "--dry-run" or _short(w, "n") for w in rest):
                return False
            return not flags or any(w in flags or w.split("=")[0] in flags for w in rest)
    return False


def _short(word: str, letter: str) -> bool:
    return word.startswith("-") and not word.startswith("--") and letter in word


def _wipes(name: str, args: tuple[str, ...], home: str) -> bool:
    """Whether home or the whole disk is the thing that is deleted or moved, not only a place that is looked into."""
    if name in ("rm", "rmdir", "shred", "srm", "trash", "trash-put"):
        return any(_is_root_or_home(word, home) for word in args)
    if name == "mv":
        return any(_is_root_or_home(word, home) for word in args[:-1])
    if name == "find":
        narrowed = any(word.lstrip("-").startswith(_FIND_TESTS) for word in args if word.startswith("-"))
        return not narrowed and _find_deletes(args) and any(_is_root_or_home(word, home) for word in args)
    if name in ("chmod", "chown", "chgrp") and _file_risks(name, args):
        return any(_is_root_or_home(word, "") and not word.startswith(("~", "$")) for word in args)
    return False


_FIND_TESTS = (
    "name",
    "iname",
    "path",
    "ipath",
    "regex",
    "iregex",
    "mtime",
    "mmin",
    "atime",
    "ctime",
    "size",
    "newer",
    "empty",
)


def _is_root_or_home(word: str, home: str) -> bool:
    if word == "--no-preserve-root":
        return True
    bare = word.removesuffix("*").rstrip("/")
    if ".." in bare and bare.startswith("/"):
        bare = posixpath.normpath(bare)
    if word.startswith("/") and not bare.strip("/."):
        return True
    return bare in ("~", "$HOME", "${HOME}") or bool(home and home != "/" and bare == home.rstrip("/"))
