"""hooks.json as users know it from other agents: event -> matchers -> commands. Read strictly, every complaint with its place.

The user's own lies in the configuration folder. A project's, `.localagent/hooks.json`, counts as the copy of it that a person has
agreed to, and not before.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError, LocalAgentError
from . import agreed, paths, trees

EVENTS = (
    *("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PreSend", "PostSend"),
    *("Notification", "Stop", "SessionEnd"),
)
GATES = frozenset({"UserPromptSubmit", "PreToolUse", "PreSend"})
"""Those that decide whether something happens."""
_ELSEWHERE = frozenset(
    "PostToolUseFailure PostToolBatch PermissionRequest PermissionDenied StopFailure SubagentStart SubagentStop PreCompact PostCompact "
    "Setup TeammateIdle TaskCreated TaskCompleted ConfigChange CwdChanged FileChanged WorktreeCreate WorktreeRemove InstructionsLoaded "
    "Elicitation ElicitationResult UserPromptExpansion".split()
)
"""Other agents have them; nothing here is like them."""
_HOOK_KEYS = frozenset({"type", "command", "timeout", "on_failure", "sandbox", "name", "statusMessage", "description"})
_ENTRY_KEYS = frozenset({"matcher", "hooks", "description"})
_MOST_BYTES, _MOST, _COMMAND, _LONGEST_S, _USUAL_S = 64 * 1024, 100, 8000, 600, 60
_FORM = '{"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "..."}]}]}}'
FAILURES = ("deny", "ask", "pass")

OnFailure = Literal["deny", "ask", "pass"]


@dataclass(frozen=True, slots=True)
class Hook:
    """One command. `timeout` is in seconds, `where` its file and place in it. `on_failure` is what a gate says where the command fails.

    `own` is False for one of a project, which always runs in the sandbox; `sandbox` is what the user wrote, None for nothing.
    """

    event: str
    matcher: str
    command: str
    where: str
    timeout: float = _USUAL_S
    on_failure: OnFailure = "deny"
    own: bool = True
    sandbox: bool | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """Those of one file, and a sentence for each that stands for nothing here."""

    hooks: tuple[Hook, ...] = ()
    notices: tuple[str, ...] = ()


def path() -> Path:
    """The user's own file."""
    return paths.config_dir() / "hooks.json"


def project_path(workspace: Path) -> Path:
    return Path(os.path.realpath(workspace)) / ".localagent" / "hooks.json"


def load() -> Hooks:
    """The user's own. Raises ConfigError."""
    data = _read(path(), own=True)
    return Hooks() if data is None else parse(data, str(path()), own=True)


def project_bytes(workspace: Path) -> bytes | None:
    """What stands in the project's file now, None where there is none. Raises ConfigError for one that cannot be one."""
    return _read(project_path(workspace), own=False)


def load_project(workspace: Path) -> Hooks:
    """The project's hooks as a person has agreed to them; what is new or changed is told, and does not count."""
    place = project_path(workspace)
    try:
        one = agreed.load("hooks").get(str(place))
        data = project_bytes(workspace)
        if data is None:
            return Hooks()
        tree = agreed.agreed_tree("hooks", one) if one is not None else None
        if tree is None:
            return Hooks(notices=(f"The hooks of this folder ({place}) are off: they were not confirmed. localagent hooks trust",))
        kept = tree.files[place.name].data
        made = parse(kept, str(place), own=False)
    except (LocalAgentError, KeyError) as error:
        return Hooks(notices=(f"The hooks of this folder are left out: {error}",))
    if kept == data:
        return made
    changed = f"{place} was changed; its confirmed version counts. localagent hooks trust shows it and asks."
    return Hooks(made.hooks, (*made.notices, changed))


def agree(workspace: Path, data: bytes) -> None:
    """From now on these bytes count as the project's hooks. Raises ConfigError where they cannot be."""
    place = project_path(workspace)
    parse(data, str(place), own=False)
    agreed.agree("hooks", place, "hooks", trees.Tree({place.name: trees.Leaf(data)}))


