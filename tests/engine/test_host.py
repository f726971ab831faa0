"""A real host process over a real socket, and clients that behave and that do not."""

from __future__ import annotations

import asyncio
import os
import stat
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from localagent.engine import local, protocol
from localagent.engine.base import CallGrammar, Sampling, Template, Trigger, Untrusted
from localagent.engine.protocol import Request

pytestmark = pytest.mark.slow

ENDLESS = CallGrammar((Trigger("a", "root ::= " + "[a-z]{2000} " * 10),), "a")
LONG = tuple(Untrusted(f"{i} word " * 10) for i in range(300))


class Client:
    """Speaks the protocol, nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls) -> Client:
        return cls(*await asyncio.open_unix_connection(local.socket_path(), limit=1 << 20))

    def send(self, value: dict[str, Any]) -> None:
        self.writer.write(protocol.pack(value))

    def ask(self, path: str, *segments: Any, id_: int = 1, **options: Any) -> None:
        given = {"context": 4096, "max_tokens": 8, "threads": 1, "sampling": Sampling(temperature=1.0, seed=1)}
        request = Request(path=path, segments=segments or (Template("<|im_start|>user\n"),), **{**given, **options})
        self.send({"id": id_, **protocol.request_to_json(request)})

    async def event(self) -> dict[str, Any]:
        found = await asyncio.wait_for(protocol.read(self.reader), 20)
        assert found is not None
        return found

    async def until(self, *names: str) -> list[dict[str, Any]]:
        events = [await self.event()]
        while events[-1]["event"] not in names:
            events.append(await self.event())
        return events

    async def answer(self, path: str, *segments: Any, **options: Any) -> list[dict[str, Any]]:
        self.ask(path, *segments, **options)
        return await self.until("done", "error")


@pytest.fixture
def hosted(running: Any) -> Callable[[Callable[..., Awaitable[None]]], None]:
    """Run a coroutine function that takes the host's process, with a host around it."""

    def run(body: Callable[..., Awaitable[None]], **options: Any) -> None:
        async def whole() -> None:
            async with running(**options) as process:
                await body(process)

        asyncio.run(whole())

    return run


def test_an_answer_and_the_next_one_from_the_cache(hosted: Any, tiny: str):
    async def body(_: Any) -> None:
        client = await Client.open()
        prompt = (Template("<|im_start|>system\n"), Untrusted("be good " * 40), Template("<|im_end|>\n"))
        first = await client.answer(tiny, *prompt)
        assert first[0]["event"] == "loading"
        done = first[-1]
        assert (done["event"], done["stop"]) == ("done", "length")
        assert (done["usage"]["output"], done["usage"]["cached"]) == (8, 0)
        assert done["timings"]["load_ms"] > 0 and done["timings"]["prefill_ms"] > 0
        ids = [i for e in first if e["event"] == "token" for i in e["ids"]]
        assert len(ids) == 8
        from localagent.values import Generated

        again = await client.answer(tiny, *prompt, Generated("", tuple(ids)), Template("<|im_end|>\n"))
        usage = again[-1]["usage"]
        assert usage["input"] - usage["cached"] == 2
        assert again[-1]["timings"]["load_ms"] == 0
        prefill = [e for e in again if e["event"] == "prefill"]
        assert prefill[-1]["done"] == prefill[-1]["total"] == usage["input"]

    hosted(body)


def test_two_clients_at_once_get_their_own_answers(hosted: Any, tiny: str):
    async def body(_: Any) -> None:
        one, two = await Client.open(), await Client.open()
        one.ask(tiny, Template("a"), max_tokens=50, grammar=ENDLESS)
        two.ask(tiny, Template("b"), max_tokens=50, grammar=ENDLESS)
        done = await asyncio.gather(one.until("done", "error"), two.until("done", "error"))
        assert [events[-1]["usage"]["output"] for events in done] == [50, 50]

    hosted(body)


def test_a_person_goes_before_a_job(hosted: Any, tiny: str):
    async def body(_: Any) -> None:
        busy, job, person = [await Client.open() for _ in range(3)]
        busy.ask(tiny, max_tokens=400, grammar=ENDLESS)
        await busy.until("token")
        job.ask(tiny, priority=1, max_tokens=9, grammar=ENDLESS)
        await job.until("queued")
        person.ask(tiny, priority=0)
        first = asyncio.create_task(job.until("token"))
        await person.until("done")
        assert not first.done()
        await first

    hosted(body)


