"""Plugin files as a source of tools, in the real sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localagent.sandbox import launch
from localagent.store.paths import cache_dir
from localagent.values import ToolCall, ToolResult

Make = Callable[..., Any]
HEAD = """import os, sys, time, socket, subprocess
from pathlib import Path
from localagent import *
from localagent import tool
"""


def plugin(body: str, effects: str = "[]", timeout: float = 20, head: str = "def go():") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    declared = f"effects={effects}, " if effects else ""
    return f"{HEAD}@tool({declared}timeout={timeout})\n{head}\n    'Do.'\n{lines}\n"


@pytest.fixture(autouse=True)
def boundary() -> None:
    assert launch.probe().name == "bubblewrap", launch.probe().reason


def test_specs_come_in_the_order_of_files_and_lines(box: Make) -> None:
    made = box(
        f"{HEAD}@tool(effects=['run'], timeout=7)\ndef b():\n    'B.'\n@tool\ndef a(x: int):\n    'A.'\n",
        plugin("return ''"),
    )
    assert made.problems == []
    assert [(s.name, s.effects, s.timeout) for s in made.source.specs()] == [
        ("b", ("run",), 7.0),
        ("a", (), 60.0),
        ("go", ("compute",), 20.0),
    ]
    assert made.source.specs()[0].source.endswith("plugin0.py")


def test_a_name_that_is_taken_is_refused_with_both_files(box: Make) -> None:
    made = box(plugin("return 'first'"), plugin("return 'second'"))
    (problem,) = made.problems
    assert "plugin0.py" in problem
    assert "plugin1.py" in problem
    assert made.call("go").text == "first"


def test_problems_name_file_and_line_and_the_rest_still_loads(box: Make, tmp_path: Path) -> None:
    made = box("def broken(:\n", plugin("return 'ok'"), tmp_path / "none.py", plugin("return 1", effects="['fly']"))
    assert len(made.problems) == 3
    assert made.problems[0].startswith(f"{tmp_path}/plugin0.py:1: SyntaxError")
    assert "none.py:1: the file cannot be read: No such file" in made.problems[1]
    assert "unknown effect 'fly'" in made.problems[2]
    assert made.call("go").text == "ok"


def test_a_warm_start_describes_nothing(box: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    box(plugin("return 'ok'"), "def broken(:\n")
    assert len(json.loads((cache_dir() / "tools.json").read_bytes())) == 2

    async def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(launch, "start", never)
    made = box(plugin("return 'ok'"), "def broken(:\n")
    assert [spec.name for spec in made.source.specs()] == ["go"]
    assert len(made.problems) == 1


def test_a_damaged_cache_is_made_again(box: Make) -> None:
    (cache_dir() / "tools.json").write_text('[{"broken')
    assert box(plugin("return 'ok'")).call("go").text == "ok"


def test_the_bytes_that_were_described_are_the_bytes_that_run(box: Make, tmp_path: Path) -> None:
    made = box(plugin("return 'old'"))
    (tmp_path / "plugin0.py").write_text(plugin("return 'new'"))
    assert made.call("go").text == "old"


def test_describing_runs_in_the_tightest_sandbox(box: Make, isolated: Path) -> None:
    (isolated / "secret.txt").write_text("secret")
    made = box(f"open({str(isolated / 'secret.txt')!r}).read()\n{plugin('return 1')}")
    assert "FileNotFoundError" in made.problems[0]


@pytest.mark.parametrize(
    ("effects", "reads", "writes"),
    [("['read:fs']", True, False), ("['write:fs']", True, False), ("[]", False, False), ("", False, False)],
)
def test_effects_decide_what_a_worker_sees(box: Make, effects: str, reads: bool, writes: bool) -> None:
    body = """
there = Path(W, 'a.txt').exists()
try:
    Path(W, 'new.txt').write_text('x')
    wrote = True
except OSError:
    wrote = False
return f'{there} {wrote}'
""".strip()
    made = box()
    (made.workspace / "a.txt").write_text("a")
    made = box(f"W = {str(made.workspace)!r}\n" + plugin(body, effects=effects))
    made.call("go")
    assert made.call("go").text == f"{reads} {writes}"
    assert not (made.workspace / "new.txt").exists()


def test_no_worker_has_a_network_or_sees_the_home(box: Make, isolated: Path) -> None:
    (isolated / ".ssh").mkdir()
    (isolated / ".ssh" / "id").write_text("key")
    body = f"""
told = []
try:
    socket.create_connection(('1.1.1.1', 53), 1); told.append('net')
