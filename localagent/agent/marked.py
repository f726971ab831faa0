"""A conversation as Markdown that shows no picture of elsewhere and holds no HTML. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .plain import calm
from .story import ENDS, Asked, Did, Ended, Entry, Head, Noted, Said, receipts, when

# At the left edge, a fence stands in no list and no quote: what is within it is code for every reader.
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_HTML = re.compile(r"<(?=[A-Za-z/!?])")


def markdown(head: Head, entries: Iterable[Entry]) -> str:
    """The whole text."""
    lines = [f"# {_line(head.title)}", ""]
    lines += [f"- {name}: {_code(value)}" for name, value in head.facts()]
    for entry in entries:
        lines += ["", *_section(entry, head.folder)]
    return calm("\n".join(lines).rstrip() + "\n")


def _section(entry: Entry, folder: str) -> list[str]:
    match entry:
        case Asked():
            at = f" · {when(entry.at)}" if when(entry.at) else ""
            return [f"## Request {entry.number}{at}", "", *(f"> {_tame(line)}".rstrip() for line in entry.text.splitlines())]
        case Said():
            thought = ["*Thinking:*", "", *_fenced(entry.thinking), ""] if entry.thinking else []
            return [*thought, *_answer(entry.text)]
        case Did():
            return _call(entry)
        case Noted():
            return [f"*{_line(entry.text)}*"]
        case Ended():
            return _ending(entry, folder)


def _call(done: Did) -> list[str]:
    took = f", {done.seconds:.1f} s" if done.seconds >= 0.05 else ""
    lines = [f"**Tool** {_code(done.call.name)}: {done.result.status}{took}", ""]
    lines += _fenced("\n".join(f"{key}: {value}" for key, value in done.call.args.items()))
    return [*lines, "", *_fenced(done.result.text)] if done.result.text.strip() else lines


def _ending(ended: Ended, folder: str) -> list[str]:
    lines = [ended.error.message] if ended.error else [ENDS.get(ended.status, "")]
    lines += [f"Done: {done}"] if (done := receipts(ended, folder)) else []
    return [f"*{_line(line)}*  " for line in lines if line]


def _answer(text: str) -> list[str]:
    """The model's Markdown; outside of code no HTML in it, and links in place of pictures."""
    lines, fence = [], ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        mark = (found[1] or found[2]) if found else ""
        if fence:
            lines.append(line)
            if mark[:1] == fence[:1] and len(mark) >= len(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark
            lines.append(line)
        else:
            lines.append(_tame(line))
    return [*lines, fence] if fence else lines


def _tame(line: str) -> str:
    return _HTML.sub(r"\\<", line.replace("![", r"!\["))


def _fenced(text: str) -> list[str]:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *text.splitlines(), fence]


def _code(text: str) -> str:
    line = " ".join(text.split())
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    return f"{ticks}{' ' if '`' in line else ''}{line}{' ' if '`' in line else ''}{ticks}" if line else ""


def _line(text: str) -> str:
    """Words in a heading or in emphasis: nothing in them is Markdown."""
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", " ".join(text.split()))
