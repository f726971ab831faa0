"""Words of a command that name places with keys, or places from which programs start by themselves."""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatchcase
from functools import lru_cache

from ..store import secrets

_GLOB = re.compile(r"[*?\[{]")
_ROOT = re.compile(r"/proc/(?:self|thread-self|\d+)/(?:task/\d+/)?(?:root|cwd/\.\.)(?=/|$)")
_HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\})(?=/|$)")
_HOMES = re.compile(r"(?:/home|/Users|/export/home)/[^/]+(?=/|$)|/root(?=/|$)|/var/root(?=/|$)", re.IGNORECASE)
_NAMES = re.compile(
    r"\.env(?!\.(?:example|sample|template|dist)$)(?:\..+)?|\.envrc|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?(?!\.pub$)"
    r"|.*\.(?:pem|p12|pfx|jks|keystore|kdbx)|credentials(?:\.json)?|\.vault_pass(?:\.txt)?|\.htpasswd",
    re.IGNORECASE,
)
_PROCESS = re.compile(r"/proc/[^/]+/(?:task/[^/]+/)?(?:environ|mem|maps|fd)(?:/|$)")
_SEARCHES = frozenset("grep egrep fgrep rg ag ack tar zip cp rsync scp 7z find cat strings".split())
_RECURSIVE = frozenset("rg ag ack tar zip rsync 7z".split())


def plain(path: str, home: str) -> str:
    """The path without detours: `~` and `$HOME` are home, `/proc/self/root` is the root, `..` and `.` are folded."""
    path = _HOME.sub(lambda _: home or "/home/_", path, count=1) if _HOME.match(path) else path
    if not path.startswith("/"):
        return posixpath.normpath(path) if path else ""
    for _ in range(8):
        folded = "/" + posixpath.normpath(path).lstrip("/")
        path = _ROOT.sub("", folded, count=1) or "/"
        if path == folded:
            break
    return path


@lru_cache(maxsize=2048)
def secret(word: str, home: str) -> bool:
    """Whether the word, or the part of it behind a `=`, `@` or `:`, names a place with keys."""
    return any(_secret(form, home) for form in _forms(word))


@lru_cache(maxsize=2048)
def starts_programs(word: str, home: str) -> bool:
    """Whether the word names a startup file, a hook or the like."""
    return any(_starts(plain(form, home), home) for form in _forms(word))


def searches_all(name: str, args: tuple[str, ...], home: str) -> bool:
    """Whether the command reads all that lies in the home folder, or in one above it."""
    if name not in _SEARCHES:
        return False
    deep = name in _RECURSIVE or any(
        w in ("--recursive", "--dereference-recursive") or (w[:1] == "-" != w[1:2] and set("rRa") & set(w))
        for w in args
    )
    if not deep:
        return False
    above = {"/", "/home", "/root", "/Users", "/etc", "/var", plain("~", home)}
    return any(plain(word.removesuffix("/*"), home) in above for word in args if word[:1] in "~/$")


def _forms(word: str) -> list[str]:
    forms = [word]
    if len(word) < 4096:
        forms += [word[m.end() :] for m in re.finditer("[=@:]|file://", word)][:16]
        if word.startswith("-") and not word.startswith("--") and "/" in word:
            forms.append(word[word.index("/") :])
    return [form for form in forms if form]


def _secret(path: str, home: str) -> bool:
    path = plain(path, home)
    name = path.rpartition("/")[2]
    if _NAMES.fullmatch(name) or _PROCESS.match(path):
        return True
    if _GLOB.search(path):
        return _may_match(path, home)
    if not path.startswith("/"):
        return (
            secrets.secret_in_home(path)
            if path.startswith((".", "snap/", "Library/"))
            else secrets.secret_on_system(path)
        )
    return secrets.secret_on_system(path) or any(map(secrets.secret_in_home, _in_home(path, home)))


def _may_match(pattern: str, home: str) -> bool:
    """Whether a glob may become a place with keys: one of a hidden name, or one that fits a known place."""
    parts = pattern.casefold().split("/")
    if any(part.startswith(".") and _GLOB.search(part) for part in parts):
        return True
    if any(fnmatchcase(name, parts[-1]) for name in ("id_rsa", "id_ed25519") if parts[-1].strip("*")):
        return True
    if any("[.]" in part or ("{" in part and "." in part.split("{", 1)[1].split(",")[0][:1]) for part in parts):
        return True
    parts = [part.replace("{", "*") for part in parts]
    known = _known(home)
    return any(
        all(fnmatchcase(name, part) for name, part in zip(names, parts, strict=False))
        for length in range(min(len(parts), max(known)) + 1)
        for names in known.get(length, ())
    )


@lru_cache(maxsize=8)
def _known(home: str) -> dict[int, list[list[str]]]:
    """The places with keys, by how many names they have."""
    found: dict[int, list[list[str]]] = {}
    for place in secrets.secret_paths(home or "/home/_"):
        names = place.casefold().split("/")
        found.setdefault(len(names), []).append(names)
    return found


def _in_home(path: str, home: str) -> list[str]:
    homes = [home.rstrip("/")] if home.strip("/") else []
    other = _HOMES.match(path)
    homes += [other.group()] if other else []
    return [path[len(base) + 1 :] for base in homes if path.casefold().startswith(base.casefold() + "/")]


def _starts(path: str, home: str) -> bool:
    parts = path.casefold().split("/")
    if ".git" in parts and {"hooks", "config", "info"} & set(parts[parts.index(".git") + 1 :]):
        return True
    if not path.startswith("/"):
        return path.startswith(".") and (secrets.startup_in_home(path) or secrets.autostart_in_home(path))
    if secrets.startup_on_system(path):
        return True
    return any(secrets.startup_in_home(rel) or secrets.autostart_in_home(rel) for rel in _in_home(path, home))
