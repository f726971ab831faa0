"""Random file operations and shell commands through staging and journal: undone exactly, then done again exactly.

LOCALAGENT_STAGE_OPERATIONS (1000 in full), LOCALAGENT_STAGE_SPARSE_MB (2048 in full), LOCALAGENT_SEED.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import stat
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.sandbox import stage
from localagent.sandbox.launch import Profile, run
from localagent.store.journal import Journal, reach

OPERATIONS = int(os.environ.get("LOCALAGENT_STAGE_OPERATIONS", "50"))
SPARSE_MB = int(os.environ.get("LOCALAGENT_STAGE_SPARSE_MB", "16"))
SEED = int(os.environ.get("LOCALAGENT_SEED", "20"))
NAMES = ("plain", "two words", "ünï-日本", "new\nline", "-dash", "tab\tand'quote", "b" * 200, ".hidden", "caf\u0065\u0301")


def whole(root: Path, *, folders: bool) -> dict[str, tuple]:
    """Everything that undo promises: kinds, contents, modes, times, attributes, links (also hard ones).

    `folders` False leaves out the times of folders and who shares an inode.
    """
    found: dict[str, tuple] = {}
    shared = defaultdict(list)
    for folder, names, files in os.walk(root):
        for name in (*names, *files, *(["."] if folders and Path(folder) == root else [])):
            path = Path(folder, name)
            info = path.lstat()
            plain = path.is_file() and not path.is_symlink()
            what: object = os.readlink(path) if path.is_symlink() else None
            if plain:
                what = path.read_bytes() if info.st_size < 1 << 20 else (info.st_size, info.st_blocks < 4096)
                shared[info.st_ino].append(os.path.relpath(path, root))
            extra = tuple((n, os.getxattr(path, n, follow_symlinks=False)) for n in os.listxattr(path, follow_symlinks=False))
            when = info.st_mtime_ns if plain or folders else 0
            found[os.path.relpath(path, root)] = (info.st_mode, when, what, tuple(sorted(extra)))
    if folders:
        found["\0links"] = tuple(sorted(tuple(sorted(names)) for names in shared.values() if len(names) > 1))
    return found


class Storm:
    """Random operations in a folder, by system calls or by the shell."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def name(self) -> str:
        return self.random.choice(NAMES)[: self.random.choice((3, 255))] + str(self.random.getrandbits(12))

    def one(self, root: Path) -> None:
        pick = self.random.choice
        everything = sorted(p for p in root.rglob("*"))
        files = [p for p in everything if p.is_file() and not p.is_symlink()]
        folders = [root, *(p for p in everything if p.is_dir() and not p.is_symlink())]
        place = pick(folders) / self.name()
        file = pick(files) if files else None
        folder = pick(folders[1:]) if len(folders) > 1 else None
        if len(everything) > 250:
            # A tree that only grows would be slow, not harder.
            shutil.rmtree(max(folders[1:], key=lambda f: len(f.parts)) if self.random.random() < 0.5 else pick(folders[1:]))
            return
        kind = pick(("new", "new", "append", "shorten", "move", "movedir", "link", "hard", "chmod", "chmoddir", "touch", "xattr",
                     "xattrdir", "sparse", "rm", "rmtree", "mkdir", "mkdir", "shell", "swap", "replace", "fill"))  # fmt: skip
        try:
            self._do(kind, root, place, file, folder, pick)
        except OSError:
            return

    def _do(self, kind, root: Path, place: Path, file: Path | None, folder: Path | None, pick) -> None:
        if kind == "new":
            place.write_bytes(self.random.randbytes(pick((0, 1, 5000))))
        elif kind == "mkdir":
            place.mkdir()
        elif kind == "fill":
            (place / "a" / "b").mkdir(parents=True)
            for number in range(3):
                (place / "a" / f"{number}").write_text(str(number))
        elif kind == "link":
            place.symlink_to(pick(("nowhere", "../up", ".")))
        elif kind == "sparse":
            with place.open("wb") as out:
                out.seek(pick((SPARSE_MB << 19, 4096)))
                out.write(b"end")
        elif kind == "shell":
            lines = ("echo more >> {f}", "cp -a {f} {p}", "mv {f} {p}", "tar cf {p} {f} && rm {f}", "sed -i s/a/b/ {f}",
                     "find . -name '*1' -delete", "ln -f {f} {p}", "chmod -R g-w .", "gzip -k {f}")  # fmt: skip
            words = {"f": _quoted(root, file or place), "p": _quoted(root, place)}
            subprocess.run(["/bin/sh", "-c", pick(lines).format(**words)], cwd=root, capture_output=True, check=False)
        elif file is not None and kind in _ON_FILES:
            _ON_FILES[kind](self, file, place)
        elif folder is not None and kind in _ON_FOLDERS:
            _ON_FOLDERS[kind](self, folder, place)


