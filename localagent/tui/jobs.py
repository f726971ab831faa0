"""The jobs: when each comes next and how it ended last; one whole, with the record of its runs; paused, run, taken away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from textual.content import Content

from ..agent import shown
from ..errors import LocalAgentError
from ..jobs import described, steering, times
from ..store.jobs import TIMED, Job, Jobs, Kept, Run, Trigger
from ..values import Receipt
from . import wording
from .windows import Picker, Reader, Row
from .words import mark, t, translated

if TYPE_CHECKING:
    from ..jobs.running import Runner

_RUNS = 20
_SAID_LINES = 6
_STATES = {
    "running": mark("running"),
    "done": mark("done"),
    "failed": mark("failed"),
    "denied": mark("done, but for what its rules do not allow"),
    "stopped": mark("stopped"),
    "cut off": mark("cut off"),
    "skipped": mark("passed over"),
    "missed": mark("missed"),
}
_TONES = {"done": "$text-success", "failed": "$text-error", "running": "$text-warning", "denied": "$text-warning"}

Told = tuple[str, bool]
Tell = Callable[[str, str], None]


class Works:
    """The windows and what they do. `push` opens a window, `begin` lets work go on beside them, `runner` makes what runs a job."""

    def __init__(
        self,
        push: Callable[[Any, Callable[[Any], Any]], Any],
        begin: Callable[[Any], object],
        tell: Tell,
        runner: Callable[[], Awaitable[Runner]],
    ) -> None:
        self._push, self._begin, self._tell, self._runner = push, begin, tell, runner

    async def open(self) -> None:
        found = await asyncio.to_thread(_known)
        if not found:
            self._tell(t('There are no jobs. `localagent jobs add "..." --every 1h` makes one.'), "info")
            return
        title = t("Jobs") if await asyncio.to_thread(described.watched) else t("Jobs (nobody watches them: `localagent jobs install`)")
        self._push(Picker(title, [row(kept, run) for kept, run in found]), lambda id: id and self._begin(self._one(id)))

    async def _one(self, id: str) -> None:
        found = await asyncio.to_thread(_record, id)
        if found is None:
            self._tell(t("The job is gone."), "warning")
            return
        kept, runs = found
        keys = {"p": t("lets it go on")} if kept.state == "paused" else {"p": t("pauses it")} if kept.state == "on" else {}
        keys |= {"r": t("runs it now"), "d": t("takes it away")}
        reader = Reader(_plain(kept.job.name, 100), list(lines(kept, runs)), keys)
        self._push(reader, lambda key: key in keys and self._begin(self._do(kept, key)))

    async def _do(self, kept: Kept, key: str) -> None:
        if key == "d":
            name = [Content(_plain(kept.job.name, 200))]
            sure = Reader(t("Take this job away, with the record of its runs?"), name, {"y": t("takes it away")})
            self._push(sure, lambda said: said == "y" and self._begin(self._removed(kept)))
        elif key == "r":
            await self._run(kept)
        else:
            on = kept.state == "paused"
            said = t("{name} goes on.", name=_plain(kept.job.name, 60)) if on else t("{name} is paused.", name=_plain(kept.job.name, 60))
            await self._changed(lambda store: steering.go_on(store, kept, time.time()) if on else steering.pause(store, kept), said)
            await self._one(kept.job.id)

    async def _removed(self, kept: Kept) -> None:
        told = t("The job {name} is gone.", name=_plain(kept.job.name, 60))
        await self._changed(lambda store: store.remove(kept.job.id), told)

    async def _changed(self, work: Callable[[Jobs], object], told: str) -> None:
        def do() -> None:
            with closing(Jobs()) as store:
                work(store)

        try:
            await asyncio.to_thread(do)
        except LocalAgentError as error:
            self._tell(shown.visible(str(error), lines=False), "warning")
            return
        self._tell(told, "info")

    async def _run(self, kept: Kept) -> None:
        """To its end, which is told in the conversation; leaving the app stops it, and that is recorded."""
        name = _plain(kept.job.name, 60)
        with closing(Jobs()) as store:
            try:
                runner = await self._runner()
                begun = steering.begin(store, kept.job)
                self._tell(t("The job {name} begins.", name=name), "info")
                outcome = await steering.carry_out(store, kept.job, begun, runner)
            except LocalAgentError as error:
                self._tell(shown.visible(str(error), lines=False), "warning")
                return
        error = (outcome.facts.get("error") or {}).get("message", "")
        said = wording.one_line(shown.visible(outcome.said), 300) or wording.one_line(shown.visible(error), 300)
        told = t("The job {name}: {state}. {said}", name=name, state=translated(_STATES[outcome.state]), said=said)
        self._tell(told.strip(), "info" if outcome.state == "done" else "warning")


def _known() -> list[tuple[Kept, Run | None]]:
    with closing(Jobs()) as store:
        return [(kept, next(iter(store.runs(kept.job.id, 1)), None)) for kept in store.all()]


def _record(id: str) -> tuple[Kept, list[Run]] | None:
    with closing(Jobs()) as store:
        kept = store.find(id)
        return (kept, store.runs(id, _RUNS)) if kept is not None else None


# ------------------------------------------------------------ in words


def row(kept: Kept, last: Run | None) -> Row:
    """One job: what it is, when it comes next, how it ended last."""
    ended = t("last {when}: {state}", when=_at(last.begun), state=_state(last)) if last else t("no run yet")
    return Row(kept.job.id, _plain(kept.job.name, 60), " · ".join([when(kept.job.trigger), standing(kept), ended]))


def standing(kept: Kept) -> str:
    """Whether and when it comes next."""
    if kept.state == "paused":
        return t("paused")
    if kept.retry_at:
        return t("tried again {when}", when=_at(kept.retry_at))
    if kept.state == "done":
        return t("does not come again")
    return t("next {when}", when=_at(kept.due, kept.job.trigger.zone)) if kept.job.trigger.kind in TIMED else t("waits")


def when(trigger: Trigger) -> str:
    """What sets it off."""
    text = _plain(trigger.text, 200)
    match trigger.kind:
        case "at":
            return t("once")
        case "every":
            return t("every {span}", span=times.span(trigger.seconds))
        case "cron":
            return t("by cron {schedule} ({zone})", schedule=text, zone=trigger.zone)
        case "change":
            return t("when {path} changes", path=text)
        case "output":
            return t("when the output of {command} changes", command=text)
        case "exit":
            return t("when process {number} ends", number=trigger.pid)
        case "mail":
            which = " ".join(filter(None, (trigger.sender, trigger.words, trigger.channel)))
            return t("on new mail {which}", which=_plain(which, 100)).strip()


def lines(kept: Kept, runs: list[Run]) -> Iterator[Content]:
    """One job whole: what it does, what it may, where it stands, its runs."""
    job = kept.job
    after = described.firsts(job, kept.due) if kept.state == "on" and kept.due else ""
    facts = [*((name, _plain(text, 2000)) for name, text in _facts(job)), (t("comes"), after or standing(kept))]
    wide = max(cell_len(name) for name, _ in facts)
    for name, text in facts:
        yield Content.assemble((wording.padded(name, wide) + "  ", "$text-muted"), (text, "bold" if text == facts[-1][1] else ""))
    if kept.problem:
        yield Content.styled(_plain(kept.problem, 500), "$text-warning")
    yield Content("")
    yield Content.styled(t("Runs") if runs else t("No runs yet."), "bold $text-primary")
    for run in runs:
        yield from _run(run, job.folder)


def _facts(job: Job) -> Iterator[tuple[str, str]]:
    yield (t("reminds") if job.remind else t("goal")), job.goal
    yield t("when"), when(job.trigger)
    if job.remind:
        yield t("shown"), t("by {address}", address=job.tell) if job.tell else t("on this desktop; no model runs")
        return
    yield t("folder"), job.folder
    yield t("allowed"), ", ".join(rule for rule, _ in job.allow) or t("only to read, and to run programs on a copy")
    if job.deny:
        yield t("denied"), ", ".join(job.deny)
    yield t("tools"), ", ".join(name for name, _ in job.tools) or t("none")
    if job.tell:
        yield t("tells"), job.tell


def _run(run: Run, folder: str) -> Iterator[Content]:
    state = described.state(run)
    took = f" · {times.span(run.ended - run.begun)}" if run.ended - run.begun >= 1 else ""
    yield Content.assemble(
        (f"{_at(run.begun)}  ", "$text-muted"),
        (translated(_STATES[state]), _TONES.get(state, "$text-warning")),
        (f"{took} · {_plain(run.why, 200)}", "$text-muted"),
    )
    told = [(run.facts.get("error") or {}).get("message", "")]
    told += [shown.receipt_line(Receipt(one["kind"], one["data"]), folder) for one in run.facts.get("receipts") or ()]
    told += [t("not allowed: {rule}", rule=rule or t("only a person can allow it")) for rule in run.facts.get("denied") or ()]
    told += run.said.strip().splitlines()[:_SAID_LINES]
    for line in filter(None, told):
        yield Content(f"    {_plain(line, 500)}")
    if run.session:
        yield Content.styled(f"    localagent resume {run.session}", "$text-muted")


def _state(run: Run) -> str:
    return translated(_STATES[described.state(run)])


def _at(moment: float, zone: str = "") -> str:
    return times.said(moment, zone)[:16]


def _plain(text: str, most: int) -> str:
    """Foreign text on one line, with nothing invisible in it."""
    return wording.one_line(shown.visible(text), most)
