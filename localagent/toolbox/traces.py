"""An exception of plugin code in one plain paragraph, with the plugin's own lines and no others."""

from __future__ import annotations

import os
import traceback
from typing import Any

from ..errors import ToolError


def explain(error: BaseException, file: str, tool: str) -> str:
    """What the model reads when a tool raised. A ToolError is its own text."""
    if isinstance(error, ToolError):
        return str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        first = f"{error.strerror}: {os.fsdecode(error.filename)!r}"
    elif isinstance(error, SystemExit):
        first = f"it tried to exit with {error.code!r}"
    else:
        first = f"{type(error).__name__}: {error}".rstrip(": ")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = [f"  {os.path.basename(frame.filename)}:{frame.lineno} {frame.line}" for frame in frames[-3:]]
    return "\n".join([f"The tool {tool!r} failed. {first}", *where])


def load_problem(error: BaseException, file: str) -> dict[str, Any]:
    """Where and why a plugin file cannot be loaded."""
    if isinstance(error, SyntaxError) and error.filename == file:
        shown = f" in {error.text.strip()[:80]!r}" if error.text and error.text.strip() else ""
        return {"line": error.lineno or 1, "message": f"{type(error).__name__}: {error.msg}{shown}"}
    if isinstance(error, ModuleNotFoundError) and error.name:
        line = next((f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == file), 1)
        name = error.name.partition(".")[0]
        fix = f'name its package in the header: # /// script, # dependencies = ["{name}"], # ///'
        return {"line": line or 1, "message": f"there is no module {error.name!r}; {fix}"}
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return {"line": (lines and lines[-1]) or 1, "message": f"{type(error).__name__}: {error}".rstrip(": ")}
