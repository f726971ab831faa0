"""Over Telegram's published protocol: voice and pictures in, long answers and files out, commands, silence, strangers."""

from __future__ import annotations

import asyncio
import time

from localagent.gateway import question
from localagent.store import channels, credentials
from localagent.store.gateway import Gate, Grants
from tests.channels.bot_api import TOKEN, BotApi
from tests.channels.web import web
from tests.fakes import ScriptedEngine, call
from tests.gateway.real import code_in, engine, running, until  # noqa: F401 - a fixture

LONG = "\n\n".join(f"Paragraph {n}. " + "word " * 700 for n in range(20))


class Phone:
    def __init__(self, api: BotApi) -> None:
        self.api = api

    def write(self, text: str | None, **more) -> None:
        self.api.say(text, date=int(time.time()), **more)

    def texts(self) -> list[str]:
        return [one.get("text", one.get("caption", "")) for one in self.api.sent]

    async def said(self, part: str, times: int = 1) -> str:
        return (await until(lambda: len(found := [t for t in self.texts() if part in t]) >= times and found, self.texts))[-1]


def test_what_a_chat_needs_beside_words(tmp_path, engine: ScriptedEngine, monkeypatch):  # noqa: F811
    write = [call("write_file", path="plan.txt", content="buy milk\n")]
    engine._steps = ["A picture.", LONG, write, "Written.", write, "Not written."]

    async def story() -> BotApi:
        api = BotApi()
        api.files = {"voice/1.oga": b"OggS", "photos/1.jpg": b"jpeg"}
        phone = Phone(api)
        async with web(api) as server:
            channels.add("bot", "telegram", {"server": server.url})
            credentials.store("bot", "token", TOKEN)
            async with running("bot"):
                code = Gate().offer("bot", Grants(str(tmp_path)))
                phone.write("Delete everything", sender=8, chat=8)
                phone.write(None, sender=8, chat=8, voice={"file_id": "voice~1.oga", "mime_type": "audio/ogg"})
                phone.write(f"pair {code}")
                await phone.said("Paired.")
                phone.write(None, voice={"file_id": "voice~1.oga", "mime_type": "audio/ogg", "file_size": 4})
                await phone.said("received/voice.ogg: I cannot hear it")
                phone.write(None, location={"latitude": 1.0, "longitude": 2.0})
                await phone.said("Not read: a location")
                assert engine.asked == []
                phone.write(None, caption="What is this?", photo=[{"file_id": "photos~1.jpg", "width": 9, "height": 9}])
                assert "[Not read: received/photo.jpg: I cannot see it" in await phone.said("A picture.")
                phone.write("Tell me all of it")
                await phone.said("The whole answer is in this file")
                phone.write("/help@our_bot")
                assert "/undo" in await phone.said("/status", 2)
                phone.write("Write it down")
                code = code_in(await phone.said("Allow this?"))
                phone.write(f"yes {code}", sender=8)
                phone.write(f"yes {code}", sender=8, chat=8)
                phone.write("Delete everything", kind="edited_message")
                phone.write(f"yes {code}")
                await phone.said("Written.")
                assert (tmp_path / "plan.txt").read_text() == "buy milk\n"
                phone.write("/undo")
                await phone.said("Undid step")
                assert not (tmp_path / "plan.txt").exists()
                monkeypatch.setattr(question, "EXPIRY_S", 0.2)
                phone.write("Write it down")
                await phone.said("Too late")
                await phone.said("Not written.")
                phone.write("/new")
                await phone.said("A new conversation begins")
        return api

    api = asyncio.run(asyncio.wait_for(story(), 60))
    assert {int(one["chat_id"]) for one in api.sent} == {7} and len(engine.asked) == 6
    (file,) = [one["files"]["document"] for one in api.sent if one["files"]]
    assert file.decode().split() == [*LONG.split(), "[nothing", "changed,", "nothing", "sent]"]
    assert all(len(text) <= 4096 for text in (one.get("text", "") for one in api.sent))
    assert (tmp_path / "received" / "voice.ogg").read_bytes() == b"OggS"