except OSError: pass
if os.path.exists({str(isolated / ".ssh" / "id")!r}): told.append('key')
return ','.join(told) or 'nothing'
""".strip()
    assert box(plugin(body, effects="['read:fs']")).call("go").text == "nothing"


def test_a_path_that_the_call_names_is_readable_too(box: Make, tmp_path: Path) -> None:
    other = tmp_path / "other folder"
    other.mkdir()
    (other / "b.txt").write_text("outside")
    made = box(plugin("return path.read_text()", effects="['read:fs']", head="def go(path: Path):"))
    assert made.call("go", path=str(other / "b.txt")).text == "outside"
    assert made.call("go", path="a.txt").status == "failed"
    os.symlink(other, made.workspace / "link")
    assert made.call("go", path="link/b.txt").text == "outside"


def test_changes_are_proposed_with_hashes_of_the_host(box: Make) -> None:
    made = box(plugin("return Result('Wrote it.', [Write('d/a.txt', b'abc' * 10)])", effects="['write:fs']"))
    result = made.call("go")
    folder, change = result.requests
    assert (folder.kind, folder.path) == ("make_folder", str(made.workspace / "d"))
    assert (change.kind, change.path, change.before, change.size) == ("write", str(made.workspace / "d/a.txt"), "", 30)
    assert Path(change.content).read_bytes() == b"abc" * 10
    assert (result.text, result.status) == ("Wrote it.", "ok")
    assert not (made.workspace / "d").exists()
    made.source.release("c1")
    assert not Path(change.content).exists()


def test_large_content_is_no_problem(box: Make) -> None:
    made = box(plugin("return Write('big', b'x' * 30_000_000)", effects="['write:fs']"))
    result = made.call("go")
    assert result.requests[0].size == 30_000_000
    made.source.close()
    assert list(made.scratch.iterdir()) == []


def test_what_killed_processes_left_is_swept(box: Make) -> None:
    made = box(plugin("return 'ok'"))
    for name, age in (("call-old", 200_000), ("call-new", 10)):
        (made.scratch / name).mkdir(parents=True)
        os.utime(made.scratch / name, (time.time() - age,) * 2)
    made.call("go")
    assert (made.scratch / "call-new").exists()
    assert not (made.scratch / "call-old").exists()


def test_only_write_fs_may_propose_changes(box: Make) -> None:
    for effects in ("['read:fs']", "[]", ""):
        result = box(plugin("return Trash('a')", effects=effects)).call("go")
        assert (result.status, result.requests) == ("failed", ())
        assert "declares no write:fs" in result.text


def test_a_content_that_is_a_link_is_refused(box: Make, tmp_path: Path) -> None:
    body = """
import localagent.toolbox.outcome as outcome
real = outcome.Outcome.answer
def forged(self):
    made = real(self)
    os.remove(made['requests'][0]['content'])
    os.symlink('/etc/passwd', made['requests'][0]['content'])
    return made
outcome.Outcome.answer = forged
return Write('a', 'x')
""".strip()
    result = box(plugin(body, effects="['write:fs']")).call("go")
    assert (result.status, result.requests) == ("failed", ())


def test_progress_is_live(box: Make) -> None:
    made = box(plugin("yield 'one'\ntime.sleep(0.5)\nprint('two', flush=True)\ntime.sleep(0.5)\nreturn 'end'"))

    async def times() -> list[float]:
        return [time.monotonic() async for _ in made.source.call(ToolCall("c", "go", {}))]

    one, two, end = asyncio.run(times())
    assert two - one > 0.3
    assert end - two > 0.3


def test_odd_bytes_of_names_can_be_printed(box: Make) -> None:
    made = box(plugin("yield os.fsdecode(b'a\\xff')\nreturn os.fsdecode(b'b\\xff')"))
    assert made.call("go").text == "b?"
    assert made.progress == ["a?\n"]


def test_an_endless_loop_ends_at_its_timeout(box: Make) -> None:
    made = box(plugin("yield 'begun'\nwhile True: pass", timeout=1))
    begun = time.monotonic()
    result = made.call("go")
    assert time.monotonic() - begun < 5
    assert result.status == "failed"
    assert result.text == "go was stopped after 1 seconds. Its last output:\nbegun"


def test_a_crash_costs_one_failed_result(box: Make) -> None:
    made = box(plugin("os.kill(os.getpid(), 11)") + "@tool(effects=[])\ndef fine():\n    'Do.'\n    return 'fine'\n")
    result = made.call("go")
    assert result.status == "failed"
    assert "broke off (signal 11)" in result.text
    assert made.call("fine").text == "fine"


def test_a_flood_on_the_protocol_itself_is_stopped(box: Make) -> None:
    body = (
        "for fd in range(3, 30):\n    try:\n        while True: os.write(fd, b'x' * 1000000)\n    except OSError: pass"
    )
    result = box(plugin(body)).call("go")
    assert result.status == "failed"


def test_a_forged_answer_is_checked(box: Make) -> None:
    body = """
