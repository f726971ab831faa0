"""Messages in every form that clients send them, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from localagent.serve import history
from localagent.serve.refusals import Refused
from localagent.values import Message

USER = {"role": "user", "content": "Hello"}


def called(*calls: tuple[Any, str], **more: Any) -> dict[str, Any]:
    """An assistant's message with calls (id, name)."""
    made = [{"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}} for id, name in calls]
    return {"role": "assistant", "content": None, "tool_calls": made, **more}


def result(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": text, **more}


def lines(*messages: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [_line(message) for message in history.read(list(messages))]


def _line(message: Message) -> tuple[Any, ...]:
    if message.result:
        return ("tool", message.result.call_id, message.result.text)
    return (message.role, message.text, *((call.id, call.name, dict(call.args)) for call in message.calls))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hello", "Hello"),
        (None, ""),
        ([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], "Hello"),
        ([{"type": "input_text", "text": "Hello"}], "Hello"),
        ({"type": "text", "text": "Hello"}, "Hello"),
        (["Hel", "lo"], "Hello"),
        ([], ""),
        ("half a pair \ud83d", "half a pair \ud83d"),
    ],
)
@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
def test_content_in_every_form(role: str, content: Any, text: str) -> None:
    found = history.read([{"role": role, "content": content}, USER])
    said = [message.text for message in found[:-1] if message.role == {"developer": "system"}.get(role, role)]
    assert said == ([text] if text or role in ("user", "assistant") else [])


def test_the_system_messages_at_the_start_are_one_and_a_later_one_is_the_hosts() -> None:
    assert lines(
        {"role": "system", "content": "You help."},
        {"role": "developer", "content": "Be brief."},
        USER,
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Again"},
    ) == [("system", "You help.\n\nBe brief."), ("user", "Hello"), ("host", "Be kind."), ("user", "Again")]


def test_results_find_their_calls_by_ids_of_any_form_and_stand_in_the_order_of_the_calls() -> None:
    ids: list[Any] = ["chatcmpl-tool-9f", 17, "x y/\u00e9"]
    said = called(*zip(ids, "abc", strict=True))
    results = [result(f"of {id}", tool_call_id=id, name="whatever") for id in reversed(ids)]
    found = lines(USER, said, *results)
    assert found[1] == ("assistant", "", *((f"call_{n}", name, {}) for n, name in enumerate("abc", 1)))
    assert found[2:] == [("tool", f"call_{n}", f"of {id}") for n, id in enumerate(ids, 1)]


def test_ids_that_repeat_from_turn_to_turn() -> None:
    found = lines(
        USER, called(("call_0", "a")), result("one", tool_call_id="call_0"),
        called(("call_0", "a"), ("call_0", "a")), result("two", tool_call_id="call_0"), result("three", tool_call_id="call_0"),
    )  # fmt: skip
    assert [line for line in found if line[0] == "tool"] == [
        ("tool", "call_1", "one"), ("tool", "call_2", "two"), ("tool", "call_3", "three"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([result("B", name="b"), result("A", name="a")], ["A", "B"]),
        ([result("A"), result("B")], ["A", "B"]),
        ([result("A", tool_call_id="lost"), result("B", tool_call_id="gone")], ["A", "B"]),
        ([result("B", tool_call_id="2")], ["B"]),
    ],
    ids=["by name", "by order", "unknown ids", "one missing"],
)
def test_results_without_a_usable_id(results: list[dict[str, Any]], expected: list[str]) -> None:
    found = lines(USER, called(("1", "a"), ("2", "b")), *results)
    assert [line[2] for line in found if line[0] == "tool"] == expected


def test_results_without_any_call() -> None:
    assert lines(result("alone", tool_call_id="x"), USER, result("late")) == [
        ("tool", "unknown", "alone"), ("user", "Hello"), ("tool", "unknown", "late"),
    ]  # fmt: skip


def test_a_second_result_of_one_call_is_no_result_of_another() -> None:
    first, again = result("first", tool_call_id="call_2"), result("again", tool_call_id="call_2")
    found = lines(USER, called(("call_2", "a")), first, called(("call_1", "b")), USER, again)
    assert [line for line in found if line[0] == "tool"] == [("tool", "call_1", "first"), ("tool", "unknown", "again")]


def test_a_long_history_of_results_takes_linear_time() -> None:
    lonely = [message for _ in range(6_000) for message in (USER, result("", tool_call_id="gone"))]
    answered = called(*((str(n), "a") for n in range(6_000)))
    backwards = [result("", tool_call_id=str(n)) for n in reversed(range(6_000))]
    began = time.process_time()
    assert len(history.read([*lonely, answered, *backwards])) == 18_001
    assert time.process_time() - began < 10


@pytest.mark.parametrize("messages", [[], [{"role": "system", "content": ""}], [{"role": "developer", "content": []}]])
def test_a_history_that_says_nothing_is_refused(messages: list[Any]) -> None:
    with pytest.raises(Refused):
        history.read(messages)


def test_the_old_form_of_calls() -> None:
    assert lines(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "a", "arguments": '{"x": 1}'}},
        {"role": "function", "name": "a", "content": "done"},
    )[1:] == [("assistant", "", ("call_1", "a", {"x": 1})), ("tool", "call_1", "done")]


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ('{"x": 1}', {"x": 1}),
        ({"x": 1}, {"x": 1}),
        ('"{\\"x\\": 1}"', {"x": 1}),
        ("", {}),
        (" ", {}),
        (None, {}),
        ("{'x': True,}", {"x": True}),
    ],
)
def test_arguments_in_every_form(arguments: Any, read: dict[str, Any]) -> None:
    message = {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": arguments}}]}
    assert lines(USER, message)[1] == ("assistant", "", ("call_1", "a", read))


def test_thoughts_come_back() -> None:
    said = history.read([USER, {"role": "assistant", "content": "4", "reasoning_content": "2 + 2"}])[1]
    assert (said.text, said.thinking) == ("4", "2 + 2")


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("Hello", "messages"),
        ({"role": "user"}, "messages"),
        (["Hello"], "messages[0]"),
        ([{"content": "Hello"}], "messages[0].role"),
        ([{"role": "robot", "content": "Hello"}], "messages[0].role"),
        ([{"role": ["user"], "content": "Hello"}], "messages[0].role"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": [5]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "smell"}]}], "messages[0].content[0].type"),
        ([USER, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages[1].content[0].image_url.url"),
        ([{"role": "assistant", "tool_calls": "a"}], "messages[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": [5]}], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "tool_calls": [{"id": "x"}]}], "messages[0].tool_calls[0].function"),
        ([called((1, None))], "messages[0].tool_calls[0].function.name"),  # type: ignore[arg-type]
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "[1]"}}]}],
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": 7}}]}],
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_what_is_refused_and_which_field_is_named(messages: Any, param: str) -> None:
    with pytest.raises(Refused) as refused:
        history.read(messages)
    assert (refused.value.status, refused.value.param) == (400, param)
