"""What the model is shown of a long output: its beginning, its end, and where the rest is."""

from __future__ import annotations

from pathlib import Path

from ..store.atomic import write_atomic

SHOWN = 6000
"""Characters of one result that reach the model; longer ones go to a file."""


def fit(text: str, file: Path, shown: int = SHOWN) -> tuple[str, str | None]:
    """The text as it is, or its head and tail and the path of the file that holds all of it."""
    if len(text) <= shown:
        return text, None
    write_atomic(file, text.encode("utf-8", "replace"))
    head = _to_line_end(text[: shown * 2 // 3])
    tail = _from_line_start(text[-(shown // 3) :])
    first = head.count("\n") + 1
    left = len(text) - len(head) - len(tail)
    note = (
        f"\n[... {left:,} of {len(text):,} characters are not shown. "
        f'All of it is in {file}; read on with read_file(path="{file}", start={first}) ...]\n'
    )
    return head + note + tail, str(file)


def _to_line_end(text: str) -> str:
    cut = text.rfind("\n")
    return text[: cut + 1] if cut > len(text) // 2 else text


def _from_line_start(text: str) -> str:
    cut = text.find("\n")
    return text[cut + 1 :] if 0 <= cut < len(text) // 2 else text
