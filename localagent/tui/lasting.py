"""The app from its start to whatever ends it: the person, a terminal that goes (`leaving`), or a mistake of ours.

Whichever it is, what runs is stopped and the conversation is on the disk; after a mistake the person is told where.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from . import lines

if TYPE_CHECKING:
    from .app import LocalAgentApp

_ENDING_S = 8.0


def run(app: LocalAgentApp) -> int:
    """0; what was a mistake of ours is raised, after the screen has been given back."""
    asyncio.run(_whole(app))
    if app.mistake is None:
        return 0
    session = app.driver.session
    if session is not None and session.history:
        sys.stderr.write(lines.kept(session) + "\n")
    raise app.mistake


async def _whole(app: LocalAgentApp) -> None:
    try:
        await app.run_async()
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(app.driver.close(), _ENDING_S)
