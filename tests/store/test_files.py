"""Operations beneath a root: no link, race or magic path leads out of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.store import files
from localagent.store.copying import copy_entry, sha256
from localagent.store.files import Root, remove_tree


@pytest.fixture(params=["openat2", "by component"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """An open folder with a way out beside it, both with the kernel's help and without."""
    monkeypatch.setattr(files, "_have_openat2", None if request.param == "openat2" else False)
    space = tmp_path / "space"
    (space / "sub" / "deep").mkdir(parents=True)
    (space / "sub" / "file").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("outside")
    (space / "out").symlink_to(tmp_path / "outside")
    (space / "up").symlink_to("../outside")
    (space / "lnk").symlink_to("/etc/hostname")
    with Root(str(space)) as opened:
        yield opened


def read(root: Root, path: str) -> bytes:
    fd = root.open(path)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_what_is_inside_can_be_used(root: Root) -> None:
    assert read(root, "sub/file") == b"inside"
    root.mkdir("made")
    root.rename("sub/file", root, "made/file")
    root.symlink("file", "made/link")
    root.chmod("made/file", 0o600)
    root.utime("made/file", 10**18)
    info = root.stat("made/file")
    assert info is not None and (info.st_mode & 0o777, info.st_mtime_ns) == (0o600, 10**18)
    assert root.readlink("made/link") == "file" and root.stat("nothing") is None and root.stat("made/file/x") is None
    root.unlink("made/link")
    root.remove("made")
    root.rmdir("sub/deep")
    assert root.stat("made") is None and root.stat("sub/deep") is None


@pytest.mark.parametrize("path", ["out/secret", "up/secret", "../outside/secret", "sub/../../outside/secret", "lnk"])
def test_nothing_leads_out(root: Root, path: str) -> None:
    with pytest.raises((StoreError, OSError)):
        read(root, path)
    if "/" in path:
        for attempt in (
            lambda: root.mkdir(os.path.dirname(path) + "/made"),
            lambda: root.unlink(path),
            lambda: root.rename("sub/file", root, path),
            lambda: root.move_out(path, str(Path(root.path).parent / "stolen")),
            lambda: root.copy_out(path, str(Path(root.path).parent / "stolen")),
        ):
            with pytest.raises((StoreError, OSError)):
                attempt()
    outside = Path(root.path).parent
    assert os.listdir(outside / "outside") == ["secret"] and not (outside / "stolen").exists()


def test_magic_links_are_not_followed(tmp_path: Path) -> None:
    with Root("/proc/self") as proc, pytest.raises(OSError):
        read(proc, "root/etc/hostname")


def test_pipes_are_refused_without_waiting(root: Root) -> None:
    os.mkfifo(Path(root.path) / "pipe")
    with pytest.raises(StoreError, match="not a regular file"):
        root.open("pipe")


def test_a_rename_never_replaces_unless_told(root: Root) -> None:
    (Path(root.path) / "other").write_text("other")
    with pytest.raises(FileExistsError):
        root.rename("sub/file", root, "other")
    root.rename("sub/file", root, "other", replace=True)
    assert read(root, "other") == b"inside"


def test_a_link_swapped_under_way_gains_nothing(root: Root) -> None:
    """A thread turns a folder into a link outside and back while we read through it."""
    space = Path(root.path)
    (space / "victim").mkdir()
    (space / "victim" / "secret").write_text("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(space / "victim", space / "aside")
            os.symlink("../outside", space / "victim")
            os.unlink(space / "victim")
            os.rename(space / "aside", space / "victim")

    thread = threading.Thread(target=swap)
    thread.start()
    seen: set[bytes] = set()
    try:
        for _ in range(2000):
            try:
                seen.add(read(root, "victim/secret"))
            except (OSError, StoreError):
                continue
    finally:
        stop.set()
        thread.join()
    assert b"outside" not in seen and seen <= {b"inside"}


def test_moving_out_and_in_keeps_everything(root: Root, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    os.setxattr(Path(root.path) / "sub" / "file", "user.x", b"y")
    root.keep("sub/file", str(kept))
    assert kept.stat().st_ino == (Path(root.path) / "sub" / "file").stat().st_ino
    root.move_out("sub", str(tmp_path / "whole"))
    assert root.stat("sub") is None
    with pytest.raises(FileExistsError):
        root.move_in(str(kept), "out")
    root.move_in(str(tmp_path / "whole"), "sub")
    assert read(root, "sub/file") == b"inside"


def test_across_file_systems_it_is_a_copy(root: Root) -> None:
    elsewhere = Path("/dev/shm") / f"localagent-files-{os.getpid()}"
    if not Path("/dev/shm").is_dir() or os.stat("/dev/shm").st_dev == os.fstat(root.fd).st_dev:
        pytest.skip("/dev/shm is no file system of its own")
    try:
        (Path(root.path) / "sub" / "file").chmod(0o640)
        os.utime(Path(root.path) / "sub" / "file", ns=(10**18, 10**18 + 1))
        root.move_out("sub", str(elsewhere))
        assert root.stat("sub") is None and (elsewhere / "file").read_text() == "inside"
        root.move_in(str(elsewhere), "sub")
        info = root.stat("sub/file")
        assert info is not None and (info.st_mode & 0o777, info.st_mtime_ns) == (0o640, 10**18 + 1)
        assert not elsewhere.exists()
    finally:
        remove_tree(str(elsewhere))


def test_a_copied_tree_is_the_same(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "locked").mkdir(parents=True)
    (source / "locked" / "x").write_text("x")
    (source / "gone").symlink_to("nowhere")
    with (source / "holes").open("wb") as file:
        file.seek(30_000_000)
        file.write(b"end")
    os.setxattr(source / "holes", "user.a", b"b")
    (source / "locked").chmod(0o500)
    copy_entry(str(source), str(tmp_path / "copy"))
    copy = tmp_path / "copy"
    assert sha256(str(copy / "holes")) == sha256(str(source / "holes"))
    assert (copy / "holes").stat().st_blocks < 1000 and os.getxattr(copy / "holes", "user.a") == b"b"
    assert os.readlink(copy / "gone") == "nowhere" and (copy / "locked").stat().st_mode & 0o777 == 0o500
    assert (copy / "locked").stat().st_mtime_ns == (source / "locked").stat().st_mtime_ns
    remove_tree(str(copy))
    remove_tree(str(copy))
    assert not copy.exists()
