"""The only place that constructs: settings and arguments in, a session out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..agent import policies
from ..agent import session as sessions
from ..agent.beside import Beside
from ..agent.budget import Budget
from ..agent.hooks import Hooks
from ..agent.masks import Masks
from ..agent.session import Session, Setting
from ..engine.base import Engine, Options
from ..errors import UsageError
from ..policy import rules
from ..store import channels, credentials, hooksfile, mask_key, memory, paths, picture, transcript
from ..store.journal import Journal
from ..store.workspace import folder
from ..toolbox import checking, checks
from ..values import Mode
from . import routes
from .engines import Obtain, chosen_engine, engine_of, judged_engine, local_model
from .standing import holds, policy, stored
from .toolset import holds_background, registry

if TYPE_CHECKING:
    import argparse

    from ..agent.office import Counter, Office
    from ..store.jobs import Job
    from ..store.settings import Settings
    from ..toolbox.registry import Registry

__all__ = [
    "check",
    "chosen_engine",
    "engine_of",
    "folder",
    "for_do",
    "for_job",
    "job_tools",
    "journal",
    "judged_engine",
    "local_model",
    "registry",
    "schema",
]  # fmt: skip

# Models of so many bytes, 7 billion weights at 4 bits, are offered the tool `plan`: smaller ones do not use it.
_PLANS = 4_000_000_000

_NO_BACKGROUND = (
    "Background commands are off: the sandbox here cannot keep them from git hooks and settings of other programs in the folder."
)

_begun: set[asyncio.Future[None]] = set()


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
    laid, mine, theirs = policies.load(workspace), hooksfile.load(), hooksfile.load_project(workspace)
    route = routes.route_of(chosen, args, engine, alone=narrow or job)
    resumed = transcript.find(args.resume) if args.resume else None
    log = transcript.Transcript(resumed or transcript.new_id())
    if resumed:
        log.claim()
    kept, unreadable = ([], ()) if job else stored(workspace)
    kept = [] if narrow or job else [*kept, *laid.allow]
    credentials.known()
    masks = Masks(mask_key.load(), [re.compile(one) for one in chosen.secret_patterns], credentials.noted)
    steps, recovered = journal(chosen.undo_mb)
    office = office if narrow else _office(chosen)
    recalls = chosen.memory and not (narrow or job or args.no_memory)
    books = memory.books(workspace) if recalls else ()
    # The model is loaded while the tools are described; the first request ends that, and finds it there.
    _begin(engine.prepare((), (), Options()))
    known = await registry(
        workspace,
        log.spill,
        [*deny, *laid.deny, *(rule for rule in laid.ask if rule.kind == "net")],
        [] if laid.unread else [*allow, *(rule for rule, _ in kept)],
        masks.mask,
        background=(steps, log.folder.name) if chosen.background and not job else None,
        masks=masks,
        office=office,
        plugins=True,
        plans=_plans(engine, args.plan, chosen),
        schedules=None if narrow or job else (steps, log.folder.name),
        search=chosen.search_url or "",
        servers=(steps, log.folder.name),
        remembers=(steps, log.folder.name) if recalls else None,
    )
    setting = Setting(
        engine=engine,
        registry=known,
        journal=steps,
        workspace=workspace,
        policy=policy(workspace, log.spill, allow, kept, replace(laid, deny=(*deny, *laid.deny)), known.readable),
        options=Options(thinking=args.think, priority=int(job), pictures=str(picture.folder(log.spill))),
        budget=Budget(turns=args.max_turns, tokens=args.max_tokens, seconds=args.max_time),
        dry_run=args.dry_run,
        schema=schema(args.output_schema),
        checks=_checks(args, workspace),
        notices=(
            *_leaving(engine, any(book.path.exists() for book in books)),
            *routes.notices(route, engine),
            *recovered,
            *laid.notices,
            *unreadable,
            *known.problems,
            *mine.notices,
            *theirs.notices,
            *([_NO_BACKGROUND] if chosen.background and not job and not holds_background() else []),
        ),
        masks=masks,
        # Who writes by chat is not told what its user had remembered, and a job stays what was agreed to.
        beside=Beside(workspace, not narrow, books, masks.mask, not (narrow or job)),
        post=office.post if office is not None else None,
        hooks=Hooks(
            (*mine.hooks, *theirs.hooks), workspace, log.folder.name, str(log.folder / "transcript.jsonl"), masks.mask, resumed is not None
        ),
        route=route,
    )
    return sessions.start(setting, mode, log, resumed=resumed is not None)


def _plans(engine: Engine, asked: str | None, chosen: Settings) -> bool:
    """Whether there is the tool `plan`: by the command line, else by the user's setting, else by the size of the model."""
    wanted = {"always": "on", "never": "off"}.get(chosen.plans, "auto") if asked is None else asked
    return wanted == "on" or (wanted == "auto" and getattr(engine, "bytes", 0) >= _PLANS)


