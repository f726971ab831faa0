"""Reading answers of GLM, Kimi and MiniMax: whole, in pieces, damaged, and what they write themselves."""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

import pytest

from localagent.engine.base import CallOpened, Parsed, Piece, Said, Template, Thought, Untrusted
from localagent.engine.dialects import by_name, detect
from localagent.values import Message, Text, ToolCall, ToolSpec
from tests.rounds import rounds

FUZZ_ROUNDS = int(os.environ.get("LOCALAGENT_FUZZ_ROUNDS", rounds(300)))
FUZZ_SEED = int(os.environ.get("LOCALAGENT_FUZZ_SEED", "1"))
DIALECTS = ("glm", "glm46", "kimi", "kimi-thinking", "kimi25", "minimax")


def spec(name: str, **kinds: Any) -> ToolSpec:
    properties = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in kinds.items()}
    return ToolSpec(name, "", {"type": "object", "properties": properties, "required": list(kinds)[:1]})


SPECS = (
    spec("list_files", path="string"),
    spec("write_file", path="string", content="string"),
    spec("set", on="boolean", n="integer", part="number", names="array", extra={"type": ["integer", "null"]}),
    spec("pick", kind={"enum": ["a b", "3", 3]}, either={"anyOf": [{"type": "string"}, {"type": "object"}]}),
    spec("now"),
)
JSON = '{"name": "list_files", "arguments": {"path": "."}}'
GLM = "<tool_call>list_files{0}<arg_key>path</arg_key>{0}<arg_value>.</arg_value>{0}</tool_call>"
KIMI = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.list_files:0<|tool_call_argument_begin|>"
    '{"path": "."}<|tool_call_end|><|tool_calls_section_end|>'
)
INVOKE = '<invoke name="list_files">\n<parameter name="path">.</parameter>\n</invoke>\n'
MINIMAX = f"<minimax:tool_call>\n{INVOKE}</minimax:tool_call>"


def read(dialect: str, text: str, step: int = 10**6, thinking: bool = False) -> tuple[list[Piece], Parsed]:
    parser = by_name(dialect).parser(SPECS, thinking=thinking)
    pieces: list[Piece] = []
    for at in range(0, len(text), step):
        pieces += parser.feed(text[at : at + step])
    return pieces, parser.finish()


def calls(parsed: Parsed) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, dict(call.args)) for call in parsed.calls]


# ---------------------------------------------------------------- one call in many spellings

FORMS = [
    ("glm", GLM.format("")),
    ("glm", GLM.format("\n")),
    ("glm46", GLM.format("\n")),
    ("glm46", GLM.format("")),
    ("kimi", KIMI),
    ("kimi", KIMI.replace('{"path": "."}', '{\n  "path": "."\n}')),
    ("kimi25", KIMI.replace("><", ">\n<")),
    ("minimax", MINIMAX),
    ("minimax", MINIMAX.replace("\n", "")),
]
MENDED = [
    ("glm", GLM.format("").removeprefix("<tool_call>")),
    ("glm46", GLM.format("\n").removeprefix("<tool_call>")),
    ("glm", GLM.format("").removesuffix("</tool_call>")),
    ("glm", GLM.format("").replace("</arg_key>", "")),
    ("glm", GLM.format("").replace("<arg_value>", "")),
    ("glm", f"<tool_call>{JSON}</tool_call>"),
    ("glm46", '<tool_call>list_files\n{"path": ".",}\n</tool_call>'),
    ("glm", f"<tool_call>{JSON.replace(chr(34), chr(39))}"),
    ("kimi", KIMI.replace("<|tool_calls_section_begin|>", "")),
    ("kimi", KIMI.replace("<|tool_calls_section_end|>", "")),
    ("kimi", KIMI.replace("<|tool_call_end|><|tool_calls_section_end|>", "")),
    ("kimi", KIMI.replace("<|tool_call_begin|>", "")),
    ("kimi", KIMI.replace("<|tool_call_argument_begin|>", "")),
    ("kimi", KIMI.replace("functions.list_files:0", "list_files")),
    ("kimi", KIMI.replace("functions.list_files:0", "list_files_0")),
    ("kimi", KIMI.replace('"."}', '".",}')),
    ("kimi", KIMI.replace('"}', '"')),
    ("minimax", INVOKE),
    ("minimax", f"<minimax:tool_call>\n{INVOKE}"),
    ("minimax", MINIMAX.replace("</invoke>\n", "")),
    ("minimax", MINIMAX.replace(">.<", ">\n.\n<")),
    ("minimax", f"<minimax:tool_call>\n{JSON}\n</minimax:tool_call>"),
    ("minimax", '<minimax:tool_call><invoke name="list_files">{"path": "."}</invoke></minimax:tool_call>'),
]


