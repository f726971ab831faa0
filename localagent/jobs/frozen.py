"""What a job may use, as it was when a person agreed to it: later it can become less, never more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..agent.offering import SEARCH
from ..agent.session import Session
from ..store import paths
from ..store.jobs import Job
from ..toolbox.registry import Registry
from ..values import ToolSpec

# Of our own: it belongs to a person who is there to see it.
_LEFT_OUT = frozenset({"plan"})


def tools(registry: Registry, wanted: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """Name and print of each tool, or of the wanted ones: with any of those that are found, also of the tool that finds them."""
    if any(spec.name in wanted for spec in registry.findable()):
        wanted = (*wanted, SEARCH.name)
    specs = [spec for spec in registry.every() if spec.name not in _LEFT_OUT and (not wanted or spec.name in wanted)]
    return tuple((spec.name, printed(registry, spec)) for spec in specs)


def printed(registry: Registry, spec: ToolSpec) -> str:
    """What a tool may do, and of one that is not ours its code. Ours are mended by a new version and do the same."""
    code = "" if Path(spec.source).is_relative_to(paths.shipped("tools")) else registry.code(spec.name)
    facts = [spec.name, sorted(spec.effects), spec.staged, spec.posts, code]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def held(session: Session, job: Job, gone: Sequence[str]) -> Session:
    """The session with the job's tools alone. `gone` are rules that do not hold any more."""
    registry, known = session.setting.registry, dict(job.tools)
    now = {spec.name: printed(registry, spec) for spec in registry.every()}
    registry.keep(lambda spec: known.get(spec.name) == now[spec.name])
    left = [name for name, was in job.tools if now.get(name) != was]
    notices = [f"The job's tool {name} is not what it was, so this run goes without it." for name in left]
    notices += [f"The program of the job's rule {rule} is not what it was, so the rule does not hold." for rule in gone]
    session.setting = replace(session.setting, notices=(*session.setting.notices, *notices))
    return session
