"""Which programs only read, with the flags we know to be harmless. A flag that is not listed is not known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Reader:
    """`short` are flag letters (they may stand together), `long` whole flags, `single` whole one-dash flags.

    `most` is how many plain words at most (None: any); with `format`, a word that starts with `+` is not counted.
    """

    short: str = ""
    long: frozenset[str] = frozenset()
    single: frozenset[str] = frozenset()
    most: int | None = None
    format: bool = False


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
    "tail": _Reader("cnqvz" + _DIGITS, _longs("bytes lines quiet silent verbose")),
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
    "sort": _Reader("bcdfghiknMrstuVz" + _DIGITS, _longs("check ignore-case key numeric-sort reverse stable unique")),
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
        _longs("all author decorate graph grep max-count name-only name-status oneline since stat until"),
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


def reads_only(words: tuple[str, ...]) -> bool:
    """Whether this argv is a known program with known harmless flags. The name must be bare."""
    if words[0] == "git":
        if len(words) < 2 or words[1] not in _GIT:
            return False
        return _fits(_GIT[words[1]], words[2:])
    reader = _READERS.get(words[0])
    return reader is not None and _fits(reader, words[1:])


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
        elif word not in reader.single and not (reader.short and set(word[1:]) <= set(reader.short)):
            # A value glued to its letter (-n5, -A3) is only known when it is made of listed letters or digits.
            return False
    return reader.most is None or plain <= reader.most
