"""The tools of a session, from every source there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..agent.offering import Offering
from ..errors import ConfigError, LocalAgentError
from ..policy import rules
from ..sandbox import closing, launch
from ..store import audit, mcp, paths
from ..toolbox import own
from ..toolbox.planning import Planning
from ..toolbox.plugins import PluginSource
from ..toolbox.registry import Registry, ToolSource
from ..toolbox.skills import SkillSource

if TYPE_CHECKING:
    from ..agent.masks import Masks
    from ..agent.office import Counter
    from ..store.journal import Journal
    from ..toolbox.describe import Plugin
    from ..toolbox.mcp.source import McpSource

# Where no channel is set up, a tool to send with would only cost tokens.
_MESSAGES, _WEB = "message.py", "web.py"


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
    schedules: tuple[Journal, str] | None = None,
    search: str = "",
    servers: tuple[Journal, str] | None = None,
    remembers: tuple[Journal, str] | None = None,
) -> Registry:
    """The tools of a session, in a stable order. What `deny` keeps from being read is closed to them,
    and the hosts of `allow` but not of `deny` are what programs can reach; `mask` hides secrets.

    With `schedules` (as `background`) there is the tool `schedule`, with `remembers` `remember`, with `plans` `plan`, with an `office` that
    has channels those for messages, with `search` (the address of a service) the tool that searches the web. With `background`
    (the journal and the session's id) those for background commands come next; `masks` hides secrets in what these write.
    With `plugins` the user's own that are confirmed come last, then the skills that were agreed to: what is wrong with one of them
    is a problem of the registry.

    Plugins, skills, `schedule` and the tools for the web are found, not listed. Where there are more to find than what we ship,
    `tool_search` is the last of those that are listed.
    With `plugins` come the tools of confirmed MCP servers too; with `servers` (as `background`) also of those that change files.

    Raises ConfigError if a shipped tool cannot be described.
    """
    mailing = office is not None and office.post is not None
    left = {_WEB} if mailing else {_WEB, _MESSAGES}
    files = sorted(path for path in paths.shipped("tools").glob("*.py") if path.name not in left)
    unsandboxed = launch.probe().name == "none"
    closed = [closing.absolute(rule.object, str(workspace)) for rule in deny if rule.kind == "read"]
    hosts = tuple(tuple(rule.object for rule in given if rule.kind == "net") for given in (allow, deny))

    skills = SkillSource(workspace) if plugins else None

    def source_of(files: Sequence[Path], given: Sequence[Plugin] = (), listed: bool = True) -> PluginSource:
        made = PluginSource(
            files,
            given=given,
            workspace=workspace,
            scratch=_scratch(),
            spill=spill,
            unsandboxed=unsandboxed,
            closed=closed,
            hosts=lambda: (hosts[0], hosts[1]),
            mask=mask,
            services={"search_web": search} if listed or files else {},
            extra_readable=skills.folders if skills is not None else tuple,
        )
        made.listed = listed
        return made

    source, web = source_of(files), source_of([paths.shipped("tools") / _WEB], listed=False)
    problems = [*await source.load(), *await web.load()]
    if problems:
        raise ConfigError(" ".join(problems))
    sources: list[ToolSource] = [source, web, *([Planning()] if plans else [])]
    if mailing and office is not None and office.fetch is not None:
        from ..toolbox.mail import Mail

        sources.append(Mail(office.fetch, workspace))
    at_work: ToolSource | None = None
    if background is not None and holds_background():
        from ..toolbox.background import Background

        how: dict[str, Any] = {}
        if masks is not None:
            how = {"stream": masks.stream, "record": lambda what, facts: audit.append(what, masks.mask_in(facts))}
        at_work = Background(*background, workspace=workspace, scratch=_scratch(), closed=closed, **how)
        sources.append(at_work)
    mine: PluginSource | None = None
    remote: McpSource | None = None
    if plugins:
        given, problems = await _own(workspace, unsandboxed)
        mine = source_of((), given, listed=False)
        mine.plugins = True
        problems += [problem for problem in await mine.load() if problem not in problems]
        sources.append(mine)
    if skills is not None:
        sources.append(skills)
        skills.specs()
        problems += skills.problems
    if plugins and mcp.path().exists():
        bounds = {"closed": closed, "denied": hosts[1], "unsandboxed": unsandboxed, "mask": mask}
        remote = _servers(workspace, spill, sources, servers, masks, bounds)
        sources.append(remote)
        problems = [*problems, *remote.problems]
    known = Registry(sources, problems)
    foreign = any(source is not None and source.specs() for source in (mine, skills, remote))
    if schedules is not None:
        from ..jobs import frozen
        from ..jobs.scheduling import SCHEDULE, Scheduling

        def for_jobs() -> tuple[tuple[str, str], ...]:
            # What goes on in the background belongs to a person who is there.
            lasting = {spec.name for spec in at_work.specs()} if at_work is not None else set()
            return tuple(pair for pair in frozen.tools(known) if pair[0] not in {SCHEDULE.name, "remember", *lasting})

        known.add(Scheduling(workspace, for_jobs, *schedules))
    if remembers is not None:
        from ..agent.remembering import Remembering

        known.add(Remembering(workspace, *remembers))
    if foreign:
        from ..toolbox.meaning import Meanings

        known.add(Offering(known, Meanings()))
    return known


def _servers(
    workspace: Path, spill: Path, others: Sequence[ToolSource], steps: tuple[Journal, str] | None, masks: Masks | None, how: dict[str, Any]
) -> McpSource:
    """The tools of MCP servers. Those that change files are there where a step can be made of that and the boundary holds them."""
    from ..toolbox.mcp.source import McpSource

    undoing = None
    if steps is not None and (holds_background() or how["unsandboxed"]):
        from ..toolbox.mcp.undoing import Undoing

        def record(what: str, facts: Mapping[str, Any]) -> None:
            audit.append(what, masks.mask_in(facts) if masks is not None else facts)

        undoing = Undoing(*steps, workspace, _scratch(), record)
    source = McpSource(workspace, spill, taken={spec.name for one in others for spec in one.specs()}, undoing=undoing, **how)
    source.specs()
    return source


async def _own(workspace: Path, unsandboxed: bool) -> tuple[list[Plugin], list[str]]:
    """The user's confirmed plugins; a damaged list of them costs no more than them."""
    try:
        made, problems = await own.running(workspace, unsandboxed=unsandboxed)
    except LocalAgentError as error:
        return [], [str(error)]
    return made, list(problems)


def holds_background() -> bool:
    """Whether the boundary keeps hooks and settings of other programs from a command that works on the files themselves.

    Landlock can take nothing out of a folder that is open for writing.
    """
    return launch.probe().name in ("bubblewrap", "seatbelt")


def _scratch() -> Path:
    path = paths.cache_dir() / "scratch"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
