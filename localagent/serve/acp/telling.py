"""Events of a session as the updates that an editor draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from acp import helpers
from acp.schema import ToolCallLocation

from ...agent import shown
from ...events import (
    ApprovalAsked,
    ChangesCommitted,
    Event,
    MessageDone,
    Notice,
    PlanUpdated,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from ...values import PlanItem, ToolCall, ToolSpec

_OUTPUT = 60_000
_NAMED = {"search_text": "search", "find_files": "search", "move_file": "move", "trash": "delete"}
_KINDS = (("run", "execute"), ("net", "fetch"), ("write:fs", "edit"), ("read:fs", "read"), ("read:mail", "read"))


class Teller:
    """`spec` finds a tool, `folder` is where the session works. With `replayed` whole messages are told, else their pieces."""

    def __init__(self, spec: Callable[[str], ToolSpec | None], folder: str, replayed: bool = False) -> None:
        self._spec, self._folder, self._replayed = spec, folder, replayed
        self._known: set[str] = set()
        self._said: dict[str, str] = {}

    def told(self, event: Event) -> Iterator[Any]:
        """The updates for one event; most have one, some none."""
        yield from self._words(event)
        match event:
            case ApprovalAsked():
                yield from self._begun(event.call, "pending")
            case ToolStarted():
                yield from self._begun(event.call, "in_progress")
            case ToolOutput():
                said = self._said[event.call_id] = (self._said.get(event.call_id, "") + event.text)[-_OUTPUT:]
                yield helpers.update_tool_call(event.call_id, status="in_progress", content=[_text(said)])
            case ChangesCommitted():
                paths = dict.fromkeys(change.dest or change.path for change in event.changes)
                yield helpers.update_tool_call(event.call_id, locations=[ToolCallLocation(path=path) for path in paths])
            case ToolFinished():
                yield from self._begun(event.call, "in_progress")
                ok = event.result.status == "ok"
                content = [_text(event.result.text[-_OUTPUT:])] if event.result.text else []
                yield helpers.update_tool_call(event.call.id, status="completed" if ok else "failed", content=content)
            case PlanUpdated():
                yield helpers.update_plan([_step(item, event.items) for item in event.items])
            case Notice():
                yield helpers.update_agent_thought_text(f"{event.text}\n")
            case TurnEnded():
                yield helpers.update_agent_message_text(self._account(event))
            case _:
                pass

    def _words(self, event: Event) -> Iterator[Any]:
        """What was said: whole where it is told again, else as it comes."""
        match event:
            case TurnStarted() if self._replayed:
                yield helpers.update_user_message_text(event.message.text)
            case MessageDone() if self._replayed:
                if event.message.thinking:
                    yield helpers.update_agent_thought_text(event.message.thinking)
                if event.message.text:
                    yield helpers.update_agent_message_text(event.message.text)
            case TextDelta() if not self._replayed:
                yield helpers.update_agent_message_text(event.text)
            case ThinkingDelta() if not self._replayed:
                yield helpers.update_agent_thought_text(event.text)
            case _:
                pass

    def _begun(self, call: ToolCall, status: Any) -> Iterator[Any]:
        if call.id not in self._known:
            self._known.add(call.id)
            kind: Any = self._kind(call.name)
            title = shown.call_line(call, 200)
            yield helpers.start_tool_call(call.id, title, kind=kind, status=status, raw_input=dict(call.args))
        elif status == "in_progress":
            yield helpers.update_tool_call(call.id, status=status)

    def _kind(self, name: str) -> str:
        spec = self._spec(name)
        if name in _NAMED:
            return _NAMED[name]
        return next((kind for effect, kind in _KINDS if spec is not None and effect in spec.effects), "other")

    def _account(self, ended: TurnEnded) -> str:
        """The host's own word at the end: what happened, whatever the model said of it."""
        told = [f"\n\n[{shown.summary(ended.receipts, self._folder, checks=ended.checks)}]"]
        if ended.status not in ("done", "cancelled"):
            told.append(f"\n\n{ended.error.message if ended.error else f'The turn ended: {ended.status}.'}")
        return "".join(told)


def _text(text: str) -> Any:
    return helpers.tool_content(helpers.text_block(shown.visible(text)))


def _step(item: PlanItem, items: tuple[PlanItem, ...]) -> Any:
    now = next((one for one in items if not one.done), None)
    return helpers.plan_entry(
        item.text, status="completed" if item.done else "in_progress" if item is now else "pending"
    )
