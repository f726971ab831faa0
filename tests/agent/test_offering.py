"""Tools that are found: shown behind the request they fit, callable while they stand in the history, never in the prefix."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent import context, offering
from localagent.agent import session as sessions
from localagent.agent.session import Session
from localagent.engine import asked, dialects, local
from localagent.engine.base import Options, Template
from localagent.engine.model import ModelFile
from localagent.store.transcript import Transcript
from localagent.toolbox.registry import Registry
from localagent.values import Message, Text, ToolSpec
from tests.agent.test_loop import World, ended, kinds, results
from tests.fakes import FakeTools, call

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
AMOUNT = {"type": "object", "properties": {"amount": {"type": "number"}}}
QUERY = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
WEATHER = ToolSpec("get_weather", "Tell the weather of a city.", CITY, ("compute",), "mcp:sky")
CURRENCY = ToolSpec("convert_currency", "Convert money.", AMOUNT, ("compute",), "mcp:bank")
RUNNER = ToolSpec("run_query", "Run a query.", QUERY, ("run",), "mcp:db")


class Findable(FakeTools):
    listed = False


def found(*specs: ToolSpec, does: Callable[[Any], Any] = lambda args: "sunny") -> Findable:
    return Findable(**{spec.name: (spec, does) for spec in specs})


def world(tmp: Path, *steps: Any, source: FakeTools | None = None) -> World:
    made = World(tmp, *steps)
    registry = Registry([made.tools, source or found(WEATHER, CURRENCY)])
    registry.add(offering.Offering(registry))
    setting = replace(made.session.setting, registry=registry)
    made.session = sessions.start(setting, "auto", made.session.transcript)
    return made


def again(made: World) -> Session:
    """From the transcript, with a registry of its own."""
    registry = Registry([source for source in made.session.setting.registry.sources if not isinstance(source, offering.Offering)])
    registry.add(offering.Offering(registry))
    return sessions.start(replace(made.session.setting, registry=registry), "auto", Transcript(made.session.id), resumed=True)


def offered(events: list[e.Event]) -> list[list[str]]:
    return [[spec.name for spec in event.tools] for event in events if isinstance(event, e.ToolsOffered)]


def lines(message: Message) -> list[str]:
    return [json.loads(line)["name"] for line in message.text.splitlines() if line.startswith("{")]


def callable_now(made: World) -> list[str]:
    return [spec.name for spec in made.engine.options[-1].offered]


def test_what_fits_stands_behind_the_request_and_is_called(tmp_path: Path) -> None:
    made = world(tmp_path, [call("get_weather", city="Oslo")], "Sunny.")
    events = made.run(text="What's the weather in Oslo?")
    assert kinds(events)[:3] == ["TurnStarted", "ToolsOffered", "MessageDone"] and offered(events) == [["get_weather"]]
    assert [r.text for r in results(events)] == ["sunny"] and ended(events).final == "Sunny."
    messages, specs = made.engine.asked[0]
    assert [m.role for m in messages[-2:]] == ["user", "host"] and lines(messages[-1]) == ["get_weather"]
    assert "weather" not in messages[0].text and [s.name for s in specs] == ["look", "write", "tool_search"]
    assert made.engine.options[0].offered == (WEATHER,)
    # Not again where it stands; still callable in the next turn, where something else fits too.
    assert offered(made.run(text="And the weather in Rome?")) == [] and callable_now(made) == ["get_weather"]
    assert offered(made.run(text="convert currency please")) == [["convert_currency"]]
    assert callable_now(made) == ["get_weather", "convert_currency"]
    resumed = again(made)
    assert resumed.history == made.session.history and resumed.offering.callable() == (WEATHER, CURRENCY)


def test_nothing_is_said_where_nothing_fits_for_sure(tmp_path: Path) -> None:
    made = world(tmp_path, "Paris.")
    assert kinds(made.run(text="What is the capital of France?")) == ["TurnStarted", "MessageDone", "TurnEnded"]
    assert made.engine.options[0] == Options()


def test_going_back_forgets_what_was_offered_there(tmp_path: Path) -> None:
    made = world(tmp_path, "a", "b", "c")
    made.run(text="convert currency")
    made.run(text="weather in Oslo")
    made.session.rewind(1)
    assert [spec.name for spec in made.session.offering.callable()] == ["convert_currency"]
    assert [lines(m) for m in made.session.history if m.role == "host"] == [["convert_currency"]]
    assert offered(made.run(text="weather in Rome")) == [["get_weather"]]
    assert again(made).history == made.session.history


def test_a_search_shows_what_it_finds_once(tmp_path: Path) -> None:
    made = world(
        tmp_path, [call("tool_search", query="weather forecast")], [call("get_weather", city="Oslo")],
        [call("tool_search", query="weather of a city")], [call("tool_search", query="knit a pullover")],
        [call("tool_search", query=" ")], "ok",
    )  # fmt: skip
    events = made.run(text="do it")
    first, weather, second, third, fourth = results(events)
    assert '{"name": "get_weather"' in first.text and weather.text == "sunny" and offered(events) == [["get_weather"]]
    assert [spec.name for spec in made.engine.options[1].offered] == ["get_weather"]
    assert "{" not in second.text and "Shown above already: get_weather." in second.text
    assert third.status == "ok" and third.text.startswith('No tool fits "knit a pullover".')
    assert fourth.status == "failed"
    assert not any(m.role == "host" and lines(m) for m in made.session.history)
    assert again(made).offering.callable() == (WEATHER,)


def test_what_is_nearest_is_told_for_that(tmp_path: Path) -> None:
    made = world(tmp_path, [call("tool_search", query="convert notes to pdf")], "ok")
    (result,) = results(made.run(text="do it"))
    assert result.text.startswith("No tool fits for sure. The nearest:\n{") and "convert_currency" in result.text
    assert callable_now(made) == ["convert_currency"]


def test_a_changed_tool_is_shown_again_and_the_old_words_stay(tmp_path: Path) -> None:
    source = found(WEATHER)
    made = world(tmp_path, "a", "b", [call("get_weather", city="Oslo")], "c", source=source)
    made.run(text="weather in Oslo")
    before = list(made.session.history)
    other = replace(WEATHER, parameters={"type": "object", "properties": {"place": {"type": "string"}}})
    source._tools["get_weather"] = (other, lambda args: "rain")
    events = made.run(text="hello")
    assert offered(events) == [["get_weather"]] and made.session.history[: len(before)] == before
    assert "not as shown before" in made.session.history[-2].text and made.session.offering.callable() == (other,)
    # Gone: it stays callable, and the call is answered plainly.
    del source._tools["get_weather"]
    events = made.run(text="weather in Oslo")
    assert offered(events) == [] and [spec.name for spec in made.engine.options[-1].offered] == ["get_weather"]
    (result,) = results(events)
    assert result.status == "failed" and "There is no tool 'get_weather'" in result.text


def test_a_tool_that_changes_within_a_turn_is_shown_before_the_next_answer(tmp_path: Path) -> None:
    source = found(WEATHER)
    made = world(tmp_path, [call("get_weather", city="Oslo")], "a", source=source)

    def change(args: Any) -> str:
        source._tools["get_weather"] = (replace(WEATHER, description="Another."), change)
        made.session.setting.registry.refresh()
        return "sunny"

    source._tools["get_weather"] = (WEATHER, change)
    events = made.run(text="weather in Oslo")
    assert kinds(events)[1:6] == ["ToolsOffered", "MessageDone", "ToolStarted", "ToolFinished", "ToolsOffered"]


def test_at_most_five_and_one_short_message(tmp_path: Path) -> None:
    long = {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "words " * 10} for n in range(6)}}
    many = [ToolSpec(f"weather_{n}", "Weather. " + "It is told. " * 20, long if n % 2 else CITY, ("compute",), "mcp:x") for n in range(9)]
    made = world(tmp_path, "a", source=found(*many))
    ((names),) = offered(made.run(text="the weather_1 weather_2 weather_3 weather_4 weather_5 weather_6 please"))
    message = made.session.history[1]
    assert 1 <= len(names) <= 5 and lines(message) == names and len(message.text) < 2600


def test_what_a_registry_gave_up_does_not_come_back() -> None:
    registry = Registry([found(WEATHER, CURRENCY)])
    registry.keep(lambda spec: spec.name != "get_weather")
    registry.refresh()
    assert [spec.name for spec in registry.findable()] == ["convert_currency"] and registry.specs() == ()


# ---------------------------------------------------------------- the prompt


def _segments(name: str, made: World, text: str) -> tuple[list[Any], list[Any]]:
    """The prompt of the last answer: what stands before the request, and all of it."""
    messages, specs = made.engine.asked[-1]
    whole = dialects.by_name(name).render(messages, specs, thinking=False)
    at = next(at for at, segment in enumerate(whole) if text in getattr(segment, "text", ""))
    head = whole[at].text.partition(text)[0]
    return [*whole[:at], head], whole


@pytest.mark.parametrize("name", dialects.names())
def test_the_beginning_is_the_same_however_many_tools_there_are(name: str, tmp_path: Path) -> None:
    heads, goal = [], "What's the weather in Oslo?"
    for count in (1, 50, 2000):
        many = [replace(CURRENCY, name=f"tool_{n}", description=f"Number {n}.") for n in range(count - 1)]
        folder = tmp_path / str(count)
        folder.mkdir()
        made = world(folder, "Sunny.", source=found(*many, WEATHER))
        assert offered(made.run(text=goal)) == [["get_weather"]]
        head, whole = _segments(name, made, goal)
        heads.append(head)
        texts = "".join(getattr(segment, "text", "") for segment in whole)
        assert texts.count('"get_weather"') == 1 and "tool_1" not in texts
        # What the tools say is nobody's template.
        assert not any("get_weather" in segment.text for segment in whole if isinstance(segment, Template))
    assert heads[0] == heads[1] == heads[2]


@pytest.mark.parametrize("name", dialects.names())
def test_every_dialect_holds_calls_of_offered_tools_to_their_schema(name: str) -> None:
    dialect, listed = dialects.by_name(name), [replace(CURRENCY, name="listed_one")]
    known = asked.callable(listed, Options(offered=(WEATHER, RUNNER)))
    grammar = dialect.grammar(known, "auto")
    assert all(text in trigger.grammar for trigger in grammar.triggers[:1] for text in ("get_weather", "run_query", "listed_one"))
    # A tool of others that runs something does not become the one that scripts go to.
    assert grammar.forced == dialect.grammar(listed, "auto").forced
    assert dialect.grammar(known, "required").forced == dialect.grammar(listed, "required").forced


def test_the_engine_is_asked_with_them_in_the_grammar_alone() -> None:
    engine = local.LocalEngine(ModelFile("m", "/m.gguf", context=4096), dialects.by_name("hermes"))
    asked = [Message("user", (Text("hi"),))]
    with_it, without = (engine._request(asked, [CURRENCY], Options(offered=given)) for given in ((WEATHER,), ()))
    assert with_it.segments == without.segments and with_it.fixed == without.fixed
    assert "get_weather" in with_it.grammar.triggers[0].grammar and "get_weather" not in without.grammar.triggers[0].grammar


def test_the_named_tool_may_be_an_offered_one() -> None:
    assert [spec.name for spec in asked.callable([CURRENCY], Options(offered=(WEATHER,), tool="get_weather"))] == ["get_weather"]


def test_a_message_of_offers_opens_no_turn() -> None:
    assert context.offered(e.ToolsOffered((WEATHER,))).role == "host"
    assert asyncio.run(offering.Offering(Registry([])).fitting("weather")) is None
