"""OpenAI's messages -> ours: every way in which clients write them, refused only where there is no sense in it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..engine import jsonish
from ..values import Message, Part, Text, ToolCall, ToolResult
from . import fields, seen
from .refusals import Refused

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_BLIND = ("image", "input_audio", "audio", "file", "input_file", "video_url", "video")


def read(value: Any, pictures: dict[str, bytes] | None = None) -> tuple[Message, ...]:
    """The history a request brings, the bytes of its pictures put into `pictures`. Raises `Refused`, naming what is to blame.

    - System and developer messages at the start are joined; a later one keeps its place and is
      said by the host, for models know a system message at the start only.
    - Results stand behind their calls in the order of the calls, whatever their ids look like.
    """
    if value is None:
        raise Refused("messages is missing.", param="messages")
    given = fields.items(value, "messages")
    if not given:
        raise Refused("messages is empty.", param="messages")
    reader = _Reader({} if pictures is None else pictures)
    for number, message in enumerate(given):
        where = f"messages[{number}]"
        reader.add(fields.mapping(message, where), where)
    found = tuple(reader.messages())
    if not found:
        raise Refused("messages says nothing.", param="messages")
    return found


@dataclass(slots=True)
class _Called:
    """One call of the history, under our own id, and its result once that is read."""

    id: str
    theirs: str
    name: str
    round: int
    result: Message | None = None


@dataclass(slots=True)
class _Round:
    """An assistant's message with the results that follow it, put into the order of its calls."""

    message: Message
    calls: list[_Called] = field(default_factory=list)
    orphans: list[Message] = field(default_factory=list)


class _Waiting:
    """Calls that have no result yet, found by a key in the same time however long the history is."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, ...], list[deque[_Called]]] = {}

    def add(self, calls: list[_Called]) -> None:
        """The calls of one round."""
        keyed: dict[tuple[str, ...], deque[_Called]] = {}
        for called in calls:
            for key in ((), ("id", called.theirs), ("name", called.name)):
                keyed.setdefault(key, deque()).append(called)
        for key, group in keyed.items():
            self._by_key.setdefault(key, []).append(group)

    def first(self, *key: str) -> _Called | None:
        """Of the newest round that has such a call, the first; without a key any will do."""
        groups = self._by_key.get(key, [])
        while groups:
            while groups[-1] and groups[-1][0].result:
                groups[-1].popleft()
            if groups[-1]:
                return groups[-1][0]
            groups.pop()
        return None


class _Reader:
    def __init__(self, pictures: dict[str, bytes]) -> None:
        self._pictures = pictures
        self._system: list[str] = []
        self._rounds: list[_Round] = []
        self._waiting = _Waiting()
        self._calls = 0

    def add(self, message: Mapping[str, Any], where: str) -> None:
        role = message.get("role")
        if role not in _ROLES:
            raise Refused(f"{where}.role must be one of {', '.join(_ROLES)}.", param=f"{where}.role")
        if role == "user":
            self._rounds.append(_Round(Message("user", _shown(message.get("content"), f"{where}.content", self._pictures))))
            return
        content = _content(message.get("content"), f"{where}.content")
        match role:
            case "system" | "developer":
                if not self._rounds:
                    self._system.append(content)
                elif content:
                    self._rounds.append(_Round(Message("host", (Text(content),))))
            case "assistant":
                self._assistant(message, content, where)
            case _:
                self._result(message, content)

    def messages(self) -> list[Message]:
        found = [Message("system", (Text("\n\n".join(self._system)),))] if any(self._system) else []
        for one in self._rounds:
            found.append(one.message)
            found += [called.result for called in one.calls if called.result]
            found += one.orphans
        return found

    def _assistant(self, message: Mapping[str, Any], content: str, where: str) -> None:
        calls, known = [], []
        for call, theirs in _calls(message, where):
            self._calls += 1
            made = ToolCall(f"call_{self._calls}", call.name, call.args)
            calls.append(made)
            known.append(_Called(made.id, theirs, made.name, len(self._rounds)))
        thinking = message.get("reasoning_content") or message.get("reasoning")
        said = Message(
            role="assistant",
            parts=(Text(content),) if content else (),
            thinking=thinking if isinstance(thinking, str) else "",
            calls=tuple(calls),
        )
        self._rounds.append(_Round(said, known))
        self._waiting.add(known)

    def _result(self, message: Mapping[str, Any], content: str) -> None:
        theirs, name = _id(message.get("tool_call_id")), message.get("name")
        called = self._called(theirs, name if isinstance(name, str) else "")
        # Clients number their calls as we do; a result of none must not pass for that of another.
        result = Message("tool", result=ToolResult(called.id if called else "unknown", (Text(content),)))
        if called:
            called.result = result
        elif self._rounds:
            self._rounds[-1].orphans.append(result)
        else:
            self._rounds.append(_Round(result))

    def _called(self, theirs: str, name: str) -> _Called | None:
        """The newest call that this is the result of: by its id, else by its name, else the first one still open."""
        key = ("id", theirs) if theirs else ("name", name) if name else ()
        found = self._waiting.first(*key)
        if found is None:
            found = self._waiting.first()
            # An id or a name that is known nowhere can only be meant for what was called last.
            found = found if found and found.round == len(self._rounds) - 1 else None
        return found


def _content(value: Any, where: str) -> str:
    """A string, null, or parts; parts of text are joined as they are."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise Refused(f"{where} must be a string, null or an array of parts.", param=where)
    return "".join(_part(part, f"{where}[{number}]") for number, part in enumerate(value))


