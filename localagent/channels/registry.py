"""Which kinds of channels there are, what each asks for, and how one is made of its settings.

A kind's module is imported when that kind is needed, and no sooner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import ChannelError, UsageError
from ..store.channels import Configured
from .base import Channel


class NoSecret(ChannelError):
    """Nothing is stored, and no command gives it."""


Secrets = Callable[[str], Awaitable[str]]
"""Gives the secret of a field; raises ChannelError where there is none."""

KINDS: dict[str, str] = {
    "email": "email.kind:describe",
    "telegram": "telegram:make",
    "matrix": "matrix:make",
    "ntfy": "ntfy:make",
    "webhook": "webhook:make",
    "desktop": "desktop:make",
    "other": "other:make",
}
"""kind -> `module:function` below this package. The function gives the `Kind`, without arguments; or it is called `make`
and is what `simple` understands."""


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
    where, _, function = KINDS[name].partition(":")
    module = import_module(f".{where}", __package__)
    return simple(name, module) if function == "make" else getattr(module, function)()


def simple(name: str, module: Any) -> Kind:
    """The kind of a module with `make(name, options, secret) -> Channel` and `FIELDS` (each with name, help, required,
    secret). `secret()` gives "" where one that is not required is not there."""
    fields = tuple(Field(one.name, one.help, one.secret, one.required) for one in module.FIELDS)
    hidden = next((field for field in fields if field.secret), None)

    def made(configured: Configured, secrets: Secrets) -> Channel:
        async def secret() -> str:
            if hidden is None:
                return ""
            try:
                return await secrets(hidden.name)
            except NoSecret:
                if hidden.needed:
                    raise
                return ""

        return module.make(configured.name, configured.options, secret)

    summary = (module.__doc__ or name).strip().splitlines()[0].rstrip(".")
    return Kind(name, summary, fields, made)


def make(configured: Configured) -> Channel:
    """The channel of these settings. Raises ChannelError with file and line where they cannot be."""
    from . import secrets

    async def secret(field: str) -> str:
        found = await secrets.obtain(configured, field)
        if not found:
            hint = f"Store it with `localagent channels secret {configured.name}`."
            raise NoSecret(f"No {field} is stored for the channel {configured.name}.", hint)
        return found

    try:
        found = kind(configured.kind)
        known = {field.name for field in found.fields if not field.secret}
        known |= {f"{field.name}_command" for field in found.fields if field.secret}
        if unknown := sorted(set(configured.options) - known):
            raise UsageError(f"there is no setting {unknown[0]!r} for {configured.kind}")
        return found.make(configured, secret)
    except UsageError as error:
        raise ChannelError(f"{configured.place}: {configured.name}: {error.message}", error.hint) from None
