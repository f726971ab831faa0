"""A day of simulated time through the gateway: 500 messages, none missed, none answered twice, nothing for strangers."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent.events import MessageDone
from localagent.gateway import gateway, post
from localagent.values import Incoming, Message, Text, Usage

from . import clock
from .support import World

DAY, PEOPLE = 86_400.0, ("ada", "bo", "cy")


class Engine:
    """Answers each request with its own words, after a while; nothing of it is kept but how often it was asked."""

    model = "scripted"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def stream(self, messages: Any, specs: Any, options: Any) -> AsyncIterator[Any]:
        goal = [one.parts[0].text for one in messages if one.role == "user"][-1]
        self.asked.append(goal)
        await asyncio.sleep(20.0)
        yield MessageDone(Message("assistant", (Text(f"Re: {goal}"),)), Usage(1, 1, 1))

    async def prepare(self, *_: Any) -> None: ...

    async def close(self) -> None: ...


def _arrivals() -> tuple[list[tuple[float, Incoming]], dict[str, list[str]]]:
    """When what comes in, and the requests that each person must get an answer to, in their order."""
    chance, made, wanted = random.Random(11), [], {who: [] for who in PEOPLE}
    times = sorted(chance.uniform(300, DAY - 3000) for _ in range(500))
    for n, at in enumerate(times):
        who, kind = chance.choice(PEOPLE), chance.choice(("request",) * 4 + ("stranger", "stranger", "twice", "edit", "group", "forged"))
        message = Incoming(f"d{n}", "chat", who, who, f"request {n}", clock.START + at, authentic=True)
        earlier = [one for _, one in made if one.sender == who == one.chat and one.authentic]
        if kind in ("twice", "edit") and earlier:
            old = chance.choice(earlier)
            message = old if kind == "twice" else replace(old, text=f"{old.text}, but otherwise")
        elif kind == "stranger":
            name = chance.choice(("eve", "mallory"))
            text = chance.choice((f"request {n}", "/status", "yes ABCDEF", "pair ABCD-EFGH", "/stop"))
            message = replace(message, sender=name, chat=name, text=text)
        elif kind == "group":
            message = replace(message, chat="group")
        elif kind == "forged":
            message = replace(message, authentic=chance.choice((None, False)))
        else:
            wanted[who].append(message.text)
        made.append((at, message))
    return made, wanted


@pytest.mark.slow
def test_nothing_is_missed_or_doubled(tmp_path: Path, monkeypatch) -> None:
    # Looked at less often while nothing comes in: it is woken by what comes.
    monkeypatch.setattr(gateway, "_LOOK_S", 600.0)
    monkeypatch.setattr(post, "_IDLE_S", 600.0)
    arrivals, wanted = _arrivals()
    engine, sizes = Engine(), []
    world = World(tmp_path)
    world.house.engine = engine  # type: ignore[assignment]

    async def day() -> None:
        world.start()
        for who in PEOPLE:
            await world.pair(who)
        for at, message in arrivals:
            while (left := at - (time.time() - clock.START)) > 0:
                if len(sizes) < 4 and at // (DAY / 4) > len(sizes):
                    await _quarter(world, sizes)
                await asyncio.sleep(min(left, 600.0))
            world.service.came.append(message)
            world.service.new.set()
        await asyncio.sleep(600)
        await _quarter(world, sizes)
        await world.stop()

    clock.play(day, monkeypatch)
    answers = {who: [text for text in world.service.told(who) if text.startswith("Re: ")] for who in PEOPLE}
    assert answers == {who: [f"Re: {text}\n\n[nothing changed, nothing sent]" for text in texts] for who, texts in wanted.items()}
    # The model was asked for these alone, and nobody else heard a word.
    assert sorted(engine.asked) == sorted(text for texts in wanted.values() for text in texts) and len(engine.asked) > 150
    assert {message.address for message in world.service.sent} == set(PEOPLE)
    assert not world.gate.tasks("waiting") and not world.gate.tasks("running") and not world.gate.tasks("cut")
    assert {entry.state for entry in world.outbox.entries(limit=2000)} == {"sent"}
    assert len(sizes) == 4 and max(sizes) - sizes[0] < 500, sizes


async def _quarter(world: World, sizes: list[int]) -> None:
    """A new conversation in each chat and a new process, as after an update; then what lies in memory."""
    for who in PEOPLE:
        world.service.write("/new", who)
    await asyncio.sleep(120)
    world.house.made.clear()
    gc.collect()
    # The test's own lists, of what came and went, are not the gateway's.
    kept = len(world.service.came) + len(world.service.sent)
    sizes.append(len(gc.get_objects()) - kept)
    await world.stop()
    world.start()
