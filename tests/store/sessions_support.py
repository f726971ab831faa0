"""Stored sessions for the tests of lists, searches and exports."""

from __future__ import annotations

from localagent.events import Event, MessageDone, ToolFinished, ToolStarted, TurnEnded, TurnStarted
from localagent.store import transcript
from localagent.values import Decision, Message, Text, ToolCall, ToolResult


def turn(session: str, asked: str, answer: str = "Done.", call: ToolCall | None = None, folder: str = "/w") -> list[Event]:
    """The events of one request: an optional call, and the answer."""
    events: list[Event] = [TurnStarted(session, Message("user", (Text(asked),)), "tiny", "ask", folder, 1_800_000_000.0)]
    if call is not None:
        events += [
            MessageDone(Message("assistant", calls=(call,))),
            ToolStarted(call, Decision("allow", "it only reads")),
            ToolFinished(call, ToolResult(call.id, (Text("what came of it"),))),
        ]
    return [*events, MessageDone(Message("assistant", (Text(answer),))), TurnEnded("done", answer)]


def stored(*asked: str, session: str = "", answer: str = "Done.", folder: str = "/w") -> str:
    """A session on the disk with these requests; its id."""
    log = transcript.Transcript(session or transcript.new_id())
    for text in asked:
        for event in turn(log.folder.name, text, answer, folder=folder):
            log.append(event)
    return log.folder.name
