"""What is new in a view, as sentences: for who reads line by line, or listens.

Pure like the view itself. Every sentence is told once, in the order in which things happened; nothing is drawn over, and
no character is there for its looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..agent import shown
from ..values import PlanItem
from . import blocks, card, wording
from .view import Asked, Ended, Item, Own, Said, Told, Tool, View
from .words import mark, n_of, t, translated

_LIVE_LINES = 60
_FAILED_LINES = 4
_READ_WORTH_TELLING = 256
_QUARTERS = 4
_LEVELS = {"info": mark("Note: {text}"), "warning": mark("Careful: {text}"), "error": mark("Error: {text}")}
_ENDS = {
    "ok": mark("{tool} is done. {facts}"),
    "failed": mark("{tool} failed. {facts}"),
    "denied": mark("{tool} was denied. {facts}"),
    "cancelled": mark("{tool} was stopped. {facts}"),
}


@dataclass(slots=True)
class _Heard:
    """How much of an item has been told: characters of its text, lines of its output, and its state."""

    kind: type[Item]
    text: str = ""
    lines: int = 0
    state: str = ""
    changes: bool = False


class Telling:
    """`new(view)` gives the lines that have not been told yet."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._talk = 0
        self._heard: dict[int, _Heard] = {}
        self._phase = ""
        self._plan: object = ()

    def new(self, view: View) -> list[str]:
        """What has happened since the last call."""
        lines = self._begin(view) if view.talk != self._talk else []
        for index, item in enumerate(view.items, len(view.past)):
            lines += self._item(index, item)
        if view.plan != self._plan:
            self._plan = view.plan
            lines += [line for one in view.plan for line in _step(one)]
        phase = _waiting(view)
        if phase and phase != self._phase:
            lines.append(phase)
        self._phase = phase or ("" if view.phase != "reading" else self._phase)
        return [wording.calm(line) for line in lines]

    def _begin(self, view: View) -> list[str]:
        """Another conversation: of an earlier one, where it stood."""
        self._talk, self._heard, self._plan = view.talk, {}, view.plan
        before = [item for item in view.all if isinstance(item, Asked | Said)]
        for index, item in enumerate(view.items, len(view.past)):
            if isinstance(item, Asked | Said | Tool | Ended):
                self._item(index, item)
        if not before:
            return []
        lines = [n_of(len(before), "This goes on with {n} earlier message.", "This goes on with {n} earlier messages.")]
        asked = next((item for item in reversed(before) if isinstance(item, Asked)), None)
        said = next((item for item in reversed(before) if isinstance(item, Said) and item.text), None)
        if asked is not None:
            lines.append(t("You said: {text}", text=asked.text))
        if said is not None:
            head, *rest = said.text.strip("\n").split("\n")
            lines += [t("Answer: {text}", text=head), *map(_set_in, rest)]
        return lines

    def _item(self, index: int, item: Item) -> list[str]:
        heard = self._heard.get(index)
        if heard is None or heard.kind is not type(item):
            heard = self._heard[index] = _Heard(type(item))
        match item:
            case Said():
                return _said(item, heard)
            case Tool():
                return _tool(item, heard, self._folder)
            case Own():
                return _own(item, heard)
            case Told() if not heard.state:
                heard.state = "told"
                return [translated(_LEVELS[item.level], text=item.text)]
            case Ended() if not heard.state:
                heard.state = "told"
                return blocks.ended_lines(item, self._folder)
        return []


def _step(step: PlanItem) -> list[str]:
    told = t("Done: {text}", text=step.text) if step.done else t("To do: {text}", text=step.text)
    failing = [shown.checked_line(replace(one, step="")) for one in step.checks if one.ok is False]
    return [told, *(t("A check failed: {check}", check=line) for line in failing)]


def _said(item: Said, heard: _Heard) -> list[str]:
    """Whole lines while it is written, the rest when it is there."""
    text = item.text if not item.live else item.text[: item.text.rfind("\n") + 1]
    text = text.strip("\n") if not item.live else text.lstrip("\n")
    before = heard.text if text.startswith(heard.text.rstrip("\n")) else ""
    more = text[len(before) :]
    if not more.strip():
        return []
    first = not before
    heard.text = text
    # Set in, so that no line of the model's looks like one of ours.
    head, *rest = more.strip("\n").split("\n")
    told = t("Answer: {text}", text=head) if first else _set_in(head)
    return [told, *map(_set_in, rest)]


def _set_in(line: str) -> str:
    return f"  {line}" if line else line


def _tool(item: Tool, heard: _Heard, folder: str) -> list[str]:
    lines: list[str] = []
    if not heard.state:
        lines.append(t("Calls {call}", call=shown.call_line(item.call, 240)))
    # A no is known before what the model is told of it.
    over = item.state not in ("asking", "running") and (item.state != "denied" or bool(item.told))
    lines += _output(wording.plain_output(item.output), heard, over)
    if over and heard.state != item.state:
        name, facts = shown.visible(item.call.name, lines=False), card.facts(item, ended=False)
        lines.append(translated(_ENDS[item.state], tool=name, facts=facts).strip())
        if item.state in ("failed", "denied"):
            lines += [f"  {line}" for line in item.told.strip("\n").split("\n")[:_FAILED_LINES] if line]
    if over and item.changes and item.step and not heard.changes:
        heard.changes = True
        lines += [f"  {line}" for line in shown.change_lines(item.changes, folder, 20)]
    heard.state = item.state if over else "going"
    return lines


def _own(item: Own, heard: _Heard) -> list[str]:
    lines = _output(wording.plain_output(item.output), heard, item.code is not None)
    if item.code is not None and not heard.state:
        heard.state = "ended"
        lines.append(t("Your command ended: {facts}", facts=t("exit {code}", code=item.code)))
    return lines


def _output(output: str, heard: _Heard, over: bool) -> list[str]:
    """The lines that came, as far as they are whole; of very many the rest is left out, and that is said."""
    lines = output.split("\n")
    whole = len(lines) if over and lines[-1] else len(lines) - 1
    new = lines[heard.lines : whole] if whole > heard.lines else []
    room = max(0, _LIVE_LINES - heard.lines)
    told = [f"  {line}" for line in new[:room]]
    if new and heard.lines <= _LIVE_LINES < whole:
        told.append(t("  More follows, which is not read out here."))
    heard.lines = max(heard.lines, whole)
    return told


def _waiting(view: View) -> str:
    """What is waited for, in words that change a few times and not with every token."""
    match view.phase:
        case "loading":
            return t("Loading the model: {done}", done=_quarter(view.loading))
        case "queued":
            return n_of(view.before, "Waiting for {n} other answer.", "Waiting for {n} other answers.")
        case "waiting":
            return t("waiting: the memory is taken by a model that is still answering")
        case "reading" if view.reading is not None and view.reading.total - view.reading.first > _READ_WORTH_TELLING:
            at = view.reading
            return t("Reading {total} tokens: {done}", total=f"{at.total:,}", done=_quarter(at.done / at.total))
        case "thinking":
            return t("Thinking.")
        case _:
            return ""


def _quarter(fraction: float) -> str:
    return f"{int(fraction * _QUARTERS) / _QUARTERS:.0%}"
