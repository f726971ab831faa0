"""The wheel holds what it must and nothing else, and works where it is installed; the locks fit the project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = ["requirements.lock", "requirements-dev.lock"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="requirements-dev.lock installs hatchling")
    out = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=ROOT)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("elsewhere") / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--disable-pip-version-check"]
    _run([*pip, "--target", str(target), str(wheel)], cwd=target.parent)
    return target


def _run(command: list[str], cwd: Path, **env: str) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=os.environ | env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_installs_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"localagent"}


def test_the_wheel_holds_the_tools_and_the_catalogue(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "localagent/_shipped/models.toml" in names
    shipped = {f"localagent/_shipped/tools/{path.name}" for path in (ROOT / "tools").glob("*.py")}
    assert shipped and shipped <= names
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "localagent").rglob("*.py")}
    assert sources <= names
    pages = ROOT / "localagent" / "serve" / "web" / "static"
    assert {path.relative_to(ROOT).as_posix() for path in pages.rglob("*.*")} <= names
    assert not [name for name in names if name.endswith((".pyc", ".gguf")) or "/tests/" in name]


def test_the_installed_wheel_runs(installed: Path, tmp_path: Path) -> None:
    def python(*words: str) -> str:
        return _run([sys.executable, "-P", *words], cwd=tmp_path, PYTHONPATH=str(installed))

    where = python("-c", "import localagent; from localagent.store.paths import shipped; print(localagent.__file__)\n"
                         "print(shipped('tools')); print(shipped('models.toml'))").split()  # fmt: skip
    assert all(Path(path).is_relative_to(installed) and Path(path).exists() for path in where)
    assert "usage" in python("-m", "localagent", "--help").lower()
    assert PROJECT["project"]["version"] in python("-m", "localagent", "--version")
    assert "starter" in python("-m", "localagent", "model", "list")
    assert "read_file" in python("-m", "localagent", "tools", "list")
    assert (installed / "bin" / "localagent").exists()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(r"://|--index|--extra|--find-links|--trusted|^-e| @ ", text, re.MULTILINE)


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_of_a_lock_is_pinned_with_a_hash(name: str) -> None:
    entries = (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines()
    for entry in filter(str.strip, entries):
        assert re.match(r"[a-z0-9._-]+==\S+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_the_locks_hold_what_the_project_names() -> None:
    groups = PROJECT["dependency-groups"]
    runtime = [*PROJECT["project"]["dependencies"], *groups["build"]]
    development = [*runtime, *(item for item in groups["dev"] if isinstance(item, str))]
    for name, wanted in zip(LOCKS, (runtime, development), strict=True):
        locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / name).read_text("utf-8"), re.MULTILINE))
        assert {re.split(r"[<>=!~ ]", item)[0].lower() for item in wanted} <= locked
    plain, more = (set(re.findall(r"^\S+==\S+", (ROOT / n).read_text("utf-8"), re.MULTILINE)) for n in LOCKS)
    assert plain <= more


def test_the_set_up_says_what_is_missing(tmp_path: Path) -> None:
    """Without Python, and with it but without a compiler: one sentence with the command that helps."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in "sh uname sed cat mkdir rm mv sleep tail tr cut grep readlink touch ls".split():
        found = next((p for d in ("/bin", "/usr/bin") if (p := Path(d, name)).exists()), None)
        if found:
            (tools / name).symlink_to(found)
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    for name in ("run", "pyproject.toml", "requirements.lock"):
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    (checkout / "run").chmod(0o755)

    def said(**env: str) -> str:
        bare = {"PATH": str(tools), "HOME": str(tmp_path)}
        done = subprocess.run([checkout / "run", "--help"], capture_output=True, text=True, env=bare | env)
        assert done.returncode == 1
        assert not (checkout / ".venv.lock").exists()
        return done.stderr

    assert "Python 3.11 or newer is needed" in said()
    assert "C++ compiler" in said(LOCALAGENT_PYTHON=sys.executable)
