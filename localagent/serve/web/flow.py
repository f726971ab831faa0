"""How far ahead of a browser the output may be. What a browser does not read is not kept: it is drawn anew instead."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MOST = 1 << 20
"""Bytes that may be under way to a browser which has not said that it has drawn them."""


@dataclass(slots=True)
class Flow:
    """Output of one app on its way to one browser."""

    most: int = MOST
    waiting: deque[bytes] = field(default_factory=deque)
    unread: int = 0
    behind: bool = False

    def offer(self, data: bytes) -> bool:
        """Takes it along; False where the browser is too far behind and it is dropped."""
        if self.behind or self.unread + len(data) > self.most:
            # Half a picture is of no use: what has not left yet goes too.
            self.forget()
            self.behind = True
            return False
        self.waiting.append(data)
        self.unread += len(data)
        return True

    def forget(self) -> None:
        """What has not left yet never does."""
        self.unread -= sum(map(len, self.waiting))
        self.waiting.clear()

    def read(self, count: int) -> None:
        """The browser has drawn so many bytes more."""
        self.unread = max(0, self.unread - count)

    def caught_up(self) -> bool:
        """True once when a browser that was behind has drawn all that left: now everything is to be drawn anew."""
        if self.behind and self.unread == 0:
            self.behind = False
            return True
        return False
