"""What policy files lay down for one session: the user's own, and what the folder adds, which only tightens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..policy import written
from ..policy.context import beneath
from ..policy.rule import Rule
from ..policy.written import Written
from ..store import policyfile, programs
from . import binding
from .shown import visible

_THEIRS = "this folder's"


@dataclass(frozen=True, slots=True)
class Laid:
    """The rules of both files.

    `allow` pairs a rule with what its program was at the start of the session. `unread` says why everything
    asks, "" where the folder's rules are known. `notices` are sentences for the user.
    """

    deny: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    allow: tuple[tuple[Rule, str], ...] = ()
    unread: str = ""
    notices: tuple[str, ...] = ()


def own() -> Written:
    """The user's file. Raises ConfigError with file, line and the next step."""
    document = policyfile.load()
    return written.of(document, _home()) if document else Written()


def here() -> Path | None:
    """The current folder, None where it is gone."""
    try:
        return Path.cwd().resolve()
    except OSError:
        return None


def of_project(workspace: Path | None) -> Written:
    """The folder's file, its `allow` too, which does not count. Raises ConfigError as `own` does."""
    if workspace is None:
        return Written()
    document = policyfile.load_project(str(workspace))
    return written.of(document, _home(), _THEIRS) if document else Written()


def load(workspace: Path) -> Laid:
    """The rules for a session in this folder. Raises ConfigError for the user's file only."""
    mine = own()
    allow, notices = _bound(mine, workspace)
    unread = ""
    try:
        theirs = of_project(workspace)
    except ConfigError as error:
        theirs = Written()
        unread = f"the rules of this folder cannot be read ({policyfile.project_path(str(workspace))})"
        notices.append(
            f"The rules of this folder cannot be read, so everything asks: {visible(str(error), lines=False)}"
        )
    if theirs.allow:
        place = f"{theirs.where}:{theirs.allow[0].line}"
        notices.append(f"What a folder's own policy allows does not count: {visible(place, lines=False)}")
    return Laid(
        deny=tuple(placed.rule for placed in (*mine.deny, *theirs.deny)),
        ask=tuple(placed.rule for placed in (*mine.ask, *theirs.ask)),
        allow=tuple(allow),
        unread=visible(unread, lines=False),
        notices=tuple(notices),
    )


def _bound(mine: Written, workspace: Path) -> tuple[list[tuple[Rule, str]], list[str]]:
    """The allow rules with their programs. A program in the workspace is left out: whoever may write there may change it."""
    kept, notices = [], []
    for placed in mine.allow:
        rule = placed.rule
        if rule.words and _lies_in(rule.words[0], workspace):
            notices.append(
                f"{mine.where}:{placed.line}: {rule} is a program of this folder, so it asks. "
                f"`localagent approvals add` keeps it for its bytes."
            )
            continue
        kept.append((rule, binding.kept_for(rule.words, workspace)))
    return kept, notices


def _lies_in(word: str, workspace: Path) -> bool:
    forms: Sequence[str] = ()
    if "/" in word:
        forms = (os.path.normpath(os.path.join(workspace, os.path.expanduser(word))),)
    found = programs.resolve(word, str(workspace), os.get_exec_path())
    return any(beneath(form, str(workspace)) for form in (*forms, found) if form)


def _home() -> str:
    return os.path.realpath(os.path.expanduser("~"))