def _shown(value: Any, where: str, pictures: dict[str, bytes]) -> tuple[Part, ...]:
    """The same of a user, with the pictures where they stand."""
    given = [value] if isinstance(value, Mapping) else value
    if not isinstance(given, list) or not any(_is_picture(part) for part in given):
        return (Text(_content(value, where)),)
    parts: list[Part] = []
    for number, part in enumerate(given):
        place = f"{where}[{number}]"
        parts.append(seen.read(part, place, pictures) if _is_picture(part) else Text(_part(part, place)))
    return tuple(parts)


def _is_picture(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in seen.KINDS


def _part(part: Any, where: str) -> str:
    if isinstance(part, str):
        return part
    kind = fields.mapping(part, where).get("type")
    if kind in seen.KINDS:
        raise Refused(f"{where} is of type {kind}: pictures are read in messages of the user only.", param=where)
    if kind in _BLIND:
        raise Refused(f"{where} is of type {kind}: the models served here read text only.", param=where)
    if kind in ("text", "input_text", "output_text"):
        return fields.text(part.get("text"), f"{where}.text")
    if kind == "refusal":
        return fields.text(part.get("refusal"), f"{where}.refusal")
    raise Refused(f"{where}.type must be text.", param=f"{where}.type")


def _calls(message: Mapping[str, Any], where: str) -> list[tuple[ToolCall, str]]:
    """The calls of an assistant's message, each with the id it was given."""
    found = []
    given = message.get("tool_calls")
    for number, call in enumerate([] if given is None else fields.items(given, f"{where}.tool_calls")):
        place = f"{where}.tool_calls[{number}]"
        function = fields.mapping(fields.mapping(call, place).get("function"), f"{place}.function")
        found.append((_call(function, f"{place}.function"), _id(call.get("id"))))
    if not found and message.get("function_call") is not None:
        place = f"{where}.function_call"
        found.append((_call(fields.mapping(message["function_call"], place), place), ""))
    return found


def _call(function: Mapping[str, Any], where: str) -> ToolCall:
    name = fields.text(function.get("name"), f"{where}.name")
    return ToolCall("", name, _arguments(function.get("arguments"), f"{where}.arguments"))


def _arguments(value: Any, where: str) -> Mapping[str, Any]:
    """An object, or one written as a JSON string (once or twice, as some clients do); nothing means none."""
    for _ in range(2):
        if isinstance(value, str):
            value = _parsed(value, where) if value.strip() else None
    if fields.is_deep(value):
        raise Refused(f"{where} is nested too deeply.", param=where)
    return {} if value is None else fields.mapping(value, where)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # Arguments that another model wrote are read as leniently as our own model's.
        read = jsonish.read(text)
    if read is None:
        raise Refused(f"{where} is not JSON.", param=where)
    return read.value


def _id(value: Any) -> str:
    return "" if value is None or isinstance(value, list | dict) else str(value)
