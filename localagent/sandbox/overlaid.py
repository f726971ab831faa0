"""Starts a program in a mount namespace in which a folder is overlaid; run as a file, by itself.

    python overlaid.py FOLDER UPPER WORK PROGRAM ARGUMENT...

What is written into FOLDER goes to UPPER, for this process and its children alone. Without
the overlay the program is not started: it would write into the folder itself.
"""

from __future__ import annotations

import ctypes
import os
import sys

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_PRIVATE, _NODEV, _NOSUID = (1 << 18) | (1 << 14), 4, 2
_OVERLAY_MAGIC = 0x794C7630
REFUSED = 97


def main() -> None:
    folder, upper, work, *command = sys.argv[1:]
    try:
        own = _separate()
        _overlay(folder, upper, work, own)
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        sys.exit(REFUSED)
    os.chdir("/")
    os.execv(command[0], command)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _separate() -> bool:
    """Leave the others' mounts alone; whether that took a user namespace too."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _libc().unshare(_NEWNS) == 0:
        return False
    _checked(_libc().unshare(_NEWNS | _NEWUSER), "no user namespace")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    return True


def _overlay(folder: str, upper: str, work: str, own: bool) -> None:
    """Mount it over the folder. By descriptor, for an option cannot hold every name."""
    libc = _libc()
    _checked(libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None), "no mounts of our own")
    places = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (folder, upper, work)]
    options = "lowerdir=/proc/self/fd/{},upperdir=/proc/self/fd/{},workdir=/proc/self/fd/{}".format(*places)
    options += ",xino=off,metacopy=off,redirect_dir=off" if not own else ",xino=off,userxattr"
    target = os.fsencode(folder)
    _checked(
        libc.mount(b"overlay", target, b"overlay", ctypes.c_ulong(_NODEV | _NOSUID), options.encode()), "no overlay"
    )
    for place in places:
        os.close(place)
    if kind(target) != _OVERLAY_MAGIC:
        raise OSError(0, "it did not take its place")


def kind(path: bytes) -> int:
    """The magic number of the file system at a path, as statfs(2) says first."""
    found = ctypes.create_string_buffer(256)
    _checked(_libc().statfs(path, found), "no look at it")
    return int.from_bytes(found.raw[:8], sys.byteorder)


if __name__ == "__main__":
    main()
