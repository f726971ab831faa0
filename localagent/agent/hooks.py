"""Commands of the user's own that hear what a session does: run, bounded, and never more than a stricter word.

A hook may turn allow into ask and ask into deny, tell the model something (as data), change a call (which is judged again), or end
the turn. It never allows.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import LocalAgentError
from ..sandbox import launch
from ..sandbox.launch import Limits, Profile
from ..store.hooksfile import GATES, Hook
from ..values import Mode, Verdict
from . import hook_form
from .hook_form import Said

_OUTPUT_KB = 256
_CONTINUED = 3
"""How often in one turn hooks may have the model go on though it wants to stop."""
_DESKTOP = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XAUTHORITY")
_PROJECT = re.compile(r"\$\{?(?:CLAUDE|GEMINI|QWEN|LOCALAGENT)_PROJECT_DIR\b|\$\{?PWD\b")
# They run what stands in files of the folder, which the agent may write, though no file is named.
_RUNNERS = frozenset(
    "make gmake just task rake npm npx pnpm pnpx yarn bun bunx deno pytest py.test tox nox invoke poetry hatch pdm uv pipenv cargo go "
    "gradle gradlew mvn mvnw ant cmake ctest ninja meson bazel sbt mix composer bundle dotnet pre-commit lefthook husky eslint prettier "
    "stylelint jest vitest mocha webpack rollup vite gulp grunt turbo nx".split()
)
_WORDS = re.compile(r"[^\s'\";|&()<>`=]+")


class HookStopped(LocalAgentError):
    """A hook has refused a request, or ended a turn."""

    kind = "hook"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What all hooks of one event say together: the strictest verdict ("allow" where none is stricter) and its reason."""

    verdict: Verdict = "allow"
    reason: str = ""
    context: str = ""
    edited: Mapping[str, Any] | None = None
    stop: str | None = None


