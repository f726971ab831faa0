"""The machine, models, the first start and what is set: the pure parts, and each flow once with keys."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest

from localagent import interactive
from localagent.engine.fit import Fit
from localagent.engine.machine import Machine as Hardware
from localagent.engine.offers import Offer, recommended
from localagent.errors import ModelError, ModelMissing
from localagent.events import MessageDone, PrefillProgress, TextDelta
from localagent.policy import rules
from localagent.store import grants, settings, welcome
from localagent.tui import download, meters, offered
from localagent.tui.download import Fetching
from localagent.tui.meters import Sample
from localagent.tui.offered import Ask
from localagent.tui.speeds import Speeds
from localagent.values import Message, Text, Timings, Usage

from .scenes import said
from .support import Home, Playing, idle, run, say, screen, shows, tools, until

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Enter counts as soon as the question is there."""
    monkeypatch.setattr(Ask, "LOCKED_S", 0.0)


# ---------------------------------------------------------------- pure


def text(lines: Any) -> str:
    return "\n".join(line.plain.rstrip() for line in lines)


def test_sparks_show_the_newest_values_by_height() -> None:
    assert meters.spark([0, 4, 8], 9) == "▁▅█" and meters.spark([1, 1, 8], 2) == "▂█"
    assert meters.spark([0.5], 9, 1.0) == "▅" and meters.spark([], 5) == "" and meters.spark([0, 0], 5) == "▁▁"
    assert meters.spark([1, 2], 0) == ""


def test_the_monitor_leaves_out_what_is_unknown() -> None:
    bare = text(meters.rows([Sample(cpu=0.9, used=1 << 30, total=2 << 30)], Speeds(), 36))
    assert "90%" in bare and "1.0 of 2.0 GiB" in bare and "not running" in bare
    assert "GPU" not in bare and "battery" not in bare and bare.count("nothing yet") == 2
    assert "looking" in text(meters.rows([], Speeds(), 36))
    stuck = text(meters.rows([Sample(trouble="The engine does\x1b[31m not answer.")], Speeds(), 36))
    assert "The engine does" in stuck and "\x1b" not in stuck and "memory" not in stuck
    two = ({"model": "/m/a.gguf", "memory_bytes": 1 << 30}, {"model": "/m/b.gguf", "gpu_layers": "33/33"})
    both = text(meters.rows([Sample(engine={"state": "idle", "models": two, "waiting": 2})], Speeds(), 36))
    assert "\na\n" in both and "33/33" in both and "waiting: 2" in both
    assert all(len(line) <= 36 for line in both.splitlines())


def test_speeds_come_from_the_events() -> None:
    speeds = Speeds()
    for at, done in ((0.0, 100), (0.1, 150), (1.0, 600), (2.0, 1100)):
        speeds.note(PrefillProgress(done, 1100, 100), at)
    speeds.note(TextDelta("x"), 2.5)
    speeds.note(_done(1100, 100, 50, 2000, 1000), 3.0)
    assert list(speeds.reading) == [500.0, 500.0] and list(speeds.writing) == [50.0]
    speeds.note(_done(400, 300, 1, 500, 0), 9.0)
    assert list(speeds.reading)[2:] == [200.0] and len(speeds.writing) == 1


def _done(read: int, cached: int, wrote: int, prefill_ms: float, decode_ms: float) -> MessageDone:
    message = Message("assistant", (Text("x"),))
    return MessageDone(message, Usage(read, cached, wrote), Timings(0.0, prefill_ms, decode_ms))


def test_a_download_tells_speed_time_left_and_silence() -> None:
    state = Fetching("big")
    assert "asking for it" in download.line(state, 0.0, 80)
    for at in range(5):
        state = download.heard(state, {"what": "downloading", "done": at * 10**7, "total": 10**8}, float(at))
    assert download.line(state, 4.0, 100) == (
        "↓ big ━━━━━━────────── 40% · 40.0 MB of 100 MB · 10.0 MB/s · 6.0 s left · Esc pauses"
    )
    assert "nothing came for 20 s" in download.line(state, 24.0, 100)
    for width in (20, 40, 56, 76):
        assert len(download.line(state, 4.0, width)) <= width
    assert "6.0 s left" in download.line(state, 4.0, 56)
    failed = download.heard(state, {"what": "failed", "message": "No.", "hint": "Try."}, 5.0)
    assert not failed.going and (failed.told, failed.hint) == ("No.", "Try.")
    assert download.heard(state, {"what": "news"}, 5.0) is state
    assert download.heard(state, {"what": "ready"}, 5.0).share == 1.0


def _offer(id: str, need: int, verdict: Any, **more: Any) -> Offer:
    from localagent.engine.entry import Entry, Part

    made = Fit(verdict, 4096, need << 30, 0, 0, 0, Hardware(16 << 30, 12 << 30, more.pop("disk", 99 << 30)))
    return Offer(Entry(id, id, parts=(Part(f"{id}.gguf", need << 30, "a" * 64),)), made, **more)


