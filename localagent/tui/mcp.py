"""The MCP servers in the app: what each may and offers, started to be looked at, had on and off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.content import Content

from ..agent import shown
from ..errors import LocalAgentError, UsageError
from ..sandbox import launch
from ..store import mcp as config
from ..store import mcp_known
from .trust import Looked
from .windows import Picker, Row
from .words import n_of, t

if TYPE_CHECKING:
    from ..store.mcp import Server
    from ..store.mcp_known import Known
    from .app import LocalAgentApp


class Servers:
    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app

    async def command(self, argument: str) -> None:
        """`/mcp [NAME]`: one server, else the list. Raises ConfigError and UsageError."""
        servers = await asyncio.to_thread(config.load)
        if argument and argument not in servers:
            raise UsageError(t("There is no MCP server {name}.", name=argument), t("/mcp lists them."))
        if argument:
            await self._show(servers[argument])
            return
        if not servers:
            self._app.driver.tell(t("There are no MCP servers yet: localagent mcp add, or localagent mcp import."))
            return
        rows = [await asyncio.to_thread(row, one) for one in servers.values()]
        window = Picker(t("MCP servers"), rows)
        self._app.push_screen(window, lambda name: self._app.run_worker(self._show(servers[name])) and None if name else None)

    async def _show(self, server: Server) -> None:
        known = await asyncio.to_thread(mcp_known.load, server.name)
        held = (await asyncio.to_thread(launch.probe)).name != "none"
        window = Looked(t("The MCP server {name}", name=server.name), lines_of(server, known, held), keys_of(server, known))
        self._app.push_screen(window, lambda key: self._app.run_worker(self._answered(server, known, key)) and None)

    async def _answered(self, server: Server, known: Known, key: str | None) -> None:
        tell = self._app.driver.tell
        try:
            if key == "s":
                tell(t("Starting {name} to look at it …", name=server.name))
                await self._look(server)
                await self._show(server)
            elif key == "y" and known.seen is not None:
                await asyncio.to_thread(mcp_known.confirm, server.name, known.seen)
                await asyncio.to_thread(config.grant, server.name, lambda was: config.switched(was, True))
                there = self._found_here()
                here, later = (
                    t("The MCP server {name} is on. Its tools are found from the next request on.", name=server.name),
                    t("The MCP server {name} is on. Its tools are there from the next conversation on (/new).", name=server.name),
                )
                tell(here if there else later)
            elif key == "x":
                on = not server.granted.on
                await asyncio.to_thread(config.grant, server.name, lambda was: config.switched(was, on))
                tell(t("The MCP server {name} is on.", name=server.name) if on else t("The MCP server {name} is off.", name=server.name))
        except LocalAgentError as error:
            tell(shown.visible(str(error), lines=False), "error")

    async def _look(self, server: Server) -> None:
        from ..toolbox.mcp import looking

        session = self._app.driver.session
        folder = str(session.setting.workspace) if session is not None else None
        await asyncio.to_thread(mcp_known.saw, server.name, await looking.look(server, folder))

    def _found_here(self) -> bool:
        """Whether the conversation that is open looks for tools, and at servers."""
        from ..toolbox.mcp.source import McpSource

        session = self._app.driver.session
        registry = session.setting.registry if session is not None else None
        if registry is None or registry.spec("tool_search") is None:
            return False
        return any(isinstance(source, McpSource) for source in registry.sources)


def state(server: Server, known: Known) -> str:
    """In the person's words."""
    from ..toolbox.mcp import telling

    told = {"on": t("on"), "off": t("off"), "new": t("new: not looked at yet"), "changed": t("changed since you looked at it")}
    return told[telling.state(server, known)]


def row(server: Server) -> Row:
    from ..toolbox.mcp import telling

    known = mcp_known.load(server.name)
    count = len(known.callable(server.identity))
    tools = n_of(count, "{n} tool", "{n} tools")
    granted = t("may: {what}", what=shown.visible(telling.granted_line(server.granted), lines=False))
    return Row(server.name, server.name, " · ".join([state(server, known), *([tools] if count else []), granted]))


def lines_of(server: Server, known: Known, held: bool = True) -> list[Content]:
    """Its facts, then what it offers; where it was confirmed before, what is different. `held`: there is a sandbox for it."""
    from ..toolbox.mcp import telling

    lines = [state(server, known), *telling.what(server)]
    if server.command and not held:
        lines.append(t("There is no sandbox on this machine: it is started with all that you may do."))
    lines.append("")
    if known.seen is None or known.seen.identity != server.identity:
        lines.append(t("What it offers is not known yet: s starts it."))
    else:
        same = known.confirmed is not None and known.changes(server.identity) == 0
        lines += telling.offered(known.seen, None if same else known.confirmed)
    return [Content(shown.visible(line, lines=False)) for line in lines]


def keys_of(server: Server, known: Known) -> dict[str, str]:
    seen = known.seen is not None and known.seen.identity == server.identity
    waits = known.confirmed is None or bool(known.changes(server.identity))
    keys = {"y": t("has it on, with exactly these tools")} if seen and waits else {}
    keys["s"] = t("starts it and looks") if server.command else t("asks it and looks")
    if known.confirmed is not None:
        keys["x"] = t("has it off") if server.granted.on else t("has it on")
    return keys
