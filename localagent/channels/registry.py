"""Which kinds of channels there are, what each asks for, and how one is made of its settings.

A kind's module is imported when that kind is needed, and no sooner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from ..errors import ChannelError, UsageError
from ..store.channels import Configured
from .base import Channel

Secrets = Callable[[str], Awaitable[str]]
"""Gives the secret of a field; raises ChannelError where there is none."""

KINDS: dict[str, str] = {
    "email": "email.kind:describe",
}
"""kind -> `module:function` below this package; the function, without arguments, gives the `Kind`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a kind. `name` is its key in channels.yaml, `question` what a person is asked.

    A `secret` never stands in channels.yaml: it goes to the credentials. What is not `needed` is not asked for.
    """

    name: str
    question: str
    secret: bool = False
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """`complete` adds to what was given what can be told from it (and raises UsageError for what cannot be right),
    `hint` is a sentence about the secret for these settings, or "". `make` connects to nothing.
    """

    name: str
    summary: str
    fields: tuple[Field, ...]
    make: Callable[[Configured, Secrets], Channel]
    complete: Callable[[Mapping[str, object]], dict[str, object]] = dict
    hint: Callable[[Mapping[str, object]], str] = lambda _: ""


def kind(name: str) -> Kind:
    """Raises UsageError for a kind that there is not."""
    if name not in KINDS:
        raise UsageError(f"There is no kind of channel {name!r}.", f"The kinds are: {', '.join(sorted(KINDS))}.")
    module, _, function = KINDS[name].partition(":")
    return getattr(import_module(f".{module}", __package__), function)()


def make(configured: Configured) -> Channel:
    """The channel of these settings. Raises ChannelError with file and line where they cannot be."""
    from . import secrets

    try:
        found = kind(configured.kind)
        known = {field.name for field in found.fields if not field.secret}
        known |= {f"{field.name}_command" for field in found.fields if field.secret}
        if unknown := sorted(set(configured.options) - known):
            raise UsageError(f"there is no setting {unknown[0]!r} for {configured.kind}")
        return found.make(configured, lambda field: secrets.obtain(configured, field))
    except UsageError as error:
        raise ChannelError(f"{configured.place}: {configured.name}: {error.message}", error.hint) from None
