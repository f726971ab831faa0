"""The engine as the rest of the program sees it, over a host it starts itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from localagent.engine import local, protocol, resident
from localagent.engine.base import CallGrammar, Logprobs, Options, Sampling, Trigger, unfenced
from localagent.engine.local import LocalEngine
from localagent.engine.model import ModelFile
from localagent.errors import EngineError, ModelError, ModelMissing, PromptTooLong, UsageError
from localagent.events import EngineProgress, MessageDone, PrefillProgress, TextDelta
from localagent.values import Generated, Message, Text, ToolSpec

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = CallGrammar((Trigger("a", "root ::= " + "[a-z]{2000} " * 10),), "a")
SYSTEM = Message("system", (Text("You help. " * 40),))


def _user(text: str) -> Message:
    return Message("user", (Text(text),))


async def _all(engine: LocalEngine, messages: Sequence[Message], options: Options | None = None) -> list[Any]:
    return [d async for d in engine.stream(messages, [], options or Options(max_tokens=12))]


def _stopping(body: Callable[[], Awaitable[None]]) -> None:
    """Run it, and leave no host behind."""

    async def whole() -> None:
        try:
            await body()
        finally:
            await local.stop()

    asyncio.run(whole())


@pytest.fixture
def engine(tiny: str, plain: Any) -> Callable[..., LocalEngine]:
    def make(path: str = tiny, call: CallGrammar | None = None, **options: Any) -> LocalEngine:
        file = ModelFile("tiny", path, context=4096, sampling=Sampling(temperature=0.8, seed=1), **options)
        return LocalEngine(file, plain(call or CallGrammar()), threads=1, idle_s=30)

    return make


async def _queued(count: int) -> dict[str, Any]:
    """The status when so many requests are answered or wait."""
    while (status := await local.status()) is None or len(status["queue"]) != count:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return status


def test_the_host_is_started_streams_and_stays_warm(engine: Any):
    async def body() -> None:
        assert await local.status() is None
        one = engine(call=ENDLESS)
        deltas = await _all(one, [SYSTEM, _user("hello")])
        done = deltas[-1]
        assert isinstance(done, MessageDone) and done.stop == "length"
        assert any(isinstance(d, PrefillProgress) for d in deltas)
        assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == done.message.text
        assert done.message.generated and len(done.message.generated.ids) == done.usage.output_tokens == 12
        assert done.timings.load_ms > 0
        again = (await _all(one, [SYSTEM, _user("hello"), done.message, _user("more")]))[-1]
        assert again.timings.load_ms == 0
        assert again.usage.cached_tokens == done.usage.input_tokens + 12
        fresh = (await _all(engine(), [SYSTEM, _user("something else")]))[-1]
        assert fresh.usage.cached_tokens > 250
        status = await local.status()
        assert status and status["answered"] == 3

    _stopping(body)


def test_the_last_user_message_can_be_said_differently(engine: Any):
    """On a model that cannot roll back, the turn starts again at its user message."""

    async def body() -> None:
        one = engine(call=ENDLESS)
        done = (await _all(one, [SYSTEM, _user("first question")]))[-1]
        history = [SYSTEM, _user("first question"), done.message]
        asked = (await _all(one, [*history, _user("a second question " * 20)]))[-1]
        other = (await _all(one, [*history, _user("no, another one " * 20)]))[-1]
        assert other.usage.cached_tokens >= done.usage.input_tokens + 12
        assert asked.usage.cached_tokens < other.usage.input_tokens

    _stopping(body)


def test_ids_of_another_model_are_rendered_as_text(engine: Any):
    async def body() -> None:
        foreign = Message("assistant", (Text("ok"),), generated=Generated("other", (10**7,)))
        assert isinstance((await _all(engine(), [_user("hi"), foreign, _user("go")]))[-1], MessageDone)

    _stopping(body)


def test_options_reach_the_dialect_and_the_host(tiny: str, plain: Any):
    schema = {"type": "object", "properties": {"to": {"type": "string", "x-choices": "contacts"}}}
    specs = [ToolSpec("send", "Sends.", schema), ToolSpec("read", "Reads.", {"properties": {"x-choices": {}}})]
    dialect = plain(ENDLESS)
    shown = []
    dialect.render = lambda messages, specs, **rest: (
        shown.append(specs) or type(dialect).render(dialect, messages, specs, **rest)
    )
    one = LocalEngine(ModelFile("tiny", tiny, sampling=Sampling(temperature=0.8, seed=1)), dialect, threads=1)

    async def body() -> None:
        with pytest.raises(UsageError, match=r"no tool 'sent'.*send, read"):
            [d async for d in one.stream([_user("hi")], specs, Options(tool="sent"))]
        choices = {"contacts": ("ann", "bob"), "other": ("x",)}
        options = Options(
            tool="send", tool_choice="required", parallel=False, logprobs=2, max_tokens=9, client="c", choices=choices
        )
        deltas = [d async for d in one.stream([_user("hi")], specs, options)]
        (bound,), *rest = dialect.asked[-1]
        assert rest == ["required", False]
        assert bound.parameters["properties"]["to"] == {"type": "string", "enum": ["ann", "bob"]}
        assert all([spec.name for spec in each] == ["send", "read"] for each in shown)
        assert shown[-1][0].parameters == {"type": "object", "properties": {"to": {"type": "string"}}}
        assert shown[-1][1] == specs[1]
        told = [token for d in deltas if isinstance(d, Logprobs) for token in d.tokens]
        assert b"a" + b"".join(token.piece for token in told) == deltas[-1].message.text.encode()
        assert all(len(token.top) == 2 and token.top[0][1] >= max(token.logprob, token.top[1][1]) for token in told)
        kinds = [type(d) for d in deltas if isinstance(d, (Logprobs, TextDelta))]
        assert kinds == [TextDelta, *[Logprobs, TextDelta] * len(told)]
        stopped = [d async for d in one.stream([_user("hi")], [], Options(stop=("\0",), max_tokens=3))]
        assert not any(isinstance(d, Logprobs) for d in stopped)

    _stopping(body)


def test_candidates_are_scored_on_the_prompt_of_the_answer(engine: Any):
    async def body() -> None:
        one = engine()
        question = [SYSTEM, _user("yes or no?")]
        scores = await one.score(question, [], ["yes", "no", "<|im_end|>", ""])
        assert [len(each) > 0 for each in scores] == [True, True, True, False]
        assert len(scores[2]) == 1 and all(value < 0 for each in scores for value in each)
        done = (await _all(one, question))[-1]
        assert done.usage.cached_tokens == done.usage.input_tokens - 1
        assert await one.score(question, [], []) == []
        said = (await one.surprise([*question, done.message, _user("so?")], [])).logprobs
        assert len(said) == 3 and all(value < 0 for value in said)
        assert (await one.surprise([SYSTEM], [])).logprobs == ()
        with pytest.raises(PromptTooLong):
            await one.score(question, [], ["x " * 5000])
        task = asyncio.create_task(one.score([_user("why? " * 300)], [], [f"{n} " * 300 for n in range(50)]))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance((await _all(one, question, Options(max_tokens=1)))[-1], MessageDone)

    _stopping(body)


def test_json_of_a_schema_is_whole_whatever_the_limit(engine: Any):
    schema = {"type": "object", "properties": {"say": {"type": "string"}, "n": {"type": "integer"}},
              "required": ["say", "n"]}  # fmt: skip

    async def body() -> None:
        ended = []
        for limit in (40, 55, 600):
            deltas = await _all(engine(), [_user("hi")], Options(schema=schema, max_tokens=limit))
            done, told = deltas[-1], [delta.text for delta in deltas if isinstance(delta, TextDelta)]
            assert "".join(told) == done.message.text and len(told) > 3
            value = json.loads(unfenced(done.message.text), strict=False)
            assert isinstance(value["say"], str) and isinstance(value["n"], int)
            assert done.cut == (done.stop == "length")
            ended.append(done.stop)
        assert "length" in ended and set(ended) <= {"length", "end"}

    _stopping(body)


def test_a_request_finds_what_was_prepared_while_it_was_written(engine: Any, tmp_path: Path):
    async def body() -> None:
        one, words = engine(), "please count the words of this long request and then tell me " * 5
        await one.prepare([], [], Options())
        status = await local.status()
        assert status and status["state"] == "idle" and [m["used"] for m in status["models"]] == [0]
        for typed in ("", "ple", words[:100], words[:200], words):
            await one.prepare([SYSTEM, _user(typed)], [], Options())
        status = await local.status()
        assert status and status["answered"] == 0
        done = (await _all(one, [SYSTEM, _user(words + "quickly")]))[-1]
        assert done.timings.load_ms == 0 and 0 < done.usage.input_tokens - done.usage.cached_tokens < 40
        # An answer that ended is part of what the next request begins with.
        history = [SYSTEM, _user(words + "quickly"), done.message]
        await one.prepare([*history, _user("")], [], Options())
        again = (await _all(one, [*history, _user("thanks")]))[-1]
        assert again.usage.input_tokens - again.usage.cached_tokens < 25
        await one.prepare([*history], [], Options())

    _stopping(body)


def test_nothing_comes_of_what_cannot_be_prepared(engine: Any, tiny: str, plain: Any, tmp_path: Path):
    async def body() -> None:
        await LocalEngine(ModelFile("t", tiny), plain(), start=False).prepare([_user("hi ")], [], Options())
        assert await local.status() is None
        await engine(str(tmp_path / "gone.gguf")).prepare([_user("hi ")], [], Options())
        await engine().prepare([_user("too long " * 5000)], [], Options())
        task = asyncio.create_task(engine().prepare([_user("some words " * 300)], [], Options()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance((await _all(engine(), [_user("hi")]))[-1], MessageDone)

    _stopping(body)


def test_what_does_not_fit_into_a_message_is_too_long(engine: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("localagent.engine.protocol.MAX_FRAME", 1000)
    with pytest.raises(PromptTooLong, match="limit of 1000") as raised:
        asyncio.run(_all(engine(), [_user("x" * 2000)]))
    assert raised.value.hint


def test_who_waits_is_told_for_what(engine: Any):
    async def body() -> None:
        one, other = engine(call=ENDLESS), engine()
        told = []
        async with aclosing(one.stream([_user("long")], [], Options(max_tokens=4000))) as stream:
            async for delta in stream:
                told.append(delta)
                if isinstance(delta, TextDelta):
                    break
            waiting = asyncio.create_task(_all(other, [_user("short")], Options(max_tokens=1)))
            await _queued(2)
        assert told[0] == EngineProgress("loading")
        assert 0.5 < max(d.fraction for d in told if isinstance(d, EngineProgress)) <= 1
        assert (await waiting)[0] == EngineProgress("queued", before=1)

    _stopping(body)


def test_closing_the_stream_frees_the_engine(engine: Any):
    async def body() -> None:
        one = engine(call=ENDLESS)
        await _all(one, [_user("warm up")])
        async with aclosing(one.stream([_user("long")], [], Options(max_tokens=4000))) as stream:
            async for delta in stream:
                if isinstance(delta, TextDelta):
                    break
        # A whole answer would fill the context.
        assert 0 < (await _queued(0))["used"] < 3900
        await _all(one, [_user("next")], Options(max_tokens=1))
        task = asyncio.create_task(_all(one, [_user("long")], Options(max_tokens=4000)))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _all(one, [_user("next")], Options(max_tokens=1))

    _stopping(body)


def test_a_host_killed_while_answering_is_an_error_and_the_next_request_works(engine: Any):
    async def body() -> None:
        one = engine(call=ENDLESS)
        began = None
        with pytest.raises(EngineError, match="stopped while answering"):
            async for delta in one.stream([_user("long")], [], Options(max_tokens=4000)):
                if isinstance(delta, TextDelta) and began is None:
                    status = await local.status()
                    assert status
                    began = time.monotonic()
                    os.kill(status["pid"], signal.SIGKILL)
        assert began is not None and time.monotonic() - began < 30
        assert isinstance((await _all(one, [_user("again")]))[-1], MessageDone)

    _stopping(body)


def test_a_host_stopped_while_answering_is_an_error(engine: Any):
    async def body() -> None:
        with pytest.raises(EngineError, match="was stopped"):
            async for delta in engine(call=ENDLESS).stream([_user("long")], [], Options(max_tokens=4000)):
                if isinstance(delta, TextDelta):
                    await local.stop()

    _stopping(body)


def test_two_at_once_start_one_host(engine: Any):
    async def body() -> None:
        done = await asyncio.gather(*(_all(engine(), [_user(f"question {n}")]) for n in range(3)))
        assert all(isinstance(deltas[-1], MessageDone) for deltas in done)
        status = await local.status()
        assert status and status["answered"] == 3

    _stopping(body)


def test_the_next_request_after_a_stop_waits_for_the_old_host(engine: Any):
    async def body() -> None:
        for _ in range(3):
            await _all(engine(), [_user("hi")], Options(max_tokens=1))
            assert await local.stop()

    _stopping(body)


async def _host(body: Callable[[], Awaitable[None]], answers: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
    """Run it where a host of the test's own listens; it closes a connection once it has answered."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await protocol.read(reader)
        assert asked is not None
        writer.write(protocol.pack({"id": asked["id"], **await answers(asked)}))
        await asyncio.sleep(0.3 if asked["op"] == "stop" else 0.0)
        writer.close()

    server = await asyncio.start_unix_server(client, local.socket_path())
    try:
        await body()
    finally:
        server.close()
        local.socket_path().unlink(missing_ok=True)