import localagent.toolbox.outcome as outcome
wanted = {'kind': 'write', 'path': '/etc/x', 'content': '/etc/passwd'}
outcome.Outcome.answer = lambda self: {'text': 'x', 'requests': [wanted]}
""".strip()
    result = box(plugin(body, effects="['write:fs']")).call("go")
    assert (result.status, result.requests) == ("failed", ())
    assert "outside the call's own folder" in result.text


def test_cancelling_kills_the_worker_at_once(box: Make, tmp_path: Path) -> None:
    made = box(plugin("subprocess.Popen(['sleep', '61.5'])\nyield 'on'\ntime.sleep(60)"))

    async def cancelled() -> float:
        going = asyncio.Event()

        async def consume() -> None:
            async for _ in made.source.call(ToolCall("c", "go", {})):
                going.set()

        task = asyncio.ensure_future(consume())
        await going.wait()
        begun = time.monotonic()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return time.monotonic() - begun

    assert asyncio.run(cancelled()) < 1.5
    assert not _alive("61.5")


def _alive(word: str) -> bool:
    """Whether a process with this argument is still there; one that was just killed gets a moment to go."""
    until = time.monotonic() + 3
    while _runs(word):
        if time.monotonic() > until:
            return True
        time.sleep(0.05)
    return False


def _runs(word: str) -> bool:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if word in (process / "cmdline").read_text().split("\0"):
                    return True
    return False


def test_a_long_output_is_kept_whole_and_shown_in_part(box: Make) -> None:
    made = box(plugin("return '\\n'.join(f'line {n}' for n in range(20000))"))
    result = made.call("go")
    assert len(result.text) < 7000
    assert result.text.startswith("line 0\n")
    assert result.text.endswith("line 19999")
    assert f'read_file(path="{result.spill}", start=' in result.text
    assert Path(result.spill).parent == made.spill
    assert Path(result.spill).read_text().splitlines()[7777] == "line 7777"


PROGRAM = plugin(
    "done = subprocess.run(['bash', '-c', command], capture_output=True, text=True)\n"
    "return Result(done.stdout + done.stderr, exit_code=done.returncode, failed=bool(done.returncode))",
    effects="['run']",
    head="def go(command: str):",
)


def test_a_program_changes_a_view_and_the_difference_is_proposed(box: Make) -> None:
    made = box()
    (made.workspace / "a.txt").write_text("a")
    (made.workspace / "b.txt").write_text("b")
    made = box(PROGRAM)
    result = made.call(
        "go", command=f"pwd; echo changed > a.txt; echo new > {str(made.workspace)!r}/n.txt; rm b.txt; exit 3"
    )
    assert result.text.strip() == str(made.workspace)
    assert result.status == "failed"
    assert (made.workspace / "a.txt").read_text() == "a"
    assert sorted((c.kind, Path(c.path).name) for c in result.requests) == [
        ("trash", "b.txt"),
        ("write", "a.txt"),
        ("write", "n.txt"),
    ]
    assert {Path(c.path).name: Path(c.content).read_text() for c in result.requests if c.content} == {
        "a.txt": "changed\n",
        "n.txt": "new\n",
    }
    (receipt,) = result.receipts
    assert receipt.kind == "ran"
    assert receipt.data["exit_code"] == 3
    assert receipt.data["command"].startswith("pwd;")


def test_a_program_that_was_stopped_changes_nothing(box: Make) -> None:
    made = box(PROGRAM.replace("timeout=20", "timeout=0.7"))
    result = made.call("go", command="echo x > made.txt; sleep 60")
    assert (result.status, result.requests) == ("failed", ())
    assert result.receipts[0].data["exit_code"] is None


def test_without_a_boundary_workers_run_plainly_and_programs_still_on_a_copy(box: Make) -> None:
    made = box(PROGRAM, plugin("return Path('a.txt').read_text()", "['read:fs']", head="def look():"), unsandboxed=True)
    (made.workspace / "a.txt").write_text("plain")
    assert made.call("look").text == "plain"
    result = made.call("go", command="echo x > new.txt")
    (change,) = result.requests
    assert change.path == str(made.workspace / "new.txt")
    assert not (made.workspace / "new.txt").exists()


def test_a_missing_boundary_is_a_failed_result_with_what_to_do(box: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = box(plugin("return 'ok'"))
    none = launch.Boundary("none", "bubblewrap is not installed.", "Install it with: sudo apt-get install bubblewrap")
    monkeypatch.setattr(launch, "probe", lambda again=False: none)
    result = made.call("go")
    assert isinstance(result, ToolResult)
    assert result.status == "failed"
    assert "Install it with" in result.text
