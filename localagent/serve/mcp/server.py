"""The server: a list of tools, and one call after the other."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server

from ...agent.offering import SEARCH
from ...agent.session import Session
from ...errors import LocalAgentError
from ...events import ToolFinished, ToolOutput, TurnEnded
from ...toolbox import planning
from ...values import Answer, Decision, Proposal, ToolCall, ToolSpec
from . import asking
from .caller import Caller

_WORDS = "Another program called a tool."
_EXPIRY_S = 600.0
_LOOKING = frozenset({"compute", "read:fs", "read:mail"})


@dataclass(slots=True)
class _Question:
    """`told` and `form` are what the person sees; the first answer counts."""

    told: str
    form: dict[str, Any]
    answered: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def answer(self, given: Answer) -> None:
        if not self.answered.done():
            self.answered.set_result(given)


@dataclass(slots=True)
class _Open:
    """A call on its way. `questions` are those that nobody has been shown yet; `ctx` is None while no request is open for it."""

    name: str
    args: Mapping[str, Any]
    ctx: Any
    questions: asyncio.Queue[_Question] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[types.CallToolResult] | None = None
    shown: _Question | None = None


class ToolServer:
    """Serves the tools of a session whose engine is `caller`, for clients of either generation of the protocol."""

    def __init__(self, session: Session, caller: Caller, version: str) -> None:
        self._session, self._caller = session, caller
        self._folder = str(session.setting.workspace)
        self._one = asyncio.Lock()
        self._open: dict[str, _Open] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.server: Server[Any] = Server(
            "localagent",
            version=version,
            instructions=f"Tools on the user's computer, in {self._folder}, under the user's rules: some calls ask the user first.",
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def aclose(self) -> None:
        """End what still runs: the client has gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.setting.registry.aclose()
        await self._session.close()

    async def _list(self, ctx: Any, params: Any) -> types.ListToolsResult:
        # Those that are found for a model of ours too: the client has its own way to choose.
        specs = self._session.setting.registry.every()
        ours = (planning.PLAN.source, SEARCH.source)
        return types.ListToolsResult(tools=[_tool(spec) for spec in specs if spec.source not in ours])

    async def _call(
        self, ctx: Any, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        args = params.arguments or {}
        if params.request_state is None:
            one = self._begin(ctx, params.name, args)
        else:
            known = self._open.pop(params.request_state, None)
            if known is None or (known.name, known.args) != (params.name, args) or known.shown is None:
                if known is not None and known.shown is not None:
                    known.shown.answer(Answer("deny", note="its answer was given to another call", by_person=False))
                return _failed("This question is over, or was another one's. Call the tool again.")
            one, given = known, (params.input_responses or {}).get(asking.NAME)
            assert one.shown is not None
            one.ctx = ctx
            one.shown.answer(_answer(given, one.shown.form))
        try:
            return await self._until(ctx, one)
        except asyncio.CancelledError:
            if one.task is not None:
                one.task.cancel()
            raise

    def _begin(self, ctx: Any, name: str, args: Mapping[str, Any]) -> _Open:
        one = _Open(name, args, ctx)
        one.task = asyncio.ensure_future(self._run(one))
        self._tasks.add(one.task)
        one.task.add_done_callback(self._tasks.discard)
        return one

    async def _until(self, ctx: Any, one: _Open) -> types.CallToolResult | types.InputRequiredResult:
        """The call's result, or what has to be asked first where the client comes back with the answer."""
        assert one.task is not None
        while True:
            asked = asyncio.ensure_future(one.questions.get())
            try:
                await asyncio.wait({one.task, asked}, return_when=asyncio.FIRST_COMPLETED)
                if one.task.done():
                    return one.task.result()
            finally:
                asked.cancel()
            one.shown = question = asked.result()
            if not _can_ask(ctx):
                note = "the program that called it cannot ask the user"
                question.answer(Answer("deny", note=note, by_person=False))
            elif ctx.session.can_send_request:
                told = await ctx.session.elicit_form(question.told, question.form, ctx.request_id)
                question.answer(asking.answer(told.action, told.content, question.form))
            else:
                return self._kept(one, question)

    def _kept(self, one: _Open, question: _Question) -> types.InputRequiredResult:
        """Where the server cannot ask by itself the client asks, and calls again with the answer and this token."""
        one.ctx, token = None, secrets.token_urlsafe(24)
        self._open[token] = one
        asyncio.get_running_loop().call_later(_EXPIRY_S, self._expire, token, question)
        form = types.ElicitRequestFormParams(message=question.told, requested_schema=question.form)
        return types.InputRequiredResult(
            input_requests={asking.NAME: types.ElicitRequest(params=form)}, request_state=token
        )

    def _expire(self, token: str, question: _Question) -> None:
        if self._open.pop(token, None) is not None:
            question.answer(Answer("deny", note="nobody answered in time", by_person=False))

    async def _run(self, one: _Open) -> types.CallToolResult:
        async def approve(call: ToolCall, decision: Decision, changes: tuple[Proposal, ...]) -> Answer:
            told = asking.text(call, decision, changes, self._folder)
            question = _Question(told, asking.schema(decision, told))
            await one.questions.put(question)
            return await question.answered

        done: ToolFinished | None = None
        denied: tuple[str, ...] = ()
        trouble = ""
        async with self._one:
            self._caller.call = ToolCall("", one.name, one.args)
            try:
                async with aclosing(self._session.send(_WORDS, approve)) as events:
                    async for event in events:
                        match event:
                            case ToolOutput() if one.ctx is not None:
                                await one.ctx.session.report_progress(0.0, message=event.text[-500:])
                            case ToolFinished():
                                done = event
                            case TurnEnded():
                                denied, trouble = event.denied, event.error.message if event.error else ""
                            case _:
                                pass
            except LocalAgentError as error:
                trouble = str(error)
        if done is None:
            return _failed(trouble or "The call was not carried out.")
        allow = " ".join(f"--allow {rule!r}" for rule in denied if rule)
        more = f"\nStart the server with {allow} to allow it." if allow else ""
        return _result(done.result.text + more, failed=done.result.status != "ok")


def _can_ask(ctx: Any) -> bool:
    known = ctx.session.client_capabilities
    return known is not None and known.elicitation is not None


def _answer(given: Any, form: Mapping[str, Any]) -> Answer:
    if not isinstance(given, types.ElicitResult):
        return Answer("deny", note="the question was not answered", by_person=False)
    return asking.answer(given.action, given.content, form)


def _tool(spec: ToolSpec) -> types.Tool:
    effects = set(spec.effects)
    hints = types.ToolAnnotations(
        read_only_hint=bool(effects) and effects <= _LOOKING,
        destructive_hint=not effects <= _LOOKING or not effects,
        open_world_hint=bool(effects & {"net", "send"}) or not effects,
    )
    return types.Tool(
        name=spec.name, description=spec.description, input_schema=dict(spec.parameters), annotations=hints
    )


def _result(text: str, failed: bool) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=failed)


def _failed(text: str) -> types.CallToolResult:
    return _result(text, failed=True)
