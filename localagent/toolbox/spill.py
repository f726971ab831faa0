"""What the model is shown of a long output: its beginning, its end, and how to see the rest, which is kept whole."""

from __future__ import annotations

from pathlib import Path

from ..store.atomic import write_atomic

SHOWN = 6000
"""Characters of one result that reach the model; longer ones go to a file."""


def fit(text: str, file: Path, shown: int = SHOWN) -> tuple[str, str | None]:
    """The text as it is, or its head and tail and the path of the file that holds all of it. Raises StoreError."""
    if len(text) <= shown:
        return text, None
    write_atomic(file, text.encode("utf-8", "replace"))
    return ends(text, str(file), shown), str(file)


def ends(text: str, file: str, shown: int = SHOWN) -> str:
    """About `shown` characters of the head and tail of a text, and between them what is left out and how to see it in `file`."""
    head = _to_line_end(text[: shown * 2 // 3])
    tail = _from_line_start(text[max(len(head), len(text) - shown // 3) :])
    return head + left_out(text, len(head), len(text) - len(tail), file) + tail


def left_out(text: str, begin: int, end: int, file: str) -> str:
    """What is said in place of the characters from `begin` up to `end`: nothing is left out unsaid."""
    first, every = text.count("\n", 0, begin) + 1, text.count("\n") + (not text.endswith("\n"))
    last = text.count("\n", 0, end) + (not text[:end].endswith("\n"))
    size, whole = (len(part.encode("utf-8", "replace")) for part in (text[begin:end], text))
    lines = f"lines {first:,} to {last:,} of {every:,}" if last > first else f"a part of line {first:,} of {every:,}"
    return (
        f"\n[... not shown: {lines}, {size:,} of {whole:,} bytes. All of it is kept in {file}\n"
        f'Read on: read_file(path="{file}", start={first}). Find words in it: search_text(pattern="WORDS", path="{file}") ...]\n'
    )


def _to_line_end(text: str) -> str:
    cut = text.rfind("\n")
    return text[: cut + 1] if cut > len(text) // 2 else text


def _from_line_start(text: str) -> str:
    cut = text.find("\n")
    return text[cut + 1 :] if 0 <= cut < len(text) // 2 else text
