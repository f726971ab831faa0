"""What is at a path, in one short text: said when a change is proposed, compared when it is carried out."""

from __future__ import annotations

import hashlib
import os
import stat

from .copying import sha256

# Larger files are known by their facts: a disk image is not read again for a question.
_READ_BYTES = 64 * 1024 * 1024
# What lies beyond this many entries of a folder is not looked at.
_ENTRIES = 200_000


def fingerprint(path: str) -> str | None:
    """The sha256 of a file's bytes, or a text with a colon for a large file, a link or a folder with
    all in it. None where there is nothing, something of another kind, or nothing that may be read."""
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            return f"link:{hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()}"
        if stat.S_ISDIR(info.st_mode):
            return f"tree:{_tree(path)}"
        if not stat.S_ISREG(info.st_mode):
            return None
        if info.st_size > _READ_BYTES:
            return f"file:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}"
        return sha256(path)
    except OSError:
        return None


def _tree(top: str) -> str:
    """A hash over the names, kinds, sizes, times and inodes of everything below a folder."""
    digest = hashlib.sha256()
    pending, seen = [top], 0
    while pending and seen < _ENTRIES:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            digest.update(b"closed\n")
            continue
        seen += len(found)
        for entry in found:
            info = entry.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(info.st_mode)
            facts = (0, 0) if is_folder else (info.st_size, info.st_mtime_ns)
            name = os.fsencode(os.path.relpath(entry.path, top))
            digest.update(f"{stat.S_IFMT(info.st_mode)} {info.st_ino} {facts} {len(name)} ".encode() + name)
            if is_folder:
                pending.append(entry.path)
    return digest.hexdigest()
