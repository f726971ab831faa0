"""policy.yaml in the user's folder and in a project: its form, who may have written it, and what its rules say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localagent.agent import policies
from localagent.errors import ConfigError
from localagent.store import policyfile, settings

WHOLE = """\
allow: ["write(notes/**)", "net(example.org)"]
ask:
  - "run(git push)"
deny: ["read(**/private/**)"]
examples:
  - {rule_for: "run", text: "git push origin main", verdict: ask}
  - {rule_for: run, text: cd x && git push -f, verdict: ask}
  - {rule_for: run, text: git pull, verdict: none}
  - {rule_for: read, text: a/private/b.txt, verdict: deny}
  - {rule_for: write, text: notes/a.md, verdict: allow}
  - {rule_for: write, text: ~/notes/a.md, verdict: none}
  - {rule_for: net, text: example.org, verdict: allow}
"""


def put(text: str | bytes, mode: int = 0o600) -> Path:
    file = Path(policyfile.path())
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def project(work: Path, text: str) -> Path:
    file = work / ".localagent" / "policy.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_no_file_lays_down_nothing_and_loads_no_yaml(tmp_path: Path) -> None:
    code = (
        "from localagent.agent import policies; import pathlib, sys; policies.load(pathlib.Path.cwd());"
        "assert 'yaml' not in sys.modules"
    )
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert policies.load(tmp_path) == policies.Laid()


def test_the_rules_come_with_their_lines_and_the_examples_hold(tmp_path: Path) -> None:
    put(WHOLE)
    mine = policies.own()
    listed = [(str(p.rule), p.line) for p in (*mine.deny, *mine.ask, *mine.allow)]
    assert listed == [("read(**/private/**)", 4), ("run(git push)", 3), ("write(notes/**)", 1), ("net(example.org)", 1)]
    laid = policies.load(tmp_path)
    assert [str(rule) for rule, _ in laid.allow] == ["write(notes/**)", "net(example.org)"] and laid.notices == ()


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "allow:\nask: []\ndeny:\nexamples:\n", "---\n"])
def test_an_empty_file_lays_down_nothing(text: str, tmp_path: Path) -> None:
    put(text)
    assert policies.load(tmp_path) == policies.Laid()


BAD = [
    ("alow: []\n", 1, "alow: there is no such key"),
    ("deny: []\n\ndeny: []\n", 3, "already stands in line 1"),
    ("deny: 'run(x)'\n", 1, "deny must be a list"),
    ("- deny\n", 1, "`key: value`"),
    ("deny:\n  - 'run(x)'\n  - 'fly(x)'\n", 3, "no kind of rule"),
    ("deny:\n  - run(x\n", 2, "closing parenthesis"),
    ("deny: [5]\n", 1, "must be a text"),
    ("deny: [yes]\n", 1, "must be a text"),
    ("deny: [[x]]\n", 1, "must be a text"),
    ("deny: [{run: x}]\n", 1, "must be a text"),
    ("deny: ['']\n", 1, "must be a text"),
    ("allow: ['run(sudo *)']\n", 1, "never allowed for good"),
    ("allow:\n- 'run(*)'\n", 2, "never allowed for good"),
    ("\nallow: ['run(python -c x)']\n", 2, "never allowed for good"),
    ("allow: [!!str 'run(x)']\n", 1, "a tag"),
    ("deny: !!python/object/apply:os.system [x]\n", 1, "a tag"),
    ("!x\ndeny: []\n", 1, "a tag"),
    ("deny: &a ['run(x)']\n", 1, "an anchor"),
    ("deny: &a ['run(x)']\nask: *a\n", 1, "an anchor"),
    ("deny: []\nask: *a\n", 2, "an alias"),
    ("%TAG ! tag:x,1:\n---\ndeny: []\n", 1, "a directive"),
    ("deny: [[[[[[x]]]]]]\n", 1, "lists within lists"),
    ("deny: " + "[" * 20_000 + "\n", 1, "lists within lists"),
    ("<<: {deny: []}\n", 1, "no such key"),
    ("? [deny]\n: []\n", 1, "no such key"),
    ("deny: []\n---\ndeny: []\n", 2, ""),
    ("deny: ['x\n", 2, "end of stream"),
    ("deny: []\nask: ['run(a\x01)']\n", 2, "control character"),
    (b"deny: []\n# \xff\n", 2, "not UTF-8"),
    ("# x\n" * 20_000, 1, "larger than 64 KiB"),
    ("examples:\n- 'run(x)'\n", 2, "names rule_for"),
    ("examples:\n- {rule_for: run, text: x}\n", 2, "lacks verdict"),
    ("examples:\n- {rule_for: run, text: x, verdict: maybe}\n", 2, "deny, ask, allow or none"),
    ("examples:\n- {rule_for: run, text: x, verdict: none, why: x}\n", 2, "why: there is no such key"),
    ("examples:\n- {rule_for: run, text: x, text: y, verdict: none}\n", 2, "already stands"),
    ("examples:\n- {rule_for: fly, text: x, verdict: none}\n", 2, "no kind of rule"),
    ("ask: ['run(git push)']\nexamples:\n- {rule_for: run, text: git push, verdict: allow}\n", 3, "the rules say ask (run(git push))"),
    ("deny: ['run(git)']\nask: ['run(git push)']\nexamples:\n- {rule_for: run, text: git push, verdict: ask}\n", 4, "say deny"),
    ("ask: ['read(a)']\nallow: ['read(a)']\nexamples:\n- {rule_for: read, text: a, verdict: allow}\n", 4, "say ask"),
    ("allow: ['run(ls)']\nexamples:\n- {rule_for: run, text: ls; rm x, verdict: allow}\n", 3, "say none"),
]


@pytest.mark.parametrize(("text", "line", "says"), BAD)
def test_a_bad_file_is_refused_with_its_line(text: str | bytes, line: int, says: str) -> None:
    file = put(text)
    with pytest.raises(ConfigError) as caught:
        policies.own()
    message = str(caught.value)
    if "larger" not in says:
        assert message.startswith(f"{file}:{line}: "), message
    assert says in message and message.startswith(f"{file}:")


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o644, True), (0o666, False), (0o622, False), (0o620, False)])
def test_rules_that_others_may_write_are_none_of_the_users(mode: int, fine: bool) -> None:
    file = put("deny: []\n", mode)
    if fine:
        assert policies.own().where == str(file)
        return
    with pytest.raises(ConfigError, match=f"others may write.*{mode:04o}.*chmod go-w"):
        policies.own()


def test_a_folder_that_others_may_write_is_refused_too() -> None:
    folder = put("deny: []\n").parent
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"):
        policies.own()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused() -> None:
    os.chown(put("deny: []\n"), 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to someone else"):
        policies.own()


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop", "nowhere"])
def test_what_is_no_file_is_refused_at_once(kind: str) -> None:
    place = Path(policyfile.path())
    if kind == "folder":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(place if kind == "loop" else place.parent / "gone")
    with pytest.raises(ConfigError, match=r"policy\.yaml:1: it "):
        policies.own()


def test_the_users_own_file_may_be_a_link_to_one_that_only_they_can_write(tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles" / "policy.yaml"
    kept.parent.mkdir()
    kept.write_text("deny: ['run(x)']\n")
    kept.chmod(0o600)
    Path(policyfile.path()).symlink_to(kept)
    assert [str(p.rule) for p in policies.own().deny] == ["run(x)"]
    kept.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"):
        policies.own()


def test_a_project_only_tightens(tmp_path: Path) -> None:
    put("ask: ['run(a)']\n")
    file = project(tmp_path, "deny: ['run(b)']\nask: ['run(c)']\nallow: ['run(d)']\n")
    laid = policies.load(tmp_path)
    assert [[str(r) for r in rules] for rules in (laid.deny, laid.ask)] == [["run(b)"], ["run(a)", "run(c)"]]
    assert laid.allow == () and laid.unread == "" and f"{file}:3" in laid.notices[0] and "does not count" in laid.notices[0]
    assert [rule.told for rule in laid.ask] == ["your rule run(a)", "this folder's rule run(c)"]


@pytest.mark.parametrize("text", ["den: []\n", "deny: [&a 'run(x)']\n", "deny: ['fly(x)']\n", "deny: x y: [\n", "allow: ['run(*)']\n"])
def test_a_projects_file_that_cannot_be_used_makes_everything_ask(text: str, tmp_path: Path) -> None:
    file = project(tmp_path, text)
    laid = policies.load(tmp_path)
    assert laid.deny == laid.ask == () and str(file) in laid.unread
    assert len(laid.notices) == 1 and f"{file}:1" in laid.notices[0] and "everything asks" in laid.notices[0]


@pytest.mark.parametrize("linked", ["the folder", "the file", "within"])
def test_a_projects_file_is_never_reached_through_a_link(linked: str, tmp_path: Path) -> None:
    work, other = tmp_path / "work", tmp_path / "other"
    work.mkdir()
    other.mkdir()
    project(other, "deny: ['run(x)']\n")
    if linked == "the folder":
        (work / ".localagent").symlink_to(other / ".localagent")
    else:
        target = other / ".localagent" / "policy.yaml" if linked == "the file" else work / "rules"
        (work / "rules").write_text("deny: []\n")
        (work / ".localagent").mkdir()
        (work / ".localagent" / "policy.yaml").symlink_to(target)
    laid = policies.load(work)
    assert laid.deny == () and laid.unread and "through a link" in laid.notices[0]


def test_a_workspace_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "w").symlink_to(tmp_path / "work")
    project(tmp_path / "work", "deny: ['run(x)']\n")
    assert [str(rule) for rule in policies.load(tmp_path / "w").deny] == ["run(x)"]


def test_a_program_of_the_folder_is_not_allowed_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("allow: ['run(./build.sh)', 'run(mine)', 'run(ls)', 'run(none here)']\n")
    for name in ("build.sh", "mine"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    laid = policies.load(tmp_path)
    assert [str(rule) for rule, _ in laid.allow] == ["run(ls)", "run(none here)"]
    assert len(laid.notices) == 2 and all("approvals add" in notice for notice in laid.notices)
    (tmp_path / "build.sh").unlink()
    assert len(policies.load(tmp_path).notices) == 2, "one that the agent may yet write is no other"


def test_the_settings_stay_a_file_of_their_own() -> None:
    put("deny: []\n")
    assert settings.load() == settings.Settings()
