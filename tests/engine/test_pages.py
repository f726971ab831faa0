"""What is read from the disk before a model is loaded, and giving that up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localagent.engine import pages


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two pieces of a model, of 2.5 and 1 parts."""
    monkeypatch.setattr(pages, "PART", 8192)
    made = [tmp_path / "a", tmp_path / "b"]
    for path, size in zip(made, (20480, 8192), strict=True):
        path.write_bytes(os.urandom(size))
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return made


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is in memory")


def test_everything_is_in_memory_afterwards(files: list[Path]):
    told: list[float] = []
    assert pages.bring_in(files, lambda share: told.append(share) or True)
    assert told == [0.0, 8192 / 28672, 16384 / 28672, 20480 / 28672, 1.0]
    resident = pages._resident_of()
    assert resident
    with open(files[0], "rb") as file:
        assert resident(file.fileno(), 0, 20480)


def test_only_what_is_missing_is_read(files: list[Path], monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []
    monkeypatch.setattr(pages, "_resident_of", lambda: lambda _, at, size: at == 8192)
    monkeypatch.setattr(os, "preadv", lambda _, buffers, at: read.append(at))
    assert pages.bring_in(files, lambda _: True)
    assert read == [0, 16384, 0]


def test_it_is_given_up_between_two_parts(files: list[Path]):
    told: list[float] = []
    assert not pages.bring_in(files, lambda share: told.append(share) or len(told) < 3)
    assert len(told) == 3


def test_what_cannot_be_read_is_left_to_the_loading(files: list[Path], monkeypatch: pytest.MonkeyPatch):
    assert pages.bring_in([files[0].with_name("missing")], lambda _: True)
    assert pages.bring_in([files[0].parent], lambda _: True)
    monkeypatch.setattr(pages, "_resident_of", lambda: None)
    assert pages.bring_in(files, lambda _: False)
