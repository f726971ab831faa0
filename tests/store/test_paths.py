from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import paths


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CONFIG", "DATA", "STATE", "CACHE", "RUNTIME"):
        monkeypatch.delenv(f"LOCALAGENT_{kind}_DIR", raising=False)


def test_every_folder_is_made_for_its_owner_only(isolated: Path) -> None:
    for folder in (paths.config_dir, paths.data_dir, paths.state_dir, paths.cache_dir, paths.runtime_dir):
        made = folder()
        assert made.is_dir()
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname != "Linux", reason="XDG is Linux's")
def test_xdg_folders_and_their_defaults(plain: None, isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.config_dir() == isolated / ".config" / "localagent"
    assert paths.data_dir() == isolated / ".local" / "share" / "localagent"
    monkeypatch.setenv("XDG_DATA_HOME", str(isolated / "elsewhere"))
    assert paths.data_dir() == isolated / "elsewhere" / "localagent"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert paths.data_dir() == isolated / ".local" / "share" / "localagent"


def test_a_socket_always_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 80) / ("y" * 80)
    monkeypatch.setenv("LOCALAGENT_RUNTIME_DIR", str(deep))
    first = paths.runtime_dir()
    assert len(str(first / ("s" * 32))) < 100
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    monkeypatch.setenv("LOCALAGENT_RUNTIME_DIR", str(deep / "other"))
    assert paths.runtime_dir() != first
    paths.runtime_dir().rmdir()
    first.rmdir()


def test_a_runtime_folder_open_to_others_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = Path(os.environ["LOCALAGENT_RUNTIME_DIR"])
    folder.chmod(0o777)
    assert stat.S_IMODE(paths.runtime_dir().stat().st_mode) == 0o700


def test_a_runtime_folder_that_is_a_link_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = Path(os.environ["LOCALAGENT_RUNTIME_DIR"])
    link = folder / "link"
    link.symlink_to(tmp_path)
    monkeypatch.setenv("LOCALAGENT_RUNTIME_DIR", str(link))
    with pytest.raises(StoreError, match="LOCALAGENT_RUNTIME_DIR"):
        paths.runtime_dir()


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOCALAGENT_DATA_DIR", str(tmp_path / "file" / "data"))
    with pytest.raises(StoreError, match="LOCALAGENT_DATA_DIR"):
        paths.data_dir()


def test_shipped_files_are_found_in_a_checkout() -> None:
    assert paths.shipped("models.toml").name == "models.toml"
    assert paths.shipped("tools").is_dir()
