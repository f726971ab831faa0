"""`/undo` and `/redo` in an editor: steps of its own conversation, and of no other."""

from __future__ import annotations

from ...agent import shown
from ...agent.session import Session
from ...errors import LocalAgentError
from ...store import audit

_LOOKED = 1000
_NAMED = 12


def turn(session: Session, again: bool) -> str:
    """What was taken back (or with `again` put back), in words; never raises for what stands in the way."""
    journal, folder = session.setting.journal, str(session.setting.workspace)
    wanted = "undone" if again else "done"
    try:
        step = next((one for one in journal.steps(_LOOKED) if one.session == session.id and one.state == wanted), None)
        if step is None:
            return f"There is nothing to {'redo' if again else 'undo'} in this conversation."
        done = journal.redo(step.number) if again else journal.undo(step.number)
        if not done.restored:
            left = "\n".join(f"- {shown.visible(one, lines=False)}" for one in done.conflicts[:_NAMED])
            return f"Step {step.number} was left as it is, for something was changed since:\n{left}"
        session.took_back(step.number, done.restored, again)
        audit.append(
            "redone" if again else "undone", {"step": step.number, "files": len(done.restored), "left": len(done.left)}
        )
    except LocalAgentError as error:
        return f"It was not {'redone' if again else 'undone'}: {error}"
    files = ", ".join(shown.relative(path, folder) for path in done.restored[:_NAMED])
    more = f" and {len(done.restored) - _NAMED} more" if len(done.restored) > _NAMED else ""
    return (
        f"{'Redid' if again else 'Undid'} step {step.number} ({shown.visible(step.name, lines=False)}): {files}{more}"
    )
