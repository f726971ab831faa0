from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from localagent.policy import decide
from localagent.policy.decide import Context
from localagent.policy.rule import Rules
from localagent.values import Change, ToolCall, ToolSpec

PATH = {"type": "string", "format": "path"}
READ = ToolSpec("read_file", "", {"type": "object", "properties": {"path": PATH}}, ("read:fs",))
COPY = ToolSpec("copy_file", "", {"type": "object", "properties": {"source": PATH, "destination": PATH}}, ("write:fs",))


@pytest.fixture
def dotfiles(tmp_path: Path) -> Path:
    """A home whose dotfiles are links into a folder that is worked in."""
    root = tmp_path.resolve() / "dotfiles"
    for name in ("ssh", "config/gh", "config/localagent", "config/plain"):
        (root / name).mkdir(parents=True)
    for name in ("ssh/id_rsa", "netrc", "bashrc", "config/gh/hosts.yml", "config/plain/a", "notes.txt"):
        (root / name).write_text("x")
    for name in ("ssh", "netrc", "bashrc", "config"):
        (root.parent / f".{name}").symlink_to(f"dotfiles/{name}")
    (root.parent / ".bash_history").symlink_to("/dev/null")
    (root.parent / ".vim").symlink_to(".")
    return root


def _context(workspace: Path, mode: Any = "yolo") -> Context:
    home = str(workspace.parent)
    rules = Rules.of(allow=("read(/**)", "write(/**)"))
    own = (f"{home}/.config/localagent",)
    return Context(mode, str(workspace), rules, True, home, own, resolve=os.path.realpath, folder=os.path.isdir)


def _reads(path: str, ctx: Context) -> str:
    return decide.before(ToolCall("1", "read_file", {"path": path}), READ, ctx).verdict


def _changes(change: Change, ctx: Context) -> str:
    return decide.after(ToolCall("1", "copy_file", {}), COPY, [change], ctx).verdict


def test_what_links_of_the_home_lead_to_is_as_secret_as_the_links(dotfiles: Path) -> None:
    ctx = _context(dotfiles)
    for name in ("ssh/id_rsa", "ssh", "netrc", "config/gh/hosts.yml", "SSH/id_rsa", "config/localagent/grants"):
        assert _reads(name, ctx) == "deny", name
    for name in ("notes.txt", "bashrc", "config/plain/a", "/dev/null", "."):
        assert _reads(name, ctx) == "allow", name


def test_it_is_not_copied_moved_or_written_either(dotfiles: Path) -> None:
    ctx, w = _context(dotfiles), str(dotfiles)
    for name in ("ssh", "ssh/id_rsa", "netrc", "config"):
        assert _changes(Change("copy", f"{w}/{name}", f"{w}/new"), ctx) == "deny", name
    for name in ("ssh", "config", "bashrc", "netrc"):
        assert _changes(Change("move", f"{w}/{name}", f"{w}/new"), ctx) == "deny", name
    for name in ("bashrc", "ssh/new", "config/autostart/x.desktop"):
        assert _changes(Change("write", f"{w}/{name}", before=""), ctx) == "deny", name
    assert _changes(Change("copy", f"{w}/config/plain", f"{w}/new"), ctx) == "allow"
    assert _changes(Change("write", f"{w}/notes.txt", before="1"), ctx) == "allow"


def test_it_is_looked_up_again_for_the_next_context(dotfiles: Path) -> None:
    assert _reads("other", _context(dotfiles)) == "allow"
    (dotfiles.parent / ".gnupg").symlink_to("dotfiles/other")
    assert _reads("other", _context(dotfiles)) == "deny"


@pytest.mark.parametrize("name", ["a\ud800b", "a\0b"])
def test_a_name_that_no_file_can_have_is_refused_with_a_sentence(dotfiles: Path, name: str) -> None:
    ctx = _context(dotfiles)
    found = decide.before(ToolCall("1", "read_file", {"path": name}), READ, ctx)
    assert found.verdict == "deny" and "no name that a file could have" in found.reason
    found.reason.encode()
    assert _changes(Change("write", f"{dotfiles}/{name}", before=""), ctx) == "deny"
    assert _changes(Change("link", f"{dotfiles}/l", content=name, before=""), ctx) == "deny"
    assert _changes(Change("trash", f"{dotfiles}/{name}"), ctx) == "deny"
