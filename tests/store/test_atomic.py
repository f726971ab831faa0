from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store.atomic import write_atomic


def test_it_replaces_and_sets_the_mode(tmp_path: Path) -> None:
    file = tmp_path / "a file é"
    file.write_bytes(b"old")
    write_atomic(file, b"new", mode=0o640)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == [file.name]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_atomic(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(StoreError, match="larger than"):
            write_atomic(file, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_said_plainly() -> None:
    from localagent.store.atomic import store_error

    error = store_error(OSError(28, "No space left on device"), "/x/y")
    assert str(error) == "/x/y cannot be written: the disk is full. Free some space and try again."


def test_a_missing_folder_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        write_atomic(tmp_path / "no" / "file", b"")
