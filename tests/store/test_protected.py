from __future__ import annotations

from pathlib import Path

import pytest

from localagent.policy import floor
from localagent.policy.context import Context
from localagent.store import paths, secrets
from localagent.store.protected import Floor, is_hook_place


@pytest.mark.parametrize(
    "name",
    ".ssh/x .s3cfg .boto .authinfo .msmtprc .netrc .pgpass .my.cnf .git-credentials .config/gh/hosts.yml "
    ".config/glab-cli/config.yml .config/hub .BashRC .emacs .vim/plugin/x .gdbinit .local/bin/git .Xsession".split(),
)
def test_what_holds_keys_or_starts_programs_is_refused(isolated: Path, name: str) -> None:
    assert Floor().refusal(str(Path.home() / name))
    assert Floor().refusal(str(Path.home() / "notes" / "a.txt")) == ""


def test_a_folder_that_holds_them_is_refused_where_they_are_there(isolated: Path) -> None:
    config = Path.home() / ".config"
    config.mkdir(exist_ok=True)
    before = Floor().refusal(str(config))
    (config / "gh").mkdir()
    assert "in it" in Floor().refusal(str(config)) and "hold keys" not in before
    assert Floor().refusal(str(paths.state_dir() / "x"))


def test_the_rules_and_the_commit_know_the_same_places(isolated: Path) -> None:
    home = str(Path.home())
    ctx, last = Context("yolo", home, home=home), Floor()
    for place in (*secrets.secret_paths(home), *secrets.startup_paths(home)):
        assert floor.writing(f"{place}/x", ctx), place
        assert last.refusal(f"{place}/x"), place
    for place in secrets.secret_paths(home):
        assert floor.reading(place, ctx), place


@pytest.mark.parametrize(
    ("path", "held"),
    [
        ("/w/.git/hooks/pre-commit", True),
        ("/w/.git/commondir", True),
        ("/w/.git/worktrees/a/gitdir", True),
        ("/w/.git/modules/a/hooks/x", True),
        ("/w/.HG/hgrc", True),
        ("/w/.git/hooks/pre-commit.sample", False),
        ("/w/.git/refs/heads/hooks/x", False),
        ("/w/.git/config", False),
        ("/w/hooks/x", False),
    ],
)
def test_places_that_git_runs_or_follows(path: str, held: bool) -> None:
    assert is_hook_place(path) is held


def test_the_rules_of_a_folder_are_never_changed_whatever_was_agreed_to(tmp_path: Path) -> None:
    assert "rules" in Floor().refusal(str(tmp_path / ".localagent" / "policy.yaml"))
    assert Floor().refusal(str(tmp_path / ".localagent" / "notes.md")) == ""
