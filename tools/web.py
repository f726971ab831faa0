"""Read pages of the web, search it, and save files from it."""

from __future__ import annotations

import contextlib
import email.message
import gzip
import http.client
import json
import os
import re
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent import Result, ToolError, Write, tool

_SECONDS = 30.0
_PAGE_BYTES = 5_000_000
_FILE_BYTES = 100_000_000
_TEXT_CHARS = 400_000
_FOUND = 8
_NAME_BYTES = 200
_SAID = 300
_AGENT = "Mozilla/5.0 (compatible; localagent; a person asked for this page)"
# Of a style without its spaces: what is not drawn, has no size, lies far beside the page or is as clear as glass.
_NONE = r"0*\.?0*(?:px|r?em|pt|%|vh|vw)?(?:[;!]|$)"
_UNSEEN = re.compile(
    rf"display:none|visibility:(?:hidden|collapse)|content-visibility:hidden|(?:^|;)(?:opacity|font-size):{_NONE}"
    r"|(?:^|;)(?:left|right|top|bottom|text-indent|margin(?:-left|-top)?):-\d{4,}|translate\w*\((?:[^)]*,)?-\d{4,}|scale\w*\(0*\.?0*[,)]"
    r"|(?:^|;)color:(?:transparent|rgba\([\d.]+,[\d.]+,[\d.]+,0*\.?0*\))|(?:^|;)clip:rect\(|clip-path:(?:inset\((?:50|100)%|circle\(0)",
    re.IGNORECASE,
)
_SMALL = re.compile(rf"(?:^|;)(?:max-)?(?:width|height):{_NONE}", re.IGNORECASE)
_STYLE_NOISE = re.compile(r"/\*.*?\*/|\s+", re.DOTALL)
_HOST = re.compile(r"[a-z0-9_.-]{1,253}")
_DRAWN_AS_NOTHING = frozenset(("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"))
_NOISE = (
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "iframe",
    "form",
    "nav",
    "header",
    "footer",
    "aside",
    "head",
    "datalist",
    "canvas",
    "audio",
    "video",
    "object",
    "noframes",
    "noembed",
)
_BLANKS = re.compile(r"\n{3,}")
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_-]{1,40})", re.IGNORECASE)


@tool(effects=["net"], timeout=90)
def fetch_page(url: str) -> str:
    """Read a web page (or a text, JSON or XML file of the web) as plain text.

    Args:
        url: the address, beginning with https://
    """
    answer = _get(_address(url), _PAGE_BYTES)
    kind = answer.kind
    if kind in ("text/html", "application/xhtml+xml"):
        text = _page(answer.text())
    elif kind.startswith("text/") or kind.endswith(("json", "xml", "javascript", "yaml")):
        text = _drawn(answer.text())
    else:
        raise ToolError(
            f"{answer.url} is no text but {kind or 'of an unknown kind'}. Save it with download_file instead."
        )
    cut = f"\n[only the first {_TEXT_CHARS} characters]" if len(text) > _TEXT_CHARS else ""
    short = "\n[the page is longer than what was read of it]" if answer.cut else ""
    return f"{answer.url}\n\n{text[:_TEXT_CHARS].strip() or 'The page holds no text.'}{cut}{short}"


@tool(effects=["net", "write:fs"], timeout=600)
def download_file(url: str, path: Path) -> Result:
    """Save a file of the web, as it is, under a path in the workspace.

    Args:
        url: the address, beginning with https://
        path: the new file; a folder keeps the name that the address gives
    """
    address = _address(url)
    target = Path(path)
    if target.is_dir() or str(path).endswith(("/", os.sep)):
        name = _drawn(Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name).strip()
        if not name or len(name.encode("utf-8", "replace")) > _NAME_BYTES:
            raise ToolError("The address names no file that could be one here; give the path a name.")
        target = target / name
    if target.exists():
        raise ToolError(f"{target} is there already; choose another name.")
    answer = _get(address, _FILE_BYTES, plain=False)
    if answer.cut:
        raise ToolError(f"The file is larger than {_FILE_BYTES // 1_000_000} MB; nothing was saved.")
    return Result(
        f"Saved {len(answer.body)} bytes ({answer.kind or 'unknown kind'}) as {target}.", [Write(target, answer.body)]
    )


