"""The names of servers' tools: their own, with the server's before it where that is taken. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping

RESERVED = frozenset(
    "copy_file download_file edit_file fetch_page find_files find_messages list_files make_folder move_file plan read_file read_message "
    "run save_attachment schedule search_text search_web send_message start_command tool_search trash watch_command write_file".split()
)
"""What our own tools are called, those too that are not always there: no server's tool may come to stand for one."""
_SKILL = "skill_"
"""How the tools begin that show skills, those too that are yet to come."""
_LONGEST = 64
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")


def names(server: str, tools: Iterable[str], kept: Mapping[str, str], owners: Mapping[str, str], ours: Collection[str]) -> dict[str, str]:
    """own name -> name here. `kept` are those given before, `owners` all that were ever given and to which server, `ours` our own tools'.

    A name once given stays with its server, so that neither a rule nor a conversation comes to mean another tool.
    """
    made: dict[str, str] = {}
    used: set[str] = set()
    like = {_spelt(one) for one in ours}
    for tool in tools:
        name = kept.get(tool, "")
        if not name or _spelt(name) in like or name.startswith(_SKILL) or name in used:
            free = (one for one in _candidates(server, tool) if _spelt(one) not in like and one not in used and not one.startswith(_SKILL))
            name = next(one for one in free if owners.get(one, server) == server)
        made[tool] = name
        used.add(name)
    return made


def _spelt(name: str) -> str:
    """The same for names that a model, or a person, takes for one: Read-File is read_file."""
    return re.sub("[_-]+", "_", name.lower()).strip("_")


def _candidates(server: str, tool: str) -> Iterable[str]:
    plain = _FOREIGN.sub("_", tool).strip("_-")
    if plain and not plain[0].isdigit():
        yield plain[:_LONGEST]
    longer = f"{_FOREIGN.sub('_', server)}_{plain}"
    longer = longer if not longer[0].isdigit() and not longer.startswith(_SKILL) else f"mcp_{longer}"
    if len(longer) <= _LONGEST:
        yield longer
    number = 0
    while True:
        end = hashlib.sha256(f"{server}\0{tool}\0{number}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
        yield f"{longer[: _LONGEST - 9]}_{end}"
        number += 1
