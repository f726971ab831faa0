"""A Telegram Bot API on this machine, as far as it is published: updates, messages, files, and its refusals."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.channels.web import Answer, Asked

TOKEN = "123456:AAE-abc_DEF"


def refusal(code: int, description: str, **parameters: Any) -> Answer:
    about = {"ok": False, "error_code": code, "description": description}
    return Answer(about | ({"parameters": parameters} if parameters else {}), code)


class BotApi:
    """`next` are answers given in place of the usual ones, one a request; `sent` what chats would show."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.next: list[Any] = []
        self.files: dict[str, bytes] = {}
        self.number = 1000

    def say(self, text: str | None = "hi", *, chat: int = 7, sender: int = 7, kind: str = "message", **more: Any) -> int:
        """A person writes; the update's number."""
        self.number += 1
        message: dict[str, Any] = {"message_id": self.number - 900, "date": 1_790_000_000, "chat": {"id": chat}}
        message["from"] = {"id": sender, "is_bot": False, "first_name": "Ada", "username": "ada"}
        if text is not None:
            message["text"] = text
        self.updates.append({"update_id": self.number, kind: message | more})
        return self.number

    async def __call__(self, asked: Asked) -> Any:
        if asked.path.startswith(f"/file/bot{TOKEN}/"):
            name = asked.path.removeprefix(f"/file/bot{TOKEN}/")
            return Answer(self.files[name]) if name in self.files else Answer({}, 404)
        if not asked.path.startswith(f"/bot{TOKEN}/"):
            return refusal(401, "Unauthorized")
        method = asked.path.rpartition("/")[2]
        if self.next and (method != "getUpdates" or getattr(self.next[0], "for_updates", False)):
            return self.next.pop(0)
        return await getattr(self, f"_{method}")(asked)

    async def _getMe(self, _: Asked) -> Any:
        return {"ok": True, "result": {"id": 1, "is_bot": True, "username": "our_bot"}}

    async def _getUpdates(self, asked: Asked) -> Any:
        said = asked.json
        offset = said.get("offset", 0)
        if offset < 0:
            self.updates = self.updates[offset:]
        elif offset:
            self.updates = [u for u in self.updates if u["update_id"] >= offset]
        for _ in range(int(said.get("timeout", 0) * 100)):
            if self.updates:
                break
            await asyncio.sleep(0.01)
        return {"ok": True, "result": self.updates[: said.get("limit", 100)]}

    async def _sendMessage(self, asked: Asked) -> Any:
        said = asked.json
        if len(said["text"].encode("utf-16-le")) // 2 > 4096:
            return refusal(400, "Bad Request: message is too long")
        return self._took(said, {})

    async def _sendDocument(self, asked: Asked) -> Any:
        form = asked.form
        said = {k: _plain(v) for k, v in form.items() if k != "document"}
        return self._took(said, {"document": form["document"]})

    async def _sendMediaGroup(self, asked: Asked) -> Any:
        form = asked.form
        media = json.loads(form["media"])
        found = {m["media"].removeprefix("attach://"): form[m["media"].removeprefix("attach://")] for m in media}
        took = self._took({"chat_id": _plain(form["chat_id"]), "media": media}, found)
        return {"ok": True, "result": [took["result"], took["result"] | {"message_id": took["result"]["message_id"] + 1}]}

    async def _getFile(self, asked: Asked) -> Any:
        file = asked.json["file_id"]
        return {"ok": True, "result": {"file_id": file, "file_path": file.replace("~", "/")}}

    def _took(self, said: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
        self.sent.append(said | {"files": files})
        chat = said["chat_id"]
        return {"ok": True, "result": {"message_id": len(self.sent), "chat": {"id": chat if isinstance(chat, int) else -1}}}


def _plain(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value.decode()
