"""The way out: what is granted gets through, everything else is refused, first as bytes, then from the real sandbox."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence

import pytest

from localagent.sandbox import launch
from localagent.sandbox.door import Door
from localagent.sandbox.profile import Limits, Profile
from localagent.sandbox.proxy import Grants, Proxy, is_public

LOCAL = "127.0.0.1"


class World:
    """A made-up internet: every name leads to one loopback server, which keeps what it was sent."""

    def __init__(self, addresses: dict[str, list[str]] | None = None) -> None:
        self.asked: list[str] = []
        self.got: list[bytes] = []
        self.addresses = addresses or {}
        self.port = 0

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.addresses.get(host, [LOCAL])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(65536)
        self.got.append(data)
        body = b"hello from the server"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.sleep(0.05)
        if more := await _soon(reader):
            self.got.append(more)
        writer.close()


async def _soon(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(65536), 0.05)
    except TimeoutError:
        return b""


async def with_world(grants: Callable[[int], Grants], use: Callable[[World, Proxy], Awaitable[None]], **more) -> World:
    world = World(more.pop("addresses", None))
    server = await asyncio.start_server(world.serve, LOCAL, 0)
    world.port = server.sockets[0].getsockname()[1]
    proxy = Proxy(grants(world.port), resolve=world.resolve, public=more.pop("public", lambda address: True))
    try:
        await use(world, proxy)
    finally:
        proxy.close()
        server.close()
    return world


def said(request: bytes, grants: Callable[[int], Grants] | None = None, **more) -> tuple[bytes, World]:
    """The proxy's answer to these bytes; `PORT` in them is the server's."""
    answer = b""

    async def use(world: World, proxy: Proxy) -> None:
        nonlocal answer
        listening = socket.create_server((LOCAL, 0))
        await proxy.serve(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(request.replace(b"PORT", str(world.port).encode()))
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    grants = grants or (lambda port: Grants((f"good.example:{port}", f"*.wild.example:{port}")))
    world = asyncio.run(with_world(grants, use, **more))
    return answer, world


def get(host: str, path: str = "/x", more: bytes = b"") -> bytes:
    return f"GET http://{host}{path} HTTP/1.1\r\nHost: other.example\r\n".encode("latin-1") + more + b"\r\n"


def test_a_granted_host_is_reached_by_its_own_name() -> None:
    answer, world = said(get("good.example:PORT", more=b"Proxy-Authorization: x\r\nX-Mine: 1\r\n"))
    assert b"hello from the server" in answer
    assert world.got[0].startswith(b"GET /x HTTP/1.1\r\nHost: good.example:%d\r\nX-Mine: 1\r\n" % world.port)
    assert b"other.example" not in world.got[0] and b"Proxy-" not in world.got[0]
    assert b"Connection: close" in world.got[0]


def test_connect_goes_through_byte_for_byte() -> None:
    answer, world = said(b"CONNECT good.example:PORT HTTP/1.1\r\n\r\nhello there")
    assert answer.startswith(b"HTTP/1.1 200") and b"hello from the server" in answer and world.got == [b"hello there"]


def test_a_second_request_is_never_read() -> None:
    answer, world = said(get("good.example:PORT") + get("good.example:PORT", "/second"))
    assert len(world.got) == 1 and b"second" not in world.got[0] and answer.count(b"HTTP/1.1") == 1


def test_a_body_is_sent_once_and_no_more_than_its_length() -> None:
    head = b"POST http://good.example:PORT/p HTTP/1.1\r\nContent-Length: 4\r\n\r\n"
    _, world = said(head + b"bodyGET /evil HTTP/1.1\r\n\r\n")
    assert b"".join(world.got).endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize(
    "host",
    [
        *("other.example", "sub.good.example", "wild.example", "xwild.example", "good.example.evil.example"),
        *("127.0.0.1", "2130706433", "0x7f000001", "0177.1", "127.1", "[::1]", "1.1.1.1", "good.example.1"),
        *("user@good.example", "good.example@evil.example", "good.example:80@evil.example", "good.example."),
        *("evil\\0.good.example", "evil\0.wild.example", "evil%00.wild.example", "evil#.wild.example", "-a.wild.example"),
        *("evil\xe9.wild.example", "e\u0301".encode().decode("latin-1") + ".wild.example", ".wild.example", "a..wild.example", ""),
        *("evil.example\t.wild.example", "a_b.wild.example", "localhost", "a" * 64 + ".wild.example"),
    ],
)
def test_other_hosts_are_refused(host: str) -> None:
    for request in (
        get(f"{host}:PORT"),
        f"CONNECT {host}:PORT HTTP/1.1\r\n\r\n".encode("latin-1"),
    ):
        answer, world = said(request)
        assert answer.startswith(b"HTTP/1.1 403"), (request, answer)
        assert world.asked == [] and world.got == []


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT good.example:22 HTTP/1.1\r\n\r\n",
        b"CONNECT good.example:443 HTTP/1.1\r\n\r\n",
        b"CONNECT good.example HTTP/1.1\r\n\r\n",
        b"CONNECT good.example:99999 HTTP/1.1\r\n\r\n",
        b"GET https://good.example:PORT/ HTTP/1.1\r\n\r\n",
        b"GET ftp://good.example:PORT/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n",
        b"GET http://good.example:PORT/ HTTP/2.0\r\n\r\n",
        b"GET  http://good.example:PORT/ HTTP/1.1\r\n\r\n",
        b"GET http://good.example:PORT/ HTTP/1.1\r\nA: b\rX: y\r\n\r\n",
        b"GET http://good.example:PORT/ HTTP/1.1\r\nA: b\nX: y\r\n\r\n",
        b"GET http://good.example:PORT/ HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET http://good.example:PORT/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST http://good.example:PORT/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST http://good.example:PORT/ HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        b"\x05\x01\x00\r\n\r\n",
    ],
)
def test_other_requests_are_refused(request_: bytes) -> None:
    answer, world = said(request_)
    assert answer.startswith(b"HTTP/1.1 403"), answer
    assert world.got == []


@pytest.mark.parametrize(
    "addresses", [[LOCAL], ["93.184.216.34", "10.0.0.1"], ["169.254.169.254"], ["::1"], ["fd00::1"], ["::ffff:127.0.0.1"], []]
)
def test_a_granted_name_that_leads_inside_is_refused(addresses: list[str]) -> None:
    answer, world = said(get("good.example:PORT"), addresses={"good.example": addresses}, public=is_public)
    assert answer.startswith(b"HTTP/1.1 403") and b"not of the open internet" in answer and world.got == []


@pytest.mark.parametrize("host", ["home.example", "127.0.0.1"])
def test_a_service_that_the_user_named_may_lie_inside(host: str) -> None:
    addresses = {host: [LOCAL]}
    answer, world = said(
        get(f"{host}:PORT"), lambda port: Grants((), private=(f"{host}:{port}",)), addresses=addresses, public=is_public
    )
    assert answer.startswith(b"HTTP/1.1 200") and len(world.got) == 1
    for other in (Grants((), private=(f"{host}:1",)), Grants((), (host,), (f"{host}:PORT",))):
        answer, world = said(get(f"{host}:PORT"), lambda port, other=other: other, addresses=addresses, public=is_public)
        assert answer.startswith(b"HTTP/1.1 403") and world.got == []


PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "64:ff9b::808:808"]
PRIVATE = (
    "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.168.1.1 192.0.2.1 198.18.0.1 224.0.0.1 240.0.0.1 "
    "255.255.255.255 :: ::1 fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 ::ffff:10.0.0.1 ::127.0.0.1 2002:7f00:1::1 "
    "64:ff9b::7f00:1 64:ff9b::a00:1 100::1 2001:db8::1 fec0::1 nonsense"
).split()


def test_addresses_of_the_open_internet_are_told_from_others() -> None:
    assert [a for a in PUBLIC if not is_public(a)] == []
    assert [a for a in PRIVATE if is_public(a)] == []


def test_what_the_rules_permit() -> None:
    grants = Grants(("good.example", "*.wild.example", "ssh.example:22"), ("bad.wild.example",))
    assert grants.permits("good.example", 443, 443) and grants.permits("a.b.wild.example", 80, 80)
    assert grants.permits("ssh.example", 22, 443) and not grants.permits("ssh.example", 443, 443)
    assert not grants.permits("good.example", 22, 443) and not grants.permits("wild.example", 443, 443)
    assert not grants.permits("bad.wild.example", 443, 443) and not Grants(()).permits("good.example", 443, 443)
    assert Grants(("*",)).permits("any.example", 443, 443) and not Grants(("*",)).permits("any.example", 25, 443)


def test_noise_is_answered_and_reaches_nobody() -> None:
    rng = random.Random(5)
    words = [b"GET ", b"CONNECT ", b"http://", b"good.example", b":443", b" HTTP/1.1", b"\r\n", b"\0", b"@", b"[", b"x: y"]
    for _ in range(60):
        noise = b"".join(rng.choice(words) for _ in range(rng.randint(1, 12))) + b"\r\n\r\n"
        answer, world = said(noise, lambda port: Grants(("none.example",)))
        assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 502")) and world.got == []


INSIDE = """
import os, socket, urllib.request
def tried(name, call):
    try: print(name, call())
    except Exception as error: print(name, "refused", getattr(error, "code", ""))
