"""`localagent jobs` as a person types it; runs are those of tests/jobs."""

from __future__ import annotations

import json
import os
import plistlib
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from localagent import cli
from localagent.errors import UsageError
from localagent.jobs import installing
from localagent.store import lock, paths
from localagent.store.jobs import Jobs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_job_from_beginning_to_end(folder: Path, capsys) -> None:
    rule = "write(notes/**)"
    assert cli.main(["jobs", "add", "sum up\x1b[31m", "--every", "1h", "--name", "news", "--allow", rule, "--yes"]) == 0
    assert "news: every 1h" in capsys.readouterr().out
    assert cli.main(["jobs", "list", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)
    assert (job["name"], job["allow"], job["state"], job["folder"]) == ("news", [rule], "on", str(folder))
    assert {"read_file", "run"} <= set(job["tools"]) and job["next"] == pytest.approx(job["made"] + 3600)
    assert stat.S_IMODE(os.stat(Jobs().path).st_mode) == 0o600
    assert cli.main(["jobs", "show", "news"]) == 0
    out = capsys.readouterr().out
    assert rule in out and "\x1b" not in out
    assert cli.main(["jobs", "pause", job["id"][:4]]) == 0 and Jobs().get("news").state == "paused"
    assert cli.main(["jobs", "resume", "news"]) == 0 and Jobs().get("news").state == "on"
    # There is no model here: it is said, recorded, and nobody is asked to download one.
    assert cli.main(["jobs", "run", "news"]) == 1
    assert "is not on this machine" in capsys.readouterr().err
    assert cli.main(["jobs", "log", "news", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert (run["state"], run["why"], run["facts"]["error"]["kind"]) == ("failed", "by hand", "model_missing")
    assert cli.main(["jobs", "log"]) == 0 and "news  failed" in capsys.readouterr().out
    assert cli.main(["jobs", "rm", "news"]) == 0 and Jobs().all() == [] and Jobs().runs() == []


def test_nobody_there_is_a_no_and_what_would_be_made_is_shown(capsys) -> None:
    assert cli.main(["jobs", "add", "sum up", "--cron", "0 9 * * 1-5", "--tz", "Europe/Berlin", "--allow", "net(example.org)"]) == 1
    out = capsys.readouterr().out
    assert all(text in out for text in ("sum up", "0 9 * * 1-5 (Europe/Berlin)", "net(example.org)", "Nobody is asked"))
    assert Jobs().all() == []


@pytest.mark.parametrize(("answer", "made"), [("y", 1), ("yes", 1), ("", 0), ("n", 0), ("yep", 0)])
def test_the_person_says_yes(answer: str, made: int, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert cli.main(["jobs", "add", "sum up", "--at", "18:30", "--tz", "UTC"]) == 1 - made
    assert len(Jobs().all()) == made


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("x", "required"),
        ("x --every 1h --at 18:30", "not allowed with"),
        ("x --every soon", "no duration"),
        ("x --cron '61 * * * *'", "minute"),
        ("x --cron '@daily' --tz Moon/Base", "no time zone"),
        ("x --every 1h --tz UTC", "--tz belongs"),
        ("x --every 1h --words y", "belong to --on-mail"),
        ("x --every 1h --poll 5m", "--poll belongs"),
        ("x --on-mail", "No e-mail channel"),
        ("x --on-mail --channel gone", "no channel"),
        ("x --on-exit 99999999", "no process"),
        ("x --on-change a/b/c", "no folder"),
        ("x --every 1h --allow fly(x)", "no kind of rule"),
        ("x --every 1h --allow 'send(work:*)'", "one address"),
        ("x --every 1h --allow 'run(bash *)'", "never kept"),
        ("x --every 1h --allow 'run(*)'", "never kept"),
        ("x --every 1h --tell work:anna@example.org", "no channel"),
        ("x --every 1h --tell work", "send(CHANNEL:ADDRESS)"),
        ("x --every 1h --tool gone", "no tool"),
        ("x --every 1h --cwd /gone", "cannot be used"),
        ("' ' --every 1h", "needs a goal"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(arguments: str, told: str, capsys) -> None:
    assert cli.main(["jobs", "add", *shlex.split(arguments), "--yes"]) == 3
    assert told in capsys.readouterr().err and Jobs().all() == []


def test_a_job_can_be_kept_to_some_tools(capsys) -> None:
    assert cli.main(["jobs", "add", "x", "--every", "1h", "--tool", "read_file", "--yes"]) == 0
    assert [name for name, _ in Jobs().all()[0].job.tools] == ["read_file"]


def test_one_process_watches(capsys) -> None:
    with lock.locked(paths.runtime_dir() / "jobs.lock"):
        assert cli.main(["jobs", "watch"]) == 3
    assert "watched already" in capsys.readouterr().err


def test_what_is_installed(tmp_path: Path) -> None:
    environment = {"LOCALAGENT_DATA_DIR": "/da ta/100%", "LOCALAGENT_API_KEY": "secret", "XDG_STATE_HOME": "/s"}
    unit = installing.service("linux", environment, tmp_path, '/opt/p y/"python$"', True)
    assert unit.path == tmp_path / ".config/systemd/user/localagent-jobs.service" and "secret" not in unit.text
    assert 'ExecStart="/opt/p y/\\"python$$\\"" "-m" "localagent" "jobs" "watch"' in unit.text
    assert 'Environment="LOCALAGENT_DATA_DIR=/da ta/100%%"' in unit.text and unit.on[-1][-1] == "localagent-jobs.service"
    if analyze := shutil.which("systemd-analyze"):
        plain = installing.service("linux", environment, tmp_path, sys.executable, True)
        (file := tmp_path / plain.path.name).write_text(plain.text)
        runtime = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        done = subprocess.run([analyze, "--user", "verify", str(file)], env=runtime, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
    agent = installing.service("darwin", environment | {"XDG_DATA_HOME": "<&>"}, tmp_path, "/python", False)
    made = plistlib.loads(agent.text.encode())
    assert made["ProgramArguments"] == ["/python", "-m", "localagent", "jobs", "watch"] and made["RunAtLoad"] is True
    assert made["EnvironmentVariables"]["XDG_DATA_HOME"] == "<&>" and "LOCALAGENT_API_KEY" not in made["EnvironmentVariables"]
    for platform, systemd in (("linux", False), ("win32", True)):
        with pytest.raises(UsageError):
            installing.service(platform, {}, tmp_path, "/python", systemd)
    with pytest.raises(UsageError):
        installing.service("linux", {"XDG_STATE_HOME": "/a\n[Service]\nExecStart=/evil"}, tmp_path, "/python", True)


def test_installing_asks_and_leaves_nothing_behind_where_it_is_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    from localagent.errors import StoreError

    unit = installing.service("linux", {}, tmp_path, "/python", True)
    said: list = []

    async def tell(commands) -> None:
        said.append(commands)

    async def refuse(commands) -> None:
        raise StoreError("The system says no.")

    monkeypatch.setattr(installing, "here", lambda: unit)
    monkeypatch.setattr(installing, "tell", tell)
    assert cli.main(["jobs", "install"]) == 1 and not unit.path.exists() and not said
    assert "ExecStart" in capsys.readouterr().out
    assert cli.main(["jobs", "install", "--yes"]) == 0 and unit.path.read_text() == unit.text and said == [unit.on]
    assert cli.main(["jobs", "uninstall", "--yes"]) == 0 and not unit.path.exists() and said[1:] == [unit.off]
    assert cli.main(["jobs", "uninstall", "--yes"]) == 3
    monkeypatch.setattr(installing, "tell", refuse)
    assert cli.main(["jobs", "install", "--yes"]) == 1 and not unit.path.exists()
