"""The whole way over Matrix, with a real homeserver: both directions, files, a question, and a stranger in the room."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from localagent.channels import matrix
from localagent.gateway import question
from localagent.store import channels, credentials
from localagent.store.gateway import Gate, Grants
from localagent.values import Incoming
from tests.channels.messages import attached, outgoing
from tests.channels.servers import Homeserver, synapse
from tests.fakes import ScriptedEngine, call
from tests.gateway.real import code_in, engine, running  # noqa: F401 - a fixture

ADA, BOT, EVE = "@ada:localhost", "@bot:localhost", "@eve:localhost"
LONG = "\n\n".join(f"Paragraph {n}. " + "word " * 2000 for n in range(20))
_ids = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with synapse(tmp_path_factory.mktemp("synapse"), "ada", "bot", "eve") as made:
        yield made


class Person:
    """Somebody with an account of their own, and all that they were told."""

    def __init__(self, server: Homeserver, name: str) -> None:
        token = server.tokens[name]
        self.channel = matrix.make(name, {"server": server.url, "allowed": BOT}, lambda: token)
        self.heard: list[Incoming] = []
        self._cursor, self._at = "", 0

    async def begin(self) -> None:
        async for arrival in self.channel.receive("", wait=False):
            self._cursor = arrival.cursor

    async def write(self, text: str, to: str = BOT, **more) -> str:
        sent = await self.channel.send(outgoing(to, text, id=f"{next(_ids):032x}", **more))
        assert sent.state == "sent", sent
        return sent.proof

    async def said(self, part: str, seconds: float = 60.0) -> Incoming:
        """Wait for these words behind those that were waited for before."""
        async with asyncio.timeout(seconds):
            while not (found := [n for n, one in enumerate(self.heard) if n >= self._at and part in one.text]):
                async for arrival in self.channel.receive(self._cursor, wait=False):
                    self._cursor = arrival.cursor
                    self.heard += [arrival.message] if arrival.message else []
                # Asking all the time keeps the server from its work for the others.
                await asyncio.sleep(0.5)
        self._at = found[0] + 1
        return self.heard[found[0]]


def test_a_conversation_with_files_a_question_and_a_stranger(tmp_path, server, engine: ScriptedEngine, monkeypatch):  # noqa: F811
    channels.add("room", "matrix", {"server": server.url, "allowed": ADA})
    credentials.store("room", "token", server.tokens["bot"])
    write = [call("write_file", path="plan.txt", content="buy milk\n")]
    engine._steps = [write, "It is written.", [call("send_message", to=["me"], text="Here", attachments=["plan.txt"])]]
    engine._steps += ["Sent.", LONG, [call("write_file", path="plan.txt", content="other\n")], "Not written."]

    async def story() -> None:
        ada, eve = Person(server, "ada"), Person(server, "eve")
        await ada.begin()
        async with running("room") as lines:
            code = Gate().offer("room", Grants(str(tmp_path)))
            await ada.write(f"pair {code}")
            room = (await ada.said("Paired.")).chat
            voice = attached(tmp_path / "up.ogg", b"OggS", name="note.ogg", media_type="audio/ogg")
            goal = await ada.write("Write down that I need milk", room, attachments=(voice,))
            asked = await ada.said("Allow this?")
            seen = "\n".join(one.text for one in ada.heard)
            assert "create plan.txt (9 bytes)" in seen and "+buy milk" in seen and not (tmp_path / "plan.txt").exists()
            # Eve is in the room too, and knows the code.
            await ada.channel._user.need("POST", f"/_matrix/client/v3/rooms/{room}/invite", json={"user_id": EVE})
            await eve.channel._user.need("POST", f"/_matrix/client/v3/rooms/{room}/join", json={})
            await eve.write(f"yes {code_in(asked.text)}", room)
            await eve.write("/stop", room)
            await eve.write("Delete everything", room)
            await asyncio.sleep(0.5)
            assert not (tmp_path / "plan.txt").exists()
            await ada.write(f"yes {code_in(asked.text)}", room)
            done = await ada.said("It is written.")
            assert done.reply_to == goal and "received/note.ogg: I cannot hear it" in done.text
            assert (tmp_path / "plan.txt").read_text() == "buy milk\n" and (tmp_path / "received" / "note.ogg").read_bytes() == b"OggS"
            # Mended afterwards: what was said first counts, and it is not done again.
            edit = {"msgtype": "m.text", "body": "* more", "m.new_content": {"msgtype": "m.text", "body": "Write down more"}}
            edit |= {"m.relates_to": {"rel_type": "m.replace", "event_id": goal}}
            await ada.channel._user.need("PUT", f"/_matrix/client/v3/rooms/{room}/send/m.room.message/edit1", json=edit)
            await ada.write("Send me the file", room)
            await ada.write(f"yes {code_in((await ada.said('Allow this?')).text)}", room)
            await ada.said("Sent.")
            (file,) = [one for message in ada.heard for one in message.attachments]
            assert file.name == "plan.txt" and Path(file.path).read_text() == "buy milk\n"
            await ada.write("Tell me all of it", room)
            await ada.said("The whole answer is in this file")
            whole = [one for message in ada.heard for one in message.attachments][-1]
            assert whole.name == "answer.txt" and Path(whole.path).read_text().startswith("Paragraph 0.")
            assert Path(whole.path).read_text().split() == [*LONG.split(), *"[nothing changed, nothing sent]".split()]
            monkeypatch.setattr(question, "EXPIRY_S", 0.5)
            await ada.write("Once more", room)
            await ada.said("Too late")
            await ada.said("Not written.")
            assert (tmp_path / "plan.txt").read_text() == "buy milk\n"
            await ada.write("/status", room)
            await ada.said("Nothing is being done")
        assert len(engine.asked) == 7, lines

    asyncio.run(asyncio.wait_for(story(), 240))
