"""`localagent mcp add|import|list|...`: the MCP servers of the user, what each may, and whether it is on."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..agent.shown import visible
from ..errors import UsageError
from ..store import credentials, mcp_known
from ..store import mcp as config
from ..store.mcp import Granted, Server
from . import mcp_looking as looking


def configure(what: Any) -> None:
    """`what` is the subparsers' action of `localagent mcp`."""
    add = what.add_parser("add", help="add a server: NAME URL, or NAME -- COMMAND ARGUMENTS")
    add.add_argument("name", metavar="NAME")
    _grants(add)
    kept = "for its environment; secrets go to your keyring or a closed file"
    add.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help=kept)
    add.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="sent to its url")
    add.add_argument("--bearer", action="store_true", help="asks for a token that is sent to its url (or reads it from a pipe)")
    add.add_argument("--cwd", metavar="DIR", help="the folder it works in")
    add.add_argument("--install", action="store_true", help="for npx and uvx: fetch its package now, into a folder of ours, and start that")
    add.add_argument("--yes", action="store_true", help="confirm what it offers without a question")
    add.add_argument("target", nargs="+", metavar="URL | -- COMMAND", help="where it is, or what starts it")
    imports = what.add_parser("import", help="take servers over from another program's settings")
    programs = "a file, or claude-desktop, claude-code, cursor, vscode, gemini, qwen, windsurf"
    imports.add_argument("source", nargs="?", metavar="FILE|PROGRAM", help=programs)
    imports.add_argument("--only", action="append", default=[], metavar="NAME", help="only this server")
    listing = what.add_parser("list", help="the servers, what each may, and whether it is on")
    listing.add_argument("--json", action="store_true")
    tools = what.add_parser("tools", help="the tools of a server as they were last seen; nothing is started")
    tools.add_argument("name", nargs="?", metavar="NAME")
    tools.add_argument("--json", action="store_true")
    probe = what.add_parser("probe", help="start or reach a server and say what it offers")
    probe.add_argument("name", metavar="NAME")
    probe.add_argument("--json", action="store_true")
    trust = what.add_parser("trust", help="look at what a server offers, and have it on if you say yes")
    trust.add_argument("name", metavar="NAME")
    trust.add_argument("--yes", action="store_true", help="without a question")
    grant = what.add_parser("grant", help="say anew what a server may")
    grant.add_argument("name", metavar="NAME")
    _grants(grant)
    for word, told in (("on", "have a server on again"), ("off", "have a server off"), ("rm", "remove a server and its secrets")):
        what.add_parser(word, help=told).add_argument("name", metavar="NAME")
    install = what.add_parser("install", help="for npx and uvx: fetch a server's package into a folder of ours")
    install.add_argument("name", metavar="NAME")
    secret = what.add_parser("secret", help="store a secret that mcp.json calls ${secret:FIELD}; it is asked for, or read from a pipe")
    secret.add_argument("name", metavar="NAME")
    secret.add_argument("field", metavar="FIELD")
    login = what.add_parser("login", help="sign in to a server over HTTP, in your browser")
    login.add_argument("name", metavar="NAME")
    login.add_argument("--out", action="store_true", help="forget the tokens")
    prompt = what.add_parser("prompt", help="print a server's prompt, to hand to `do` or the app; without one: list them")
    prompt.add_argument("name", metavar="NAME")
    prompt.add_argument("prompt", nargs="?", metavar="PROMPT")
    prompt.add_argument("values", nargs="*", metavar="ARGUMENT=VALUE")


def _grants(parser: argparse.ArgumentParser) -> None:
    effects = f"{', '.join(config.GRANTABLE)}: of the workspace; default: none, so it asks each time"
    parser.add_argument("--effect", action="append", default=[], metavar="EFFECT", help=effects)
    parser.add_argument("--host", action="append", default=[], metavar="HOST", help="a host that a server which is started here may reach")
    parser.add_argument("--read", action="append", default=[], metavar="DIR", help="a folder besides the workspace that it may read")
    parser.add_argument("--write", action="append", default=[], metavar="DIR", help="a folder besides the workspace that it may change")
    parser.add_argument("--include", action="append", default=[], metavar="GLOB", help="only these of its tools")
    parser.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="not these of its tools")
    parser.add_argument("--timeout", type=float, default=config.TIMEOUT_S, metavar="S", help="seconds for one call (default: 60)")
    parser.add_argument("--here", action="store_true", help="only where this folder is worked in")


def run(args: argparse.Namespace) -> int:
    name = args.what.replace("import", "take_over")
    return int({
        "add": _add, "take_over": _import, "list": _list, "tools": _tools, "probe": looking.probe, "trust": looking.trust, "grant": _grant,
        "on": _switch, "off": _switch, "rm": _remove, "install": looking.install, "secret": _secret, "login": looking.login,
        "prompt": looking.prompt,
    }[name](args))  # fmt: skip


