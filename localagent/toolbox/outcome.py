"""What a tool gave back, gathered into the one answer of its worker.

Relative paths are taken from the workspace, contents are put into the scratch folder,
and folders that a request needs are requested before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ToolError
from .plugin_api import Copy, Edit, MakeFolder, Move, Request, Result, Send, Trash, Write

_VERBS = {
    "write": "Wrote",
    "edit": "Changed",
    "move": "Moved",
    "copy": "Copied",
    "make_folder": "Made the folder",
    "trash": "Put into the trash:",
}
_PICTURE = 8_000_000


class Outcome:
    """Collects lines, results and requests of one call; `answer` is what the host is told."""

    def __init__(self, workspace: str, scratch: str) -> None:
        self._workspace = workspace
        self._scratch = scratch
        self._lines: list[str] = []
        self._texts: list[str] = []
        self._requests: list[dict[str, Any]] = []
        self._folders: set[str] = set()
        self._pictures: list[str] = []
        self._failed = False
        self._exit_code: int | None = None

    def line(self, item: Any, progress: Callable[[str], None]) -> None:
        """One yielded value: text is progress, anything else is part of the result."""
        if not isinstance(item, str):
            self.take(item)
            return
        text = item if item.endswith("\n") else item + "\n"
        self._lines.append(text)
        progress(text)

    def take(self, value: Any) -> None:
        """Add a returned value: text, Result, requests, a list of these, or anything JSON can say."""
        if value is None:
            return
        if isinstance(value, Result):
            self._texts.append(value.text)
            self._failed = self._failed or value.failed
            self._exit_code = value.exit_code if value.exit_code is not None else self._exit_code
            for request in value.requests:
                self._ask(request)
            for picture in value.pictures:
                self._picture(picture)
        elif (picture := _picture_bytes(value)) is not None:
            self._picture(picture)
            if not isinstance(value, bytes):
                self._texts.append(_as_text(value))
        elif isinstance(value, list | tuple) and value and all(_picture_bytes(item) is not None for item in value):
            for item in value:
                self.take(item)
        elif isinstance(value, Request):
            self._ask(value)
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Request) for item in value):
            for request in value:
                self._ask(request)
        else:
            self._texts.append(_as_text(value))

    def answer(self) -> dict[str, Any]:
        text = "\n".join(self._texts) if self._texts else "".join(self._lines).rstrip("\n")
        return {
            "text": text or self._told() or "Done.",
            "failed": self._failed,
            "exit_code": self._exit_code,
            "requests": self._requests,
            "pictures": self._pictures,
        }

    def _told(self) -> str:
        if self._pictures:
            return "Made a picture." if len(self._pictures) == 1 else f"Made {len(self._pictures)} pictures."
        if self._requests and all(made["kind"] == "send" for made in self._requests):
            return ""
        named = [(made["kind"], made.get("path", "")) for made in self._requests if not made.get("implied")]
        if len(named) == 1:
            return f"{_VERBS[named[0][0]]} {os.path.relpath(named[0][1], self._workspace)}."
        return f"{len(named)} changes made." if named else ""

    def _ask(self, request: Request) -> None:
        if isinstance(request, MakeFolder):
            self._folder(self._absolute(request.path), implied=False)
            return
        if isinstance(request, Send):
            self._requests.append(self._message(request))
            return
        path = self._absolute(request.path)
        if isinstance(request, Write | Edit):
            self._folder(os.path.dirname(path))
            made = self._content(request, path)
            self._requests.append(made)
        elif isinstance(request, Move | Copy):
            dest = self._absolute(request.destination)
            self._folder(os.path.dirname(dest))
            self._requests.append({"kind": "move" if isinstance(request, Move) else "copy", "path": path, "dest": dest})
        elif isinstance(request, Trash):
            self._requests.append({"kind": "trash", "path": path})

    def _message(self, request: Send) -> dict[str, Any]:
        told = {name: getattr(request, name) for name in ("to", "text", "subject", "channel", "reply_to", "draft")}
        return {"kind": "send", **told, "attachments": [self._absolute(path) for path in request.attachments]}

    def _picture(self, value: Any) -> None:
        data = _picture_bytes(value)
        if data is None:
            raise ToolError("A picture must be the bytes, or the Path, of a PNG, JPEG, GIF or WebP file.")
        blob = os.path.join(self._scratch, f"picture-{len(self._pictures)}")
        with open(blob, "xb") as file:
            file.write(data)
        self._pictures.append(blob)

    def _absolute(self, path: Any) -> str:
        return os.path.normpath(os.path.join(self._workspace, os.path.expanduser(os.fspath(path))))

    def _folder(self, path: str, *, implied: bool = True) -> None:
        """Request `path` and every missing folder above it, from the top."""
        missing = []
        while path not in self._folders and not os.path.lexists(path):
            missing.append(path)
            path = os.path.dirname(path)
        for depth, folder in enumerate(reversed(missing), 1):
            self._folders.add(folder)
            made = {"kind": "make_folder", "path": folder}
            self._requests.append(made | ({"implied": True} if implied or depth < len(missing) else {}))

    def _content(self, request: Write | Edit, path: str) -> dict[str, Any]:
        data = (
            request.content.encode("utf-8", "surrogateescape") if isinstance(request.content, str) else request.content
        )
        blob = os.path.join(self._scratch, f"content-{len(self._requests)}")
        with open(blob, "xb") as file:
            file.write(data)
        before = getattr(request, "before", None)
        known = hashlib.sha256(before).hexdigest() if before is not None else _digest(path)
        self._requests = [made for made in self._requests if made.get("path") != path or "content" not in made]
        kind = "edit" if isinstance(request, Edit) else "write"
        return {"kind": kind, "path": path, "content": blob, "before": known}


def _digest(path: str) -> str:
    """The sha256 of a file's bytes, "" where there is none. Raises ToolError for a pipe or a device."""
    try:
        # Opening a pipe would wait for somebody to write into it.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ToolError(f"{os.path.basename(path)} is a pipe or a device, not a file. Choose another name.")
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _picture_bytes(value: Any) -> bytes | None:
    """The bytes of a picture: given as they are, or by the Path of a file that is one; None for anything else."""
    if isinstance(value, bytes | bytearray):
        if not _is_picture(bytes(value[:12])):
            raise ToolError("The tool returned bytes that are no PNG, JPEG, GIF or WebP picture; return text instead.")
        return bytes(value)
    if not isinstance(value, Path) or value.suffix.lower() not in (".png", ".jpg", ".jpeg", ".gif", ".webp"):
        return None
    try:
        if not value.is_file() or value.stat().st_size > _PICTURE:
            return None
        data = value.read_bytes()
    except OSError:
        return None
    return data if _is_picture(data[:12]) else None


def _is_picture(head: bytes) -> bool:
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def _as_text(value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)  # type: ignore[return-value]
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
