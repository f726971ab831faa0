"""Pictures of requests: data alone, to models that see alone, decoded in the sandbox."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import pytest
from PIL import Image as Files

from localagent.sandbox import launch
from localagent.store import picture
from localagent.values import Image, Text
from tests.serve.support import Client

sandboxed = pytest.mark.skipif(launch.probe().name == "none", reason="there is no sandbox here")


def cat() -> bytes:
    made = io.BytesIO()
    Files.new("RGB", (64, 48), "red").save(made, "JPEG")
    return made.getvalue()


def url(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def asking(*parts: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": [{"type": "text", "text": "What is it?"}, *parts]}]


def client(sees: bool = True) -> Client:
    made = Client()
    made.engine.sees = sees  # type: ignore[attr-defined]
    return made


@sandboxed
def test_a_picture_reaches_a_model_that_sees() -> None:
    served = client()
    for part in ({"type": "image_url", "image_url": {"url": url(cat())}}, {"type": "input_image", "image_url": url(cat())}):
        assert served.answer(messages=asking(part, part))["choices"][0]["message"]["content"] == "All is well."
        name = hashlib.sha256(cat()).hexdigest()
        asked = served.asked
        assert asked.messages[-1].parts == (Text("What is it?"), Image(name), Image(name))
        assert picture.decode(picture.read(asked.options.pictures, name))[:2] == (85, 64)
    assert served.request("GET", "/v1/models").json()["data"][0]["sees"] is True


@pytest.mark.parametrize(
    ("part", "sees", "told"),
    [
        ({"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/a.png"}}, True, "nothing is fetched"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, True, "nothing is fetched"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,hello"}}, True, "base64"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,????"}}, True, "not base64"),
        ({"type": "image_url"}, True, "must be"),
        ({"type": "image_url", "image_url": {"url": url(b"no picture")}}, True, "cannot be read"),
        ({"type": "image_url", "image_url": {"url": url(cat())}}, False, "reads text only"),
        ({"type": "input_audio", "input_audio": {}}, True, "text only"),
    ],
)
def test_what_is_no_picture_or_cannot_be_seen_is_refused(part: dict[str, Any], sees: bool, told: str) -> None:
    served = client(sees)
    answer = served.chat(messages=asking(part))
    assert answer.status_code == 400 and told in answer.json()["error"]["message"], answer.text
    assert not served.engine.asked


def test_only_users_show_pictures_and_only_so_many() -> None:
    part = {"type": "image_url", "image_url": {"url": url(cat())}}
    assert "of the user only" in client().chat(messages=asking(part, role="system")).json()["error"]["message"]
    many = [{"type": "image_url", "image_url": {"url": url(bytes([number]))}} for number in range(9)]
    assert "8 pictures are the most" in client().chat(messages=asking(*many)).json()["error"]["message"]
