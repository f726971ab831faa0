"""Over HTTP: headers and sign-in against a small server of the test's own, and what is never asked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context as Asked

from localagent.errors import LocalAgentError
from localagent.policy import decide
from localagent.policy.decide import Context
from localagent.policy.rules import Rules, parse
from localagent.store import credentials, mcp, mcp_known
from localagent.store.mcp import Server
from localagent.toolbox.mcp import login, looking
from localagent.toolbox.mcp.owner import Connection
from localagent.toolbox.mcp.source import McpSource
from localagent.values import ToolCall, ToolResult
from tests.toolbox.mcp import scripted


class Web:
    """An MCP server and the one that signs people in to it, both in one; `seen` are the requests."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.seen: list[tuple[str, str, dict[str, str], str]] = []
        self.url = ""
        self.challenge = ""
        self.redirect = ""

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Web]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = (await reader.readexactly(int(fields.get("content-length", 0)))).decode()
        method, path, _ = first.split(" ")
        self.seen.append((method, path, fields, body))
        status, more, answer = self._answer(method, urllib.parse.urlsplit(path), fields, body)
        data = json.dumps(answer).encode() if answer is not None else b""
        more = {"Content-Type": "application/json", "Content-Length": str(len(data)), "Connection": "close", **more}
        writer.write("\r\n".join([f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in more.items()), "", ""]).encode() + data)
        await writer.drain()
        writer.close()

    def _answer(self, method: str, at: Any, fields: dict[str, str], body: str) -> tuple[int, dict[str, str], Any]:
        if at.path == "/mcp":
            if self.token and fields.get("authorization") != f"Bearer {self.token}":
                return 401, {"WWW-Authenticate": f'Bearer resource_metadata="{self.url}/.well-known/oauth-protected-resource/mcp"'}, {}
            return self._speak(json.loads(body)) if method == "POST" else (405, {}, {})
        if at.path.startswith("/.well-known/oauth-protected-resource"):
            return 200, {}, {"resource": f"{self.url}/mcp", "authorization_servers": [self.url]}
        if at.path.startswith("/.well-known/oauth-authorization-server"):
            paths = {"authorization": "authorize", "token": "token", "registration": "register"}
            ends = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in paths.items()}
            return 200, {}, {"issuer": self.url, **ends, "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
        if at.path == "/register":
            return 201, {}, {**json.loads(body), "client_id": "client-1"}
        given = dict(urllib.parse.parse_qsl(at.query if method == "GET" else body))
        if at.path == "/authorize":
            self.challenge, self.redirect = given["code_challenge"], given["redirect_uri"]
            return 302, {"Location": f"{given['redirect_uri']}?code=abc&state={given['state']}"}, {}
        if at.path == "/token":
            digest = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).rstrip(b"=").decode()
            right = given["code"] == "abc" and digest == self.challenge and given["redirect_uri"] == self.redirect
            return (200, {}, {"access_token": self.token, "token_type": "Bearer"}) if right else (400, {}, {"error": "invalid_grant"})
        return 404, {}, {}

    def _speak(self, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        number, method, params = asked.get("id"), asked["method"], asked.get("params") or {}
        if number is None:
            return 202, {}, None
        if method == "initialize":
            info = {"name": "web", "version": "1"}
            made: dict[str, Any] = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
        elif method == "tools/list":
            made = {"tools": [scripted.ECHO]}
        elif method == "tools/call":
            made = {"content": [{"type": "text", "text": params["arguments"]["text"].upper()}]}
        else:
            return 200, {}, {"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "unknown"}}
        return 200, {}, {"jsonrpc": "2.0", "id": number, "result": made}


async def _call(source: McpSource, **args: Any) -> ToolResult:
    try:
        return [item async for item in source.call(ToolCall("c", "say", args))][-1]  # type: ignore[return-value]
    finally:
        await source.aclose()


def test_headers_are_sent_and_the_host_is_asked_about(tmp_path: Path) -> None:
    async def work() -> None:
        async with Web("tok-123").served() as web:
            credentials.store("mcp:web", "Authorization", "tok-123")
            server = Server("web", url=f"{web.url}/mcp", headers={"Authorization": "Bearer ${secret:Authorization}"})
            mcp.add(server)
            mcp_known.confirm("web", await looking.look(server))
            source = McpSource(tmp_path, tmp_path / "spill")
            (spec,) = source.specs()
            assert (spec.effects, spec.hosts) == (("net",), (web.url.removeprefix("http://"),))
            call = ToolCall("c", "say", {"text": "hi"})
            ctx = Context("auto", str(tmp_path), Rules(), True, str(Path.home()))
            asked = decide.before(call, spec, ctx)
            assert asked.verdict == "ask" and "reaching the network (127.0.0.1) always asks" in asked.reason
            allowed = Context("auto", str(tmp_path), Rules(allow=(parse("net(127.0.0.1)"),)), True, str(Path.home()))
            assert decide.before(call, spec, allowed).verdict == "allow"
            assert (await _call(source, text="hi")).text == "HI"

    asyncio.run(work())


def test_signing_in_from_beginning_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def browser(url: str) -> None:
        """What the person's browser does: ask, and follow to the loopback; before it, somebody else who guesses."""
        at = urllib.parse.urlsplit(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))["redirect_uri"])
        for path in ("/favicon.ico", "/callback", "/callback?code=mine", "/callback?code=mine&state=guessed", "/callback?error=x&state=y"):
            assert "404" in await _get(f"http://{at.netloc}{path}")
        head = await _get(url)
        assert "200" in await _get(next(line for line in head.split("\r\n") if line.startswith("Location: ")).removeprefix("Location: "))

    async def work() -> None:
        async with Web("fresh-token-77").served() as web:
            server = Server("web", url=f"{web.url}/mcp")
            mcp.add(server)
            with pytest.raises(LocalAgentError, match="sign in"):
                await looking.look(server, auth=login.auth(server.credentials, server.url))
            tasks: list[Any] = []
            async with login.Loopback(lambda url: tasks.append(asyncio.ensure_future(browser(url)))) as waiting:
                auth = login.auth(server.credentials, server.url, redirect=waiting.redirect, ask=waiting.ask, answer=waiting.wait)
                manifest = await looking.look(server, auth=auth)
            await asyncio.gather(*tasks)
            mcp_known.confirm("web", manifest)
            assert (await _call(McpSource(tmp_path, tmp_path / "spill"), text="hi")).text == "HI"

    asyncio.run(work())
    assert login.signed_in("mcp:web") and "fresh-token-77" in credentials.noted() and "fresh-token-77" not in mcp.path().read_text()
    assert login.sign_out("mcp:web") == 2 and not login.signed_in("mcp:web")


