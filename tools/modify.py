"""Change files: write, edit, move, copy, make folders, trash.

Every tool returns requests; the host carries them out. The text is read once that is done.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from difflib import SequenceMatcher, get_close_matches
from itertools import islice
from pathlib import Path

from localagent import Copy, Edit, Encoding, MakeFolder, Move, Result, ToolError, Trash, Write, kept, tool

_WHOLE = 32 * 1024 * 1024
# Between words of these scripts stands no space: Thai to Khmer, Chinese and Japanese.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@tool(effects=["write:fs"])
def write_file(path: Path, content: str) -> Result:
    """Create a file, or replace everything in it."""
    if path.is_dir():
        raise ToolError(f"{_name(path)} is a folder. Give the path of a file in it, such as {path}/notes.txt.")
    _plain_file(path)
    data = content.encode("utf-8", "replace")
    there = path.exists()
    if there and path.stat().st_size == len(data) and path.read_bytes() == data:
        return Result(f"{_name(path)} already has exactly this content.")
    lines = content.count("\n") + (not content.endswith("\n") and content != "")
    verb = "Replaced the content of" if there else "Wrote"
    return Result(f"{verb} {_name(path)} ({_count(lines, 'line')}).", [Write(path, data)])


@tool(effects=["write:fs"])
def edit_file(path: Path, old: str, new: str) -> Result:
    """Replace the exact text old with new in a file (or in all files of a pattern like *.md)."""
    if not old:
        raise ToolError("Give the text to replace in 'old', or use write_file to write the whole file.")
    if old == new:
        raise ToolError("'old' and 'new' are the same; nothing would change.")
    files = [file for file in _sources(str(path)) if not file.is_dir()]
    if not files:
        raise ToolError(f"{_name(path)} is a folder. Give a file, or a pattern such as {path}/*.txt.")
    if len(files) == 1:
        edit, told = _edited(files[0], old, new)
        return Result(told, [edit] if edit else ())
    edits, lines = [], []
    for file in files:
        try:
            edit, told = _edited(file, old, new)
        except ToolError:
            continue
        if edit:
            edits.append(edit)
            lines.append(told)
    if not edits:
        raise ToolError(f"None of the {len(files):,} files contains {_short(old)}.")
    return Result(f"Changed {len(edits)} of {_count(len(files), 'file')}:\n" + "\n".join(lines[:30]), edits)


def _edited(path: Path, old: str, new: str) -> tuple[Edit | None, str]:
    """The edit of one file and what is told of it; no edit where it is already as wanted. Raises ToolError."""
    _plain_file(path)
    if path.stat().st_size > _WHOLE:
        raise ToolError(f"{_name(path)} is too large to edit here; use run with sed.")
    data = path.read_bytes()
    read = kept(data)
    if read is None:
        raise ToolError(f"{_name(path)} is not a text file.")
    text, encoding = read
    crlf = "\r\n" in text
    if crlf:
        text, old, new = (part.replace("\r\n", "\n") for part in (text, old, new))
    spans = _exact(text, old) or _loose(text, old)
    if not spans:
        if new.strip() and new in text:
            return None, f"{_name(path)} already contains the new text; nothing was changed."
        raise ToolError(f"{_short(old)} is not in {_name(path)}. {_nearest(text, old)}")
    pieces, at, numbers = [], 0, []
    for start, end in spans:
        numbers.append(text.count("\n", 0, start) + 1)
        pieces += [text[at:start], _fitted(text, start, text[start:end], old, new)]
        at = end
    made = "".join([*pieces, text[at:]])
    if made == text:
        return None, f"{_name(path)} already contains the new text; nothing was changed."
    edit = Edit(path, _encoded(path, made.replace("\n", "\r\n") if crlf else made, encoding), before=data)
    where = ", ".join(str(number) for number in numbers[:10]) + (", ..." if len(numbers) > 10 else "")
    times = f"{len(spans)} places (lines {where})" if len(spans) > 1 else f"line {where}"
    return edit, f"Replaced the text in {_name(path)}, {times}."


def _plain_file(path: Path) -> None:
    """Raises ToolError for a pipe, socket or device: reading one would never end."""
    if os.path.exists(path) and not path.is_file():
        raise ToolError(f"{_name(path)} is a pipe or a device, not a file. Choose a file.")


def _exact(text: str, old: str) -> list[tuple[int, int]]:
    """Where `old` stands. Where it stands as a whole word, not also inside longer ones (8080 in 80800)."""
    spans = [found.span() for found in re.finditer(re.escape(old), text)]

    def whole(span: tuple[int, int]) -> bool:
        start, end = span
        before = start > 0 and _joined(text[start - 1], old[0])
        return not before and not (end < len(text) and _joined(old[-1], text[end]))

    return [span for span in spans if whole(span)] or spans


def _joined(left: str, right: str) -> bool:
    """Whether two letters beside each other are inside one word; where no spaces are written nobody can say so."""
    return left.isalnum() and right.isalnum() and not (_UNSPACED.match(left) or _UNSPACED.match(right))


def _loose(text: str, old: str) -> list[tuple[int, int]]:
    """Whole lines that are `old` but for indentation and spaces at their ends; only where there is one such place."""
    wanted = [line.strip() for line in old.strip("\n").split("\n")]
    if not any(wanted):
        return []
    lines = text.split("\n")
    plain = [line.strip() for line in lines]
    size = len(wanted)
    places = [at for at in range(len(plain) - size + 1) if plain[at : at + size] == wanted]
    if len(places) != 1:
        return []
    start = sum(len(line) + 1 for line in lines[: places[0]])
    return [(start, start + sum(len(line) + 1 for line in lines[places[0] : places[0] + size]) - 1)]


def _fitted(text: str, start: int, found: str, old: str, new: str) -> str:
    """`new` with the indentation of the place, where that was not the indentation of `old`."""
    if found == old:
        return new
    there, given = (re.match(r"[ \t]*", part)[0] for part in (found, old.strip("\n")))  # type: ignore[index]
    lines = new.strip("\n").split("\n")
    moved = [there + line.removeprefix(given) if line.strip() else line for line in lines]
    return "\n".join(moved)


def _nearest(text: str, old: str) -> str:
    wanted = max(old.split("\n"), key=lambda line: len(line.strip())).strip()
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()][:20_000]
    if not numbered:
        return "The file is empty; use write_file."
    matcher = SequenceMatcher(b=wanted[:500], autojunk=False)

    def likeness(line: str) -> float:
        matcher.set_seq1(line.strip()[:500])
        return matcher.ratio() if matcher.real_quick_ratio() > 0.3 and matcher.quick_ratio() > 0.3 else 0.0

    best = sorted(numbered[:5000], key=lambda item: -likeness(item[1]))[:3]
    shown = "\n".join(f"{number}: {line[:200]}" for number, line in sorted(best))
    again = f"Call edit_file again with 'old' as it is in the file, for example {best[0][1].strip()[:200]!r}."
    return f"The nearest lines are:\n{shown}\nNothing was changed. {again}"


def _encoded(path: Path, text: str, encoding: Encoding) -> bytes:
    """The file's bytes in its own encoding, mark included."""
    try:
        return encoding.encode(text)
    except UnicodeEncodeError as error:
        letter = text[error.start]
        raise ToolError(f"{_name(path)} is in {encoding.name}, which has no {letter!r}. Use other letters.") from None


