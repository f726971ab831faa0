"""A server's texts before a model or a person gets to see them. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

LONGEST = 2000
_CONTROL = re.compile(
    r"<(?=[|/]?(?:im_|end|start|tool|think|begin|system|user|assistant))|<(?=\|)|\|(?=>)|\[(?=/?(?:INST|TOOL))", re.IGNORECASE
)
_DEPTH = 40


def plain(text: str, longest: int = LONGEST) -> str:
    """Without characters that nobody sees, and with nothing that a chat template would read as its own."""
    seen = "".join(c if c in "\n\t" else "" if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp") else c for c in text)
    made = _CONTROL.sub(lambda match: f"{match[0]} ", seen)
    return made if len(made) <= longest else made[: longest - 2] + " …"


def described(schema: Any, depth: int = 0) -> Any:
    """A schema whose own words are plain."""
    if isinstance(schema, list):
        return [described(part, depth + 1) for part in schema] if depth < _DEPTH else []
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: plain(value, 600) if key in ("description", "title", "$comment") and isinstance(value, str) else described(value, depth + 1)
        for key, value in (schema.items() if depth < _DEPTH else ())
    }


def speaks_to_templates(schema: Any) -> bool:
    """Whether something in it that cannot be reworded (a name, a value) would be read as a template's own."""
    return _CONTROL.search(json.dumps(schema, ensure_ascii=False, default=str)) is not None