@dataclass(slots=True)
class State:
    """What has become of a session's hooks: sentences for the person, why the turn is to end, what runs beside it."""

    notices: list[str] = field(default_factory=list)
    stopped: str = ""
    begun: bool = False
    continued: int = 0
    beside: set[asyncio.Task[Any]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of one session, by default none. `mask` hides secrets in what they are told and say.

    `editing` False: a call was changed by a hook already, and a further change refuses it.
    """

    hooks: tuple[Hook, ...] = ()
    workspace: Path = Path()
    session_id: str = ""
    transcript: str = ""
    mask: Callable[[str], str] = str
    resumed: bool = False
    editing: bool = True
    state: State = field(default_factory=State)

    def has(self, event: str) -> bool:
        return any(hook.event == event for hook in self.hooks)

    def after_edit(self) -> Hooks:
        """The same for a call that a hook has made of another."""
        return replace(self, editing=False)

    def overheard(self) -> list[str]:
        """What they had to say to the person since the last time."""
        told, self.state.notices[:] = list(self.state.notices), []
        return told

    def check(self) -> None:
        """Raises HookStopped where a hook has ended the turn."""
        if self.state.stopped:
            raise HookStopped(f"Your hook ended the turn: {self.state.stopped}")

    async def opening(self, text: str, mode: Mode) -> str:
        """At a request, before anything of it is recorded: what hooks tell the model with it. Raises HookStopped where one refuses it."""
        self.state.stopped, self.state.continued = "", 0
        told = []
        if not self.state.begun:
            self.state.begun = True
            source = "resume" if self.resumed else "startup"
            told.append((await self.rule("SessionStart", {"source": source}, mode, (source,))).context)
        ruling = await self.rule("UserPromptSubmit", {"prompt": text}, mode)
        if ruling.stop is not None or ruling.verdict != "allow":
            raise HookStopped(f"Your hook refused the request: {ruling.stop or ruling.reason}", "See `localagent hooks list`.")
        return "\n".join(filter(None, (*told, ruling.context)))

    async def stopping(self, final: str, mode: Mode) -> str:
        """At the end of a turn: why the model is to go on, "" where nothing keeps it."""
        if not self.has("Stop"):
            return ""
        facts = {"stop_hook_active": self.state.continued > 0, "last_assistant_message": final}
        ruling = await self.rule("Stop", facts, mode)
        if ruling.verdict != "deny" or ruling.stop is not None:
            return ""
        if self.state.continued >= _CONTINUED:
            self.state.notices.append(f"A Stop hook kept the agent going {_CONTINUED} times; now it stops: {ruling.reason}")
            return ""
        self.state.continued += 1
        return "\n".join(filter(None, (ruling.reason, ruling.context)))

    def notify(self, message: str, mode: Mode) -> None:
        """A person is waited for: told beside everything else."""
        if self.has("Notification"):
            kind = "permission_prompt"
            facts = {"message": message, "notification_type": kind, "title": "localagent"}
            task = asyncio.ensure_future(self.rule("Notification", facts, mode, (kind,)))
            self.state.beside.add(task)
            task.add_done_callback(self.state.beside.discard)

    async def close(self, mode: Mode, reason: str = "other") -> None:
        """The session is over."""
        for task in list(self.state.beside):
            task.cancel()
        await asyncio.gather(*self.state.beside, return_exceptions=True)
        if self.state.begun:
            self.state.begun = False
            await self.rule("SessionEnd", {"reason": reason}, mode, (reason,))

    async def rule(
        self, event: str, facts: Mapping[str, Any], mode: Mode, names: Sequence[str] = (), tool: Mapping[str, Any] | None = None
    ) -> Ruling:
        """Run the hooks of the event that are for one of `names`, one after the other, each told what the one before it was.

        `tool` are the name, the source and the arguments of a call. A gate's refusal, or a wish to stop, is the last word.
        """
        made, contexts = Ruling(), list[str]()
        for hook in self.hooks:
            called = hook_form.matched(hook, names) if hook.event == event else None
            if called is None:
                continue
            said = await self._ask(hook, self._told(event, {"mode": mode, **facts}, called, tool))
            if said.message:
                self.state.notices.append(f"Your hook for {event} says: {said.message}")
            contexts += [said.context] if said.context else []
            verdict = hook_form.stricter(made.verdict, str(said.verdict))
            made = Ruling(verdict, said.reason if verdict != made.verdict else made.reason, "", made.edited, said.stop)
            if said.edited is not None and tool is not None:
                made = replace(made, edited=said.edited)
            if said.stop is not None or made.verdict == "deny":
                break
        return replace(made, context="\n".join(contexts))

    def _told(self, event: str, facts: Mapping[str, Any], called: str, tool: Mapping[str, Any] | None) -> dict[str, Any]:
        folder, facts = str(self.workspace), dict(facts)
        made = hook_form.base(event, self.session_id, self.transcript, folder, facts.pop("mode")) | facts
        if tool is not None:
            args = hook_form.their_arguments(tool["name"], called, tool["args"], folder)
            made |= {"tool_name": called, "tool_input": args, "localagent_tool": tool["name"], "tool_use_id": tool["id"]}
        return self.mask_in(made)

    def mask_in(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {key: self.mask_in(one) for key, one in value.items()}
        return [self.mask_in(one) for one in value] if isinstance(value, list | tuple) else value

    async def _ask(self, hook: Hook, told: Mapping[str, Any]) -> Said:
        said = await run(hook, told, self.workspace)
        if not said.failed:
            reason = self.mask(said.reason) or "it says so"
            return replace(said, reason=reason, context=self.mask(said.context), message=self.mask(said.message))
        failure = hook.on_failure if hook.event in GATES else "pass"
        self.state.notices.append(f"A hook failed, {_MEANING[failure]}: {said.failed} ({hook.where})")
        return said if failure == "pass" else replace(said, verdict=failure, reason=f"it failed: {said.failed} ({hook.where})")


_MEANING = {"deny": "so the answer is no", "ask": "so you are asked", "pass": "and things went on"}


async def run(hook: Hook, told: Mapping[str, Any], workspace: Path) -> Said:
    """Run one hook on this input. What goes wrong with it is in what it says."""
    shell = shutil.which("bash") or "/bin/sh"
    inside = held(hook, workspace)
    limits = Limits(hook.timeout, *((1024, 64, 64) if inside else (0, 0, 0)), _OUTPUT_KB)
    profile = Profile(readable=(str(workspace),), limits=limits) if inside else None
    data = json.dumps(told, ensure_ascii=False, default=str).encode("utf-8", "replace")
    try:
        process = await launch.start(
            [shell, "-c", hook.command], profile=profile, cwd=workspace, env=_environment(workspace), stdin=True, merge=False, limits=limits
        )
        async with process:
            process.write(data)
            process.close_stdin()
            output = b"".join([chunk async for chunk in process])
            code = await process.wait()
    except LocalAgentError as error:
        return Said(failed=str(error))
    texts = (part.decode("utf-8", "replace") for part in (output, process.stderr))
    return hook_form.outcome(hook.event, code, *texts, process.ended)


def held(hook: Hook, workspace: Path) -> bool:
    """Whether it runs in the sandbox: a project's always, the user's own where it runs what the agent itself may write."""
    if not hook.own:
        return True
    if hook.sandbox is not None:
        return hook.sandbox
    if _PROJECT.search(hook.command):
        return True
    top = os.path.realpath(workspace)
    for word in _WORDS.findall(hook.command):
        if os.path.basename(word) in _RUNNERS:
            return True
        path = os.path.realpath(os.path.join(top, os.path.expanduser(word)))
        if path.startswith(top.rstrip(os.sep) + os.sep) and os.path.lexists(path):
            return True
    return False


def _environment(workspace: Path) -> dict[str, str]:
    """An allow-list of the user's: no key or token that stands in it for another program."""
    kept = {name: os.environ[name] for name in _DESKTOP if name in os.environ}
    places = dict.fromkeys(("CLAUDE_PROJECT_DIR", "QWEN_PROJECT_DIR", "LOCALAGENT_PROJECT_DIR"), str(workspace))
    # Else `python3 -c "import json"` would take a json.py of the folder for Python's own.
    return launch.clean_env(kept | places | {"PYTHONSAFEPATH": "1"})
