"""What a card says of a call: one line when folded with what matters, everything when not."""

from __future__ import annotations

from textual.content import Content

from ..agent import shown
from ..values import ToolCall
from . import effect, wording
from .view import Own, Tool, ToolState
from .words import t

_LIVE_LINES = 8
_TOLD_LINES = 4
_DIFF_LINES = 12
_CHANGE_LINES = 6
_UNFOLDED_LINES = 2_000
_MARKS: dict[ToolState, str] = {
    "asking": "?",
    "running": "●",
    "ok": "✓",
    "failed": "✗",
    "denied": "⊘",
    "cancelled": "■",
}
_COLOURS: dict[ToolState, str] = {
    "asking": "$text-warning",
    "running": "$text-accent",
    "ok": "$text-success",
    "failed": "$text-error",
    "denied": "$text-error",
    "cancelled": "$text-warning",
}
TONES: dict[effect.Tone, str] = {
    "plain": "",
    "danger": "bold $text-error on $error-muted",
    "add": "$text-success",
    "remove": "$text-error",
    "hunk": "$text-accent",
    "head": "bold",
    "dim": "$text-muted",
}


def state(item: Tool | Own) -> ToolState:
    if isinstance(item, Tool):
        return item.state
    return "running" if item.code is None else "ok" if item.code == 0 else "failed"


def head(item: Tool | Own, unfolded: bool) -> Content:
    """Mark, name, arguments, and how it ended."""
    now = state(item)
    if isinstance(item, Own):
        name, args = "!", wording.one_line(item.command, 400)
    else:
        name, args = shown.visible(item.call.name, lines=False), "" if unfolded else _arguments(item.call)
    parts = [(f"{_MARKS[now]} ", _COLOURS[now]), (name, "bold"), (f" {args}" if args else "", "")]
    facts = _facts(item)
    since = _outdated(item)
    return Content.assemble(
        *parts, (f"  {facts}" if facts else "", "$text-muted"), (f"  {since}" if since else "", "$text-warning")
    )


def _outdated(item: Tool | Own) -> str:
    """The files it showed or made that others have changed since."""
    names = item.outdated if isinstance(item, Tool) else ()
    if not names:
        return ""
    if len(names) == 1:
        return t("△ {name} changed since", name=wording.one_line(names[0], 60))
    return t("△ {count} files changed since", count=len(names))


def _arguments(call: ToolCall) -> str:
    """The arguments on one line; long ones only where there is no other, for the diff or the unfolded card has them."""
    short = {name: value for name, value in call.args.items() if len(call.args) == 1 or _is_short(value)}
    if len(short) == 1:
        text = " ".join(shown.visible(str(*short.values()), lines=False).replace("\\u{a}", " ⏎ ").split())
        return text if len(text) <= 240 else text[:239] + "…"
    return shown.call_line(ToolCall(call.id, call.name, short), 240).partition(" ")[2]


def _is_short(value: object) -> bool:
    text = str(value)
    return len(text) <= 60 and "\n" not in text


def _facts(item: Tool | Own) -> str:
    facts = []
    if isinstance(item, Own):
        if item.code:
            facts.append(f"exit {item.code}")
    else:
        if item.state in ("asking", "denied", "cancelled"):
            facts.append({"asking": "asks you", "denied": "denied", "cancelled": "stopped"}[item.state])
        elif item.exit_code is not None:
            facts.append(f"exit {item.exit_code}")
        elif item.state == "failed":
            facts.append("failed")
        if item.step:
            facts.append(f"step {item.step}")
    if item.seconds >= 0.05:
        facts.append(wording.seconds(item.seconds))
    return " · ".join(facts)


def body(item: Tool | Own, folder: str, unfolded: bool) -> Content:
    if isinstance(item, Own):
        return Content(_tail(wording.plain_output(item.output), _UNFOLDED_LINES if unfolded else 4 * _LIVE_LINES))
    parts: list[Content] = []
    if unfolded:
        parts.append(Content.assemble((shown.call_block(item.call).partition("\n")[2], "$text-muted")))
    parts.append(_output(item, unfolded))
    if item.changes and item.state != "asking":
        lines = shown.change_lines(item.changes, folder, _UNFOLDED_LINES if unfolded else _CHANGE_LINES)
        word = "" if item.step else "would "
        parts.append(Content("\n".join(word + line for line in lines)))
    left = _UNFOLDED_LINES if unfolded else _DIFF_LINES
    for diff in item.diffs:
        if left > 0:
            rows = list(effect.diff_rows(diff))
            parts.append(drawn(rows[:left], len(rows) - left))
            left -= len(rows)
    return Content("\n").join([part for part in parts if part.plain])


def _output(item: Tool, unfolded: bool) -> Content:
    output = wording.plain_output(item.output).strip("\n")
    if item.state == "running":
        return Content(_tail(output, _UNFOLDED_LINES if unfolded else _LIVE_LINES))
    text = output or item.told.strip("\n")
    if unfolded:
        return Content(_tail(text, _UNFOLDED_LINES) + (f"\n(all of it: {item.spill})" if item.spill else ""))
    if item.state in ("failed", "denied"):
        return Content(_head(item.told.strip("\n") or text, _TOLD_LINES))
    return Content(_tail(output, _TOLD_LINES))


def drawn(rows: list[effect.Row], more: int = 0) -> Content:
    """Rows of an effect as one text."""
    made = [Content.assemble(*((text, TONES[tone]) for text, tone in row.pieces)) for row in rows]
    if more > 0:
        made.append(Content.assemble((f"… {wording.count(more, 'more line')}", "$text-muted")))
    return Content("\n").join(made)


def _tail(text: str, limit: int) -> str:
    lines = text.split("\n")
    if len(lines) <= limit:
        return text
    return "\n".join([f"… {wording.count(len(lines) - limit, 'earlier line')}", *lines[-limit:]])


def _head(text: str, limit: int) -> str:
    lines = text.split("\n")
    if len(lines) <= limit:
        return text
    return "\n".join([*lines[:limit], f"… {wording.count(len(lines) - limit, 'more line')}"])
