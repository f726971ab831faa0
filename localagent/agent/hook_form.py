"""What a hook is told and what it answers, in the JSON that users know from other agents. Pure."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..store.hooksfile import GATES, Hook
from ..values import Mode, ToolResult, ToolSpec, Verdict
from .shown import visible

_THEIRS: Mapping[str, tuple[str, ...]] = {
    "run": ("Bash", "run_shell_command", "shell"),
    "start_command": ("Bash", "run_shell_command", "shell"),
    "write_file": ("Write", "create_file"),
    "edit_file": ("Edit", "MultiEdit", "edit", "replace"),
    "read_file": ("Read", "read_many_files"),
    "find_files": ("Glob", "glob"),
    "search_text": ("Grep", "grep_search", "search_file_content"),
    "list_files": ("LS", "list_directory"),
    "fetch_page": ("WebFetch", "web_fetch"),
    "search_web": ("WebSearch", "google_web_search"),
    "plan": ("TodoWrite", "todo_write"),
}
_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "write_file": {"path": "file_path"},
    "edit_file": {"path": "file_path", "old": "old_string", "new": "new_string"},
    "read_file": {"path": "file_path"},
}
_MODES: Mapping[Mode, str] = {"plan": "plan", "ask": "default", "auto": "acceptEdits", "yolo": "bypassPermissions"}
_ORDER: Mapping[str, int] = {"allow": 0, "ask": 1, "deny": 2}
_REASON, _CONTEXT, _RESPONSE = 2000, 8000, 20_000


@dataclass(frozen=True, slots=True)
class Said:
    """What one hook answered.

    `verdict` "" leaves things as they are. `context` is text for the model, `message` for the person; `edited` the arguments it wants
    instead; `stop` why the turn ends, None where it goes on. `failed` says what went wrong, "" where nothing did.
    """

    verdict: Verdict | str = ""
    reason: str = ""
    context: str = ""
    message: str = ""
    edited: Mapping[str, Any] | None = None
    stop: str | None = None
    failed: str = ""


def stricter(one: Verdict, other: str) -> Verdict:
    return other if _ORDER.get(other, -1) > _ORDER[one] else one  # type: ignore[return-value]


def names_of(name: str, source: str = "") -> tuple[str, ...]:
    """The tool's name, and what other agents call one like it."""
    server = source.removeprefix("mcp:") if source.startswith("mcp:") else ""
    # Our name may begin with the server's because its own does, or because it was taken: a gate for either has to hear of it.
    own = dict.fromkeys((name, name.removeprefix(f"{server}_"))) if server else ()
    return (name, *_THEIRS.get(name, ()), *(f"mcp__{server}__{one}" for one in own))


def matched(hook: Hook, names: Sequence[str]) -> str | None:
    """The first of the names that the hook is for, None where it is for none; without names it is for all."""
    if hook.matcher in ("", "*") or not names:
        return names[0] if names else ""
    return next((name for name in names if re.fullmatch(hook.matcher, name)), None)


def their_arguments(tool: str, called: str, args: Mapping[str, Any], workspace: str) -> dict[str, Any]:
    """The arguments as a hook of the name `called` knows them: also under their names, paths absolute."""
    made = dict(args)
    for ours, theirs in _ARGUMENTS.get(tool, {}).items() if called != tool else ():
        if ours in made:
            value = made.pop(ours)
            made[theirs] = os.path.normpath(os.path.join(workspace, value)) if theirs == "file_path" and isinstance(value, str) else value
    return made


def our_arguments(spec: ToolSpec, args: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round."""
    back = {theirs: ours for ours, theirs in _ARGUMENTS.get(spec.name, {}).items()}
    return {back.get(key, key): value for key, value in args.items()}


def base(event: str, session_id: str, transcript: str, folder: str, mode: Mode) -> dict[str, Any]:
    """What every hook is told."""
    facts = {"session_id": session_id, "transcript_path": transcript, "cwd": folder}
    return facts | {"hook_event_name": event, "permission_mode": _MODES[mode]}


def response(result: ToolResult) -> dict[str, Any]:
    text = result.text if len(result.text) <= _RESPONSE else result.text[:_RESPONSE] + "\n[...]"
    receipts = [{"kind": one.kind, **one.data} for one in result.receipts]
    return {"status": result.status, "success": result.status == "ok", "output": text, "receipts": receipts}


def outcome(event: str, code: int, output: str, errors: str, ended: str) -> Said:
    """What the end of a command means. `ended` is why we ended it, "" where it ended by itself."""
    errors = _calm(errors.strip(), _REASON)
    if ended:
        why = {"timeout": "its time was over", "output": "it printed too much"}.get(ended, f"it was stopped ({ended})")
        return Said(failed=why)
    if code == 2:
        return _blocked(event, errors or "it said no")
    if code != 0:
        return Said(failed=f"it ended with {code}{': ' + errors if errors else ''}")
    if not output.lstrip().startswith("{"):
        said = _calm(output.strip(), _CONTEXT) if event in ("UserPromptSubmit", "SessionStart") else ""
        return Said(context=said)
    try:
        answer = json.loads(output)
    except (ValueError, RecursionError) as error:
        return Said(failed=f"what it printed is not JSON: {error}")
    return _read(event, answer) if isinstance(answer, dict) else Said(failed="what it printed is no JSON object")


def _blocked(event: str, reason: str) -> Said:
    if event in GATES or event == "Stop":
        return Said("deny", reason)
    return Said(context=reason) if event == "PostToolUse" else Said(message=reason)


def _read(event: str, answer: Mapping[str, Any]) -> Said:
    inner = answer.get("hookSpecificOutput")
    inner = inner if isinstance(inner, Mapping) else {}
    reason = _calm(_first(inner.get("permissionDecisionReason"), answer.get("reason")), _REASON)
    context = _calm(_first(inner.get("additionalContext"), answer.get("additionalContext")), _CONTEXT)
    decision = inner.get("permissionDecision", answer.get("permissionDecision", answer.get("decision")))
    if decision not in (None, "allow", "approve", "ask", "deny", "block", "defer"):
        return Said(failed=f"it decided {decision!r:.40}, which is no decision")
    verdict = {"ask": "ask", "deny": "deny", "block": "deny"}.get(str(decision), "")
    if verdict and event not in GATES and event != "Stop":
        # What has happened cannot be refused; the model is told why it should not have been.
        verdict, context = "", "\n".join(filter(None, (reason or "it was not right", context)))
    if event == "Stop" and verdict == "ask":
        verdict = ""
    edited = inner.get("updatedInput") if event == "PreToolUse" else None
    if edited is not None and not isinstance(edited, Mapping):
        return Said(failed="its updatedInput is no object")
    stop = _calm(str(answer.get("stopReason") or "it ends the turn"), _REASON) if answer.get("continue") is False else None
    return Said(verdict, reason, context, _calm(str(answer.get("systemMessage") or ""), _REASON), edited, stop)


def _first(*given: Any) -> str:
    return next((one for one in given if isinstance(one, str) and one.strip()), "")


def _calm(text: str, most: int) -> str:
    text = visible(text.strip())
    return text if len(text) <= most else text[:most] + " …"
