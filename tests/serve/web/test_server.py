"""The server on real sockets: its addresses, the handshake, the size of messages, its end."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from wsproto import ConnectionType, WSConnection, events

from localagent.errors import LocalAgentError
from localagent.serve.web.relay import MESSAGE
from localagent.serve.web.server import PORT, Server, program
from tests.serve.web import support


class Served:
    """A server in a thread of its own, with a small program for the app."""

    def __init__(self) -> None:
        self.stopping: list[int] = []
        ready = threading.Event()
        self.server = Server(support.program(), 0)
        self.base = f"http://127.0.0.1:{self.server.port}"

        async def whole() -> None:
            self.loop = asyncio.get_running_loop()
            await self.server.serve(ready.set, self.stopping.append)

        self.thread = threading.Thread(target=asyncio.run, args=(whole(),))
        self.thread.start()
        assert ready.wait(10)

    def close(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.server.stop)
        self.thread.join(20)
        assert not self.thread.is_alive()


class Socket:
    """A websocket over TCP."""

    def __init__(self, served: Served, **changed: Any) -> None:
        doors = served.server._doors
        headers = {"origin": served.base, "cookie": doors.cookie.partition(";")[0]} | changed
        self._socket = socket.create_connection(("127.0.0.1", served.server.port), timeout=10)
        self._connection = WSConnection(ConnectionType.CLIENT)
        asked = events.Request(
            host=served.base.removeprefix("http://"), target=f"/app/{support.TAB}", subprotocols=["localagent", doors.key],
            extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
        )  # fmt: skip
        self._seen: list[Any] = []
        self.send(asked)

    def send(self, event: Any) -> None:
        self._socket.sendall(self._connection.send(event))

    def until(self, wanted: type) -> Any:
        """The next event of that kind."""
        while True:
            while self._seen:
                if isinstance(event := self._seen.pop(0), wanted):
                    return event
            self._connection.receive_data(self._socket.recv(1 << 16) or None)
            self._seen += self._connection.events()

    def drawn(self, wanted: bytes) -> None:
        seen = b""
        while wanted not in seen:
            seen += self.until(events.BytesMessage).data

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


def test_pages_and_websockets_over_the_network(served: Served) -> None:
    with httpx2.Client(base_url=served.base) as client:
        assert client.get("/").status_code == 403
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403
        entered = client.get(served.server.address)
        assert entered.status_code == 200 and "server" not in entered.headers
        assert client.get("/").status_code == 200 and client.get("/xterm/xterm.js").status_code == 200
    for changed in ({"origin": "http://evil.example"}, {"cookie": "x=y"}):
        refused = Socket(served, **changed)
        assert refused.until(events.RejectConnection).status_code == 403
        refused.close()

    one = Socket(served)
    assert one.until(events.AcceptConnection).subprotocol == "localagent"
    one.send(events.TextMessage(json.dumps({"size": [80, 24]})))
    assert json.loads(one.until(events.TextMessage).data) == {"begin": True}
    one.drawn(b"[80x24]")
    one.send(events.BytesMessage(b"hello"))
    one.drawn(b"<hello>")
    one.send(events.BytesMessage(b"x" * (MESSAGE + 1)))
    assert one.until(events.CloseConnection).code == 1009
    one.close()
    served.close()
    assert served.stopping == [1]


def test_only_this_machine_is_listened_to() -> None:
    made = Server(program(Path("/")), 0)
    try:
        assert {one.getsockname()[:2] for one in made._sockets} <= {("127.0.0.1", made.port), ("::1", made.port)}
        with pytest.raises(LocalAgentError, match="cannot be used"):
            Server(program(Path("/")), made.port)
    finally:
        made.close()


def test_where_the_usual_port_is_taken_any_other_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("localagent.serve.web.server.PORT", taken.getsockname()[1])
        made = Server(program(Path("/")), None)
        assert made.port not in (0, PORT, taken.getsockname()[1])
        made.close()


def test_the_app_gets_a_terminal_of_its_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux")
    monkeypatch.setenv("LINES", "99")
    what = program(Path("/"))
    assert what.env["TERM"] == "xterm-256color" and not {"TMUX", "LINES"} & set(what.env)
