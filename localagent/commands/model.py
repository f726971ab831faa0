"""`localagent model`: what there is, what fits, fetching, choosing, checking, removing."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine import catalogue, models, offers, reuse
from ..engine.catalogue import Catalogue, Entry
from ..errors import LocalAgentError, ModelMissing, StoreError, UsageError
from ..store import settings as config
from . import model_key, model_usage, stopping
from .pulling import Bar, Lines, ask, fetch, obtain, offer, say

if TYPE_CHECKING:
    import argparse

    from ..engine.fit import Fit
    from ..engine.machine import Machine
    from ..store.settings import Settings
    from .check import Bench

__all__ = ["configure", "fetch", "obtain", "offer", "run"]

_DONE, _FAILED = 0, 1


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="the models, and what fits this machine")
    listed.add_argument("--all", action="store_true", help="every quantisation, not only the usual one")
    listed.add_argument("--json", action="store_true", help="for programs")
    pulled = actions.add_parser("pull", help="download a model")
    pulled.add_argument("id", metavar="ID")
    sources = ["hub", "modelscope", "index"]
    pulled.add_argument("--source", choices=sources, help="where from (default: the usual place)")
    pulled.add_argument("--from", dest="given", metavar="PATH", help="use this file (or folder) instead of downloading")
    pulled.add_argument("--json", action="store_true", help="progress as a line of JSON a step, for programs")
    pulled.add_argument("--while-open", action="store_true", help="stop when standard input closes; what has come is kept")
    used = actions.add_parser("use", help="make a model the one that is used")
    used.add_argument("id", metavar="ID", help="an id of the list, or the path of a GGUF file")
    info = actions.add_parser("info", help="everything about a model, and the memory it needs")
    info.add_argument("id", metavar="ID", nargs="?", help="default: the model in use")
    info.add_argument("--json", action="store_true", help="for programs")
    checked = actions.add_parser("check", help="is the file what it should be, and does the model call tools well?")
    checked.add_argument("id", metavar="ID", nargs="?", help="default: the model in use")
    checked.add_argument("--json", action="store_true", help="for programs")
    key = actions.add_parser("key", help="store the key of a provider of hosted models, or forget it")
    key.add_argument("provider", metavar="PROVIDER", help="such as zai, openrouter, alibaba")
    key.add_argument("--forget", action="store_true", help="remove it instead")
    usage = actions.add_parser("usage", help="what hosted models have taken and cost, and what is left of the budget")
    usage.add_argument("--days", type=int, default=31, metavar="N", help="the last so many days (31)")
    usage.add_argument("--json", action="store_true", help="for programs")
    removed = actions.add_parser("rm", help="delete a downloaded model")
    removed.add_argument("id", metavar="ID")
    removed.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, bench: Bench) -> int:
    """`bench` makes the engine and the tools that `check` tries a model with."""
    if args.action == "check":
        from . import check

        chosen, known = config.load(), catalogue.load()
        return check.check(models.chosen(chosen, args.id, known), chosen, known, bench, as_json=args.json)
    actions = {"list": _list, "pull": _pull, "use": _use, "info": _info, "rm": _rm, "key": model_key.run, "usage": model_usage.run}
    return actions[args.action](args, config.load(), catalogue.load())


# ---------------------------------------------------------------- list


def _list(args: argparse.Namespace, chosen: Settings, known: Catalogue) -> int:
    from ..engine import fit
    from ..engine.machine import this_machine

    machine = this_machine(reuse.folder())
    in_use = (chosen.model or known.default).lower()
    entries = [entry for entry in known.entries.values() if args.all or not entry.is_variant or offers.here(entry)]
    fits = {entry.id: fit.fits(entry, machine, chosen.context) for entry in entries}
    if args.json:
        rows = [_facts(entry, fits[entry.id]) | {"in_use": entry.id == in_use} for entry in entries]
        print(json.dumps({"machine": _machine_facts(machine), "context": chosen.context, "models": rows}, indent=2))
        return _DONE
    rows = [[_mark(entry, in_use), *_row(entry, fits[entry.id])] for entry in entries]
    _table(["", "MODEL", "SIZE", "NEEDS", "FITS", "WHERE", ""], rows)
    print()
    if in_use not in known.entries:
        print(f"In use: {chosen.model}")
    print(_machine_line(machine, chosen.context))
    if not args.all:
        print("`localagent model list --all` shows every quantisation, `model info ID` the computation.")
    return _DONE


def _mark(entry: Entry, in_use: str) -> str:
    return "*" if entry.id == in_use else ""


def _row(entry: Entry, fit: Fit) -> list[str]:
    from ..engine.fit import gib
    from ..engine.partial import size_text

    if entry.hosted:
        return [entry.id, "", "", "", f"hosted ({model_key.told(entry)})", entry.note]
    size = size_text(entry.bytes) if entry.parts else ""
    return [entry.id, size, f"{gib(fit.need)} GiB", _verdict(fit), _where(entry), entry.note or _quant_note(entry)]


def _quant_note(entry: Entry) -> str:
    return entry.quant if entry.is_variant else ""


def _verdict(fit: Fit) -> str:
    if fit.verdict in ("fits", "tight") and fit.disk_short:
        return f"{fit.verdict}, but not on the disk"
    return f"{fit.verdict} (GPU)" if fit.place == "gpu" else fit.verdict


def _where(entry: Entry) -> str:
    path = offers.here(entry)
    if path is None:
        rest = sum(_size(partial) for partial in offers.partials(entry))
        return f"{rest * 100 // entry.bytes} % downloaded" if rest else "-"
    return "here" if _is_ours(path) else str(path)


def _is_ours(path: Path) -> bool:
    return reuse.folder() in path.parents


def _machine_facts(machine: Machine) -> dict[str, Any]:
    return {
        "memory": machine.ram,
        "memory_available": machine.available,
        "disk_free": machine.disk,
        "gpus": [{"name": gpu.name, "memory": gpu.total, "memory_free": gpu.free} for gpu in machine.gpus],
    }


def _machine_line(machine: Machine, context: int) -> str:
    from ..engine.fit import gib

    cards = "; ".join(f"{gpu.name} {gib(gpu.total)} GiB" for gpu in machine.gpus) or "no GPU seen"
    return (
        f"This machine: {gib(machine.available)} of {gib(machine.ram)} GiB memory free, "
        f"{gib(machine.disk)} GiB disk free, {cards}. Needs are for {context:,} tokens of context."
    )


def _facts(entry: Entry, fit: Fit) -> dict[str, Any]:
    path = offers.here(entry)
    return {
        "id": entry.id,
        "name": entry.name,
        "note": entry.note,
        "kind": "api" if entry.hosted else "gguf",
        "quant": entry.quant,
        "bytes": entry.bytes,
        "licence": entry.licence,
        "context": entry.context,
        "dialect": entry.dialect,
        "thinks": entry.thinks,
        "fits": fit.verdict,
        "needs_bytes": 0 if entry.hosted else fit.need,
        "present": path is not None,
        "path": str(path) if path else None,
    }


def _table(head: list[str], rows: list[list[str]]) -> None:
    shown = [head, *rows] if head else rows
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


# ---------------------------------------------------------------- pull, and what `do` needs of it


def _pull(args: argparse.Namespace, chosen: Settings, known: Catalogue) -> int:
    entry = known.get(args.id)
    if args.given:
        if not entry.parts:
            raise UsageError(f"{entry.id} is hosted: it has no file.")
        with Bar(f"Checking {entry.id}") as bar:
            path = reuse.adopt(entry, Path(args.given), bar)
        print(f"{entry.id} is used from {path}")
    elif args.json:
        return _pull_for_program(entry, args, chosen, known)
    else:
        with stopping.while_open(args.while_open):
            path = fetch(entry, chosen, source=args.source)
        print(f"{entry.id} is ready: {path}")
    _adopt_first(entry, chosen, known)
    return _DONE


def _pull_for_program(entry: Entry, args: argparse.Namespace, chosen: Settings, known: Catalogue) -> int:
    """Progress and the outcome as lines of JSON on stdout; sentences stay on stderr."""
    try:
        with stopping.while_open(args.while_open):
            path = fetch(entry, chosen, source=args.source, bar=Lines)
    except LocalAgentError as error:
        print(json.dumps({"what": "failed", "kind": error.kind, "message": error.message, "hint": error.hint}), flush=True)
        raise
    with contextlib.redirect_stdout(sys.stderr):
        _adopt_first(entry, chosen, known)
    print(json.dumps({"what": "ready", "path": str(path)}), flush=True)
    return _DONE


def _adopt_first(entry: Entry, chosen: Settings, known: Catalogue) -> None:
    """Who has chosen nothing and has no default model means the one they fetched."""
    if chosen.model is not None or entry.id == known.default:
        return
    if offers.here(known.get(known.default)) is None:
        config.set_value("model", entry.id)
        print(f"It is now the model in use (change it with `localagent model use {known.default}`).")
    else:
        print(f"Use it with: localagent model use {entry.id}")


# ---------------------------------------------------------------- use, info, rm


def _use(args: argparse.Namespace, chosen: Settings, known: Catalogue) -> int:
    entry = catalogue.completed(known.find(args.id))
    config.set_value("model", entry.id)
    print(f"{entry.id} is now the model in use.")
    if entry.hosted:
        remote = entry.remote
        say(model_key.leaves(entry))
        if remote and remote.key_env and not model_key.there(remote):
            say(f"It needs your key first: localagent model key {remote.provider}")
    elif offers.here(entry) is None:
        say(f"It is not on this machine yet: localagent model pull {entry.id}")
    return _DONE


def _info(args: argparse.Namespace, chosen: Settings, known: Catalogue) -> int:
    from ..engine import fit
    from ..engine.machine import this_machine
    from . import planning

    entry = models.chosen(chosen, args.id, known)
    found = fit.fits(entry, this_machine(reuse.folder()), chosen.context)
    made = planning.plan_of(offers.here(entry), chosen)
    if args.json:
        plan = {"plan": made and planning.facts(made, chosen)}
        print(json.dumps(_facts(entry, found) | _more_facts(entry, found) | plan, indent=2))
        return _DONE
    for name, value in _lines(entry, found, known):
        if value:
            print(f"{name + ':':14}{value}")
    if made:
        print("\nIt is loaded here with:")
        _table([], [["", *row] for row in planning.rows(made, chosen)])
    return _DONE


def _more_facts(entry: Entry, found: Fit) -> dict[str, Any]:
    memory = {
        "context": found.context,
        "file": found.file,
        "kv": found.kv,
        "state": found.state,
        "compute": found.compute,
        "largest_context": found.largest_context,
    }
    return {
        "repository": entry.repository,
        "revision": entry.revision,
        "files": [{"file": part.file, "bytes": part.bytes, "sha256": part.sha256} for part in entry.parts],
        "sources": list(entry.sources),
        "memory": memory,
        "sees": entry.can_see,
        "projector": None if entry.projector is None else str(reuse.projector(entry) or ""),
        "base_url": entry.remote.base_url if entry.remote else None,
    }


def _lines(entry: Entry, found: Fit, known: Catalogue) -> list[tuple[str, str]]:
    from ..engine.partial import size_text

    path = offers.here(entry)
    shown = [
        ("model", f"{entry.id}  ({entry.name}{f', {entry.quant}' if entry.quant else ''})"),
        ("note", entry.note),
        ("licence", entry.licence),
        ("context", f"{entry.context:,} tokens at most" if entry.context else ""),
        ("tool calls", entry.dialect),
        ("thinking", "can think" if entry.thinks else ""),
        ("pictures", _eyes(entry)),
    ]
    if entry.remote is not None:
        return [*shown, ("hosted at", entry.remote.base_url), ("key", model_key.told(entry)), ("note", model_key.leaves(entry))]
    if entry.repository:
        shown.append(("repository", f"{entry.repository} @ {entry.revision}"))
    for part in entry.parts:
        shown.append(("file", f"{part.file}  {part.bytes:,} bytes  {part.sha256}".rstrip()))
    shown += [
        ("sources", ", ".join(entry.sources)),
        ("here", str(path) if path else f"no; `localagent model pull {entry.id}` downloads {size_text(entry.bytes)}"),
        ("memory", found.numbers()),
        ("verdict", f"{_verdict(found)}; {_largest(found)}"),
        ("variants", ", ".join(other.id for other in known.variants(entry))),
    ]
    return shown


def _eyes(entry: Entry) -> str:
    """Whether it sees, and where the file is with which it does."""
    from ..engine.partial import size_text

    if entry.projector is None:
        return "can see them" if entry.sees else ""
    size = size_text(entry.projector.bytes)
    return f"can see them with {reuse.projector(entry) or f'{entry.projector.name} ({size}), which `model pull` fetches'}"


def _largest(found: Fit) -> str:
    if not found.largest_context:
        return "no context fits comfortably"
    return f"the largest context that fits is {found.largest_context:,} tokens"


def _rm(args: argparse.Namespace, chosen: Settings, known: Catalogue) -> int:
    entry = known.get(args.id)
    own = [reuse.own_path(entry, part) for part in entry.parts]
    if (eyes := entry.eyes) is not None and not any(offers.here(other) for other in known.variants(entry)):
        own += [reuse.own_path(eyes, part) for part in eyes.parts]
    files = [path for path in (*own, *offers.partials(entry)) if path.is_file()]
    elsewhere = [path for path in reuse.recorded_paths(entry) if not _is_ours(path)]
    if not files and not elsewhere:
        raise ModelMissing(f"{entry.id} is not on this machine.", "There is nothing to remove.")
    from ..engine.partial import size_text

    if files and not args.yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{files[0]} would be deleted, and nobody is here to ask.", "Add --yes.")
        total = size_text(sum(_size(path) for path in files))
        if ask(f"Delete {entry.id} ({total}) in {files[0].parent}? [y/N] ").lower() not in ("y", "yes"):
            say("Nothing was removed.")
            return _FAILED
    freed = sum(_size(path) for path in files)
    for path in files:
        try:
            path.unlink()
        except OSError as error:
            raise StoreError(f"{path} cannot be removed: {error.strerror or error}.") from None
    reuse.forget([*files, *elsewhere])
    if files:
        print(f"{entry.id} is removed, {size_text(freed)} freed.")
    for path in elsewhere:
        print(f"{path} belongs to another program: it is no longer used, and stays where it is.")
    return _DONE


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
