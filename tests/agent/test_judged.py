"""Calls are drafted, judged, and given once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from localagent.agent.judged import Judged, said, signs
from localagent.engine.base import Delta, Options, Surprise
from localagent.engine.judge import Judge
from localagent.events import MessageDone, TextDelta
from localagent.values import Message, Text, Timings, ToolCall, ToolResult, ToolSpec, Usage

WEATHER = ToolSpec(
    "get_weather", "", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)
OSLO = ToolCall("c1", "get_weather", {"city": "Oslo"})
BERGEN = ToolCall("c2", "get_weather", {"city": "Bergen"})
EVEN = Judge(fits=1.0, news=0.1, support=2.0, named=0.0, bias=-2.0)


@dataclass
class Engine:
    """Answers as told, one answer a request; notes what it was asked."""

    answers: list[str | tuple[ToolCall, ...]]
    yes: float = 1.0
    news: float = 10.0
    model: str = "fake"
    asked: list[tuple[Sequence[Message], Sequence[ToolSpec], Options]] = field(default_factory=list)
    scored: int = 0
    cut: bool = False
    words: str = ""
    running: int = 0

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append((messages, specs, options))
        answer = self.answers[len(self.asked) - 1]
        self.running += 1
        try:
            if isinstance(answer, str):
                yield TextDelta(answer)
                message = Message("assistant", (Text(answer),))
            else:
                if self.words:
                    yield TextDelta(self.words)
                message = Message("assistant", (Text(self.words),) if self.words else (), calls=answer)
            yield MessageDone(message, Usage(100, 40, 7), Timings(0.0, 1.0, 2.0), cut=self.cut)
        finally:
            self.running -= 1

    async def score(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], candidates: Sequence[str], **whose: Any
    ) -> list[list[float]]:
        self.scored += 1
        return [[self.yes if one.lower() == "yes" else 0.0] for one in candidates]

    async def surprise(self, messages: Sequence[Message], specs: Sequence[ToolSpec], **whose: Any) -> Surprise:
        if not specs:
            return Surprise((-1.0 - self.news / 2,) * 2)
        return Surprise((-1.0, -1.0), Usage(101, 60, 0), Timings(0.0, 30.0, 0.0))

    async def close(self) -> None: ...


def _user(text: str) -> Message:
    return Message("user", (Text(text),))


def _answer(
    engine: Engine, messages: Sequence[Message], options: Options = Options(), judge: Judge | None = EVEN
) -> tuple[str, MessageDone]:
    async def run() -> tuple[str, MessageDone]:
        said, done = "", None
        async for delta in Judged(engine, judge).stream(messages, (WEATHER,), options):
            if isinstance(delta, TextDelta):
                said += delta.text
            elif isinstance(delta, MessageDone):
                assert done is None
                done = delta
        assert done is not None
        return said, done

    return asyncio.run(run())


def test_a_call_that_fits_is_given() -> None:
    engine = Engine([(OSLO,)], yes=2.0, news=20.0)
    said, done = _answer(engine, [_user("Will it rain in Oslo?")])
    assert (said, done.message.calls) == ("", (OSLO,))
    assert [options.tool_choice for _, _, options in engine.asked] == ["required"]


def test_a_call_that_stands_in_an_answer_twice_is_given_once() -> None:
    again = ToolCall("c3", "get_weather", {"city": "Oslo"})
    _, done = _answer(Engine([(OSLO, BERGEN, again)], yes=2.0, news=20.0), [_user("Rain in Oslo and Bergen?")])
    assert (done.message.calls, done.message.generated) == ((OSLO, BERGEN), None)


def test_the_prompt_costs_what_reading_it_for_the_judge_cost() -> None:
    _, done = _answer(Engine([(OSLO,)], yes=2.0, news=20.0), [_user("Will it rain in Oslo?")])
    assert (done.usage, done.timings) == (Usage(101, 60, 7), Timings(0.0, 31.0, 2.0))
    _, done = _answer(Engine(["No."], yes=-8.0, news=0.0), [_user("Who was the first king of Norway?")])
    assert (done.usage, done.timings) == (Usage(101, 60, 7), Timings(0.0, 31.0, 2.0))


def test_a_call_with_made_up_values_is_dropped_and_answered_without_tools() -> None:
    engine = Engine([(OSLO,), "Which city?"], yes=0.5, news=4.0)
    said, done = _answer(engine, [_user("What is the weather like?")])
    assert (said, done.message.calls, done.message.text) == ("Which city?", (), "Which city?")
    messages, specs, options = engine.asked[1]
    assert (specs, options.tool_choice, messages[-1].role) == ((), "none", "host")
    assert done.usage == Usage(101, 60, 14)
    assert done.message.generated is None


def test_an_answer_without_tools_knows_no_offered_ones_either() -> None:
    engine = Engine([(OSLO,), "Which city?"], yes=0.5, news=4.0)
    _answer(engine, [_user("What is the weather like?")], Options(offered=(WEATHER,)))
    assert [asked[2].offered for asked in engine.asked] == [(WEATHER,), ()]


def test_where_nothing_speaks_for_a_call_none_is_drafted() -> None:
    engine = Engine(["Harald Fairhair."], yes=-8.0, news=0.0)
    said, _ = _answer(engine, [_user("Who was the first king of Norway?")])
    assert said == "Harald Fairhair."
    assert [specs for _, specs, _ in engine.asked] == [()]


@pytest.mark.parametrize(
    "options",
    [
        Options(tool_choice="required"),
        Options(tool_choice="none"),
        Options(schema={"type": "object"}),
        Options(thinking=True),
    ],
)
def test_what_the_caller_decides_is_not_judged(options: Options) -> None:
    engine = Engine([(OSLO,)], yes=-8.0, news=0.0)
    _answer(engine, [_user("Rain?")], options)
    assert engine.scored == 0
    assert engine.asked[0][2] == options


def test_a_model_without_a_judge_is_believed() -> None:
    engine = Engine([(OSLO,)], yes=-8.0, news=0.0)
    _, done = _answer(engine, [_user("Rain?")], judge=None)
    assert done.message.calls == (OSLO,)
    assert engine.scored == 0


def _results() -> list[Message]:
    return [
        _user("Will it rain in Oslo?"),
        Message("assistant", (), calls=(OSLO,)),
        Message("tool", (), result=ToolResult("c1", (Text("no"),))),
    ]


def test_the_same_call_after_its_result_is_asked_about_once_and_then_answered() -> None:
    again = ToolCall("c9", OSLO.name, dict(OSLO.args))
    engine = Engine([(again,), (again,), "It stays dry."])
    said, done = _answer(engine, _results())
    assert (said, done.message.calls) == ("It stays dry.", ())
    assert [len(specs) for _, specs, _ in engine.asked] == [1, 1, 0]
    assert "plain words" in engine.asked[-1][0][-1].text
    assert done.usage.output_tokens == 21


def _tested_edited() -> list[Message]:
    edited = ToolCall("c3", "get_weather", {"city": "Rome"})
    return [
        *_results(),
        Message("assistant", (), calls=(edited,)),
        Message("tool", (), result=ToolResult("c3", (Text("done"),))),
    ]


def test_a_model_with_a_judge_may_not_repeat_a_call_behind_another() -> None:
    again = ToolCall("c9", OSLO.name, dict(OSLO.args))
    assert _answer(Engine([(again,), (again,), "Dry."]), _tested_edited())[1].message.calls == ()


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("messages", [_results(), _tested_edited()])
def test_a_model_without_a_judge_never_loses_a_call(messages: list[Message], parallel: bool) -> None:
    again = ToolCall("c9", OSLO.name, dict(OSLO.args))
    for calls in ((again,), (again, BERGEN), (BERGEN, again), (again, again)):
        engine = Engine([calls])
        _, done = _answer(engine, messages, Options(parallel=parallel), judge=None)
        assert done.message.calls == calls
        assert engine.asked == [(messages, (WEATHER,), Options(parallel=parallel))]


def test_words_beside_a_repeated_call_do_not_lose_it_where_there_is_no_judge() -> None:
    again = ToolCall("c9", OSLO.name, dict(OSLO.args))
    engine = Engine([(again,)], words="I look again.")
    said, done = _answer(engine, _results(), judge=None)
    assert (said, done.message.calls) == ("I look again.", (again,))


def test_a_new_call_after_a_result_is_given_and_an_old_one_beside_it_is_not() -> None:
    again = ToolCall("c9", OSLO.name, dict(OSLO.args))
    _, done = _answer(Engine([(again, BERGEN)]), _results())
    assert done.message.calls == (BERGEN,)


def test_a_new_request_may_repeat_an_old_call() -> None:
    messages = [*_results(), Message("assistant", (Text("It stays dry."),)), _user("And now? Oslo again.")]
    _, done = _answer(Engine([(OSLO,)]), messages)
    assert done.message.calls == (OSLO,)


def test_signs_compare_yes_with_no_and_the_request_with_and_without_tools() -> None:
    found = asyncio.run(signs(Engine([], yes=3.0, news=6.0), [_user("Rain?")], (WEATHER,), Options()))
    assert (found.fits, found.news) == (pytest.approx(3.0), pytest.approx(6.0))


def test_what_was_said_is_the_mean_over_the_calls_and_unknown_without_values() -> None:
    assert said((OSLO, BERGEN), (WEATHER,), [_user("Rain in Oslo?")]) == (0.5, 0.0)
    assert said((OSLO,), (WEATHER,), [_user("The weather in Bergen?")]) == (0.0, 0.5)
    assert said((), (WEATHER,), [_user("Rain?")]) == (0.75, 0.5)


def test_what_a_tool_told_before_supports_a_call() -> None:
    found = Message("tool", result=ToolResult("c0", (Text("You are in Oslo."),)))
    asked = [_user("Where am I?"), found, _user("What is the weather here?")]
    assert said((OSLO,), (WEATHER,), asked) == (1.0, 0.5)


def test_a_request_is_judged_though_the_host_has_the_last_word() -> None:
    engine = Engine(["Harald Fairhair."], yes=-8.0, news=0.0)
    note = Message("host", (Text("Be brief."),))
    said, _ = _answer(engine, [_user("Who was the first king of Norway?"), note])
    assert said == "Harald Fairhair." and engine.scored
    assert [message.text for message in engine.asked[0][0][:2]] == ["Who was the first king of Norway?", "Be brief."]


@pytest.mark.parametrize("messages", [[Message("system", (Text("Go."),))], [_user("Rain?"), Message("assistant")]])
def test_where_no_request_is_open_the_model_is_believed(messages: list[Message]) -> None:
    engine = Engine([(OSLO,)], yes=-8.0, news=0.0)
    _, done = _answer(engine, messages)
    assert done.message.calls == (OSLO,) and not engine.scored


def test_a_call_that_was_cut_stays_the_last() -> None:
    again = ToolCall("c9", OSLO.name, dict(OSLO.args))
    _, done = _answer(Engine([(again, BERGEN, again)], cut=True), _results())
    assert done.cut and done.message.calls == (BERGEN, again)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_whoever_stops_listening_leaves_no_answer_running(steps: int) -> None:
    again = ToolCall("c9", OSLO.name, dict(OSLO.args))
    engine = Engine([*[(again,)] * (steps - 1), "It stays dry."])

    async def run() -> None:
        deltas = Judged(engine, EVEN).stream(_results(), (WEATHER,), Options())
        await anext(deltas)
        assert engine.running == 1
        await deltas.aclose()
        assert engine.running == 0

    asyncio.run(run())


def test_more_of_every_sign_makes_a_call_likelier() -> None:
    judge = Judge(fits=1.0, news=0.1, support=2.0, named=1.0, bias=-2.0)
    chances = [judge.chance(*signs) for signs in ((1, 10, 1, 1), (0, 10, 1, 1), (0, 5, 1, 1), (0, 5, 0, 1), (0, 5, 0, 0))]
    assert chances == sorted(set(chances), reverse=True)
    assert judge.chance(0, 1000, 0, 0) == judge.chance(0, 40, 0, 0)
    assert judge.chance(-1e9, 0, 0, 0) < 1e-9
