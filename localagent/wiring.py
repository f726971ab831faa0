"""The only place that constructs: settings and arguments in, a session out."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .agent import binding, policies
from .agent import session as sessions
from .agent.budget import Budget
from .agent.masks import Masks
from .agent.session import Session, Setting
from .engine.base import Engine, Options
from .errors import ConfigError, LocalAgentError, UsageError
from .policy import rules
from .policy.decide import Context
from .sandbox import closing, launch
from .store import audit, channels, credentials, grants, mask_key, paths, transcript
from .store.journal import Journal
from .store.workspace import folder
from .toolbox import own
from .toolbox.planning import Planning
from .toolbox.plugins import PluginSource
from .toolbox.registry import Registry, ToolSource
from .values import Mode

if TYPE_CHECKING:
    import argparse

    from .agent.office import Counter, Office
    from .engine.catalogue import Entry
    from .engine.local import LocalEngine
    from .engine.power import Mode as PowerMode
    from .store.jobs import Job
    from .store.settings import Settings
    from .toolbox.describe import Plugin


_COUNTED = 20_000
# Models of so many bytes, 7 billion weights at 4 bits, are offered the tool `plan`: smaller ones do not use it.
_PLANS = 4_000_000_000
# Where no channel is set up, a tool to send with would only cost tokens.
_MESSAGES = "message.py"
_OWN_FOLDERS = (paths.config_dir, paths.data_dir, paths.state_dir, paths.cache_dir, paths.runtime_dir)

_NO_BACKGROUND = (
    "Background commands are off: the sandbox here cannot keep them from git hooks and settings of other programs in the folder."
)

_begun: set[asyncio.Future[None]] = set()

Obtain = Callable[["Entry", "Settings"], tuple["Entry", Path]]


async def for_do(
    args: argparse.Namespace, engine: Engine, chosen: Settings, office: Counter | None = None, *, narrow: bool = False, job: bool = False
) -> Session:
    """The session of one `do`. Raises UsageError and ConfigError with the next step.

    `narrow`: what was allowed elsewhere (stored answers, the user's policy) does not count, what was denied does;
    `office` is then the only one there is, else the user's. A `job` is narrow too, with the user's office; it waits for
    people, and starts nothing that goes on in the background.
    """
    workspace = folder(args.cwd)
    mode = cast("Mode", args.mode or ("auto" if args.yes else chosen.mode))
    allow, deny = [rules.parse(r) for r in args.allow], [rules.parse(r) for r in args.deny]
    laid = policies.load(workspace)
    resumed = transcript.find(args.resume) if args.resume else None
    log = transcript.Transcript(resumed or transcript.new_id())
    if resumed:
        log.claim()
    stored, unreadable = ([], ()) if job else _stored_rules(workspace)
    stored = [] if narrow or job else [*stored, *laid.allow]
    credentials.known()
    masks = Masks(mask_key.load(), [re.compile(one) for one in chosen.secret_patterns], credentials.noted)
    steps, recovered = journal(chosen.undo_mb)
    office = office if narrow else _office(chosen)
    # The model is loaded while the tools are described; the first request ends that, and finds it there.
    _begin(engine.prepare((), (), Options()))
    known = await registry(
        workspace,
        log.spill,
        [*deny, *laid.deny, *(rule for rule in laid.ask if rule.kind == "net")],
        [] if laid.unread else [*allow, *(rule for rule, _ in stored)],
        masks.mask,
        background=(steps, log.folder.name) if chosen.background and not job else None,
        masks=masks,
        office=office,
        plugins=True,
        plans=getattr(engine, "bytes", 0) >= _PLANS,
    )
    setting = Setting(
        engine=engine,
        registry=known,
        journal=steps,
        workspace=workspace,
        policy=_policy(workspace, log.spill, allow, stored, replace(laid, deny=(*deny, *laid.deny))),
        options=Options(thinking=args.think, priority=int(job)),
        budget=Budget(turns=args.max_turns, seconds=args.max_time),
        dry_run=args.dry_run,
        schema=schema(args.output_schema),
        notices=(
            *recovered,
            *laid.notices,
            *unreadable,
            *known.problems,
            *([_NO_BACKGROUND] if chosen.background and not job and not _holds_background() else []),
        ),
        masks=masks,
        post=office.post if office is not None else None,
    )
    return sessions.start(setting, mode, log, resumed=resumed is not None)


async def for_job(job: Job, obtain: Obtain) -> Session:
    """The session of one run of a job: what was agreed to when it was made, and no more. Raises as `for_do` does."""
    import argparse

    from .jobs import frozen
    from .store import settings

    chosen, place = settings.load(), folder(job.folder)
    holding = [text for text, bound in job.allow if _holds(rules.parse(text), bound, place)]
    args = argparse.Namespace(
        cwd=str(place), mode="ask", yes=False, allow=holding, deny=list(job.deny), resume=None, think=False,
        max_turns=job.max_turns, max_time=job.max_time, dry_run=False, output_schema=None,
    )  # fmt: skip
    engine = local_engine(chosen, job.model or None, obtain)
    try:
        session = await for_do(args, engine, chosen, job=True)
    except BaseException:
        await engine.close()
        raise
    return frozen.held(session, job, [text for text, _ in job.allow if text not in holding])


async def job_tools(workspace: Path) -> Registry:
    """The tools that a job which is made there would have."""
    from .store import settings

    return await registry(workspace, workspace, office=_office(settings.load()), plugins=True)


def _office(chosen: Settings) -> Office | None:
    """Where messages go out and come in, None where no channel is set up."""
    if not channels.path().exists():
        return None
    from .agent.office import Manner, Office

    return Office(Manner(chosen.hold_s, chosen.messages_per_hour, chosen.quiet_hours or ""))


def _begin(work: Coroutine[Any, Any, None]) -> None:
    """Run it beside everything else; it ends with the event loop at the latest."""
    task = asyncio.ensure_future(work)
    _begun.add(task)
    task.add_done_callback(_begun.discard)


def check(args: argparse.Namespace) -> None:
    """What can be wrong with the arguments of `do`, found before anything is loaded, and in the user's rules.

    Raises UsageError, and ConfigError for policy.yaml.
    """
    folder(args.cwd)
    for rule in (*args.allow, *args.deny):
        rules.parse(rule)
    policies.own()
    if args.resume:
        transcript.find(args.resume)
    schema(args.output_schema)


def schema(file: str | None) -> dict[str, Any] | None:
    """The JSON Schema in a file. Raises UsageError."""
    if file is None:
        return None
    import json

    try:
        made = json.loads(Path(file).expanduser().read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"The schema {file!r} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"The schema {file!r} is not JSON: {error}.") from None
    if not isinstance(made, dict):
        raise UsageError(f"The schema {file!r} is not a JSON object.")
    return made


async def registry(
    workspace: Path,
    spill: Path,
    deny: Sequence[rules.Rule] = (),
    allow: Sequence[rules.Rule] = (),
    mask: Callable[[str], str] = str,
    background: tuple[Journal, str] | None = None,
    masks: Masks | None = None,
    office: Counter | None = None,
    plugins: bool = False,
    plans: bool = False,
) -> Registry:
    """The tools of a session, in a stable order. What `deny` keeps from being read is closed to them,
    and the hosts of `allow` but not of `deny` are what programs can reach; `mask` hides secrets.

    With `plans` there is the tool `plan`, with an `office` that has channels those for messages. With `background` (the journal
    and the session's id) those for background commands come next; `masks` hides secrets in what these write. With `plugins` the
    user's own that are confirmed come last: what is wrong with one of them is a problem of the registry.

    Raises ConfigError if a shipped tool cannot be described.
    """
    mailing = office is not None and office.post is not None
    files = sorted(path for path in paths.shipped("tools").glob("*.py") if mailing or path.name != _MESSAGES)
    unsandboxed = launch.probe().name == "none"
    closed = [closing.absolute(rule.object, str(workspace)) for rule in deny if rule.kind == "read"]
    hosts = tuple(tuple(rule.object for rule in given if rule.kind == "net") for given in (allow, deny))

    def source_of(files: Sequence[Path], given: Sequence[Plugin] = ()) -> PluginSource:
        return PluginSource(
            files,
            given=given,
            workspace=workspace,
            scratch=_scratch(),
            spill=spill,
            unsandboxed=unsandboxed,
            closed=closed,
            hosts=lambda: (hosts[0], hosts[1]),
            mask=mask,
        )

    source = source_of(files)
    problems = await source.load()
    if problems:
        raise ConfigError(" ".join(problems))
    sources: list[ToolSource] = [source, *([Planning()] if plans else [])]
    if mailing and office is not None and office.fetch is not None:
        from .toolbox.mail import Mail

        sources.append(Mail(office.fetch, workspace))
    if background is not None and _holds_background():
        from .toolbox.background import Background

        how: dict[str, Any] = {}
        if masks is not None:
            how = {"stream": masks.stream, "record": lambda what, facts: audit.append(what, masks.mask_in(facts))}
        sources.append(Background(*background, workspace=workspace, scratch=_scratch(), closed=closed, **how))
    if plugins and own.files():
        given, problems = await _own(unsandboxed)
        mine = source_of((), given)
        problems += [problem for problem in await mine.load() if problem not in problems]
        sources.append(mine)
    return Registry(sources, problems)


async def _own(unsandboxed: bool) -> tuple[list[Plugin], list[str]]:
    """The user's confirmed plugins; a damaged list of them costs no more than them."""
    try:
        made, problems = await own.running(unsandboxed=unsandboxed)
    except LocalAgentError as error:
        return [], [str(error)]
    return made, list(problems)


def _holds_background() -> bool:
    """Whether the boundary keeps hooks and settings of other programs from a command that works on the files themselves.

    Landlock can take nothing out of a folder that is open for writing.
    """
    return launch.probe().name in ("bubblewrap", "seatbelt")


def journal(budget_mb: int | None = None) -> tuple[Journal, tuple[str, ...]]:
    """The journal, and a sentence for each step that a crash had left half done."""
    made = Journal(paths.state_dir() / "journal", budget_mb)
    return made, tuple(step.recovery for step in made.recover())


def local_engine(chosen: Settings, wanted: str | None, obtain: Obtain) -> Engine:
    """The engine for the model the user chose, never for another that nobody agreed to."""
    return engine_of(*local_model(chosen, wanted, obtain), chosen)


def local_model(chosen: Settings, wanted: str | None, obtain: Obtain) -> tuple[Entry, Path]:
    """The model the user chose and its file.

    `obtain` gets a model that is not here (or the one a person took instead), or raises ModelMissing.
    """
    from .engine import models

    return models.ready(chosen, wanted, obtain)


def engine_of(entry: Entry, path: Path, chosen: Settings) -> LocalEngine:
    """The engine that answers with this file."""
    from .engine import dialects
    from .engine.local import LocalEngine

    file = entry.model_file(path, context=chosen.context)
    dialect, power = dialects.by_name(entry.dialect), cast("PowerMode", chosen.power)
    return LocalEngine(file, dialect, idle_s=chosen.idle_s, threads=chosen.threads, power=power)


def judged_engine(entry: Entry, path: Path, chosen: Settings) -> Engine:
    """The same for other programs' tools: calls are judged before they are given out."""
    from .agent.judged import Judged

    return Judged(engine_of(entry, path, chosen), entry.judge)


def _stored_rules(workspace: Path) -> tuple[list[tuple[rules.Rule, str]], tuple[str, ...]]:
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
        if not _holds(rule, grant.bound, workspace):
            notices.append(f"The program of a stored rule is not what it was, so it asks again: {grant.rule}")
    return found, tuple(notices)


def _holds(rule: rules.Rule, bound: str, workspace: Path) -> bool:
    """Whether the rule's program is still the file it was kept for, byte for byte."""
    return not bound or binding.kept_for(rule.words, workspace) == bound


def _policy(
    workspace: Path,
    spill: Path,
    allow: Sequence[rules.Rule],
    stored: Sequence[tuple[rules.Rule, str]],
    laid: policies.Laid,
) -> Callable[[Mode, tuple[str, ...], int], Context]:
    """The rules as they are at this moment: the command line's, the policy files', the stored grants', the session's own."""
    boundary = launch.probe().name != "none"
    protected = tuple(str(p()) for p in _OWN_FOLDERS)

    search_path = tuple(os.path.realpath(place) for place in os.get_exec_path())

    def context(mode: Mode, granted: tuple[str, ...], lost: int) -> Context:
        standing = (rule for rule, bound in stored if _holds(rule, bound, workspace))
        kept = (*standing, *(rules.parse(text) for text in granted))
        return Context(
            mode=mode,
            workspace=str(workspace),
            rules=rules.Rules(laid.deny, laid.ask, tuple(allow), kept, laid.unread),
            boundary=boundary,
            home=os.path.realpath(os.path.expanduser("~")),
            protected=protected,
            readable=(str(spill),),
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


def _scratch() -> Path:
    path = paths.cache_dir() / "scratch"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