@pytest.mark.parametrize("step", [1, 3, 10**6])
@pytest.mark.parametrize(("dialect", "text"), [*FORMS, *MENDED])
def test_every_spelling_of_one_call(dialect: str, text: str, step: int) -> None:
    pieces, parsed = read(dialect, f"I look.\n\n{text}", step)
    assert calls(parsed) == [("list_files", {"path": "."})]
    assert parsed.text == "I look." and not parsed.cut
    assert bool(parsed.repairs) == ((dialect, text) in MENDED)
    assert pieces.count(CallOpened("list_files")) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_json_in_other_marks_is_read_too(dialect: str) -> None:
    for text in (f"```json\n{JSON}\n```", JSON, f"<tool_call>\n{JSON}\n</tool_call>"):
        assert calls(read(dialect, text)[1]) == [("list_files", {"path": "."})]


@pytest.mark.parametrize(
    ("dialect", "text"),
    [("glm", "<tool_call>list_files<arg_key>"), ("kimi", KIMI[: KIMI.index("{") + 3]), ("minimax", MINIMAX[:50])],
)
def test_the_name_is_known_before_the_arguments_are(dialect: str, text: str) -> None:
    parser = by_name(dialect).parser(SPECS, thinking=False)
    assert parser.feed(f"Ah. {text}") == [Said("Ah."), CallOpened("list_files")]


@pytest.mark.parametrize("step", [1, 10**6])
@pytest.mark.parametrize(("dialect", "text"), [("glm", GLM.format("")), ("kimi25", KIMI), ("minimax", MINIMAX)])
def test_several_calls_words_around_and_thinking(dialect: str, text: str, step: int) -> None:
    pieces, parsed = read(dialect, f"Hm <b>.\n</think>\n\nSo:\n{text}\n{text}\nDone.", step, thinking=True)
    assert (parsed.thinking, parsed.text, len(parsed.calls)) == ("Hm <b>.\n", "So:\nDone.", 2)
    assert "".join(p.text for p in pieces if isinstance(p, Thought)) == parsed.thinking
    _, inside = read(dialect, f"I call {text}", step, thinking=True)
    assert (inside.thinking, inside.text, len(inside.calls)) == ("I call ", "", 1)
    assert "a call inside the thinking" in inside.repairs


@pytest.mark.parametrize("dialect", ["glm46", "kimi-thinking"])
def test_thinking_that_the_model_opens_itself(dialect: str) -> None:
    _, parsed = read(dialect, "\n<think>Hm.</think>\nYes.", 1, thinking=True)
    assert (parsed.thinking, parsed.text) == ("Hm.", "Yes.")


TYPED = {"on": "True", "n": "3", "part": "1", "names": '["a", "b",]', "extra": "None"}