def _carried(state: dict[str, tuple]) -> dict[str, tuple]:
    """Without attributes of folders, which stay in the view."""
    return {key: value[:3] if stat.S_ISDIR(value[0]) else value for key, value in state.items()}


def _quoted(root: Path, path: Path) -> str:
    return "'./" + os.path.relpath(path, root).replace("'", "'\\''") + "'"


def _append(storm: Storm, file: Path, place: Path) -> None:
    with file.open("ab") as out:
        out.write(b"more")


def _replace(storm: Storm, file: Path, place: Path) -> None:
    file.unlink()
    file.mkdir()


def _swap(storm: Storm, file: Path, place: Path) -> None:
    place.write_text("new")
    place.replace(file)


_ON_FILES = {
    "append": _append,
    "shorten": lambda storm, file, place: os.truncate(file, storm.random.choice((0, 1, 3))),
    "move": lambda storm, file, place: file.rename(place),
    "hard": lambda storm, file, place: os.link(file, place),
    "chmod": lambda storm, file, place: file.chmod(storm.random.choice((0o600, 0o755, 0o444, 0o640))),
    "touch": lambda storm, file, place: os.utime(file, ns=(1, storm.random.randrange(10**18))),
    "xattr": lambda storm, file, place: os.setxattr(file, "user.storm", storm.random.randbytes(4)),
    "rm": lambda storm, file, place: file.unlink(),
    "swap": _swap,
    "replace": _replace,
}
_ON_FOLDERS = {
    "movedir": lambda storm, folder, place: folder.rename(place),
    "chmoddir": lambda storm, folder, place: folder.chmod(storm.random.choice((0o700, 0o755, 0o750))),
    "xattrdir": lambda storm, folder, place: os.setxattr(folder, "user.storm", storm.random.randbytes(4)),
    "rmtree": lambda storm, folder, place: shutil.rmtree(folder),
}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    for number, name in enumerate(NAMES):
        (root / "docs" / name).write_text(f"{number} a\n")
    os.link(root / "docs" / "plain", root / "docs" / "deep" / "twin")
    os.setxattr(root / "docs", "user.note", b"keep")
    os.setxattr(root / "docs" / "plain", "user.note", b"keep")
    (root / "link").symlink_to("docs")
    with (root / "sparse").open("wb") as out:
        out.truncate(SPARSE_MB << 20)
    os.utime(root / "docs", ns=(1, 10**18))
    return root


@pytest.fixture(params=["here", "elsewhere"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The journal's folder, on the workspace's disk and on another one."""
    if request.param == "here":
        yield tmp_path / "journal"
        return
    for other in ("/dev/shm", "/tmp"):
        if os.access(other, os.W_OK) and os.stat(other).st_dev != os.stat(tmp_path).st_dev:
            made = Path(tempfile.mkdtemp(dir=other))
            yield made
            shutil.rmtree(made)
            return
    pytest.skip("there is no other disk")


def test_every_operation_is_undone_exactly_and_done_again_exactly(work: Path, tmp_path: Path, place: Path) -> None:
    # Who shares an inode is lost on the way to another disk and back.
    exact = place.parent == tmp_path
    storm, journal, states, done = Storm(SEED), Journal(place), [whole(work, folders=True)], 0
    again = [whole(work, folders=False)]

    async def call(number: int) -> None:
        async with stage.open(work, tmp_path / "scratch") as view:
            for _ in range(number):
                storm.one(view.path)
            if storm.random.random() < 0.2:
                profile = Profile(binds=((str(view.path), str(work)),))
                script = "echo s >> s; mv -- link knil 2>/dev/null; mkdir -p x/y; touch -d @1 x/y"
                assert (await run(["/bin/sh", "-c", script], profile=profile, cwd=work)).code == 0
            changes = view.changes()
            step = journal.commit(changes, reach(changes, work), session="s", call="c", label="storm")
            seen = whole(work, folders=False)
            assert _carried(seen) == _carried(whole(view.path, folders=False)), changes
            if step.number:
                states.append(whole(work, folders=True))
                again.append(seen)

    while done < (OPERATIONS if exact else OPERATIONS // 2):
        number = storm.random.randint(1, 4)
        asyncio.run(call(number))
        done += number
    assert len(states) > OPERATIONS // 20
    for before in states[-2::-1]:
        assert not journal.undo().conflicts
        now = whole(work, folders=True)
        if not exact:
            before = before | {"\0links": now["\0links"]}
        assert now == before, {k: (now.get(k), before.get(k)) for k in now | before if now.get(k) != before.get(k)}
    for after in again[1:]:
        assert not Journal(place).redo().conflicts
        assert whole(work, folders=False) == after
