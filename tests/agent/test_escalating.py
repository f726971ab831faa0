"""Which model gives the next answer: the real session with a scripted model of this machine and an endpoint that stands for another."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.engine.base import Logprobs, Options, TokenLogprob
from localagent.engine.entry import Entry, Price, Remote
from localagent.engine.remote import Metered, Purse, RemoteEngine, keys, wire
from localagent.engine.route import Other, Route, margin
from localagent.errors import EndpointDown, EngineError, ModelError
from localagent.policy import rules
from localagent.store.spend import Spend
from localagent.values import Answer, Change, Decision, Message, ToolCall, ToolSpec
from tests.agent.test_loop import World
from tests.engine.remote.endpoint import Reply, called, chunk, endpoint
from tests.fakes import ScriptedEngine, approve_all, call, nobody

USAGE = {"prompt_tokens": 100, "completion_tokens": 10}
KEY = "sk-far-0123456789abcdef"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens here counts as another machine."""
    monkeypatch.setattr(keys, "_HERE", ())
    monkeypatch.setattr(wire, "_WAIT_S", 0.01)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Spend]:
    made = Spend(tmp_path / "spend.db")
    yield made
    made.close()


def far_entry(url: str, **more: Any) -> Entry:
    remote = Remote(url, "", "big-1", "", "", "test", {"web_search": "enable_search"})
    return Entry("test/big", "Big", remote=remote, price=Price(1.0, 2.0, 0.1, "2026-07-02", "a list"), **more)


def other(url: str, ledger: Spend, on: Sequence[str] = (), **limits: float) -> Other:
    entry = far_entry(url)
    return Other(entry, lambda: Metered(RemoteEngine(entry, KEY, on), entry, Purse(limits, None, ledger)))


