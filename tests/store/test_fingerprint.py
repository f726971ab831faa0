"""What was looked at when a change was proposed is what it must still be when it is carried out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.errors import Conflict
from localagent.store import fingerprint as prints
from localagent.store.fingerprint import fingerprint
from localagent.store.journal import Journal
from localagent.values import Change
from tests.store.support import commit, digest, tree


def test_each_kind_has_its_own(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(space / "pipe")
    assert fingerprint(str(space / "a.txt")) == digest(space / "a.txt")
    assert fingerprint(str(space / "pipe")) is None and fingerprint(str(space / "none")) is None
    kinds = [(fingerprint(str(space / name)) or "").split(":")[0] for name in ("link", "docs")]
    assert kinds == ["link", "tree"]
    monkeypatch.setattr(prints, "_READ_BYTES", 3)
    assert (fingerprint(str(space / "a.txt")) or "").startswith("file:")


@pytest.mark.parametrize("kind", ["trash", "move", "copy"])
@pytest.mark.parametrize(
    ("name", "meanwhile"),
    [
        ("a.txt", lambda s: (s / "a.txt").write_text("the user's")),
        ("docs", lambda s: (s / "docs" / "deep" / "new").write_text("the user's")),
        ("docs", lambda s: (s / "docs" / "b with space.txt").write_text("the user's")),
        ("docs", lambda s: (s / "docs" / "deep" / "ünï\nline").unlink()),
        ("link", lambda s: ((s / "link").unlink(), (s / "link").symlink_to("docs"))),
    ],
)
def test_what_was_changed_since_stays(space: Path, journal: Journal, kind, name: str, meanwhile) -> None:
    dest = None if kind == "trash" else str(space / "dest")
    change = Change(kind, str(space / name), dest=dest, before=fingerprint(str(space / name)))
    meanwhile(space)
    now = tree(space)
    with pytest.raises(Conflict, match="changed since"):
        commit(journal, space, Change("make_folder", str(space / "other")), change)
    assert tree(space) == now and journal.steps() == []
    commit(journal, space, Change(kind, change.path, dest=dest, before=fingerprint(change.path)))
    assert (space / "dest").exists() or not os.path.lexists(space / name)
