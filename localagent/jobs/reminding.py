"""A reminder: at its time the person sees the words they, or a model with their yes, wrote down. No model runs."""

from __future__ import annotations

from collections.abc import Callable

from ..channels import desktop
from ..store.jobs import Job, Run
from ..values import Outgoing
from .running import Outcome, Runner

_TITLE = "Reminder"


class Reminding:
    """Carries out the reminders itself, and hands all other jobs to `others`."""

    def __init__(self, others: Runner) -> None:
        self._others = others

    async def __call__(self, job: Job, run: Run, began: Callable[[str], None]) -> Outcome:
        if not job.remind:
            return await self._others(job, run, began)
        if job.tell:
            # Told in these words by whoever tells how runs ended.
            return Outcome("done", job.goal)
        sent = await desktop.Desktop("desktop", _TITLE).send(Outgoing("desktop", "here", job.goal[: desktop.TEXT_CHARACTERS], _TITLE))
        if sent.state in ("handed over", "unconfirmed"):
            return Outcome("done", job.goal)
        error = {"kind": "channel", "message": f"The reminder could not be shown: {sent.detail}"}
        return Outcome("failed", job.goal, {"receipts": [], "denied": [], "error": error})
