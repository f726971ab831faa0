"""Joins a sandboxed program with the proxy: the program's loopback listens, and we answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from .profile import Profile
from .proxy import PORT, Grants, Proxy

_GATE = str(Path(__file__).with_name("gate.py"))


class Door:
    """The host's end, made before the program starts and closed when it has ended.

    `argv` is the program behind the helper that opens the door, `fds` what that needs, `environment`
    what tells programs of it.
    """

    def __init__(self, profile: Profile, argv: Sequence[str], proxy: Proxy | None = None) -> None:
        self.proxy = proxy or Proxy(Grants(profile.hosts, profile.denied_hosts, profile.private))
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.argv = [sys.executable, "-I", "-S", _GATE, str(self._theirs.fileno()), str(PORT), "--", *argv]
        self.fds = (self._theirs.fileno(),)
        address = f"http://127.0.0.1:{PORT}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        self.environment = dict.fromkeys(names, address) | {"no_proxy": "localhost,127.0.0.1"}

    def opened(self) -> None:
        """The program has been started: from now on, wait for its socket."""
        self._theirs.close()
        self._loop.add_reader(self._ours.fileno(), self._receive)

    def _receive(self) -> None:
        self._loop.remove_reader(self._ours.fileno())
        fds: list[int] = []
        with contextlib.suppress(OSError):
            _, fds, _, _ = socket.recv_fds(self._ours, 16, 4)
        for extra in fds[1:]:
            os.close(extra)
        if fds:
            listening = socket.socket(fileno=fds[0])
            if listening.family != socket.AF_INET or not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                listening.close()
                return
            listening.setblocking(False)
            self._task = self._loop.create_task(self.proxy.serve(listening))

    def close(self) -> None:
        self.proxy.close()
        for end in (self._ours, self._theirs):
            if end.fileno() >= 0:
                self._loop.remove_reader(end.fileno())
            end.close()
