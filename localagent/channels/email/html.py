"""HTML of a mail as plain text: what a person would see of it, and where its links lead. Pure, in time linear in its length.

A tokenizer of our own, because the library's takes hours for a few kilobytes made for that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

from . import hidden
from .words import block

MOST = 2_000_000
"""Characters of HTML that are read."""
_LONGEST_TAG = 100_000
_TAG = re.compile(r"[a-zA-Z][a-zA-Z0-9:-]{0,40}")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]{1,60})(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?""")
_QUOTED = re.compile(r"=\s*([\"'])")
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_RAW = frozenset("script style textarea title xmp iframe noembed noframes".split())
_NEVER = frozenset("script style title template head object svg math select textarea iframe noembed noframes xmp audio video".split())
_BLOCKS = frozenset(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr li main nav ol p pre section summary table tbody tfoot thead tr ul".split()
)
_APART = frozenset("p h1 h2 h3 h4 h5 h6 table ul ol blockquote pre dl".split())
_CLOSES = {
    **{"li": ("li",), "p": ("p",), "td": ("td", "th"), "th": ("td", "th")},
    **{"tr": ("tr", "td", "th"), "dt": ("dt", "dd"), "dd": ("dt", "dd")},
}


@dataclass(frozen=True, slots=True)
class _Piece:
    """`tag` is "" for text; `end` for a closing tag."""

    tag: str
    text: str = ""
    end: bool = False
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    tag: str
    look: hidden.Look
    link: str = ""
    line: int = 0
    column: int = 0


def to_text(html: str) -> str:
    """The text of the page."""
    writer = _Writer()
    for piece in _pieces(html[:MOST]):
        writer.take(piece)
    return writer.finished()


def _pieces(html: str) -> Iterator[_Piece]:
    at, end = 0, len(html)
    while at < end:
        begin = html.find("<", at)
        if begin < 0:
            yield _Piece("", html[at:])
            return
        if begin > at:
            yield _Piece("", html[at:begin])
        if html.startswith("<!--", begin):
            # `<!-->` and `<!--->` are whole comments.
            close = html.find("-->", begin + 2)
            at = close + 3 if close >= 0 else end
        elif html.startswith(("<!", "<?"), begin):
            close = html.find(">", begin)
            at = close + 1 if close >= 0 else end
        else:
            piece, at = _tag(html, begin)
            if piece is None:
                yield _Piece("", "<")
                continue
            yield piece
            if piece.tag in _RAW and not piece.end:
                at, inner = _raw(html, at, piece.tag)
                yield _Piece("", inner)


def _tag(html: str, begin: int) -> tuple[_Piece | None, int]:
    """The tag at `<`, and where it ends; None where it is none. One that never ends swallows the rest, as in browsers."""
    closing = html.startswith("</", begin)
    name = _TAG.match(html, begin + 1 + closing)
    if name is None:
        if not closing:
            return None, begin + 1
        close = html.find(">", begin)
        return _Piece(""), close + 1 if close >= 0 else len(html)
    at = name.end()
    while True:
        close = html.find(">", at)
        if close < 0:
            return _Piece(""), len(html)
        quote = _quote(html, at, close)
        if quote < 0:
            break
        at = html.find(html[quote], quote + 1) + 1
        if at <= 0:
            return _Piece(""), len(html)
    text = html[name.end() : close][:_LONGEST_TAG]
    attributes = {} if closing else _attributes(text)
    return _Piece(name[0].lower(), end=closing, attributes=attributes), close + 1


def _quote(html: str, begin: int, close: int) -> int:
    """Where a quoted value begins in this part of a tag, -1 where none does: quotes count behind a `=` only."""
    match = _QUOTED.search(html, begin, close)
    return match.start(1) if match else -1


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        value = match[2] or ""
        if value[:1] in ("'", '"'):
            value = value[1:-1]
        # The first of a name counts.
        found.setdefault(match[1].lower(), unescape(value))
        if len(found) > 100:
            break
    return found


_ENDS = {tag: re.compile(f"</{tag}(?![a-z0-9])", re.IGNORECASE) for tag in _RAW}


def _raw(html: str, at: int, tag: str) -> tuple[int, str]:
    match = _ENDS[tag].search(html, at)
    return (match.start(), html[at : match.start()]) if match else (len(html), html[at:])