def test_a_stop_is_over_when_the_host_has_let_go(engine: Any):
    heard: list[float] = []

    async def answer(asked: dict[str, Any]) -> dict[str, Any]:
        local.socket_path().unlink()
        heard.append(time.monotonic())
        return {"event": "ok"}

    async def body() -> None:
        assert await local.stop() and time.monotonic() - heard[0] >= 0.3

    asyncio.run(_host(body, answer))


def test_a_host_that_does_not_end_is_named(engine: Any, monkeypatch: pytest.MonkeyPatch):
    async def answer(asked: dict[str, Any]) -> dict[str, Any]:
        return {"event": "ok"}

    async def body() -> None:
        local.socket_path().with_suffix(".lock").write_text("4711")
        with pytest.raises(EngineError, match="does not end") as raised:
            await resident.stop(wait_s=0.05)
        assert "End its process 4711" in raised.value.hint

    asyncio.run(_host(body, answer))


def test_a_newer_host_is_left_alone_by_a_program_that_was_updated_while_it_ran(engine: Any):
    asked: list[str] = []

    async def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["op"])
        return {"event": "error", "kind": "version", "message": "another", "hint": "", "host": protocol.VERSION + 1}

    async def body() -> None:
        with pytest.raises(EngineError, match="was updated while this program") as raised:
            await _all(engine(), [_user("hi")])
        assert raised.value.hint and asked == ["generate"]

    asyncio.run(_host(body, answer))


