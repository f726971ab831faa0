"""`localagent sessions` and what it completes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from localagent import cli
from localagent.store import meta, transcript
from tests.store.sessions_support import stored


def run(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert cli.main(["sessions", *argv]) == code
    got = capsys.readouterr()
    return got.out if code == 0 else got.err


def test_the_list_is_as_it_was_and_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No sessions yet" in run(capsys)
    old = stored("sort the photos", session="20260101-000000-a", folder="/p")
    new = stored("say\x1b[31m hello", session="20260102-000000-b")
    first, second = run(capsys).splitlines()
    assert first.startswith(new) and "say\\u{1b}[31m hello" in first and "2 messages" in first
    assert second.startswith(old) and "done" in second and "(/p, tiny" in second
    assert run(capsys, "list", "-n", "1") == run(capsys, "-n", "1") == first + "\n"
    assert run(capsys, "--folder", "/p") == run(capsys, "list", "--folder", "/p") == second + "\n"
    rows = json.loads(run(capsys, "--json"))
    assert rows == json.loads(run(capsys, "list", "--json")) and [row["id"] for row in rows] == [new, old]
    assert {"id", "folder", "goal", "status", "title", "model", "messages", "size", "last"} <= set(rows[0])
    assert "\x9b" not in run(capsys, "--json") and run(capsys, "--ids").split() == [new, old]
    assert "above 0" in run(capsys, "-n", "-3", code=3)


def test_searching_naming_forking_exporting_putting_aside(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    session = stored("sort the photos", "and \x9b31m the music", answer="The Übung is done.")
    found = run(capsys, "search", "ubung", "music").splitlines()
    assert found[0].startswith(session) and "The Übung" in found[1]
    assert "and \\u{9b}31m the music" in run(capsys, "search", "music")
    assert json.loads(run(capsys, "search", "--json", "photos"))[0]["snippet"] == "sort the photos"
    assert json.loads(run(capsys, "search", "nowhere", "--json")) == []
    assert "Holiday snaps" in run(capsys, "rename", "last", "Holiday", "snaps")
    assert "Holiday snaps" in run(capsys) and meta.load(session).title == "Holiday snaps"
    forked = run(capsys, "fork", session, "--at", "1").strip()
    assert transcript.find("last") == forked and "has 2 requests" in run(capsys, "fork", session, "--at", "3", code=3)
    assert run(capsys, "export", session).startswith("# Holiday snaps\n")
    assert json.loads(run(capsys, "export", session, "--format", "jsonl").splitlines()[0])["event"] == "TurnStarted"
    target = tmp_path / "x.html"
    assert run(capsys, "export", session, "-o", str(target)) == "" and target.read_text().startswith("<!doctype html>")
    assert "is there already" in run(capsys, "export", session, "-o", str(target), code=3)
    assert run(capsys, "export", session, "-o", str(target), "--format", "md", "--force") == ""
    assert target.read_text().startswith("# Holiday")
    assert "within 30 days" in run(capsys, "rm", session) and session not in run(capsys)
    assert "There is no session" in run(capsys, "export", session, code=3)
    assert run(capsys, "restore", session) == f"{session} is back.\n" and session in run(capsys)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_actions_and_ids(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    (tmp_path / "localagent").write_text("#!/bin/sh\necho 20260101-000000-a\n")
    (tmp_path / "localagent").chmod(0o700)

    def completed(*words: str) -> list[str]:
        typed = " ".join(f"'{word}'" for word in words)
        tail = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _localagent; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", script + tail], capture_output=True, text=True, env=environment, check=True)
        return done.stdout.split()

    assert completed("localagent", "sessions", "re") == ["rename", "restore"]
    assert completed("localagent", "sessions", "export", "2") == ["20260101-000000-a"]
    assert completed("localagent", "resume", "") == ["last", "20260101-000000-a"]
    assert completed("localagent", "do", "--resume", "20") == ["20260101-000000-a"]
    assert completed("localagent", "sessions", "export", "x", "--f") == ["--format", "--force"]
