"""Starting and ending programs: output as it comes, limits that hold, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.errors import SandboxUnavailable, StoreError
from localagent.sandbox import landlock, launch, linux
from localagent.sandbox.launch import Done, Limits, Process, Profile


def run(argv: list[str], *, limits: Limits | None = None, profile: Profile | None = None, **more) -> Done:
    """In the sandbox, with `limits`."""
    return asyncio.run(launch.run(argv, profile=profile or Profile(limits=limits or Limits()), cwd="/", **more))


def sh(script: str, **more) -> Done:
    return run(["/bin/bash", "-c", script], **more)


def waited(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def running(mark: str) -> list[int]:
    """Processes whose command line holds `mark`."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and mark.encode() in Path("/proc", name, "cmdline").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


@pytest.fixture(params=["sandboxed", "trusted"])
def profile(request: pytest.FixtureRequest) -> Profile | None:
    return Profile() if request.param == "sandboxed" else None


async def started(argv: list[str], profile: Profile | None, **more) -> Process:
    return await launch.start(argv, profile=profile, cwd="/", **more)


# ---------------------------------------------------------------- running


def test_there_is_a_boundary_here() -> None:
    assert launch.probe(again=True) == launch.Boundary("bubblewrap")


def test_output_comes_while_the_program_runs(profile: Profile | None) -> None:
    async def main() -> None:
        process = await started(["/bin/bash", "-c", "echo one; sleep 0.5; echo two >&2; exit 7"], profile)
        seen = []
        async for chunk in process:
            seen.append((chunk, time.monotonic()))
        assert [chunk for chunk, _ in seen] == [b"one\n", b"two\n"]
        assert seen[1][1] - seen[0][1] > 0.3
        assert await process.wait() == 7 and process.ended == "" and process.code == 7

    asyncio.run(main())


def test_standard_input_and_separate_errors(profile: Profile | None) -> None:
    async def main() -> None:
        process = await started(["/bin/bash", "-c", "cat; echo oops >&2"], profile, stdin=True, merge=False)
        process.write(b"x" * 200_000)
        process.write(b"end")
        process.close_stdin()
        assert b"".join([c async for c in process]) == b"x" * 200_000 + b"end"
        assert await process.wait() == 0 and process.stderr == b"oops\n"

    asyncio.run(main())


def test_without_input_there_is_none() -> None:
    assert sh("cat; readlink /proc/self/fd/0").output == b"/dev/null\n"


def test_a_program_that_does_not_read_stops_nobody(profile: Profile | None) -> None:
    async def main() -> None:
        process = await started(["/bin/true"], profile, stdin=True)
        process.write(b"x" * 1_000_000)
        assert await process.wait() == 0

    asyncio.run(main())


def test_what_cannot_start_is_said() -> None:
    done = run(["no-such-program"])
    assert done.code == 127 and b"no-such-program" in done.output
    with pytest.raises(StoreError, match="no-such-program could not be started"):
        asyncio.run(launch.run(["no-such-program"], profile=None, cwd="/"))
    with pytest.raises(StoreError, match="does not exist"):
        asyncio.run(launch.run(["true"], profile=None, cwd="/no/such"))


def test_a_folder_the_profile_hides_is_said(isolated: Path) -> None:
    (isolated / "hidden").mkdir()
    with pytest.raises(SandboxUnavailable, match="could not be set up"):
        asyncio.run(launch.run(["true"], profile=Profile(), cwd=isolated / "hidden"))


def test_death_by_signal_is_the_exit_status(profile: Profile | None) -> None:
    done = asyncio.run(launch.run(["/bin/bash", "-c", "kill -SEGV $$"], profile=profile, cwd="/"))
    assert done.code == (-signal.SIGSEGV if profile is None else 128 + signal.SIGSEGV) and done.ended == ""


# ---------------------------------------------------------------- environment


