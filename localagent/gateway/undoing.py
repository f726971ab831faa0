"""`/undo` in a chat: the last step of the chat's own sessions, and of nobody else's."""

from __future__ import annotations

import asyncio

from ..agent import shown
from ..agent.session import Session
from ..errors import LocalAgentError, StoreError
from ..store import audit, paths
from ..store.gateway import Pairing
from ..store.journal import Journal, Step, Undone

_LOOKED = 1000
_NAMED = 12


async def undo(who: Pairing, session: Session | None) -> str:
    """What was taken back, in words; never raises for what stands in the way."""
    journal = session.setting.journal if session is not None else Journal(paths.state_dir() / "journal")
    try:
        step = await asyncio.to_thread(_latest, journal, who)
        if step is None:
            return "There is nothing to undo in this chat."
        done = await asyncio.to_thread(journal.undo, step.number)
        if done.restored and session is not None and step.session == session.id:
            session.took_back(step.number, done.restored)
        return _told(done, who.grants.folder)
    except LocalAgentError as error:
        return f"It was not undone: {error}"


def _latest(journal: Journal, who: Pairing) -> Step | None:
    known = {one for one in who.sessions if one}
    return next((step for step in journal.steps(_LOOKED) if step.session in known and step.state == "done"), None)


def _told(done: Undone, folder: str) -> str:
    step = done.step
    if not done.restored:
        lines = "\n".join(f"  {shown.visible(sentence, lines=False)}" for sentence in done.conflicts[:_NAMED])
        return f"Step {step.number} was left as it is, for something was changed since:\n{lines}"
    try:
        audit.append("undone", {"step": step.number, "files": len(done.restored), "left": len(done.left)})
        note = ""
    except StoreError as error:
        note = f"\nIt is not in the record: {error}"
    files = ", ".join(shown.relative(path, folder) for path in done.restored[:_NAMED])
    more = f" and {len(done.restored) - _NAMED} more" if len(done.restored) > _NAMED else ""
    return f"Undid step {step.number} ({shown.visible(step.name, lines=False)}): {files}{more}{note}"
