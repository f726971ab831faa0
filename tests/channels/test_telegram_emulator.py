"""Telegram against an emulator of its Bot API that others wrote. It has no long poll and no files."""

from __future__ import annotations

import json
import shutil
import urllib.request

import pytest

from localagent.channels import telegram
from tests.channels.bot_api import TOKEN
from tests.channels.messages import outgoing
from tests.channels.servers import folder, free_port, process
from tests.channels.web import run

_SERVER = """
const Server = require(process.argv[1] + '/telegram-test-api').default || require(process.argv[1] + '/telegram-test-api');
new Server({port: Number(process.argv[2]), host: '127.0.0.1'}).start();
"""


@pytest.fixture
def url(tmp_path):
    modules = folder("node_modules/telegram-test-api").parent
    node = shutil.which("node") or pytest.skip("node is not installed")
    port = free_port()
    made = f"http://127.0.0.1:{port}"
    with process([node, "-e", _SERVER, modules, port], f"{made}/", tmp_path / "log"):
        yield made


def _post(url: str, about: dict) -> dict:
    asked = urllib.request.Request(url, json.dumps(about).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)


def test_both_directions(url):
    async def go():
        made = telegram.make("c", {"server": url}, lambda: TOKEN)
        sent = await made.send(outgoing("7", "hello *there*"))
        assert (sent.state, sent.proof) == ("sent", "7:1")
        shown = _post(f"{url}/getUpdates", {"token": TOKEN, "chatId": 7})
        assert shown["result"][0]["message"]["text"] == "hello *there*"
        about = {"from": {"id": 7, "first_name": "Ada", "is_bot": False}, "chat": {"id": 7, "type": "private"}}
        _post(f"{url}/sendMessage", about | {"botToken": TOKEN, "date": 1_790_000_000, "text": "hi bot"})
        arrivals = [arrival async for arrival in made.receive("0@1790000000", wait=False)]
        (got,) = [arrival.message for arrival in arrivals if arrival.message]
        assert (got.sender, got.chat, got.text) == ("7", "7", "hi bot")

    run(go())
