"""Where secrets go back: into the arguments of file changes, and nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..values import Text, ToolCall, ToolResult, ToolSpec
from .masks import Masks

_MOST = 8 * 1024 * 1024
_CHANGES = frozenset({"write:fs"})
_READS = frozenset({"compute", "read:fs", "read:mail"})


def filled(call: ToolCall, spec: ToolSpec, masks: Masks, workspace: Path) -> tuple[ToolCall, ToolResult | None]:
    """The call as its tool gets it, or the result that says why it gets none."""
    held = masks.placeholders(call.args)
    effects = frozenset(spec.effects)
    if not held or (effects and effects <= _READS):
        return call, None
    if effects != _CHANGES:
        told = (
            f"{held[0]} stands for a secret, and secrets are put back into files only, never into a command, a request or a "
            "message. Let the program read it from the file it stands in, or tell the user"
        )
        return call, _refused(call, told)
    if masks.unknown(call.args):
        _look_again(call, masks, workspace)
    if left := masks.unknown(call.args):
        return call, _refused(
            call, f"the secret behind {left[0]} is not known any more. Read the file it stands in again first"
        )
    return replace(call, args=masks.restore(call.args)), None


def _look_again(call: ToolCall, masks: Masks, workspace: Path) -> None:
    """Placeholders of an earlier run are known again once the file that is to be changed is read."""
    for path in _files(call, workspace):
        try:
            with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
                facts = os.fstat(file.fileno())
                if stat.S_ISREG(facts.st_mode) and facts.st_size <= _MOST:
                    masks.mask(file.read().decode("utf-8", "replace"))
        except OSError:
            continue


def _files(call: ToolCall, workspace: Path) -> Iterator[str]:
    root = os.path.realpath(workspace)
    for value in call.args.values():
        if isinstance(value, str) and value and len(value) < 4096 and "\0" not in value and "\n" not in value:
            path = os.path.realpath(os.path.join(root, value))
            if path.startswith(root.rstrip("/") + "/"):
                yield path


def _refused(call: ToolCall, why: str) -> ToolResult:
    return ToolResult(call.id, (Text(f"Not allowed: {why}. Nothing was changed."),), "denied")
