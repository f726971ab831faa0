"""A reminder: at its time the person sees the words they, or a model with their yes, wrote down. No model runs."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..agent.office import Manner
from ..channels import desktop
from ..errors import ChannelError, LocalAgentError, UsageError
from ..store import channels
from ..store.jobs import Job, Run
from ..values import Outgoing, Receipt
from . import telling
from .running import Outcome, Runner

_TITLE = "Reminder"
# The person said when: it is neither held back for a second thought nor put off by quiet hours.
_MANNER = Manner(hold_s=0, quiet="")


def way() -> str:
    """Where a reminder goes that names no address: "" is this desktop, else the person's own mail address as CHANNEL:ADDRESS.

    Raises UsageError where there is neither.
    """
    try:
        desktop.command(sys.platform, "", "")
        return ""
    except ChannelError as error:
        for one in channels.load().values():
            if one.kind == "email" and (address := str(one.options.get("address", ""))):
                return f"{one.name}:{address}"
        hint = "Install what it needs, or set up a channel with `localagent channels add`, and name the address with `jobs add --tell`."
        raise UsageError(f"A reminder cannot be shown here. {error.message}", f"{error.hint} {hint}".strip()) from None


class Reminding:
    """Carries out the reminders itself, and hands all other jobs to `others`."""

    def __init__(self, others: Runner) -> None:
        self._others = others

    async def __call__(self, job: Job, run: Run, began: Callable[[str], None]) -> Outcome:
        if not job.remind:
            return await self._others(job, run, began)
        try:
            state, detail = await (_by_channel(job, run) if job.tell else _on_desktop(job))
        except LocalAgentError as error:
            state, detail = "failed", str(error)
        channel, _, address = (job.tell or "desktop:here").partition(":")
        receipt = Receipt("sent", {"channel": channel, "to": address, "state": state})
        facts = {"receipts": [{"kind": receipt.kind, "data": dict(receipt.data)}], "denied": []}
        if state in ("sent", "handed over", "held"):
            return Outcome("done", job.goal, facts)
        error = {"kind": "channel", "message": f"The reminder is {state}: {detail}"}
        # What may have arrived is not said twice.
        return Outcome("failed", job.goal, {**facts, "error": error}, again=state == "failed")


async def _on_desktop(job: Job) -> tuple[str, str]:
    sent = await desktop.Desktop("desktop", _TITLE).send(Outgoing("desktop", "here", job.goal, _TITLE))
    return sent.state, sent.detail


async def _by_channel(job: Job, run: Run) -> tuple[str, str]:
    return await telling.sent(_MANNER, job, run, job.goal, _TITLE)