def test_the_default_is_recommended_where_it_fits_else_the_largest_smaller_one() -> None:
    small, middle, large = _offer("s", 1, "fits"), _offer("m", 3, "fits"), _offer("l", 40, "fits")
    assert recommended([small, _offer("d", 6, "fits", default=True), large]).entry.id == "d"
    assert recommended([small, middle, _offer("d", 6, "tight", default=True), large]).entry.id == "m"
    assert recommended([small, _offer("m", 3, "fits", disk=1 << 30), _offer("d", 6, "tight", default=True)]) is small
    assert recommended([_offer("d", 6, "too big", default=True)]) is None
    rows = offered.first_rows([small, middle, _offer("x", 2, "too big"), large], middle)
    assert [row.id for row in rows] == ["m", "s"] and "recommended" in rows[0].text


# ---------------------------------------------------------------- the first start


GOOD = {"qwen3.5-9b": ("10", "60", "ready")}


def _start(play: Any, *answers: Any, **fetches: tuple[str, ...]) -> Any:
    return run(Playing(*answers), play, lacks=True, fetches={"qwen3.5-9b": fetches["big"]} if fetches else {})


def test_the_first_start_asks_twice_at_most_and_sends_the_request_when_the_model_is_here() -> None:
    async def play(pilot: Any) -> None:
        await shows(pilot, "(1 of 2)")
        await pilot.press("enter")
        await shows(pilot, "(2 of 2)")
        await pilot.press("down", "down", "enter")
        await shows(pilot, "AUTO")
        await say(pilot, "hello")
        await shows(pilot, "Hi there.")
        await idle(pilot)
        assert "no model yet" not in screen(pilot.app)

    app = run(Playing(said("Hi there.")), play, lacks=True, fetches=GOOD)
    assert settings.load().mode == "auto" and settings.load().model is None
    assert welcome.load() == welcome.Welcome(("model", "mode")) and app.machine.download.state is None


def test_what_was_skipped_is_not_asked_again_and_a_request_is_told_what_it_waits_for() -> None:
    async def skip(pilot: Any) -> None:
        await shows(pilot, "(1 of 2)")
        await pilot.press("escape")
        await shows(pilot, "(2 of 2)")
        await pilot.press("escape")
        await say(pilot, "hello")
        await shows(pilot, "waits for a model")

    async def again(pilot: Any) -> None:
        await shows(pilot, "/model chooses one")
        assert len(pilot.app.screen_stack) == 1

    _start(skip)
    assert welcome.load().asked == ("model", "mode") and not settings.path().exists()
    _start(again)


def test_a_download_fails_with_the_next_step_is_paused_and_goes_on() -> None:
    async def play(pilot: Any) -> None:
        await shows(pilot, "(1 of 2)")
        await pilot.press("enter", "escape")
        await shows(pilot, "The disk is full. Do this.")
        assert "/model qwen3.5-9b" in screen(pilot.app) and welcome.load().fetching == ""
        assert "From another place: `/model qwen3.5-9b modelscope`" in screen(pilot.app).replace("\n  ", " ")
        await say(pilot, "/model qwen3.5-9b elsewhere")
        await shows(pilot, "comes from: hub, modelscope")
        pilot.app.house.fetches["qwen3.5-9b"] = ("34", "wait")
        await say(pilot, "/model qwen3.5-9b modelscope")
        await shows(pilot, "34%")
        assert welcome.load().fetching == "qwen3.5-9b"
        await pilot.press("escape")
        await shows(pilot, "paused at 34%")
        await until(pilot, lambda: pilot.app.machine.download._task.done())
        assert welcome.load().fetching == ""
        await pilot.press("escape")
        await until(pilot, lambda: "paused" not in screen(pilot.app))
        pilot.app.house.fetches["qwen3.5-9b"] = ("34", "wait")
        await say(pilot, "/model qwen3.5-9b")
        await shows(pilot, "34%")

    async def again(pilot: Any) -> None:
        # Left in the middle of it: the next start goes on without a question.
        await shows(pilot, "60%")
        assert len(pilot.app.screen_stack) == 1

    _start(play, big=("10", "The disk is full."))
    _start(again, big=("60", "wait"))


# ---------------------------------------------------------------- models


def test_another_model_goes_on_with_the_same_conversation() -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "hi")
        await idle(pilot)
        await say(pilot, "/model")
        await shows(pilot, "largest context that fits")
        await pilot.press(*"starter")
        await shows(pilot, "Qwen2.5-Coder 1.5B")
        await pilot.press("enter")
        await shows(pilot, "ASK · starter")
        await say(pilot, "and now?")
        await idle(pilot)

    app = run(Playing(said("Hello."), said("Me again.")), play)
    (session,) = app.house.made
    starts = [event for event in session.transcript.read() if type(event).__name__ == "TurnStarted"]
    assert [event.model for event in starts] == ["scripted", "starter"]
    assert "Hello." in str(app.house.engine.asked[-1][0])


