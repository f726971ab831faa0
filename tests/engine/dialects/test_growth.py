"""Random conversations with every dialect: within a turn a prompt is the last one, the answer's own ids, and more."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from localagent.engine.base import Segment, Template, Untrusted
from localagent.engine.dialects import by_name, names
from localagent.values import Generated, Message, Text, ToolResult, ToolSpec

SPECS = (
    ToolSpec(
        "run",
        "Runs.",
        {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
        ("run",),
    ),
)
_HERMES = '<tool_call>\n{"name": "run", "arguments": {"command": "ls"}}\n</tool_call>'
_XML = "<tool_call>\n<function=run>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>"
_KIMI = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.run:0<|tool_call_argument_begin|>"
    '{"command": "ls"}<|tool_call_end|><|tool_calls_section_end|>'
)
CALLS = {
    "hermes": _HERMES,
    "qwen3": _HERMES,
    "coder": "```bash\nls\n```",
    "qwen35": _XML,
    "qwen3-coder": _XML,
    "glm": "<tool_call>run<arg_key>command</arg_key><arg_value>ls</arg_value></tool_call>",
    "glm46": "<tool_call>run\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>",
    "kimi": _KIMI,
    "kimi-thinking": _KIMI,
    "kimi25": _KIMI,
    "minimax": (
        '\n<minimax:tool_call>\n<invoke name="run">\n<parameter name="command">ls</parameter>\n</invoke>\n'
        "</minimax:tool_call>"
    ),
    "llama3": '{"name": "run", "parameters": {"command": "ls"}}',
    "mistral": '[TOOL_CALLS]run[CALL_ID]abcdefghi[ARGS]{"command": "ls"}',
    "ministral": '[TOOL_CALLS]run[ARGS]{"command": "ls"}',
    "harmony": '<|channel|>commentary to=functions.run <|constrain|>json<|message|>{"command": "ls"}',
    "gemma": '<|tool_call>call:run{command:<|"|>ls<|"|>}<tool_call|>',
}
THOUGHTS = {
    "harmony": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
    "gemma": ("<|channel>thought\n", "\n<channel|>"),
    "ministral": ("[THINK]", "[/THINK]"),
    "mistral": ("[THINK]", "[/THINK]"),
}
OPEN = ("qwen35", "glm", "kimi25", "minimax")


def flat(segments: list[Segment]) -> list[object]:
    units: list[object] = []
    for segment in segments:
        if isinstance(segment, Generated):
            units += segment.ids
        elif isinstance(segment, (Template, Untrusted)):
            units += [(type(segment), char) for char in segment.text]
    return units


def answer(dice: random.Random, dialect: str, thinking: bool) -> str:
    """Words or a call, mostly with thoughts where they are wanted and sometimes where they are not."""
    opening, closing = THOUGHTS.get(dialect, ("" if thinking and dialect in OPEN else "<think>", "</think>"))
    thought = opening + dice.choice(["", "so", "so\nit is"]) + closing
    said = CALLS[dialect] if dice.random() < 0.6 else dice.choice(["", "Done.", "\n\nWell"])
    return (thought if dice.random() < (0.8 if thinking else 0.2) else "") + said


@pytest.mark.parametrize("dialect", names())
def test_within_a_turn_the_prompt_only_grows(dialect: str) -> None:
    form = by_name(dialect)
    for seed in range(16):
        dice = random.Random(f"{dialect}{seed}")
        thinking, history = dice.random() < 0.5, [Message("system", (Text("Be brief."),))]
        for _ in range(2):
            history.append(Message("user", (Text("Go"),)))
            for _ in range(dice.randint(1, 4)):
                before = flat(form.render(history, SPECS, thinking=thinking))
                text = answer(dice, dialect, thinking)
                parser = form.parser(SPECS, thinking=thinking)
                parser.feed(text)
                parsed = parser.finish()
                calls = tuple(replace(call, id=f"c{len(history)}") for call in parsed.calls)
                ids = tuple(map(ord, text))
                parts = (Text(parsed.text),) if parsed.text else ()
                history.append(Message("assistant", parts, parsed.thinking, calls, generated=Generated("m", ids)))
                history += [Message("tool", result=ToolResult(call.id, (Text("out\n"),))) for call in calls]
                if not calls:
                    history.append(Message("host", (Text("Is all of it done?"),)))
                if dice.random() < 0.3:
                    history.append(Message("steer", (Text("Only the new ones."),)))
                now = flat(form.render(history, SPECS, thinking=thinking))
                assert now[: len(before) + len(ids)] == [*before, *ids], (seed, text)


def test_the_call_of_each_dialect_is_read() -> None:
    for dialect in names():
        parser = by_name(dialect).parser(SPECS, thinking=False)
        parser.feed(CALLS[dialect])
        (call,) = parser.finish().calls
        assert (call.name, dict(call.args)) == ("run", {"command": "ls"}), dialect


def test_only_qwen35_is_shown_results_without_outer_white_space() -> None:
    history = [Message("user", (Text("Go"),)), Message("tool", result=ToolResult("1", (Text("\n  a\nb \n"),)))]
    for dialect, shown in (("qwen35", "a\nb"), ("qwen3", "\n  a\nb \n"), ("hermes", "\n  a\nb \n")):
        assert Untrusted(f"{shown}\n") in by_name(dialect).render(history, (), thinking=False)
