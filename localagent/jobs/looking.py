"""Has something happened? Files, the output of a command, mail, a process: plain code, without a model.

A look compares what there is with what the last look saw (the job's cursor). Whatever it finds is text that others wrote.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..errors import StoreError, UsageError
from ..policy import rules
from ..sandbox import closing, launch
from ..store.inbox import Inbox, Stored
from ..store.jobs import Job, Trigger
from ..store.watch import SKIPPED

FILES = 10_000
MESSAGES = 20
_DELTA = 12_000
_MESSAGE = 2_000
_OUTPUT_S, _OUTPUT_KB = 60.0, 256
_NAMES = 50
# Clocks of services differ, and mail takes its time.
_BEFORE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Found:
    """`cursor` is where the next look begins. `why` is "" where nothing has happened; `delta` is what did, cut to a length.

    `problem` is what could not be looked at.
    """

    cursor: str
    why: str = ""
    delta: str = ""
    problem: str = ""


class Look(Protocol):
    async def look(self, job: Job, cursor: str, now: float) -> Found:
        """Raises LocalAgentError where it cannot be looked at."""
        ...

    def settled(self, job: Job, cursor: str, paths: Iterable[str]) -> str:
        """The cursor where these paths are known as they are now: the job's own run changed them."""
        ...


class World:
    """This machine. `fetch(channel)` takes in new mail; it gives the channels that count, and what could not be reached."""

    def __init__(self, fetch: Callable[[str], Awaitable[tuple[frozenset[str], str]]], inbox: Inbox | None = None) -> None:
        self._fetch = fetch
        self._inbox = inbox or Inbox()

    async def look(self, job: Job, cursor: str, now: float) -> Found:
        trigger = job.trigger
        if trigger.kind == "change":
            return changed(cursor, await asyncio.to_thread(snapshot, trigger.text), trigger.text)
        if trigger.kind == "output":
            return compared(cursor, await output(job), trigger.text)
        if trigger.kind == "exit":
            return Found(cursor) if running(trigger) else Found("", f"process {trigger.pid} ended")
        channels, problem = await self._fetch(trigger.channel)
        return replace(arrived(cursor, self._inbox, trigger, channels, job.made - _BEFORE_S), problem=problem)

    def settled(self, job: Job, cursor: str, paths: Iterable[str]) -> str:
        return settled(cursor, job.trigger.text, paths) if job.trigger.kind == "change" else cursor

    def beginning(self, trigger: Trigger) -> str:
        """The cursor of a new job: what is there already sets nothing off."""
        if trigger.kind == "change":
            return json.dumps(snapshot(trigger.text))
        return str(self._inbox.last()) if trigger.kind == "mail" else ""


# ------------------------------------------------------------ files


def snapshot(path: str) -> dict[str, str]:
    """Each file at or beneath a path with its time and size. UsageError where they are too many."""
    found: dict[str, str] = {}
    if not os.path.isdir(path):
        if mark := _mark(path):
            found[path] = mark
        return found
    todo = [path]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in SKIPPED:
                            todo.append(entry.path)
                    elif mark := _mark(entry.path):
                        found[entry.path] = mark
        except OSError:
            continue
        if len(found) > FILES:
            raise UsageError(f"More than {FILES:,} files lie beneath {path}.", "Watch a smaller folder.")
    return found


def _mark(path: str) -> str:
    try:
        facts = os.lstat(path)
    except OSError:
        return ""
    return f"{facts.st_mtime_ns}:{facts.st_size}:{facts.st_ino}"


def changed(cursor: str, now: Mapping[str, str], top: str) -> Found:
    before: dict[str, str] = json.loads(cursor) if cursor else dict(now)
    lines = [("new", path) for path in sorted(now.keys() - before.keys())]
    lines += [("changed", path) for path in sorted(now.keys() & before.keys()) if now[path] != before[path]]
    lines += [("gone", path) for path in sorted(before.keys() - now.keys())]
    if not lines:
        return Found(cursor or json.dumps(now))
    told = [f"{what}: {os.path.relpath(path, top) if path != top else path}" for what, path in lines[:_NAMES]]
    more = [f"and {len(lines) - _NAMES} more"] if len(lines) > _NAMES else []
    return Found(json.dumps(now), f"{len(lines)} file{'s' if len(lines) != 1 else ''} changed in {top}", "\n".join([*told, *more]))


