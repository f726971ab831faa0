"""The rules that stand at a moment: the command line's, the policy files', the stored approvals', the session's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..agent import binding, policies
from ..errors import UsageError
from ..policy import rules
from ..policy.decide import Context
from ..sandbox import launch
from ..store import grants, paths
from ..values import Mode

_COUNTED = 20_000
OWN_FOLDERS = (paths.config_dir, paths.data_dir, paths.state_dir, paths.cache_dir, paths.runtime_dir)


def stored(workspace: Path) -> tuple[list[tuple[rules.Rule, str]], tuple[str, ...]]:
    """The rules kept for this folder, each with what its program was, and a sentence for each that does not hold any more."""
    found: list[tuple[rules.Rule, str]] = []
    notices = []
    for grant in grants.load(str(workspace)):
        try:
            rule = rules.parse(grant.rule)
        except UsageError as error:
            notices.append(f"A stored rule is left out: {error.message} `localagent approvals revoke {grant.rule!r}`")
            continue
        found.append((rule, grant.bound))
        if not holds(rule, grant.bound, workspace):
            notices.append(f"The program of a stored rule is not what it was, so it asks again: {grant.rule}")
    return found, tuple(notices)


def holds(rule: rules.Rule, bound: str, workspace: Path) -> bool:
    """Whether the rule's program is still the file it was kept for, byte for byte."""
    return not bound or binding.kept_for(rule.words, workspace) == bound


def policy(
    workspace: Path,
    spill: Path,
    allow: Sequence[rules.Rule],
    stored: Sequence[tuple[rules.Rule, str]],
    laid: policies.Laid,
    more: Callable[[], Sequence[str]] = tuple,
) -> Callable[[Mode, tuple[str, ...], int], Context]:
    """The rules as they are at this moment: the command line's, the policy files', the stored grants', the session's own."""
    boundary = launch.probe().name != "none"
    protected = tuple(str(p()) for p in OWN_FOLDERS)

    search_path = tuple(os.path.realpath(place) for place in os.get_exec_path())

    def context(mode: Mode, granted: tuple[str, ...], lost: int) -> Context:
        standing = (rule for rule, bound in stored if holds(rule, bound, workspace))
        kept = (*standing, *(rules.parse(text) for text in granted))
        return Context(
            mode=mode,
            workspace=str(workspace),
            rules=rules.Rules(laid.deny, laid.ask, tuple(allow), kept, laid.unread),
            boundary=boundary,
            home=os.path.realpath(os.path.expanduser("~")),
            protected=protected,
            readable=(str(spill), *more()),
            resolve=os.path.realpath,
            count=_files_beneath,
            folder=os.path.isdir,
            exists=os.path.lexists,
            size=_size,
            lost_before=lost,
            search_path=search_path,
        )

    return context


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _files_beneath(path: str) -> int:
    """How many files lie at or beneath a path, counted no further than a judgement needs."""
    if not os.path.isdir(path) or os.path.islink(path):
        return 1
    found = 0
    for _, _, files in os.walk(path):
        found += len(files)
        if found > _COUNTED:
            break
    return found
