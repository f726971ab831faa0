"""The user's own plugin files: what each is, whether it is on, and the confirmed bytes that run for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import ConfigError, UsageError
from ..store import trusted
from .describe import Plugin, described

_FILES = 100
_BYTES = 1_000_000
State = Literal["on", "off", "changed"]


@dataclass(frozen=True, slots=True)
class Own:
    """A file in the plugin folder. `data` are its bytes now, and `now` what they offer.

    `changed` is one whose bytes are not those that were confirmed; `running` is what the confirmed ones offer, None
    where none are. `problems` are sentences with file and line; with any a file cannot be confirmed.
    """

    file: Path
    data: bytes
    state: State
    now: Plugin
    running: Plugin | None
    problems: tuple[str, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def files() -> list[Path]:
    """The plugin files of the user, by name."""
    try:
        found = sorted(path for path in trusted.plugins_folder().glob("*.py") if path.name[0] not in "._" and path.is_file())
    except OSError:
        return []
    return found[:_FILES]


async def running(*, unsandboxed: bool) -> tuple[list[Plugin], tuple[str, ...]]:
    """What is on, from the confirmed bytes, and a sentence for each file that should be and is not.

    Starts no worker where the bytes were described before, as they are when they are confirmed.
    """
    known, pairs, problems = trusted.load(), [], []
    for file in files():
        if (one := known.get(str(file))) is not None:
            if (data := trusted.confirmed(one)) is None:
                problems.append(f"{file}: the copy that was confirmed is gone, so it is off. Confirm it again: {_how(file)}")
            else:
                pairs.append((file, data))
    made = await described(pairs, unsandboxed=unsandboxed)
    return made, (*problems, *(problem for plugin in made for problem in plugin.problems))


async def look(taken: Iterable[str] = (), *, unsandboxed: bool) -> list[Own]:
    """Every file with what it is now. New bytes are described in the tightest worker; without a boundary they are not.

    `taken` are names of tools that come from elsewhere. Raises ConfigError where the list of confirmed ones is damaged.
    """
    known, made = trusted.load(), []
    names = dict.fromkeys(taken, "localagent")
    for file in files():
        try:
            with file.open("rb") as opened:
                data = opened.read(_BYTES + 1)
        except OSError as error:
            made.append(Own(file, b"", "off", Plugin(file, "", (), ()), None, (f"{file}:1: it cannot be read: {error.strerror}.",)))
            continue
        one = known.get(str(file))
        old = trusted.confirmed(one) if one is not None else None
        on = (await described([(file, old)], unsandboxed=unsandboxed))[0] if old is not None else None
        if len(data) > _BYTES:
            now = Plugin(file, "", (), (f"{file}:1: it is larger than {_BYTES:,} bytes.",))
        elif data == old and on is not None:
            now = on
        elif unsandboxed:
            now = Plugin(file, data.decode("utf-8", "replace"), (), ())
        else:
            now = (await described([(file, data)], unsandboxed=False))[0]
        state: State = "off" if on is None else "on" if data == old else "changed"
        made.append(Own(file, data, state, now, on, (*now.problems, *_collisions(now, names))))
        for spec in (on or now).specs:
            names.setdefault(spec.name, str(file))
    return made


def _collisions(plugin: Plugin, names: dict[str, str]) -> list[str]:
    return [
        f"{plugin.file}:1: the name {spec.name!r} is taken by {names[spec.name]}. Give the function another one."
        for spec in plugin.specs
        if names.get(spec.name, str(plugin.file)) != str(plugin.file)
    ]


def confirm(own: Own) -> None:
    """Have exactly the bytes that were looked at from now on. Raises ConfigError where they cannot be a plugin."""
    if own.problems:
        raise ConfigError(f"{own.file.name} cannot be confirmed: {' '.join(own.problems)}", "Mend it, and look again.")
    trusted.confirm(own.file, own.data)


def find(name: str, among: Iterable[Own]) -> Own:
    """The one of that path or name. Raises UsageError where there is none in the plugin folder."""
    folder = trusted.plugins_folder()
    wanted = Path(name).expanduser()
    for own in among:
        if own.file.name in (name, f"{name}.py") or own.file.resolve() == wanted.resolve():
            return own
    raise UsageError(f"There is no plugin {name!r} in {folder}.", f"Put the file there: mkdir -p {folder}")


def told(own: Own) -> list[str]:
    """What it is, as plain lines for a person: path, hash, state, tools with effects, problems."""
    state = {
        "on": "on",
        "off": "off: it was never confirmed",
        "changed": "changed since it was confirmed; the earlier version runs on",
    }[own.state]
    lines = [f"file     {own.file}", f"sha256   {own.sha256}", f"state    {state}"]
    for spec in own.now.specs:
        effects = ", ".join(spec.effects) or "not declared: asks every time"
        lines.append(f"tool     {spec.name} ({effects}): {spec.description}")
    if not own.now.specs and not own.problems:
        lines.append("tool     not known: without a sandbox its code is not run before you have confirmed it")
    return [*lines, *(f"problem  {problem}" for problem in own.problems)]


def _how(file: Path) -> str:
    return f"localagent tools trust {file.name}"
