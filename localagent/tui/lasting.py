"""The app from its start to whatever ends it: the person, a terminal that goes, or a mistake of ours.

Whichever it is, what runs is stopped and the conversation is on the disk; after a mistake the person is told where.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from . import lines

if TYPE_CHECKING:
    from .app import LocalAgentApp

_ENDING_S = 20.0


def run(app: LocalAgentApp) -> int:
    """0, or 128 and the number of the signal that ended it. What was a mistake of ours is raised, after the screen is back."""
    number = asyncio.run(_whole(app))
    if app.mistake is None or number:
        return 128 + number if number else 0
    session = app.driver.session
    if session is not None and session.history:
        sys.stderr.write(lines.kept(session) + "\n")
    raise app.mistake


async def _whole(app: LocalAgentApp) -> int:
    """The number of the signal that ended it, 0 for none."""
    ended: list[int] = []
    loop = asyncio.get_running_loop()

    def gone(number: int) -> None:
        if not ended:
            ended.append(number)
            # A terminal that is gone takes nothing more, and waiting for it would keep us here for good.
            if number == signal.SIGHUP:
                lines.silence()
            app.call_later(app.leave)

    for number in (signal.SIGHUP, signal.SIGTERM):
        loop.add_signal_handler(number, gone, number)
    try:
        await app.run_async()
    finally:
        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        with suppress(TimeoutError):
            await asyncio.wait_for(app.driver.close(), _ENDING_S)
    return ended[0] if ended else 0