def test_a_flood_of_one_client_does_not_keep_another_waiting(hosted: Any, tiny: str):
    async def body(_: Any) -> None:
        busy = await Client.open()
        busy.ask(tiny, max_tokens=3000, grammar=ENDLESS)
        await busy.until("token")
        order: list[str] = []

        async def ask(client: str) -> asyncio.Task[None]:
            one = await Client.open()
            one.ask(tiny, client=client, max_tokens=3, grammar=ENDLESS)
            await one.until("queued")

            async def rest() -> None:
                await one.until("done")
                order.append(client)

            return asyncio.create_task(rest())

        waiting = [await ask(name) for name in ("flood", "flood", "flood", "other", "other")]
        busy.send({"op": "cancel", "id": 1})
        await asyncio.gather(*waiting)
        assert order == ["flood", "other", "flood", "other", "flood"]

    hosted(body)


@pytest.mark.parametrize("way", ["cancel", "disconnect"])
def test_a_long_prefill_is_left_within_a_fifth_of_a_second(hosted: Any, dense: str, way: str):
    async def body(_: Any) -> None:
        took = []
        for _ in range(3):
            client, other = await Client.open(), await Client.open()
            client.ask(dense, *LONG, context=32768)
            await client.until("prefill")
            other.ask(dense, max_tokens=1, context=32768)
            await asyncio.sleep(0.3)
            began = time.monotonic()
            if way == "cancel":
                client.send({"op": "cancel", "id": 1})
                assert (await client.until("done"))[-1]["stop"] == "cancelled"
            else:
                client.writer.close()
            await other.until("prefill")
            took.append(time.monotonic() - began)
            await other.until("done")
        assert min(took) < 0.2

    hosted(body)


def test_a_waiting_request_is_cancelled_at_once(hosted: Any, tiny: str):
    async def body(_: Any) -> None:
        client = await Client.open()
        client.ask(tiny, max_tokens=4000, grammar=ENDLESS, id_=1)
        client.ask(tiny, id_=2)
        await client.until("queued")
        client.send({"op": "cancel", "id": 2})
        done = (await client.until("done"))[-1]
        assert (done["id"], done["stop"], done["usage"]["output"]) == (2, "cancelled", 0)
        client.send({"op": "cancel", "id": 1})
        done = (await client.until("done"))[-1]
        assert (done["id"], done["stop"]) == (1, "cancelled")

    hosted(body)


def test_models_that_cannot_be_loaded_leave_the_host_alive(hosted: Any, tiny: str, gguf: Any, tmp_path: Any):
    async def body(_: Any) -> None:
        client = await Client.open()
        error = (await client.answer(str(tmp_path / "gone.gguf")))[-1]
        assert (error["kind"], "no model file" in error["message"]) == ("model_missing", True)
        strange = gguf.make("tiny", tmp_path / "strange.gguf", arch="strange9")
        error = (await client.answer(str(strange)))[-1]
        assert error["kind"] == "model" and "strange9" in error["message"]
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(Path(tiny).read_bytes()[:1_000_000])
        error = (await client.answer(str(cut)))[-1]
        assert error["kind"] == "model" and "cut short" in error["message"]
        assert (await client.answer(tiny))[-1]["event"] == "done"

    hosted(body)


def test_status_tells_every_model_and_what_waits(hosted: Any, tiny: str, dense: str):
    async def body(_: Any) -> None:
        client = await Client.open()
        for path, loads in ((tiny, True), (dense, True), (tiny, False)):
            assert ((await client.answer(path))[-1]["timings"]["load_ms"] > 0) == loads
        client.ask(tiny, id_=1, max_tokens=3000, grammar=ENDLESS)
        await client.until("token")
        client.ask(dense, id_=2, priority=1)
        await client.until("queued")
        client.send({"op": "status", "id": 9})
        status = (await client.until("status"))[-1]
        assert status["model"] == tiny and status["context"] == 4096 and status["memory_bytes"] > 1 << 20
        assert status["pid"] != os.getpid() and status["answered"] == 3
        assert [(one["model"], one["busy"]) for one in status["models"]] == [(tiny, True), (dense, False)]
        assert [(one["model"], one["state"]) for one in status["queue"]] == [(tiny, "answering"), (dense, "waiting")]
        from localagent.commands import engine

        shown = "\n".join(engine._lines(status))
        assert f"{tiny} (in use)" in shown and f"priority 1: {dense}" in shown and " of 4096 tokens in use" in shown
        client.send({"op": "cancel", "id": 1})

    hosted(body)


def test_nonsense_is_answered_and_the_host_lives(hosted: Any, tiny: str):
    async def body(_: Any) -> None:
        client = await Client.open()
        bodies = [b"{", b"[]", b"\xff\xfe", b'{"op":"fly","id":1}', b'{"op":"generate"}', b'{"op":"generate","id":1}',
                  b'{"op":"generate","id":1,"version":1,"path":3}', b'{"id":[]}', b"[" * 100_000]  # fmt: skip
        for raw in bodies:
            client.writer.write(struct.pack(">I", len(raw)) + raw)
            assert (await client.event())["event"] == "error"
        huge = await Client.open()
        huge.writer.write(struct.pack(">I", (64 << 20) + 1) + b"x" * 1000)
        assert "above the limit" in (await huge.event())["message"]
        assert await huge.reader.read() == b""
        wedged = await Client.open()
        wedged.writer.write(struct.pack(">I", 1000) + b"half")
        old = await Client.open()
        old.send({"op": "generate", "id": 1, "version": 0})
        assert (await old.event())["kind"] == "version"
        assert (await client.answer(tiny))[-1]["event"] == "done"

    hosted(body)


