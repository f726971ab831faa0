"""The rules of a policy file: parsed, and held against the file's own examples.

Every complaint is a ConfigError that begins with file and line. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..errors import ConfigError, UsageError
from ..store.policyfile import Document, Example
from . import shell_risk
from .context import absolute
from .rule import KINDS, Rule, Subject, allows, parse, reaches
from .rules import never_kept

# Where relative paths of examples lie, whichever folder the rules are read for.
_WORKSPACE = "/\0workspace"


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule and where it stands: the number of its line, from 1."""

    rule: Rule
    line: int


@dataclass(frozen=True, slots=True)
class Written:
    """What one file lays down, as far as it counts; `where` is its path."""

    where: str = ""
    deny: tuple[Placed, ...] = ()
    ask: tuple[Placed, ...] = ()
    allow: tuple[Placed, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    home: str
    workspace: str = _WORKSPACE
    resolve: Callable[[str], str] | None = field(default=None)


def of(document: Document, home: str, owner: str = "") -> Written:
    """The rules of the file. `home` is what `~` means, `owner` whose rules they are ("" for the user's).

    Raises ConfigError for a rule that cannot be read, one that is never kept, or an example that does not hold.
    """
    found = Written(
        document.where,
        *(tuple(_placed(document, verdict, owner)) for verdict in ("deny", "ask", "allow")),
    )
    for example in document.examples:
        _check(example, found, _Place(home))
    return found


def _placed(document: Document, verdict: str, owner: str) -> list[Placed]:
    made = []
    for given in document.rules.get(verdict, ()):
        try:
            rule = parse(given.text)
        except UsageError as error:
            raise ConfigError(f"{document.where}:{given.line}: {error.message}", error.hint) from None
        why = never_kept(given.text) if verdict == "allow" else ""
        if why:
            raise ConfigError(
                f"{document.where}:{given.line}: {rule} is never allowed for good: {why}.",
                "Give it to one run with --allow.",
            )
        made.append(Placed(replace(rule, owner=owner), given.line))
    return made


def verdict(found: Written, subject: Subject, place: _Place) -> tuple[str, Rule | None]:
    """What these rules alone say, and the rule that says it; "none" where none does."""
    for name, matches, rules in (
        ("deny", reaches, found.deny),
        ("ask", reaches, found.ask),
        ("allow", allows, found.allow),
    ):
        rule = _first(matches, rules, subject, place)
        if rule:
            return name, rule
    return "none", None


def _first(
    matches: Callable[[Rule, Subject, _Place], bool], rules: Sequence[Placed], subject: Subject, place: _Place
) -> Rule | None:
    return next((placed.rule for placed in rules if matches(placed.rule, subject, place)), None)


def _check(example: Example, found: Written, place: _Place) -> None:
    where = f"{found.where}:{example.line}"
    kind = next((kind for kind in KINDS if kind == example.kind), None)
    if kind is None:
        raise ConfigError(f"{where}: {example.kind!r} is no kind of rule.", f"Use {', '.join(KINDS)}.")
    if kind in ("read", "write"):
        subject = Subject(kind, absolute(example.text, place.workspace, place.home))
    elif kind == "run":
        line = shell_risk.read(example.text, place.home)
        subject = Subject("run", line.text, line)
    else:
        subject = Subject(kind, example.text.strip())
    said, rule = verdict(found, subject, place)
    if said != example.verdict:
        because = f" ({rule})" if rule else ""
        raise ConfigError(
            f"{where}: the example {kind}({example.text}) should be {example.verdict}, but the rules say {said}{because}.",
            "Change the rules or the example.",
        )
