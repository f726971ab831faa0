from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from localagent.policy import decide, repository
from localagent.policy.decide import Context
from localagent.policy.rule import Rules
from localagent.values import Change, ToolCall, ToolSpec

HOME = "/home/u"
W = f"{HOME}/w"
RUN = ToolSpec("run", "", {"type": "object", "properties": {"command": {"type": "string"}}}, ("run",))


def _after(*changes: Change, mode: Any = "auto", workspace: str = W, allow: tuple[str, ...] = ()) -> str:
    ctx = Context(mode, workspace, Rules.of(allow=allow), True, HOME)
    return decide.after(ToolCall("1", "run", {"command": "make"}), RUN, changes, ctx).verdict


LEADS_AWAY = [
    Change("write", f"{W}/.git", before=""),
    Change("write", f"{W}/.git/commondir", before=""),
    Change("write", f"{W}/.git/gitdir", before=""),
    Change("write", f"{W}/.git/worktrees/x/commondir", before=""),
    Change("write", f"{W}/.git/worktrees/x/gitdir", before=""),
    Change("edit", f"{W}/.git/worktrees/x/gitdir", before="1", after="2"),
    Change("write", f"{W}/.git/modules/sub/config", before=""),
    Change("write", f"{W}/.git/modules/a/b/config", before=""),
    Change("write", f"{W}/.git/modules/sub/hooks/post-checkout", before=""),
    Change("write", f"{W}/.git/hooks/post-checkout", before=""),
    Change("write", f"{W}/.git/config.worktree", before=""),
    Change("write", f"{W}/.git/info/attributes", before=""),
    Change("write", f"{W}/.git/anything", before=""),
    Change("write", f"{W}/.GIT/CommonDir", before=""),
    Change("write", f"{W}/.git./commondir", before=""),
    Change("write", f"{W}/.g\u200bit/commondir", before=""),
    Change("write", f"{W}/git~1/commondir", before=""),
    Change("write", f"{W}/deep/repo/.git/commondir", before=""),
    Change("link", f"{W}/.git/refs", content="../evil"),
    Change("link", f"{W}/.git", content="evil"),
    Change("move", f"{W}/evil", f"{W}/.git"),
    Change("copy", f"{W}/evil", f"{W}/.git"),
    Change("move", f"{W}/evil", f"{W}/.git/hooks"),
    Change("move", f"{W}/evil", f"{W}/.git/modules"),
    Change("copy", f"{W}/evil", f"{W}/.git/modules/sub"),
    Change("move", f"{W}/evil", f"{W}/.git/info"),
    Change("move", f"{W}/evil", f"{W}/.git/commondir"),
    Change("trash", f"{W}/.git/config"),
    Change("write", f"{W}/.hg/hgrc", before=""),
    Change("write", f"{W}/.hg/sharedpath", before=""),
    Change("write", f"{W}/.hg", before=""),
    Change("move", f"{W}/evil", f"{W}/.hg"),
]


@pytest.mark.parametrize("change", LEADS_AWAY, ids=lambda c: f"{c.kind} {c.dest or c.path}")
def test_nothing_leads_git_to_other_programs(change: Change) -> None:
    for mode in ("ask", "auto", "yolo"):
        assert _after(change, mode=mode, allow=("write(/**)", "run(*)")) == "deny"


@pytest.mark.parametrize(
    "change",
    [
        Change("write", f"{W}/meta/HEAD", before=""),
        Change("move", f"{W}/x", f"{W}/meta/HEAD"),
        Change("copy", f"{W}/.git", f"{W}/meta"),
        Change("move", f"{W}/.git", f"{W}/meta"),
        Change("write", f"{W}/site.git/config", before="1"),
        Change("write", f"{W}/site.git/hooks/update", before=""),
        Change("write", f"{W}/.git/rebase-merge/git-rebase-todo", before=""),
    ],
    ids=lambda c: f"{c.kind} {c.dest or c.path}",
)
def test_the_shape_of_a_repository_asks(change: Change) -> None:
    assert _after(change) == "ask"


def test_a_file_that_is_called_like_one_of_gits_is_free_elsewhere() -> None:
    for name in ("config", "hooks/use.js", "headers/HEAD.txt", "src/gitdir", "a.github/config", "refs/notes.md"):
        assert _after(Change("write", f"{W}/{name}", before="")) == "allow"
    assert _after(Change("edit", f"{W}/HEAD", before="1", after="2")) == "allow"
    assert repository.refusal(f"{W}/.git/hooks/pre-commit.sample", "write") == ""


def _tree(root: Path) -> dict[str, str]:
    """Every path beneath the root with the hash of its bytes, "" for a folder."""
    found: dict[str, str] = {}
    for folder, names, files in os.walk(root):
        found.update({os.path.join(folder, name): "" for name in names})
        for name in files:
            path = os.path.join(folder, name)
            found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return found


def _difference(before: dict[str, str], now: dict[str, str]) -> list[Change]:
    made = [
        Change("write", path, before=before.get(path, ""), after=after) if after else Change("make_folder", path)
        for path, after in now.items()
        if before.get(path) != after
    ]
    return made + [Change("trash", path, before=before[path]) for path in before if path not in now]


EVERYDAY = [
    "git init -q -b main",
    "echo one > a; git add a; git commit -q -m one",
    "git branch side; git checkout -q side; echo two > a; git commit -q -a -m two",
    "echo three > a; git stash -q; git stash pop -q; git stash -q",
    "git checkout -q main; echo b > b; git add b; git commit -q --amend -m again",
    "git merge -q side || true",
    "git checkout -q -f main; git merge --abort || true; git reset -q --hard main",
    "git tag -a v1 -m first; git rebase -q side || git rebase --abort",
    "git cherry-pick side || git cherry-pick --abort; git reset -q --soft HEAD",
    "git mv a c; git commit -q -m moved; git rm -q c; git commit -q -m gone",
    "git branch -D side; git gc -q; git status --short; git log --oneline",
]


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_everyday_git_passes_unasked(tmp_path: Path) -> None:
    root = tmp_path / "w"
    root.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    env |= {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for script in EVERYDAY:
        before = _tree(root)
        subprocess.run(["sh", "-c", script], cwd=root, env=env, check=True, capture_output=True)
        for change in _difference(before, _tree(root)):
            assert _after(change, workspace=str(root)) == "allow", (script, change)
