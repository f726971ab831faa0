"""What the person at the other end sees before a yes is there to be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.serve.mcp import asking
from localagent.values import Change, Decision, ToolCall


@pytest.mark.parametrize(("lines", "offered"), [(3, True), (900, True), (9000, False)])
def test_a_change_is_shown_to_its_last_line_or_has_no_yes(tmp_path: Path, lines: int, offered: bool) -> None:
    new = tmp_path / "staged"
    new.write_text("harmless\n" * lines + "the last line\n")
    change = Change("write", str(tmp_path / "a.txt"), content=str(new), size=new.stat().st_size)
    decision = Decision("ask", "changes ask first", "ask")
    told = asking.text(ToolCall("1", "run", {"command": "python make.py"}), decision, (change,), str(tmp_path))
    form = asking.schema(decision, told)
    choices = form["properties"][asking.NAME]["enum"]
    assert ("the last line" in told) is offered and (len(choices) > 1) is offered
    assert (asking.answer("accept", {asking.NAME: "Yes, this once"}, form).verdict == "allow") is offered
