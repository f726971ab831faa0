"""The commands of `localagent mcp` that speak to a server."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from ..agent.shown import visible
from ..errors import ToolError, UsageError
from ..sandbox import launch
from ..store import credentials, mcp_known, paths
from ..store import mcp as config
from ..store.mcp import Server
from ..toolbox.mcp import filling, looking, telling

if TYPE_CHECKING:
    from ..store.mcp_known import Manifest


def probe(args: argparse.Namespace) -> int:
    server = config.one(args.name)
    if _gives_away(server):
        raise UsageError(f"{server.name} would be told what your environment holds.", f"Look first: localagent mcp trust {server.name}")
    manifest = _seen(server)
    known = mcp_known.saw(server.name, manifest)
    if args.json:
        tools = [
            {"name": one.name, "description": one.description, "schema": one.schema, "annotations": one.hints} for one in manifest.tools
        ]
        row: dict[str, Any] = {"name": server.name, "state": telling.state(server, known), "title": manifest.title}
        row |= {"protocol": manifest.protocol, "tools": tools, "resources": manifest.resources, "prompts": manifest.prompts}
        json.dump(row, sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    _say([f"protocol {manifest.protocol}", *telling.offered(manifest)])
    if (state := telling.state(server, known)) != "on":
        print(f"It is {state}: localagent mcp {'on' if state == 'off' else 'trust'} {server.name}", file=sys.stderr)
    return 0


def trust(args: argparse.Namespace) -> int:
    """0 where it is confirmed in the end, 1 where it is not."""
    server = config.one(args.name)
    if not args.yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("Only a person can confirm a server, at a terminal.", "Run it again at one, or with --yes.")
    _say(telling.what(server))
    if server.command and launch.probe().name == "none":
        print("There is no sandbox on this machine: it will be started with all that you may do.")
        if not args.yes and not asked("Start it? [y/N] "):
            print("It stays off.")
            return 1
    ask = f"{'Reach' if server.url else 'Start'} it, which tells it these variables? [y/N] "
    if _gives_away(server) and not args.yes and not asked(ask):
        print("It stays as it was.")
        return 1
    manifest = _seen(server)
    before = mcp_known.load(server.name).confirmed
    mcp_known.saw(server.name, manifest)
    _say(telling.offered(manifest, before))
    if not args.yes and not asked("Have exactly these as tools of the agent? [y/N] "):
        print("It stays as it was." if before else "It stays off.")
        return 1
    mcp_known.confirm(server.name, manifest)
    if not server.granted.on:
        config.grant(server.name, lambda was: config.switched(was, True))
    print(f"On: {len(manifest.tools)} tools of {server.name} can be called.")
    return 0


def _seen(server: Server) -> Manifest:
    """What it offers now. Raises LocalAgentError."""
    try:
        return asyncio.run(looking.look(server))
    except ToolError as error:
        if not fetches(server):
            raise
        raise ToolError(error.message, f"Its package is not here yet: localagent mcp install {server.name}") from None


def _gives_away(server: Server) -> bool:
    """Whether merely looking at it hands it something of the user's that they have not agreed to."""
    confirmed = mcp_known.load(server.name).confirmed
    return bool(filling.told(server)) and (confirmed is None or confirmed.identity != server.identity)


def login(args: argparse.Namespace) -> int:
    from ..toolbox.mcp import login as signing

    server = config.one(args.name)
    if args.out:
        print("Forgotten." if signing.sign_out(server.credentials) else "There were no tokens.")
        return 0
    if not server.url:
        raise UsageError(f"{server.name} is started here; there is nothing to sign in to.")

    async def sign_in() -> Manifest:
        from ..toolbox.mcp.filling import filled

        async with signing.Loopback(_open) as waiting:
            # The client that was registered before knows another port.
            credentials.forget(server.credentials, signing.TOKENS, signing.CLIENT)
            url = filled(server, os.path.realpath(".")).url
            auth = signing.auth(server.credentials, url, redirect=waiting.redirect, ask=waiting.ask, answer=waiting.wait)
            return await looking.look(server, auth=auth, start_s=signing.WAIT_S)

    manifest = asyncio.run(sign_in())
    mcp_known.saw(server.name, manifest)
    if not signing.signed_in(server.credentials):
        print(f"{server.name} answered without a sign-in; {len(manifest.tools)} tools.")
        return 0
    print(f"Signed in to {server.name}; it offers {len(manifest.tools)} tools. Have it on: localagent mcp trust {server.name}")
    return 0


def prompt(args: argparse.Namespace) -> int:
    server = config.one(args.name)
    if args.prompt is None:
        known = mcp_known.load(server.name).seen
        for name, wanted in known.prompts if known is not None else ():
            print(visible(f"{name}  {' '.join(f'{one}=…' for one in wanted)}", lines=False))
        return 0
    values = dict(_pair(one) for one in args.values)

    async def ask() -> str:
        from ..toolbox.mcp import results

        connection = await looking.connected(server)
        try:
            found = await connection.prompt(args.prompt, values, server.granted.timeout)
            return results.prompt(found, paths.cache_dir() / "mcp")
        finally:
            await connection.aclose()

    if mcp_known.load(server.name).changes(server.identity) < 0:
        raise UsageError(f"You have not confirmed {server.name} as it is.", f"Do so with `localagent mcp trust {server.name}`.")
    print(visible(asyncio.run(ask())))
    return 0


def install(args: argparse.Namespace) -> int:
    from ..toolbox.mcp import preparing

    server = config.one(args.name)
    found = preparing.package((server.command, *server.args))
    if found is None:
        raise UsageError(f"{server.name} is not started by npx or uvx, so there is nothing to fetch.")
    print(f"Fetching {found.name} with {'npm' if found.kind == 'npm' else 'pip'} …", file=sys.stderr)
    print(f"{found.name} is there: {asyncio.run(preparing.install(server.name, found))}")
    return 0


def fetches(server: Server) -> bool:
    """Whether each start would fetch a package that is not here yet."""
    from ..toolbox.mcp import preparing

    argv = (server.command, *server.args)
    return preparing.package(argv) is not None and preparing.prepared(server.name, argv)[0] == argv


def own(name: str) -> str:
    from ..toolbox.mcp import holding

    return str(holding.own_folder(name))


def _open(url: str) -> None:
    import webbrowser

    print(f"Sign in here, in your browser:\n{visible(url, lines=False)}", flush=True)
    if sys.stdout.isatty():
        webbrowser.open(url)


def _say(lines: list[str]) -> None:
    for line in lines:
        print(visible(line, lines=False))


def asked(question: str) -> bool:
    try:
        said = input(question)
    except (EOFError, KeyboardInterrupt):
        said = ""
        print()
    return said.strip().lower() in ("y", "yes")


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise UsageError(f"{text!r} is no ARGUMENT=VALUE.")
    return name, value
