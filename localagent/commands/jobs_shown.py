"""Jobs and their runs for a person, and as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..agent.shown import receipt_line, visible
from ..jobs import times
from ..jobs.described import state, told, watched, when
from ..store.jobs import TIMED, Jobs, Kept, Run
from ..values import Receipt


def listing(store: Jobs, as_json: bool) -> int:
    known = store.all()
    last = {kept.job.id: next(iter(store.runs(kept.job.id, 1)), None) for kept in known}
    if as_json:
        _dump([plain(kept, last[kept.job.id]) for kept in known])
        return 0
    if not known:
        print('No jobs. Make one: localagent jobs add "what is new in this folder?" --every 1h')
    for kept in known:
        job, run = kept.job, last[kept.job.id]
        how = f"last {times.said(run.begun, '')[:16]} {state(run)}" if run else "no run yet"
        print(visible(f"{job.id}  {job.name[:40]:40}  {_next(kept):18}  {when(job.trigger)}  ({how})", lines=False))
        if kept.problem:
            print(visible(f"        {kept.problem}", lines=False))
    if any(kept.state == "on" for kept in known) and not watched():
        print("\nNobody watches them: `localagent jobs watch` (or `jobs install`) does.", file=sys.stderr)
    return 0


def _next(kept: Kept) -> str:
    if kept.state == "paused" or (kept.state != "on" and not kept.retry_at):
        return kept.state
    if kept.retry_at:
        return f"again {time.strftime('%H:%M', time.localtime(kept.retry_at))}"
    return times.said(kept.due, "")[:16] if kept.job.trigger.kind in TIMED else "waits"


def show(kept: Kept, as_json: bool) -> int:
    if as_json:
        _dump(plain(kept, None))
        return 0
    print("\n".join(told(kept.job, kept.due)))
    print(visible(f"  state:   {_next(kept) if kept.state == 'on' else kept.state}", lines=False))
    if kept.problem:
        print(visible(f"  problem: {kept.problem}", lines=False))
    return 0


def log(store: Jobs, id: str, limit: int, as_json: bool) -> int:
    runs = store.runs(id, limit)
    names = {kept.job.id: kept.job for kept in store.all()}
    if as_json:
        _dump([_run(run) for run in runs])
        return 0
    if not runs:
        print("No runs yet.")
    for run in runs:
        name = f"  {names[run.job].name}" if not id and run.job in names else ""
        took = f" in {times.span(run.ended - run.begun)}" if run.ended > run.begun else ""
        tried = f", try {run.attempt + 1}" if run.attempt else ""
        print(visible(f"{times.said(run.begun, '')[:19]}{name}  {state(run)}{took}: {run.why}{tried}", lines=False))
        for line in _details(run, names[run.job].folder if run.job in names else os.sep):
            print(visible(f"    {line}", lines=False))
    return 0


def _details(run: Run, folder: str) -> Sequence[str]:
    lines = [f"session {run.session}: localagent resume {run.session}"] if run.session else []
    if error := (run.facts.get("error") or {}).get("message"):
        lines.append(error)
    lines += [receipt_line(Receipt(one["kind"], one["data"]), folder) for one in run.facts.get("receipts") or ()]
    lines += [f"not allowed: {rule or 'only a person can allow it'}" for rule in run.facts.get("denied") or ()]
    return lines + run.said.strip().splitlines()[:10]


def plain(kept: Kept, last: Run | None) -> dict[str, Any]:
    job = asdict(kept.job)
    job["allow"], job["tools"] = [text for text, _ in kept.job.allow], [name for name, _ in kept.job.tools]
    due = kept.due if kept.state == "on" else 0.0
    facts = {"state": kept.state, "next": due, "problem": kept.problem, "retry_at": kept.retry_at, "when": when(kept.job.trigger)}
    return {**job, **facts} | ({"last": _run(last)} if last is not None else {})


def _run(run: Run) -> dict[str, Any]:
    return {**asdict(run), "state": state(run)}


def _dump(made: Any) -> None:
    json.dump(made, sys.stdout, ensure_ascii=False, indent=1)
    print()
