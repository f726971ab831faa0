"""`localagent tools new|check|secret`: write a plugin of one's own, try one in the sandbox, give one a secret."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..agent.shown import change_lines, visible
from ..errors import LocalAgentError, UsageError
from ..sandbox import launch
from ..store import toolkeys, trusted
from ..store.workspace import folder
from ..toolbox import header, places, trying
from ..toolbox.places import Place

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PLUGIN = '''"""What {name} is for, for whoever reads this file."""

from localagent import ToolError, tool


@tool(effects=["compute"])
def {name}(text: str, most: int = 10) -> str:
    """List the longest words of a text.

    Args:
        text: The text to look through.
        most: How many words at most.
    """
    words = sorted(set(text.split()), key=lambda word: (-len(word), word))
    if not words:
        raise ToolError("There is no word in the text. Give one with words.")
    return "\\n".join(words[:most])
'''
_TEST = '''"""Run it with: python -m pytest {test}"""

import importlib.util
from pathlib import Path

import pytest
from localagent import ToolError

spec = importlib.util.spec_from_file_location("{name}", Path(__file__).parents[1] / "{name}.py")
plugin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plugin)


def test_the_longest_come_first():
    assert plugin.{name}("a bee sees a beetle", most=2) == "beetle\\nsees"


def test_a_text_without_words_is_an_error_that_says_what_to_do():
    with pytest.raises(ToolError, match="Give one"):
        plugin.{name}(" ")
'''


def configure(what: Any) -> None:
    new = what.add_parser("new", help="write a plugin with its test into your plugin folder; it is on at once")
    new.add_argument("name", metavar="NAME", help="what the model calls the tool: lower-case letters, digits and _")
    check = what.add_parser("check", help="describe a plugin file, and run a tool of it in its sandbox; nothing it proposes is done")
    check.add_argument("file", metavar="FILE")
    check.add_argument("--call", metavar="JSON", help="arguments to run it with, as an object")
    check.add_argument("--tool", metavar="NAME", help="which of its tools to run (default: the first)")
    check.add_argument("--grant", action="store_true", help="let it have its secrets and the network though it is not confirmed")
    check.add_argument("--install", action="store_true", help="install the packages that its header names, for it alone")
    check.add_argument("--json", action="store_true")
    secret = what.add_parser("secret", help="store a secret that a plugin asks for by name; no name: list those stored")
    secret.add_argument("name", metavar="NAME", nargs="?")
    secret.add_argument("--forget", action="store_true", help="remove it")
    secret.add_argument("--stdin", action="store_true", help="read it from standard input")


def run(args: argparse.Namespace) -> int:
    return {"new": _new, "check": _check, "secret": _secret}[args.what](args)


def _new(args: argparse.Namespace) -> int:
    if not _NAME.fullmatch(args.name):
        raise UsageError(f"{visible(args.name, lines=False)!r} is no tool name.", "Use lower-case letters, digits and _.")
    file = trusted.plugins_folder() / f"{args.name}.py"
    test = file.parent / "tests" / f"test_{args.name}.py"
    if there := next((path for path in (file, test) if path.exists()), None):
        raise UsageError(f"{there} is there already.", "Choose another name.")
    test.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = _PLUGIN.format(name=args.name).encode()
    test.write_text(_TEST.format(name=args.name, test=test), "utf-8")
    file.write_bytes(data)
    trusted.confirm(file, data)
    print(f"{file}\n{test}")
    call = json.dumps({"text": "to be or not to be"})
    print(f"It is on. Change it, then try it:\n  localagent tools check {file} --call '{call}'", file=sys.stderr)
    print(f"and have the changed one on:\n  localagent tools trust {file.name}", file=sys.stderr)
    return 0


def _secret(args: argparse.Namespace) -> int:
    from ..toolbox.derive import SECRET

    if args.name is None:
        for name in sorted(toolkeys.names()):
            print(name)
        return 0
    if not SECRET.match(args.name):
        raise UsageError(f"{visible(args.name, lines=False)!r} is no name of a secret.", "It looks like WEATHER_API_KEY.")
    if args.forget:
        print(f"{args.name} is {'forgotten' if toolkeys.forget(args.name) else 'not stored'}.")
        return 0
    if args.stdin:
        secret = sys.stdin.readline()
    elif sys.stdin.isatty():
        secret = getpass.getpass(f"{args.name} (not shown): ", stream=sys.stderr)
    else:
        raise UsageError("The secret is missing.", "Give it on standard input with --stdin.")
    secret = secret.strip("\r\n")
    if not secret.strip() or any(ord(char) < 32 or ord(char) == 127 for char in secret):
        raise UsageError("The secret is empty, or holds a control character.")
    place = toolkeys.store(args.name, secret)
    print(f"{args.name} is kept in {'the keyring' if place == 'keyring' else 'a file for you alone'}. Only tools that ask for it get it.")
    return 0


# ---------------------------------------------------------------- check


def _check(args: argparse.Namespace) -> int:
    file = Path(args.file).expanduser().resolve()
    if not file.is_file():
        raise UsageError(f"There is no file {visible(args.file, lines=False)!r}.")
    given = _arguments(args.call)
    known = next((place for place in places.everywhere(folder(None)) if place.file == file), Place(file, label="a file"))
    with tempfile.TemporaryDirectory(prefix="localagent-check-", ignore_cleanup_errors=True) as room:
        try:
            tried = asyncio.run(_tried(known, given, args, Path(room)))
        except LocalAgentError as error:
            if not args.json:
                raise
            tried = trying.Tried(file, problems=(str(error),))
    if args.json:
        json.dump(tried.as_json(), sys.stdout, ensure_ascii=False, indent=1)
        print()
    else:
        _say(tried, called=given is not None)
    return 0 if tried.ok else 1


async def _tried(place: Place, given: Any, args: argparse.Namespace, room: Path) -> trying.Tried:
    from ..store import settings

    needs = header.read(place.file.read_text("utf-8-sig", "replace")).needs
    if needs and args.install:
        from ..toolbox import libs

        await libs.install(place.file.read_bytes(), needs, settings.load().index_url)
    show = None if args.json else _live
    unsandboxed = launch.probe().name == "none"
    return await trying.tried(place, given, args.tool, folder(None), room, show=show, grant=args.grant, unsandboxed=unsandboxed)


def _arguments(call: str | None) -> Any:
    if call is None:
        return None
    try:
        return json.loads(call)
    except ValueError as error:
        raise UsageError(f"--call is not JSON: {error}.", """Write for example --call '{"text": "a b"}'.""") from None


def _live(text: str) -> None:
    sys.stderr.write(visible(text))
    sys.stderr.flush()


def _say(tried: trying.Tried, *, called: bool) -> None:
    for spec in tried.specs:
        asks = ", ".join(spec.effects) or "effects not declared: asks every time"
        print(f"{spec.name} ({asks}), {spec.timeout:g} s at most: {visible(spec.description, lines=False)}")
        for name, one in (spec.parameters.get("properties") or {}).items():
            due = "" if name in spec.parameters.get("required", ()) else ", optional"
            said = {key: value for key, value in one.items() if key != "description"}
            about = visible(str(one.get("description", "")), lines=False)
            print(f"  {name}{due}: {visible(json.dumps(said, ensure_ascii=False), lines=False)}{f'  {about}' if about else ''}")
        for told in (*(f"reaches {host}" for host in spec.hosts), *(f"needs the secret {name}" for name in spec.secrets)):
            print(f"  {told}")
        if spec.confirm:
            print("  asks before each call")
    for problem in tried.problems:
        print(f"problem: {visible(problem, lines=False)}", file=sys.stderr)
    if tried.result is None:
        if tried.ok and not called:
            print("It can be loaded. Run it with --call JSON.", file=sys.stderr)
        return
    for note in tried.notes:
        print(f"note: {visible(note, lines=False)}", file=sys.stderr)
    print(f"\n{tried.tool}: {tried.result.status} after {tried.seconds:.2f} s")
    print(visible(tried.result.text))
    wishes = [*tried.result.requests, *tried.result.messages]
    if wishes:
        print("It asked for this, and nothing of it was done:")
        for line in change_lines(wishes, str(folder(None))):
            print(f"  {line}")
