"""A workspace too large to copy: overlaid for the call, with the same changes as a copy would have told."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.errors import Conflict, StoreError
from localagent.sandbox import launch, overlaid, overlay, stage
from localagent.sandbox.difference import difference
from localagent.sandbox.launch import Profile
from localagent.sandbox.profile import Overlay
from localagent.sandbox.stage import StageBudget
from localagent.store.journal import Journal
from localagent.values import Change
from tests.sandbox.test_stage import said, tree, work

__all__ = ["work"]

OVERLAID = StageBudget(copied=False)


def _possible() -> bool:
    async def opens(place: Path) -> bool:
        (place / "w").mkdir()
        return not isinstance(await overlay.opened(str(place / "w"), str(place)), str)

    with tempfile.TemporaryDirectory() as place:
        return launch.probe().name != "none" and asyncio.run(opens(Path(place)))


needs_overlay = pytest.mark.skipif(not _possible(), reason="the kernel permits no overlay here")


def overlaid_run(
    work: Path, script: str, *, during: Callable[[], None] | None = None, after: Callable | None = None
) -> tuple[Change, ...]:
    async def main() -> tuple[Change, ...]:
        async with stage.open(work, work.parent / "scratch", OVERLAID) as view:
            profile = Profile(binds=view.binds, overlay=view.overlay, closed=view.secrets)
            done = await launch.run(["/bin/bash", "-c", script], profile=profile, cwd=work)
            assert done.code == 0, done.output
            if during is not None:
                during()
            changes = view.changes()
            assert view.changes() == changes, "told twice, the same"
            if after is not None:
                after(view, changes)
            return changes

    found = asyncio.run(main())
    assert os.listdir(work.parent / "scratch") == []
    return found


@needs_overlay
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("cat a.txt; ls -R; touch -r run.sh run.sh", []),
        ("echo new > n.txt", ["write n.txt"]),
        ("mv run.sh go.sh", ["move run.sh go.sh"]),
        ("mv docs papers; echo x >> 'papers/b c.txt'", None),
        ("rm -r docs", ["trash docs"]),
        ("rm -r docs; mkdir docs", ["trash docs/deep", "trash docs/b c.txt"]),
        ("rm -r docs; mkdir -p docs/deep; echo x > docs/deep/new", None),
        ("chmod 600 run.sh; chmod 700 docs", ["chmod docs", "chmod run.sh"]),
        ("chmod 600 run.sh; chmod 750 run.sh", []),
        ("ln -sfn docs link", ["link link"]),
        ("touch -d 2001-01-01 run.sh", ["write run.sh"]),
        ("rm -r docs; echo f > docs", ["write docs", "trash docs"]),
        ("rm run.sh; mkdir run.sh; echo x > run.sh/x", None),
        ("mv run.sh t; mv 'docs/b c.txt' run.sh; mv t 'docs/b c.txt'", ["write docs/b c.txt", "write run.sh"]),
        ("rm -rf -- ..?* .[!.]* *", None),
    ],
)
def test_it_tells_what_a_copy_would_have_told(
    work: Path, tmp_path: Path, script: str, expected: list[str] | None
) -> None:
    journal, before = Journal(tmp_path / "journal"), tree(work)
    plain = tmp_path / "plain"
    shutil.copytree(work, plain, symlinks=True)
    subprocess.run(["/bin/bash", "-c", script], cwd=plain, check=True, stdout=subprocess.DEVNULL)

    def commit(view: stage.View, changes: tuple[Change, ...]) -> None:
        assert tree(work) == before, "the program reached the workspace itself"
        journal.commit(changes, [work], session="s", call="c", label=script)

    changes = overlaid_run(work, script, after=commit)
    if expected is not None:
        assert sorted(said(work, changes)) == sorted(expected)
    assert tree(work, times=False) == tree(plain, times=False)
    if changes:
        assert not journal.undo().conflicts
    assert tree(work) == before


@needs_overlay
@pytest.mark.parametrize(
    ("script", "theirs"),
    [
        ("echo program > run.sh", lambda work: (work / "run.sh").write_text("user")),
        ("rm run.sh", lambda work: (work / "run.sh").write_text("user")),
        ("echo program >> run.sh", lambda work: (work / "run.sh").unlink()),
        ("echo program > new", lambda work: (work / "new").write_text("user")),
        ("rm -r docs", lambda work: (work / "docs" / "deep" / "mine").write_text("user")),
        ("rm -r docs; mkdir docs", lambda work: (work / "docs" / "b c.txt").write_text("user")),
    ],
)
def test_what_the_user_did_meanwhile_is_never_overwritten(work: Path, tmp_path: Path, script: str, theirs) -> None:
    states: list[dict] = []

    def during() -> None:
        theirs(work)
        states.append(tree(work))

    def commit(view: stage.View, changes: tuple[Change, ...]) -> None:
        with pytest.raises(Conflict):
            Journal(tmp_path / "j").commit(changes, [work], session="s", call="c", label="x")

    overlaid_run(work, script, during=during, after=commit)
    assert tree(work) == states[0]


@needs_overlay
def test_no_mark_of_the_kernel_and_no_secret_comes_along(work: Path, tmp_path: Path) -> None:
    (work / "deep" / ".ssh").mkdir(parents=True)
    (work / "deep" / ".ssh" / "key").write_text("password")
    (work / "deep" / "other").write_text("other")

    def commit(view: stage.View, changes: tuple[Change, ...]) -> None:
        Journal(tmp_path / "j").commit(changes, [work], session="s", call="c", label="x")

    script = (
        "grep -r password . && exit 1; echo x >> deep/other; rm -rf deep 2>/dev/null; echo y >> run.sh; cp -a docs d2"
    )
    overlaid_run(work, script, after=commit)
    assert (work / "deep" / ".ssh" / "key").read_text() == "password" and not (work / "deep" / "other").exists()
    for path in work.rglob("*"):
        assert not any("overlay" in name for name in os.listxattr(path, follow_symlinks=False))


def test_without_the_overlay_the_program_is_not_started(tmp_path: Path) -> None:
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    argv = [
        sys.executable,
        "-I",
        "-S",
        overlaid.__file__,
        str(tmp_path / "missing"),
        str(tmp_path / "upper"),
        str(tmp_path / "work"),
    ]
    done = subprocess.run([*argv, "/usr/bin/touch", str(tmp_path / "reached")], capture_output=True, check=False)
    assert done.returncode == overlaid.REFUSED and not (tmp_path / "reached").exists()
    done = subprocess.run(
        [*argv[:4], "/proc", *argv[5:], "/usr/bin/touch", str(tmp_path / "reached")], capture_output=True, check=False
    )
    assert done.returncode == overlaid.REFUSED and not (tmp_path / "reached").exists()


def test_a_disk_inside_the_workspace_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "_mount_beneath", lambda folder: f"{folder}/usb")
    (tmp_path / "w").mkdir()

    async def main() -> None:
        async with stage.open(tmp_path / "w", tmp_path / "s", OVERLAID):
            pass

    with pytest.raises(StoreError, match=r"too large.*usb is another disk"):
        asyncio.run(main())
    assert os.listdir(tmp_path / "s") == []


def test_a_network_disk_is_not_overlaid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaid, "kind", lambda path: 0x6969)
    assert "another machine" in str(asyncio.run(overlay.opened(str(tmp_path), str(tmp_path))))


def test_mounts_beneath_a_folder_are_seen() -> None:
    assert overlay._mount_beneath("/dev") and overlay._mount_beneath("/").startswith("/")


def test_where_no_overlay_is_permitted_a_middling_folder_is_copied(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(overlay: object) -> str:
        return "forbidden here"

    monkeypatch.setattr(overlay, "_tried", {})
    monkeypatch.setattr(overlay, "_try", refused)

    async def main(budget: StageBudget) -> None:
        async with stage.open(work, work.parent / "scratch", budget) as view:
            assert view.overlay is None and tree(view.path) == tree(work)
            assert view.binds == ((str(view.path), str(work)),)

    asyncio.run(main(StageBudget(soon_files=3)))
    with pytest.raises(StoreError, match=r"too large.*forbidden here"):
        asyncio.run(main(StageBudget(files=3, soon_files=3)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; the tests above were somebody else's")
def test_an_ordinary_user_gets_it_in_a_user_namespace(tmp_path_factory: pytest.TempPathFactory) -> None:
    python, place = "/usr/bin/python3", Path(tempfile.mkdtemp(prefix="overlay-", dir="/var/tmp"))
    try:
        for name in ("work/docs/deep", "upper", "mine"):
            (place / name).mkdir(parents=True)
        (place / "work" / "docs" / "a").write_text("alpha")
        (place / "work" / "b").write_text("beta")
        shutil.copy(overlaid.__file__, place / "overlaid.py")
        for path in (place, *place.rglob("*")):
            os.chown(path, 65534, 65534)
        before, made = tree(place / "work"), Overlay(*(str(place / name) for name in ("work", "upper", "mine")))
        command = overlay.command(made)
        command[0], command[command.index(overlaid.__file__)] = python, str(place / "overlaid.py")
        script = "cd work && echo x >> b && rm -r docs && mkdir docs && echo y > docs/y"
        drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run(
            [*drop, *command, "/bin/sh", "-c", f"cd {place} && {script}"], capture_output=True, text=True, check=False
        )
        if done.returncode == overlaid.REFUSED:
            pytest.skip(f"the kernel permits no overlay to an ordinary user: {done.stderr}")
        assert done.returncode == 0, done.stderr
        assert tree(place / "work") == before
        seen = overlay.Concerned(made, time.time_ns(), ())
        seen.settle()
        changes, _ = difference(made.folder, made.upper, seen.original, {}, seen.left_out)
        assert sorted(said(place / "work", changes)) == ["trash docs/a", "trash docs/deep", "write b", "write docs/y"]
        assert not any(".overlay." in name for path in (place / "upper").rglob("*") for name in os.listxattr(path))
    finally:
        shutil.rmtree(place)