async def stored_session(session: str, engine: Engine, chosen: Settings) -> Session:
    """A stored session to look at, with the tools that it would go on with: nothing is run, claimed or written."""
    from ..events import TurnStarted

    log = transcript.Transcript(session)
    places = [event.folder for event in log.read() if isinstance(event, TurnStarted)]
    workspace = folder(places[-1] if places else None)
    laid = policies.load(workspace)
    steps = Journal(paths.state_dir() / "journal")
    known = await registry(
        workspace, log.spill, background=(steps, session) if chosen.background else None, office=_office(chosen), plugins=True,
        plans=_plans(engine, None, chosen), schedules=(steps, session), search=chosen.search_url or "", servers=(steps, session),
    )  # fmt: skip
    rules_now = policy(workspace, log.spill, [], [], laid, known.readable)
    setting = Setting(engine=engine, registry=known, journal=steps, workspace=workspace, policy=rules_now)
    return sessions.start(setting, "ask", log, resumed=True)


def _leaving(engine: Engine, recalls: bool) -> tuple[str, ...]:
    """What leaves this machine with such an engine."""
    told = getattr(engine, "leaves", "")
    return ((f"{told} So does what you had remembered, where it fits (not with --no-memory)." if recalls else told),) if told else ()


async def for_job(job: Job, obtain: Obtain) -> Session:
    """The session of one run of a job: what was agreed to when it was made, and no more. Raises as `for_do` does."""
    import argparse

    from ..jobs import frozen
    from ..store import settings

    chosen, place = settings.load(), folder(job.folder)
    holding = [text for text, bound in job.allow if holds(rules.parse(text), bound, place)]
    args = argparse.Namespace(
        cwd=str(place), mode="ask", yes=False, allow=holding, deny=list(job.deny), resume=None, think=False,
        max_turns=job.max_turns, max_time=job.max_time, dry_run=False, output_schema=None, plan=None, check=[], no_memory=True,
        max_tokens=0, max_cost=None, bigger=None, bigger_on=None,
    )  # fmt: skip
    engine = chosen_engine(chosen, job.model or None, obtain)
    try:
        session = await for_do(args, engine, chosen, job=True)
    except BaseException:
        await engine.close()
        raise
    return frozen.held(session, job, [text for text, _ in job.allow if text not in holding])


async def job_tools(workspace: Path) -> Registry:
    """The tools that a job which is made there would have."""
    from ..store import settings

    chosen = settings.load()
    return await registry(workspace, workspace, office=_office(chosen), plugins=True, search=chosen.search_url or "")


def _office(chosen: Settings) -> Office | None:
    """Where messages go out and come in, None where no channel is set up."""
    if not channels.path().exists():
        return None
    from ..agent.office import Manner, Office

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
    hooksfile.load()
    if args.resume:
        transcript.find(args.resume)
    schema(args.output_schema)
    _checks(args, folder(args.cwd))


def _checks(args: argparse.Namespace, workspace: Path) -> tuple[checks.Check, ...]:
    """The checks of the command line. Raises UsageError."""
    made = tuple(map(checks.parse, args.check))
    for one in made:
        if one.path and checking.place(one.path, str(workspace)) is None:
            told = f"The check {str(one)!r} names something outside of {workspace}."
            raise UsageError(told, "Name a path in that folder, or another --cwd.")
    return made


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


def journal(budget_mb: int | None = None) -> tuple[Journal, tuple[str, ...]]:
    """The journal, and a sentence for each step that a crash had left half done."""
    made = Journal(paths.state_dir() / "journal", budget_mb)
    return made, tuple(step.recovery for step in made.recover())