def test_only_the_allow_list_gets_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("LC_TIME", "C.UTF-8")
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)
        said = sh(
            "env; for f in /proc/self/fd/*; do readlink $f; done", env=launch.clean_env({"EXTRA": "1"})
        ).output.decode()
    assert "hunter2" not in said and "SSH_AUTH_SOCK" not in said and "LD_PRELOAD" not in said and "secret" not in said
    assert "TERM=dumb" in said and "LC_TIME=C.UTF-8" in said and "EXTRA=1" in said


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("flood", ["yes", "cat /dev/urandom", "head -c 300000000 /dev/zero"])
def test_a_flood_is_capped(flood: str) -> None:
    begun = time.monotonic()
    done = sh(flood, limits=Limits(output_kb=100))
    assert done.ended == "output" and len(done.output) == 100 * 1024 and time.monotonic() - begun < 5


def test_output_below_the_cap_is_whole() -> None:
    done = sh("head -c 102400 /dev/zero", limits=Limits(output_kb=100))
    assert done.ended == "" and done.code == 0 and len(done.output) == 102400


def test_time_is_limited(profile: Profile | None) -> None:
    limits = Limits(wall_s=0.3)
    sandboxed = None if profile is None else Profile(limits=limits)
    begun = time.monotonic()
    done = asyncio.run(launch.run(["/bin/bash", "-c", "echo hi; sleep 60"], profile=sandboxed, cwd="/", limits=limits))
    assert done.ended == "timeout" and done.output == b"hi\n" and done.code == -signal.SIGKILL
    assert time.monotonic() - begun < 3


def test_a_fork_bomb_is_contained() -> None:
    mark = f"bomb-{os.getpid()}"
    done = sh(f"b() {{ b | b & }}; : {mark}; b; sleep 20", limits=Limits(processes=64, wall_s=5))
    assert done.ended in ("processes", "timeout") and done.seconds < 6
    assert running(mark) == []


def test_memory_is_limited() -> None:
    grow = "x = bytearray(3 * 1024**3); print(len(x))"
    done = run(["/usr/bin/python3", "-I", "-S", "-c", grow], limits=Limits(memory_mb=256))
    assert b"MemoryError" in done.output
    many = "import os,time\nfor _ in range(4): os.fork()\nx = bytearray(b'x') * (60 * 1024**2); time.sleep(5)"
    done = run(["/usr/bin/python3", "-I", "-S", "-c", many], limits=Limits(memory_mb=256, wall_s=10))
    assert done.ended == "memory"


def test_file_size_is_limited() -> None:
    done = sh("head -c 3000000 /dev/zero > /tmp/big; stat -c %s /tmp/big", limits=Limits(file_mb=1))
    assert b"1048576" in done.output


# ---------------------------------------------------------------- the end


def test_a_daemon_does_not_survive() -> None:
    mark = f"86{os.getpid()}"
    begun = time.monotonic()
    done = sh(f"setsid nohup sleep {mark} & (sleep {mark} & ) ; echo started")
    assert done.code == 0 and b"started" in done.output and time.monotonic() - begun < 3
    assert running(mark) == []


def test_a_daemon_that_holds_the_pipe_does_not_hold_us() -> None:
    mark = f"87{os.getpid()}"
    begun = time.monotonic()
    script = f"setsid sleep {mark} & echo started"
    try:
        done = asyncio.run(launch.run(["/bin/bash", "-c", script], profile=None, cwd="/"))
        assert done.output == b"started\n" and time.monotonic() - begun < 3
    finally:
        # A helper of ours may leave its session; only what runs inside the boundary cannot.
        for pid in running(mark):
            os.kill(pid, signal.SIGKILL)


def test_a_helpers_children_go_with_it() -> None:
    mark = f"88{os.getpid()}"
    asyncio.run(launch.run(["/bin/bash", "-c", f"sleep {mark} & echo x"], profile=None, cwd="/"))
    assert waited(lambda: running(mark) == [])