def settled(cursor: str, top: str, paths: Iterable[str]) -> str:
    known: dict[str, str] = json.loads(cursor) if cursor else {}
    for path in paths:
        if path != top and not path.startswith(top.rstrip(os.sep) + os.sep):
            continue
        for gone in [one for one in known if one == path or one.startswith(path + os.sep)]:
            del known[gone]
        known |= snapshot(path) if os.path.lexists(path) else {}
    return json.dumps(known)


# ------------------------------------------------------------ a command


async def output(job: Job) -> str:
    """What the job's command says, run in the sandbox, which may only read. StoreError where it does not come to an end."""
    deny = [rules.parse(rule) for rule in job.deny]
    hosts = tuple(rule.object for rule, _ in ((rules.parse(text), bound) for text, bound in job.allow) if rule.kind == "net")
    profile = launch.Profile(
        readable=(job.folder,),
        closed=tuple(closing.absolute(rule.object, job.folder) for rule in deny if rule.kind == "read"),
        hosts=hosts,
        denied_hosts=tuple(rule.object for rule in deny if rule.kind == "net"),
        limits=replace(launch.Limits(), wall_s=_OUTPUT_S, output_kb=_OUTPUT_KB),
    )
    done = await launch.run(["/bin/sh", "-c", job.trigger.text], profile=profile, cwd=job.folder)
    if done.ended:
        raise StoreError(f"The command was ended ({done.ended}), so its output is not compared: {job.trigger.text}")
    return f"{done.output.decode(errors='replace')}\n[exit code {done.code}]"


def compared(cursor: str, said: str, command: str) -> Found:
    """The first time sets nothing off. The text that is kept is a part, what is compared is all of it."""
    now = json.dumps([hashlib.sha256(said.encode()).hexdigest(), said[:_DELTA]])
    if not cursor or json.loads(cursor)[0] == json.loads(now)[0]:
        return Found(now)
    lines = difflib.unified_diff(json.loads(cursor)[1].splitlines(), said[:_DELTA].splitlines(), "before", "now", lineterm="", n=1)
    return Found(now, f"the output of `{command}` changed", "\n".join(lines)[:_DELTA])


# ------------------------------------------------------------ mail


def arrived(cursor: str, inbox: Inbox, trigger: Trigger, channels: frozenset[str], since: float) -> Found:
    """At most `MESSAGES` at once; the next look goes on behind them."""
    number, hits = int(cursor or 0), []
    for stored in inbox.after(number):
        number = stored.number
        if stored.message.channel in channels and stored.message.at >= since and fits(stored, trigger):
            hits.append(stored)
        if len(hits) == MESSAGES:
            break
    if not hits:
        return Found(str(number))
    many = f"{len(hits)} messages" if len(hits) > 1 else "a message"
    share = max(200, min(_MESSAGE, _DELTA // len(hits)))
    senders = ", ".join(dict.fromkeys(one.message.sender for one in hits[:3]))
    return Found(str(number), f"{many} from {senders}", "\n\n".join(_told(one, share) for one in hits))


def fits(stored: Stored, trigger: Trigger) -> bool:
    """A sender is an address or `@domain`, and never one that the channel knows to be false."""
    message = stored.message
    if trigger.sender:
        sender, wanted = message.sender.casefold(), trigger.sender.casefold()
        if message.authentic is False or not (sender == wanted or (wanted.startswith("@") and sender.endswith(wanted))):
            return False
    text = f"{message.subject}\n{message.text}".casefold()
    return all(word in text for word in trigger.words.casefold().split())


def _told(stored: Stored, share: int) -> str:
    message = stored.message
    files = "".join(f"\nattached: {one.name} ({one.size} bytes)" for one in message.attachments)
    cut = "\n[cut; read_message gives all of it]" if len(message.text) > share else ""
    head = f"message {stored.number} by {message.channel}\nfrom: {message.name} <{message.sender}>\nsubject: {message.subject}"
    return f"{head}{files}\n\n{message.text[:share]}{cut}"


# ------------------------------------------------------------ a process


def began(pid: int) -> float:
    """When a process began, 0 where there is none."""
    import psutil

    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return 0.0


def running(trigger: Trigger) -> bool:
    """Whether it is the process that was meant: numbers come back."""
    return abs(began(trigger.pid) - trigger.started) < 1.0


def watched(trigger: Trigger) -> Path:
    """The folder whose changes are a hint to look."""
    path = Path(trigger.text)
    return path if path.is_dir() else path.parent
