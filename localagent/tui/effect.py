"""What a question is about, as rows to draw: the exact command or change, never the model's words about it.

Every character goes through `shown.visible`: nothing invisible, nothing that reorders, no markup.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..agent import shown
from ..values import Change, Outgoing, Proposal, ToolCall
from .wording import count

Tone = Literal["plain", "danger", "add", "remove", "hunk", "head", "dim"]
_TONES: dict[str, Tone] = {"+": "add", "-": "remove", "@": "hunk", "…": "dim"}
_DID = {
    "edit": "changed",
    "move": "moved",
    "copy": "copied",
    "make_folder": "folders made",
    "trash": "deleted",
    "link": "linked",
    "chmod": "given other permissions",
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
    return ", ".join(f"{number:,} {word}" for word, number in counted.items())


def _did(change: Change) -> str:
    if change.kind == "write":
        return "replaced" if change.before else "created"
    return _DID[change.kind]


def _of_changes(changes: Sequence[Change], folder: str) -> Iterator[Row]:
    yield Row(((f"{count(len(changes), 'change')}: {summary(changes)}", "head"),))
    lines = shown.change_lines(changes, folder, limit=sys.maxsize)
    for change, line in zip(changes, lines, strict=True):
        tone: Tone = "remove" if change.kind == "trash" else "add" if _did(change) == "created" else "plain"
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
    yield Row(((shown.visible(call.name, lines=False), "head"),))
    for key, value in call.args.items():
        text = str(value)
        label = shown.visible(str(key), lines=False)
        pieces = marked(text, dangers(text, home)) if key == "command" else [(shown.visible(text), "plain")]
        lines = list(_lines(pieces))
        if len(lines) == 1:
            yield Row(((f"  {label}: ", "dim"), *lines[0]))
            continue
        yield Row(((f"  {label}:", "dim"),))
        for line in lines:
            yield Row((("    ", "plain"), *line))


def dangers(command: str, home: str) -> list[tuple[int, int]]:
    """Where the dangerous parts of a shell line stand, in characters; best effort."""
    from ..policy import shell_risk

    line = shell_risk.read(command, home)
    spans = [
        (piece.start, piece.end) for piece in getattr(line, "pieces", ()) if getattr(piece, "risks", ()) and piece.end
    ]
    for risk in line.risks:
        at = command.find(risk.what) if risk.what else -1
        if at >= 0 and not any(start <= at < end for start, end in spans):
            spans.append((at, at + len(risk.what)))
    return sorted(spans)


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
