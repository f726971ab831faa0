"""Checks: how they are written, and what of them holds on the disk."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from localagent.engine import gbnf
from localagent.engine.gbnf_pattern import FORMATS
from localagent.errors import UsageError
from localagent.toolbox import checking, checks
from localagent.toolbox.checks import Check
from localagent.toolbox.planning import PLAN

WRITTEN = {
    "exists report.md": Check("exists", "report.md"),
    "absent my old file.txt": Check("absent", "my old file.txt"),
    "contains a.md Total: 5": Check("contains", "a.md", "Total: 5"),
    "contains 'my file.md' it's done": Check("contains", "my file.md", "it's done"),
    "count *.txt 3": Check("count", "*.txt", low=3, high=3),
    "count **/*.md >=2": Check("count", "**/*.md", low=2),
    "count old/ <=1": Check("count", "old/", high=1),
    "exit_code 0 python3 -m pytest -q": Check("exit_code", text="python3 -m pytest -q"),
    "receipt changed a.md": Check("receipt", "a.md", deed="changed"),
    "receipt sent Ann": Check("receipt", text="Ann", deed="sent"),
    "receipt ran make test": Check("receipt", text="make test", deed="ran"),
}


@pytest.mark.parametrize(("text", "check"), WRITTEN.items())
def test_each_form_is_read_and_written_the_same(text: str, check: Check) -> None:
    assert checks.parse(text) == check and checks.parse(str(check)) == check
    assert re.search(FORMATS["check"], text), "what a person may write a model may, too"


@pytest.mark.parametrize(
    "text", ["", "exists", "delete a", "count a", "count a x", "contains a", "exit_code make", "receipt made a", "exists a\nb", "x" * 2000]
)
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError, match="exists PATH"):
        checks.parse(text)


def test_a_grammar_holds_the_closed_set() -> None:
    made = gbnf.json_calls([PLAN], before="", between=" ", after="")
    assert not gbnf.unheld([PLAN])
    assert all(f"[{verb[0]}] [{verb[1]}]" in made for verb in ("exists", "contains", "receipt"))


def holds(text: str, folder: Path, may_read: object = None) -> bool:
    return not checking.fails(checks.parse(text), str(folder), may_read or (lambda path: True))  # type: ignore[arg-type]


def test_what_is_on_the_disk_decides(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "sub/c.txt"):
        (work / name).write_text("Total: 5\n")
    assert holds("exists a.txt", work) and holds("exists sub", work) and not holds("exists z", work)
    assert holds("absent z", work) and not holds("absent a.txt", work)
    assert holds("contains a.txt Total: 5", work) and not holds("contains a.txt Total: 6", work) and not holds("contains sub x", work)
    assert holds("count *.txt 2", work) and holds("count **/*.txt 3", work) and holds("count sub/* <=1", work)
    assert holds("count */ 1", work) and not holds("count * >=3", work)
    assert holds(f"exists {work}/a.txt", work) and holds("exists ./sub/../a.txt", work)


def test_nothing_outside_and_nothing_that_is_no_file_is_looked_at(tmp_path: Path) -> None:
    work, secret = tmp_path / "work", tmp_path / "secret.txt"
    work.mkdir()
    secret.write_text("key")
    (work / "link").symlink_to(secret)
    (work / "out").symlink_to(tmp_path)
    os.mkfifo(work / "pipe")
    for text in ("exists ../secret.txt", f"exists {secret}", "contains link key", "contains out/secret.txt key", "exists out/secret.txt",
                 "exists link", "contains pipe x", "count out/* >=1", "absent ../nothing"):  # fmt: skip
        assert not holds(text, work), text
    assert not holds("absent link", work), "something is there"


def test_what_the_rules_close_does_not_hold_and_a_large_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert not holds("exists a", tmp_path, lambda path: False) and not holds("absent z", tmp_path, lambda path: False)
    assert holds("count * 0", tmp_path, lambda path: False)
    os.truncate(tmp_path / "a", checking.READ + 1)
    assert "larger" in checking.fails(checks.parse("contains a x"), str(tmp_path), lambda path: True)
