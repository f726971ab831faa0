"""The folder that a session works in."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError


def folder(wanted: str | None) -> Path:
    """The workspace: an existing folder that can be listed."""
    try:
        path = (Path(wanted).expanduser() if wanted else Path.cwd()).resolve(strict=True)
    except OSError as error:
        named = f"The folder {wanted!r}" if wanted else "The current folder"
        raise UsageError(
            f"{named} cannot be used: {error.strerror}.", "Go to another one, or name one with --cwd."
        ) from None
    if not path.is_dir():
        raise UsageError(f"{str(path)!r} is not a folder.", "Name a folder with --cwd.")
    return path