def test_prompts_that_cannot_be_answered(hosted: Any, tiny: str):
    async def body(_: Any) -> None:
        from localagent.engine.base import ImageData
        from localagent.values import Generated

        client = await Client.open()
        for segment, kind, said in (
            (Generated("", (10**6,)), "engine", "another model"),
            (ImageData("0" * 64), "engine", "images"),
            (Untrusted("x" * 5000), "prompt_too_long", "5000 tokens and the context holds 4096"),
            (Untrusted(""), "engine", "empty"),
        ):
            error = (await client.answer(tiny, segment))[-1]
            assert (error["event"], error["kind"]) == ("error", kind) and said in error["message"]
        for rules in ("root ::= nothing", 'root ::= "a" | root "b"', 'root ::= "a"{5,2}', "root ::= \0"):
            error = (await client.answer(tiny, grammar=CallGrammar((Trigger("x", rules),))))[-1]
            assert (error["event"], error["kind"], error["hint"] != "") == ("error", "grammar", True)
        error = (await client.answer(tiny, Untrusted("a whole log file\n" * 100_000)))[-1]
        assert error["kind"] == "prompt_too_long" and "more than 4096 tokens" in error["message"] and error["hint"]
        full = await client.answer(tiny, Untrusted("ab" * 2030), max_tokens=500)
        assert full[-1]["stop"] in ("length", "end")

    hosted(body)


def test_forced_text_is_followed_by_its_grammar(hosted: Any, tiny: str):
    async def body(_: Any) -> None:
        client = await Client.open()
        call = Trigger("<tool_call>", 'root ::= "\\n{\\"n\\":" [1-9] [0-9]? "}\\n</tool_call>"')
        for forced in ("<tool_call>", '<tool_call>\n{"n":'):
            events = await client.answer(tiny, grammar=CallGrammar((call,), forced), max_tokens=40)
            text = "".join(e["text"] for e in events if e["event"] in ("token", "done"))
            assert text.startswith('<tool_call>\n{"n":')
            assert "}\n</tool_call>" in text[:40]
        error = (await client.answer(tiny, grammar=CallGrammar((call,), "<tool_call>nonsense")))[-1]
        assert error["event"] == "error" and "forbids" in error["message"]

    hosted(body)


def test_one_engine_per_user(hosted: Any, running: Any):
    async def body(process: Any) -> None:
        path = local.socket_path()
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        async with running() as second:
            assert await asyncio.wait_for(second.wait(), 10) == 0
        assert process.returncode is None
        status = await local.status()
        assert status and status["pid"] == process.pid

    hosted(body)


def test_a_socket_left_by_a_dead_engine_is_replaced(running: Any):
    async def body() -> None:
        async with running() as process:
            process.kill()
            await process.wait()
        assert local.socket_path().exists()
        assert await local.status() is None
        async with running():
            for _ in range(200):
                if await local.status():
                    return
                await asyncio.sleep(0.02)
            raise AssertionError("the second engine does not answer")

    asyncio.run(body())


def test_a_host_that_nobody_can_reach_ends_and_leaves_the_next_one_alone(hosted: Any, running: Any, tiny: str):
    """Temporary folders are cleaned, and a session's own goes with its end."""

    async def body(process: Any) -> None:
        path = local.socket_path()
        path.unlink()
        path.with_suffix(".lock").unlink()
        async with running() as second:
            assert await asyncio.wait_for(process.wait(), 20) == 0
            client = await Client.open()
            assert (await client.answer(tiny))[-1]["event"] == "done" and second.returncode is None

    hosted(body)


def test_it_ends_when_nobody_asks(hosted: Any):
    async def body(process: Any) -> None:
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert not local.socket_path().exists()

    hosted(body, idle_s=0.3)


def test_stop_breaks_off_an_answer_and_ends(hosted: Any, tiny: str):
    async def body(process: Any) -> None:
        client = await Client.open()
        client.ask(tiny, max_tokens=4000, grammar=ENDLESS)
        await client.until("token")
        assert await local.stop()
        assert (await client.until("done"))[-1]["stop"] == "cancelled"
        assert await asyncio.wait_for(process.wait(), 5) == 0
        assert not await local.stop()

    hosted(body)
