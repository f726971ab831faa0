"""The routes over the application itself: bad requests are told what is wrong, and the next good one works."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx2
import pytest

from localagent.errors import EngineError, GrammarRefused, ModelError, ModelMissing, PromptTooLong, UsageError
from localagent.events import TextDelta
from localagent.serve import app
from localagent.serve.models import Model, Shelf
from tests.serve.support import BASE, HEADERS, KEY, USER, WEATHER, Client, Engine, done, events

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
DEEP = b'{"messages": ' + b"[" * 100_000


def refused(response: Any, status: int, code: str | None = None) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"] and error["type"]
    assert code is None or error["code"] == code
    return error


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"json": {}}, 400, None),
        ({"json": {"messages": []}}, 400, None),
        ({"json": {"messages": USER, "model": "gpt-9"}}, 404, "model_not_found"),
        ({"json": {"messages": USER, "tools": [WEATHER], "tool_choice": "maybe"}}, 400, None),
        ({"json": {"messages": USER, "tools": "all"}}, 400, None),
        ({"json": {"messages": USER, "n": 3}}, 400, "unsupported_value"),
        ({"json": []}, 400, None),
        ({"content": b"", "headers": JSON}, 400, "invalid_json"),
        ({"content": b'{"messages": [', "headers": JSON}, 400, "invalid_json"),
        ({"content": b'{"messages": NaN}', "headers": JSON}, 400, "invalid_json"),
        ({"content": b'{"seed": 1e999}', "headers": JSON}, 400, "invalid_json"),
        ({"content": b"\xff\xfe{}", "headers": JSON}, 400, "invalid_json"),
        ({"content": b'{"seed": ' + b"9" * 5000 + b"}", "headers": JSON}, 400, "invalid_json"),
        ({"content": DEEP, "headers": JSON}, 400, "invalid_json"),
        ({"content": b"messages=Hello"}, 415, None),
        ({"data": {"messages": "Hello"}}, 415, None),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, None),
        ({"content": b" " * (app.MAX_BODY + 1), "headers": JSON}, 413, "request_too_large"),
    ],
)  # fmt: skip
def test_a_bad_request_and_then_a_good_one(request_: dict[str, Any], status: int, code: str | None) -> None:
    client = Client()
    refused(client.request("POST", CHAT, **request_), status, code)
    assert not client.engine.asked
    assert client.answer()["choices"][0]["message"]["content"] == "All is well."


@pytest.mark.parametrize("depth", [150, 300, 900])
@pytest.mark.parametrize("where", ["enum", "arguments", "text", "metadata"])
def test_what_can_be_read_but_not_written_again_is_refused(where: str, depth: int) -> None:
    deep: Any = "x"
    for _ in range(depth):
        deep = {"a": deep}
    body: dict[str, Any] = {"messages": USER}
    if where == "enum":
        body["tools"] = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"enum": [deep]}}}}}]
    elif where == "metadata":
        body["metadata"] = deep
    else:
        given = json.dumps(deep) if where == "text" else deep
        body["messages"] = [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": given}}]}]
    client = Client()
    response = client.chat(**body)
    if depth == 150:
        assert response.status_code == 200
    else:
        refused(response, 400)
        assert not client.engine.asked


def test_a_body_that_hides_its_size() -> None:
    async def pieces() -> Any:
        for _ in range(10):
            yield b" " * (1 << 20)

    refused(Client().request("POST", CHAT, content=pieces(), headers=JSON), 413, "request_too_large")


def test_json_of_another_charset_name_is_read() -> None:
    headers = {"content-type": "application/json; charset=UTF-8"}
    body = '{"messages": [{"role": "user", "content": "\u00e9\\ud83d"}]}'.encode()
    client = Client()
    assert client.request("POST", CHAT, content=body, headers=headers).status_code == 200
    assert client.asked.messages[0].text == "\u00e9\ud83d"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PromptTooLong("9 tokens, 5 fit.", "Shorten it."), 400, "context_length_exceeded"),
        (GrammarRefused("Brackets are nested too deeply."), 400, "invalid_schema"),
        (UsageError("There is no such tool."), 400, None),
        (ModelMissing("No file.", "Pull it."), 503, "model_unavailable"),
        (ModelError("Too little memory."), 503, "model_unavailable"),
        (EngineError("It broke off."), 500, "engine_failed"),
        (RuntimeError("a secret of ours"), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_fails(
    error: Exception, status: int, code: str | None, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    client = Client(error, [TextDelta("Half"), error])
    said = refused(client.chat(stream=stream), status, code)
    assert "secret" not in said["message"]
    middle = client.chat(stream=stream)
    if stream:
        assert middle.status_code == 200 and "[DONE]" not in middle.text
        assert f'"code":{json.dumps(code)}' in middle.text.strip().splitlines()[-1]
    else:
        refused(middle, status, code)
    assert client.answer()["choices"][0]["finish_reason"] == "stop"


def test_programs_are_told_apart() -> None:
    client = Client()
    said = []
    for agent in ("one/1.0", "two/1.0", "two/1.0"):
        client.request("POST", CHAT, headers={"user-agent": agent}, json={"messages": USER})
        said.append(client.asked.options.client)
    assert said[0] != said[1] == said[2]
    client.answer(user="ann")
    assert client.asked.options.client == "ann"


def test_a_mistake_of_ours_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(RuntimeError("a bug"), [TextDelta("Half"), RuntimeError("another bug")])
    client.chat()
    client.chat(stream=True)
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info and record.exc_info[1]] == [
        ("a bug",), ("another bug",),
    ]  # fmt: skip


def test_only_health_is_open() -> None:
    client = Client()
    none = {"authorization": ""}
    assert client.request("GET", "/health", headers=none).json() == {"status": "ok"}
    for path in ("/v1/models", "/v1/models/small", CHAT, "/", "/metrics", "/health/", "/HEALTH"):
        response = client.request("GET", path, headers=none)
        refused(response, 401, "invalid_api_key")
        assert response.headers["www-authenticate"] == "Bearer"
    refused(client.request("POST", CHAT, headers={"authorization": f"Basic {KEY}"}, json={}), 401)
    assert not client.engine.asked


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, "host_not_allowed"),
        ({"host": "localhost:81"}, "host_not_allowed"),
        ({"origin": "http://evil.example"}, "origin_not_allowed"),
        ({"origin": "null"}, "origin_not_allowed"),
    ],
)
def test_pages_of_others_are_refused_everywhere(headers: dict[str, str], code: str) -> None:
    client = Client()
    for method, path in (("GET", "/health"), ("GET", "/v1/models"), ("POST", CHAT)):
        response = client.request(method, path, headers=headers)
        refused(response, 403, code)
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", ["origin", "authorization"])
def test_a_header_that_comes_twice_is_refused(name: str) -> None:
    value = {"origin": "http://localhost", **HEADERS}[name]

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=Client().face)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            headers = [*HEADERS.items(), (name, value)] if name == "authorization" else [*HEADERS.items(), *[(name, value)] * 2]
            return await client.get("/v1/models", headers=headers)

    refused(asyncio.run(ask()), 400)


def test_a_preflight_is_refused_and_a_page_of_this_machine_gets_no_leave_to_read() -> None:
    client = Client()
    origin = {"origin": "http://localhost:3000"}
    preflight = client.request("OPTIONS", CHAT, headers=origin | {"access-control-request-method": "POST"})
    refused(preflight, 403)
    response = client.request("GET", "/v1/models", headers=origin)
    assert response.status_code == 200
    assert not [name for r in (preflight, response) for name in r.headers if name.startswith("access-control")]


def test_paths_and_methods_that_are_not() -> None:
    client = Client()
    for path in ("/", "/v1", "/v1/embeddings", "/chat/completions"):
        refused(client.request("GET", path), 404)
    refused(client.request("GET", CHAT), 405, "method_not_allowed")
    refused(client.request("DELETE", "/v1/models/small"), 405)


def test_models_and_which_is_loaded() -> None:
    async def loaded() -> str:
        return "/models/big.gguf"

    engines = [Engine(), Engine(), Engine()]
    small, big, other = (
        Model(name, engine, path=f"/models/{name}.gguf", created=7, aliases=(f"/models/{name}.gguf",))
        for name, engine in zip(("small", "big", "org/Other:q4"), engines, strict=True)
    )
    client = Client(models=Shelf([small], lambda: [small, big, other], loaded))
    listed = client.request("GET", "/v1/models").json()
    assert listed["object"] == "list"
    assert [(one["id"], one["object"], one["loaded"]) for one in listed["data"]] == [
        ("small", "model", False), ("big", "model", True), ("org/Other:q4", "model", False),
    ]  # fmt: skip
    assert client.request("GET", "/v1/models/org/Other:q4").json()["id"] == "org/Other:q4"
    refused(client.request("GET", "/v1/models/none"), 404, "model_not_found")
    for name, engine in (
        ("", 0), ("default", 0), (None, 0), ("small", 0), ("/models/small.gguf", 0), ("big", 1), ("BIG", 1), ("org/Other:q4", 2),
    ):  # fmt: skip
        before = len(engines[engine].asked)
        assert client.answer(model=name)["model"] == (small, big, other)[engine].id
        assert len(engines[engine].asked) == before + 1


def test_a_stream_is_events_with_one_id() -> None:
    chunks = Client("Well, all is well.").chunks()
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Well, all is well."


def test_a_long_wait_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localagent.serve.streams.QUIET_S", 0.01)
    text = Client(done("Hi"), slow=0.05).chat(stream=True).text
    assert ": the answer is being made" in text
    assert events(text)[-1]["choices"][0]["finish_reason"] == "stop"
