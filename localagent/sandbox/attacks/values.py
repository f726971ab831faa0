"""One attack, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ..profile import Limits
from .scene import Judge, Scene

Group = Literal["secrets", "files", "workspace", "processes", "kernel", "sockets", "network", "limits"]
Verdict = Literal["held", "through", "idle"]

QUICK = Limits(wall_s=10, output_kb=256)


@dataclass(frozen=True, slots=True)
class Attack:
    """`script` is bash, run in the workspace. `through` judges from outside, given what the script said.

    `control` is True where the same script may be run without a sandbox to see that it would get
    through; `undo` repairs what that did. `root_only` attacks do nothing
    for other users anyway; `terminal` ones are started from a terminal.
    """

    name: str
    group: Group
    script: str
    through: Judge
    control: bool = True
    undo: Callable[[Scene], None] | None = None
    limits: Limits = field(default=QUICK)
    root_only: bool = False
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """`idle`: it does not get through outside either, so that it proves nothing here."""

    attack: Attack
    verdict: Verdict
    said: str


def python(source: str) -> str:
    """A bash script that runs this Python."""
    return f"@PYTHON@ -I -S - <<'SCRIPT'\n{source.strip()}\nSCRIPT"


def leaks(scene: Scene, said: str) -> bool:
    """Whether something that carries the mark has come out."""
    return scene.mark in said


def says(word: str) -> Judge:
    """Judges by a word of the script's own: for what leaves no trace outside."""
    return lambda scene, said: word in said.split()
