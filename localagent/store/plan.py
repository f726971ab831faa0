"""From a change list to the operations of a step: everything is checked and prepared here,
so that what follows is renames only."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import Conflict, StoreError
from ..values import Change
from . import protected
from .apply import Roots, sign
from .copying import copy_attributes, copy_owner
from .files import Root
from .fingerprint import fingerprint
from .lock import not_stopped
from .reach import Pinned, Reach, resolved
from .steps import Op, Sign

_SPARE_BYTES = 1 << 20


class Plan:
    """The operations for `changes` within `reach`, kept things going to the folder `place`.

    `own`: what is changed is a file of ours, as nobody but the host asks for.
    Where `stop` is set, StoreError is raised: nothing has been touched until all is prepared.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        reach: Sequence[Path | str],
        roots: Roots,
        place: Path,
        stop: threading.Event | None = None,
        own: bool = False,
    ) -> None:
        self._changes = changes
        self._pinned = reach if isinstance(reach, Pinned) else None
        self._reach = sorted((Reach.of(os.fspath(path)) for path in reach), key=lambda one: -len(one.real))
        self._stop = stop
        self._roots = roots
        self._place = place
        self._floor = None if own else protected.Floor()
        self._made: set[tuple[str, str]] = set()
        self._emptied = {os.path.abspath(c.path) for c in changes if c.kind in ("trash", "move")}
        self._sources: dict[tuple[str, str], tuple[str, str]] = {}
        self.ops: list[Op] = []

    def make(self) -> list[Op]:
        """Raises Conflict for a file that is not what it was, StoreError for what may not be touched."""
        self._check_pins()
        makes = {self._where(c.dest or c.path) for c in self._changes if c.kind not in ("trash", "chmod")}
        early = [c for c in self._changes if c.kind == "trash" and self._in_the_way(self._where(c.path), makes)]
        early_paths = {self._where(c.path) for c in early}
        for change in early:
            self._add(change, early_paths)
        order = ("make_folder", "new", "write", "chmod", "move", "trash")
        rest = [change for change in self._changes if change not in early]
        for change in sorted(rest, key=lambda change: order.index(self._class(change))):
            self._add(change, early_paths)
        self._check_space()
        self._check_pins()
        return self.ops

    def _check_pins(self) -> None:
        """Refuse what leads elsewhere than when it was agreed to; the roots are held open once used."""
        if self._pinned is not None:
            self._pinned.check(self._changes)

    def _class(self, change: Change) -> str:
        if change.kind in ("make_folder", "chmod", "move", "trash"):
            return change.kind
        return "new" if change.before == "" or change.kind in ("copy", "link") else "write"

    def _where(self, path: str) -> tuple[str, str]:
        """(root, path relative to it) of an absolute path."""
        if not os.path.isabs(path) or "\0" in path:
            raise StoreError(f"{path!r} is not an absolute path.")
        plain = os.path.normpath(path)
        real = resolved(path)
        # A link that this step replaces by a folder leads nowhere any more.
        follow = ".." in path.split("/") or not self._below_emptied(plain)
        inside = [one for one in self._reach if one.holds(real)]
        names = [real] if ".." in path.split("/") else [plain, real]
        for name in dict.fromkeys(names):
            for one in self._reach:
                if (place := one.place(name)) is not None and not (follow and inside and one not in inside):
                    return one.anchor, place
        allowed = ", ".join(one.real for one in self._reach)
        raise StoreError(f"{path} is outside the folders that may be changed ({allowed}).")

    def _below_emptied(self, path: str) -> bool:
        while (above := os.path.dirname(path)) != path:
            path = above
            if path in self._emptied:
                return True
        return False

    def _in_the_way(self, place: tuple[str, str], makes: set[tuple[str, str]]) -> bool:
        root, path = place
        return any(root == other and (made == path or made.startswith(path + "/")) for other, made in makes)

    def _allowed(self, root: str, path: str) -> None:
        full = os.path.join(root, path)
        if self._floor is not None and (reason := self._floor.refusal(full)):
            raise StoreError(f"{full} must not be changed: {reason}.")

    def _add(self, change: Change, early: set[tuple[str, str]]) -> None:
        not_stopped(self._stop)
        root, path = self._where(change.path)
        if change.kind != "copy":
            self._allowed(root, path)
        by_facts = ":" in (change.before or "")
        hashed = not by_facts and (change.before is not None or change.kind != "trash")
        cleared = change.kind not in ("trash", "move", "copy", "chmod") and _within(path, root, early)
        now = None if cleared else sign(self._roots.get(root), path, hashed=hashed)
        self._fresh(change, now, root, path)
        index = len(self.ops)
        if change.kind == "make_folder":
            self._folder(root, path, change.mode, now)
        elif change.kind == "trash":
            self.ops.append(self._take(root, path, now, index))
        elif change.kind == "chmod":
            info = self._roots.get(root).stat(path)
            old = stat.S_IMODE(info.st_mode) if info else None
            self.ops.append(Op("chmod", root, path, before=now, mode=change.mode, old_mode=old))
        elif change.kind in ("move", "copy"):
            self._transfer(change, root, path, now)
        else:
            self._parents(root, path)
            self.ops.append(self._put(root, path, now))

    def _fresh(self, change: Change, now: Sign | None, root: str, path: str) -> None:
        """Refuse what is not as the change supposes."""
        full = os.path.join(root, path)
        if change.before == "" and now is not None and not (change.kind == "make_folder" and now.kind == "folder"):
            raise Conflict(f"{full} exists already.")
        if now is None and (change.before or change.kind in ("trash", "chmod", "move", "copy", "edit")):
            raise Conflict(f"{full} no longer exists.")
        if change.before and now is not None and not self._same(root, path, now, change.before):
            raise Conflict(f"{full} was changed since it was read.", "Read it again.")
        if change.kind in ("write", "edit", "link") and now is not None and now.kind == "folder":
            raise Conflict(f"{full} is a folder.")

    def _same(self, root: str, path: str, now: Sign, before: str) -> bool:
        if ":" not in before:
            return now.sha256 == before
        with self._roots.get(root).at(path) as real:
            return fingerprint(real) == before

    def _folder(self, root: str, path: str, mode: int | None, now: Sign | None) -> None:
        if (root, path) in self._made or (now is not None and now.kind == "folder"):
            return
        if now is not None:
            raise Conflict(f"{os.path.join(root, path)} exists already and is no folder.")
        self._parents(root, path)
        self._made.add((root, path))
        self.ops.append(Op("mkdir", root, path, mode=mode))

    def _parents(self, root: str, path: str) -> None:
        folder = os.path.dirname(path)
        if not folder or _within(folder, root, self._made):
            if folder and (root, folder) not in self._made:
                self._folder(root, folder, None, None)
            return
        info = self._roots.get(root).stat(folder)
        removed = any(op.kind == "take" and (op.root, op.path) == (root, folder) for op in self.ops)
        if info is None or removed:
            self._folder(root, folder, None, None)
        elif stat.S_ISREG(info.st_mode):
            raise Conflict(f"{os.path.join(root, folder)} is a file, not a folder.")

    def _put(self, root: str, path: str, now: Sign | None) -> Op:
        return Op("put", root, path, kept=self._kept(), undone=self._kept("undone"), before=now)

    def _kept(self, word: str = "kept") -> str:
        return str(self._place / f"{word}-{len(self.ops)}")

    def _transfer(self, change: Change, root: str, path: str, now: Sign | None) -> None:
        if change.dest is None or now is None:
            raise StoreError(f"The change of {change.path} names no destination.")
        dest_root, dest = self._where(change.dest)
        full = os.path.join(dest_root, dest)
        self._allowed(dest_root, dest)
        self._no_hooks(os.path.join(root, path), full)
        there = self._roots.get(dest_root).stat(dest)
        if there is not None:
            raise Conflict(f"{full} exists already.")
        if now.kind == "folder" and (full + "/").startswith(os.path.join(root, path) + "/"):
            raise StoreError(f"{change.path} cannot go into itself.")
        self._parents(dest_root, dest)
        here = self._roots.get(root).mount_key(os.path.dirname(path))
        if change.kind == "move" and here == self._roots.get(dest_root).mount_key(self._existing(dest_root, dest)):
            self.ops.append(Op("move", root, path, dest_root=dest_root, dest=dest, before=now))
            return
        op = self._put(dest_root, dest, None)
        op.dest_root, op.temp = root, path
        self.ops.append(op)
        if change.kind == "move":
            self.ops.append(self._take(root, path, now, len(self.ops), trash=False))

    def _no_hooks(self, source: str, dest: str) -> None:
        """A folder moved or copied to where its files would become git hooks."""
        if ".git" not in dest.split("/") or not os.path.isdir(source):
            return
        for folder, _, names in os.walk(source):
            for name in names:
                old = os.path.join(folder, name)
                new = os.path.join(dest, os.path.relpath(old, source))
                if protected.is_hook_place(new) and not protected.is_hook_place(old):
                    raise StoreError(f"{new} must not be changed: a git hook runs programs by itself.")

    def _existing(self, root: str, path: str) -> str:
        """The nearest folder above `path` that exists now and still will when this step gets there."""
        folder = os.path.dirname(path)
        while folder:
            info = None if (root, folder) in self._made else self._roots.get(root).stat(folder)
            if info is not None and (stat.S_ISDIR(info.st_mode) or stat.S_ISLNK(info.st_mode)):
                return folder
            folder = os.path.dirname(folder)
        return ""

    # ------------------------------------------------------------ removal

    def _take(self, root: str, path: str, now: Sign | None, index: int, trash: bool = True) -> Op:
        alone = self._emptied_folder(os.path.join(root, path))
        op = Op("take", root, path, kept=self._kept(), before=now, alone=alone)
        mount = self._roots.get(root).mount_key(os.path.dirname(path))
        if trash and not alone and (found := _trash(mount)):
            name = _free_name(found, os.path.basename(path), {op.kept for op in self.ops})
            op.kept, op.info = os.path.join(found, "files", name), os.path.join(found, "info", f"{name}.trashinfo")
        elif mount != _mount_of(str(self._place)):
            op.gone = os.path.join(os.path.dirname(path), f".localagent-{secrets.token_hex(6)}.tmp")
        return op

    def _emptied_folder(self, full: str) -> bool:
        """Whether nothing but folders is left of it once this step's other changes are done."""
        if not os.path.isdir(full) or os.path.islink(full):
            return False
        return all(entry.path in self._emptied for entry in os.scandir(full))

    # ------------------------------------------------------------ preparing

    def _check_space(self) -> None:
        """Refuse a step that cannot fit, before anything is touched."""
        for change in self._changes:
            if change.content and change.kind in ("write", "edit"):
                root, path = self._where(change.path)
                needed = os.stat(change.content).st_blocks * 512 if os.path.exists(change.content) else 0
                free = os.fstatvfs(self._roots.get(root).fd)
                room = free.f_bavail * free.f_frsize
                if needed > _SPARE_BYTES and needed > room:
                    wanted, there = (f"{size // 1048576:,} MB" for size in (needed, room))
                    raise StoreError(
                        f"{os.path.join(root, path)} needs {wanted}, and {there} are free.",
                        "Free some space and try again.",
                    )

    def name_temps(self) -> None:
        """Choose where each new content is written before it takes its place."""
        for op in self.ops:
            if op.kind == "put":
                self._sources[op.root, op.path] = (op.dest_root, op.temp)
                op.temp = self._temp(op.root, op.path)

    def prepare(self) -> None:
        """Write every new content there, and copy what cannot be renamed into the journal."""
        contents = {self._where(c.path): c for c in self._changes if c.kind in ("write", "edit", "link")}
        for op in self.ops:
            not_stopped(self._stop)
            root = self._roots.get(op.root)
            if op.kind == "take" and op.gone:
                root.copy_out(op.path, op.kept, alone=op.alone)
            if op.kind != "put":
                continue
            source_root, source = self._sources[op.root, op.path]
            if source:
                with self._roots.get(source_root).at(source) as real, _told_as(os.path.join(source_root, source), real):
                    root.copy_in(real, op.temp)
            else:
                self._content(contents[op.root, op.path], op)
            op.after = sign(root, op.temp)
            approved = None if source else contents[op.root, op.path].after
            if approved and (op.after is None or op.after.sha256 != approved):
                raise Conflict(f"The new content of {os.path.join(op.root, op.path)} is not what was approved.")
        not_stopped(self._stop)
        self._check_pins()

    def _temp(self, root: str, path: str) -> str:
        return os.path.join(self._existing(root, path), f".localagent-{secrets.token_hex(6)}.tmp")

    def _content(self, change: Change, op: Op) -> None:
        root = self._roots.get(op.root)
        if change.kind == "link":
            root.symlink(change.content or "", op.temp)
            return
        if change.content is None or not os.path.isfile(change.content) or os.path.islink(change.content):
            raise StoreError(f"The new content of {change.path} is missing.")
        root.copy_in(change.content, op.temp, sync=False)
        fd = root.open(op.temp, os.O_RDWR)
        try:
            mode = change.mode
            if op.before is not None and op.before.kind == "file":
                old = root.open(op.path)
                try:
                    info = os.fstat(old)
                    copy_owner(info, fd)
                    # A program's own file says itself which attributes it has.
                    if change.mtime_ns is None:
                        copy_attributes(old, fd)
                finally:
                    os.close(old)
                mode = stat.S_IMODE(info.st_mode) if mode is None else mode
            os.fchmod(fd, _new_mode() if mode is None else mode)
            if change.mtime_ns is not None:
                os.utime(fd, ns=(change.mtime_ns, change.mtime_ns))
            os.fsync(fd)
        finally:
            os.close(fd)


