"""The turn form that the Qwen families share: `<|im_start|>ROLE`, text, `<|im_end|>`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...values import Image, Message, Part, Text, ToolSpec
from ..base import UNSEEN, ImageData, Segment, Template, Untrusted, read_as

END = "<|im_end|>\n"
ENDS = ("<|im_start|>", "<|im_end|>")


def start(role: str) -> str:
    """The opening of a turn."""
    return f"<|im_start|>{read_as(role)}\n"


def tight(segments: Iterable[Segment]) -> list[Segment]:
    """The same text with neighbours of one kind joined and empty ones gone."""
    out: list[Segment] = []
    for segment in segments:
        if isinstance(segment, (Template, Untrusted)):
            if not segment.text:
                continue
            if out and type(out[-1]) is type(segment):
                out[-1] = type(segment)(out[-1].text + segment.text)  # type: ignore[union-attr]
                continue
        out.append(segment)
    return out


def turn(role: str, text: str) -> list[Segment]:
    return [Template(start(role)), Untrusted(text), Template(END)]


def plain(parts: Sequence[Part]) -> str:
    """The text of a message for a model without eyes."""
    return "".join(
        part.text if isinstance(part, Text) else UNSEEN for part in parts if isinstance(part, (Text, Image))
    )


def content(parts: Sequence[Part]) -> list[Segment]:
    """The text, and the pictures between the marks of these families."""
    segments: list[Segment] = []
    for part in parts:
        if isinstance(part, Text):
            segments.append(Untrusted(part.text))
        else:
            segments += [Template("<|vision_start|>"), ImageData(part.sha256), Template("<|vision_end|>")]
    return segments


def trimmed(segments: list[Segment]) -> list[Segment]:
    """Without outer white space."""
    if segments and isinstance(segments[0], Untrusted):
        segments[0] = Untrusted(segments[0].text.lstrip())
    if segments and isinstance(segments[-1], Untrusted):
        segments[-1] = Untrusted(segments[-1].text.rstrip())
    return segments


def result_text(message: Message) -> str:
    """What a tool answered, as the model reads it."""
    return plain(message.result.parts if message.result else message.parts)


def split_system(messages: Sequence[Message]) -> tuple[str | None, Sequence[Message]]:
    """The leading system text (None without one) and everything behind it."""
    if messages and messages[0].role == "system":
        return plain(messages[0].parts), messages[1:]
    return None, messages


def last_query(messages: Sequence[Message]) -> int:
    """The position of the last message of a person, -1 without one."""
    return max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)


def tools_json(specs: Sequence[ToolSpec]) -> str:
    """One OpenAI tool object a line, as the published templates print them."""
    lines = (
        {"type": "function", "function": {"name": s.name, "description": s.description, "parameters": s.parameters}}
        for s in specs
    )
    return "\n".join(dump(line) for line in lines)


def dump(value: Any) -> str:
    """JSON as the templates print it: spaced, in order, non-ASCII as it is."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def results(messages: Sequence[Message], at: int, *, trim: bool = False) -> list[Segment]:
    """One tool result in `<tool_response>`; neighbours share one user turn."""
    message = messages[at]
    found = content(message.result.parts if message.result else message.parts)
    segments: list[Segment] = []
    if at == 0 or messages[at - 1].role != "tool":
        segments.append(Template("<|im_start|>user"))
    segments.append(Template("\n<tool_response>\n"))
    segments += trimmed(found) if trim else found
    segments += [Untrusted("\n"), Template("</tool_response>")]
    if at + 1 == len(messages) or messages[at + 1].role != "tool":
        segments.append(Template(END))
    return segments