@tool(effects=["write:fs"])
def move_file(source: str | Path, destination: str | Path) -> Result:
    """Move or rename a file or folder; source may be a pattern like *.txt."""
    return _carried(str(source), str(destination), Move, "Moved")


@tool(effects=["write:fs"])
def copy_file(source: str | Path, destination: str | Path) -> Result:
    """Copy a file or folder; source may be a pattern like *.txt."""
    return _carried(str(source), str(destination), Copy, "Copied")


@tool(effects=["write:fs"])
def make_folder(path: Path) -> Result:
    """Create a folder."""
    if path.is_dir():
        return Result(f"The folder {_name(path)} already exists.")
    if os.path.lexists(path):
        raise ToolError(f"{_name(path)} is a file. Choose another name for the folder.")
    return Result(f"Made the folder {_name(path)}.", [MakeFolder(path)])


@tool(effects=["write:fs"])
def trash(path: str | Path) -> Result:
    """Delete a file or folder (it can be restored); path may be a pattern like *.tmp."""
    paths = _sources(str(path))
    here = Path.cwd()
    for one in paths:
        full = Path(os.path.abspath(one))
        if full == here or full in here.parents:
            raise ToolError(f"{_name(one)} is the folder we work in; it stays. Name what to delete in it.")
    what = _name(paths[0]) if len(paths) == 1 else f"{len(paths):,} entries ({_few(paths)})"
    return Result(f"Deleted {what}. It can be restored.", [Trash(one) for one in paths])


