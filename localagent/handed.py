"""What a command is handed besides its arguments: here, because commands know nothing of wiring."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .agent.session import Session
    from .engine.base import Engine
    from .engine.catalogue import Entry
    from .serve.server import Server
    from .store.settings import Settings
    from .values import ToolSpec


def needs(name: str, commands: Mapping[str, tuple[str, str]], at_terminal: Callable[[], bool]) -> tuple[object, ...]:
    """What a command is handed besides its arguments."""
    given = {"completion": _parsers(commands), "model": _bench, "bench": _bench, "serve": _server, "acp": _editor, "mcp": _tools}
    if name in given:
        return (given[name],)
    if name == "jobs":
        from . import wiring

        return wiring.for_job, wiring.job_tools
    if name == "web":
        from . import wiring
        from .serve.web import server

        return (lambda port: server.Server(server.program(wiring.folder(None)), port),)
    if name in ("resume", "gateway"):
        from .commands import arguments

        return arguments.of_do, at_terminal()
    if name == "tools":
        import asyncio

        from . import wiring
        from .store import paths, settings
        from .store.journal import Journal

        here, search = wiring.folder(None), settings.load().search_url or ""
        steps = (Journal(paths.state_dir() / "journal"), "")
        return (asyncio.run(wiring.registry(here, here, plugins=True, schedules=steps, search=search, servers=steps, remembers=steps)),)
    return ()


def _bench(entry: Entry, path: Path, chosen: Settings) -> tuple[Engine, Sequence[ToolSpec]]:
    """What `model check` and `bench` try a model with: the engine and the tools that `do` would use."""
    import asyncio

    from . import wiring

    here = wiring.folder(None)
    registry = asyncio.run(wiring.registry(here, here))
    return wiring.engine_of(entry, path, chosen), registry.specs()


def _server(chosen: Settings, wanted: Sequence[str], api_key: str | None, host: str, port: int) -> Server:
    """What `serve` runs: the models on this machine, each behind the engine that `do` would use."""
    from . import wiring
    from .commands import pulling
    from .serve import access, models, server

    def obtain(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
        return pulling.obtain(entry, chosen, pull=False, person=False)

    given = [wiring.local_model(chosen, one, obtain) for one in wanted or (None,)]
    shelf = models.shelf(given, chosen.context, lambda entry, path: wiring.judged_engine(entry, path, chosen))
    return server.Server(shelf, access.key(api_key), host, port)


def _editor(model: str | None, mode: str | None) -> None:
    """What `acp` runs: the sessions that `do` would have, until the editor goes."""
    import asyncio

    from . import wiring
    from .commands import arguments, pulling
    from .serve.acp import running
    from .store import settings

    def obtain(entry: Entry, chosen: Settings) -> tuple[Entry, Path]:
        return pulling.obtain(entry, chosen, pull=False, person=False)

    async def session(folder: str, resume: str | None) -> Session:
        chosen = settings.load()
        engine = await asyncio.to_thread(wiring.chosen_engine, chosen, model, obtain)
        words = ["-", "--cwd", folder, *(["--resume", resume] if resume else []), *(["--mode", mode] if mode else [])]
        return await wiring.for_do(arguments.of_do(words), engine, chosen)

    running.run(session)


def _tools(words: Sequence[str]) -> None:
    """What `mcp serve` runs: a session as `do` would have with these words, for another program's calls."""
    from . import wiring
    from .commands import arguments
    from .serve.mcp import running
    from .serve.mcp.caller import Caller
    from .store import settings

    async def session(caller: Caller) -> Session:
        # What another agent says is not what the user wants remembered.
        return await wiring.for_do(arguments.of_do([*words, "--no-memory"]), caller, settings.load())

    running.run(session)


def _parsers(commands: Mapping[str, tuple[str, str]]) -> Callable[[], Mapping[str, argparse.ArgumentParser]]:
    """Makes the parser of each command."""

    def made() -> dict[str, argparse.ArgumentParser]:
        import argparse
        from importlib import import_module

        from .commands import arguments

        found: dict[str, argparse.ArgumentParser] = {}
        for name, (where, _) in commands.items():
            found[name] = argparse.ArgumentParser(prog=name)
            module = import_module(f".{where}", __package__) if where else arguments
            (getattr(module, f"configure_{name}", None) or module.configure)(found[name])
        return found

    return made
