"""Look at files: list, find, search, read. Nothing here changes anything."""

from __future__ import annotations

import fnmatch
import glob
import heapq
import os
import re
import time
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from localagent import Encoding, ToolError, encoding_of, tool

_SHOWN = 200
_LINES = 100
_LINE = 300
_TEXT = 5500
_SAMPLE = 65536
_WHOLE = 64 * 1024 * 1024
_WALKED = 400_000
_SKIPPED = {".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv", ".Trash"}


@tool(effects=["read:fs"])
def list_files(path: Path = Path(".")) -> str:
    """List a folder with file sizes."""
    if _is_pattern(path):
        return find_files(path.name, path.parent)
    if path.is_file():
        return f"{_name(path)} is a file, {_size(path.stat().st_size)}."
    folders: list[str] = []
    files: list[tuple[str, int, float]] = []
    for entry in _scan(path):
        if entry.is_dir():
            folders.append(entry.name)
        else:
            facts = _facts(entry)
            files.append((entry.name, facts.st_size if facts else 0, facts.st_mtime if facts else 0.0))
    if not folders and not files:
        return f"{_name(path)} is empty."
    total = sum(size for _, size, _ in files)
    head = f"{_name(path)}: {_count(len(folders), 'folder')}, {_count(len(files), 'file')} ({_size(total)})"
    if len(files) > 1:
        largest, newest = max(files, key=lambda file: file[1]), max(files, key=lambda file: file[2])
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(newest[2]))
        head += f"; largest {_quoted(largest[0])} ({_size(largest[1])}), newest {_quoted(newest[0])} ({day})"
    shown = [f"{_quoted(name)}/" for name in heapq.nsmallest(_SHOWN, folders)]
    room = max(_SHOWN - len(shown), 20)
    shown += [f"{_quoted(name)}  {_size(size)}" for name, size, _ in heapq.nsmallest(room, files)]
    left = len(folders) + len(files) - len(shown)
    if left > 0:
        kinds = Counter(os.path.splitext(name)[1] or "no ending" for name, _, _ in files).most_common(5)
        told = ", ".join(f"{kind} {count:,}" for kind, count in kinds)
        shown.append(f"... and {left:,} more (files by ending: {told}). Use find_files to see some of them.")
    return "\n".join([head, *shown])


@tool(effects=["read:fs"])
def find_files(pattern: str, path: Path = Path(".")) -> str:
    """Find files by name, such as *.pdf or report, in a folder and below it, with sizes."""
    if not path.is_dir():
        raise ToolError(_missing(path) if not path.exists() else f"{_name(path)} is a file, not a folder.")
    matches = _matcher(pattern)
    found: list[tuple[str, str]] = []
    walked = 0
    examples: list[str] = []
    for entry, relative in _walk(path, pattern):
        walked += 1
        if len(examples) < 5 and entry.is_file():
            examples.append(_quoted(relative))
        if matches(relative) or ("/" in pattern and matches(str(path / relative))):
            facts = None if entry.is_dir() else _facts(entry)
            found.append((relative, "/" if entry.is_dir() else f"  {_size(facts.st_size)}" if facts else ""))
    where = _name(path)
    if not found:
        hint = f" There are {walked:,} entries, for example {', '.join(examples)}." if examples else ""
        return f"Nothing in {where} matches {pattern!r}.{hint}"
    shown = [_quoted(os.path.normpath(path / name)) + mark for name, mark in heapq.nsmallest(_SHOWN, found)]
    more = f"\n... and {len(found) - _SHOWN:,} more. Use a narrower pattern." if len(found) > _SHOWN else ""
    return f"{_count(len(found), 'match', 'matches')}:\n" + "\n".join(shown) + more


@tool(effects=["read:fs"])
def search_text(pattern: str, path: Path = Path(".")) -> str:
    """Find the lines that contain a text (or match a regex) in a file or folder."""
    if not pattern:
        raise ToolError("Give the text to look for in 'pattern'.")
    files = _searched(path)
    tries = [("", _first(re.escape(pattern))), (" (upper and lower case ignored)", _first(re.escape(pattern), re.IGNORECASE))]
    try:
        tries.append((" (as a regular expression)", _first(pattern.replace(r"\|", "|"))))
    except re.error:
        pass
    plain = _plain(pattern)
    alike = " (wide, narrow and composed letters taken as the same)"
    tries.append((alike, lambda line: -1 if line.isascii() else _plain(line).find(plain)))
    for note, where in tries:
        hits, lines, matched = _search(files, where)
        if hits:
            more = f"\n... and {hits - len(lines):,} more lines" if hits > len(lines) else ""
            head = f"{_count(hits, 'line')} in {_count(matched, 'file')}{note}:"
            return "\n".join([head, *lines]) + more
    return f"{pattern!r} is in none of the {len(files):,} text files searched in {_name(path)}."


