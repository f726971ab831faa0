"""What no mode and no rule lifts: our own folders, startup files, git hooks, secrets, home and root, raw devices.

Names are compared without regard to letter case, since the file system may not regard it either.
Each function returns the reason as half a sentence, or "" where the floor has nothing to say.
"""

from __future__ import annotations

import re

from ..store import secrets
from . import places, repository
from .context import Context, beneath

_KERNEL = ("/dev", "/proc", "/sys", "/boot")
_HARMLESS_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
_HOME_LIKE = re.compile(r"/(?:home|users)/[^/]+|/root|/var/root")


def reading(path: str, ctx: Context) -> str:
    """Why this path may not be read or listed."""
    if _unspeakable(path):
        return f"{path!a} is no name that a file could have"
    for form in ctx.forms(path):
        if any(beneath(form, folder) for folder in ctx.readable):
            continue
        reason = _ours(form, ctx) or _secret(form, ctx)
        if reason:
            return reason
        if _device(form):
            return f"{form} is a device of the machine"
    return ""


def writing(path: str, ctx: Context, after: str | None = None, kind: repository.Kind = "write") -> str:
    """Why nothing may be written at this path.

    `after` is the sha256 of the new bytes, None where it is not known; `kind` is what is done there.
    """
    if _unspeakable(path):
        return f"{path!a} is no name that a file could have"
    for form in ctx.forms(path):
        reason = _ours(form, ctx) or _rules(form, kind) or _secret(form, ctx) or _startup(form, ctx)
        reason = reason or repository.refusal(form, kind, after)
        if reason:
            return reason
        if any(beneath(form.casefold(), folder) for folder in _KERNEL) and form not in _HARMLESS_DEVICES:
            return f"{form} belongs to the machine itself"
    return ""


def removing(path: str, ctx: Context) -> str:
    """Why what lies at this path, and beneath it, may not be moved away, deleted or replaced."""
    for form in ctx.forms(path):
        if form == "/":
            return "/ is the whole disk"
        if ctx.home and beneath(ctx.home.casefold(), form.casefold()):
            return f"{form} is your home folder, or holds it"
        held = places.held(form, places.of(ctx).guarded)
        if held:
            return f"{form} holds {held}, which is protected"
    return writing(path, ctx, kind="remove")


def takes_along(path: str, ctx: Context) -> str:
    """Why the tree at this path may not be copied: it is, or holds, something secret."""
    for form in ctx.forms(path):
        held = places.held(form, places.of(ctx).private)
        if held:
            return f"{form} holds {held}, which is secret"
    return reading(path, ctx)


def _ours(path: str, ctx: Context) -> str:
    for folder in places.of(ctx).own:
        if beneath(path.casefold(), folder.casefold()):
            return f"{folder} holds localagent's own files"
    return ""


def _rules(path: str, kind: repository.Kind) -> str:
    """Neither the rules of a folder nor the way to them may change: they hold against who would change them."""
    parts = repository.plain(path).split("/")
    if parts[-2:] == [".localagent", "policy.yaml"] or (parts[-1] == ".localagent" and kind != "folder"):
        return f"{path} holds rules for localagent"
    return ""


def in_home(path: str, ctx: Context) -> list[str]:
    """The path relative to the homes it lies in, letter case folded."""
    folded = path.casefold()
    homes = [ctx.home.casefold().rstrip("/")] if ctx.home.strip("/") else []
    other = _HOME_LIKE.match(folded)
    if other and other.group() not in homes:
        homes.append(other.group())
    return [folded[len(home) + 1 :] for home in homes if beneath(folded, home) and folded != home]


def _secret(path: str, ctx: Context) -> str:
    if secrets.secret_on_system(path) or any(map(secrets.secret_in_home, in_home(path, ctx))):
        return f"{path} is a place for secrets"
    if places.lies_in(path, places.of(ctx).secret):
        return f"{path} is a place for secrets"
    return ""


def _startup(path: str, ctx: Context) -> str:
    for relative in in_home(path, ctx):
        if secrets.startup_in_home(relative):
            return f"{path} is run or read by your shell or tools when they start"
        if secrets.autostart_in_home(relative):
            return f"{path} starts programs on its own"
    if places.lies_in(path, places.of(ctx).startup):
        return f"{path} is run or read when programs start"
    if secrets.startup_on_system(path):
        return f"{path} is run or read when the system starts programs"
    return ""


def _device(path: str) -> bool:
    return beneath(path, "/dev") and path != "/dev" and path not in _HARMLESS_DEVICES


def _unspeakable(path: str) -> bool:
    """Whether the path cannot be given to the file system: half a surrogate pair, or a zero byte."""
    try:
        return b"\0" in path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True
