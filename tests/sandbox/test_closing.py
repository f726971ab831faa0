"""What is closed of a workspace: names of secrets, and what the user's rules deny."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.errors import StoreError
from localagent.sandbox import closing


@pytest.fixture
def work(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    for name in ("sub/secret.txt", "sub/open.md", "a/b/.SSH/id", "a/deep/er/.env", ".env", "x[1].txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


def names(work: Path, *patterns: str) -> set[str]:
    return {os.path.relpath(path, work) for path in closing.found(str(work), [f"{work}/{p}" for p in patterns])}


@pytest.mark.parametrize(
    ("pattern", "closed"),
    [
        ("sub/**", {"sub"}),
        ("SUB/*.txt", {"sub/secret.txt"}),
        ("Sub/**", {"sub"}),
        ("*/SECRET.txt", {"sub/secret.txt"}),
        ("**/.env", {".env", "a/deep/er/.env"}),
        ("a/**/.env", {"a/deep/er/.env"}),
        ("sub/[!o]*", {"sub/secret.txt"}),
        ("?ub/open.md", {"sub/open.md"}),
        ("sub/open.md", {"sub/open.md"}),
        ("none/**", set()),
        ("**", {"sub", "a", ".env", "x[1].txt"}),
    ],
)
def test_patterns(work: Path, pattern: str, closed: set[str]) -> None:
    always = set() if pattern == "**" else {"a/b/.SSH"}
    assert names(work, pattern) == closed | always


def test_a_link_to_what_is_denied_and_one_that_leads_out(work: Path, tmp_path: Path) -> None:
    (work / "way").symlink_to("sub/secret.txt")
    (work / "wayout").symlink_to(tmp_path)
    (work / ".ssh").symlink_to("/")
    assert names(work, "way*") == {"sub/secret.txt", "a/b/.SSH"}


def test_folders_beside_the_workspace(work: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    (keys / ".gnupg").mkdir(parents=True)
    (keys / "one.key").write_text("x")
    assert set(closing.found(str(work / "sub"), [f"{keys}/*.key"], [str(keys)])) == {
        str(keys / ".gnupg"),
        str(keys / "one.key"),
    }


def test_large_trees(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / ".ssh").mkdir()
    monkeypatch.setattr(closing, "ENTRIES", 4)
    monkeypatch.setattr(closing, "_ENTRIES_FOR_RULES", 4)
    assert names(work) == {".ssh"}
    with pytest.raises(StoreError, match="too large"):
        names(work, "**/.env")
    monkeypatch.undo()
    monkeypatch.setattr(closing, "_MOST", 1)
    with pytest.raises(StoreError, match="can be closed"):
        names(work, "**/*.txt")


def test_a_workspace_whose_own_path_looks_like_a_glob(tmp_path: Path) -> None:
    work = tmp_path / "a[1] *"
    (work / "sub").mkdir(parents=True)
    (work / "sub" / "x.key").write_text("x")
    assert (
        names(work, "**/*.key") == {"sub/x.key"} and names(work, "sub/**") == {"sub"} and names(work, "**") == {"sub"}
    )


def test_the_globs_of_rules(isolated: Path) -> None:
    told = [closing.absolute(glob, "/w") for glob in ("sub/**", "./a", "*", ".", "~/k/*", "/etc/x")]
    assert told == ["/w/sub/**", "/w/a", "/w/**", "/w/**", f"{isolated}/k/*", "/etc/x"]
