"""State files: whatever happens to one, it is read whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localagent.store import paths, snapfile
from localagent.store.snapfile import Damaged

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = (b"tokens" * 50, os.urandom(3 << 20), os.urandom(5000))


def _path(name: str = "session-a.snap", key: str = "key") -> Path:
    return snapfile.folder(key) / name


def _write(path: Path, sections: tuple[bytes, ...] = SECTIONS) -> None:
    for _ in snapfile.write(path, {"key": "k"}, sections):
        pass


def _read(path: Path) -> tuple[bytes, ...]:
    with open(path, "rb") as file:
        header = snapfile.read_header(file)
        found = [bytearray(section.length) for section in header.sections]
        for section, into in zip(header.sections, found, strict=True):
            snapfile.read_section(file, section, into)
    assert header.about == {"key": "k"}
    return tuple(map(bytes, found))


def test_what_was_written_is_read_and_only_its_owner_may() -> None:
    path = _path()
    _write(path)
    assert _read(path) == SECTIONS
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == [path.name]


def test_a_flipped_bit_in_any_part_is_noticed() -> None:
    path = _path()
    _write(path)
    whole = path.read_bytes()
    front = len(whole) - sum(map(len, SECTIONS))
    places = [0, 9, 13, 20, front - 1, front, front + 299, front + 300, front + (2 << 20), len(whole) - 1]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 4
        path.write_bytes(changed)
        with pytest.raises(Damaged):
            _read(path)


def test_a_file_of_another_length_is_noticed_before_its_sections_are_read() -> None:
    path = _path()
    _write(path)
    whole = path.read_bytes()
    for other in (b"", whole[:5], whole[:40], whole[:-1], whole[: len(whole) // 2], whole + b"x", bytes(len(whole))):
        path.write_bytes(other)
        with open(path, "rb") as file, pytest.raises(Damaged):
            snapfile.read_header(file)


def test_a_write_that_is_given_up_leaves_the_old_file_and_nothing_else() -> None:
    path = _path()
    _write(path, (b"old",))
    steps = snapfile.write(path, {"key": "k"}, SECTIONS)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert _read(path) == (b"old",)
    assert os.listdir(path.parent) == [path.name]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _path()
    _write(path, (b"old",))
    done = []

    def full(file: object, chunk: memoryview) -> None:
        done.append(chunk)
        if len(done) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapfile, "_write_all", full)
    with pytest.raises(OSError, match="No space"):
        _write(path)
    assert _read(path) == (b"old",)
    assert os.listdir(path.parent) == [path.name]


def test_a_file_above_the_size_limit_of_the_process_leaves_nothing() -> None:
    script = """
import resource, signal
from localagent.store import snapfile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    list(snapfile.write(snapfile.folder("key") / "session-a.snap", {}, [bytes(3 << 20)]))
except OSError as error:
    print("refused", error.errno)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert done.stdout.startswith(b"refused"), done.stderr
    assert os.listdir(_path().parent) == []


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_a_process_killed_while_writing_leaves_the_old_file(steps: int) -> None:
    """The new one stands beside it under a name that nobody reads, and goes when it is stale."""
    path = _path()
    _write(path, (b"old",))
    script = f"""
import os, signal
from localagent.store import snapfile
for number, _ in enumerate(snapfile.write(snapfile.folder("key") / "session-a.snap", {{}}, [bytes(9 << 20)])):
    if number == {steps}:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL
    assert _read(path) == (b"old",)
    assert len(os.listdir(path.parent)) == 2
    snapfile.prune(1 << 30)
    assert len(os.listdir(path.parent)) == 2
    for name in os.listdir(path.parent):
        if name.endswith(".tmp"):
            os.utime(path.parent / name, (time.time() - 3600, time.time() - 3600))
    snapfile.prune(1 << 30)
    assert os.listdir(path.parent) == [path.name]


def test_old_files_go_and_the_least_used_above_the_limit_but_what_all_begin_with_last() -> None:
    now = time.time()
    made = {"fixed-a": 9.0, "session-b": 8.0, "session-c": 1.0, "session-old": 20.0, "fixed-old": 30.0}
    for number, (name, days) in enumerate(made.items()):
        path = _path(f"{name}.snap", f"key{number}")
        _write(path, (bytes(1000),))
        os.utime(path, (now - days * 86_400, now - days * 86_400))
    snapfile.used(_path("session-b.snap", "key1"))
    size = path.stat().st_size

    def left() -> set[str]:
        return {file.stem for file in (paths.cache_dir() / "snapshots").glob("*/*.snap")}

    assert snapfile.prune(10 * size)[0] == 3
    assert left() == {"fixed-a", "session-b", "session-c"}
    snapfile.prune(2 * size + 500)
    assert left() == {"fixed-a", "session-b"}
    count, total = snapfile.prune(size + 500)
    assert left() == {"fixed-a"} and count == 1 and total <= size + 500
    assert [place.name for place in (paths.cache_dir() / "snapshots").iterdir()] == ["key0"]
    assert snapfile.prune(0) == (0, 0)
