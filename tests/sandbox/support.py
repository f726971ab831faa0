"""What the attacks share: a place to run them in, and how to read what they said."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PYTHON = "/usr/bin/python3"


@dataclass
class Place:
    """A home with secrets, a workspace in it, and a way to run something there as one user."""

    home: Path
    work: Path
    run: Callable[..., tuple[int, str]]


def ran(output: bytes) -> str:
    """What an attack said; one that never started has proved nothing."""
    assert output.startswith(b"RAN\n"), output
    return output.removeprefix(b"RAN\n").decode(errors="replace")


def python(source: str) -> str:
    return f"{PYTHON} -I -S - <<'SCRIPT'\n{textwrap.dedent(source)}\nSCRIPT"