class _Writer:
    def __init__(self) -> None:
        self._open: list[_Open] = [_Open("", hidden.Look())]
        self._depths: Counter[str] = Counter()
        self._never = 0
        self._pre = 0
        self._styles: dict[str, dict[str, str]] = {}
        self._lines: list[str] = []
        self._line: list[str] = []
        self._quotes = 0
        self._items: list[int] = []

    def take(self, piece: _Piece) -> None:
        if not piece.tag:
            self._text(piece.text)
        elif piece.end:
            self._close(piece.tag)
        elif piece.tag == "br":
            self._end_line()
        elif piece.tag in _VOID:
            self._void(piece)
        else:
            self._begin(piece)

    def _text(self, text: str) -> None:
        top = self._open[-1]
        if top.tag == "style":
            for selector, declared in hidden.sheet(text[:200_000]).items():
                self._styles.setdefault(selector, {}).update(declared)
        if self._never or top.look.hidden or not text:
            return
        shown = block(unescape(text))
        if self._pre:
            first, *rest = shown.split("\n")
            self._write(first)
            for one in rest:
                self._end_line(empty=True)
                self._write(one)
            return
        words = " ".join(shown.split())
        if words:
            before = " " if shown[0].isspace() else ""
            self._write(f"{before}{words}{' ' if shown[-1].isspace() else ''}")
        elif self._line:
            self._write(" ")

    def _write(self, text: str) -> None:
        if text:
            self._line.append(text)

    def _begin(self, piece: _Piece) -> None:
        tag = piece.tag
        for closed in _CLOSES.get(tag, ()):
            if self._open[-1].tag == closed:
                self._close(closed)
        look = hidden.within(self._open[-1].look, tag, piece.attributes, self._styles)
        if tag in _BLOCKS and not look.gone:
            self._end_line()
            if tag in _APART:
                self._gap()
        self._never += tag in _NEVER
        self._pre += tag == "pre"
        self._quotes += tag == "blockquote"
        if tag in ("ol", "ul"):
            self._items.append(0 if tag == "ol" else -1)
        elif tag == "li" and not look.hidden and not self._never:
            self._write(self._bullet())
        elif tag in ("td", "th") and self._line:
            self._write(" | " if "".join(self._line).strip() else "")
        link = piece.attributes.get("href", "").strip() if tag == "a" else ""
        self._depths[tag] += 1
        self._open.append(_Open(tag, look, link, len(self._lines), len(self._line)))

    def _bullet(self) -> str:
        if not self._items or self._items[-1] < 0:
            return "- "
        self._items[-1] += 1
        return f"{self._items[-1]}. "

    def _close(self, tag: str) -> None:
        if not self._depths[tag]:
            return
        while len(self._open) > 1:
            done = self._open.pop()
            self._depths[done.tag] -= 1
            self._never -= done.tag in _NEVER
            if done.tag in ("ol", "ul") and self._items:
                self._items.pop()
            if done.link:
                self._lead(done)
            if done.tag in _BLOCKS and not done.look.gone:
                self._end_line()
                if done.tag in _APART:
                    self._gap()
            self._quotes -= done.tag == "blockquote"
            self._pre -= done.tag == "pre"
            if done.tag == tag:
                return

    def _lead(self, done: _Open) -> None:
        """Where a link leads, unless its text says exactly that."""
        if done.look.hidden or self._never or not done.link.lower().startswith(("http:", "https:", "mailto:")):
            return
        begin = done.column if done.line == len(self._lines) else 0
        told = "".join(self._line[begin : begin + 50]).strip()
        leads = "".join(block(done.link).split())[:500]
        if leads.removeprefix("mailto:").rstrip("/") != told.rstrip("/"):
            self._write(f" <{leads}>" if told else f"<{leads}>")

    def _void(self, piece: _Piece) -> None:
        if piece.tag == "hr":
            self._end_line()
            self._write("---")
            self._end_line()
        elif piece.tag == "img" and not self._never:
            look = hidden.within(self._open[-1].look, "img", piece.attributes, self._styles)
            alt = " ".join(block(piece.attributes.get("alt", "")).split())[:300]
            sizes = {piece.attributes.get("width", ""), piece.attributes.get("height", "")}
            if alt and not look.hidden and not sizes & {"0", "1", "0px", "1px"}:
                self._write(f"[{alt}]")

    def _end_line(self, empty: bool = False) -> None:
        made = "".join(self._line)
        text = made.rstrip() if self._pre else " ".join(made.split(" ")).strip()
        text = text if self._pre else re.sub(r" {2,}", " ", text)
        if text or empty:
            self._lines.append(f"{'> ' * min(self._quotes, 5)}{text}")
        self._line = []

    def _gap(self) -> None:
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def finished(self) -> str:
        self._end_line()
        text = "\n".join(self._lines)
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n")