def _carried(source: str, destination: str, request: type[Move] | type[Copy], verb: str) -> Result:
    sources = _sources(source)
    pairs = _renamed(source, destination, sources) or _into(sources, destination)
    taken: set[str] = set()
    requests: list[Move | Copy] = []
    for here, there in pairs:
        begin, end = os.path.abspath(here), os.path.abspath(there)
        if begin == end:
            continue
        if request is Copy and os.path.exists(here) and not here.is_dir():
            _plain_file(here)
        if end.startswith(begin + os.sep):
            if len(pairs) > 1:
                continue
            raise ToolError(f"{_name(here)} cannot go into itself. Choose another destination.")
        if end in taken:
            raise ToolError(f"Two of these files would become {_name(there)}. Move them one by one under other names.")
        if os.path.lexists(there) and not (os.path.exists(here) and os.path.samefile(here, there)):
            raise ToolError(f"{_name(there)} already exists. Trash it first, or give another destination.")
        taken.add(end)
        requests.append(request(here, there))
    if not requests:
        return Result(f"{_name(sources[0])} is already there." if len(sources) == 1 else "They are already there.")
    first = requests[0]
    here, there = Path(first.path), Path(first.destination)
    if request is Move and all(Path(one.path).parent == Path(one.destination).parent for one in requests):
        verb = "Renamed"
    if len(requests) == 1:
        return Result(f"{verb} {_name(here)} to {_name(there)}.", requests)
    folder = there.parent
    where = ""
    if verb != "Renamed" and all(Path(one.destination).parent == folder for one in requests):
        where = " into this folder" if str(folder) == "." else f" into {_name(folder).rstrip('/')}/"
    names = _few([Path(one.destination) for one in requests])
    return Result(f"{verb} {len(requests):,} files{where}: {names}.", requests)


def _renamed(source: str, destination: str, sources: Sequence[Path]) -> list[tuple[Path, Path]] | None:
    """`*.jpeg` to `*.jpg`: each file under the new name; None where the destination is no pattern."""
    begin, end = Path(source).name, Path(destination).name
    if begin.count("*") != 1 or end.count("*") != 1 or os.path.isdir(destination):
        return None
    head, tail = begin.split("*")
    pairs = []
    for path in sources:
        middle = path.name[len(head) : len(path.name) - len(tail)] if tail else path.name[len(head) :]
        name = end.replace("*", middle)
        folder = Path(destination).parent if os.sep in destination else path.parent
        pairs.append((path, folder / name))
    return pairs


def _into(sources: Sequence[Path], destination: str) -> list[tuple[Path, Path]]:
    """Into a folder where the destination is one or must be one, else under the destination's name."""
    target = Path(destination)
    if not target.is_dir() and not destination.endswith(("/", os.sep)) and len(sources) == 1:
        only = sources[0]
        means_folder = bool(only.suffix) and not target.suffix and target.name not in ("", only.stem)
        if only.is_dir() or not means_folder or target.name.startswith(".") or os.path.lexists(target):
            return [(only, target)]
    if os.path.lexists(target) and not target.is_dir():
        raise ToolError(f"{_name(target)} is a file, not a folder. Give a folder as the destination.")
    return [(path, target / path.name) for path in sources]


def _sources(pattern: str) -> list[Path]:
    """The paths meant: the name itself, a pattern, or a list with commas. Raises ToolError where there are none."""
    if not pattern:
        raise ToolError("Give the path of a file.")
    if os.path.lexists(pattern):
        return [Path(pattern)]
    found: dict[str, None] = {}
    for part in _parts(pattern):
        names = [part] if os.path.lexists(part) else sorted(glob.glob(part, recursive=True))
        if not names and not glob.has_magic(part):
            raise ToolError(_missing(Path(part)))
        found |= dict.fromkeys(name for name in names if name)
    if not found:
        raise ToolError(f"Nothing matches {pattern!r}. {_missing(Path(pattern)).partition('. ')[2]}")
    return [Path(name) for name in found]


def _parts(pattern: str) -> list[str]:
    braces = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if braces:
        parts = (pattern[: braces.start()] + part.strip() + pattern[braces.end() :] for part in braces[1].split(","))
        return [whole for part in parts for whole in _parts(part)][:1000]
    listed = [part.strip() for part in re.split(r"[,\n]", pattern) if part.strip()]
    if len(listed) > 1:
        return listed
    spaced = pattern.split()
    return spaced if len(spaced) > 1 and all(os.path.lexists(part) for part in spaced) else [pattern]


def _missing(path: Path) -> str:
    """That `path` does not exist, and what there is instead."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in islice(os.scandir(folder), 2000))
    close = [str(folder / name) for name in get_close_matches(path.name, names, n=3, cutoff=0.75)]
    guess = f" Did you mean {' or '.join(close)}?" if close else ""
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")
    return f"{_name(path)} does not exist.{guess} In {_name(folder)} there is: {shown or 'nothing'}."


def _name(path: Path) -> str:
    if str(path) == ".":
        return "this folder"
    plain = str(path).encode("utf-8", "replace").decode()
    folder = "/" if path.is_dir() else ""
    return plain + folder if plain.isprintable() and plain == plain.strip() else repr(plain + folder)


def _few(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:10])
    return f"{names} and {len(paths) - 10:,} more" if len(paths) > 10 else names


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "...")


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"