read = lambda url: urllib.request.urlopen(url, timeout=5).read().decode()
tried("granted", lambda: read("http://good.example:PORT/x"))
tried("other", lambda: read("http://other.example:PORT/x"))
tried("direct", lambda: socket.create_connection(("127.0.0.1", PORT), 2))
tried("name", lambda: socket.getaddrinfo("good.example", 80))
tried("route", lambda: socket.create_connection(("192.0.2.1", 80), 2))
print("descriptors", sorted(os.listdir("/proc/self/fd")))
"""


def test_from_inside_the_sandbox_it_is_the_only_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    output = b""

    async def use(world: World, proxy: Proxy) -> None:
        nonlocal output
        door = Door.__init__
        monkeypatch.setattr(Door, "__init__", lambda self, profile, argv: door(self, profile, argv, proxy))
        profile = Profile(hosts=("good.example",), limits=Limits(wall_s=30))
        source = INSIDE.replace("PORT", str(world.port))
        done = await launch.run([sys.executable, "-I", "-c", source], profile=profile, cwd="/")
        output = done.output

    world = asyncio.run(with_world(lambda port: Grants((f"good.example:{port}",)), use))
    lines = output.decode().splitlines()
    assert lines[0] == "granted hello from the server" and lines[1] == "other refused 403", lines
    assert [line.split()[1] for line in lines[2:5]] == ["refused"] * 3, lines
    assert len(eval(lines[5].partition(" ")[2])) <= 4, lines
    assert len(world.got) == 1 and world.asked == ["good.example"]


def test_without_grants_there_is_no_door() -> None:
    done = asyncio.run(launch.run(["/bin/bash", "-c", "env; cat /proc/net/tcp"], profile=Profile(), cwd="/"))
    assert b"proxy" not in done.output.lower() and b" 0A " not in done.output


def test_nothing_stays_open_behind_a_call() -> None:
    import os

    async def main() -> None:
        profile = Profile(hosts=("good.example",))
        await launch.run(["/bin/true"], profile=profile, cwd="/")
        await asyncio.sleep(0)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await launch.run(["/bin/true"], profile=profile, cwd="/")
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) <= before

    asyncio.run(main())


def test_more_connections_than_we_have_descriptors_for_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program can open thousands; each would take one of ours, until nothing of the user's could be opened."""
    from localagent.sandbox import proxy as proxies

    monkeypatch.setattr(proxies, "_MOST", 5)

    async def use(world: World, proxy: Proxy) -> None:
        listening = socket.create_server((LOCAL, 0))
        await proxy.serve(listening)
        held = [await asyncio.open_connection(*listening.getsockname()) for _ in range(12)]
        await asyncio.sleep(0.1)
        assert len(proxy._tasks) == 5
        assert sum(reader.at_eof() or reader.exception() is not None for reader, _ in held) == 7
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        assert not proxy._tasks

    asyncio.run(with_world(lambda port: Grants(("good.example",)), use))
