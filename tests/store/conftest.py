"""A small tree with one of everything, a journal, and files with new contents."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from localagent.store.journal import Journal


@pytest.fixture
def space(tmp_path: Path) -> Path:
    root = tmp_path / "space"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_text("alpha\n")
    (root / "docs" / "b with space.txt").write_text("beta\n")
    (root / "docs" / "deep" / "ünï\nline").write_bytes(b"\0\xff" * 100)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o750)
    (root / "link").symlink_to("a.txt")
    os.setxattr(root / "a.txt", "user.note", b"keep me")
    for path in (root / "a.txt", root / "docs", root / "empty", root):
        os.utime(path, ns=(10**18 + 123, 10**18 + 456))
    return root


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def new(tmp_path: Path):
    """A file of the host's with the new content."""

    def make(text: str | bytes) -> str:
        path = tmp_path / f"content-{random.getrandbits(64):x}"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return make
