"""What was approved is what runs: everything that decides what a call does, in one hash.

It is taken before anybody is asked and again right before the call is run. Another script, folder,
environment, program, program file, tool or sandbox gives another hash, and the call is not run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..policy import subjects
from ..policy.context import Context
from ..policy.shell_words import INTERPRETERS, program, segments, strip_wrappers
from ..sandbox import launch
from ..store import programs
from ..values import ToolCall, ToolSpec

_MOST_FILES = 64
_SOURCES = ("source", ".")
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


def bind(call: ToolCall, spec: ToolSpec, ctx: Context, tool: str = "") -> str:
    """The hash of this call as it would run now. `tool` says which code the tool is, and under which profile."""
    facts: dict[str, Any] = {
        "tool": [spec.name, spec.source, list(spec.effects), tool],
        "args": call.args,
        "folder": _folder(ctx.workspace),
        "boundary": launch.probe().name,
    }
    if "run" in spec.effects:
        facts["env"] = sorted(launch.clean_env().items())
        facts["files"] = files(subjects.line(call, ctx).text, ctx)
    return digest(facts)


def files(script: str, ctx: Context) -> dict[str, str]:
    """The programs that a shell line would start, and the scripts these are handed, with the hashes of their bytes."""
    found: dict[str, str] = {}
    search_path = ctx.search_path or tuple(os.get_exec_path())
    for path in _named(script, ctx.workspace, search_path):
        if len(found) >= _MOST_FILES:
            break
        found[path] = programs.content(path)
    return found


def _named(script: str, folder: str, search_path: tuple[str, ...]) -> Iterator[str]:
    for segment in segments(script):
        rest = strip_wrappers(segment.words)
        for word in dict.fromkeys(segment.words[:1] + rest[:1]):
            if path := programs.resolve(word, folder, search_path):
                yield path
        if not rest:
            continue
        name = program(rest)
        if name in INTERPRETERS or rest[0] in _SOURCES:
            operands = [word for word in rest[1:] if not word.startswith("-")][:1]
            operands += _MAKEFILES if name == "make" else ()
            yield from (os.path.join(folder, word) for word in operands if "\0" not in word)


def _folder(path: str) -> list[Any]:
    try:
        facts = os.stat(path)
    except OSError:
        return [path]
    return [os.path.realpath(path), facts.st_dev, facts.st_ino]


def digest(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def kept_for(rule_words: tuple[str, ...] | None, folder: Path, search_path: tuple[str, ...] = ()) -> str:
    """What a `run` rule that is kept now is kept for; "" for a script or a rule without a program."""
    if not rule_words:
        return ""
    return programs.identity(rule_words[0], str(folder), search_path or tuple(os.get_exec_path()))
