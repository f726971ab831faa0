"""What the browser loads: a fixed list of files, each from this package, and the headers that keep it to them."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FILES = {
    "/": "index.html",
    "/page.js": "page.js",
    "/styles.js": "styles.js",
    "/page.css": "page.css",
    "/enter.js": "enter.js",
    "/icon.svg": "icon.svg",
    "/xterm/xterm.js": "xterm/xterm.js",
    "/xterm/xterm.css": "xterm/xterm.css",
    "/xterm/addon-fit.js": "xterm/addon-fit.js",
    "/xterm/addon-unicode-graphemes.js": "xterm/addon-unicode-graphemes.js",
}
_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Page:
    body: bytes
    kind: str


def headers(host: str = "") -> dict[str, str]:
    """Those of every answer. `host` is our own name in the request, once it is known to be ours."""
    # Not every browser counts a websocket among what is our own.
    sockets = f"; connect-src 'self' ws://{host}" if host else ""
    return {"content-security-policy": _POLICY + sockets} | _HEADERS


def find(path: str) -> Page | None:
    """The file at this path of ours, None where there is none."""
    name = FILES.get(path)
    return None if name is None else _read(name)


def enter(key: str) -> Page:
    """The page of the first visit: it keeps the key and goes on to the app, by which the token leaves the address bar."""
    page = _read("enter.html")
    return Page(page.body.replace(b"{key}", html.escape(key).encode()), page.kind)


@cache
def _read(name: str) -> Page:
    path = _FOLDER / name
    return Page(path.read_bytes(), f"{_TYPES[path.suffix]}; charset=utf-8")