def parse(data: bytes, where: str, *, own: bool) -> Hooks:
    """The hooks in the bytes of a file. Raises ConfigError with the place."""
    try:
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=lambda pairs: _once(pairs, where))
    except (ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError(f"{where}{line}: it is not JSON: {error}.", f"Its form is {_FORM}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: it is no object.", f"Its form is {_FORM}")
    events = document.get("hooks", document)
    if not isinstance(events, dict):
        raise ConfigError(f"{where}: hooks is no object.", f"Its form is {_FORM}")
    found: list[Hook] = []
    notices: list[str] = []
    for event, matchers in events.items():
        if event in EVENTS:
            found += _matchers(event, matchers, f"{where}: {event}", own)
        elif event in _ELSEWHERE:
            notices.append(f"{where}: there is no event {event} here, so its hooks never run.")
        else:
            near = get_close_matches(event, EVENTS, 1)
            hint = f"Did you mean {near[0]}?" if near else f"They are: {', '.join(EVENTS)}."
            raise ConfigError(f"{where}: there is no event {event!r}.", hint)
    if len(found) > _MOST:
        raise ConfigError(f"{where}: {len(found)} hooks are too many.", f"{_MOST} are the most.")
    return Hooks(tuple(dict.fromkeys(found)), tuple(notices))


def _once(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ConfigError(f"{where}: a key stands twice in one object.", "Join the two.")
    return made


def _matchers(event: str, given: Any, where: str, own: bool) -> Iterator[Hook]:
    if not isinstance(given, list):
        raise ConfigError(f"{where} is no list.", f"The form is {_FORM}")
    for at, entry in enumerate(given):
        place = f"{where}[{at}]"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("hooks"), list) or set(entry) - _ENTRY_KEYS:
            raise ConfigError(f"{place} does not hold matcher and hooks alone.", f"The form is {_FORM}")
        matcher = entry.get("matcher", "")
        try:
            re.compile(matcher)
        except (re.error, TypeError) as error:
            if matcher != "*":
                raise ConfigError(f"{place}: the matcher {matcher!r} is no regular expression: {error}.") from None
        for number, hook in enumerate(entry["hooks"]):
            yield _hook(event, matcher, hook, f"{place}.hooks[{number}]", own)


def _hook(event: str, matcher: str, given: Any, where: str, own: bool) -> Hook:
    if not isinstance(given, Mapping) or given.get("type", "command") != "command":
        raise ConfigError(f"{where}: only hooks of the type command are run here.")
    if unknown := sorted(set(given) - _HOOK_KEYS):
        raise ConfigError(f"{where}: there is no key {unknown[0]!r}.", f"It may hold: {', '.join(sorted(_HOOK_KEYS))}.")
    command, seconds, failure = given.get("command"), given.get("timeout", _USUAL_S), given.get("on_failure", "deny")
    if not isinstance(command, str) or not command.strip() or len(command) > _COMMAND or "\0" in command:
        raise ConfigError(f"{where}: command must be a text of at most {_COMMAND:,} characters.")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST_S:
        raise ConfigError(f"{where}: timeout must be seconds, at most {_LONGEST_S}.")
    if failure not in FAILURES:
        raise ConfigError(f"{where}: on_failure must be one of {', '.join(FAILURES)}.")
    sandbox = given.get("sandbox")
    if sandbox not in (None, True, False):
        raise ConfigError(f"{where}: sandbox must be true or false.")
    if not own and sandbox is False:
        raise ConfigError(f"{where}: the hooks of a project run in the sandbox.", "Take out sandbox, or have it in your own.")
    return Hook(event, matcher, command, where, float(seconds), failure, own, sandbox)


def _read(place: Path, *, own: bool) -> bytes | None:
    """The file's bytes. A project's is not reached through a link; nobody else may write the user's own."""
    if not own and os.path.realpath(place) != str(place):
        raise ConfigError(f"{place}: it is reached through a link.", "Put the file itself there.")
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(place, flags), "rb") as file:
            facts = os.fstat(file.fileno())
            data = file.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{place}: it cannot be read: {error.strerror}.", "Make it readable, or remove it.") from None
    if not stat.S_ISREG(facts.st_mode) or len(data) > _MOST_BYTES:
        raise ConfigError(f"{place}: it is no file of at most {_MOST_BYTES // 1024} KiB.", "Put the file itself there, or remove it.")
    if own and hasattr(os, "getuid") and (facts.st_uid not in (os.getuid(), 0) or facts.st_mode & 0o022):
        raise ConfigError(f"{place}: others may write it.", f"Make it yours alone: chown $USER {place}; chmod go-w {place}")
    return data