@tool(effects=["read:fs"])
def read_file(path: Path, start: int | None = None, end: int | None = None) -> str:
    """Read a text file, or its lines start to end."""
    if _is_pattern(path):
        return _several(path, start, end)
    if path.is_dir():
        names = ", ".join(_quoted(entry.name) for entry in islice(_scan(path), 20))
        raise ToolError(f"{_name(path)} is a folder. Read one of its files: {names or 'it has none'}.")
    if not path.exists():
        raise ToolError(_missing(path))
    if not path.is_file():
        raise ToolError(f"{_name(path)} is a device or pipe, not a file.")
    size = path.stat().st_size
    if size == 0 and not path.read_bytes():
        return f"{_name(path)} is empty."
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    encoding = _encoding(path, sample)
    if encoding is None:
        return f"{_name(path)} is not text: {_kind(sample)}, {_size(size)}."
    text = _lines(path, _opened(encoding), size, start, end)
    if encoding.name == "UTF-8":
        return text
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}[the file is in {encoding.name}; an edit keeps that]"


def _several(pattern: Path, start: int | None, end: int | None) -> str:
    """Every file of a pattern under its name, as far as there is room."""
    paths = [found for found in _searched(pattern) if found.is_file()]
    shown: list[str] = []
    room = _TEXT
    for path in paths:
        text = read_file(path, start, end)
        if shown and len(text) > room:
            left = len(paths) - len(shown)
            return "\n".join([*shown, f"[{_count(left, 'more file')} not shown: read them one by one]"])
        room -= len(text)
        shown.append(text if len(paths) == 1 else f"== {_name(path)} ==\n{text.rstrip()}")
    return "\n".join(shown) or f"{_name(pattern)} matches no file."


def _is_pattern(path: Path) -> bool:
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def _lines(path: Path, encoding: str, size: int, start: int | None, end: int | None) -> str:
    whole = size <= _WHOLE
    with path.open(encoding=encoding, errors="replace", newline=None) as file:
        if start is not None and start < 0:
            last = deque(enumerate(file, 1), maxlen=min(-start, 5000))
            seen = last[0][0] - 1 if last else 0
            lines = iter([line for _, line in last])
        else:
            seen = sum(1 for _ in islice(file, max(start or 1, 1) - 1))
            lines = file
        first, cut = seen + 1, False
        taken: list[str] = []
        room = _TEXT
        for line in lines:
            seen += 1
            if (end is not None and seen > end >= 0) or (taken and room < len(line)):
                cut = not whole
                break
            taken.append(
                line if len(line) <= _TEXT else f"{line[:_TEXT]} ... [{len(line):,} characters in this line]\n"
            )
            room -= len(line)
        if whole:
            seen += sum(1 for _ in lines)
    last_shown = first + len(taken) - 1
    if not taken:
        return f"{_name(path)} has only {_count(seen, 'line')}."
    text = "".join(taken)
    if first == 1 and last_shown == seen:
        return text
    of = f"more than {seen - 1:,}" if cut else f"{seen:,}"
    note = f"[lines {first}-{last_shown} of {of}"
    if last_shown < seen:
        note += f"; read on with start={last_shown + 1}"
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}{note}]"


def _scan(path: Path) -> Iterator[os.DirEntry[str]]:
    try:
        yield from os.scandir(path)
    except FileNotFoundError:
        raise ToolError(_missing(path)) from None
    except PermissionError:
        raise ToolError(f"{_name(path)} may not be read.") from None
    except NotADirectoryError:
        raise ToolError(f"{_name(path)} is a file, not a folder.") from None


def _facts(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:
        return None


def _walk(root: Path, asked: str = "") -> Iterator[tuple[os.DirEntry[str], str]]:
    """Every entry below `root` with its relative path; what no person put there only when asked for."""
    folders = deque([""])
    walked = 0
    while folders:
        folder = folders.popleft()
        try:
            entries = list(os.scandir(root / folder))
        except OSError:
            continue
        for entry in entries:
            walked += 1
            if walked > _WALKED:
                return
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name in _SKIPPED and entry.name not in asked:
                    continue
                folders.append(relative)
            yield entry, relative


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a relative path is meant by a glob or, without one, by a part of a name."""
    wanted = _composed(pattern.strip().removeprefix(f"{Path.cwd()}/").removeprefix("./"))
    if not re.search(r"[*?\[{]", wanted):
        low = wanted.rstrip("/").lower()
        return lambda relative: low in _composed(relative if "/" in low else os.path.basename(relative)).lower()
    expressions = [re.compile(_translated(one), re.IGNORECASE) for one in _braces(wanted)]
    on_path = "/" in wanted
    return lambda relative: any(
        expression.match(_composed(relative if on_path else os.path.basename(relative))) for expression in expressions
    )


def _composed(name: str) -> str:
    """Some systems keep the accents of names apart from their letters."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _translated(pattern: str) -> str:
    """A glob as a regular expression; `**/` is any number of folders."""
    if "/" not in pattern:
        return fnmatch.translate(pattern)
    pieces = []
    for piece in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern):
        special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        pieces.append(special.get(piece) or (piece if piece.startswith("[") else re.escape(piece)))
    return "(?s:" + "".join(pieces) + r")\Z"


