"""Blocking calls beside the event loop, in threads that nobody waits for when the program ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


async def blocking(call: Callable[..., _T], *args: Any) -> _T:
    """What the call returns or raises. On cancellation it goes on without us: the caller ends what it waits for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def work() -> None:
        result, failed = None, None
        try:
            result = call(*args)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            failed = error
        try:
            loop.call_soon_threadsafe(settle, result, failed)
        except RuntimeError:
            # The loop has ended, and with it whoever waited.
            return

    threading.Thread(target=work, daemon=True, name=getattr(call, "__name__", "blocking")).start()
    return await done
