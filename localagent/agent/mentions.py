"""What the user's own words name in the folder is looked at before the model is asked.

A small model acts on what it sees: the first lines of a named file, the entries of a
named folder. Only plain reading that the rules allow unasked; nothing is run.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from ..toolbox.encodings import encoding_of
from ..toolbox.twins import as_on_disk

# Between words: spaces and the marks of ASCII, of Arabic, of Hindi, of Chinese and Japanese, and quotes of all.
_MARKS = r"\s\"'`,;:!?()\[\]{}<>\u00ab\u00bb\u201c-\u201f\u060c\u061b\u061f\u0964\u3001\u3002\u3008-\u3011"
_MARKS += r"\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"
_WORD = re.compile(f"[^{_MARKS}]+")
_ASCII = re.compile(r"[!-~]{3,}")
_GOAL = 20_000
_PATHS = 4
_LINES = 8
_WIDTH = 120
_ENTRIES = 25
_SEEN = 5000


def told(goal: str, folder: Path, may_read: Callable[[Path], bool], mask: Callable[[str], str] = str) -> str:
    """A few lines about each file or folder that `goal` names, "" where it names none.

    `mask` hides secrets, before a line is cut in the middle of one.
    """
    found = islice((p for p in named(goal, folder) if may_read(p)), _PATHS)
    return "\n".join(text for path in found if (text := _about(path, folder, mask)))


def named(goal: str, folder: Path) -> Iterator[Path]:
    """Existing paths in `folder` that the words of `goal` spell, each once, in the order of the words."""
    goal = goal[:_GOAL]
    words = [word.rstrip(".").rstrip("/") or word for word in _WORD.findall(goal)]
    spaced = [name for name in _names(folder) if " " in name and name in goal]
    if not goal.isascii():
        # In Chinese, Japanese or Thai, and before Korean endings, no space says where a name begins and ends.
        spaced += sorted((name for name in _names(folder) if _stands(name, goal)), key=goal.find)
        words += [part.rstrip("./") for word in words if not word.isascii() for part in _ASCII.findall(word)]
    seen: set[str] = set()
    for word in [*spaced, *words]:
        path = Path(as_on_disk(os.path.normpath(folder / os.path.expanduser(word)), str(folder)))
        if path == folder or folder not in path.parents or str(path) in seen or not os.path.lexists(path):
            continue
        seen.add(str(path))
        yield path


def _stands(name: str, goal: str) -> bool:
    """Whether a name with an ending is in the text, not as a part of a longer one of ASCII."""
    if "." not in name[1:] or len(name) < 4:
        return False
    before, found, behind = unicodedata.normalize("NFC", goal).partition(unicodedata.normalize("NFC", name))
    joined = [one for one in (before[-1:], behind[:1]) if one and one.isascii() and (one.isalnum() or one in "._-/")]
    return bool(found) and not joined


def _about(path: Path, folder: Path, mask: Callable[[str], str]) -> str:
    name = path.relative_to(folder)
    try:
        if path.is_dir():
            return _folder(path, f"{name}/")
        if path.is_file():
            return _file(path, str(name), mask)
    except OSError:
        pass
    return ""


def _folder(path: Path, name: str) -> str:
    with os.scandir(path) as entries:
        seen = sorted(islice(entries, _SEEN), key=lambda e: e.name)
    shown = [_entry(e) for e in seen[:_ENTRIES]]
    more = f" and {len(seen) - _ENTRIES}{'+' if len(seen) == _SEEN else ''} more" if len(seen) > _ENTRIES else ""
    return f"{name}: {', '.join(shown) or 'empty'}{more}"


def _entry(entry: os.DirEntry[str]) -> str:
    name = shlex.quote(entry.name) if entry.name.isprintable() else ascii(entry.name)
    return f"{name}/" if entry.is_dir(follow_symlinks=False) else f"{name} ({_size(entry)})"


def _size(entry: os.DirEntry[str]) -> str:
    return f"{entry.stat(follow_symlinks=False).st_size} bytes"


def _file(path: Path, name: str, mask: Callable[[str], str]) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_LINES * _WIDTH * 2)
    encoding = encoding_of(head, len(head) == size)
    if encoding is None:
        return f"{name}: {size} bytes, not text"
    lines = mask(encoding.begin(head)).splitlines()
    shown = [line if len(line) <= _WIDTH else line[:_WIDTH] + "…" for line in lines[:_LINES]]
    whole = len(head) == size and len(lines) <= _LINES
    title = f"{name} ({size} bytes)" if whole else f"{name} ({size} bytes, its first lines)"
    return "\n".join([f"{title}:", *(f"  | {line}" for line in shown)]) if shown else f"{name}: empty"


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [e.name for e in islice(entries, _SEEN)]
    except OSError:
        return []
