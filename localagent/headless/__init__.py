"""`localagent do`: one goal, no screen.

stdout is the answer and nothing else (or one JSON document, or the event stream);
everything a person may want to see on the way goes to stderr. stdin is context, never
an approval: questions are asked on the controlling terminal, and where there is none
the answer is no.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import aclosing
from io import TextIOWrapper
from typing import Any, Literal

from ..agent import shown
from ..agent.session import Session
from ..errors import LocalAgentError
from ..events import PlanUpdated, ToolFinished, TurnEnded, to_json
from ..sandbox import launch
from ..values import Answer, Decision, Failure, Proposal, ToolCall
from .envelope import envelope, tool
from .reporter import Reporter
from .styled import style_for
from .terminal import TerminalApprover

__all__ = ["NOBODY", "Reporter", "TerminalApprover", "approver", "deny_all", "do", "refused"]

Format = Literal["text", "json", "stream-json"]
NOBODY = "nobody is here to ask"


async def deny_all(call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
    """The approver where no person can be asked."""
    return Answer("deny", note=f"{decision.reason}, and {NOBODY}", by_person=False)


def approver(folder: str):
    """The terminal if a person sits before one, else `deny_all`."""
    if sys.stderr.isatty():
        try:
            return TerminalApprover(folder)
        except OSError:
            pass
    return deny_all


async def do(session: Session, goal: str, piped: str, form: Format, *, quiet: bool = False) -> TurnEnded:
    """Run one goal to its end, writing as it goes. Ctrl+C cancels the run and everything it started."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    folder = str(session.setting.workspace)
    _tell_boundary(quiet)
    report, tools, plan = Reporter(folder, quiet), [], None
    ask = approver(folder)
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    if task is not None:
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, task.cancel)
    try:
        async with aclosing(session.send(goal, ask, piped=piped)) as events:
            async for event in events:
                report(event)
                if form == "stream-json":
                    print(json.dumps(to_json(event), ensure_ascii=False), flush=True)
                if isinstance(event, ToolFinished):
                    tools.append(tool(event, folder))
                plan = event if isinstance(event, PlanUpdated) else plan
    except asyncio.CancelledError:
        while task is not None and task.cancelling():
            task.uncancel()
    finally:
        await session.setting.registry.aclose()
        await session.close()
    ended = session.ended or TurnEnded("cancelled")
    _finish(session, ended, form, (tools, plan), folder, quiet)
    return ended


def _tell_boundary(quiet: bool) -> None:
    """Where there is no sandbox every effect asks, and a reduced one holds less: that is said before it happens."""
    boundary = launch.probe()
    if boundary.reduced and not quiet:
        told = f"localagent: the sandbox is reduced ({boundary.name}): {boundary.reason} {boundary.hint}"
        print(style_for(sys.stderr)("33", told.rstrip()), file=sys.stderr)
    if boundary.name == "none" and not quiet:
        told = f"localagent: no sandbox, so every effect asks first: {boundary.reason} {boundary.hint}"
        print(style_for(sys.stderr)("33", told.rstrip()), file=sys.stderr)


def refused(error: LocalAgentError, form: Format) -> None:
    """A run that could not begin, in the form that was asked for."""
    failure = Failure(error.kind, str(error))
    if form == "json":
        print(json.dumps(envelope(TurnEnded("failed", error=failure), (), "", ""), ensure_ascii=False, indent=1))
    elif form == "stream-json":
        print(json.dumps(to_json(TurnEnded("failed", error=failure)), ensure_ascii=False))


def _finish(
    session: Session,
    ended: TurnEnded,
    form: Format,
    seen: tuple[Sequence[dict[str, Any]], PlanUpdated | None],
    folder: str,
    quiet: bool,
) -> None:
    if form == "json":
        made = envelope(ended, seen[0], session.setting.engine.model, session.id, seen[1])
        print(json.dumps(made, ensure_ascii=False, indent=1), flush=True)
    elif form == "text" and ended.final:
        print(shown.visible(ended.final) if sys.stdout.isatty() else ended.final, flush=True)
    style = style_for(sys.stderr)
    if ended.error is not None:
        print(style("31", f"localagent: {shown.visible(ended.error.message)}"), file=sys.stderr)
    elif ended.status != "done":
        print(style("33", f"localagent: {_WHY[ended.status]}"), file=sys.stderr)
    for one in ended.checks:
        if not one.ok:
            print(style("31", f"localagent: a check failed: {shown.checked_line(one)}"), file=sys.stderr)
    for rule in ended.denied:
        way = f"to allow it: --allow {_quoted(shown.visible(rule))}" if rule else "only a person at a terminal can allow it"
        print(f"localagent: not allowed without asking; {way}", file=sys.stderr)
    if not quiet and form == "text":
        asked = f"; {ended.questions} question{'s' if ended.questions != 1 else ''}" if ended.questions else ""
        print(style("2", f"[{shown.summary(ended.receipts, folder, checks=ended.checks)}{asked}]"), file=sys.stderr)


_WHY = {
    "failed": "the run failed.",
    "time": "the time budget is spent.",
    "budget": "the budget of turns, calls or tokens is spent before the goal was met.",
    "denied": "the run needed an approval.",
    "cancelled": "interrupted.",
}


def _quoted(rule: str) -> str:
    import shlex

    return shlex.quote(rule)
