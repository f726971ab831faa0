"""Which programs only read, with the flags we know to be harmless. A flag that is not listed is not known."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Reader:
    """`short` are flag letters (they may stand together), `long` whole flags, `single` whole one-dash flags.

    `most` is how many plain words at most (None: any); with `format`, a word that starts with `+` is not counted.
    Behind a letter of `glued` its value may follow at once.
    """

    short: str = ""
    long: frozenset[str] = frozenset()
    single: frozenset[str] = frozenset()
    most: int | None = None
    format: bool = False
    glued: str = ""


def _longs(names: str) -> frozenset[str]:
    return frozenset("--" + name for name in names.split())


_DIGITS = "0123456789"
_GREP = _Reader(
    "abcEFGHhilLmnoPqrRsvwxyzABCef" + _DIGITS,
    _longs(
        "after-context before-context context color colour count exclude exclude-dir extended-regexp file "
        "files-with-matches files-without-match fixed-strings ignore-case include invert-match line-number "
        "line-regexp max-count no-filename no-messages null only-matching perl-regexp quiet recursive regexp "
        "silent text with-filename word-regexp"
    ),
)
_READERS: dict[str, _Reader] = {
    "ls": _Reader(
        "1aAbBcCdDfFgGhHiIklLmnNopqQrRsStTuUvwxXZ",
        _longs(
            "all almost-all color directory full-time human-readable inode recursive reverse size sort time time-style"
        ),
    ),
    "cat": _Reader("AbeEnstTuv", _longs("number number-nonblank show-all show-ends show-tabs squeeze-blank")),
    "head": _Reader("cnqvz" + _DIGITS, _longs("bytes lines quiet silent verbose")),
    "tail": _Reader("cnqvz" + _DIGITS, _longs("bytes lines quiet silent verbose"), glued="cn"),
    "wc": _Reader("clLmw", _longs("bytes chars lines words max-line-length")),
    "stat": _Reader("cfLt", _longs("format printf terse dereference file-system")),
    "file": _Reader("bhiL", _longs("brief mime mime-type mime-encoding dereference")),
    "du": _Reader(
        "0abcdDhHklLmsSx" + _DIGITS, _longs("all apparent-size bytes human-readable max-depth summarize total")
    ),
    "df": _Reader("ahHiklPT", _longs("all human-readable inodes local portability total")),
    "pwd": _Reader("LP"),
    "echo": _Reader("eEn"),
    "true": _Reader(),
    "false": _Reader(),
    "basename": _Reader("asz", _longs("multiple suffix")),
    "dirname": _Reader("z"),
    "realpath": _Reader("eLmPqsz"),
    "readlink": _Reader("efmnz"),
    "date": _Reader("IRu", _longs("date iso-8601 utc universal rfc-3339"), most=0, format=True),
    "whoami": _Reader(),
    "id": _Reader("gGnru"),
    "uname": _Reader("amnoprsv"),
    "nproc": _Reader("", _longs("all")),
    "uptime": _Reader("ps"),
    "free": _Reader("bghkmt"),
    "grep": _GREP,
    "egrep": _GREP,
    "fgrep": _GREP,
    "cut": _Reader("bcdfnsz" + _DIGITS, _longs("bytes characters complement delimiter fields only-delimited")),
    "nl": _Reader("bnsw"),
    "tac": _Reader(),
    "rev": _Reader(),
    "sort": _Reader(
        "bcdfghiknMrstuVz" + _DIGITS, _longs("check ignore-case key numeric-sort reverse stable unique"), glued="kt"
    ),
    "uniq": _Reader("cdDfisuwz" + _DIGITS, _longs("count repeated unique ignore-case"), most=1),
    "comm": _Reader("123z"),
    "cmp": _Reader("bls"),
    "diff": _Reader(
        "abBcdeiNqrstuUwyZ" + _DIGITS,
        _longs(
            "brief color ignore-all-space ignore-case new-file recursive report-identical-files side-by-side unified"
        ),
    ),
    "md5sum": _Reader("bct", _longs("check quiet status")),
    "sha1sum": _Reader("bct", _longs("check quiet status")),
    "sha256sum": _Reader("bct", _longs("check quiet status")),
    "tree": _Reader("aCdDfhiLnpqrstu" + _DIGITS, _longs("dirsfirst noreport du")),
    "which": _Reader("a"),
    "cd": _Reader("LP", most=1),
    "sleep": _Reader(most=1),
    "seq": _Reader("sw", _longs("separator equal-width")),
    "printf": _Reader(),
    "test": _Reader(single=frozenset("-e -f -d -s -r -w -x -L -h -z -n -nt -ot -ef".split())),
    "tr": _Reader("cdsCt", _longs("complement delete squeeze-repeats")),
    "paste": _Reader("dsz", _longs("delimiters serial")),
    "join": _Reader("aeijotv12" + _DIGITS, _longs("ignore-case"), glued="t"),
    "fold": _Reader("bsw" + _DIGITS, _longs("width spaces")),
    "fmt": _Reader("csuw" + _DIGITS, _longs("width")),
    "expand": _Reader("it" + _DIGITS, _longs("tabs")),
    "column": _Reader("tsnxc", _longs("table separator")),
    "od": _Reader("AjNtvabcdofilsx" + _DIGITS),
    "hexdump": _Reader("bCcdovxns" + _DIGITS),
    "xxd": _Reader("bcglpsu" + _DIGITS, most=1),
    "strings": _Reader("anotf" + _DIGITS),
    "cksum": _Reader(),
    "sum": _Reader("rs"),
    "sha512sum": _Reader("bct", _longs("check quiet status")),
    "b2sum": _Reader("bct", _longs("check quiet status")),
    "jq": _Reader(
        "rcnesSMCaj", _longs("raw-output compact-output null-input exit-status slurp sort-keys arg argjson tab")
    ),
    "ps": _Reader("aefluxwpoA", most=1),
    "pgrep": _Reader("aflnoux"),
    "groups": _Reader(),
    "hostname": _Reader("fsdiI", most=0),
    "arch": _Reader(),
    "tty": _Reader("s"),
    "locale": _Reader("a"),
    "lscpu": _Reader("ae"),
    "lsblk": _Reader("afmpo"),
    "printenv": _Reader(),
    "type": _Reader("atpP"),
    "command": _Reader("vV"),
    "expr": _Reader(),
    "rg": _Reader(
        "acFhHilLnNopqsSuvwxABCegtT" + _DIGITS,
        _longs(
            "files count files-with-matches fixed-strings glob hidden ignore-case json line-number max-count "
            "multiline no-heading no-ignore only-matching quiet smart-case sort stats type word-regexp context"
        ),
    ),
    "zcat": _Reader(),
    "nm": _Reader("aCDgu"),
    "readelf": _Reader("ahlSs"),
    "objdump": _Reader("dhtfx"),
    "size": _Reader(),
    "find": _Reader(
        single=frozenset(
            "-name -iname -path -ipath -type -size -mtime -mmin -newer -maxdepth -mindepth -empty -print -print0 "
            "-not -a -o -and -or -perm -user -group -regex -iregex -ls -links -xdev -true -false -prune".split()
        )
    ),
}
_GIT: dict[str, _Reader] = {
    "status": _Reader("bsu", _longs("branch ignored long porcelain short untracked-files")),
    "log": _Reader(
        "npsS" + _DIGITS,
        _longs("all author decorate graph grep max-count name-only name-status oneline since stat until format pretty"),
        glued="SGL",
    ),
    "diff": _Reader("pwb", _longs("cached name-only name-status staged stat word-diff")),
    "show": _Reader("ps", _longs("name-only name-status oneline stat")),
    "branch": _Reader("arv", _longs("all list remotes show-current"), most=0),
    "rev-parse": _Reader("", _longs("abbrev-ref short show-toplevel verify")),
    "ls-files": _Reader("cdmostz", _longs("cached deleted modified others exclude-standard")),
    "blame": _Reader("Lwe"),
    "remote": _Reader("v", most=0),
    "tag": _Reader("l", _longs("list"), most=0),
}


# No option of these writes, runs or sends anything, so that what a glob or a variable becomes does not matter.
_ANY = frozenset(
    "ls cat head wc stat du df pwd echo true false basename dirname realpath readlink nproc grep egrep fgrep cut nl tac "
    "rev comm cmp md5sum sha1sum sha256sum sha512sum b2sum cksum sum tr fold fmt expand paste od strings id groups seq sleep".split()
)
# These tell their version and nothing else.
_VERSIONS = frozenset(
    "python python3 node npm npx pip pip3 git gcc g++ clang make cmake cargo rustc go java javac ruby perl php bash "
    "docker uv ruff mypy pytest tar curl wget ffmpeg pandoc jq rg".split()
)
_SED = re.compile(
    r"(?:(?:\d+|\$|/[\w .:,=^$*-]*/)(?:,(?:\d+|\$|/[\w .:,=^$*-]*/))?)?(?:[pdq=]|s/[^/\n;\\{}]*/[^/\n;\\{}]*/[gpI\d]*)",
    re.ASCII,
)
_AWK_ACTS = re.compile(r"system|getline|[|>@`\\]|\bclose\b")


def takes_anything(program: str) -> bool:
    """Whether the program only reads with whatever words it is given."""
    return program in _ANY


def reads_only(words: tuple[str, ...]) -> bool:
    """Whether this argv is a known program with known harmless flags. The name must be bare."""
    name, args = words[0], words[1:]
    if len(args) == 1 and args[0] in ("--version", "-V") and name in _VERSIONS:
        return True
    if name in _ANY:
        return True
    if name == "git":
        return bool(args) and args[0] in _GIT and _fits(_GIT[args[0]], args[1:])
    if name == "sed":
        return _reads_sed(args)
    if name in ("awk", "gawk", "mawk"):
        return _reads_awk(args)
    if name == "[":
        return args[-1:] == ("]",) and _fits(_READERS["test"], args[:-1])
    if name == "command" and args[:1] not in (("-v",), ("-V",)):
        return False
    if name in ("printf", "test") and any("[" in word for word in args if name == "test"):
        return False
    if name == "read":
        return all(word == "-r" or (word.isidentifier() and word.islower()) for word in args)
    reader = _READERS.get(name)
    return reader is not None and _fits(reader, args)


def _reads_sed(args: tuple[str, ...]) -> bool:
    """`sed [-n] [-E] SCRIPT FILE…` with a script that only prints, deletes from what is printed or substitutes."""
    rest = args
    while rest and rest[0] in ("-n", "-E", "-r", "-s", "-u", "-nE", "-nr", "--quiet", "--regexp-extended"):
        rest = rest[1:]
    return bool(rest) and _SED.fullmatch(rest[0]) is not None and not any(word.startswith("-") for word in rest[1:])


def _reads_awk(args: tuple[str, ...]) -> bool:
    """`awk [-F x] [-v a=b] PROGRAM FILE…` with a program that starts and writes nothing."""
    rest = args
    while rest and rest[0].startswith(("-F", "-v")):
        rest = rest[2:] if len(rest[0]) == 2 else rest[1:]
    return bool(rest) and not rest[0].startswith("-") and not any(_AWK_ACTS.search(word) for word in rest)


def _fits(reader: _Reader, args: tuple[str, ...]) -> bool:
    plain = 0
    for at, word in enumerate(args):
        if word == "--":
            plain += len(args) - at - 1
            break
        if not word.startswith("-") or word == "-":
            plain += not (reader.format and word.startswith("+"))
        elif word.startswith("--"):
            if word.split("=", 1)[0] not in reader.long:
                return False
        elif word[1] in reader.glued:
            continue
        elif word not in reader.single and not (reader.short and set(word[1:]) <= set(reader.short)):
            # A value glued to its letter (-n5, -A3) is only known when it is made of listed letters or digits.
            return False
    return reader.most is None or plain <= reader.most