async def _get(url: str) -> str:
    at = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(f"GET {at.path}{'?' + at.query if at.query else ''} HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode())
    data = await reader.read(65536)
    writer.close()
    return data.decode()


def test_a_redirect_to_another_host_is_not_followed() -> None:
    async def work() -> None:
        async with Web().served() as other, Web().served() as web:
            web._answer = lambda *_: (307, {"Location": f"{other.url}/mcp"}, {})  # type: ignore[method-assign]
            server = Server("web", url=f"{web.url}/mcp", headers={"X-Key": "mine"})
            with pytest.raises(LocalAgentError, match="could not be used"):
                await looking.look(server)
            assert web.seen and not other.seen

    asyncio.run(work())


def test_a_server_of_the_newer_protocol_is_listened_to() -> None:
    server = MCPServer("newer")

    @server.tool()
    async def grow(ctx: Asked) -> str:
        """Offer one more tool."""
        server.tool(name="more")(lambda: "more")
        await ctx.notify_tools_changed()
        return "grown"

    async def work() -> None:
        heard: list[list[str]] = []

        async def hear(manifest: mcp_known.Manifest) -> None:
            heard.append([one.name for one in manifest.tools])

        connection = Connection("newer", "id", lambda _: server, heard=hear)  # type: ignore[arg-type, return-value]
        try:
            assert (await connection.begin()).protocol == "2026-07-28"
            await asyncio.sleep(0.05)
            assert not (await connection.call("grow", {}, 5, lambda _: None)).is_error
            for _ in range(100):
                if len(heard) > 1:
                    break
                await asyncio.sleep(0.02)
        finally:
            await connection.aclose()
        assert heard == [["grow"], ["grow", "more"]]

    asyncio.run(work())
