"""What a plugin file says of itself in its first comments (PEP 723): the packages that it needs. Its code is not run for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_MOST = 40
# A name, extras, versions and a marker. No address, no path, no option of pip's.
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?\s*(?:\[[A-Za-z0-9._,\s-]{1,200}\])?\s*[<>=!~0-9A-Za-z.*+,()\s-]{0,200}(?:;[^\n@]{1,300})?"
)


@dataclass(frozen=True, slots=True)
class Header:
    """`needs` are requirements as pip reads them; `problem` is why the header cannot be followed, with its `line`."""

    needs: tuple[str, ...] = ()
    problem: str = ""
    line: int = 1


def read(source: str) -> Header:
    """The header of a file's text."""
    blocks = [found for found in _BLOCK.finditer(source.replace("\r\n", "\n")) if found["type"] == "script"]
    if not blocks:
        return Header()
    line = source[: blocks[0].start()].count("\n") + 1
    if len(blocks) > 1:
        return Header((), "it has two `# /// script` headers; keep one", line)
    import tomllib

    text = "".join(one[2:] if one.startswith("# ") else one[1:] for one in blocks[0]["content"].splitlines(keepends=True))
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Header((), f"its `# /// script` header is no TOML: {error}", line)
    needs = found.get("dependencies", [])
    if not isinstance(needs, list) or not all(isinstance(one, str) for one in needs) or len(needs) > _MOST:
        return Header((), f'`dependencies` in its header must be a list of at most {_MOST} texts such as "icalendar>=6"', line)
    if wrong := [one for one in needs if not _REQUIREMENT.fullmatch(one.strip())]:
        return Header((), f"its header needs {wrong[0]!r:.100}; only names with versions are taken, no addresses, paths or options", line)
    if (python := found.get("requires-python")) is not None and (told := _python(python)):
        return Header((), told, line)
    return Header(tuple(one.strip() for one in needs), "", line)


def _python(wanted: object) -> str:
    """Why this Python does not do, "" where it does. Only the usual comparisons are understood."""
    import sys

    here = sys.version_info[:3]
    for one in str(wanted).split(","):
        found = re.fullmatch(r"\s*(>=|>|<=|<|==|!=|~=)\s*(\d+(?:\.\d+){0,2})(?:\.\*)?\s*", one)
        if not found:
            return f"its header has requires-python = {wanted!r:.60}, which cannot be read; write for example '>=3.11'"
        given = tuple(map(int, found[2].split(".")))
        mine = here[: len(given)]
        fits = {
            ">=": mine >= given, ">": mine > given, "<=": mine <= given, "<": mine < given, "==": mine == given,
            "!=": mine != given, "~=": mine >= given and mine[: len(given) - 1] == given[:-1],
        }  # fmt: skip
        if not fits[found[1]]:
            return f"its header wants Python {str(wanted)!r:.60}, and this is {'.'.join(map(str, here))}"
    return ""