def granted_of(args: argparse.Namespace) -> Granted:
    """Raises UsageError for what cannot be granted."""
    folders = {key: tuple(os.path.abspath(os.path.expanduser(one)) for one in getattr(args, key)) for key in ("read", "write")}
    made = Granted(
        effects=tuple(dict.fromkeys(args.effect)),
        hosts=tuple(dict.fromkeys(one.lower() for one in args.host)),
        include=tuple(args.include),
        exclude=tuple(args.exclude),
        timeout=args.timeout,
        folder=os.path.realpath(".") if args.here else "",
        **folders,
    )
    if not 0 < made.timeout <= config.LONGEST_S:
        raise UsageError(f"A call cannot be given {made.timeout:g} seconds.", f"Give up to {config.LONGEST_S:g}.")
    if wrong := config.wrong_grant(made):
        raise UsageError(wrong[0].upper() + wrong[1:])
    return made


def _add(args: argparse.Namespace) -> int:
    from ..toolbox.mcp import addresses, filling

    granted, target = granted_of(args), list(args.target)
    if len(target) == 1 and target[0].startswith(("http://", "https://")):
        addresses.checked(target[0])
        if granted.effects or granted.hosts or granted.read or granted.write:
            raise UsageError("What is reached by a url runs elsewhere: no files and hosts of yours can be granted to it.")
        headers = dict(_pair(one, ":", "--header") for one in args.header)
        if args.bearer:
            headers["Authorization"] = f"Bearer {_asked('The token')}"
        shown, secrets = filling.hidden(headers)
        server = Server(args.name, url=target[0], headers=shown, granted=granted)
    else:
        if args.header or args.bearer:
            raise UsageError("Headers are for a server that is reached by a url.")
        shown, secrets = filling.hidden(dict(_pair(one, "=", "--env") for one in args.env))
        cwd = os.path.abspath(os.path.expanduser(args.cwd)) if args.cwd else ""
        server = Server(args.name, target[0], tuple(target[1:]), shown, cwd, granted=granted)
    config.add(server)
    for field, secret in secrets.items():
        credentials.store(server.credentials, field, secret)
    print(f"{server.name} is in {config.path()}.")
    if server.command and looking.fetches(server):
        if not args.install and not (_at_terminal() and looking.asked("Each start would fetch its package. Fetch it once, now? [y/N] ")):
            told = "Each start would fetch its package, for which the sandbox has no network. Fetch it once:"
            print(f"{told} localagent mcp install {server.name}, then: localagent mcp trust {server.name}", file=sys.stderr)
            return 0
        looking.install(args)
    if args.yes or _at_terminal():
        return looking.trust(args)
    print(f"It is off until you have looked at it: localagent mcp trust {server.name}", file=sys.stderr)
    return 0


def _import(args: argparse.Namespace) -> int:
    from ..toolbox.mcp import importing

    here = os.path.realpath(".")
    known = importing.places(os.path.expanduser("~"), here)
    if args.source is None:
        return _where(known)
    files = known.get(args.source) or [Path(args.source).expanduser()]
    there = [file for file in files if file.exists()]
    if not there:
        raise UsageError(f"There is no {' and no '.join(str(file) for file in files)}.", f"Name a file, or one of: {', '.join(known)}.")
    taken, count = config.load(), 0
    for file in there:
        found, problems = importing.read(file, here)
        for problem in problems:
            print(f"left out: {visible(problem, lines=False)}", file=sys.stderr)
        for one in found:
            server = one.server
            if args.only and server.name not in args.only:
                continue
            if server.name in taken:
                same = "the same" if taken[server.name].identity == server.identity else "another one"
                print(f"left out: there is a server {server.name} already, {same}.", file=sys.stderr)
                continue
            config.add(server)
            for field, secret in one.secrets.items():
                credentials.store(server.credentials, field, secret)
            taken[server.name], count = server, count + 1
            kept = f", its secrets ({', '.join(one.secrets)}) are kept apart" if one.secrets else ""
            print(visible(f"{server.name}: {server.url or ' '.join((server.command, *server.args))}{kept}", lines=False))
    print(f"{count} taken over. Each may do nothing, and is off until you say otherwise:")
    print("localagent mcp grant NAME …, localagent mcp trust NAME")
    return 0 if count else 1


def _where(known: dict[str, list[Path]]) -> int:
    found = [(program, file) for program, files in known.items() for file in files if file.exists()]
    for program, file in found:
        print(f"{program:15} {file}")
    if not found:
        print(f"No settings of {', '.join(known)} are here. Name a file.", file=sys.stderr)
        return 1
    print("Take over from one of them: localagent mcp import PROGRAM", file=sys.stderr)
    return 0


