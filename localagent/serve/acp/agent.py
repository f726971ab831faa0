"""The agent that an editor talks to: its sessions, one prompt at a time in each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from acp import PROTOCOL_VERSION, RequestError, helpers
from acp.schema import (
    AgentCapabilities,
    AvailableCommand,
    Implementation,
    InitializeResponse,
    ListSessionsResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PromptCapabilities,
    PromptResponse,
    SessionCapabilities,
    SessionInfo,
    SessionListCapabilities,
    SessionMode,
    SessionModeState,
)

from ...agent.session import Session
from ...errors import LocalAgentError
from ...events import TurnEnded
from ...store import sessions
from ...values import Answer, Decision, Proposal, ToolCall
from . import asking, prompts, taking_back
from .telling import Teller

_MODES = (
    SessionMode(id="plan", name="Plan", description="Reads and proposes, changes nothing."),
    SessionMode(id="ask", name="Ask", description="Reads freely, asks before each change."),
    SessionMode(id="auto", name="Auto", description="Makes changes that can be undone without asking."),
)
_COMMANDS = (
    AvailableCommand(name="undo", description="Take back the last step of this conversation that changed files."),
    AvailableCommand(name="redo", description="Put back what was undone last."),
)
_LISTED = 100


class House(Protocol):
    """Makes the sessions. Raises LocalAgentError, for a model that is not here too."""

    def __call__(self, folder: str, resume: str | None) -> Awaitable[Session]: ...


@dataclass(slots=True)
class _Live:
    """A session that is open here. `turn` is the prompt that runs, `cancelled` that the editor has broken it off.

    `cancels` counts how often it has: a prompt that waited then is broken off too.
    """

    session: Session
    folder: str
    one: asyncio.Lock = field(default_factory=asyncio.Lock)
    turn: asyncio.Task[TurnEnded | None] | None = None
    cancelled: bool = False
    cancels: int = 0


class EditorAgent:
    """Implements `acp.Agent` as far as its capabilities say."""

    def __init__(self, house: House, version: str) -> None:
        self._house, self._version = house, version
        self._editor: Any = None
        self._live: dict[str, _Live] = {}
        self._later: set[asyncio.Task[None]] = set()

    def on_connect(self, conn: Any) -> None:
        self._editor = conn

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        return InitializeResponse(
            protocol_version=min(protocol_version, PROTOCOL_VERSION),
            agent_capabilities=AgentCapabilities(
                load_session=True,
                prompt_capabilities=PromptCapabilities(image=False, audio=False, embedded_context=True),
                session_capabilities=SessionCapabilities(list=SessionListCapabilities()),
            ),
            agent_info=Implementation(name="localagent", title="localagent", version=self._version),
            auth_methods=[],
        )

    async def new_session(self, cwd: str, mcp_servers: Sequence[Any] | None = None, **_: Any) -> NewSessionResponse:
        live = await self._open(cwd, None)
        self._soon(self._begun(live, bool(mcp_servers)))
        return NewSessionResponse(session_id=live.session.id, modes=_modes(live.session))

    async def load_session(
        self, cwd: str, session_id: str, mcp_servers: Sequence[Any] | None = None, **_: Any
    ) -> LoadSessionResponse:
        live = self._live.get(session_id) or await self._open(cwd, session_id)
        teller = Teller(live.session.setting.registry.spec, live.folder, replayed=True)
        for event in live.session.stored:
            for update in teller.told(event):
                await self._editor.session_update(session_id=live.session.id, update=update)
        self._soon(self._begun(live, bool(mcp_servers)))
        return LoadSessionResponse(modes=_modes(live.session))

    async def list_sessions(self, cwd: str | None = None, **_: Any) -> ListSessionsResponse:
        rows = await _said(asyncio.to_thread(sessions.rows, _LISTED, cwd))
        return ListSessionsResponse(sessions=[_info(row) for row in rows])

    async def set_session_mode(self, session_id: str, mode_id: str, **_: Any) -> None:
        if mode_id not in {mode.id for mode in _MODES}:
            raise RequestError.invalid_params({"modeId": f"there is no mode {mode_id!r}"})
        self._found(session_id).session.mode = mode_id  # type: ignore[assignment]

    async def prompt(self, session_id: str, prompt: Sequence[Any], **_: Any) -> PromptResponse:
        live = self._found(session_id)
        before = live.cancels
        async with live.one:
            if live.cancels != before:
                return PromptResponse(stop_reason="cancelled")
            live.cancelled = False
            text, attached = prompts.read(prompt)
            live.turn = asyncio.ensure_future(self._turn(live, text, attached))
            try:
                ended = await asyncio.shield(live.turn)
            except asyncio.CancelledError:
                if not live.cancelled:
                    live.turn.cancel()
                    raise
                ended = None
            finally:
                live.turn = None
        if ended is None or ended.status == "cancelled":
            return PromptResponse(stop_reason="cancelled" if live.cancelled else "end_turn")
        if ended.status == "failed":
            raise RequestError(-32603, ended.error.message if ended.error else "The turn failed.")
        return PromptResponse(stop_reason="max_turn_requests" if ended.status in ("budget", "time") else "end_turn")

    async def cancel(self, session_id: str, **_: Any) -> None:
        live = self._live.get(session_id)
        if live is not None:
            live.cancels += 1
        if live is not None and live.turn is not None:
            live.cancelled = True
            live.turn.cancel()

    async def aclose(self) -> None:
        """End what still runs: the editor has gone."""
        turns = [live.turn for live in self._live.values() if live.turn is not None]
        for task in (*turns, *self._later):
            task.cancel()
        await asyncio.gather(*turns, *self._later, return_exceptions=True)
        for live in self._live.values():
            await live.session.setting.registry.aclose()
            await live.session.close()

    # ------------------------------------------------------------ within

    async def _open(self, cwd: str, resume: str | None) -> _Live:
        if not Path(cwd).is_absolute():
            raise RequestError.invalid_params({"cwd": "must be an absolute path"})
        session = await _said(self._house(cwd, resume))
        live = self._live[session.id] = _Live(session, str(session.setting.workspace))
        return live

    def _found(self, session_id: str) -> _Live:
        live = self._live.get(session_id)
        if live is None:
            raise RequestError.invalid_params({"sessionId": "this session is not open; load it first"})
        return live

    def _soon(self, work: Any) -> None:
        """Behind the answer that tells the editor of the session."""
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _begun(self, live: _Live, servers: bool) -> None:
        await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            await self._tell(live, helpers.update_available_commands(list(_COMMANDS)))
            if servers:
                text = "The editor's MCP servers are not used here; add them with `localagent mcp import`.\n"
                await self._tell(live, helpers.update_agent_thought_text(text))

    async def _turn(self, live: _Live, text: str, attached: str) -> TurnEnded | None:
        """None where no turn was begun."""
        if text in ("/undo", "/redo"):
            said = await asyncio.to_thread(taking_back.turn, live.session, text == "/redo")
            await self._tell(live, helpers.update_agent_message_text(said))
            return None
        if not text:
            await self._tell(live, helpers.update_agent_message_text("There was nothing to read in that."))
            return None
        teller = Teller(live.session.setting.registry.spec, live.folder)

        async def approve(call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
            shown, options = asking.question(call, decision, changes, live.folder)
            told = await self._editor.request_permission(session_id=live.session.id, tool_call=shown, options=options)
            return asking.answer(told.outcome, options)

        ended: TurnEnded | None = None
        async with aclosing(live.session.send(text, approve, piped=attached)) as events:
            async for event in events:
                for update in teller.told(event):
                    await self._tell(live, update)
                ended = event if isinstance(event, TurnEnded) else ended
        return ended

    async def _tell(self, live: _Live, update: Any) -> None:
        await self._editor.session_update(session_id=live.session.id, update=update)


async def _said(work: Awaitable[Any]) -> Any:
    """An expected failure as the protocol's error, with the next step in it."""
    try:
        return await work
    except LocalAgentError as error:
        raise RequestError(-32603, str(error)) from None


def _modes(session: Session) -> SessionModeState:
    mode = session.mode if session.mode in {one.id for one in _MODES} else "ask"
    return SessionModeState(current_mode_id=mode, available_modes=list(_MODES))


def _info(row: sessions.Row) -> SessionInfo:
    at = datetime.fromtimestamp(row.last, UTC).isoformat()
    return SessionInfo(session_id=row.id, cwd=row.folder, title=row.name, updated_at=at)
