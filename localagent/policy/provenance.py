"""Who named it: the user, or only a text that the model has read. Pure.

Outward actions must go where the user's own words or a rule say; in mode `auto` so must a deletion,
and whatever a text names that nobody else did.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ..values import Change, ToolCall
from .context import Context, beneath

_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]+", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s\"'`,;!?()\[\]{}<>|\u00ab\u00bb\u2018-\u201f\u3001\u3002\uff0c]+")
_REMOVES = re.compile(
    r"\b(?:delet|remov|trash|eras|purg|wip|clean|clear|discard|drop|get rid|dedup|duplicat|prun|tidy|unlink|uninstall|reset|"
    r"throw|bin\b|empt|lösch|entfern|weg|bereinig|aufräum|supprim|efface|enlev|nettoy|vide|borra|elimin|quita|limpia|cancella|"
    r"rimuov|pulisc|apag|remov|exclu|verwijder|wis\b|opschon|usuń|skasuj|удал|очист)|删除|清除|清理|削除|消して|삭제",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
_HELPING = frozenset("the a an user users s is are has have that of to their".split())
_PROSE_WORDS = 4
_MOST = 200_000


def named(text: str, said: str) -> bool:
    """Whether the user's own words hold this host, address or path as a word of its own, in any letter case."""
    wanted = text.casefold().strip()
    if not wanted or wanted == "?":
        return False
    known = said.casefold()
    at = known.find(wanted)
    while at >= 0:
        before, behind = known[at - 1 : at], known[at + len(wanted) : at + len(wanted) + 2]
        ends = not _joins(behind[:1]) and not (behind[:1] in (".", "-") and behind[1:].isalnum())
        if ends and not _joins(before) and before not in (".", "-"):
            return True
        at = known.find(wanted, at + 1)
    return False


def unsaid(text: str, said: str) -> str:
    """The first word of a text that does not stand in the user's own words, "" where all do; articles and the like may be others."""
    known = said.casefold()
    return next((word for word in _WORD.findall(text.casefold()) if word not in known and word not in _HELPING), "")


def _joins(char: str) -> bool:
    return char.isalnum() or (char != "" and char in "_@%+")


def strange(call: ToolCall, said: str) -> list[str]:
    """The addresses on the web among the arguments that the user did not write: a host alone may stand for its root, at the usual port."""
    return [url for url in _urls(call.args) if not _url_named(url, said)]


def _url_named(url: str, said: str) -> bool:
    plain = url.rstrip("/.,;:!?)")
    if named(plain, said) or named(plain.partition("://")[2], said):
        return True
    try:
        parts = urlsplit(url)
        bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
        return bare and parts.port is None and named(parts.hostname or "", said)
    except ValueError:
        return False


def _urls(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _URL.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _urls(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _urls(item)


def path_named(path: str, ctx: Context) -> bool:
    """Whether the user's words name the file: its path or name, a folder above it, its ending, a pattern it fits."""
    if ctx.said is None:
        return True
    said = _said(ctx.said[-_MOST:].casefold())
    relative = posixpath.relpath(path, ctx.workspace) if beneath(path, ctx.workspace) else path
    home = "~" + path[len(ctx.home) :] if ctx.home.strip("/") and beneath(path, ctx.home) else path
    folded = relative.casefold()
    name = folded.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    forms = {folded, path.casefold(), home.casefold(), name, *([stem] if dot and len(stem) > 2 else [])}
    forms |= {form for parent in _parents(folded) for form in (parent, parent.rpartition("/")[2])}
    if dot and stem:
        forms |= {f".{ending}", f"*.{ending}", ending, f"{ending}s"}
    if not forms.isdisjoint(said):
        return True
    if " " in name and name in ctx.said.casefold():
        return True
    return any(
        fnmatchcase(name, word.rpartition("/")[2]) for word in said if len(word.strip("*?./")) > 1 and "*" in word
    )


def _parents(relative: str) -> Iterator[str]:
    while (relative := posixpath.dirname(relative)) not in ("", "/", "."):
        yield relative


@lru_cache(maxsize=8)
def _said(folded: str) -> frozenset[str]:
    words = (word.rstrip(".:").removeprefix("./").rstrip("/") for word in _BETWEEN.split(folded))
    return frozenset(word for word in words if word)


@lru_cache(maxsize=8)
def spoken(text: str) -> frozenset[str]:
    """The names of files that stand in a text in the middle of words, not in a list or a program."""
    found: set[str] = set()
    for line in text[-_MOST:].casefold().splitlines():
        words = _BETWEEN.split(line)
        if sum(word.rstrip(".:").isalpha() and len(word) > 1 for word in words) >= _PROSE_WORDS:
            found.update(
                word.rstrip(".:/").rpartition("/")[2] for word in words if "." in word.rstrip(".:") or "/" in word
            )
    return frozenset(found)


def steered(changes: Sequence[Change], lost: Sequence[str], ctx: Context) -> tuple[str, tuple[str, ...]]:
    """Why a text may have led to these changes rather than the user, and the paths concerned; "" where none did.

    `lost` are the paths that are deleted and do not reappear.
    """
    if ctx.said is None or not (ctx.seen.strip() or ctx.speaks_seen):
        return "", ()
    gone = () if _REMOVES.search(ctx.said) else tuple(path for path in lost if not path_named(path, ctx))
    if gone:
        return (
            f"you did not ask to delete {posixpath.basename(gone[0])}, and the session has seen text that others wrote",
            gone,
        )
    made = [path for change in changes if (path := _made(change))]
    named_there = spoken(ctx.seen)
    told = tuple(p for p in made if posixpath.basename(p).casefold() in named_there and not path_named(p, ctx))
    if told:
        return f"{posixpath.basename(told[0])} was named by a text that was read, and not by you", told
    if not ctx.speaks_seen:
        return "", ()
    touched = tuple(p for c in changes if c.kind != "make_folder" and not path_named(p := c.dest or c.path, ctx))
    if touched:
        name = posixpath.basename(touched[0])
        return f"a text that was read speaks to the assistant, and you did not name {name}", touched
    return "", ()


def _made(change: Change) -> str:
    """The path where something comes to lie that was not there."""
    if change.dest is not None:
        return change.dest
    return change.path if change.kind in ("write", "link", "make_folder") and not change.before else ""