def _list(args: argparse.Namespace) -> int:
    from ..toolbox.mcp import telling

    servers = config.load()
    known = {name: mcp_known.load(name) for name in servers}
    if args.json:
        rows = [_row(one, known[name]) for name, one in servers.items()]
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    if not servers:
        print("There are no MCP servers. Add one: localagent mcp add NAME -- COMMAND, or: localagent mcp import", file=sys.stderr)
    width = max(map(len, servers), default=0)
    for name, one in servers.items():
        state = telling.state(one, known[name])
        count = f"{len(known[name].callable(one.identity))} tools" if state in ("on", "changed") else ""
        print(f"{name:{width}}  {state:8} {count:10} {visible(telling.granted_line(one.granted), lines=False)}")
    waiting = [name for name, one in servers.items() if telling.state(one, known[name]) in ("new", "changed")]
    if waiting:
        print(f"New and changed ones can be called once you have looked at them: localagent mcp trust {waiting[0]}", file=sys.stderr)
    return 0


def _row(server: Server, known: mcp_known.Known) -> dict[str, object]:
    from ..toolbox.mcp import telling

    granted = server.granted
    return {
        "name": server.name,
        "state": telling.state(server, known),
        "transport": "http" if server.url else "stdio",
        "command": [server.command, *server.args] if server.command else None,
        "url": server.url or None,
        "effects": granted.effects,
        "hosts": granted.hosts,
        "folder": granted.folder or None,
        "timeout": granted.timeout,
        "tools": len(known.callable(server.identity)),
    }


def _tools(args: argparse.Namespace) -> int:
    from ..toolbox.mcp.source import chosen

    servers: Iterable[Server] = [config.one(args.name)] if args.name else config.load().values()
    rows = []
    for server in servers:
        known = mcp_known.load(server.name)
        callable = {one.name for one in known.callable(server.identity)}
        for one in known.seen.tools if known.seen is not None and known.seen.identity == server.identity else ():
            use = "on" if one.name in callable and chosen(server, one.name) and server.granted.on else "off"
            called = known.names.get(one.name, one.name)
            rows.append({"server": server.name, "name": one.name, "called": called, "state": use, "description": one.description})
    if args.json:
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    for row in rows:
        about = visible(" ".join(row["description"].split())[:100], lines=False)
        print(f"{row['server']}  {visible(row['called'], lines=False):24} {row['state']:4} {about}")
    if not rows:
        print("No tools are known. Look: localagent mcp probe NAME", file=sys.stderr)
    return 0


def _grant(args: argparse.Namespace) -> int:
    from ..toolbox.mcp import telling

    made = granted_of(args)
    server = config.one(args.name)
    if server.url and (made.effects or made.hosts or made.read or made.write):
        raise UsageError("What is reached by a url runs elsewhere: no files and hosts of yours can be granted to it.")
    server = config.grant(args.name, lambda was: replace(made, on=was.on, folder=made.folder or was.folder))
    print(f"{server.name} may: {visible(telling.may(server), lines=False)}")
    return 0


def _switch(args: argparse.Namespace) -> int:
    server = config.grant(args.name, lambda was: config.switched(was, args.what == "on"))
    print(f"{server.name} is {args.what}.")
    if server.granted.on and mcp_known.load(server.name).confirmed is None:
        print(f"You have not confirmed it yet: localagent mcp trust {server.name}", file=sys.stderr)
    return 0


def _remove(args: argparse.Namespace) -> int:
    from ..toolbox.mcp import filling, preparing

    server = config.one(args.name)
    texts = " ".join((*server.args, *server.env.values(), *server.headers.values()))
    fields = [*filling.secrets_named(texts), "oauth-tokens", "oauth-client"]
    config.remove(args.name)
    mcp_known.withdraw(args.name)
    credentials.forget(server.credentials, *fields)
    preparing.remove(args.name)
    print(f"{args.name} is removed. What it kept for itself stays in its folder: {looking.own(args.name)}")
    return 0


def _secret(args: argparse.Namespace) -> int:
    from ..toolbox.mcp import filling

    server = config.one(args.name)
    if not filling.SECRET_NAME.fullmatch(args.field):
        raise UsageError(f"{args.field!r} cannot be the name of a secret.", "Use letters, digits, - and _.")
    place = credentials.store(server.credentials, args.field, _asked(f"{args.field} of {args.name}"))
    print(f"Stored in the {place}.")
    return 0


def _asked(what: str) -> str:
    import getpass

    found = getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not found.strip():
        raise UsageError(f"{what} is empty.")
    return found.strip()


def _pair(text: str, between: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(between)
    if not found or not name.strip():
        raise UsageError(f"{option} {name!r} cannot be read.", f"Write it as NAME{between}VALUE.")
    return name.strip(), value.strip()


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


__all__: Sequence[str] = ("configure", "granted_of", "run")
