"""The real app over a real session, with a scripted model and plain functions for tools: keys in, screen out."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from localagent.agent import session as sessions
from localagent.agent.session import Session, Setting
from localagent.engine import catalogue, fit
from localagent.engine.base import Options
from localagent.engine.machine import Machine
from localagent.engine.offers import Offer
from localagent.errors import ModelMissing
from localagent.policy import rules
from localagent.policy.decide import Context
from localagent.sandbox.profile import Boundary
from localagent.store import paths, transcript
from localagent.store.journal import Journal
from localagent.toolbox.registry import Registry
from localagent.tui.app import LocalAgentApp
from localagent.tui.meters import Card, Sample
from localagent.values import Change, Message, Mode, Receipt, Text, ToolResult, ToolSpec
from tests.fakes import FakeTools, ScriptedEngine

READ, WRITE, RUN = ("read:fs",), ("write:fs",), ("run",)


class Playing(ScriptedEngine):
    """Each answer is a list of deltas; `...` among them waits until `go` is called, an exception is raised."""

    def __init__(self, *answers: Sequence[Any]) -> None:
        super().__init__()
        self._answers = list(answers)
        self._gate = asyncio.Event()
        self.stopped = 0

    def go(self) -> None:
        self._gate.set()

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncIterator[Any]:
        self.asked.append((list(messages), tuple(specs)))
        try:
            for delta in self._answers.pop(0):
                if delta is ...:
                    await self._gate.wait()
                    self._gate.clear()
                elif isinstance(delta, BaseException):
                    raise delta
                else:
                    yield delta
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.stopped += 1
            raise


class Hand(FakeTools):
    """Plain functions as tools, with the arguments they take."""

    def specs(self) -> list[ToolSpec]:
        names = {"path": {"type": "string"}, "command": {"type": "string"}, "content": {"type": "string"}}
        return [replace(spec, parameters={"type": "object", "properties": names}) for spec in super().specs()]


# A download of 100 MB that says what it is told to; `wait` waits for the end of its input, as the real one does.
FETCHING = """
import json, os, sys
for word in sys.argv[1:]:
    if word == "wait":
        while os.read(0, 100): pass
        sys.exit(130)
    elif word.isdigit():
        print(json.dumps({"what": "downloading", "done": int(word) * 10**6, "total": 10**8}), flush=True)
    elif word == "ready":
        open(os.environ["LOCALAGENT_STATE_DIR"] + "/came", "w").close()
        print(json.dumps({"what": "ready", "path": "/models/it.gguf"}), flush=True)
    else:
        print(json.dumps({"what": "failed", "kind": "store", "message": word, "hint": "Do this."}), flush=True)
        sys.exit(1)
