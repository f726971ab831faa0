"""What YAML files of ours may hold: nothing that stands for something else than it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def odd(events: Iterator[Any], deepest: int) -> tuple[int, str]:
    """The line (from 1) and name of the first tag, anchor, alias, directive or too deep nesting among yaml's events; (0, "") for none."""
    import yaml

    depth = 0
    for event in events:
        found = ""
        if isinstance(event, yaml.AliasEvent):
            found = "an alias (*)"
        elif getattr(event, "anchor", None) is not None:
            found = "an anchor (&)"
        elif isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            found = "a tag (!)"
        elif isinstance(event, yaml.DocumentStartEvent) and (event.tags or event.version):
            found = "a directive (%)"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if found or depth > deepest:
            return event.start_mark.line + 1, found or "lists within lists"
    return 0, ""
