"""The person's own editor, in their terminal and with their environment: it is theirs, so nothing confines it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from ..errors import UsageError


def edit(path: Path) -> int:
    """Open a file in $VISUAL, $EDITOR or vi and wait; the editor's exit code. UsageError where it cannot be started."""
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        return subprocess.run([*words, str(path)], check=False).returncode
    except (OSError, IndexError) as error:
        told = f"The editor {' '.join(words)[:80]!r} cannot be started: {error}."
        raise UsageError(told, f"Set EDITOR, or open {path} yourself.") from None
