"""Each simple command of a script, classed by what it does, with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from . import shell_places
from .shell_readers import reads_only, takes_anything
from .shell_shapes import Risk, RiskKind, command_risks, is_device, is_filter
from .shell_tree import Command, Opaque, Redirect, Script, Word
from .shell_words import SHELLS, Segment, nested, program, segments, strip_wrappers

Class = Literal["read", "write", "network", "privilege", "persistence", "irreversible", "code", "unknown"]

CLASS_OF: dict[RiskKind, Class] = {
    "deletes": "irreversible",
    "overwrites": "irreversible",
    "discards": "irreversible",
    "wipes": "irreversible",
    "device": "irreversible",
    "stops": "irreversible",
    "privilege": "privilege",
    "network": "network",
    "persists": "persistence",
    "code": "code",
    "secrets": "read",
    "unclear": "unknown",
}
_WRITERS = frozenset(
    "mkdir touch cp mv ln install rm rmdir unlink trash tee truncate shred dd tar unzip zip gzip gunzip bzip2 bunzip2 xz "
    "unxz zstd unzstd 7z cpio ar patch rsync chmod chown chgrp split csplit mktemp mkfifo mknod sed perl sort sponge "
    "convert magick ffmpeg pandoc git npm pip make cargo go cmake ninja gcc g++ cc clang javac rustc black ruff prettier "
    "isort autopep8 dos2unix rename mmv ctags setfattr setfacl chattr xxd base64 openssl gpg exiftool".split()
)
# What these are given is a program, in which a value may become an order.
_SMALL_LANGUAGES = frozenset("sed awk gawk mawk".split())
_WRITES = frozenset({">", ">>", ">|", "<>", "&>", "&>>", ">&"})
_NOWHERE = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "-"})


@dataclass(frozen=True, slots=True)
class Piece:
    """One simple command: what it does, and where it stands in the line, in characters."""

    classes: frozenset[Class]
    start: int
    end: int
    risks: tuple[Risk, ...] = ()


def pieces(script: Script, home: str) -> tuple[Piece, ...]:
    """Every command of the script, in the order in which they end."""
    return (*(_piece(command, home) for command in script.commands), *map(_opaque, script.opaque))


def segment_risks(segment: Segment, home: str) -> list[Risk]:
    """The risks of a piece that was found by the lenient look."""
    found = [Risk("device" if is_device(target) else "overwrites", f"> {target}") for target in segment.overwritten]
    if segment.words:
        found += command_risks(segment.words, home)
    return [replace(risk, start=segment.start, end=segment.end) for risk in found]


def named_secrets(segment: Segment, home: str) -> list[Risk]:
    """Places with keys that any word names, also one that is only kept or printed to be used elsewhere."""
    words = (word for word in segment.words if shell_places.secret(word, home))
    name = program(segment.words) if segment.words else ""
    return [Risk("secrets", word, segment.start, segment.end) for word in words if not is_filter(name, word)]


def _opaque(place: Opaque) -> Piece:
    kind: RiskKind = "code" if place.why.startswith("it sets") else "unclear"
    risk = Risk(kind, place.why, place.start, place.end)
    return Piece(frozenset({CLASS_OF[kind]}), place.start, place.end, (risk,))


def _piece(command: Command, home: str) -> Piece:
    risks = [risk for redirect in command.redirects for risk in _redirect_risks(redirect, home)]
    classes: set[Class] = {"write" for redirect in command.redirects if _writes(redirect)}
    reads = _reads(command.words) if command.words else not classes
    writer = not reads and bool(command.words) and _writer(command.words)
    if command.words:
        risks += _word_risks(command, home)
    kinds: set[Class] = {CLASS_OF[risk.kind] for risk in risks}
    if not (reads or writer) and command.words and kinds <= {"read"}:
        kinds.add("unknown")
    classes |= kinds | ({"read"} if reads else set()) | ({"write"} if writer else set())
    return Piece(frozenset(classes), command.start, command.end, tuple(dict.fromkeys(risks)))


def _writer(words: tuple[Word, ...]) -> bool:
    rest = strip_wrappers(tuple(word.text for word in words))
    return words[0].known and bool(rest) and program(rest) in _WRITERS


def _reads(words: tuple[Word, ...]) -> bool:
    """Whether the command only reads, whatever stands for the words that are not known yet."""
    if not words[0].known or not reads_only(tuple(word.text for word in words)):
        return False
    if words[0].text in _SMALL_LANGUAGES and not all(word.known for word in words):
        return False
    return takes_anything(words[0].text) or not any(_may_be_option(word) for word in words[1:])


def _may_be_option(word: Word) -> bool:
    if word.known:
        return False
    return word.splits or not (word.text[:1].isalnum() or word.text[:1] in "/._~<")


def _word_risks(command: Command, home: str) -> list[Risk]:
    words = command.words
    texts = tuple(word.text for word in words)
    start, end = words[0].start, words[-1].end
    found: list[Risk] = []
    if not words[0].known or texts[0].startswith("%"):
        found.append(Risk("unclear", f"{texts[0]} is only known when it runs", start, words[0].end))
    dangerous = command_risks(texts, home)
    found += [replace(risk, **_place(risk, words, start, end)) for risk in dangerous]
    for text, index in nested(texts):
        first, last = (words[index].start, words[index].end) if index >= 0 else (start, end)
        for segment in segments(text):
            found += [replace(risk, start=first, end=last) for risk in segment_risks(segment, home)]
    if program(texts) in SHELLS:
        for redirect in command.redirects:
            for segment in segments(redirect.body):
                found += [replace(r, start=redirect.start, end=redirect.end) for r in segment_risks(segment, home)]
    return found


def _place(risk: Risk, words: tuple[Word, ...], start: int, end: int) -> dict[str, int]:
    """A risk that is one word stands where this word does, any other where the command does."""
    if risk.kind in ("secrets", "device", "persists"):
        for word in words:
            if word.text == risk.what:
                return {"start": word.start, "end": word.end}
    return {"start": start, "end": end}


def _writes(redirect: Redirect) -> bool:
    target = redirect.target
    if target is None or redirect.op not in _WRITES:
        return False
    return not (
        target.known and (target.text in _NOWHERE or (redirect.op == ">&" and target.text.rstrip("-").isdigit()))
    )


def _redirect_risks(redirect: Redirect, home: str) -> list[Risk]:
    target = redirect.target
    if target is None or redirect.op == "<<<":
        return []
    what = f"{redirect.op} {target.text}"
    found: list[RiskKind] = []
    if "/dev/tcp/" in target.text or "/dev/udp/" in target.text:
        found.append("network")
    if shell_places.secret(target.text, home):
        found.append("secrets")
    if is_device(target.text):
        found.append("device")
    elif _writes(redirect):
        found += ["overwrites"] if ">>" not in redirect.op else []
        found += ["persists"] if shell_places.starts_programs(target.text, home) else []
        found += ["unclear"] if not target.known and target.splits else []
    elif not target.known and not target.text.startswith("<("):
        found += ["unclear"] if target.splits else []
    return [Risk(kind, what, redirect.start, redirect.end) for kind in found]
