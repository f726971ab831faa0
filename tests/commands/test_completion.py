"""Completion, tried in the shells that are here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from localagent import cli

BASH = """
source /dev/stdin
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_localagent
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What bash would offer behind these words."""
    assert cli.main(["completion", "bash"]) == 0
    given = " ".join(f"'{word}'" for word in ("localagent", *words))
    script = BASH.format(words=given)
    done = subprocess.run(["bash", "-c", script], input=capsys.readouterr().out, capture_output=True, text=True, timeout=20, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("mod",), {"model"}),
        (("model", "p"), {"pull"}),
        (("model", "pull", "--"), {"--source", "--from", "--json", "--while-open", "--help"}),
        (("jobs", "add", "--re"), {"--remind"}),
        (("jobs", "l"), {"list", "log"}),
        (("do", "--out"), {"--output-format", "--output-schema"}),
        (("undo", "--st"), {"--step"}),
        (("mcp", "serve", "--al"), {"--allow"}),
        (("completion", "z"), {"zsh"}),
        (("sandbox", "--ver"), {"--verify"}),
        (("gateway", "pair", "--fo"), {"--folder"}),
        (("resume", "la"), {"last"}),
        (("do", "--resume", "la"), {"last"}),
    ],
)
def test_words_of_each_command(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], offered: set[str]) -> None:
    assert set(completed(capsys, *words)) == offered


def test_names_of_recipes(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "localagent").write_text('#!/bin/sh\n[ "$*" = "recipes --names" ] && echo sort-photos\n')
    (tmp_path / "localagent").chmod(0o700)
    (tmp_path / "photos").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert completed(capsys, "run", "so") == completed(capsys, "recipes", "edit", "") == ["sort-photos"]
    assert completed(capsys, "run", "--no") == ["--no-model"] and completed(capsys, "run", "sort-photos", "ph") == ["photos"]


def test_files_where_no_word_fits(capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert completed(capsys, "do", "rep") == ["report.txt"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_others_hold_every_command_and_can_be_read(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in cli.COMMANDS) and "--on-exit" in script and "--pull" in script
    if (program := shutil.which(shell)) is not None:
        assert subprocess.run([program, "-n"], input=script, text=True, timeout=20, check=False).returncode == 0