def test_values_get_their_types_and_strings_stay_raw() -> None:
    glm = "".join(f"<arg_key>{k}</arg_key><arg_value>{v}</arg_value>" for k, v in TYPED.items())
    mini = "".join(f'<parameter name="{k}">{v}</parameter>\n' for k, v in TYPED.items())
    expected = [("set", {"on": True, "n": 3, "part": 1, "names": ["a", "b"], "extra": None})]
    for dialect, text in (
        ("glm", f"<tool_call>set{glm}</tool_call>"),
        ("minimax", f'<invoke name="set">{mini}</invoke>'),
    ):
        parsed = read(dialect, text, 2)[1]
        assert calls(parsed) == expected
        assert {"True is not JSON", "None is not JSON", "trailing comma"} <= set(parsed.repairs)
    pick = "<tool_call>pick<arg_key>kind</arg_key><arg_value>{}</arg_value><arg_key>either</arg_key><arg_value>{}"
    for kind, either, args in (
        ("a b", '{"a": 1}', {"kind": "a b", "either": {"a": 1}}),
        ("3", '"x"', {"kind": 3, "either": '"x"'}),
        (" a b\n", "\n[1]\n", {"kind": " a b\n", "either": "\n[1]\n"}),
    ):
        assert calls(read("glm", pick.format(kind, either) + "</arg_value></tool_call>")[1]) == [("pick", args)]


@pytest.mark.parametrize(
    ("dialect", "text", "args"),
    [
        ("glm", "<tool_call>write_file<arg_key>path</arg_key><arg_value>a</arg_value><arg_key>content</arg_key>"
                "<arg_value>half", {"path": "a"}),
        ("glm", "<tool_call>write_file<arg_key>path</arg_key><arg_value>a</arg_value><arg_key>cont", {"path": "a"}),
        ("glm", "<tool_call>write_file<arg_key>path</arg_key><arg_value>a</arg_value><arg_k", {"path": "a"}),
        ("glm", '<tool_call>write_file\n{"path": "a', {}),
        ("glm", "<tool_call>write_fi", {}),
        ("kimi", KIMI.split(".")[0] + '.write_file:1<|tool_call_argument_begin|>{"path": "a', {"path": "a"}),
        ("kimi", KIMI.split(".")[0] + ".write_file:1<|tool_call_arg", {}),
        ("minimax", '<minimax:tool_call>\n<invoke name="write_file">\n<parameter name="path">a</par', {}),
        ("minimax", '<invoke name="write_file">\n<parameter name="path">a</parameter>\n<parameter na', {"path": "a"}),
    ],
)  # fmt: skip
def test_a_call_that_does_not_end_is_the_last_one_and_marked(dialect: str, text: str, args: dict[str, Any]) -> None:
    for step in (1, 10**6):
        _, parsed = read(dialect, f"{dict(FORMS)[dialect]}\n{text}", step)
        assert parsed.cut and "was cut" in parsed.repairs[-1]
        assert (
            parsed.calls[0].name == "list_files"
            and "write_file".startswith(parsed.calls[1].name)
            and dict(parsed.calls[1].args) == args
        )


def test_the_end_of_a_value_may_stand_inside_its_json() -> None:
    for dialect, end, text in (
        ("glm", "</arg_value></tool_call>", "<tool_call>set<arg_key>names</arg_key><arg_value>{}"),
        ("minimax", "</parameter></invoke>", '<invoke name="set"><parameter name="names">{}'),
    ):
        for step in (1, 10**6):
            names = [f"a{end}", 'b"', "c"]
            assert calls(read(dialect, text.format(json.dumps(names)) + end, step)[1]) == [("set", {"names": names})]


def test_a_lost_end_does_not_swallow_what_follows() -> None:
    broken = "<tool_call>write_file<arg_key>path</arg_key><arg_value>a</tool_call>\n"
    _, parsed = read("glm", broken + f"```json\n{JSON}\n```", 1)
    assert calls(parsed) == [("list_files", {"path": "."})] and "the call of write_file was cut" in parsed.repairs
    _, parsed = read("kimi", KIMI.replace('."}', ".}") + "Done.", 1)
    assert parsed.cut and parsed.text == "Done."


