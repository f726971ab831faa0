"""The record: what is changed, cut off, added or torn shows; two writers never spoil it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localagent import cli
from localagent.store import audit

ROOT = Path(__file__).resolve().parents[2]


def fill(lines: int = 6) -> Path:
    for number in range(lines):
        audit.append("decided", {"tool": "run", "verdict": "allow", "number": number})
    return audit.folder() / "log.jsonl"


def test_lines_are_chained_private_and_without_surprise() -> None:
    log = fill()
    lines = list(audit.read())
    assert [line["n"] for line in lines] == [1, 2, 3, 4, 5, 6] and lines[0]["prev"] == audit.START
    assert stat.S_IMODE(log.stat().st_mode) == 0o600 and stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    assert audit.verify() == audit.Checked(6)


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b"allow", b"deny!"), *lines[3:]], 4),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:3], b"rubbish", *lines[3:]], 4),
        (lambda lines: lines[:-1], 6),
        (lambda lines: lines[:2], 3),
        (lambda lines: [], 1),
        (lambda lines: [*lines[:-1], lines[-1].replace(b"allow", b"deny!")], 6),
    ],
    ids=["changed", "left out", "swapped", "added", "last gone", "many gone", "all gone", "last changed"],
)
def test_tampering_names_the_first_broken_line(spoil, broken: int, capsys: pytest.CaptureFixture[str]) -> None:
    log = fill()
    lines = log.read_bytes().splitlines()
    log.write_bytes(b"".join(line + b"\n" for line in spoil(lines)))
    assert audit.verify().broken == broken
    assert cli.main(["audit", "verify"]) == 1
    assert f"line {broken}" in capsys.readouterr().err
    # Going on does not heal it.
    audit.append("decided", {"after": "the deed"})
    assert audit.verify().broken > 0


def test_a_missing_file_is_seen_as_well() -> None:
    log = fill()
    (log.parent / "head").unlink()
    assert audit.verify().broken == 1
    fill(1)
    assert audit.verify().broken == 7, "going on does not heal it"
    log.unlink()
    assert audit.verify().broken == 1


def test_a_whole_history_made_up_behind_the_head_is_seen() -> None:
    log = fill(3)
    head = (log.parent / "head").read_bytes()
    fill(4)
    (log.parent / "head").write_bytes(head)
    assert audit.verify().broken == 4


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_repaired_and_said(cut: int) -> None:
    log = fill(3)
    with log.open("ab") as file:
        file.write(b'{"n":4,"at":1767225600.0,"prev":"0000000000000000000000000000000000000'[:cut])
    assert audit.verify().broken == 0 and "unfinished" in audit.verify().why
    audit.append("decided", {"tool": "next"})
    assert audit.verify() == audit.Checked(5)
    repaired = list(audit.read())[3]
    assert repaired["what"] == "repaired" and repaired["dropped_bytes"] == cut


def test_a_line_whose_head_was_never_written_counts() -> None:
    log = fill(3)
    head = log.parent / "head"
    before = head.read_bytes()
    fill(1)
    head.write_bytes(before)
    assert audit.verify() == audit.Checked(4)
    fill(1)
    assert audit.verify() == audit.Checked(5)


_WRITER = "from localagent.store import audit\nfor n in range({n}): audit.append('decided', {{'n2': n, 'who': {who}}})"


def _writer(who: int, lines: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WRITER.format(who=who, n=lines)], cwd=ROOT, env=dict(os.environ))


def test_two_processes_at_once() -> None:
    writers = [_writer(who, 150) for who in (1, 2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert audit.verify() == audit.Checked(300)


def test_killed_while_writing() -> None:
    times = int(os.environ.get("LOCALAGENT_KILLS", "4"))
    for number in range(times):
        writer = _writer(number, 10**6)
        before = sum(1 for _ in audit.read())
        until = time.monotonic() + 20
        while sum(1 for _ in audit.read()) == before and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.003 * number)
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        assert audit.verify().broken == 0
        audit.append("decided", {"survived": number})
    assert audit.verify().broken == 0
    assert sum("survived" in line for line in audit.read()) == times


def test_shown_for_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit"]) == 0
    assert "Nothing" in capsys.readouterr().out
    audit.append("ran", {"session": "s1", "program": "make\u202e", "argv": "ab" * 32, "exit_code": 0})
    audit.append("ran", {"session": "s2", "program": "ls", "argv": "ab" * 32, "exit_code": 0})
    assert cli.main(["audit", "--session", "s1"]) == 0
    out = capsys.readouterr().out
    assert "make\\u{202e}" in out and "\u202e" not in out and " ls" not in out and "argv=abababababab " in out
    assert cli.main(["audit", "--json", "--last", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["program"] == "ls"
    assert cli.main(["audit", "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "lines": 2, "broken": 0, "why": ""}
