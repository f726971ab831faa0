"""The paths of a folder for `@` completion: what `.gitignore` names is left out, and so is `.git`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

_MOST = 20_000
_LONGEST_S = 1.0
_IGNORE_BYTES = 100_000

# The folder (relative, with a slash, "" for the top), the pattern, only folders, taken back by `!`.
Rule = tuple[str, re.Pattern[str], bool, bool]


def known(folder: str, clock: Callable[[], float] = time.monotonic) -> list[str]:
    """Files, and folders with a slash behind them, relative to `folder`, nearest first; at most 20,000, or what a
    second is enough for."""
    until, found = clock() + _LONGEST_S, []
    todo: list[tuple[str, tuple[Rule, ...]]] = [("", ())]
    while todo and len(found) < _MOST and clock() < until:
        nearer: list[tuple[str, tuple[Rule, ...]]] = []
        for at, inherited in todo:
            if len(found) >= _MOST or clock() >= until:
                break
            names = _names(os.path.join(folder, at))
            rules = (*inherited, *_rules(os.path.join(folder, at, ".gitignore"), at))
            for name, is_folder in names:
                path = f"{at}{name}"
                if name == ".git" or _ignored(path, is_folder, rules):
                    continue
                found.append(path + "/" if is_folder else path)
                if is_folder:
                    nearer.append((path + "/", rules))
        todo = nearer
    return found[:_MOST]


def _names(folder: str) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError:
        return []


def _rules(file: str, at: str) -> list[Rule]:
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            texts = lines.read(_IGNORE_BYTES).split("\n")
    except OSError:
        return []
    return [rule for text in texts if (rule := _rule(text, at)) is not None]


def _rule(text: str, at: str) -> Rule | None:
    text = text.rstrip()
    if not text or text.startswith("#"):
        return None
    back, text = text.startswith("!"), text.removeprefix("!").removeprefix("\\")
    folders, text = text.endswith("/"), text.rstrip("/")
    anchored = "/" in text
    body = _regex(text.lstrip("/"))
    try:
        return at, re.compile(body if anchored else f"(?:.*/)?{body}"), folders, back
    except re.error:
        return None


def _regex(glob: str) -> str:
    made, i = "", 0
    while i < len(glob):
        if glob.startswith("**/", i):
            made, i = made + "(?:.*/)?", i + 3
        elif glob.startswith("**", i):
            made, i = made + ".*", i + 2
        elif glob[i] == "*":
            made, i = made + "[^/]*", i + 1
        elif glob[i] == "?":
            made, i = made + "[^/]", i + 1
        elif glob[i] == "[" and (end := glob.find("]", i + 2)) > 0:
            inner = glob[i + 1 : end].replace("\\", "\\\\")
            made, i = made + f"[{'^' + inner[1:] if inner[0] in '!^' else inner}]", end + 1
        else:
            made, i = made + re.escape(glob[i]), i + 1
    return made


def _ignored(path: str, is_folder: bool, rules: tuple[Rule, ...]) -> bool:
    for at, pattern, folders, back in reversed(rules):
        if (is_folder or not folders) and path.startswith(at) and pattern.fullmatch(path[len(at) :]):
            return not back
    return False
