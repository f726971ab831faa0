"""An endpoint on this machine that answers as a script says, and keeps what it was asked."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reply:
    """`events` are streamed, each as JSON unless it is bytes; with a `status` other than 200 the first is the body."""

    events: Sequence[Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    stream: bool = True


class Endpoint:
    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                endpoint.headers.append(dict(self.headers))
                endpoint.answer(self)

            def do_GET(self) -> None:
                endpoint.headers.append(dict(self.headers))
                endpoint.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        reply = self.replies.pop(0)
        streamed = reply.status == 200 and reply.stream
        handler.send_response(reply.status)
        handler.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            for event in reply.events:
                data = event if isinstance(event, bytes) else json.dumps(event).encode()
                handler.wfile.write(b"data: " + data + b"\n\n" if streamed else data)
                handler.wfile.flush()
                time.sleep(reply.pause)
            if streamed:
                handler.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass


@contextmanager
def endpoint(*replies: Reply) -> Iterator[Endpoint]:
    made = Endpoint(*replies)
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


def chunk(stop: str | None = None, usage: dict[str, Any] | None = None, **delta: Any) -> dict[str, Any]:
    """One event of a streamed chat completion."""
    made: dict[str, Any] = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": stop}]}
    return made | ({"usage": usage} if usage else {})


def called(name: str | None = None, arguments: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """A piece of a call."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"index": index, "type": "function", "function": function, **more}