@tool(effects=["net"], timeout=60)
def search_web(query: str) -> str:
    """Search the web and get titles, addresses and a few words of the best pages. Then read one with fetch_page.

    Args:
        query: a few words, as for a search engine
    """
    endpoint = os.environ.get("LOCALAGENT_SERVICE", "")
    if not endpoint:
        raise ToolError("No search service is set. The user sets one with: localagent config set search_url ADDRESS")
    answer = _get(
        endpoint.replace("{query}", urllib.parse.quote_plus(query)),
        _PAGE_BYTES,
        accept="application/json, text/html;q=0.5",
    )
    text = answer.text()
    try:
        hits = list(_hits(json.loads(text)))
    except (ValueError, RecursionError):
        hits = list(_links(text, answer.url))
    if not hits:
        return f"Nothing was found for {query!r}. Try other words."
    return "\n".join(
        f"{number}. {hit.title}\n   {hit.url}" + (f"\n   {hit.text}" if hit.text else "")
        for number, hit in enumerate(hits[:_FOUND], 1)
    )


# ---------------------------------------------------------------- asking


@dataclass(frozen=True, slots=True)
class _Answer:
    """`kind` is the media type, `cut` that there was more than was read."""

    url: str
    kind: str
    charset: str
    body: bytes
    cut: bool

    def text(self) -> str:
        named = self.charset or (m[1].decode() if (m := _CHARSET.search(self.body[:4096])) else "")
        for charset in filter(None, ("utf-8-sig" if self.body.startswith(b"\xef\xbb\xbf") else "", named, "utf-8")):
            with contextlib.suppress(LookupError, UnicodeError):
                return self.body.decode(charset)
        return self.body.decode("cp1252" if not named else "utf-8", "replace")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows redirects on the same site only: another host was not agreed to."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            raise ToolError(f"{req.full_url} leads to {newurl[:500]}, which is not followed.")
        if _site(old.hostname) != _site(new.hostname):
            raise ToolError(
                f"{req.full_url} leads to another site: {newurl[:500]}. If that is wanted, call this tool with that address."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _site(host: str | None) -> str:
    return (host or "").lower().removeprefix("www.")


def _address(text: str) -> str:
    """The address with its host in plain letters. Raises ToolError."""
    text = text.strip()
    if "//" not in text:
        text = f"https://{text}"
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ToolError(f"{text[:200]!r} is no address.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ToolError(f"{text[:200]!r} is no address of the web; it must begin with https:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise ToolError("An address with a name or password in it is not opened.")
    if not host.isascii():
        import idna

        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise ToolError(f"{host[:100]!r} is no name of a host.") from None
    # What stands for letters (%65) would be another host for whoever connects than for whoever was asked.
    if not _HOST.fullmatch(host):
        raise ToolError(f"{host[:100]!r} is no name of a host.")
    place = host if port is None else f"{host}:{port}"
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return urllib.parse.urlunsplit((parts.scheme, place, path, query, ""))


def _get(address: str, most: int, *, plain: bool = True, accept: str = "text/html, text/*;q=0.9, */*;q=0.5") -> _Answer:
    """Raises ToolError with what to do about it."""
    # A service of the user's own on this machine is reached by the same way as all others.
    for name in ("no_proxy", "NO_PROXY"):
        os.environ.pop(name, None)
    headers = {"User-Agent": _AGENT, "Accept": accept, **({"Accept-Encoding": "gzip"} if plain else {})}
    opener = urllib.request.build_opener(_Stay)
    host = urllib.parse.urlsplit(address).hostname
    try:
        with opener.open(urllib.request.Request(address, headers=headers), timeout=_SECONDS) as reply:
            body = reply.read(most + 1)
            head: email.message.Message = reply.headers
            url = reply.geturl()
    except urllib.error.HTTPError as error:
        raise ToolError(f"{address} answered {error.code} {error.reason}.{_advice(error)}") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        told = getattr(error, "reason", "") or f"{type(error).__name__}: {error}"[:_SAID]
        raise ToolError(f"{host} could not be reached: {told}.") from None
    cut, body = len(body) > most, body[:most]
    if head.get("Content-Encoding", "").strip().lower() == "gzip":
        body, more = _unpacked(body, most)
        cut = cut or more
    return _Answer(
        url,
        head.get_content_type() if head.get("Content-Type") else _guessed(body),
        head.get_content_charset() or "",
        body,
        cut,
    )


def _advice(error: urllib.error.HTTPError) -> str:
    if error.code in (404, 410):
        return " There is no such page."
    if error.code in (401, 403, 429):
        return " The site does not want to be read by a program now."
    return ""


def _guessed(body: bytes) -> str:
    head = body[:512].lstrip().lower()
    return (
        "text/html"
        if head.startswith((b"<!doctype html", b"<html"))
        else "text/plain"
        if b"\0" not in body[:4096]
        else ""
    )


def _unpacked(body: bytes, most: int) -> tuple[bytes, bool]:
    """Raises ToolError where it is not what it says to be."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        made = unpacker.decompress(body, most)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ToolError(f"The answer is damaged: {error}.") from None
    return made, bool(unpacker.unconsumed_tail)


# ---------------------------------------------------------------- reading


def _page(html: str) -> str:
    """The visible words of a page, with headings, lists, tables and links."""
    from bs4 import BeautifulSoup
    from bs4.element import PreformattedString
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(html, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    # Comments, and what a browser takes for one.
    for unseen in soup.find_all(string=lambda text: isinstance(text, PreformattedString)):
        unseen.extract()
    for link in soup.find_all(title=True):
        del link["title"]
    for one in soup.find_all(_hidden):
        if not one.decomposed:
            one.decompose()
    body = next(
        (
            found
            for name in ("main", "article", "body")
            if (found := soup.find(name)) and len(found.get_text(strip=True)) > 200
        ),
        soup,
    )
    try:
        text = MarkdownConverter(
            heading_style="ATX",
            bullets="-",
            escape_misc=False,
            escape_underscores=False,
            escape_asterisks=False,
            strip=["img"],
        ).convert_soup(body)
    except RecursionError:
        text = body.get_text("\n")
    lines = (line.rstrip() for line in _drawn(text).splitlines())
    told = _BLANKS.sub("\n\n", "\n".join(lines)).strip()
    title = _drawn(title)
    return told if not title or title in told[:300] else f"{title}\n\n{told}"


def _drawn(text: str) -> str:
    """Without the characters that nobody sees."""
    joiners = "\u200c\u200d"
    return "".join(c for c in text if c in "\n\t" or c in joiners or unicodedata.category(c) not in _DRAWN_AS_NOTHING)


def _hidden(one: Any) -> bool:
    """What a reader of the page would not see, or what is around its text on every page of the site."""
    style = _STYLE_NOISE.sub("", str(one.attrs.get("style") or ""))
    return (
        one.name in _NOISE
        or (one.name == "dialog" and "open" not in one.attrs)
        or "hidden" in one.attrs
        or one.attrs.get("aria-hidden") == "true"
        or _UNSEEN.search(style) is not None
        or ("overflow:hidden" in style.lower() and _SMALL.search(style) is not None)
    )


@dataclass(frozen=True, slots=True)
class _Hit:
    title: str
    url: str
    text: str


def _hits(answer: Any, depth: int = 0) -> Iterator[_Hit]:
    """The first list of objects with addresses, wherever a service puts it."""
    if isinstance(answer, list):
        made = [hit for one in answer if isinstance(one, Mapping) and (hit := _hit(one))]
        if made:
            yield from made
            return
    inner: Sequence[Any] = (
        list(answer.values()) if isinstance(answer, Mapping) else answer if isinstance(answer, list) else ()
    )
    for one in inner if depth < 5 else ():
        if found := list(_hits(one, depth + 1)):
            yield from found
            return


def _hit(one: Mapping[str, Any]) -> _Hit | None:
    def first(*names: str) -> str:
        return next((value for name in names if isinstance(value := one.get(name), str) and value.strip()), "")

    url = first("url", "link", "href")
    if not url.startswith(("http://", "https://")):
        return None
    return _Hit(
        _line(first("title", "name", "heading")) or url,
        _drawn("".join(url.split())),
        _line(first("content", "description", "snippet", "text", "body")),
    )


def _line(text: str) -> str:
    plain = _drawn(re.sub(r"<[^>]{1,200}>", "", text))
    return " ".join(plain.split())[:_SAID]


def _links(html: str, base: str) -> Iterator[_Hit]:
    """The links of a page of results that lead to other sites."""
    from bs4 import BeautifulSoup

    seen: set[str] = set()
    for link in BeautifulSoup(html, "html.parser").find_all("a", href=True):
        url = urllib.parse.urljoin(base, str(link["href"]))
        wrapped = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query).get("uddg")
        url = wrapped[0] if wrapped else url
        title = _line(link.get_text(" ", strip=True))
        if (
            not url.startswith(("http://", "https://"))
            or not title
            or _site(urllib.parse.urlsplit(url).hostname) == _site(urllib.parse.urlsplit(base).hostname)
            or url in seen
        ):
            continue
        seen.add(url)
        yield _Hit(title, url, "")