def test_what_cannot_be_used_is_refused_with_a_reason_and_the_session_stays() -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "/model glm-5")
        await shows(pilot, "The model glm-5 is not")
        await say(pilot, "/model nonsense")
        await shows(pilot, "The model nonsense is not")
        await say(pilot, "/model qwen3.5-122b-a10b")
        await shows(pilot, "would not fit")
        await pilot.press("escape")
        await say(pilot, "hello")
        await idle(pilot)
        await shows(pilot, "Hi.")

    app = run(Playing(said("Hi.")), play)
    assert app.machine.download.state is None and app.house.made[0].setting.engine.model == "scripted"


def test_a_model_that_was_fetched_meanwhile_answers_from_then_on() -> None:
    class Comes(Home):
        async def engine_for(self, model: str) -> Any:
            self.here.add(model)
            return await super().engine_for(model)

    async def play(pilot: Any) -> None:
        pilot.app.house.__class__ = Comes
        pilot.app.house.fetches = {"qwen3.5-4b": ("50", "ready"), "qwen3.5-2b": ("20", "wait")}
        await say(pilot, "/model qwen3.5-2b")
        await shows(pilot, "20%")
        await say(pilot, "/model qwen3.5-4b")
        await shows(pilot, "qwen3.5-2b is paused")
        await shows(pilot, "ASK · qwen3.5-4b")

    run(Playing(), play, size=(100, 24))


# ---------------------------------------------------------------- the monitor


def test_the_monitor_looks_only_while_it_is_open() -> None:
    looks = []

    class Watched(Home):
        async def sample(self) -> Sample:
            looks.append(1)
            return await super().sample()

    async def play(pilot: Any) -> None:
        app = pilot.app
        app.house.__class__ = Watched
        await pilot.press("f2")
        await shows(pilot, "81 %")
        assert len(app.screen_stack) == 1 and app.prompt.has_focus
        await until(pilot, lambda: len(looks) >= 2)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "81 %" not in screen(app))
        await pilot.press("f2")
        await shows(pilot, "81 %")
        assert len(app.screen_stack) == 2
        await pilot.press("f2")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        before = len(looks)
        await pilot.pause(1.2)
        assert len(looks) == before

    run(Playing(), play, size=(120, 30))


# ---------------------------------------------------------------- settings, tools, approvals


def test_settings_are_changed_in_place_and_the_file_keeps_its_comments() -> None:
    settings.path().write_text("# mine\ncontext: 4096  # small\n")

    async def play(pilot: Any) -> None:
        await say(pilot, "/settings context")
        await shows(pilot, "default 16384")
        await pilot.press("enter", "backspace", "backspace", "enter")
        await shows(pilot, "whole number")
        await pilot.press(*"96", "enter")
        await until(pilot, lambda: settings.load().context == 4096)
        await pilot.press("enter", "ctrl+u", *"8192", "enter", "up", "enter")
        await until(pilot, lambda: settings.load().mode == "auto")
        await pilot.press("escape")
        await shows(pilot, "AUTO")
        await say(pilot, "/settings power save")
        await until(pilot, lambda: settings.load().power == "save")
        await say(pilot, "/settings colour red")
        await shows(pilot, "There is no setting")
        await say(pilot, "/settings context")
        await pilot.press("d")
        await until(pilot, lambda: settings.load().context == 16384)

    app = run(Playing(), play)
    assert settings.path().read_text() == "# mine\ncontext: 16384  # small\nmode: auto\npower: save\n"
    assert app.driver.mode == "auto" and app.house.reloads >= 3


def test_a_rule_that_is_taken_back_allows_nothing_in_the_running_session_either(work: Path) -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "/approvals")
        await shows(pilot, "No rules are kept")
        session = pilot.app.house.made[0]
        session._remember("write(a/**)", "folder")
        session._remember("write(b/**)", "session")
        assert len(session._policy().rules.kept) == 2
        await say(pilot, "/approvals")
        await shows(pilot, "write(a/**)")
        await pilot.press("enter")
        await shows(pilot, "takes it back")
        await pilot.press("r")
        await shows(pilot, "Taken back: write(a/**)")
        assert session._policy().rules.kept == (rules.parse("write(b/**)"),) and grants.load() == []

    run(Playing(), play)


def test_tools_are_listed_with_their_effects() -> None:
    async def play(pilot: Any) -> None:
        await say(pilot, "/tools")
        await shows(pilot, "write:fs")
        await pilot.press(*"fetch", "enter")
        await shows(pilot, '"properties"')
        await pilot.press("escape")
        await say(pilot, "/tools nothing")
        await shows(pilot, "There is no tool nothing")

    run(Playing(), play, have=tools())


# ---------------------------------------------------------------- the house


def test_a_model_without_its_key_is_refused_before_the_screen_and_a_missing_one_in_it() -> None:
    house = interactive.Terminal(lambda argv: argparse.Namespace(), settings.load())
    with pytest.raises(ModelMissing, match="not on this machine"):
        asyncio.run(house.session(None, None, "ask"))
    assert house.fetching("tiny", "hub")[-6:] == ["pull", "tiny", "--json", "--while-open", "--source", "hub"]
    settings.set_value("model", "glm-5")
    with pytest.raises(ModelError, match="needs a key of zai"):
        interactive.start(lambda argv: argparse.Namespace())
