"""`--local-only` under a tracer: none of our processes, the engine host included, opens a socket of the internet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = os.environ.get("LOCALAGENT_TEST_TINY", "")
STRACE = shutil.which("strace") or ""


def _may_trace() -> bool:
    tried = [STRACE, "-qq", "-e", "trace=none", "/bin/true"]
    return bool(STRACE) and subprocess.run(tried, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not TINY, reason="LOCALAGENT_TEST_TINY names no model file"),
    pytest.mark.skipif(not _may_trace(), reason="strace is not here, or may not trace"),
]


def _ours(*words: str, trace: Path | None = None, work: Path) -> subprocess.CompletedProcess[str]:
    own = [sys.executable, "-P", "-m", "localagent", *words]
    line = [STRACE, "-f", "-qq", "--seccomp-bpf", "-e", "trace=socket,execve", "-o", str(trace), *own] if trace else own
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(line, cwd=work, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_no_process_of_ours_opens_a_socket_of_the_internet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"LOCALAGENT_{kind}_DIR", str(tmp_path / kind.lower()))
    runtime = tempfile.mkdtemp(prefix="la-")
    monkeypatch.setenv("LOCALAGENT_RUNTIME_DIR", runtime)
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.txt").write_text("a line\n")
    trace = tmp_path / "trace"
    # The tracer ends with the last process, and the host goes on: it is to free its memory soon.
    assert _ours("config", "set", "idle_s", "2", work=work).returncode == 0
    try:
        asked = ("run ls and say what is there", "--max-turns", "4")
        ran = _ours("do", "--local-only", "--yes", "--model", TINY, *asked, trace=trace, work=work)
    finally:
        _ours("engine", "stop", work=work)
        shutil.rmtree(runtime, ignore_errors=True)
    assert ran.returncode in (0, 1, 5), ran.stderr
    told = trace.read_text()
    assert "localagent.engine.host" in told and "AF_UNIX" in told, "the host was not traced"
    assert re.findall(r"socket\(AF_INET6?\b.*", told) == []
