"""The staged view: a faithful copy, and a change list that says exactly what a program did."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.errors import Conflict, StoreError
from localagent.sandbox import launch, stage
from localagent.sandbox.launch import Profile
from localagent.sandbox.stage import StageBudget
from localagent.store.fingerprint import fingerprint
from localagent.store.journal import Journal
from localagent.values import Change

SCRIPTS = int(os.environ.get("LOCALAGENT_STAGE_SCRIPTS", "12"))


def tree(root: Path, *, times: bool = True) -> dict[str, tuple]:
    found: dict[str, tuple] = {}
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder, name)
            info = path.lstat()
            plain = path.is_file() and not path.is_symlink()
            what = os.readlink(path) if path.is_symlink() else path.read_bytes() if plain else None
            extra = [(n, os.getxattr(path, n)) for n in sorted(os.listxattr(path))] if plain else []
            time_ns = info.st_mtime_ns if times and plain else 0
            found[os.path.relpath(path, root)] = (info.st_mode, time_ns, what, tuple(extra))
    return found


@pytest.fixture
def work(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_text("alpha\n")
    (root / "docs" / "b c.txt").write_text("beta\n")
    (root / "docs" / "deep" / "ünï\nline").write_bytes(b"\0\xff" * 100)
    (root / "run.sh").write_text("echo hi\n")
    (root / "run.sh").chmod(0o750)
    (root / "link").symlink_to("a.txt")
    os.link(root / "a.txt", root / "twin")
    os.setxattr(root / "a.txt", "user.note", b"keep")
    return root


def staged(work: Path, script: str | Callable[[Path], None], *, after: Callable | None = None) -> tuple[Change, ...]:
    """The changes of a shell script in the sandbox, or of a function, on a staged view."""

    async def main() -> tuple[Change, ...]:
        async with stage.open(work, work.parent / "scratch") as view:
            if callable(script):
                script(view.path)
            else:
                profile = Profile(binds=((str(view.path), str(work)),))
                done = await launch.run(["/bin/bash", "-c", script], profile=profile, cwd=work)
                assert done.code == 0, done.output
            changes = view.changes()
            if after is not None:
                after(view, changes)
            return changes

    return asyncio.run(main())


def said(work: Path, changes: tuple[Change, ...]) -> list[str]:
    """`kind path [dest]`, relative."""
    return [
        " ".join([c.kind, os.path.relpath(c.path, work), *([os.path.relpath(c.dest, work)] if c.dest else [])])
        for c in changes
    ]


def test_the_copy_is_faithful_and_gone_afterwards(work: Path) -> None:
    with (work / "sparse").open("wb") as file:
        file.truncate(50_000_000)
    (work / "locked").mkdir()
    (work / "locked" / "x").write_text("x")
    (work / "locked").chmod(0o500)

    def check(path: Path) -> None:
        assert tree(path) == tree(work)
        assert (path / "a.txt").stat().st_ino == (path / "twin").stat().st_ino
        assert (path / "sparse").stat().st_blocks * 512 < 1_000_000

    assert staged(work, check) == ()
    assert os.listdir(work.parent / "scratch") == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("true", []),
        ("cat a.txt; ls -R; grep -r x . || true", []),
        ("echo new > n.txt", ["write n.txt"]),
        ("echo more >> run.sh", ["write run.sh"]),
        ("rm run.sh", ["trash run.sh"]),
        ("mv run.sh go.sh", ["move run.sh go.sh"]),
        ("mv run.sh docs/deep/", ["move run.sh docs/deep/run.sh"]),
        ("cp run.sh c.sh && rm run.sh", ["write c.sh", "trash run.sh"]),
        ("cp -p run.sh c.sh && rm run.sh", ["move run.sh c.sh"]),
        ("mv docs papers", ["move docs papers"]),
        ("mkdir new && mv docs new/papers", ["make_folder new", "move docs new/papers"]),
        ("mv docs papers; echo x >> 'papers/b c.txt'", None),
        ("mkdir -p x/y/z", ["make_folder x", "make_folder x/y", "make_folder x/y/z"]),
        ("rmdir empty", ["trash empty"]),
        ("rm -r docs", ["trash docs"]),
        ("chmod 600 run.sh; chmod 700 docs", ["chmod docs", "chmod run.sh"]),
        ("chmod 600 run.sh; chmod 750 run.sh", []),
        ("ln -s nowhere l", ["link l"]),
        ("ln -sfn docs link", ["link link"]),
        ("rm link; ln -s a.txt link", []),
        ("touch -d 2001-01-01 run.sh", ["write run.sh"]),
        ("rm -r docs; echo f > docs", ["write docs", "trash docs"]),
        ("rm run.sh; mkdir run.sh", ["make_folder run.sh", "trash run.sh"]),
        ("mv run.sh t; mv 'docs/b c.txt' run.sh; mv t 'docs/b c.txt'", ["write docs/b c.txt", "write run.sh"]),
        ("echo same > s; chmod 000 s", ["write s"]),
        ("rm -rf -- ..?* .[!.]* *", None),
    ],
)
def test_each_thing_a_program_does_is_named_and_can_be_committed_and_undone(
    work: Path, tmp_path: Path, script: str, expected: list[str] | None
) -> None:
    journal = Journal(tmp_path / "journal")
    before = tree(work)
    wanted: dict[str, tuple] = {}

    def commit(view: stage.View, changes: tuple[Change, ...]) -> None:
        wanted.update(tree(view.path))
        journal.commit(changes, [work], session="s", call="c", label=script)

    changes = staged(work, script, after=commit)
    if expected is not None:
        assert said(work, changes) == expected
    after = tree(work)
    if "chmod 000" not in script:
        assert after == wanted
    if changes:
        assert not journal.undo().conflicts
    assert tree(work) == before


def test_a_change_says_what_it_replaces(work: Path) -> None:
    (change,) = staged(work, "printf new > run.sh; chmod 700 run.sh; touch -d @1000000000 run.sh")
    assert change.before == stage_hash(b"echo hi\n") and change.after == stage_hash(b"new")
    assert (change.size, change.mode, change.mtime_ns) == (3, 0o700, 10**18)
    (change,) = staged(work, "echo x > new")
    assert change.before == ""


def stage_hash(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_a_file_changed_on_the_host_meanwhile_is_not_overwritten(work: Path, tmp_path: Path) -> None:
    def script(path: Path) -> None:
        (path / "run.sh").write_text("program")
        (path / "docs" / "b c.txt").unlink()
        (work / "run.sh").write_text("user")

    def commit(view: stage.View, changes: tuple[Change, ...]) -> None:
        with pytest.raises(Conflict, match=r"run\.sh was changed"):
            Journal(tmp_path / "j").commit(changes, [work], session="s", call="c", label="x")

    staged(work, script, after=commit)
    assert (work / "run.sh").read_text() == "user" and (work / "docs" / "b c.txt").exists()


def test_a_forged_time_hides_nothing(work: Path) -> None:
    changes = staged(work, "t=$(stat -c %y run.sh); printf 'echo no\\n' > run.sh; touch -d \"$t\" run.sh")
    assert said(work, changes) == ["write run.sh"]


def test_what_cannot_be_staged_is_said(work: Path) -> None:
    os.mkfifo(work / "pipe")

    def check(view: stage.View, changes: tuple[Change, ...]) -> None:
        assert changes == () and set(view.left_out) == {"pipe", "made"}

    staged(work, "test ! -e pipe; mkfifo made", after=check)


def test_a_removed_folder_is_named_by_what_was_in_it(work: Path) -> None:
    (change,) = staged(work, "rm -r docs")
    assert change.before == fingerprint(str(work / "docs"))

    def script(path: Path) -> None:
        shutil.rmtree(path / "docs")
        (work / "docs" / "deep" / "mine").write_text("made meanwhile")

    (change,) = staged(work, script)
    assert change.before == "0" * 64


@pytest.mark.parametrize(
    "budget",
    [
        StageBudget(files=5, overlaid=False),
        StageBudget(mb=1, overlaid=False),
        StageBudget(files=3, overlay_files=5),
    ],
)
def test_too_large_a_workspace_is_refused_with_numbers(work: Path, budget: StageBudget) -> None:
    (work / "big").write_bytes(b"x" * 2_000_000)

    async def main() -> None:
        async with stage.open(work, work.parent / "scratch", budget):
            pass

    with pytest.raises(StoreError, match=r"too large .* files .* MB") as caught:
        asyncio.run(main())
    assert caught.value.hint and os.listdir(work.parent / "scratch") == []


def test_a_workspace_around_our_own_folders_is_refused(work: Path) -> None:
    async def main() -> None:
        async with stage.open(work, work / "scratch"):
            pass

    with pytest.raises(StoreError, match="own working folder"):
        asyncio.run(main())
    assert not (work / "scratch").exists()


def test_cancelling_removes_the_copy(work: Path) -> None:
    async def main() -> None:
        async def use() -> None:
            async with stage.open(work, work.parent / "scratch"):
                await asyncio.sleep(30)

        task = asyncio.create_task(use())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert os.listdir(work.parent / "scratch") == []


def test_random_shell_commands_are_committed_and_undone_exactly(work: Path, tmp_path: Path) -> None:
    rng = random.Random(int(os.environ.get("LOCALAGENT_SEED", "20")))
    journal = Journal(tmp_path / "journal")
    names = ["a.txt", "docs", "docs/deep", "run.sh", "n1", "n2", "d1", "d1/d2", "link", "empty", "'sp ace'"]
    shapes = [
        "echo {r} > {a}", "echo {r} >> {a}", "mv {a} {b}", "cp -a {a} {b}", "rm -rf {a}", "mkdir -p {a}",
        "ln -s {a} {b}", "chmod {m} {a}", "touch -d @{r} {a}", "rmdir {a}", "ln {a} {b}", "truncate -s {r} {a}",
        "mkdir -p {b} && mv {a} {b}/", "find {a} -type f -delete", "tar cf {b} {a} && rm -r {a}",
    ]  # fmt: skip
    states = [tree(work)]
    for _ in range(SCRIPTS):
        lines = [
            rng.choice(shapes).format(
                a=rng.choice(names), b=rng.choice(names), r=rng.randint(1, 99999), m=rng.choice(("600", "644", "755"))
            )
            for _ in range(rng.randint(1, 5))
        ]

        def commit(view: stage.View, changes: tuple[Change, ...]) -> None:
            wanted = tree(view.path)
            step = journal.commit(changes, [work], session="s", call="c", label="script")
            assert tree(work) == wanted, (lines, changes)  # noqa: B023
            if step.number:
                states.append(wanted)

        staged(work, "{ " + "; ".join(lines) + "; } 2>/dev/null; true", after=commit)
    assert len(states) > SCRIPTS // 2
    for before in states[-2::-1]:
        assert not journal.undo().conflicts
        assert tree(work) == before