"""


class Home:
    """A House whose sessions are answered by a script, with the real journal, policy and transcript."""

    def __init__(self, engine: Any, tools: FakeTools, mode: Mode = "ask", lacks: bool = False) -> None:
        self.folder = Path.cwd()
        self.context = 16384
        self.mode: Mode = mode
        self.engine = engine
        self.tools = tools
        self.made: list[Session] = []
        self.here = set() if lacks else {"starter", "qwen3.5-9b"}
        self.fetches: dict[str, tuple[str, ...]] = {}
        self.reloads = 0

    def boundary(self) -> Boundary:
        return Boundary("bubblewrap")

    def offers(self) -> list[Offer]:
        """The catalogue on a machine of 16 GiB, with two models that are here."""
        machine = Machine(16 << 30, 12 << 30, 200 << 30)
        known = catalogue.load()
        found = []
        for entry in known.entries.values():
            if not entry.is_variant:
                here = Path(f"/models/{entry.id}.gguf") if entry.id in self.here else None
                made = fit.fits(entry, machine, self.context)
                found.append(Offer(entry, made, here, 0, entry.id == known.default, entry.id == known.default))
        return found

    def fetching(self, model: str, source: str = "") -> list[str]:
        return [sys.executable, "-c", FETCHING, *self.fetches.get(model, ())]

    async def engine_for(self, model: str) -> Any:
        if model not in self.here:
            raise ModelMissing(f"The model {model} is not on this machine.", "Pull it.")
        made = copy.copy(self.engine)
        made.model = model
        return made

    async def sample(self) -> Sample:
        engine = {"state": "answering", "memory_bytes": 5 << 30, "waiting": 0}
        model = {"model": "/models/starter.gguf", "busy": True, "used": 2123, "context": 16384, "memory_bytes": 5 << 30}
        battery = {"battery": 81.0, "plugged": False}
        card = Card("Some card", 3 << 30, 24 << 30)
        return Sample(0.42, 9 << 30, 16 << 30, (card,), {**engine, "models": [model]}, **battery)

    def reload(self) -> None:
        self.reloads += 1

    async def runner(self) -> Any:
        """Answers a job with its own goal."""
        from localagent.jobs.running import Outcome

        async def run(job: Any, run: Any, began: Any) -> Outcome:
            return Outcome("done", f"did: {job.goal}", {"receipts": [], "denied": []})

        return run

    def _policy(self, mode: Mode, granted: tuple[str, ...], lost: int) -> Context:
        kept = tuple(rules.parse(text) for text in granted)
        return Context(mode, str(self.folder), rules.Rules(kept=kept), True, str(Path.home()), lost_before=lost)

    async def session(self, resume: str | None, model: str | None, mode: Mode) -> Session:
        if not self.here and not (paths.state_dir() / "came").exists():
            raise ModelMissing("The model qwen3.5-9b (5.7 GB) is not on this machine.", "Pull it.")
        if model:
            self.engine.model = model
        setting = Setting(
            engine=self.engine,
            registry=Registry([self.tools]),
            journal=Journal(paths.state_dir() / "journal"),
            workspace=self.folder,
            policy=self._policy,
        )
        log = transcript.Transcript(transcript.find(resume) if resume else transcript.new_id())
        self.made.append(sessions.start(setting, mode, log, resumed=resume is not None))
        return self.made[-1]


def change(name: str, text: str) -> Change:
    """What a write tool proposes for a file of the current folder."""
    path = Path.cwd() / name
    blob = paths.cache_dir() / f"blob-{name.replace('/', '-')}"
    blob.write_text(text)
    before = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
    after = hashlib.sha256(text.encode()).hexdigest()
    kind = "edit" if before else "write"
    return Change(kind, str(path), content=str(blob), before=before, after=after, size=len(text.encode()))


def ran(command: str, output: str, code: int = 0) -> ToolResult:
    receipt = Receipt("ran", {"command": command, "exit_code": code, "seconds": 0.01})
    return ToolResult("", (Text(output),), "ok" if code == 0 else "failed", receipts=(receipt,))


def tools(**more: Any) -> FakeTools:
    """look, write (path, content), many, run (command) and net; `more` adds or replaces."""

    def write(args: dict[str, Any]) -> ToolResult:
        made = change(args["path"], args.get("content", "new\n"))
        return ToolResult("", (Text("Wrote."),), requests=(made,))

    def many(args: dict[str, Any]) -> ToolResult:
        return ToolResult("", (Text("Done."),), requests=tuple(change(f"file{n}.txt", "x\n" * n) for n in range(1, 60)))

    return Hand(
        **{
            "look": (READ, lambda args: "nothing to see"),
            "write": (WRITE, write),
            "many": (WRITE, many),
            "run": (RUN, lambda args: ["hello\n", "world\n", ran(args["command"], "hello\nworld\n[exit code 0]")]),
            "fetch": (("net",), lambda args: "fetched"),
            **more,
        }
    )


def screen(app: LocalAgentApp) -> str:
    """The characters on the screen, as a person would see them."""
    lines = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]
    return "\n".join(lines[: app.size.height])


async def until(pilot: Any, met: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until something is so; fails with the screen where it never is."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            raise AssertionError(f"it never came true; the screen:\n{screen(pilot.app)}")
        await pilot.pause(0.005)


async def painted(pilot: Any) -> None:
    """Everything seen so far is drawn."""
    await until(pilot, lambda: not pilot.app._dirty.is_set() and not pilot.app.painting)
    await pilot.pause()


async def settled(pilot: Any) -> None:
    """The screen has stopped changing: layout follows what was drawn by a few frames."""
    before = ""
    for _ in range(50):
        await pilot.pause(0.03)
        now = screen(pilot.app)
        if now == before:
            return
        before = now


async def shows(pilot: Any, text: str) -> None:
    await until(pilot, lambda: text in screen(pilot.app))


async def idle(pilot: Any) -> None:
    await until(pilot, lambda: not pilot.app.driver.running and not pilot.app.driver.queue)
    await painted(pilot)


async def asked(pilot: Any) -> None:
    """A question is open, its keys count, and its whole effect has been laid out."""
    await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
    window = pilot.app.screen
    await until(pilot, lambda: not window._locked())
    await pilot.pause()


async def say(pilot: Any, text: str) -> None:
    pilot.app.prompt.set_text(text)
    await pilot.pause()
    await pilot.press("enter")


async def later(pilot: Any, text: str) -> None:
    """While the agent works: as the next request."""
    pilot.app.prompt.set_text(text)
    await pilot.pause()
    await pilot.press("tab")


def run(
    engine: Any,
    play: Callable[[Any], Awaitable[None]],
    *,
    have: FakeTools | None = None,
    size: tuple[int, int] = (80, 24),
    mode: Mode = "ask",
    resume: str | None = None,
    lacks: bool = False,
    fetches: dict[str, tuple[str, ...]] | None = None,
) -> LocalAgentApp:
    """Start the app, let `play` use it, end it. Where it `lacks` a model, `fetches` says how each is downloaded."""

    async def whole() -> LocalAgentApp:
        home = Home(engine, have or tools(), mode, lacks)
        home.fetches |= fetches or {}
        app = LocalAgentApp(home, resume)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: lacks or app.driver.session is not None)
            await play(pilot)
            await asyncio.gather(app.driver.close(), app.machine.close())
        return app

    return asyncio.run(whole())


def at_home(folder: str = "work") -> Path:
    """A workspace below the home folder, so that pictures hold no temporary path; the current folder from now on."""
    work = Path.home() / folder
    work.mkdir(exist_ok=True)
    os.chdir(work)
    return work
