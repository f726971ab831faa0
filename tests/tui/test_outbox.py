"""The outbox in the app: what is there is listed, one is sent only when asked twice, taken back, reworded."""

from __future__ import annotations

from typing import Any

from localagent.agent.posting import Post
from localagent.channels.base import Health
from localagent.channels.sender import Sender
from localagent.store.outbox import Outbox
from localagent.tui import outbox
from localagent.values import Outgoing, Sent

from .support import Playing, run, say, screen, shows, until


class Channel:
    name, kind, idempotent = "work", "email", False

    def __init__(self) -> None:
        self.got: list[Outgoing] = []

    async def send(self, message: Outgoing) -> Sent:
        self.got.append(message)
        return Sent("sent", "proof")

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        return Health(True, "")

    async def aclose(self) -> None: ...


def test_listed_taken_back_reworded_and_sent_when_asked_twice() -> None:
    box, channel = Outbox(), Channel()
    box.hold(box.draft(Outgoing("work", "bo@example.org", "Never", "", "Bo"), "b").id, 600)
    first = box.draft(Outgoing("work", "anna@example.org", "Helo", "News", "Anna Berg"), "a")

    async def of(name: str) -> Channel:
        return channel

    async def play(pilot: Any) -> None:
        await until(pilot, lambda: pilot.app.driver.session is not None)
        post = Post(box, Sender(box, of), (("work", "email"),), lambda id: None, 0.0)
        letters = outbox.Letters(box, post, pilot.app.run_worker, pilot.app.driver.tell)
        await say(pilot, "/outbox")
        await shows(pilot, "Anna Berg  work  draft")
        assert "goes out in" in screen(pilot.app)
        await pilot.press("escape")
        pilot.app.push_screen(outbox.Messages(letters))
        await shows(pilot, "Anna Berg  work  draft")
        await pilot.press("enter")
        await shows(pilot, "send to Anna Berg <anna@example.org> by work")
        await pilot.press("e")
        await shows(pilot, "Ctrl+S keeps it")
        await pilot.press("l", "ctrl+s")
        await shows(pilot, "| lHelo")
        await pilot.press("s", "down", "s")
        assert channel.got == []
        await pilot.press("s")
        await until(pilot, lambda: len(channel.got) == 1)
        await shows(pilot, "sent")
        await pilot.press("escape", "down", "enter")
        await shows(pilot, "send to Bo")
        await pilot.press("c")
        await shows(pilot, "Taken back: it does not go out.")

    run(Playing(), play)
    assert channel.got[0].text == "lHelo" and box.get(first.id).state == "sent"
    assert sorted(entry.state for entry in box.entries()) == ["cancelled", "sent"]