@pytest.mark.parametrize("step", [1, 10**6])
@pytest.mark.parametrize(
    "text",
    [
        "Use `x < y` here.",
        "see <b>bold</b> and <tool",
        "list_files is a tool\nlist_files\n",
        "<invoke>",
        "functions.x:0",
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_no_call_is_text(dialect: str, text: str, step: int) -> None:
    assert read(dialect, text, step)[1] == Parsed(text.strip(), "", ())


def test_words_in_tags_stay_words() -> None:
    assert read("glm", "The tag <tool_call> opens a call.", 3)[1] == Parsed("The tag opens a call.", "", ())
    assert calls(read("glm", "A <tool_call>is it\nreally</tool_call> so")[1]) == []
    assert calls(read("kimi", "<|tool_calls_section_begin|>Sorry.<|tool_calls_section_end|>")[1]) == []
    assert read("minimax", "<minimax:tool_call>none</minimax:tool_call>")[1].text == "none"


# ---------------------------------------------------------------- what is rendered is read again

NASTY = [
    "",
    " ",
    "\n",
    "a\n\nb\n",
    "</arg_valu",
    "<tool_call>now",
    '"q" \\ {',
    "</tool_call></invoke>",
    "<arg_key>x</arg_key>",
]
NASTY += ["<|tool_call_end|>", '<parameter name="content">', "null", "3", "🙂 ü", "```json\n", "<think>", "</parameter"]


def _value(rng: random.Random, kind: str) -> Any:
    match kind:
        case "string":
            return "".join(rng.choice(NASTY) for _ in range(rng.randrange(4)))
        case "boolean":
            return rng.random() < 0.5
        case "integer":
            return rng.randrange(-9, 9)
        case "number":
            return rng.choice([0.5, -1e20, 3])
        case _:
            return [_value(rng, rng.choice(["string", "integer"])) for _ in range(rng.randrange(3))]


def _call(rng: random.Random) -> ToolCall:
    if rng.random() < 0.6:
        return ToolCall("x", "write_file", {"path": _value(rng, "string"), "content": _value(rng, "string")})
    kinds = {"on": "boolean", "n": "integer", "part": "number", "names": "array"}
    return ToolCall(
        "x", "set", {key: _value(rng, kind) for key, kind in kinds.items() if rng.random() < 0.7 or key == "on"}
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rendered_calls_are_read_as_they_were(dialect: str) -> None:
    rng = random.Random(FUZZ_SEED)
    for _ in range(max(60, FUZZ_ROUNDS // 5)):
        made = tuple(_call(rng) for _ in range(rng.randrange(1, 4)))
        history = [Message("user", (Text("Go"),)), Message("assistant", (Text("So."),), "", made)]
        one = by_name(dialect)
        whole = one.render([*history, Message("user", (Text("?"),))], SPECS, thinking=True)
        text = "".join(s.text for s in whole if isinstance(s, (Template, Untrusted)))
        text = text[text.index("So.") : text.rindex("<|user|>" if "glm" in dialect else "?")]
        _, parsed = read(dialect, text, rng.randrange(1, 50))
        wanted = [(call.name, dict(call.args)) for call in made]
        if not any(_wrapped(v) for _, args in wanted for v in args.values()):
            assert calls(parsed) == wanted, text
            assert not parsed.cut and not parsed.repairs


def _wrapped(value: Any) -> bool:
    return isinstance(value, str) and value == f"\n{value.strip(chr(10))}\n"


# ---------------------------------------------------------------- storms

SEEDS = {
    "glm": [GLM.format(""), f"Hm.</think>{GLM.format('')}"],
    "glm46": [GLM.format("\n"), f"\n<think>Hm.</think>\n{GLM.format(chr(10))}"],
    "kimi": [KIMI],
    "kimi-thinking": [KIMI, f"<think>Hm</think>{KIMI}"],
    "kimi25": [KIMI, f"Hm</think>{KIMI}"],
    "minimax": [MINIMAX, f"Hm.\n</think>\n\n{MINIMAX}", INVOKE],
}
SHARED = [text for _, text in MENDED] + [f"```json\n{JSON}\n```", JSON, "I look.\n\nThen more."]
SHARDS = ["<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "list_files\n"]
SHARDS += ["<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>"]
SHARDS += ["<|tool_call_argument_begin|>", "functions.set:3", "<minimax:tool_call>", "</minimax:tool_call>", "<invoke "]
SHARDS += ['<invoke name="set">', "</invoke>", '<parameter name="n">', "<parameter name=x>", "</parameter>", "</think>"]
SHARDS += [
    "<think>",
    "```",
    "json\n",
    "\n",
    " ",
    "<",
    ">",
    '"',
    "'",
    "{",
    "}",
    "[",
    "\\",
    "🙂",
    ",",
    "</",
    "<|",
    "\n\n",
]


def mutated(rng: random.Random, seeds: list[str]) -> str:
    text = "\n".join(rng.choice(seeds if rng.random() < 0.7 else SHARED) for _ in range(rng.randrange(1, 4)))
    for _ in range(rng.randrange(9)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(5):
            case 0 | 1:
                text = text[:at] + rng.choice(SHARDS) + text[at:]
            case 2:
                text = text[:at] + text[at + rng.randrange(16) :]
            case 3:
                text = text[:at] if rng.random() < 0.4 else text[at:]
            case _:
                text = text[:at] + text[at // 2 : at // 2 + 40] + text[at:]
    return text


def shattered(rng: random.Random) -> str:
    return "".join(rng.choice(SHARDS) for _ in range(rng.randrange(40)))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_any_text_in_any_pieces_gives_the_same_answer(dialect: str) -> None:
    rng = random.Random(FUZZ_SEED)
    for _ in range(FUZZ_ROUNDS):
        text, thinking = mutated(rng, SEEDS[dialect]) if rng.random() < 0.8 else shattered(rng), rng.random() < 0.3
        whole = read(dialect, text, thinking=thinking)[1]
        pieces, parsed = read(dialect, text, rng.randrange(1, 9), thinking=thinking)
        assert parsed == whole, text
        streamed = "".join(p.text for p in pieces if isinstance(p, Said))
        assert parsed.text.startswith(streamed), text


LONG = [
    ("glm", "<tool_call>" * 4_000),
    ("glm", "<tool_call>list_files<arg_key>path</arg_key><arg_value>" + "</arg_value>x" * 4_000),
    ("glm", "<tool_call>list_files" + "<arg_key>path</arg_key><arg_value>x</arg_value>" * 2_000),
    ("glm", "list_files\n" * 10_000),
    ("glm", GLM.format("") * 1_000),
    ("glm", "<tool_call>list_files\n{" + '"a": {' * 10_000),
    ("glm46", "<tool_call>" + "x" * 50_000),
    ("kimi", "<|tool_calls_section_begin|>" * 2_500),
    ("kimi", '<|tool_call_begin|>functions.now:0{"a": "<|tool_call_end|>' * 1_500),
    ("kimi", KIMI * 750),
    ("kimi", "<|tool_call_begin|>" + "x" * 50_000),
    ("kimi", "<|" * 25_000),
    ("minimax", "<invoke name=" * 4_000),
    ("minimax", INVOKE * 1_500),
    ("minimax", '<invoke name="now"><parameter name="a">' + "</parameter>x" * 4_000),
    ("minimax", "<minimax:tool_call>" + "<" * 30_000),
]


@pytest.mark.parametrize(("dialect", "text"), LONG, ids=range(len(LONG)))
def test_long_answers_take_linear_time(dialect: str, text: str) -> None:
    began = time.process_time()
    read(dialect, text, 16)
    read(dialect, text)
    assert time.process_time() - began < 4


# ---------------------------------------------------------------- templates


def test_detection_by_the_marks_of_a_template() -> None:
    glm = "[gMASK]<sop><|user|> <tool_call> <arg_key> enable_thinking arguments "
    kimi = "<|im_middle|> <|tool_calls_section_begin|> "
    assert detect(glm) == "glm" and detect(glm + "'/nothink'") == "glm46"
    assert detect(kimi) == "kimi" and detect(kimi + "<think>") == "kimi-thinking"
    assert detect(kimi + "<think> thinking is defined") == "kimi25"
    assert detect("]~b]ai <minimax:tool_call>") == "minimax"
    assert detect("<tool_call> <arg_key>") is None
