"""Questions of `do`, asked on the controlling terminal."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from ..agent import dangers, shown
from ..policy import rules
from ..sandbox import launch
from ..values import Answer, Decision, Outgoing, Proposal, ToolCall
from .styled import style_for

TTY = "/dev/tty"
_CHARACTERS = 20_000
_SCRIPTS = ("command", "script", "code")


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
