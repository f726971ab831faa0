"""Random steps are undone exactly, also where the process is killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from localagent.store.journal import Journal
from localagent.values import Change
from tests.store.support import commit, digest, leftovers, tree

OPERATIONS = int(os.environ.get("LOCALAGENT_JOURNAL_OPERATIONS", "50"))
KILLS = int(os.environ.get("LOCALAGENT_JOURNAL_KILLS", "5"))
SEED = int(os.environ.get("LOCALAGENT_SEED", "20"))


# ---------------------------------------------------------------- storms


class Storm:
    """Random changes to a tree, in batches that do not depend on each other."""

    def __init__(self, root: Path, contents: Path, seed: int) -> None:
        self.root, self.contents, self.random = root, contents, random.Random(seed)
        contents.mkdir(exist_ok=True)
        self.count = 0

    def content(self) -> str:
        self.count += 1
        path = self.contents / str(self.count)
        path.write_bytes(self.random.randbytes(self.random.choice((0, 10, 5000))))
        if self.random.random() < 0.2:
            os.setxattr(path, "user.storm", b"x")
        return str(path)

    def name(self) -> str:
        return self.random.choice(("plain", "with space", "línea\n", "-dash", "x" * 120)) + str(
            self.random.getrandbits(24)
        )

    def batch(self) -> list[Change]:
        changes, used = [], set()
        for _ in range(self.random.randint(1, 4)):
            change = self.change()
            tops = {Path(p).relative_to(self.root).parts[0] for p in (change.path, change.dest) if p}
            if not tops & used:
                used |= tops
                changes.append(change)
        return changes

    def change(self) -> Change:
        files = [p for p in self.root.rglob("*") if p.is_file() and not p.is_symlink()]
        folders = [p for p in self.root.rglob("*") if p.is_dir() and not p.is_symlink()]
        place = self.random.choice([self.root, *folders]) / self.name()
        pick = self.random.choice(files) if files else None
        folder = self.random.choice(folders) if folders else None
        kind = self.random.choice(
            ("new", "new", "over", "move", "copy", "trash", "chmod", "mkdir", "link", "mvdir", "rmdir")
        )
        if kind == "over" and pick:
            return Change(
                "write", str(pick), content=self.content(), before=digest(pick), mode=self.random.choice((None, 0o640))
            )
        if kind in ("move", "copy") and pick:
            return Change(kind, str(pick), dest=str(place), before=digest(pick))
        if kind == "mvdir" and folder and not place.is_relative_to(folder):
            return Change(self.random.choice(("move", "copy")), str(folder), dest=str(place))
        if kind == "trash" and pick:
            return Change("trash", str(pick))
        if kind == "rmdir" and folder and self.random.random() < 0.4:
            return Change("trash", str(folder))
        if kind == "chmod" and pick:
            return Change("chmod", str(pick), mode=self.random.choice((0o600, 0o755, 0o444)))
        if kind == "mkdir":
            return Change("make_folder", str(place / self.name()))
        if kind == "link":
            return Change("link", str(place), content=self.random.choice(("../x", "a.txt", "/etc")), before="")
        return Change(
            "write", str(place), content=self.content(), before="", mtime_ns=self.random.choice((None, 10**18))
        )


def test_random_steps_are_undone_exactly(space: Path, journal: Journal, tmp_path: Path) -> None:
    storm = Storm(space, tmp_path / "contents", SEED)
    states = [tree(space)]
    done = 0
    while done < OPERATIONS:
        done += len(commit(journal, space, *storm.batch()).changes)
        states.append(tree(space))
    for before, after in zip(states[-2::-1], states[:0:-1], strict=True):
        assert tree(space) == after
        assert not journal.undo().conflicts
        assert tree(space) == before
    assert not leftovers(space)


VICTIM = textwrap.dedent(
    """
    import importlib.util, sys
    from pathlib import Path
    spec = importlib.util.spec_from_file_location("storms", {test!r})
    storms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(storms)
    root, seed = Path({root!r}), int(sys.argv[1])
    journal = storms.Journal(Path({journal!r}))
    storm = storms.Storm(root, Path({contents!r}) / str(seed), seed)
    print("ready", flush=True)
    while True:
        storms.commit(journal, root, *storm.batch())
        if storm.random.random() < 0.3:
            journal.undo()
            if storm.random.random() < 0.5:
                journal.redo()
    """
)


def test_kill_9_at_any_moment_loses_nothing(space: Path, journal: Journal, tmp_path: Path) -> None:
    before = tree(space)
    (tmp_path / "contents").mkdir()
    script = VICTIM.format(
        test=__file__, root=str(space), journal=str(journal._folder), contents=str(tmp_path / "contents")
    )
    moments = random.Random(SEED)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for kill in range(KILLS):
        victim = subprocess.Popen([sys.executable, "-c", script, str(SEED + kill)], stdout=subprocess.PIPE, env=env)
        try:
            assert victim.stdout is not None and victim.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.0, 0.25))
        finally:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            victim.stdout.close()
        journal.recover()
        assert not leftovers(space)
        assert not (journal._folder / "active").exists()
    steps = journal.steps(10_000)
    assert steps, "the victims never got to work"
    for step in steps:
        if step.state == "done":
            assert not journal.undo(step.number).conflicts
    assert {k: (v[0], v[2:]) for k, v in tree(space).items()} == {k: (v[0], v[2:]) for k, v in before.items()}
