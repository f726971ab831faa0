from __future__ import annotations

import json

import pytest

from localagent import events as e
from localagent import values as v

CALL = v.ToolCall("call_1", "write_file", {"path": "a", "content": "x\n"})
CHANGE = v.Change("write", "/w/a", content="/tmp/blob", before="", after="00", size=2)
SAMPLES = [
    e.TurnStarted("s", v.Message("user", (v.Text("hi"), v.Image("ab"))), "m", "ask", "/w", 1.5, "Folder: /w"),
    e.EngineProgress("queued", before=2),
    e.PrefillProgress(1, 2, 1),
    e.TextDelta("é"),
    e.ThinkingDelta("hm"),
    e.MessageDone(v.Message("assistant", (v.Text("t"),), "th", (CALL,)), v.Usage(1, 2, 3), v.Timings(1.0), "length"),
    e.PlanUpdated((v.PlanItem("one", True),), "call_1"),
    e.ToolStarted(CALL, v.Decision("allow", "reading", "read(**)")),
    e.ToolOutput("call_1", "line\n"),
    e.ApprovalAsked(CALL, v.Decision("ask", "changes"), (CHANGE,)),
    e.ApprovalGiven("call_1", v.Answer("allow", "session", edited_args={"path": "b"})),
    e.ChangesCommitted("call_1", 3, (CHANGE,)),
    e.ToolFinished(CALL, v.ToolResult("call_1", (v.Text("ok"),), receipts=(v.Receipt("changed", {"op": "write"}),)), 0.1),
    e.Notice("n", "warning"),
    e.Nudged("go on"),
    e.ToolsOffered((v.ToolSpec("t", "d", {"type": "object", "properties": {"a": {"enum": ["x"]}}}, ("net",), "f"),), ("t",), "call_1"),
    e.Supplied("remembered", "| tea", {"a1b2c3": "tea"}, ("private",)),
    e.Steered(v.Message("steer", (v.Text("as CSV"),)), "a.csv: empty", ("untrusted",)),
    e.TakenBack(3, ("a",), 2, True),
    e.Rewound(1, ("a",), 1),
    e.TurnEnded("done", "fine", v.Failure("engine", "died"), (v.Receipt("ran", {"exit_code": 0}),), ("run(x)",)),
]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_survives_its_json_form(event: e.Event) -> None:
    assert e.from_json(json.loads(json.dumps(e.to_json(event)))) == event


def test_the_samples_cover_the_whole_union() -> None:
    assert {type(s).__name__ for s in SAMPLES} == set(e._EVENTS)


def test_generated_ids_are_not_in_the_transcript_line() -> None:
    message = v.Message("assistant", (v.Text("t"),), generated=v.Generated("sha", (1, 2)))
    assert "generated" not in json.dumps(e.to_json(e.MessageDone(message)))


def test_unknown_kinds_are_refused_and_unknown_fields_dropped() -> None:
    with pytest.raises(ValueError, match="Nonsense"):
        e.from_json({"event": "Nonsense"})
    assert e.from_json({"event": "TextDelta", "text": "x", "later": 1}) == e.TextDelta("x")
