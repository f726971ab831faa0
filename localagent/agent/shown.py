"""How an effect is told to a person: drawn from the action itself, never from the model's words.

Control, bidirectional and invisible characters are made visible, so that what is read
is what will happen. Plain text only; front ends colour it.
"""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..values import Change, Receipt, ToolCall

_DIFF_BYTES = 400_000
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}


def visible(text: str, *, lines: bool = True) -> str:
    """The text with every character that could hide or forge something written as `\\u{…}`; line breaks stay if `lines`."""
    return "".join(_mark(ch, lines) for ch in text)


def _mark(ch: str, lines: bool) -> str:
    if (ch == "\n" and lines) or ch == "\t":
        return ch
    if unicodedata.category(ch) in _INVISIBLE:
        return f"\\u{{{ord(ch):x}}}"
    return ch


def call_line(call: ToolCall, width: int = 160) -> str:
    """One line: the tool and its arguments, shortened."""
    args = " ".join(f"{key}={_short(value, width)}" for key, value in call.args.items())
    line = visible(f"{call.name} {args}".rstrip(), lines=False)
    return line if len(line) <= width else line[: width - 1] + "…"


def call_block(call: ToolCall) -> str:
    """The whole call, nothing shortened: what is approved is what is seen."""
    shown = [f"{call.name}"]
    for key, value in call.args.items():
        text = visible(str(value))
        shown.append(f"  {key}: {text}" if "\n" not in text else f"  {key}:\n" + _indent(text, "    "))
    return "\n".join(shown)


def change_lines(changes: Sequence[Change], folder: str, limit: int = 40) -> list[str]:
    """One line a change, paths relative to `folder` where they lie in it."""
    lines = [_change_line(change, folder) for change in changes[:limit]]
    if len(changes) > limit:
        lines.append(f"… and {len(changes) - limit} more")
    return lines


def diffs(changes: Sequence[Change], folder: str, limit: int = 80) -> Iterator[str]:
    """Unified diffs of the text files that are written or edited, `limit` lines each; sizes where a diff would not help."""
    for change in changes:
        if change.kind not in ("write", "edit") or change.content is None:
            continue
        new, old = _read(change.content), _read(change.path) if os.path.lexists(change.path) else ""
        if new is None or old is None:
            yield f"{_relative(change.path, folder)}: {change.size:,} bytes, not shown as text"
            continue
        yield _diff(_relative(change.path, folder), old, new, limit)


def file_diff(path: str, before: str | None, after: str | None, folder: str, limit: int = 80) -> str:
    """The same for a file whose old and new bytes lie in two files; None where it did not exist."""
    old, new = (_read(file) if file is not None else "" for file in (before, after))
    if old is None or new is None:
        return f"{_relative(path, folder)}: not shown as text"
    return _diff(_relative(path, folder), old, new, limit)


def _diff(name: str, old: str, new: str, limit: int) -> str:
    # Lines end at line feeds only: a carriage return is a change that must be seen.
    lines = list(difflib.unified_diff(old.split("\n"), new.split("\n"), name, name, lineterm="", n=2))[2:]
    cut = [f"… {len(lines) - limit} more lines"] if len(lines) > limit else []
    return "\n".join([name, *(visible(line, lines=False) for line in lines[:limit]), *cut])


def receipt_line(receipt: Receipt, folder: str) -> str:
    data = receipt.data
    match receipt.kind:
        case "changed":
            dest = f" -> {_relative(str(data['dest']), folder)}" if data.get("dest") else ""
            return f"{data['op']} {_relative(str(data['path']), folder)}{dest}"
        case "ran":
            return f"ran {_short(data.get('command', ''), 80)} (exit code {data.get('exit_code')})"
        case "sent":
            return f"{data.get('state')}: {data.get('channel')} to {data.get('to')}"


def summary(receipts: Sequence[Receipt], folder: str, limit: int = 12) -> str:
    """The host's own account of a turn."""
    if not receipts:
        return "nothing changed, nothing sent"
    lines = [receipt_line(r, folder) for r in receipts[:limit]]
    more = f"; and {len(receipts) - limit} more" if len(receipts) > limit else ""
    return "; ".join(lines) + more


def _change_line(change: Change, folder: str) -> str:
    path = _relative(change.path, folder)
    match change.kind:
        case "write":
            verb = "replace" if change.before else "create"
            return f"{verb} {path} ({change.size:,} bytes{_mode(change)})"
        case "edit":
            return f"edit {path} ({change.size:,} bytes{_mode(change)})"
        case "move" | "copy":
            return f"{change.kind} {path} -> {_relative(change.dest or '', folder)}"
        case "make_folder":
            return f"make folder {path}"
        case "trash":
            return f"trash {path}"
        case "link":
            return f"link {path} -> {visible(change.content or '', lines=False)}"
        case "chmod":
            return f"set mode {change.mode or 0:o} of {path}"


def _mode(change: Change) -> str:
    """Permissions worth a look: anything that may be run, or written by others."""
    return f", mode {change.mode:o}" if change.mode is not None and change.mode & 0o7133 else ""


def _relative(path: str, folder: str) -> str:
    inside = path == folder or path.startswith(folder.rstrip("/") + "/")
    return visible(os.path.relpath(path, folder) if inside else path, lines=False)


def _read(path: str) -> str | None:
    try:
        if os.path.getsize(path) > _DIFF_BYTES:
            return None
        data = Path(path).read_bytes()
        return None if b"\0" in data else data.decode()
    except (OSError, UnicodeDecodeError):
        return None


def _short(value: object, width: int) -> str:
    text = " ".join(" ⏎ ".join(str(value).strip().splitlines()).split())
    text = text if len(text) <= width else text[: width - 1] + "…"
    return repr(text) if " " in text or not text else text


def _indent(text: str, by: str) -> str:
    return "\n".join(by + line for line in text.split("\n"))