class Asked:
    """An approver that keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.calls, self.decisions = list(answers), [], []

    async def __call__(self, call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        self.calls.append(call)
        self.decisions.append(decision)
        return self.answers.pop(0) if self.answers else Answer("allow")


def world(tmp_path: Path, route: Route, *steps: Any, engine: ScriptedEngine | None = None) -> World:
    made = World(tmp_path, *steps)
    made.session.setting = replace(made.session.setting, route=route, engine=engine or made.engine)
    return made


def names(events: Sequence[e.Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def notices(events: Sequence[e.Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, e.Notice))


SAID = Reply([chunk(content="From afar."), chunk("stop", USAGE)])


def test_a_wish_shows_all_that_leaves_and_goes_on_with_the_same_history(tmp_path: Path, ledger: Spend) -> None:
    with endpoint(Reply([chunk(tool_calls=[called("look", "{}")]), chunk("tool_calls", USAGE)])) as far:
        route, ask = Route(other(far.url, ledger)), Asked()
        made = world(tmp_path, route, "Done here.")
        assert route.wish()
        events = made.run(ask, "My token is ghp_0123456789abcdefghijABCDEFGHIJ012345, look")
    shown = ask.calls[0].args
    assert shown["model"] == "test/big" and shown["to"].startswith("127.0.0.1:") and "you wished it" in shown["why"]
    assert "web search off" in shown["provider_tools"] and "look" in shown["tools"] and "a list, 2026-07-02" in shown["price"]
    sent = far.asked[0]
    for message in sent["messages"]:
        assert message["content"] in shown["messages"]
    assert "SECRET_" in shown["messages"] and "ghp_" not in str(sent) + shown["messages"] and "enable_search" not in sent
    # The next answer is the own model's again, with the far one's call and its result in the history.
    assert made.engine.asked[0][0][-2].calls[0].name == "look" and made.engine.asked[0][0][-1].role == "tool"
    done = [event for event in events if isinstance(event, e.MessageDone)]
    assert [event.by for event in done] == ["test/big", ""] and made.session.ended and made.session.ended.by == ("test/big",)
    assert "This step was answered by test/big." in notices(events)
    assert (ledger.lines()[0].input, ledger.lines()[0].output) == (100, 10)
    assert ledger.lines()[0].dollars == pytest.approx(0.00012)


def test_nobody_to_ask_means_that_nothing_leaves(tmp_path: Path, ledger: Spend) -> None:
    with endpoint() as far:
        route = Route(other(far.url, ledger), each=True)
        made = world(tmp_path, route, "Here.")
        made.run(nobody, "Hello")
        assert far.asked == [] and made.session.ended and made.session.ended.final == "Here."
        assert made.session.ended.denied == (f"net({far.url.split('/')[2]})",)


def test_a_rule_for_the_host_answers(tmp_path: Path, ledger: Spend) -> None:
    with endpoint(SAID) as far:
        made = world(tmp_path, Route(other(far.url, ledger), each=True))
        allow = rules.parse(f"net({far.url.split('/')[2]})")
        policy = made.session.setting.policy
        made.session.setting = replace(
            made.session.setting, policy=lambda *given: replace(now := policy(*given), rules=replace(now.rules, allow=(allow,)))
        )
        events = made.run(nobody, "Hello")
        assert made.session.ended and made.session.ended.final == "From afar." and "ApprovalAsked" not in names(events)
        assert "is asked: about" in notices(events)


def test_a_deny_rule_beats_the_setting_always(tmp_path: Path, ledger: Spend) -> None:
    with endpoint() as far:
        made = world(tmp_path, Route(other(far.url, ledger), "always", each=True), "Here.")
        policy, deny = made.session.setting.policy, rules.parse("net(*)")
        made.session.setting = replace(
            made.session.setting, policy=lambda *given: replace(now := policy(*given), rules=replace(now.rules, deny=(deny,)))
        )
        made.run(approve_all, "Hello")
        assert far.asked == [] and made.session.ended and made.session.ended.final == "Here."


class Unsure(ScriptedEngine):
    """Calls `look`, by `gap` nats likelier than `write`."""

    def __init__(self, gap: float, *steps: Any) -> None:
        super().__init__([call("look", path="a")], *steps)
        self._gap: float | None = gap

    async def stream(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> AsyncIterator[Any]:
        if options.logprobs is not None and self._gap is not None:
            yield Logprobs((token('{"name": "', -0.1), token("look", -1.0, ("write", -1.0 - self._gap)), token('",', -0.1)))
            self._gap = None
        async for delta in super().stream(messages, specs, options):
            yield delta


def token(text: str, logprob: float, *top: tuple[str, float]) -> TokenLogprob:
    return TokenLogprob(text.encode(), logprob, ((text.encode(), logprob), *((other.encode(), value) for other, value in top)))


@pytest.mark.parametrize(("gap", "asks"), [(0.2, 1), (5.0, 0)])
def test_an_unsure_call_is_asked_about(tmp_path: Path, ledger: Spend, gap: float, asks: int) -> None:
    with endpoint(SAID) as far:
        ask = Asked()
        made = world(tmp_path, Route(other(far.url, ledger)), engine=Unsure(gap, "Seen."))
        made.run(ask, "Hello")
        assert len(ask.calls) == len(far.asked) == asks
        assert made.session.ended and made.session.ended.final == ("From afar." if asks else "Seen.")
        if asks:
            assert "unsure which tool to call (look; margin 0.20" in ask.calls[0].args["why"] and made.tools.calls == []


def test_a_no_holds_for_the_turn_and_the_own_call_goes_on(tmp_path: Path, ledger: Spend) -> None:
    with endpoint() as far:
        ask = Asked(Answer("deny"))
        made = world(tmp_path, route := Route(other(far.url, ledger)), engine=Unsure(0.2, "Seen."))
        made.run(ask, "Hello")
        assert len(ask.calls) == 1 and far.asked == [] and [one.name for one in made.tools.calls] == ["look"]
        assert route.refused and made.engine.options == [] and made.session.ended and made.session.ended.final == "Seen."


def test_calls_that_fail_in_a_row_are_a_sign_too(tmp_path: Path, ledger: Spend) -> None:
    with endpoint(SAID, SAID) as far:
        ask, missing = Asked(), [call("nothing", path=name) for name in "ab"]
        made = world(tmp_path, Route(other(far.url, ledger)), [missing[0]], [missing[1]])
        made.run(ask, "Hello")
        assert "2 calls in a row have failed" in ask.calls[0].args["why"] and far.asked


def test_never_asks_by_itself(tmp_path: Path, ledger: Spend) -> None:
    with endpoint() as far:
        engine = Unsure(0.0, "Seen.")
        made = world(tmp_path, Route(other(far.url, ledger), "never"), engine=engine)
        made.run(approve_all, "Hello")
        assert far.asked == [] and engine.options[0].logprobs is None


def test_a_spent_budget_keeps_the_step_here(tmp_path: Path, ledger: Spend) -> None:
    with endpoint() as far:
        made = world(tmp_path, Route(other(far.url, ledger, day=0.0001), each=True), "Here.")
        events = made.run(approve_all, "Hello")
        assert far.asked == [] and "The budget is spent" in notices(events) and ledger.lines() == []
        assert made.session.ended and made.session.ended.final == "Here."


def test_tools_of_the_provider_are_shown_where_they_are_on(tmp_path: Path, ledger: Spend) -> None:
    with endpoint(SAID) as far:
        ask = Asked()
        world(tmp_path, Route(other(far.url, ledger, ["web_search", "code_interpreter"]), each=True)).run(ask, "Hello")
        assert "web search ON" in ask.calls[0].args["provider_tools"] and far.asked[0]["enable_search"] is True


# ---------------------------------------------------------------- spares


def near(*steps: Any) -> Other:
    return Other(Entry("near", "Near"), lambda: ScriptedEngine(*steps))


def test_from_an_endpoint_that_is_down_to_this_machine_and_said(tmp_path: Path) -> None:
    engine = ScriptedEngine(EndpointDown("far.example refuses (503)."), "never asked again so soon")
    made = world(tmp_path, Route(spares=(near("One.", "Two."),), away=True), engine=engine)
    events = made.run(nobody, "Hello")
    assert made.session.ended and made.session.ended.final == "One." and made.session.ended.by == ("near",)
    assert "far.example refuses (503). Going on with near." in notices(events)
    made.run(nobody, "Again")
    assert made.session.ended.final == "Two." and len(engine.asked) == 1


def test_never_silently_from_this_machine_to_another(tmp_path: Path, ledger: Spend) -> None:
    with endpoint(SAID) as far:
        broken, ask = EngineError("The engine died.", ""), Asked()
        made = world(tmp_path, Route(spares=(other(far.url, ledger),)), engine=ScriptedEngine(broken))
        made.run(nobody, "Hello")
        assert far.asked == [] and made.session.ended and made.session.ended.status == "failed"
        made = world(tmp_path, Route(spares=(other(far.url, ledger),)), engine=ScriptedEngine(broken))
        made.run(ask, "Hello")
        assert len(ask.calls) == 1 and "The engine died" in ask.calls[0].args["why"]
        assert made.session.ended and made.session.ended.final == "From afar."


def test_an_endpoint_that_broke_off_in_the_middle_is_not_stood_in_for(tmp_path: Path) -> None:
    class Half(ScriptedEngine):
        async def stream(self, messages: Any, specs: Any, options: Any) -> AsyncIterator[Any]:
            yield e.TextDelta("Half an")
            raise EndpointDown("It broke off.")

    made = world(tmp_path, Route(spares=(near("One."),), away=True), engine=Half())
    made.run(nobody, "Hello")
    assert made.session.ended and made.session.ended.status == "failed"


def test_a_spare_that_cannot_be_made_is_said_and_the_next_tried(tmp_path: Path) -> None:
    def no_key() -> Any:
        raise ModelError("x needs a key.", "")

    spares = (Other(Entry("x", "X"), no_key), near("One."))
    made = world(tmp_path, Route(spares=spares, away=True), engine=ScriptedEngine(EndpointDown("Down.")))
    events = made.run(nobody, "Hello")
    assert "x cannot stand in: x needs a key." in notices(events) and made.session.ended and made.session.ended.final == "One."


# ---------------------------------------------------------------- the margin


def test_the_margin_of_a_name() -> None:
    known = ["read_file", "read_mail", "list_files", "read"]
    opening = [token('{"', -0.0), token("name", -0.0), token('": "', -0.0)]
    parts = [*opening, token("read", -0.1, ("list", -3.1)), token("_file", -0.2, ("_mail", -0.9), ('",', -5.0)), token('",', -0.0)]
    assert margin(parts, "read_file", known) == pytest.approx(0.7)
    # What is no other tool's name is no choice, and what stands in a text before is no call.
    prose = [token("Use `", -0.0), token("read_file", -2.0, ("list_files", -2.1)), token("`: ", -0.0)]
    alone = [*prose, *opening, token("read", -0.1, ("REA", -0.2)), token("_file", -0.1, ("_text", -0.3))]
    assert margin(alone, "read_file", known) == math.inf
    tagged = [token("<function", -0.0), token("=re", -0.1, ("=li", -0.4)), token("ad_file", -0.0)]
    assert margin(tagged, "read_file", known) == pytest.approx(0.3)
    assert margin(opening, "read_file", known) is None


def test_a_margin_where_a_name_is_the_beginning_of_another() -> None:
    said = [token('"', -0.0), token("read", -0.0), token('",', -0.3, ("_file", -1.0))]
    assert margin(said, "read", ["read", "read_file"]) == pytest.approx(0.7)


