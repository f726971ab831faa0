"""What a worker asks for, checked by the host before it becomes a `Change` or an `Outgoing`."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..store.fingerprint import fingerprint
from ..values import Attachment, Change, Outgoing, ToolCall, ToolSpec

_KINDS = ("write", "edit", "move", "copy", "make_folder", "trash")
_MOST = 100_000
_MESSAGES = 20
_ATTACHMENTS = 20
_TEXT = 200_000
# For one call's requests: what is not looked at by then is committed as it is.
_LOOKING_S = 5.0
_GLOB = frozenset("*?[")


def read(requests: Sequence[Mapping[str, Any]], folder: Path, workspace: Path) -> tuple[Change, ...]:
    """The requests as changes. Contents must be plain files of the call's own folder.

    What moves, goes or is copied is named by what it is now, so that the commit refuses it when it
    was changed since. A folder that the worker missed only because it cannot see it is left out.
    Raises ValueError with a reason for anything else.
    """
    if len(requests) > _MOST:
        raise ValueError(f"{len(requests):,} changes in one call are too many")
    until = time.monotonic() + _LOOKING_S
    return tuple(_change(request, folder, until) for request in requests if not _invisible(request, str(workspace)))


def parted(requests: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Those for files, and those for messages."""
    sends = [request for request in requests if request.get("kind") == "send"]
    return [request for request in requests if request.get("kind") != "send"], sends


def messages(requests: Sequence[Mapping[str, Any]]) -> tuple[Outgoing, ...]:
    """The messages as they are wished for: `name` is whom the tool named, `address` is not looked up yet.

    Of an attachment only the path is known. Raises ValueError with a reason.
    """
    if len(requests) > _MESSAGES:
        raise ValueError(f"{len(requests)} messages in one call are too many")
    return tuple(_message(request) for request in requests)


def _message(request: Mapping[str, Any]) -> Outgoing:
    texts = {name: request[name] for name in ("to", "text", "subject", "channel", "reply_to")}
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(request["draft"], bool):
        raise ValueError("a message is made of texts")
    if any(len(text) > (_TEXT if name == "text" else 1000) for name, text in texts.items()):
        raise ValueError("a message is too long")
    if any(ord(char) < 32 for name, text in texts.items() if name != "text" for char in text):
        raise ValueError("a recipient or a subject holds a control character")
    files = [_absolute(path) for path in request["attachments"]]
    if len(files) > _ATTACHMENTS:
        raise ValueError(f"{len(files)} attachments are too many")
    attachments = tuple(Attachment(path, os.path.basename(path), "", 0, "") for path in files)
    return Outgoing(
        *(texts["channel"], "", texts["text"], texts["subject"], texts["to"], attachments, texts["reply_to"]), draft=request["draft"]
    )


def _invisible(request: Mapping[str, Any], workspace: str) -> bool:
    """Whether it is a folder that nobody asked for and that is there, or is the commit's own concern."""
    if request["kind"] != "make_folder" or not request.get("implied"):
        return False
    path = _absolute(request["path"])
    return os.path.isdir(path) or not _inside(path, workspace)


def _now(path: str, until: float) -> str | None:
    return fingerprint(path) if time.monotonic() < until else None


def _change(request: Mapping[str, Any], folder: Path, until: float) -> Change:
    kind = request["kind"]
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is no change")
    path = _absolute(request["path"])
    if kind in ("move", "copy"):
        return Change(kind, path, dest=_absolute(request["dest"]), before=_now(path, until))
    if kind in ("write", "edit"):
        content, after, size = _content(request["content"], folder)
        before = request.get("before")
        if before is not None and not isinstance(before, str):
            raise ValueError("its earlier content is not named by a hash")
        return Change(kind, path, content=content, before=before, after=after, size=size)
    return Change(kind, path, before=_now(path, until) if kind == "trash" else None)


def _absolute(path: Any) -> str:
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path or os.path.normpath(path) != path:
        raise ValueError(f"{path!r} is no plain absolute path")
    return path


def _content(path: Any, folder: Path) -> tuple[str, str, int]:
    """The content's file, its sha256 and size. A link would let a plugin read through the host."""
    if not isinstance(path, str) or Path(path).parent != folder:
        raise ValueError("a content lies outside the call's own folder")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("a content is no plain file")
        return path, hashlib.file_digest(file, "sha256").hexdigest(), facts.st_size


def keep(changes: Sequence[Change], folder: Path) -> tuple[Change, ...]:
    """The changes with their contents moved out of the staged view, which ends before they are judged."""
    kept = []
    for number, change in enumerate(changes):
        if change.kind in ("write", "edit") and change.content is not None:
            content = folder / f"staged-{number}"
            os.rename(change.content, content)
            change = replace(change, content=str(content))
        kept.append(change)
    return tuple(kept)


def named_paths(spec: ToolSpec, call: ToolCall, workspace: Path) -> tuple[str, ...]:
    """Existing paths outside the workspace that the call itself names, and that were judged with it.

    Of a pattern it is the folder above it. A link inside the workspace that leads out of it
    counts as outside.
    """
    found = []
    for name, shape in (spec.parameters.get("properties") or {}).items():
        value = call.args.get(name)
        if (
            not isinstance(shape, Mapping)
            or shape.get("format") != "path"
            or not isinstance(value, str)
            or "\0" in value
        ):
            continue
        path = os.path.normpath(os.path.join(workspace, os.path.expanduser(value)))
        while _GLOB & set(os.path.basename(path)) and not os.path.lexists(path):
            path = os.path.dirname(path)
        real = os.path.realpath(path)
        if os.path.exists(real) and not _inside(real, str(workspace)):
            found.append(real if _inside(path, str(workspace)) else path)
    return tuple(found)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
