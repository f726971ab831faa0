"""Plugin files by others than us: what each is, whether it is on, and the confirmed bytes that run for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigError, UsageError
from ..store import trusted
from . import header, places
from .describe import Content, Plugin, described
from .places import Place

if TYPE_CHECKING:
    from .libs import Wheel

_BYTES = 1_000_000
State = Literal["on", "off", "changed"]


@dataclass(frozen=True, slots=True)
class Own:
    """A plugin file. `data` are its bytes now, and `now` what they offer.

    `changed` is one whose bytes are not those that were confirmed; `running` is what the confirmed ones offer, None
    where none are. `problems` are sentences with file and line; with any a file cannot be confirmed. `place` says where it comes
    from, `seal` is the hash of the rest of its package. `needs` are the packages that it asks for, `missing` True while they are
    not installed: then it was not looked into. `wheels` are those that are.
    """

    file: Path
    data: bytes
    state: State
    now: Plugin
    running: Plugin | None
    problems: tuple[str, ...]
    place: Place = field(default_factory=lambda: Place(Path()))
    seal: str = ""
    needs: tuple[str, ...] = ()
    missing: bool = False
    wheels: tuple[Wheel, ...] = ()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def files(workspace: Path | None = None) -> list[Path]:
    """The plugin files there are, by place and name."""
    return [place.file for place in places.everywhere(workspace)]


async def running(workspace: Path | None = None, *, unsandboxed: bool) -> tuple[list[Plugin], tuple[str, ...]]:
    """What is on, from the confirmed bytes, and a sentence for each file that should be and is not.

    Starts no worker where the bytes were described before, as they are when they are confirmed.
    """
    known = trusted.load()
    contents: list[Content] = []
    problems: list[str] = []
    # To look through the installed packages takes a while, and most people have none on.
    with_packages = any(one.seal for one in known.values())
    for place in places.everywhere(workspace, packages=with_packages) if known else ():
        if (one := known.get(str(place.file))) is None:
            continue
        data = trusted.confirmed(one)
        if data is None:
            problems.append(f"{place.file}: the copy that was confirmed is gone, so it is off. Confirm it again: {_how(place)}")
        elif not _sealed(place, one):
            problems.append(f"{place.file}: other files of {place.label} have changed, so it is off. Look at it again: {_how(place)}")
        elif (libs := _libs(data)) is None:
            problems.append(f"{place.file}: the packages that it needs are not installed any more, so it is off. Have them: {_how(place)}")
        else:
            contents.append(Content(place.file, data, place.module, libs, place.roots))
    made = await described(contents, unsandboxed=unsandboxed)
    return made, (*problems, *(problem for plugin in made for problem in plugin.problems))


async def look(taken: Iterable[str] = (), workspace: Path | None = None, *, unsandboxed: bool) -> list[Own]:
    """Every file with what it is now. New bytes are described in the tightest worker; without a boundary they are not.

    `taken` are names of tools that come from elsewhere. Raises ConfigError where the list of confirmed ones is damaged.
    """
    known, made = trusted.load(), list[Own]()
    names = dict.fromkeys(taken, "localagent")
    for place in places.everywhere(workspace):
        one = await look_at(place, known.get(str(place.file)), names, unsandboxed=unsandboxed)
        made.append(one)
        for spec in (one.running or one.now).specs:
            names.setdefault(spec.name, str(one.file))
    return made


async def look_at(place: Place, known: trusted.Trusted | None, names: dict[str, str], *, unsandboxed: bool) -> Own:
    """One file; `names` says whose the names of tools are that are taken."""
    file = place.file
    if place.problem:
        return Own(file, b"", "off", Plugin(file, "", (), ()), None, (f"{file}: {place.problem}",), place)
    try:
        with file.open("rb") as opened:
            data = opened.read(_BYTES + 1)
        seal = places.seal(place)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return Own(file, b"", "off", Plugin(file, "", (), ()), None, (f"{file}:1: it cannot be read: {why}.",), place)
    old = trusted.confirmed(known) if known is not None else None
    libs = _libs(old) if old is not None else None
    whole = known is not None and known.seal == seal
    on = None
    if old is not None and libs is not None and whole:
        on = (await described([Content(file, old, place.module, libs, place.roots)], unsandboxed=unsandboxed))[0]
    now, needs, missing = await _now(place, data, data == old and whole, on, unsandboxed)
    state: State = "on" if on is not None and data == old else "changed" if old is not None and (on or not whole) else "off"
    problems = (*now.problems, *_collisions(now, names))
    wheels = () if missing or not needs else _wheels(data)
    return Own(file, data, state, now, on, problems, place, seal, needs, missing, wheels)


async def _now(place: Place, data: bytes, same: bool, on: Plugin | None, unsandboxed: bool) -> tuple[Plugin, tuple[str, ...], bool]:
    """What the bytes offer, the packages that they need, and whether these are missing."""
    file, text = place.file, data.decode("utf-8", "replace")
    if len(data) > _BYTES:
        return Plugin(file, "", (), (f"{file}:1: it is larger than {_BYTES:,} bytes.",)), (), False
    asked = header.read(text)
    if asked.problem:
        return Plugin(file, text, (), (f"{file}:{asked.line}: {asked.problem}.",)), (), False
    libs = _libs(data)
    if same and on is not None:
        return on, asked.needs, False
    if unsandboxed or libs is None:
        return Plugin(file, text, (), ()), asked.needs, libs is None
    return (await described([Content(file, data, place.module, libs, place.roots)], unsandboxed=False))[0], asked.needs, False


def _libs(data: bytes) -> str | None:
    """Where the packages of these bytes are, "" where they need none, None where they are missing."""
    if not header.read(data.decode("utf-8", "replace")).needs:
        return ""
    from . import libs

    found = libs.place(data)
    return str(found) if found is not None else None


def _wheels(data: bytes) -> tuple[Wheel, ...]:
    from . import libs

    return tuple(libs.wheels(data))


def _sealed(place: Place, known: trusted.Trusted) -> bool:
    try:
        return places.seal(place) == known.seal
    except (OSError, ValueError):
        return False


def _collisions(plugin: Plugin, names: dict[str, str]) -> list[str]:
    return [
        f"{plugin.file}:1: the name {spec.name!r} is taken by {names[spec.name]}. Give the function another one."
        for spec in plugin.specs
        if names.get(spec.name, str(plugin.file)) != str(plugin.file)
    ]


async def install(own: Own, index_url: str | None = None) -> tuple[Wheel, ...]:
    """Fetch the packages that it needs: a person has said yes to that. Raises ConfigError, SandboxUnavailable."""
    from . import libs

    kept = [data for one in trusted.load().values() if (data := trusted.confirmed(one)) is not None]
    libs.sweep([*kept, own.data])
    return tuple(await libs.install(own.data, own.needs, index_url))


def confirm(own: Own) -> None:
    """Have exactly the bytes that were looked at from now on. Raises ConfigError where they cannot be a plugin."""
    if own.problems:
        raise ConfigError(f"{own.file.name} cannot be confirmed: {' '.join(own.problems)}", "Mend it, and look again.")
    if own.missing:
        raise ConfigError(f"{own.file.name} cannot be confirmed before the packages that it needs are installed.", _how(own.place))
    trusted.confirm(own.file, own.data, own.seal)


def find(name: str, among: Iterable[Own]) -> Own:
    """The one of that path or name. Raises UsageError where there is none in the plugin folder."""
    folder = trusted.plugins_folder()
    wanted = Path(name).expanduser()
    for own in among:
        if own.file.name in (name, f"{name}.py") or own.place.module == name or own.file.resolve() == wanted.resolve():
            return own
    raise UsageError(f"There is no plugin {name!r} in {folder}.", f"Put the file there: mkdir -p {folder}")


def told(own: Own) -> list[str]:
    """What it is, as plain lines for a person: path, hash, state, tools with effects, problems."""
    state = {
        "on": "on",
        "off": "off: it was never confirmed",
        "changed": "changed since it was confirmed; the earlier version runs on",
    }[own.state]
    if own.state == "changed" and own.running is None:
        state = "other files of its package have changed since it was confirmed, so it is off"
    lines = [f"file     {own.file}", f"from     {own.place.label}", f"sha256   {own.sha256}", f"state    {state}"]
    if own.seal:
        lines.append(f"package  sha256 of its other files {own.seal}")
    for need in own.needs:
        lines.append(f"needs    {need}{' (not installed)' if own.missing else ''}")
    lines += [f"wheel    {wheel.name} sha256 {wheel.sha256}" for wheel in own.wheels]
    for spec in own.now.specs:
        effects = ", ".join(spec.effects) or "not declared: asks every time"
        lines.append(f"tool     {spec.name} ({effects}): {spec.description}")
        lines += [f"         reaches {host}" for host in spec.hosts]
        lines += [f"         gets the secret {name}" for name in spec.secrets]
        lines += ["         asks each time"] if spec.confirm else []
    if own.missing and not own.problems:
        lines.append("tool     not known before its packages are installed")
    elif not own.now.specs and not own.problems:
        lines.append("tool     not known: without a sandbox its code is not run before you have confirmed it")
    return [*lines, *(f"problem  {problem}" for problem in own.problems)]


def _how(place: Place) -> str:
    return f"localagent tools trust {place.module or place.file.name}"
