"""More messages than anybody can read: they cost little, and what they cannot have they hear in a few words."""

from __future__ import annotations

import asyncio
import time

from localagent.gateway import chat as chats
from tests.fakes import call
from tests.gateway.support import World
from tests.gateway.test_gateway import story


def test_a_flood_is_refused_with_a_few_words(tmp_path, monkeypatch):
    monkeypatch.setattr(chats, "QUEUED", 1)
    monkeypatch.setattr(chats, "REFUSALS", 2)

    async def tell(world: World) -> None:
        world.service.write("Take long")
        await world.until(lambda: world.house.tools.calls)
        for n in range(30):
            world.service.write(f"And {n}")
        world.service.write("/stop")
        await world.said("Stopping. 1 that waited")
        world.service.write("Hello")
        await world.said("27 messages before this one were not taken either.")
        await world.said("Hi.")

    async def slow(args):
        await asyncio.sleep(30)

    world = story(tmp_path, [call("wait", path="x")], "Hi.", wait=(("read:fs",), slow))(tell)
    assert sum("was not taken" in text for text in world.service.told()) == 2
    assert len(world.gate.tasks("dropped")) == 30


def test_a_thousand_strangers_hold_nobody_up(tmp_path):
    async def tell(world: World) -> None:
        for n in range(1000):
            world.service.write(f"spam {n}", "eve", authentic=n % 2 == 0)
        world.service.write("/status")
        stalls, before = [], time.monotonic()
        while not any("Nothing is being done" in text for text in world.service.told()):
            await asyncio.sleep(0.005)
            stalls.append(time.monotonic() - before)
            before = time.monotonic()
        assert max(stalls) < 0.5, max(stalls)
        assert world.gate.place(0) == 1002

    story(tmp_path)(tell)
