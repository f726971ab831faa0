"""`localagent web`: the app in a browser on this machine, until Ctrl+C."""

from __future__ import annotations

import argparse
import contextlib
import html
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..store import paths
from ..store.atomic import write_atomic

if TYPE_CHECKING:
    from ..serve.web.server import Server


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=_port, metavar="N", help="the port to listen on (default: 8412, or a free one; 0 takes any free one)"
    )
    parser.add_argument(
        "--open", action=argparse.BooleanOptionalAction, default=False, help="open it in the browser of this desktop"
    )
    parser.epilog = (
        "Prints an address that holds a secret: whoever opens it can do what you can do in the app. It works on this "
        "machine only, and for as long as the command runs. Each tab is an app of its own, in the folder the command was "
        "started in. A reload finds its app again; when a tab has been closed for a minute, its app ends, and "
        "`localagent resume` goes on with the conversation."
    )


def run(args: argparse.Namespace, open_server: Callable[[int | None], Server]) -> int:
    """`open_server(port)` makes the server; it listens when `run` says so."""
    if os.name == "nt":
        print("localagent: `localagent web` needs Linux or macOS; on Windows use WSL.", file=sys.stderr)
        return 1
    server = open_server(args.port)
    with _opener(server.address) if args.open else contextlib.nullcontext(lambda: None) as opened:

        def ready() -> None:
            print(f"The app is at {server.address}", flush=True)
            print("The address is for you alone: it opens the app. Ctrl+C ends it.", file=sys.stderr, flush=True)
            opened()

        server.run(ready, _stopping)
    return 0


def _stopping(apps: int) -> None:
    ending = {0: "No app was open.", 1: "One app ends."}.get(apps, f"{apps} apps end.")
    kept = " Conversations are kept: `localagent resume`." if apps else ""
    print(f"\nlocalagent: the web server stops. {ending}{kept}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _opener(address: str) -> Iterator[Callable[[], None]]:
    """Opens the browser by a file that only we can read: other users see the command lines of our programs."""
    path = paths.runtime_dir() / f"open-{os.getpid()}.html"
    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(address)}"><title>localagent</title>\n'

    def opened() -> None:
        if not _has_desktop():
            print("localagent: there is no desktop here to open a browser on; open the address yourself.", file=sys.stderr)
            return
        import threading
        import webbrowser

        write_atomic(path, page.encode())
        threading.Thread(target=webbrowser.open, args=(path.as_uri(),), daemon=True, name="browser").start()

    try:
        yield opened
    finally:
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)


def _has_desktop() -> bool:
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)
