"""How an effect is told to a person: drawn from the action itself, never from the model's words.

Control, bidirectional and invisible characters are made visible, so that what is read
is what will happen. Plain text only; front ends colour it.
"""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..channels.email.address import checked
from ..events import Supplied, ToolsOffered
from ..values import Attachment, Change, Checked, Outgoing, PlanItem, Proposal, Receipt, ToolCall, ToolResult

_DIFF_BYTES = 400_000
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
# Letters and marks that are drawn as nothing: fillers, joiners, variation selectors, an empty Braille cell.
_BLANK = frozenset(
    (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0)
) | frozenset((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
_MOST_MARKS = 2
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")
_WORDS = re.compile(r"[^\W\d_]{2,}")
_SHOWN_WHOLE = 20_000


def visible(text: str, *, lines: bool = True) -> str:
    """The text with every character that could hide or forge something written as `\\u{…}`; line breaks stay if `lines`."""
    if text.isascii() and text.isprintable():
        return text
    made, stacked = [], 0
    for ch in text:
        # Marks piled on one letter are drawn over the lines around it.
        stacked = stacked + 1 if unicodedata.combining(ch) else 0
        made.append(f"\\u{{{ord(ch):x}}}" if stacked > _MOST_MARKS else _mark(ch, lines))
    return "".join(made)


def _mark(ch: str, lines: bool) -> str:
    if (ch == "\n" and lines) or ch == "\t" or ch == " ":
        return ch
    category = unicodedata.category(ch)
    if category in _INVISIBLE or category == "Zs" or ord(ch) in _BLANK:
        return f"\\u{{{ord(ch):x}}}"
    return ch


def forged_words(text: str) -> list[str]:
    """Words whose letters come from several scripts that look alike: `p\u0430ypal` is not paypal."""
    if text.isascii():
        return []
    found = []
    for word in dict.fromkeys(_WORDS.findall(text)):
        scripts = {name.partition(" ")[0] for ch in word if not ch.isascii() or ch.isalpha() if (name := unicodedata.name(ch, ""))}
        if len(scripts & set(_SCRIPTS)) > 1:
            found.append(word)
    return found


def call_line(call: ToolCall, width: int = 160) -> str:
    """One line: the tool and its arguments, shortened."""
    args = " ".join(f"{key}={_short(value, width)}" for key, value in call.args.items())
    line = visible(f"{call.name} {args}".rstrip(), lines=False)
    return line if len(line) <= width else line[: width - 1] + "…"


def first_line(result: ToolResult) -> str:
    return visible((result.text.strip().splitlines() or ["(nothing)"])[0])[:200]


def call_block(call: ToolCall, limit: int = _SHOWN_WHOLE) -> str:
    """The whole call: what is approved is what is seen. A text over `limit` characters is cut, and its length said."""
    shown = [visible(call.name, lines=False)]
    for key, value in call.args.items():
        whole = str(value)
        text = visible(whole[:limit])
        name = visible(str(key), lines=False)
        shown.append(f"  {name}: {text}" if "\n" not in text else f"  {name}:\n" + _indent(text, "    "))
        if len(whole) > limit:
            shown.append(f"  … CUT: {name} has {len(whole):,} characters, of which {len(whole) - limit:,} are not shown")
        if forged := forged_words(whole[:limit]):
            shown.append(f"  CAREFUL: letters of several scripts are mixed in {', '.join(map(ascii, forged[:5]))}")
    return "\n".join(shown)


def change_lines(changes: Sequence[Proposal], folder: str, limit: int = 40) -> list[str]:
    """One line a change, paths relative to `folder` where they lie in it."""
    lines = [_change_line(change, folder) for change in changes[:limit]]
    if len(changes) > limit:
        lines.append(f"… and {len(changes) - limit} more")
    return lines


def diffs(changes: Sequence[Proposal], folder: str, limit: int = 80) -> Iterator[str]:
    """Unified diffs of the text files that are written or edited, `limit` lines each; sizes where a diff would not help."""
    for change in changes:
        if not isinstance(change, Change) or change.kind not in ("write", "edit") or change.content is None:
            continue
        new, old = text_of(change.content), text_of(change.path) if os.path.lexists(change.path) else ""
        if new is None or old is None:
            yield f"{relative(change.path, folder)}: {change.size:,} bytes, not shown as text"
            continue
        yield _diff(relative(change.path, folder), old, new, limit)


def file_diff(path: str, before: str | None, after: str | None, folder: str, limit: int = 80) -> str:
    """The same for a file whose old and new bytes lie in two files; None where it did not exist."""
    old, new = (text_of(file) if file is not None else "" for file in (before, after))
    if old is None or new is None:
        return f"{relative(path, folder)}: not shown as text"
    return _diff(relative(path, folder), old, new, limit)


def _diff(name: str, old: str, new: str, limit: int) -> str:
    # Lines end at line feeds only: a carriage return is a change that must be seen.
    lines = list(difflib.unified_diff(old.split("\n"), new.split("\n"), name, name, lineterm="", n=2))[2:]
    cut = [f"… {len(lines) - limit} more lines"] if len(lines) > limit else []
    return "\n".join([name, *(visible(line, lines=False) for line in lines[:limit]), *cut])


def receipt_line(receipt: Receipt, folder: str) -> str:
    data = receipt.data
    match receipt.kind:
        case "changed":
            dest = f" -> {relative(str(data['dest']), folder)}" if data.get("dest") else ""
            return f"{data['op']} {relative(str(data['path']), folder)}{dest}"
        case "ran":
            return f"ran {_short(data.get('command', ''), 80)} (exit code {data.get('exit_code')})"
        case "sent":
            return f"{data.get('state')}: {data.get('channel')} to {data.get('to')}"
        case "scheduled":
            return visible(f"scheduled {data.get('name')} ({data.get('when')}; job {data.get('job')})", lines=False)
        case "undone":
            files = data.get("files")
            back = "put back" if data.get("again") else "taken back"
            return f"step {data.get('step')} {back} by you ({files} file{'' if files == 1 else 's'})"
        case "reached":
            return f"used {data.get('tool')}, which reaches beyond this machine"
        case "remembered":
            return visible(f"remembered {data.get('text')}", lines=False)


def checked_line(one: Checked) -> str:
    """A check that does not hold, with why and the step it belongs to."""
    step = f" (step: {one.step})" if one.step else ""
    why = " ".join(one.why.split())
    return visible(f"{one.check}{step}: {why if len(why) <= 200 else why[:199] + '…'}", lines=False)


def plan_lines(steps: Sequence[PlanItem]) -> list[str]:
    """One line a step, ticked where it is done; beneath it what it would do, and the checks that do not hold."""
    lines = []
    for step in steps:
        failing = [one for one in step.checks if one.ok is False]
        lines.append(f"{'✓' if step.done else '✗' if failing else '○'} {visible(' '.join(step.text.split()), lines=False)}")
        lines += [f"    would {visible(', '.join(step.effects), lines=False)}"] if step.effects and not step.done else []
        lines += [f"    ✗ {checked_line(replace(one, step=''))}" for one in failing]
    return lines


def supplied(event: Supplied | ToolsOffered) -> str:
    """What a person is told of what the model was shown beside a request, in lines."""
    if isinstance(event, ToolsOffered):
        return "  tools offered: " + visible(", ".join(spec.name for spec in event.tools), lines=False)
    if event.kind == "remembered":
        return "\n".join(f"  remembered: {visible(text, lines=False)}" for text in event.items.values())
    names = ", ".join(visible(name, lines=False) for name in event.items) or "none any more"
    return f"  instructions that count: {names}"


NOTHING = "nothing changed, nothing sent"


def summary(receipts: Sequence[Receipt], folder: str, limit: int = 12, checks: Sequence[Checked] = ()) -> str:
    """The host's own account of a turn: what changed, ran and was sent, in a line; that nothing was, where it is so."""
    lines = [visible(receipt_line(r, folder), lines=False) for r in receipts[:limit]]
    lines += [f"and {len(receipts) - limit} more"] if len(receipts) > limit else []
    kinds = {receipt.kind for receipt in receipts}
    if not {"changed", "sent", "scheduled", "remembered"} & kinds:
        # What happens beyond this machine is not ours to deny.
        lines.append("nothing changed here" if "reached" in kinds else NOTHING)
    held = sum(bool(one.ok) for one in checks)
    lines += [f"{held} of {len(checks)} {'check holds' if len(checks) == 1 else 'checks hold'}"] if checks else []
    return "; ".join(lines)


def message_lines(message: Outgoing, bold: Callable[[str], str] = str) -> list[str]:
    """A message whole, as it would go out: to whom, by what, what goes with it, the exact words. `bold` marks the recipient."""
    who = f"{message.name} <{message.address}>" if message.name else f"{message.address}  (in no contact)"
    verb = "keep a draft for" if message.draft else "send to"
    lines = [f"{verb} {bold(visible(who, lines=False))} by {visible(message.channel, lines=False)}"]
    if plain := _plain_domain(message.address):
        lines.append(f"  CAREFUL: the domain has letters beyond ASCII; it is {plain}")
    if message.subject:
        lines.append(f"  subject: {visible(message.subject, lines=False)}")
    lines += [f"  attached: {_attachment(one)}" for one in message.attachments]
    forged = forged_words(f"{who} {message.subject} {message.text}")
    if forged:
        lines.append(f"  CAREFUL: letters of several scripts are mixed in {', '.join(map(ascii, forged[:5]))}")
    return [*lines, *("  | " + line for line in visible(message.text).split("\n"))]


def _plain_domain(address: str) -> str:
    """The domain of a mail address as servers know it, "" where it is written so: letters of one alphabet can look like another's."""
    domain = address.rpartition("@")[2]
    if "@" not in address or ":" in address or domain.isascii():
        return ""
    try:
        return checked(address).rpartition("@")[2]
    except ValueError:
        return "no domain that mail can be sent to"


def _attachment(one: Attachment) -> str:
    return f"{visible(one.name, lines=False)} ({one.size:,} bytes, {visible(one.media_type, lines=False)})"


def _change_line(change: Proposal, folder: str) -> str:
    if isinstance(change, Outgoing):
        verb = "keep a draft for" if change.draft else "send to"
        to = f"{change.name} <{change.address}>" if change.name else change.address
        return visible(f"{verb} {to} by {change.channel}", lines=False)
    path = relative(change.path, folder)
    match change.kind:
        case "write":
            verb = "replace" if change.before else "create"
            return f"{verb} {path} ({change.size:,} bytes{_mode(change)})"
        case "edit":
            return f"edit {path} ({change.size:,} bytes{_mode(change)})"
        case "move" | "copy":
            return f"{change.kind} {path} -> {relative(change.dest or '', folder)}"
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
    if change.mode is None or not change.mode & 0o7133:
        return ""
    return f", {'executable, ' if change.mode & 0o111 else ''}mode {change.mode:o}"


def relative(path: str, folder: str) -> str:
    """The path as people see it: from the folder where it lies in it, with nothing invisible in it."""
    inside = path == folder or path.startswith(folder.rstrip("/") + "/")
    return visible(os.path.relpath(path, folder) if inside else path, lines=False)


def text_of(path: str) -> str | None:
    """What a file holds, None for one that is not there, large or no text."""
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
