"""Programs: live output, exit code, time limit."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import ModuleType

import pytest

from localagent import Result


def ran(shell: ModuleType, command: str, timeout: int = 20) -> tuple[str, Result]:
    """What was shown on the way, and the result."""
    running, shown = shell.run(command, timeout), ""
    while True:
        try:
            shown += next(running)
        except StopIteration as stop:
            return shown, stop.value


@pytest.mark.parametrize(
    ("command", "text", "code"),
    [
        ("echo hi", "hi", 0),
        ("true", "exit code 0, no output", 0),
        ("echo bad >&2; exit 3", "bad\nexit code 3", 3),
        ("exit 4", "exit code 4, no output", 4),
        ("kill -9 $$", "ended by signal 9, no output", -9),
        ("x=1\nif [ $x = 1 ]; then\n  echo 'several lines'\nfi", "several lines", 0),
        ("printf 'no newline'", "no newline", 0),
        ("printf 'caf\\xe9 \\xf0\\x9f\\x98\\x80\\n'", "caf\ufffd 😀", 0),
        ("printf '10%%\\r50%%\\r100%%\\r\\ndone\\n'", "100%\ndone", 0),
        ("printf '\\033[31mred\\033[0m \\033]0;title\\007x\\n'", "red x", 0),
        ("cat", "exit code 0, no output", 0),
    ],
)
def test_output_and_exit_code(shell: ModuleType, command: str, text: str, code: int) -> None:
    _, result = ran(shell, command)
    assert (result.text, result.exit_code, result.failed) == (text, code, code != 0)


def test_output_is_live(shell: ModuleType) -> None:
    running = shell.run("echo one; sleep 0.6; echo two")
    begun = time.monotonic()
    assert next(running) == "one\n"
    assert time.monotonic() - begun < 0.5
    assert next(running) == "two\n"


def test_the_time_limit_ends_the_whole_group(shell: ModuleType) -> None:
    begun = time.monotonic()
    shown, result = ran(shell, "echo begun; sleep 62.5 & sleep 62.5", 1)
    assert time.monotonic() - begun < 3
    assert shown == "begun\n"
    assert result == Result("begun\nStopped after 1 seconds. Nothing it changed was kept.", failed=True)
    time.sleep(0.05)
    assert not _alive("62.5")


def test_a_background_process_does_not_hold_the_call(shell: ModuleType) -> None:
    begun = time.monotonic()
    _, result = ran(shell, "sleep 63.5 & echo on")
    assert time.monotonic() - begun < 3
    assert (result.text, result.exit_code) == ("on", 0)
    assert not _alive("63.5")


def test_closing_the_call_ends_the_program(shell: ModuleType) -> None:
    running = shell.run("echo on; sleep 64.5")
    next(running)
    running.close()
    assert not _alive("64.5")


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


def test_endless_output_loses_its_middle(shell: ModuleType) -> None:
    _, result = ran(shell, "seq 1 2000000")
    assert len(result.text) < 6_500_000
    assert "characters left out" in result.text
    assert result.text.startswith("1\n2\n")
    assert result.text.endswith("\n2000000")


def test_hints_for_what_small_models_trip_over(shell: ModuleType) -> None:
    _, result = ran(shell, "echo 'curl: (6) Could not resolve host: example.org'; exit 6")
    assert result.text.endswith("exit code 6\nCommands have no network here.")
    _, result = ran(shell, "echo 'bash: line 1: python: command not found'; exit 127")
    assert result.text.endswith("Use python3 instead of python.")
    _, result = ran(shell, "no-such-program-here --x")
    assert result.text.endswith("exit code 127\nno-such-program-here is not installed. Do it another way.")


@pytest.mark.parametrize(
    ("command", "failed"),
    [
        ("ls /nowhere | wc -l", True),
        ("no-such-program-here | cat", True),
        ("echo 'fatal: not a git repository'; true", True),
        ("echo 'all is well: fine'; echo 'an error: none'", False),
    ],
)
def test_a_failing_part_is_pointed_out(shell: ModuleType, command: str, failed: bool) -> None:
    _, result = ran(shell, command)
    assert result.exit_code == 0
    assert result.text.endswith("exit code 0, but a part of it failed") == failed
