"""What a question is about, as rows to draw: the exact command or change, never the model's words about it.

Every character goes through `shown.visible`: nothing invisible, nothing that reorders, no markup.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from ..agent import shown
from ..values import Change, Outgoing, Proposal, ToolCall
from .words import mark, n_of, t, translated

if TYPE_CHECKING:
    # Read when there is a command to judge, not before the first frame.
    from ..policy.shell_risk import Line, RiskKind

Tone = Literal["plain", "danger", "add", "remove", "hunk", "head", "dim"]
_TONES: dict[str, Tone] = {"+": "add", "-": "remove", "@": "hunk", "…": "dim"}
_DID = {
    "edit": mark("{n} changed"),
    "move": mark("{n} moved"),
    "copy": mark("{n} copied"),
    "make_folder": mark("{n} folders made"),
    "trash": mark("{n} deleted"),
    "link": mark("{n} linked"),
    "chmod": mark("{n} given other permissions"),
}
_CREATED, _REPLACED = mark("{n} created"), mark("{n} replaced")

_RISKS: dict[RiskKind, str] = {
    "wipes": mark("wipes your home folder or the disk"),
    "device": mark("reaches a raw device"),
    "deletes": mark("deletes files"),
    "discards": mark("throws work away"),
    "overwrites": mark("writes over files"),
    "privilege": mark("asks for more rights"),
    "network": mark("reaches the network"),
    "persists": mark("leaves something that runs later"),
    "secrets": mark("reads a place for secrets"),
    "stops": mark("stops programs or the machine"),
    "code": mark("runs code that may do anything"),
    "unclear": mark("does what is only known when it runs"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the effect, in pieces of one tone each."""

    pieces: tuple[tuple[str, Tone], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


def rows(call: ToolCall, changes: Sequence[Proposal], folder: str, home: str) -> tuple[Row, ...]:
    """Everything that would happen, nothing shortened. Reads the files concerned, so it belongs in a thread."""
    if messages := [one for one in changes if isinstance(one, Outgoing)]:
        return tuple(row for message in messages for row in _of_message(message))
    changes = [one for one in changes if isinstance(one, Change)]
    return tuple(_of_changes(changes, folder) if changes else _of_call(call, home))


def summary(changes: Sequence[Change]) -> str:
    """`2 created, 1 deleted`."""
    counted = Counter(_did(change) for change in changes)
    return ", ".join(translated(text, n=f"{number:,}") for text, number in counted.items())


def _did(change: Change) -> str:
    if change.kind == "write":
        return _REPLACED if change.before else _CREATED
    return _DID[change.kind]


def _of_changes(changes: Sequence[Change], folder: str) -> Iterator[Row]:
    yield Row(((n_of(len(changes), "{n} change: {what}", "{n} changes: {what}", what=summary(changes)), "head"),))
    lines = shown.change_lines(changes, folder, limit=sys.maxsize)
    for change, line in zip(changes, lines, strict=True):
        tone: Tone = "remove" if change.kind == "trash" else "add" if _did(change) == _CREATED else "plain"
        yield Row(((f"  {line}", tone),))
    for diff in shown.diffs(changes, folder, sys.maxsize):
        yield Row((("", "plain"),))
        yield from diff_rows(diff)


def _of_message(message: Outgoing) -> Iterator[Row]:
    """The whole message as it would go out, its recipient in bold."""
    first, *rest = shown.message_lines(message, bold=lambda to: f"\0{to}\0")
    verb, to, by = first.split("\0")
    yield Row(((verb, "plain"), (to, "head"), (by, "plain")))
    for line in rest:
        yield Row(((line, "danger" if line.startswith("  CAREFUL") else "plain"),))


def diff_rows(diff: str) -> Iterator[Row]:
    """A diff whose first line is the file's name."""
    name, *lines = diff.split("\n")
    if lines[-1:] == [" "]:
        lines.pop()
    yield Row(((name, "head"),))
    for line in lines:
        yield Row(((line, _TONES.get(line[:1], "plain")),))


def _of_call(call: ToolCall, home: str) -> Iterator[Row]:
    from ..policy import subjects

    line = subjects.command(call, home)
    yield Row(((shown.visible(call.name, lines=False), "head"),))
    for key, value in call.args.items():
        text, dangers = _written(value, line)
        lines = list(_lines(marked(text, dangers)))
        label = shown.visible(str(key), lines=False)
        if len(lines) == 1:
            yield Row(((f"  {label}: ", "dim"), *lines[0]))
        else:
            yield Row(((f"  {label}:", "dim"),))
            yield from (Row((("    ", "plain"), *one)) for one in lines)
        if line is not None and text == line.text:
            yield from (Row((("  ", "plain"), ("!", "danger"), (f" {told}", "plain"))) for told in _careful(line))


def _written(value: object, line: Line | None) -> tuple[str, list[tuple[int, int]]]:
    """An argument as text, and where its dangerous parts stand if it is the command."""
    words = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
    text = shlex.join(cast("Sequence[str]", value)) if words and line is not None else str(value)
    if line is not None and text == line.text:
        return text, spans(line)
    return str(value), []


def spans(line: Line) -> list[tuple[int, int]]:
    """Where the dangerous parts of a command stand, in characters, as the policy found them."""
    return sorted({(risk.start, risk.end) for risk in line.risks if risk.end > risk.start})


def _careful(line: Line) -> Iterator[str]:
    """What the dangerous parts would do, and what is not known of the rest."""
    kinds = {risk.kind for risk in line.risks}
    if kinds:
        yield t("careful: it {does}", does=", ".join(translated(_RISKS[kind]) for kind in _RISKS if kind in kinds))
    if line.unread:
        yield t("not read completely: {why}", why=shown.visible(line.unread, lines=False))


def marked(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str, Tone]]:
    """The text in pieces, those within a span as danger; what is invisible is made visible."""
    pieces: list[tuple[str, Tone]] = []
    at = 0
    for start, end in spans:
        if end <= at:
            continue
        pieces += [(text[at : max(at, start)], "plain"), (text[max(at, start) : end], "danger")]
        at = end
    pieces.append((text[at:], "plain"))
    return [(shown.visible(piece), tone) for piece, tone in pieces if piece] or [("", "plain")]


def _lines(pieces: Sequence[tuple[str, Tone]]) -> Iterator[tuple[tuple[str, Tone], ...]]:
    line: list[tuple[str, Tone]] = []
    for text, tone in pieces:
        first, *rest = text.split("\n")
        line.append((first, tone))
        for more in rest:
            yield tuple(line)
            line = [(more, tone)]
    yield tuple(line)