@contextlib.contextmanager
def _told_as(path: str, real: str) -> Iterator[None]:
    """What cannot be copied is named as people know it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        name = path + str(error.filename or "").removeprefix(real)
        raise StoreError(f"{name} cannot be copied: it is a socket, a pipe or a device.") from error


def _within(path: str, root: str, places: set[tuple[str, str]]) -> bool:
    while path:
        if (root, path) in places:
            return True
        path = os.path.dirname(path)
    return False


def _new_mode() -> int:
    """What a new file's permissions are for this user."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            mask = next(int(line.split()[1], 8) for line in file if line.startswith("Umask:"))
    except (OSError, StopIteration):
        mask = 0o022
    return 0o666 & ~mask


def _mount_of(folder: str) -> tuple[int, int]:
    with Root(folder) as root:
        return root.mount_key("")


def _trash(mount: tuple[int, int]) -> str:
    """The desktop's trash folder, made on demand, if a rename reaches it; else ""."""
    base = os.environ.get("XDG_DATA_HOME", "")
    base = base if os.path.isabs(base) else os.path.expanduser("~/.local/share")
    found = os.path.join(base, "Trash")
    try:
        for name in ("files", "info"):
            os.makedirs(os.path.join(found, name), mode=0o700, exist_ok=True)
        return found if _mount_of(os.path.join(found, "files")) == mount else ""
    except OSError:
        return ""


def _free_name(trash: str, name: str, taken: set[str]) -> str:
    """A name that nothing in the trash has, nor what goes there in the same step."""
    # The note beside it has a longer name, and no name may have more than 255 bytes.
    short = os.fsencode(name)[:200].decode("utf-8", "ignore")
    candidate = name if len(os.fsencode(name)) <= 240 else f"{short}.{secrets.token_hex(6)}"
    while (
        (kept := os.path.join(trash, "files", candidate)) in taken
        or os.path.lexists(kept)
        or os.path.lexists(os.path.join(trash, "info", f"{candidate}.trashinfo"))
    ):
        candidate = f"{short}.{secrets.token_hex(6)}"
    return candidate
