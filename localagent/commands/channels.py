"""`localagent channels add|list|status|probe|sync|secret|rm`: what messages go through."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..agent.shown import visible
from ..channels import registry, syncing
from ..channels.base import Channel, Receiver
from ..errors import ChannelError, UsageError
from ..store import channels, credentials
from ..store.channels import Configured
from ..store.gateway import Gate
from ..store.inbox import Inbox

_LONGEST_SECRET = 16_384


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="add|list|status|probe|sync|secret|rm")
    parser.set_defaults(what="list", json=False)
    add = what.add_parser("add", help="set up a channel; what is missing is asked for at a terminal")
    add.add_argument("kind", help=f"one of {', '.join(sorted(registry.KINDS))}")
    add.add_argument("given", nargs="*", metavar="[NAME] KEY=VALUE", help="e.g. work address=me@example.org")
    _secret_flag(add)
    add.add_argument("--no-probe", action="store_true", help="do not try it afterwards")
    for name, text, many in (
        ("list", "the channels", ""),
        ("status", "where each secret is, how fresh the messages are", "?"),
        ("probe", "log in really, everywhere", "?"),
        ("sync", "fetch what is new", "?"),
    ):
        made = what.add_parser(name, help=text)
        if many:
            made.add_argument("name", nargs=many)
        made.add_argument("--json", action="store_true")
        if name == "sync":
            made.add_argument("--past", type=_days, metavar="DAYS", help="also what has lain there for that long")
    secret = what.add_parser("secret", help="store a channel's secret anew")
    secret.add_argument("name")
    _secret_flag(secret)
    gone = what.add_parser("rm", help="remove a channel and its secrets")
    gone.add_argument("name")
    gone.add_argument("--messages", action="store_true", help="the messages that came through it too")


def _secret_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--secret-stdin", action="store_true", help="read the secret from standard input")
    parser.add_argument("--json", action="store_true")


def _days(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days above 0")
    return value


def run(args: argparse.Namespace) -> int:
    done = {"add": _add, "list": _list, "status": _status, "probe": _probe, "sync": _sync, "secret": _secret, "rm": _remove}
    return done[args.what](args)


def _add(args: argparse.Namespace) -> int:
    kind = registry.kind(args.kind)
    name, options = _given(args.given, args.kind, kind)
    if name in channels.load():
        raise UsageError(f"There is a channel {name!r} already.", f"Remove it with `localagent channels rm {name}`.")
    person = sys.stdin.isatty() and sys.stderr.isatty()
    for field in kind.fields:
        if field.needed and not field.secret and field.name not in options:
            options[field.name] = _asked(field.question, field.name, person)
    hint = kind.hint(options)
    options = kind.complete(options)
    registry.make(Configured(name, args.kind, options, "the new channel"))
    fields = _wanted(kind, options, also_optional=args.secret_stdin)
    if fields and hint and not args.json:
        print(hint, file=sys.stderr)
    secrets = {field.name: _read_secret(field.question, args.secret_stdin, person) for field in fields}
    channels.add(name, args.kind, options)
    kept = {field: credentials.store(name, field, secret) for field, secret in secrets.items()}
    if args.json:
        _dump({"name": name, "kind": args.kind, "options": options, "secrets": kept})
    else:
        where = "".join(f"; its {field} is in {_place(place)}" for field, place in kept.items())
        print(f"Added {name} ({args.kind}) to {channels.path()}{where}.")
    if args.no_probe or args.json:
        return 0
    return _say_health(name, _with(channels.one(name), lambda channel: channel.probe()))


def _given(given: Sequence[str], kind_name: str, kind: registry.Kind) -> tuple[str, dict[str, Any]]:
    """The name and the settings of the command line; a secret has no place on it, where others can read it."""
    listed = list(given)
    name = listed.pop(0) if listed and "=" not in listed[0] else kind_name
    options: dict[str, Any] = {}
    known = [field.name for field in kind.fields]
    for one in listed:
        key, equals, value = one.partition("=")
        if not equals:
            raise UsageError(f"{one!r} is not KEY=VALUE.", f"The settings of {kind_name} are: {', '.join(known)}.")
        secret = any(field.secret and field.name == key for field in kind.fields)
        if secret or channels.is_secret(key):
            raise UsageError(f"{key} is a secret: the command line can be read by others.", "Type it when asked, or use --secret-stdin.")
        if key not in known and not key.endswith("_command"):
            raise UsageError(f"There is no setting {key!r} for {kind_name}.", f"There are: {', '.join(known)}.")
        options[key] = int(value) if value.isascii() and value.isdecimal() and key.endswith("_port") else value
    return name, options


def _wanted(kind: registry.Kind, options: dict[str, Any], *, also_optional: bool) -> list[registry.Field]:
    """The secrets that no command gives."""
    if any(key.endswith("_command") and options[key] for key in options):
        return []
    return [field for field in kind.fields if field.secret and (field.needed or also_optional)]


def _asked(question: str, name: str, person: bool) -> str:
    if not person:
        raise UsageError(f"{name} is missing.", f"Give it as {name}=...")
    print(f"{question}: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line.strip():
        raise UsageError(f"{name} is missing.")
    return line.strip()


def _read_secret(question: str, from_stdin: bool, person: bool) -> str:
    if from_stdin:
        secret = sys.stdin.readline(_LONGEST_SECRET)
    elif person:
        secret = getpass.getpass(f"{question} (not shown): ", stream=sys.stderr)
    else:
        raise UsageError("The secret is missing.", "Give it on standard input with --secret-stdin.")
    secret = secret.strip("\r\n")
    if not secret.strip() or any(ord(ch) < 32 or ord(ch) == 127 for ch in secret):
        raise UsageError("The secret is empty, or holds a control character.")
    return secret


def _place(place: str) -> str:
    return "the keyring" if place == "keyring" else str(credentials.path())


def _list(args: argparse.Namespace) -> int:
    known = channels.load()
    if args.json:
        _dump([{"name": one.name, "kind": one.kind, "options": dict(one.options)} for one in known.values()])
    elif not known:
        print(f"There are no channels. Add one with `localagent channels add {sorted(registry.KINDS)[0]}`.")
    else:
        for one in known.values():
            print(visible(f"{one.name}  {one.kind}  {one.options.get('address', '')}".rstrip(), lines=False))
    return 0


def _chosen(name: str | None) -> list[Configured]:
    return [channels.one(name)] if name else list(channels.load().values())


def _status(args: argparse.Namespace) -> int:
    rows = []
    with Inbox() as inbox:
        for one in _chosen(args.name):
            kind = registry.kind(one.kind)
            secrets = {}
            for field in (each for each in kind.fields if each.secret):
                command = one.options.get(f"{field.name}_command")
                place = "a command" if command else credentials.where(one.name, field.name)
                if place or field.needed:
                    secrets[field.name] = place
            if one.options.get("token_command"):
                secrets = {"token": "a command"}
            state = inbox.state(one.name)
            rows.append(
                {
                    "name": one.name,
                    "kind": one.kind,
                    "secrets": secrets,
                    "messages": inbox.count(one.name),
                    "reached": state.reached or None,
                    "failed": state.reason if state.failed > state.reached else None,
                }
            )
    if args.json:
        _dump(rows)
        return 0
    for row in rows:
        held = ", ".join(f"{field}: {place or 'MISSING'}" for field, place in row["secrets"].items())
        text = f"{row['name']}  {row['kind']}  {held or 'no secret'}  {row['messages']} messages, {syncing.age(row['reached'] or 0)}"
        print(visible(f"{text}; last try: {row['failed']}" if row["failed"] else text, lines=False))
    return 0


def _probe(args: argparse.Namespace) -> int:
    found = {one.name: _with(one, lambda channel: channel.probe()) for one in _chosen(args.name)}
    if args.json:
        _dump([{"name": name, "ok": h.ok, "sends": h.sends, "receives": h.receives, "detail": h.detail} for name, h in found.items()])
        return 0 if all(health.ok for health in found.values()) else 1
    return max([_say_health(name, health) for name, health in found.items()], default=0)


def _say_health(name: str, health: Any) -> int:
    print(visible(f"{name}: {'ok' if health.ok else 'PROBLEM'}: {health.detail}", lines=False))
    return 0 if health.ok else 1


def _sync(args: argparse.Namespace) -> int:
    rows, failed = [], False
    with Inbox() as inbox:
        for one in _chosen(args.name):

            async def look(channel: Channel, name: str = one.name) -> list[syncing.Synced]:
                if not isinstance(channel, Receiver):
                    return []
                done = [await syncing.sync(name, channel, inbox, seconds=120)]
                if args.past and done[0].reached and isinstance(channel, syncing.Keeper):
                    done.append(await syncing.past(name, channel, inbox, time.time() - args.past * 86400))
                return done

            done = _with(one, look)
            new, detail = sum(len(found.new) for found in done), " ".join(found.detail for found in done if found.detail)
            failed = failed or bool(detail)
            rows.append({"name": one.name, "new": new, "messages": inbox.count(one.name), "failed": detail or None})
        inbox.prune()
    if args.json:
        _dump(rows)
    else:
        for row in rows:
            text = f"{row['name']}: {row['new']} new, {row['messages']} in all"
            print(visible(f"{text}; {row['failed']}" if row["failed"] else text, lines=False))
    return 1 if failed else 0


def _secret(args: argparse.Namespace) -> int:
    one = channels.one(args.name)
    fields = _wanted(registry.kind(one.kind), dict(one.options), also_optional=True)
    if not fields:
        raise UsageError(f"The channel {one.name} has no secret of its own to store.", f"See {one.place}.")
    person = sys.stdin.isatty() and sys.stderr.isatty()
    kept = {f.name: credentials.store(one.name, f.name, _read_secret(f.question, args.secret_stdin, person)) for f in fields}
    if args.json:
        _dump({"name": one.name, "secrets": kept})
    else:
        print("".join(f"The {field} of {one.name} is in {_place(place)}.\n" for field, place in kept.items()), end="")
    return 0


def _remove(args: argparse.Namespace) -> int:
    one = channels.one(args.name)
    fields = [field.name for field in registry.kind(one.kind).fields if field.secret] if one.kind in registry.KINDS else []
    channels.remove(one.name)
    credentials.forget(one.name, *fields)
    shut = Gate().forget(one.name)
    with Inbox() as inbox:
        left = inbox.count(one.name)
        if args.messages:
            inbox.forget(one.name)
    kept = f" Its {left} messages stay; --messages removes them too." if left and not args.messages else ""
    heard = f" Its {shut} paired {'sender is' if shut == 1 else 'senders are'} shut out." if shut else ""
    print(f"Removed {one.name} and its secrets.{heard}{kept}")
    return 0


def _with(configured: Configured, work: Callable[[Channel], Any]) -> Any:
    """What the work on this channel gives; the channel is closed behind it."""

    async def run() -> Any:
        channel = registry.make(configured)
        try:
            return await work(channel)
        finally:
            with contextlib.suppress(ChannelError):
                await channel.aclose()

    return asyncio.run(run())


def _dump(found: Any) -> None:
    json.dump(found, sys.stdout, ensure_ascii=False, indent=1)
    print()
