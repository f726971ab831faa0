"""The part of a call's life that sends: who is meant, may it, the words before a person, the wait, the receipt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import LocalAgentError, ToolError
from ..events import Event, ToolOutput
from ..policy import sending
from ..store.outbox import Entry
from ..values import Status, Text, ToolResult, ToolSpec
from . import asking, hooked, posting, record
from .asking import Life

if TYPE_CHECKING:
    from .dispatch import Hands
    from .posting import Post

_NO_CHANNEL = "No channel is set up, so nothing can be sent. Tell the user: `localagent channels add` does it."


async def send(life: Life, spec: ToolSpec, hands: Hands) -> AsyncGenerator[Event, None]:
    """Judge the messages that the call asks for, and see them through; `life.result` says what became of them."""
    post, wishes = hands.post, life.result.messages
    if post is None:
        life.ends(_ended(life, "failed", _NO_CHANNEL))
        return
    try:
        messages = [await asyncio.to_thread(post.resolved, wish) for wish in wishes]
        if left := posting.left_out(wishes, messages):
            life.result = replace(life.result, parts=(Text(f"Without {', '.join(left)}: whom you answer has sent that."),))
        messages, asked = await asyncio.to_thread(posting.pinned, messages)
        decision = sending.judge(messages, spec, hands.policy(), await asyncio.to_thread(post.repeats, messages), asked)
        decision = await hooked.before_send(messages, decision, hands)
        if decision.verdict != "deny":
            # Only now: a file that may not go out is not even opened.
            messages = [await asyncio.to_thread(posting.with_files, message) for message in messages]
            drafts = await asyncio.to_thread(post.drafts, messages, hands.session_id, life.call.id)
        else:
            drafts = []
    except ToolError as error:
        life.ends(_ended(life, "failed", f"Nothing was sent: {error}"))
        return
    shown = tuple(entry.message for entry in drafts) or tuple(messages)
    if any(entry.state != "draft" for entry in drafts):
        life.ends(_told(life, drafts))
        return
    try:
        async with aclosing(asking.settle(life, spec, decision, shown, hands.desk)) as events:
            async for event in events:
                yield event
    except asyncio.CancelledError:
        _refuse(post, drafts, "interrupted before anybody agreed")
        raise
    if life.edited is not None:
        _refuse(post, drafts, "changed into another message")
    elif life.decision.verdict == "deny":
        _refuse(post, drafts, life.decision.reason)
        told = f"Not allowed: {life.decision.reason}. Nothing was sent. Do not try it again; tell the user."
        life.ends(_ended(life, "denied", told))
    elif hands.dry_run:
        _refuse(post, drafts, "dry run")
        life.ends(_ended(life, "ok", "(dry run: nothing was sent)"))
    elif all(message.draft for message in shown):
        life.ends(_told(life, drafts))
    else:
        hands.used(life.decision.rule)
        async for event in _deliver(life, hands, post, drafts):
            yield event


async def _deliver(life: Life, hands: Hands, post: Post, drafts: Sequence[Entry]) -> AsyncGenerator[Event, None]:
    agreed = [entry for entry in drafts if not entry.message.draft]
    interrupted: asyncio.CancelledError | None = None
    entries: list[Entry] = []
    broken = ""
    try:
        async with aclosing(post.deliver(agreed)) as lines:
            async for line in lines:
                if isinstance(line, str):
                    yield ToolOutput(life.call.id, line)
                else:
                    entries = line
    except asyncio.CancelledError as error:
        interrupted = error
    except LocalAgentError as error:
        broken = str(error)
    try:
        entries = entries or [post.outbox.get(entry.id) for entry in agreed]
    except LocalAgentError as error:
        # The outbox itself failed: what is known is what it says, if it says anything.
        life.ends(_ended(life, "failed", f"It is not known what became of the message: {broken or error}"))
        if interrupted is not None:
            raise interrupted from None
        return
    life.ends(_told(life, entries, broken))
    for entry in entries:
        hands.record("sent", hands.masks.mask_in(record.sent(life.call, posting.receipt(entry))))
    if interrupted is not None:
        raise interrupted
    await hooked.after_send(entries, hands)


def _refuse(post: Post, drafts: Sequence[Entry], why: str) -> None:
    for entry in drafts:
        if entry.state == "draft":
            post.outbox.refuse(entry.id, why)


def _told(life: Life, entries: Sequence[Entry], broken: str = "") -> ToolResult:
    good = not broken and all(entry.state in ("sent", "handed over", "draft") for entry in entries)
    lines = [posting.told(entry) for entry in entries]
    result = _ended(life, "ok" if good else "failed", "\n".join([*lines, *([broken] if broken else [])]))
    return replace(result, receipts=(*result.receipts, *(posting.receipt(entry) for entry in entries)))


def _ended(life: Life, status: Status, text: str) -> ToolResult:
    said = life.result.text.strip()
    return replace(life.result, parts=(Text(f"{said}\n{text}" if said and said != "Done." else text),), status=status, messages=())