def _braces(pattern: str) -> list[str]:
    found = re.search(r"\{([^{}]*)\}", pattern)
    if not found:
        return [pattern]
    parts = (pattern[: found.start()] + part.strip() + pattern[found.end() :] for part in found[1].split(","))
    return [whole for part in parts for whole in _braces(part)][:100]


def _searched(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(path / relative for entry, relative in _walk(path, str(path)) if entry.is_file())
    found = [Path(name) for one in _braces(str(path)) for name in glob.glob(one, recursive=True)]
    if not found:
        raise ToolError(_missing(path))
    return sorted(name for name in found if name.is_file())


def _first(expression: str, flags: int = 0) -> Callable[[str], int]:
    """Where in a line an expression is found first, -1 where it is not."""
    search = re.compile(expression, flags).search
    return lambda line: found.start() if (found := search(line)) else -1


def _plain(text: str) -> str:
    """Without the differences that are not seen or not meant: composed or not, fullwidth or not, large or small."""
    return unicodedata.normalize("NFKC", text).casefold()


def _search(files: list[Path], where: Callable[[str], int]) -> tuple[int, list[str], int]:
    hits, matched = 0, 0
    lines: list[str] = []
    for file in files:
        before = hits
        for number, line in _text_lines(file):
            if (at := where(line)) >= 0:
                hits += 1
                if len(lines) < _LINES:
                    lines.append(f"{_quoted(str(file))}:{number}: {_around(line, at)}")
        matched += hits > before
    return hits, lines, matched


def _around(line: str, at: int) -> str:
    """The line, or of a long one the part in which something was found."""
    text = line.strip()
    if len(text) <= _LINE:
        return text
    start = max(0, min(at - len(line) + len(line.lstrip()) - _LINE // 3, len(text) - _LINE))
    return ("... " if start else "") + text[start : start + _LINE] + (" ..." if start + _LINE < len(text) else "")


def _text_lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open("rb") as binary:
            encoding = _encoding(file, binary.read(_SAMPLE))
        if encoding is not None:
            with file.open(encoding=_opened(encoding), errors="replace") as text:
                yield from enumerate(text, 1)
    except OSError:
        return


def _encoding(path: Path, sample: bytes) -> Encoding | None:
    """The encoding of a file that begins with `sample`; where that is ASCII, by its first part that is not."""
    whole = len(sample) < _SAMPLE
    if whole or not sample.isascii() or b"\0" in sample or b"\x1b$" in sample:
        return encoding_of(sample, whole)
    with path.open("rb") as file:
        for part in iter(lambda: file.read(_SAMPLE), b""):
            if not part.isascii():
                return encoding_of(part[next(at for at, byte in enumerate(part) if byte > 127) :], False)
            if file.tell() > _WHOLE:
                break
    return encoding_of(sample, False)


def _opened(encoding: Encoding) -> str:
    """The codec that reads over the file's mark."""
    if encoding.mark:
        return {"UTF-8": "utf-8-sig", "UTF-16": "utf-16", "UTF-32": "utf-32"}[encoding.name]
    return encoding.codec


def _kind(sample: bytes) -> str:
    kinds = {
        b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"%PDF": "a PDF document",
        b"PK\x03\x04": "a ZIP archive or Office document", b"\x1f\x8b": "gzip data", b"\x7fELF": "a program",
        b"SQLite format 3": "an SQLite database", b"RIFF": "audio, video or WebP", b"ID3": "MP3 audio",
        b"7z\xbc\xaf": "a 7z archive", b"GGUF": "a language model",
    }  # fmt: skip
    return next((told for start, told in kinds.items() if sample.startswith(start)), "binary data")


def _missing(path: Path) -> str:
    """That `path` does not exist, and what there is instead."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    entries = list(islice(_scan(folder), 2000))
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in entries)
    text = f"{_name(path)} does not exist."
    wanted = path.name.lower()
    elsewhere = [relative for entry, relative in islice(_walk(Path(".")), 5000) if entry.name.lower() == wanted]
    close = elsewhere[:3] or [str(folder / name) for name in get_close_matches(path.name, names, n=3, cutoff=0.75)]
    if close:
        text += f" Did you mean {' or '.join(_quoted(name) for name in close)}?"
    shown = ", ".join(_quoted(name) for name in names[:20])
    rest = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return f"{text} In {_name(folder)} there is: {shown or 'nothing'}{rest}."


def _name(path: Path) -> str:
    return "this folder" if str(path) == "." else _quoted(str(path))


def _quoted(name: str) -> str:
    """A name as it is; in quotes where spaces at its ends or control characters would mislead."""
    plain = name.encode("utf-8", "replace").decode()
    return plain if plain.isprintable() and plain == plain.strip() else repr(name)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    units = ["KB", "MB", "GB", "TB"]
    value, unit = size / 1000, units.pop(0)
    while value >= 999.5 and units:
        value, unit = value / 1000, units.pop(0)
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
