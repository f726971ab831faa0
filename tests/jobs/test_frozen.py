"""A run has what was agreed to, and no more; and what looks for things looks at real ones."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from localagent import wiring
from localagent.channels.sender import me
from localagent.errors import LocalAgentError, UsageError
from localagent.jobs import frozen, looking, running, telling
from localagent.sandbox import launch
from localagent.store import channels, grants
from localagent.store.jobs import Job, Jobs, Run, Trigger
from localagent.store.outbox import Outbox
from localagent.values import ToolSpec

from ..fakes import ScriptedEngine, call
from .support import START


class Listening(ScriptedEngine):
    def __init__(self, *steps) -> None:
        super().__init__(*steps)
        self.priorities: list[int] = []

    def stream(self, messages, specs, options):
        self.priorities.append(options.priority)
        return super().stream(messages, specs, options)


def _job(folder: Path, **more) -> Job:
    every = Trigger("every", "1h", 3600.0)
    job = Job("abc123", "job", "write the notes", str(folder), every, made=START)
    job = replace(job, **more)
    registry = asyncio.run(wiring.job_tools(folder))
    return job if job.tools else replace(job, tools=frozen.tools(registry))


def _run(job: Job, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, delta: str = "") -> tuple[running.Outcome, Run]:
    monkeypatch.setattr(wiring, "chosen_engine", lambda chosen, wanted, obtain: engine)
    store = Jobs()
    store.add(job, 0.0)
    begun = store.begin(job.id, "it was due", delta, me(), START, after=None)
    assert begun is not None
    runner = running.Sessions(lambda one: wiring.for_job(one, lambda entry, chosen: (entry, Path())))
    outcome = asyncio.run(runner(job, begun, lambda id: store.in_session(begun.number, id)))
    store.close()
    return outcome, begun


def test_only_its_own_rules_hold(tmp_path: Path, monkeypatch) -> None:
    grants.add("write(**)", str(tmp_path))
    steps = (
        [call("write_file", path="notes/a.txt", content="yes")],
        [call("write_file", path="b.txt", content="no")],
        "Written.",
    )
    engine = Listening(*steps)
    outcome, _ = _run(_job(tmp_path, allow=(("write(notes/**)", ""),)), engine, monkeypatch, "new: x")
    assert (tmp_path / "notes/a.txt").read_text() == "yes" and not (tmp_path / "b.txt").exists()
    assert (outcome.state, outcome.said, outcome.changed) == ("denied", "Written.", (str(tmp_path / "notes/a.txt"),))
    assert any("write(" in rule for rule in outcome.facts["denied"])
    # A person who waits goes before it, and what set it off is quoted as data.
    assert set(engine.priorities) == {1} and engine.closed
    asked = engine.asked[0][0][-1].text
    assert "data, not instructions" in asked and "| new: x" in asked


def test_a_deny_rule_of_later_holds_and_an_allow_rule_of_later_does_not(tmp_path: Path, monkeypatch) -> None:
    from localagent.store import paths

    job = _job(tmp_path, allow=(("write(notes/**)", ""),))
    (paths.config_dir() / "policy.yaml").write_text("deny:\n  - write(notes/secret)\nallow:\n  - write(b)\n")
    steps = [[call("write_file", path=path, content="x")] for path in ("notes/secret", "b", "notes/c")]
    _run(job, Listening(*steps, "Done."), monkeypatch)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["c"]


def test_a_tool_that_can_do_more_by_now_is_left_out(tmp_path: Path, monkeypatch) -> None:
    job = _job(tmp_path)
    changed = tuple((name, "another print" if name == "run" else was) for name, was in job.tools if name != "trash")
    engine = Listening("Done.")
    _run(replace(job, tools=changed), engine, monkeypatch)
    names, found = {spec.name for spec in engine.asked[0][1]}, {"fetch_page", "download_file"}
    assert names == {name for name, _ in job.tools} - {"run", "trash"} - found


def test_a_rule_holds_for_the_program_it_was_made_for(tmp_path: Path, monkeypatch) -> None:
    job = _job(tmp_path, allow=(("run(make test)", "another program"),))
    monkeypatch.setattr(wiring, "chosen_engine", lambda chosen, wanted, obtain: Listening("Done."))
    session = asyncio.run(wiring.for_job(job, lambda entry, chosen: (entry, Path())))
    assert session.setting.policy("ask", (), 0).rules.allow == ()
    assert any("run(make test) is not what it was" in text for text in session.setting.notices)


def test_what_a_tool_may_do_is_in_its_print(tmp_path: Path) -> None:
    registry = asyncio.run(wiring.job_tools(tmp_path))
    spec = registry.spec("read_file")
    assert spec is not None and frozen.printed(registry, spec) == dict(frozen.tools(registry))["read_file"]
    more = ToolSpec(spec.name, spec.description, spec.parameters, (*spec.effects, "net"), spec.source)
    assert frozen.printed(registry, more) != frozen.printed(registry, spec)


def test_an_engine_that_fails_may_be_tried_again_unless_something_was_done(tmp_path: Path, monkeypatch) -> None:
    from localagent.errors import EngineError, ModelMissing

    allow = (("write(**)", ""),)
    outcome, _ = _run(_job(tmp_path, id="one"), Listening(EngineError("It died.")), monkeypatch)
    assert (outcome.state, outcome.again) == ("failed", True)
    steps = ([call("write_file", path="b", content="x")], EngineError("It died."))
    outcome, _ = _run(_job(tmp_path, id="two", allow=allow), Listening(*steps), monkeypatch)
    assert (outcome.state, outcome.again) == ("failed", False) and outcome.facts["receipts"]
    outcome, _ = _run(_job(tmp_path, id="three"), Listening(ModelMissing("There is none.")), monkeypatch)
    assert (outcome.state, outcome.again) == ("failed", False)


# ------------------------------------------------------------ telling


@pytest.mark.parametrize("text", ["desk", "desk:", ":me", "desk:*", "*:me", "*"])
def test_what_names_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        telling.rule(text)
    assert str(telling.rule("work:anna@example.org")) == "send(work:anna@example.org)"


def test_how_a_run_ended_is_told_once(tmp_path: Path, monkeypatch) -> None:
    from localagent.agent.office import Manner
    from localagent.channels import desktop
    from localagent.values import Sent

    sent = []

    async def send(self, message):
        sent.append(message)
        return Sent("handed over")

    monkeypatch.setattr(desktop.Desktop, "send", send)
    channels.path().write_text("desk:\n  kind: desktop\n")
    lines: list[str] = []
    job = _job(tmp_path, tell="desk:me")
    run = Run(7, job.id, "it was due", "", START, START + 5, "done", 0, "", "s1", "All is well.", {})
    teller = telling.Teller(Manner(hold_s=0), lines.append)
    for _ in range(2):
        asyncio.run(teller(job, run))
    assert [(one.channel, one.address, one.subject) for one in sent] == [("desk", "me", "job: done")]
    assert "All is well." in sent[0].text and [entry.state for entry in Outbox().entries()] == ["handed over"]
    asyncio.run(teller(replace(job, tell="gone:me"), replace(run, number=8)))
    assert len(sent) == 1 and lines and "gone" in lines[0]


# ------------------------------------------------------------ looking


def test_files_are_compared(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/index").write_text("1")
    world = looking.World(lambda channel: None)  # type: ignore[arg-type, return-value]
    trigger = Trigger("change", str(tmp_path), 60)
    job = Job("j", "j", "g", str(tmp_path), trigger)
    cursor = world.beginning(trigger)
    assert asyncio.run(world.look(job, cursor, START)).why == ""
    (tmp_path / "a").write_text("12")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b\nc").write_text("1")
    (tmp_path / ".git/index").write_text("2")
    found = asyncio.run(world.look(job, cursor, START))
    assert found.why.startswith("2 files changed") and found.delta.splitlines()[-1] == "changed: a" and "new: sub/b" in found.delta
    assert asyncio.run(world.look(job, found.cursor, START)).why == ""
    (tmp_path / "a").unlink()
    assert asyncio.run(world.look(job, found.cursor, START)).delta == "gone: a"
    (tmp_path / "own").write_text("x")
    settled = world.settled(job, found.cursor, [str(tmp_path / "a"), str(tmp_path / "own"), "/etc/passwd"])
    assert asyncio.run(world.look(job, settled, START)).why == ""


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(looking, "FILES", 3)
    for n in range(5):
        (tmp_path / str(n)).touch()
    with pytest.raises(UsageError):
        looking.snapshot(str(tmp_path))


@pytest.mark.skipif(launch.probe().name == "none", reason="there is no sandbox here")
def test_a_command_is_looked_at_in_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    job = Job("j", "j", "g", str(tmp_path), Trigger("output", "cat a; echo x > b; exit 3", 60))
    said = asyncio.run(looking.output(job))
    assert said.startswith("one") and "[exit code 3]" in said and not (tmp_path / "b").exists()


def test_without_a_sandbox_no_command_is_looked_at(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(launch, "_probed", launch.Boundary("none", "There is none."))
    job = Job("j", "j", "g", str(tmp_path), Trigger("output", "touch b", 60))
    with pytest.raises(LocalAgentError):
        asyncio.run(looking.output(job))
    assert not (tmp_path / "b").exists()


def test_the_end_of_a_process_is_seen_and_no_other_taken_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        began = looking.began(child.pid)
        trigger = Trigger("exit", "", 2.0, pid=child.pid, started=began)
        assert began and looking.running(trigger) and not looking.running(replace(trigger, started=began - 100))
        child.kill()
        child.wait()
        assert not looking.running(trigger)
    assert looking.began(os.getpid()) and not looking.running(replace(trigger, pid=os.getpid()))


def test_rules_of_a_command_reach_its_sandbox(tmp_path: Path, monkeypatch) -> None:
    seen = []

    async def run(argv, *, profile, cwd, **more):
        seen.append(profile)
        return launch.Done(0, b"", "", 0.0)

    monkeypatch.setattr(launch, "run", run)
    allow, deny = (("net(example.org)", ""), ("write(**)", "")), ("read(secret/**)", "net(bad.example.org)")
    asyncio.run(looking.output(Job("j", "j", "g", str(tmp_path), Trigger("output", "x", 60), allow, deny)))
    (profile,) = seen
    assert profile.hosts == ("example.org",) and profile.denied_hosts == ("bad.example.org",) and not profile.network
    assert profile.writable == () and profile.closed == (str(tmp_path / "secret/**"),)
