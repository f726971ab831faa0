"""The reduced boundary: when it is taken, that it ends everything, and that a program works in it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.sandbox import landlock, launch, linux, seccomp
from localagent.sandbox.launch import Done, Limits, Profile
from localagent.sandbox.linux import Host
from localagent.store import paths
from localagent.toolbox.plugins import PluginSource
from localagent.values import ToolCall, ToolResult
from tests.sandbox.test_launch import running, waited

pytestmark = pytest.mark.skipif(landlock.version() < landlock.OLDEST, reason="this kernel has no Landlock to speak of")


@pytest.fixture(autouse=True)
def reduced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(linux, "find_bwrap", lambda: None)
    monkeypatch.setattr(launch, "_probed", None)
    assert launch.probe().name == "landlock"
    yield
    launch._probed = None


def sh(script: str, *, limits: Limits | None = None, cwd: str = "/", **more) -> Done:
    profile = more.pop("profile", None) or Profile(limits=limits or Limits(wall_s=20))
    return asyncio.run(launch.run(["/bin/bash", "-c", script], profile=profile, cwd=cwd, **more))


def test_it_is_never_used_without_a_filter_or_on_an_old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "supported", lambda: False)
    assert launch.probe(again=True).name == "none"
    monkeypatch.setattr(seccomp, "supported", lambda: True)
    monkeypatch.setattr(landlock, "version", lambda: landlock.OLDEST - 1)
    assert launch.probe(again=True).name == "none"


def test_its_facts_say_why() -> None:
    facts = launch.facts()
    assert (facts.name, facts.program) == ("landlock", "Landlock") and "not installed" in facts.reason


def test_programs_run_with_input_output_and_exit_codes() -> None:
    before = set(Path("/tmp").glob("localagent-call-*"))
    assert sh("cat; echo done; exit 7", stdin=b"hello\n").output == b"hello\ndone\n"
    assert sh("exit 7").code == 7 and sh("kill -SEGV $$").code == 128 + signal.SIGSEGV
    done = asyncio.run(launch.run(["no-such-program"], profile=Profile(), cwd="/"))
    assert done.code == 127 and b"no-such-program" in done.output
    assert sh('echo x > "$TMPDIR/x" && cat "$TMPDIR/x" && echo "$TMPDIR"').output.startswith(b"x\n/tmp/localagent-call-")
    assert set(Path("/tmp").glob("localagent-call-*")) <= before


SURVIVORS = {
    "a session of its own": "setsid nohup sleep {0} >/dev/null 2>&1 & (sleep {0} &) ; echo started",
    "holds the output": "setsid sleep {0} & echo started",
    "ignores signals": "(trap '' TERM INT HUP; setsid bash -c 'trap \"\" TERM; sleep {0}; sleep {0}' &) ; echo started",
    "goes on forking": "setsid bash -c 'while :; do sleep {0} & sleep 0.01; done' & echo started; sleep 0.3",
}


@pytest.mark.parametrize("how", SURVIVORS)
def test_nothing_outlives_the_call(how: str) -> None:
    mark = f"71{os.getpid()}"
    done = sh(SURVIVORS[how].format(mark))
    assert done.code == 0 and done.output == b"started\n" and running(mark) == []


def test_a_time_limit_ends_everything() -> None:
    mark = f"72{os.getpid()}"
    done = sh(f"setsid sleep {mark} & sleep {mark}", limits=Limits(wall_s=0.3))
    assert done.ended == "timeout" and done.seconds < 3 and running(mark) == []


def test_a_fork_bomb_is_ended() -> None:
    mark = f"73{os.getpid()}"
    done = sh(f"b() {{ b | b & }}; : {mark}; b; sleep 20", limits=Limits(wall_s=3, processes=64))
    assert done.ended in ("processes", "timeout") and running(mark) == []


def test_our_own_death_is_its_death() -> None:
    mark = f"74{os.getpid()}"
    script = (
        "import asyncio\nfrom localagent.sandbox import launch, linux\nlinux.find_bwrap = lambda: None\n"
        "async def main():\n"
        f"    p = await launch.start(['bash', '-c', 'setsid sleep {mark} & echo up; wait'], profile=launch.Profile(), cwd='/')\n"
        "    async for c in p: print(c, flush=True)\n"
        "asyncio.run(main())\n"
    )

    async def main() -> None:
        env = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])}
        parent = await launch.start([sys.executable, "-c", script], profile=None, cwd="/", env=env)
        assert b"up" in await anext(parent)
        assert running(mark)
        os.kill(parent.pid, signal.SIGKILL)
        await parent.wait()

    asyncio.run(main())
    assert waited(lambda: running(mark) == [])


def test_the_one_who_ends_it_cannot_be_ended() -> None:
    mark = f"75{os.getpid()}"
    script = f"setsid sleep {mark} & kill -9 $PPID; kill -9 -$PPID; kill -9 -1; prlimit --pid $PPID --cpu=0; echo still"
    done = sh(script)
    assert done.output.endswith(b"still\n") and done.code == 0 and running(mark) == []


def test_what_lies_around_something_closed_stays_open(tmp_path: Path) -> None:
    for name in ("a/b/open", "a/shut/x", "c/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("TEXT")
    profile = Profile(readable=(str(tmp_path),), closed=(str(tmp_path / "a" / "shut"),))
    done = sh(f"cd {tmp_path}; cat a/b/open c/x; echo; cat a/shut/x; echo x > c/x", profile=profile)
    assert done.output.startswith(b"TEXTTEXT\n") and done.output.count(b"TEXT") == 2
    assert (tmp_path / "c" / "x").read_text() == "TEXT"


def test_no_rule_covers_a_secret(tmp_path: Path, isolated: Path) -> None:
    (isolated / ".ssh").mkdir()
    host = Host(str(isolated), (), (str(isolated / "config"),))
    made = landlock.rules(Profile(readable=(str(isolated),), writable=(str(isolated),)), host, str(tmp_path))
    assert made
    for path, _ in made:
        for secret in (str(isolated / ".ssh"), str(isolated / "config"), "/etc/shadow"):
            assert not linux.under(secret, [path]), path


def test_a_program_works_on_its_copy_where_that_lies(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "old").write_text("old\n")
    source = PluginSource(
        [paths.shipped("tools") / "shell.py"], workspace=work, scratch=tmp_path / "scratch", spill=tmp_path / "spill"
    )

    async def main() -> ToolResult:
        assert await source.load() == []
        call = ToolCall("1", "run", {"command": "cat old; echo new > made; rm old; pwd"})
        items = [item async for item in source.call(call)]
        assert isinstance(items[-1], ToolResult)
        return items[-1]

    result = asyncio.run(main())
    assert result.status == "ok" and "old" in result.text, result
    assert sorted((c.kind, Path(c.path).name) for c in result.requests) == [("trash", "old"), ("write", "made")]
    assert (work / "old").exists() and not (work / "made").exists()
    source.close()
