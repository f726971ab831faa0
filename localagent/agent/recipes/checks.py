"""Whether a check holds: looked up on the disk and in what the host says of a call, never in what a model says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...store.recipes import Check
from ...values import ToolResult

ON_DISK = frozenset({"exists", "absent"})
_KINDS = {"file": os.path.isfile, "folder": os.path.isdir, "link": os.path.islink}


def failing(check: Check, folder: Path, result: ToolResult | None = None) -> str:
    """Why it does not hold, "" where it does. `result` is that of the step's own call."""
    match check.what:
        case "exists" | "absent":
            return _path(check, folder)
        case "exit_code":
            codes = [one.data.get("exit_code") for one in result.receipts if one.kind == "ran"] if result else []
            return "" if codes and all(code == check.value for code in codes) else f"exit code {_listed(codes)} instead of {check.value}"
        case "changed":
            kinds = [str(one.data.get("op")) for one in result.receipts if one.kind == "changed"] if result else []
            wanted = check.value if isinstance(check.value, tuple) else ()
            if not kinds:
                return f"nothing changed, where it should: {', '.join(wanted)}"
            odd = sorted(set(kinds) - set(wanted))
            return f"it changed things in another way than it should: {', '.join(odd)}" if odd else ""
        case "says":
            return "" if result is not None and str(check.value) in result.text else f"its result does not say {check.value!r}"


def _listed(codes: Sequence[object]) -> str:
    return ", ".join(map(str, codes)) or "unknown"


def _path(check: Check, folder: Path) -> str:
    path = os.path.join(folder, str(check.value))
    there = os.path.lexists(path)
    if check.what == "absent":
        return f"{check.value} is there" if there and (not check.kind or _KINDS[check.kind](path)) else ""
    if not there:
        return f"{check.value} is not there"
    return f"{check.value} is no {check.kind}" if check.kind and not _KINDS[check.kind](path) else ""


def told(check: Check) -> str:
    """The check in words."""
    match check.what:
        case "exists":
            return f"{check.value} is there" + (f" (a {check.kind})" if check.kind else "")
        case "absent":
            return f"{check.value} is not there"
        case "exit_code":
            return f"exit code {check.value}"
        case "changed":
            return f"it does: {', '.join(check.value)}" if isinstance(check.value, tuple) else ""
        case "says":
            return f"its result says {check.value!r}"
