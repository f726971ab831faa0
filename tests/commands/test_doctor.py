from __future__ import annotations

import json
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localagent import cli, engine
from localagent.commands import doctor
from localagent.engine import catalogue, fetch, index, local, reuse
from localagent.errors import StoreError
from localagent.sandbox import launch
from localagent.store import paths, settings
from tests import make_gguf

Usage = namedtuple("Usage", "total used free")
GPU = {"kind": "gpu", "description": "A Card 3000"}


def llama(*devices: dict[str, str], gpu: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        build_info=lambda: "CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 0 | OPENMP = 1 | ",
        devices=lambda: [{"kind": "cpu", "description": "A Processor"}, *devices],
        supports_gpu=lambda: gpu,
    )


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which all is well: each test breaks one thing."""
    file = make_gguf.make("tiny", tmp_path / "mine.gguf")
    catalogue.user_file().write_text(f'[model.mine]\npath = "{file}"\n')
    settings.set_value("model", "mine")
    monkeypatch.setattr(engine, "llama", llama(), raising=False)
    monkeypatch.setattr(doctor, "_devices", lambda: [])
    monkeypatch.setattr(launch, "probe", lambda: launch.Boundary("bubblewrap"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100 << 30, 50 << 30, 50 << 30))
    monkeypatch.setattr(index, "unreachable", lambda entry, url: None)
    monkeypatch.setattr(fetch, "unreachable", lambda url: None)


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, dict[str, str]]]]:
    """Run `doctor --json`: its exit code, and its checks by name (of two with one name, the worse)."""

    def run(*argv: str) -> tuple[int, dict[str, dict[str, str]]]:
        code = cli.main(["doctor", "--json", *argv])
        rows = json.loads(capsys.readouterr().out)
        return code, {row["name"]: row for row in sorted(rows, key=lambda row: row["state"] == "problem")}

    return run


def test_a_machine_on_which_all_is_well(checked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = checked()
    assert code == 0
    assert set(checks) == {"python", "engine", "gpu", "settings", "policy", "model", "sandbox", "disk", "undo", "index", "hub"}
    assert all(row["state"] == "ok" and row["fix"] == "" for row in checks.values())
    assert "SSE3 AVX2 OPENMP" in checks["engine"]["text"] and "AVX512" not in checks["engine"]["text"]
    assert "mine.gguf" in checks["model"]["text"] and "config.yaml" in checks["settings"]["text"]
    assert "CPU" in checks["gpu"]["text"] and "50.0 GiB free" in checks["disk"]["text"]
    assert checks["hub"]["text"] == "huggingface.co answers"
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12 and all(line.startswith("ok       ") for line in lines)


def test_offline_asks_nobody(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (index, fetch):
        monkeypatch.setattr(place, "unreachable", lambda *_: pytest.fail("asked"))
    code, checks = checked("--offline")
    assert code == 0 and not {"index", "hub"} & set(checks)


def test_a_problem_is_shown_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    boundary = SimpleNamespace(name="none", reason="bubblewrap is missing.", hint="apt install bubblewrap")
    monkeypatch.setattr(launch, "probe", lambda: boundary)
    assert cli.main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("PROBLEM  sandbox"))
    assert "bubblewrap is missing. Until then every action asks first." in lines[at]
    assert lines[at + 1].strip() == "-> apt install bubblewrap"


def test_a_reduced_sandbox_is_said(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    boundary = launch.Boundary("landlock", "bubblewrap is not installed.", "apt install bubblewrap")
    monkeypatch.setattr(launch, "probe", lambda: boundary)
    code, checks = checked("--offline")
    assert code == 0 and checks["sandbox"]["state"] == "note" and "holds less" in checks["sandbox"]["text"]
    assert checks["sandbox"]["fix"] == "apt install bubblewrap"


def test_an_engine_that_cannot_be_loaded(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(engine, "llama")
    monkeypatch.setitem(sys.modules, "localagent.engine.llama", None)
    code, checks = checked("--offline")
    assert code == 1 and "gpu" not in checks
    assert checks["engine"]["state"] == "problem" and "cannot be loaded" in checks["engine"]["text"]
    assert checks["engine"]["fix"].startswith("pip install --only-binary llama-cpp-python")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "no model is loaded now"),
        ({"model": "mine", "gpu_layers": 33}, "33 layers of the loaded model are on it"),
    ],
)
def test_a_gpu_in_use(checked: Any, monkeypatch: pytest.MonkeyPatch, status: dict[str, Any] | None, words: str) -> None:
    async def said() -> dict[str, Any] | None:
        return status

    monkeypatch.setattr(engine, "llama", llama(GPU, gpu=True))
    monkeypatch.setattr(local, "status", said)
    code, checks = checked("--offline")
    assert code == 0 and checks["gpu"]["state"] == "ok"
    assert "A Card 3000" in checks["gpu"]["text"] and words in checks["gpu"]["text"]


@pytest.mark.parametrize(("kind", "flag"), [("cuda", "GGML_CUDA"), ("vulkan", "GGML_VULKAN"), ("metal", "GGML_METAL")])
def test_a_gpu_that_the_engine_cannot_use(checked: Any, monkeypatch: pytest.MonkeyPatch, kind: str, flag: str) -> None:
    monkeypatch.setattr(doctor, "_devices", lambda: [(kind, "a card")])
    code, checks = checked("--offline")
    assert code == 0 and checks["gpu"]["state"] == "note"
    assert f'CMAKE_ARGS="-D{flag}=on"' in checks["gpu"]["fix"] and "llama-cpp-python" in checks["gpu"]["fix"]


def test_settings_that_cannot_be_read(checked: Any) -> None:
    settings.path().write_text("model: [\n")
    code, checks = checked("--offline")
    assert code == 1 and checks["settings"]["state"] == "problem"
    assert "config.yaml:" in checks["settings"]["text"]


def test_settings_nobody_made(checked: Any) -> None:
    settings.path().unlink()
    code, checks = checked("--offline")
    assert checks["settings"]["text"] == "all at their defaults"
    assert code == 1 and checks["model"]["state"] == "problem"
    assert "qwen3.5-9b is chosen but not on this machine" in checks["model"]["text"]
    assert checks["model"]["fix"].startswith("localagent model pull qwen3.5-9b")


def test_a_model_that_is_damaged_or_gone(checked: Any) -> None:
    settings.set_value("model", "tiny")
    entry = catalogue.load().get("tiny")
    path = reuse.own_path(entry, entry.parts[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    code, checks = checked("--offline")
    assert code == 1 and "is damaged" in checks["model"]["text"] and "model pull tiny" in checks["model"]["fix"]
    settings.set_value("model", "/none/such.gguf")
    code, checks = checked("--offline")
    assert code == 1 and "/none/such.gguf" in checks["model"]["text"]


def test_a_disk_that_is_full_or_closed(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100 << 30, 99 << 30, 1 << 30))
    code, checks = checked("--offline")
    assert code == 1 and "1.0 GiB free" in checks["disk"]["text"] and checks["disk"]["fix"] == "Free some space."
    closed = str(paths.state_dir())
    monkeypatch.setattr(doctor.os, "access", lambda folder, mode: str(folder) != closed)
    _, checks = checked("--offline")
    assert f"{closed} (undo) is not writable" in checks["disk"]["text"] and "chown" in checks["disk"]["fix"]


def test_a_folder_that_cannot_be_made(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Path:
        raise StoreError("The folder cannot be made.", "Set LOCALAGENT_STATE_DIR.")

    monkeypatch.setattr(paths, "state_dir", refused)
    code, checks = checked("--offline")
    assert code == 1
    assert checks["disk"]["text"] == "The folder cannot be made." and "LOCALAGENT_STATE_DIR" in checks["disk"]["fix"]


def test_an_index_and_a_hub_out_of_reach_are_no_problem(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.set_value("hub", "https://me:secret@mirror.example/hub")
    monkeypatch.setattr(index, "unreachable", lambda entry, url: "no answer within 5 s")
    monkeypatch.setattr(fetch, "unreachable", lambda url: "no such name")
    code, checks = checked()
    assert code == 0 and checks["index"]["state"] == checks["hub"]["state"] == "note"
    assert "no answer within 5 s" in checks["index"]["text"] and "starter" in checks["index"]["fix"]
    assert checks["hub"]["text"] == "mirror.example cannot be reached: no such name"
    assert "config set hub" in checks["hub"]["fix"]


def test_the_rules_are_one_line(checked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "w"
    (work / ".localagent").mkdir(parents=True)
    monkeypatch.chdir(work)
    mine, theirs = paths.config_dir() / "policy.yaml", work / ".localagent" / "policy.yaml"
    assert "no policy.yaml" in checked("--offline")[1]["policy"]["text"]
    mine.write_text("deny: ['run(a)']\nask: ['run(b)']\n")
    mine.chmod(0o600)
    theirs.write_text("deny: ['run(c)']\n")
    code, checks = checked("--offline")
    assert code == 0 and f"2 rules in {mine}; this folder adds 1 ({theirs})" == checks["policy"]["text"]
    theirs.write_text("\nallow: ['run(c)']\n")
    assert (row := checked("--offline")[1]["policy"])["state"] == "note" and f"{theirs}:2" in row["fix"]
    theirs.write_text("deny: [&a x]\n")
    code, checks = checked("--offline")
    assert code == 1 and "everything asks" in checks["policy"]["text"]
    mine.write_text("alow: []\n")
    code, checks = checked("--offline")
    assert code == 1 and f"{mine}:1: alow" in checks["policy"]["text"] and checks["policy"]["fix"]
