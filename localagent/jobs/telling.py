"""Lets somebody know how a run ended: one message through the outbox, to the address that the person named with the job."""

from __future__ import annotations

from collections.abc import Callable

from ..agent import shown
from ..agent.office import Manner, Office
from ..errors import ConfigError, LocalAgentError, UsageError
from ..policy import rules
from ..policy.rule import Rule
from ..store.jobs import Job, Run
from ..values import Outgoing, Receipt

_MOST = 1500


def rule(address: str) -> Rule:
    """CHANNEL:ADDRESS as a rule that names one address. Raises UsageError."""
    made = rules.parse(f"send({address})")
    one(made)
    return made


def one(made: Rule) -> None:
    """Raises UsageError for a rule to send that does not name one address."""
    channel, _, address = made.object.partition(":")
    if made.kind == "send" and ("*" in made.object or not channel or not address):
        raise UsageError(f"{made} does not name one address.", "A job may only send to one that is spelt out: send(CHANNEL:ADDRESS).")


class Teller:
    """`report` hears what went wrong."""

    def __init__(self, manner: Manner, report: Callable[[str], None]) -> None:
        self._manner = manner
        self._report = report

    async def __call__(self, job: Job, run: Run) -> None:
        """Once for each run, whatever happens: the outbox knows it by its number."""
        if not job.tell or job.remind:
            return
        try:
            state, detail = await sent(self._manner, job, run, words(job, run), f"{job.name}: {run.state}")
            told = "" if state in ("sent", "handed over", "held") else f"{state}: {detail}"
        except LocalAgentError as error:
            told = str(error)
        if told:
            self._report(f"{job.name}: nobody was told by {job.tell}: {told}")


async def sent(manner: Manner, job: Job, run: Run, text: str, subject: str) -> tuple[str, str]:
    """The state and detail of the one message of a run, to exactly the address that the job names. Raises LocalAgentError."""
    channel, _, address = job.tell.partition(":")
    office = Office(manner)
    try:
        if office.post is None:
            raise ConfigError("No channel is set up.", "`localagent channels add` does it.")
        # No contact book between.
        entry = office.post.outbox.draft(Outgoing(channel, address, text, subject), f"job/{job.id}/{job.made}/{run.number}", run.session)
        if entry.state == "draft":
            async for item in office.post.deliver([entry]):
                if not isinstance(item, str):
                    entry = item[0]
        return entry.state, entry.detail
    finally:
        await office.aclose()


def words(job: Job, run: Run) -> str:
    """What is told: how it ended, and the answer."""
    how = {
        "done": "Done.",
        "denied": "Done, but for what its rules do not allow.",
        "cut off": "It was cut off, and is not done again by itself.",
        "stopped": "It was stopped.",
    }.get(run.state, "It failed.")
    error = (run.facts.get("error") or {}).get("message", "")
    said = run.said if len(run.said) <= _MOST else f"{run.said[:_MOST]} [cut: localagent jobs log {job.id}]"
    done = [Receipt(one["kind"], one["data"]) for one in run.facts.get("receipts") or ()]
    account = f"[{shown.summary(done, job.folder)}]" if "receipts" in run.facts else ""
    return "\n\n".join(part for part in (f"{how} ({run.why})", error, said, account) if part)
