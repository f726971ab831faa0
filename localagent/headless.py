"""`localagent do`: one goal, no screen.

stdout is the answer and nothing else (or one JSON document, or the event stream);
everything a person may want to see on the way goes to stderr. stdin is context, never
an approval: questions are asked on the controlling terminal, and where there is none
the answer is no.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any, Literal, TextIO

from .agent import dangers, shown
from .agent.session import Session
from .errors import LocalAgentError
from .events import (
    ChangesCommitted,
    EngineProgress,
    Event,
    MessageDone,
    Notice,
    Nudged,
    PlanUpdated,
    PrefillProgress,
    ToolFinished,
    ToolOutput,
    ToolsOffered,
    ToolStarted,
    TurnEnded,
    to_json,
)
from .policy import rules
from .sandbox import launch
from .toolbox import planning
from .values import Answer, Decision, Failure, Outgoing, Proposal, ToolCall

Format = Literal["text", "json", "stream-json"]
NOBODY = "nobody is here to ask"
TTY = "/dev/tty"
_CHARACTERS = 20_000
_SCRIPTS = ("command", "script", "code")


async def deny_all(call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
    """The approver where no person can be asked."""
    return Answer("deny", note=f"{decision.reason}, and {NOBODY}", by_person=False)


@dataclass(slots=True)
class Style:
    """ANSI colours, or none (NO_COLOR, a pipe, a dumb terminal)."""

    on: bool

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on else text


def style_for(stream: TextIO) -> Style:
    return Style(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


class TerminalApprover:
    """Asks on the controlling terminal: y once, s this session, f this folder, a always, n no, e edit the call.

    One question at a time: an answer belongs to the question it was typed under, and to no other.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._tty = open(TTY, "r+b", buffering=0)  # noqa: SIM115 - closed with the process
        self._style = style_for(sys.stderr)
        self._one = asyncio.Lock()

    async def __call__(self, call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
        async with self._one:
            return await self._ask(call, decision, changes)

    async def _ask(self, call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
        self._say("\n" + self._picture(call, decision, changes) + self._dangers(call))
        keep = _keeping(decision.remember)
        view = ", v view all" if changes or _is_long(call) else ""
        while True:
            self._say(f"Allow? [y once{keep}, n no, e edit{view}] ")
            self._drop_type_ahead()
            said = (await self._line()).strip()
            match said.lower():
                case "y" | "yes":
                    return Answer("allow")
                case "s" if decision.remember:
                    return Answer("allow", "session")
                case "f" if decision.remember:
                    return Answer("allow", "folder")
                case "a" if decision.remember:
                    return Answer("allow", "always")
                case "n" | "no":
                    return Answer("deny")
                case "v" if view:
                    self._say(self._picture(call, decision, changes, limit=sys.maxsize))
                case "e":
                    edited = await self._edit(call)
                    if edited is not None:
                        return Answer("allow", edited_args=edited)
                case "":
                    continue
                case _ if len(said) > 2:
                    return Answer("deny", note=f"the user said: {said}")
                case _:
                    self._say("Please answer y, n or e; or write why not.\n")

    def _drop_type_ahead(self) -> None:
        """What was typed before the question was seen is no answer to it."""
        import termios

        termios.tcflush(self._tty.fileno(), termios.TCIFLUSH)

    def _picture(self, call: ToolCall, decision: Decision, changes: Sequence[Proposal], limit: int = 40) -> str:
        bold, reason = self._style("1", "The agent wants to:"), shown.visible(decision.reason, lines=False)
        if not changes:
            whole = {"limit": limit} if limit > _CHARACTERS else {}
            return f"{bold} {reason}\n{shown.call_block(call, **whole)}\n  in: {self._place(call)}\n"
        if messages := [one for one in changes if isinstance(one, Outgoing)]:
            letters = (line for one in messages for line in shown.message_lines(one, bold=lambda to: self._style("1", to)))
            return "\n".join([f"{bold} {reason}", *letters, ""])
        lines = "\n".join("  " + line for line in shown.change_lines(changes, self._folder, limit))
        diffs = "\n".join(self._coloured(diff) for diff in shown.diffs(changes, self._folder, 2 * limit))
        # A script is no longer than its effects are many: it is shown whole beside them.
        scripts = [value for name in _SCRIPTS if isinstance(value := call.args.get(name), str) and len(value) > 100]
        told = f"{shown.call_block(call)}\n" if scripts else ""
        return f"{bold} {shown.call_line(call)} ({reason})\n{told}{lines}\n{diffs}\n"

    def _place(self, call: ToolCall) -> str:
        """Where it would run, and behind what."""
        boundary = launch.probe().name
        behind = "no sandbox" if boundary == "none" else f"sandbox: {boundary}"
        return f"{shown.visible(self._folder, lines=False)} ({behind})"

    def _dangers(self, call: ToolCall) -> str:
        return "".join(line + "\n" for line in dangers.told(call, lambda part: self._style("1;31", part)))

    def _coloured(self, diff: str) -> str:
        codes = {"+": "32", "-": "31", "@": "36"}
        return "\n".join(
            self._style(codes[line[0]], line) if line[:1] in codes else line for line in diff.splitlines()
        )

    async def _edit(self, call: ToolCall) -> dict[str, Any] | None:
        self._say(f"Arguments now: {json.dumps(dict(call.args), ensure_ascii=False)}\nNew arguments (JSON): ")
        try:
            edited = json.loads(await self._line())
        except ValueError as error:
            self._say(f"That is not JSON ({error}).\n")
            return None
        if isinstance(edited, dict):
            # Half a surrogate pair is no text, and nothing behind this could write it.
            return json.loads(json.dumps(edited, ensure_ascii=False).encode("utf-8", "replace"))
        self._say("The arguments are a JSON object.\n")
        return None

    def _say(self, text: str) -> None:
        self._tty.write(text.encode())

    async def _line(self) -> str:
        """One line from the terminal; end of file means no."""
        loop, fd = asyncio.get_running_loop(), self._tty.fileno()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(fd)
        data = os.read(fd, 65536)
        return data.decode("utf-8", "replace") if data else "n"


def _is_long(call: ToolCall) -> bool:
    return any(len(str(value)) > _CHARACTERS for value in call.args.values())


def _keeping(rule: str) -> str:
    """What `s` and `a` would keep, and where it would hold."""
    if not rule:
        return ""
    always = "" if rules.local(rule) else ", a always, in every folder"
    return f", s this session, f this folder{always}: {shown.visible(rule, lines=False)}"


def approver(folder: str):
    """The terminal if a person sits before one, else `deny_all`."""
    if sys.stderr.isatty():
        try:
            return TerminalApprover(folder)
        except OSError:
            pass
    return deny_all


class Reporter:
    """Draws the events of a run on stderr."""

    def __init__(self, folder: str, quiet: bool = False) -> None:
        self._folder = folder
        self._quiet = quiet
        self._style = style_for(sys.stderr)
        self._live = sys.stderr.isatty()
        self._progress = False

    def __call__(self, event: Event) -> None:
        if self._quiet:
            return
        match event:
            case EngineProgress() if self._live:
                self._passing(_waiting(event))
            case PrefillProgress() if self._live and event.total - event.cached > 256:
                self._passing(f"reading {event.done}/{event.total} tokens")
            case MessageDone() if event.message.calls and event.message.text.strip():
                self._line("2", shown.visible(event.message.text.strip()))
            case PlanUpdated():
                self._line("36", "\n".join(f"  {line}" for line in shown.plan_lines(event.items)))
            case Notice() | Nudged() | ToolsOffered():
                self._told(event)
            case TurnEnded():
                self._clear()
            case _:
                self._of_a_call(event)

    def _of_a_call(self, event: Event) -> None:
        match event:
            case ToolStarted() if event.call.name != planning.PLAN.name:
                self._line("36", "→ " + shown.call_line(event.call))
            case ToolOutput():
                self._line("2", shown.visible(event.text.rstrip("\n")))
            case ChangesCommitted():
                for line in shown.change_lines(event.changes, self._folder, limit=10):
                    self._line("32", f"  ✓ {line} (step {event.step})")
            case ToolFinished() if event.result.requests and event.result.status == "ok":
                for line in shown.change_lines(event.result.requests, self._folder):
                    self._line("33", f"  would {line}")
            case ToolFinished() if event.result.status != "ok":
                self._line("33", f"  {event.result.status}: {shown.first_line(event.result)}")

    def _told(self, event: Notice | Nudged | ToolsOffered) -> None:
        if isinstance(event, Notice):
            self._line("33", shown.visible(event.text))
        elif isinstance(event, ToolsOffered):
            self._line("2", "  tools offered: " + shown.visible(", ".join(spec.name for spec in event.tools), lines=False))
        elif event.files:
            names = ", ".join(shown.relative(path, self._folder) for path in event.files)
            self._line("33", f"  changed by others since it was read: {names}; the model is told")

    def _passing(self, text: str) -> None:
        """A line that the next one takes the place of."""
        self._progress = True
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    def _line(self, code: str, text: str) -> None:
        self._clear()
        print(self._style(code, text), file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._progress:
            sys.stderr.write("\r\x1b[K")
            self._progress = False


def _waiting(event: EngineProgress) -> str:
    match event.what:
        case "loading":
            return f"loading the model: {event.fraction:.0%}"
        case "queued":
            return f"waiting for {event.before} other {'answer' if event.before == 1 else 'answers'}"
        case "waiting":
            return "waiting: the memory is taken by a model that is still answering"


def _envelope(ended: TurnEnded, tools: Sequence[dict[str, Any]], model: str, session_id: str) -> dict[str, Any]:
    """The one JSON document of `--output-format json`."""
    plain = to_json(ended)
    return {
        "ok": ended.status == "done" and not ended.denied and ended.error is None,
        "status": "denied" if ended.status == "done" and ended.denied else ended.status,
        "final": ended.final,
        "usage": plain["usage"],
        "timings": {key: round(value, 1) for key, value in plain["timings"].items()},
        "turns": ended.turns,
        "tools": list(tools),
        "receipts": plain["receipts"],
        "denied": list(ended.denied),
        "model": model,
        "answered_by": list(ended.by),
        "session_id": session_id,
        "questions": ended.questions,
        "error": None if ended.error is None else {"kind": ended.error.kind, "message": ended.error.message},
    }


async def do(session: Session, goal: str, piped: str, form: Format, *, quiet: bool = False) -> TurnEnded:
    """Run one goal to its end, writing as it goes. Ctrl+C cancels the run and everything it started."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    folder = str(session.setting.workspace)
    _tell_boundary(quiet)
    report, tools = Reporter(folder, quiet), []
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
                    tools.append(_tool(event, folder))
    except asyncio.CancelledError:
        while task is not None and task.cancelling():
            task.uncancel()
    finally:
        await session.setting.registry.aclose()
        await session.close()
    ended = session.ended or TurnEnded("cancelled")
    _finish(session, ended, form, tools, folder, quiet)
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


def _tool(event: ToolFinished, folder: str) -> dict[str, Any]:
    """One entry of the envelope's `tools`; `would` lists what a dry run left undone."""
    told = {"name": event.call.name, "args": dict(event.call.args), "status": event.result.status}
    would = shown.change_lines(event.result.requests, folder)
    return {**told, "would": would} if would else told


def refused(error: LocalAgentError, form: Format) -> None:
    """A run that could not begin, in the form that was asked for."""
    failure = Failure(error.kind, str(error))
    if form == "json":
        print(json.dumps(_envelope(TurnEnded("failed", error=failure), (), "", ""), ensure_ascii=False, indent=1))
    elif form == "stream-json":
        print(json.dumps(to_json(TurnEnded("failed", error=failure)), ensure_ascii=False))


def _finish(
    session: Session, ended: TurnEnded, form: Format, tools: Sequence[dict[str, Any]], folder: str, quiet: bool
) -> None:
    if form == "json":
        made = _envelope(ended, tools, session.setting.engine.model, session.id)
        print(json.dumps(made, ensure_ascii=False, indent=1), flush=True)
    elif form == "text" and ended.final:
        print(shown.visible(ended.final) if sys.stdout.isatty() else ended.final, flush=True)
    style = style_for(sys.stderr)
    if ended.error is not None:
        print(style("31", f"localagent: {shown.visible(ended.error.message)}"), file=sys.stderr)
    elif ended.status != "done":
        print(style("33", f"localagent: {_WHY[ended.status]}"), file=sys.stderr)
    for rule in ended.denied:
        way = f"to allow it: --allow {_quoted(shown.visible(rule))}" if rule else "only a person at a terminal can allow it"
        print(f"localagent: not allowed without asking; {way}", file=sys.stderr)
    if not quiet and form == "text":
        asked = f"; {ended.questions} question{'s' if ended.questions != 1 else ''}" if ended.questions else ""
        print(style("2", f"[{shown.summary(ended.receipts, folder)}{asked}]"), file=sys.stderr)


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
