from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from localagent.policy import decide
from localagent.policy.decide import Context
from localagent.policy.rule import Rules
from localagent.values import Change, ToolCall, ToolSpec

RUN = ToolSpec("run", "", {"type": "object", "properties": {"command": {"type": "string"}}}, ("run",))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a repository, two more under names of their own, and folders to bring somewhere."""
    root = tmp_path.resolve() / "w"
    for repo in (".git", "mirror", "meta"):
        for name in ("objects/ab", "refs/heads/a", "hooks", "info", "logs/refs"):
            (root / repo / name).mkdir(parents=True)
        (root / repo / "HEAD").write_text("ref: refs/heads/main\n")
        (root / repo / "config").write_text("[core]\n")
    for name in ("prep", "half/objects", "half/refs", "half/hooks", "src"):
        (root / name).mkdir(parents=True)
    (root / "prep/git-rebase-todo").write_text("exec x\n")
    (root / "half/config").write_text("[core]\n")
    return root


def _after(work: Path, *changes: Change, mode: Any = "yolo") -> str:
    rules = Rules.of(allow=("write(/**)", "run(*)"))
    looks: dict[str, Any] = {"resolve": os.path.realpath, "folder": os.path.isdir, "exists": os.path.lexists}
    ctx = Context(mode, str(work), rules, True, "/home/u", **looks)
    return decide.after(ToolCall("1", "run", {"command": "make"}), RUN, changes, ctx).verdict


def test_a_repository_is_one_whatever_its_name(work: Path) -> None:
    for name in ("config", "hooks/post-receive", "info/attributes", "commondir", "config.worktree", "Hooks/update"):
        for repo in ("mirror", "meta"):
            assert _after(work, Change("write", f"{work}/{repo}/{name}", before="")) == "deny", name
    assert _after(work, Change("trash", f"{work}/mirror/config")) == "deny"
    assert _after(work, Change("link", f"{work}/mirror/hooks/update", content="x")) == "deny"
    assert _after(work, Change("move", f"{work}/prep", f"{work}/mirror/hooks")) == "deny"
    for name in ("HEAD", "refs/heads/main", "objects/ab/cd", "packed-refs", "index", "hooks/a.sample"):
        assert _after(work, Change("write", f"{work}/mirror/{name}", before="1"), mode="auto") == "allow", name
    for name in ("src/config", "half/config", "half/hooks/x.js", "refs/objects/HEAD/x"):
        assert _after(work, Change("write", f"{work}/{name}", before="1"), mode="auto") == "allow", name


def test_one_that_comes_to_be_by_the_changes_is_one_too(work: Path) -> None:
    new = [Change("write", f"{work}/new/{name}", before="") for name in ("HEAD", "objects/x", "refs/x")]
    assert _after(work, *new) == "allow"
    assert _after(work, Change("write", f"{work}/new/hooks/update", before=""), *new) == "deny"
    assert _after(work, *new, Change("write", f"{work}/new/config", before="", after="0")) == "deny"
    assert _after(work, Change("write", f"{work}/half/HEAD", before="")) == "deny"
    copied = [Change("copy", f"{work}/half", f"{work}/c"), Change("write", f"{work}/c/HEAD", before="")]
    assert _after(work, *copied) == "deny"
    brought = [Change("copy", f"{work}/mirror", f"{work}/c"), Change("write", f"{work}/c/config", before="")]
    assert _after(work, *brought) == "deny"
    assert _after(work, Change("copy", f"{work}/mirror", f"{work}/c")) == "allow"


def test_a_whole_folder_is_not_brought_into_a_repository(work: Path) -> None:
    for dest in (".git/rebase-merge", ".git/objects/x", "mirror/rebase-merge", ".git/refs/heads/b", ".git/refs"):
        for kind in ("move", "copy"):
            assert _after(work, Change(kind, f"{work}/prep", f"{work}/{dest}")) == "deny", dest
    made = [
        Change("write", f"{work}/fresh/git-rebase-todo", before=""),
        Change("move", f"{work}/fresh", f"{work}/.git/rebase-merge"),
    ]
    assert _after(work, *made) == "deny"
    inside = Change("move", f"{work}/.git/objects/ab", f"{work}/.git/rebase-merge")
    assert _after(work, inside) == "deny"


def test_what_git_moves_within_its_own_folder_passes(work: Path) -> None:
    branch = Change("move", f"{work}/.git/refs/heads/a", f"{work}/.git/refs/heads/b")
    assert _after(work, branch, mode="auto") == "allow"
    (work / ".git/tmp_pack_1").write_text("x")
    pack = Change("move", f"{work}/.git/tmp_pack_1", f"{work}/.git/objects/ab/pack")
    assert _after(work, pack, mode="auto") == "allow"
    assert _after(work, Change("move", f"{work}/src", f"{work}/prep/src"), mode="auto") == "allow"


def test_the_history_of_such_a_repository_is_not_taken_away_unasked(work: Path) -> None:
    ctx = Context("auto", str(work), Rules(), True, "/home/u", exists=os.path.lexists)
    found = decide.after(ToolCall("1", "run", {}), RUN, [Change("trash", f"{work}/mirror")], ctx)
    assert found.verdict == "ask" and "history" in found.reason


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_a_new_bare_repository_of_git_passes_the_floor(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    subprocess.run(["git", "init", "-q", "--bare", "made"], cwd=root, check=True, env={"PATH": os.environ["PATH"]})
    from hashlib import sha256

    made = [p for p in sorted((root / "made").rglob("*")) if p.is_file()]
    changes = [Change("make_folder", str(p)) for p in sorted((root / "made").rglob("*")) if p.is_dir()]
    for path in made:
        changes.append(Change("write", str(path), before="", after=sha256(path.read_bytes()).hexdigest()))
    shutil.rmtree(root / "made")
    assert _after(root, *changes) == "allow"
