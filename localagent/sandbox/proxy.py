"""The only way out of a sandbox with granted hosts: a proxy that resolves names itself and refuses the rest.

It speaks CONNECT, and exactly one plain request a connection: what comes behind that is never read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

PORT = 3128
_HEAD_BYTES = 32_768
_BODY_BYTES = 64 * 1024 * 1024
_HEAD_S, _CONNECT_S, _IDLE_S = 15.0, 15.0, 300.0
_CHUNK = 65_536
_MOST = 100

_LINE = re.compile(rb"([A-Z]{1,20}) (\S{1,8192}) HTTP/1\.[01]")
_AUTHORITY = re.compile(rb"([a-z0-9.-]{1,253})(?::([0-9]{1,5}))?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
# What speaks of this connection alone, and what we say ourselves.
_OURS = frozenset(b"host connection proxy-connection keep-alive te trailer upgrade expect content-length".split())
_EMBEDDING = (
    (ipaddress.ip_network("64:ff9b::/96"), 0),
    (ipaddress.ip_network("2002::/16"), 80),
    (ipaddress.ip_network("::/96"), 0),
)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Refused(Exception):
    """Why a request is not carried out, as the program gets to read it."""


@dataclass(frozen=True, slots=True)
class Grants:
    """The hosts of the user's net rules: `example.org`, `*.example.org` (never the name itself), `host:port`, `*`.

    Without a port, 80 for plain requests and 443 for CONNECT. What `denied` names is refused first. `private` are exact
    `host:port` that the user has named as a service of their own: an address is no reason to refuse them.
    """

    allowed: tuple[str, ...]
    denied: tuple[str, ...] = ()
    private: tuple[str, ...] = ()

    def permits(self, host: str, port: int, usual: int) -> bool:
        if any(_matches(rule.rpartition(":")[0] or rule, host) for rule in self.denied):
            return False
        if f"{host}:{port}" in self.private:
            return True
        for rule in self.allowed:
            name, colon, number = rule.rpartition(":")
            if colon and number.isdigit():
                if int(number) == port and _matches(name, host):
                    return True
            elif port == usual and _matches(rule, host):
                return True
        return False


def _matches(rule: str, host: str) -> bool:
    rule = rule.casefold()
    return rule == "*" or rule == host or (rule.startswith("*.") and host.endswith(rule[1:]) and host != rule[2:])


def is_public(address: str) -> bool:
    """Whether this is an address of the open internet: no private, local, shared, metadata or embedded one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        for network, shift in _EMBEDDING:
            if ip in network:
                return is_public(str(ipaddress.IPv4Address(int(ip) >> shift & 0xFFFFFFFF)))
    if isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, by this machine's own resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class Proxy:
    """Serves the sockets it is given until `close`. `public` judges addresses, `resolve` finds them."""

    def __init__(
        self, grants: Grants, *, resolve: Resolve = resolved, public: Callable[[str], bool] = is_public
    ) -> None:
        self._grants = grants
        self._resolve = resolve
        self._public = public
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.refused: list[str] = []

    def reasons(self) -> tuple[str, ...]:
        """Why requests were refused, each reason once."""
        return tuple(dict.fromkeys(self.refused))

    async def serve(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=_HEAD_BYTES)

    def close(self) -> None:
        """Stop at once; what is under way is broken off. Safe to call twice."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= _MOST:
            # Each takes descriptors of ours, without which nothing else could be opened.
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await self._answer(reader, writer)
        except Refused as reason:
            self.refused = [*self.refused[-99:], str(reason)]
            body = f"localagent: {reason}\n".encode("ascii", "backslashreplace")
            head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_S)
        line, *fields = head[:-4].split(b"\r\n")
        match = _LINE.fullmatch(line)
        if match is None:
            raise Refused("this is no request that a proxy can carry out")
        method, target = match.groups()
        if method == b"CONNECT":
            host, port = _authority(target, None, self._grants.private)
            far_reader, far_writer = await self._open(host, port, 443)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _relay(reader, writer, far_reader, far_writer)
            return
        await self._plain(method, target, fields, reader, writer)

    async def _plain(
        self,
        method: bytes,
        target: bytes,
        fields: Sequence[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """One request with its whole body, and its answer; then the connection ends."""
        if not target[:7].lower() == b"http://":
            raise Refused("only http:// is carried out in the open, https goes by CONNECT")
        authority, _, path = target[7:].partition(b"/")
        host, port = _authority(authority, 80, self._grants.private)
        kept, length = _fields(fields)
        if length > _BODY_BYTES:
            raise Refused("the body is too large")
        body = await asyncio.wait_for(reader.readexactly(length), _IDLE_S) if length else b""
        far_reader, far_writer = await self._open(host, port, 80)
        named = host if port == 80 else f"{host}:{port}"
        lines = [method + b" /" + path + b" HTTP/1.1", b"Host: " + named.encode(), *kept, b"Connection: close"]
        if length or method in (b"POST", b"PUT", b"PATCH"):
            lines.append(b"Content-Length: %d" % length)
        try:
            far_writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            await far_writer.drain()
            await _pump(far_reader, writer)
        finally:
            far_writer.close()

    async def _open(self, host: str, port: int, usual: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a granted host, by an address that was judged: the name is never looked up twice."""
        if not self._grants.permits(host, port, usual):
            rule = host if port == usual else f"{host}:{port}"
            raise Refused(f"the network is off but for what was granted; net({rule}) is not")
        try:
            addresses = await asyncio.wait_for(self._resolve(host, port), _CONNECT_S)
        except (OSError, UnicodeError):
            raise Refused(f"{host} has no address") from None
        own = f"{host}:{port}" in self._grants.private
        if not addresses or not (own or all(map(self._public, addresses))):
            raise Refused(f"{host} leads to an address that is not of the open internet")
        last: OSError | TimeoutError | None = None
        for address in addresses[:4]:
            try:
                return await asyncio.wait_for(asyncio.open_connection(address, port), _CONNECT_S)
            except (OSError, TimeoutError) as error:
                last = error
        raise OSError(f"{host} cannot be reached") from last