@pytest.mark.parametrize("where", ["reading", "waiting"])
def test_cancelling_kills_at_once(profile: Profile | None, where: str) -> None:
    mark = f"89{os.getpid()}"

    async def use(process: Process) -> None:
        if where == "reading":
            async for _ in process:
                pass
        else:
            await process.wait()

    async def main() -> None:
        process = await started(["/bin/bash", "-c", f"sleep {mark} & echo up; wait"], profile)
        task = asyncio.create_task(use(process))
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await process.wait() == -signal.SIGKILL and process.ended == "killed"
        assert time.monotonic() - begun < 0.5

    asyncio.run(main())
    assert waited(lambda: running(mark) == [], 1.0)


def test_leaving_the_block_ends_it() -> None:
    mark = f"90{os.getpid()}"

    async def main() -> None:
        with pytest.raises(RuntimeError):
            async with await started(["sleep", mark], Profile()):
                raise RuntimeError

    asyncio.run(main())
    assert running(mark) == []


def test_our_own_death_is_its_death() -> None:
    mark = f"91{os.getpid()}"
    script = (
        "import asyncio\nfrom localagent.sandbox import launch\n"
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


def test_no_descriptor_is_left_open(profile: Profile | None) -> None:
    async def main() -> None:
        await launch.run(["/bin/true"], profile=profile, cwd="/")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await launch.run(["/bin/true"], profile=profile, cwd="/")
            await launch.run(
                ["yes"], profile=profile and Profile(limits=Limits(output_kb=1)), cwd="/", limits=Limits(output_kb=1)
            )
        assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())


def test_a_resident_outlives_its_starter_and_writes_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = (
        "import os,sys,time; print(os.getsid(0) == os.getpid(), sys.stdin.read() == '', flush=True); time.sleep(60)"
    )
    pid = launch.spawn_resident([sys.executable, "-c", script], env=launch.clean_env(), log=log)
    try:
        assert waited(lambda: log.exists() and b"\n" in log.read_bytes())
        assert log.read_text() == "True True\n" and stat.S_IMODE(log.stat().st_mode) == 0o600
    finally:
        os.kill(pid, signal.SIGKILL)
    assert waited(lambda: not Path(f"/proc/{pid}").exists()), "its end was not collected"


# ---------------------------------------------------------------- no boundary


def test_without_bubblewrap_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_probed", None)
    monkeypatch.setattr(linux, "find_bwrap", lambda: None)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    found = launch.probe()
    assert found.name == "none" and "not installed" in found.reason and "bubblewrap" in found.hint
    with pytest.raises(SandboxUnavailable, match="not installed"):
        run(["true"])


def test_a_refused_boundary_is_told_from_a_missing_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(launch, "_probed", None)
    monkeypatch.setattr(linux, "find_bwrap", lambda: str(fake))
    found = launch.probe()
    assert found.name == "landlock" and found.reduced and "No permissions" in found.reason and found.hint
    monkeypatch.setattr(landlock, "version", lambda: 0)
    found = launch.probe(again=True)
    assert found.name == "none" and "No permissions" in found.reason and found.hint


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_platform_whose_boundary_does_not_start_has_none(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(launch, "_probed", None)
    found = launch.probe()
    monkeypatch.undo()
    assert found.name == "none" and found.reason and found.in_place and not found.reduced


def test_the_sandbox_is_quick() -> None:
    times = sorted(sh("true").seconds for _ in range(9))
    assert times[0] < 0.06, times


def test_a_program_whose_sandbox_is_killed_from_outside_is_not_run_again(tmp_path: Path) -> None:
    """The kernel's killer takes any process: what was sent or written until then must not happen twice."""
    mark = f"run-{os.getpid()}-once"

    async def main() -> Done:
        script = f"echo {mark} >> {tmp_path}/runs; exec sleep 20"
        work = asyncio.create_task(
            launch.run(["/bin/sh", "-c", script], profile=Profile(writable=(str(tmp_path),)), cwd=str(tmp_path))
        )
        await asyncio.to_thread(waited, (tmp_path / "runs").exists)
        (outer,) = [pid for pid in running(mark) if Path(f"/proc/{pid}/stat").read_text().split()[3] == str(os.getpid())]
        os.kill(outer, signal.SIGKILL)
        return await work

    assert asyncio.run(main()).code == -signal.SIGKILL
    assert (tmp_path / "runs").read_text().split() == [mark]