def test_models_that_cannot_be_used(engine: Any, gguf: Any, tmp_path: Path):
    async def body() -> None:
        with pytest.raises(ModelMissing, match=r"gone\.gguf.*model pull"):
            await _all(engine(str(tmp_path / "gone.gguf")), [_user("hi")])
        strange = gguf.make("tiny", tmp_path / "strange.gguf", arch="strange9")
        with pytest.raises(ModelError, match="architecture 'strange9'"):
            await _all(engine(str(strange)), [_user("hi")])

    _stopping(body)


def test_a_host_that_does_not_start_shows_its_log(engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho no module named nonsense >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))

    async def body() -> None:
        with pytest.raises(EngineError, match=r"did not start.*no module named nonsense"):
            await _all(engine(), [_user("hi")])

    asyncio.run(body())


def test_without_leave_to_start_it_says_that_nothing_runs(tiny: str, plain: Any):
    with pytest.raises(EngineError, match="not running"):
        asyncio.run(_all(LocalEngine(ModelFile("t", tiny), plain(), start=False), [_user("hi")]))


def test_a_grammar_that_is_long_in_building_keeps_nobody_else_waiting(
    tiny: str, plain: Any, monkeypatch: pytest.MonkeyPatch
):
    engine = LocalEngine(ModelFile("tiny", tiny), plain(), start=False)
    others = threading.Event()
    heard: list[bool] = []
    monkeypatch.setattr(engine, "_grammar", lambda *_: heard.append(others.wait(60)) or CallGrammar())

    async def body() -> None:
        answer = asyncio.create_task(_all(engine, [_user("hi")]))
        for _ in range(6):
            await asyncio.sleep(0.01)
        others.set()
        with pytest.raises(EngineError):
            await answer

    asyncio.run(body())
    assert heard == [True]


def test_importing_the_client_costs_the_standard_library_only():
    code = "import sys, json, localagent.engine.local; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    loaded = {name.split(".")[0] for name in json.loads(out.stdout)}
    assert not loaded & {"llama_cpp", "numpy", "psutil", "yaml", "httpx2", "jinja2"}


REAL = os.environ.get("LOCALAGENT_TEST_TINY", "")


@pytest.mark.model
@pytest.mark.skipif(not REAL, reason="LOCALAGENT_TEST_TINY names no model")
def test_a_real_model_answers(plain: Any):
    async def body() -> None:
        one = LocalEngine(ModelFile("real", REAL, context=2048), plain(), threads=1)
        question = _user("What is the capital of France? Answer with one word.")
        done = (await _all(one, [question]))[-1]
        assert "Paris" in done.message.text and done.stop == "end"

    _stopping(body)