def _authority(text: bytes, usual: int | None, private: Sequence[str] = ()) -> tuple[str, int]:
    """Host and port; anything but a plain name is refused, byte by byte."""
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None or (match[2] is None and usual is None):
        raise Refused("the host is not a plain name")
    host, port = match[1].decode("ascii"), int(match[2]) if match[2] else usual
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("the host is not a plain name")
    if port is None or not 0 < port < 65536:
        raise Refused("there is no such port")
    if _NUMERIC.fullmatch(labels[-1]) and f"{host}:{port}" not in private:
        raise Refused("addresses are refused, only names are granted")
    return host, port


def _fields(lines: Sequence[bytes]) -> tuple[list[bytes], int]:
    """The header lines to send on, and the length of the body."""
    kept: list[bytes] = []
    length: int | None = None
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Refused("a header line cannot be read")
        name, value = match[1].lower(), match[2].strip()
        if name == b"transfer-encoding":
            raise Refused("a body must say its length")
        if name == b"content-length":
            if length is not None or not re.fullmatch(rb"[0-9]{1,12}", value):
                raise Refused("the length of the body is not clear")
            length = int(value)
        elif name not in _OURS and not name.startswith(b"proxy-"):
            kept.append(line)
    return kept, length or 0


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await asyncio.wait_for(reader.read(_CHUNK), _IDLE_S):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        with contextlib.suppress(OSError):
            writer.write_eof()


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    """Both ways until both have ended, or one has broken off."""
    ways = [asyncio.ensure_future(_pump(reader, far_writer)), asyncio.ensure_future(_pump(far_reader, writer))]
    try:
        await asyncio.gather(*ways)
    except (OSError, TimeoutError):
        writer.transport.abort()
    finally:
        for way in ways:
            way.cancel()
        far_writer.close()
