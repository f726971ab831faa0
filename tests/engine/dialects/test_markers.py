"""Reading answers of Llama, Mistral, gpt-oss and Gemma: whole, in pieces, damaged, cut."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest

from localagent.engine.base import CallOpened, Parsed, Piece, Said, Thought
from localagent.engine.dialects import by_name, detect
from localagent.values import ToolSpec
from tests.rounds import rounds

FUZZ_ROUNDS = int(os.environ.get("LOCALAGENT_FUZZ_ROUNDS", rounds(200)))
FUZZ_SEED = int(os.environ.get("LOCALAGENT_FUZZ_SEED", "1"))
DIALECTS = ("llama3", "mistral", "ministral", "harmony", "gemma")


def spec(name: str, **kinds: Any) -> ToolSpec:
    properties = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in kinds.items()}
    return ToolSpec(name, "", {"type": "object", "properties": properties, "required": list(kinds)[:1]})


SPECS = (
    spec("list_files", path="string"),
    spec("write_file", path="string", content="string"),
    spec("set", on="boolean", n="integer", names="array", extra={"type": ["integer", "null"]}),
    spec("now"),
)


def read(dialect: str, text: str, step: int = 10**6, thinking: bool = False) -> tuple[list[Piece], Parsed]:
    parser = by_name(dialect).parser(SPECS, thinking=thinking)
    pieces: list[Piece] = []
    for at in range(0, len(text), step):
        pieces += parser.feed(text[at : at + step])
    return pieces, parser.finish()


def calls(parsed: Parsed) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, dict(call.args)) for call in parsed.calls]


def told(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Said))


LIST = '{"name": "list_files", "parameters": {"path": "."}}'
ARGUED = LIST.replace("parameters", "arguments")
TO = "<|channel|>commentary to=functions."
CHANNEL = TO + 'list_files <|constrain|>json<|message|>{"path": "."}'
GEMMA = '<|tool_call>call:list_files{path:<|"|>.<|"|>}<tool_call|>'

# ---------------------------------------------------------------- one call in many spellings

FORMS = [
    ("llama3", LIST),
    ("llama3", "\n\n" + LIST),
    ("llama3", LIST + "<|eot_id|>"),
    ("llama3", "<|python_tag|>" + LIST + "<|eom_id|>"),
    ("llama3", '{\n    "name": "list_files",\n    "parameters": {\n        "path": "."\n    }\n}'),
    ("llama3", '{"type": "function", "name": "list_files", "parameters": {"path": "."}}'),
    ("llama3", '{"type": "function", "function": ' + LIST + "}"),
    ("llama3", f"[{LIST}]"),
    ("llama3", f"```json\n{LIST}\n```"),
    ("mistral", '[TOOL_CALLS]list_files[ARGS]{"path": "."}'),
    ("mistral", '[TOOL_CALLS]list_files[CALL_ID]a1B2c3D4e[ARGS]{"path": "."}</s>'),
    ("mistral", '[TOOL_CALLS]list_files{"path": "."}'),
    ("mistral", f'[TOOL_CALLS][{ARGUED[:-1]}, "id": "a1B2c3D4e"}}]'),
    ("mistral", f"[TOOL_CALLS] [ {ARGUED}]"),
    ("mistral", f"[TOOL_CALLS]{ARGUED}"),
    ("mistral", f"```json\n{ARGUED}\n```"),
    ("mistral", ARGUED),
    ("mistral", f"[\n{ARGUED}\n]"),
    ("llama3", f"[\n  {LIST}\n]"),
    ("ministral", '[TOOL_CALLS]list_files[ARGS]{"path": "."}'),
    ("harmony", CHANNEL),
    ("harmony", CHANNEL + "<|call|>"),
    ("harmony", '<|channel|>analysis to=functions.list_files <|constrain|>json<|message|>{"path": "."}'),
    ("harmony", TO + 'list_files json<|message|>{"path": "."}'),
    ("harmony", TO + 'list_files<|message|>\n{\n  "path": "."\n}\n'),
    ("harmony", ' to=functions.list_files<|channel|>commentary json<|message|>{"path": "."}<|call|>'),
    ("harmony", '<|start|>assistant to=functions.list_files<|channel|>commentary json<|message|>{"path": "."}'),
    ("harmony", '<|channel|>commentary<|channel|>commentary to=list_files json<|message|>{"path": "."}'),
    ("harmony", f"<|channel|>final<|message|>```json\n{ARGUED}\n```"),
    ("gemma", GEMMA),
    ("gemma", "\n" + GEMMA + "<|tool_response>"),
    ("gemma", '<|tool_call>call:list_files{ path: <|"|>.<|"|> }<tool_call|>'),
    ("gemma", f"```json\n{ARGUED}\n```"),
]
MENDED_FORMS = [
    ("llama3", LIST.replace("}}", "},}")),
    ("llama3", '{"name": "list_files", "parameters": {"path": "."}'),
    ("llama3", LIST.replace('{"path": "."}', '"{\\"path\\": \\".\\"}"')),
    ("llama3", '<|python_tag|>list_files.call(path=".")'),
    ("llama3", '{"name": "list_files", "path": "."}'),
    ("llama3", "[list_files(path='.')]"),
    ("llama3", '[list_files(path=".")]<|eot_id|>'),
    ("mistral", 'list_files[ARGS]{"path": "."}'),
    ("mistral", 'list_files[CALL_ID]a1B2c3D4e[ARGS]{"path": "."}'),
    ("mistral", "[TOOL_CALLS]list_files[ARGS]{'path': '.',}"),
    ("mistral", '[TOOL_CALLS]list_files[ARGS]{"path": "."</s>'),
    ("ministral", 'list_files[ARGS]{"path": "."}'),
    ("harmony", TO + 'list_files <|constrain|>json{"path": "."}'),
    ("harmony", TO + "list_files json<|message|>{'path': '.',}"),
    ("harmony", TO + 'list_files json<|message|>{"path": "."<|call|>'),
    ("gemma", 'call:list_files{path:<|"|>.<|"|>}<tool_call|>'),
    ("gemma", '<|tool_call>call:list_files{path:<|"|>.<|"|><tool_call|>'),
    ("gemma", "<|tool_call>call:list_files{'path':'.'}<tool_call|>"),
]


@pytest.mark.parametrize("step", [1, 3, 10**6])
@pytest.mark.parametrize(("dialect", "text"), [*FORMS, *MENDED_FORMS])
def test_every_form_of_one_call(dialect: str, text: str, step: int) -> None:
    pieces, parsed = read(dialect, text, step)
    assert calls(parsed) == [("list_files", {"path": "."})]
    assert not parsed.text and not parsed.cut and not parsed.thinking
    assert bool(parsed.repairs) == ((dialect, text) in MENDED_FORMS), parsed.repairs
    assert pieces == [CallOpened("list_files")]


@pytest.mark.parametrize(
    ("dialect", "before", "rest"),
    [
        ("llama3", '{"name": "write_file", "parameters": {', '"path": "a", "content": "b"}}'),
        ("llama3", '<|python_tag|>{"name": "write_file", "para', 'meters": {"path": "a", "content": "b"}}'),
        ("mistral", "[TOOL_CALLS]write_file[ARGS]", '{"path": "a", "content": "b"}'),
        ("mistral", '[TOOL_CALLS][{"name": "write_file", "argu', 'ments": {"path": "a", "content": "b"}}]'),
        ("harmony", TO + "write_file json<|message|>", '{"path": "a", "content": "b"}'),
        ("gemma", "<|tool_call>call:write_file{", 'content:<|"|>b<|"|>,path:<|"|>a<|"|>}<tool_call|>'),
    ],
)
def test_the_name_is_known_before_the_arguments_end(dialect: str, before: str, rest: str) -> None:
    parser = by_name(dialect).parser(SPECS, thinking=False)
    assert parser.feed(before) == [CallOpened("write_file")]
    assert parser.feed(rest) == []
    assert calls(parser.finish()) == [("write_file", {"path": "a", "content": "b"})]


OTHER = LIST.replace('"."', '"b"')
SEVERAL = [
    ("llama3", f"{LIST}; {OTHER}"),
    ("llama3", f"{LIST}\n{OTHER}<|eot_id|>"),
    ("llama3", f"<|python_tag|>{LIST}; {OTHER}"),
    ("llama3", f"{LIST};\n{OTHER};"),
    ("mistral", '[TOOL_CALLS]list_files[ARGS]{"path": "."}[TOOL_CALLS]list_files[ARGS]{"path": "b"}'),
    ("mistral", f"[TOOL_CALLS][{ARGUED}, {ARGUED.replace('.', 'b')}]"),
    ("harmony", f'{CHANNEL}<|call|><|start|>assistant{TO}list_files json<|message|>{{"path": "b"}}'),
    ("gemma", GEMMA + GEMMA.replace(".", "b")),
]


@pytest.mark.parametrize("step", [1, 4, 10**6])
@pytest.mark.parametrize(("dialect", "text"), SEVERAL)
def test_several_calls(dialect: str, text: str, step: int) -> None:
    pieces, parsed = read(dialect, text, step)
    assert calls(parsed) == [("list_files", {"path": "."}), ("list_files", {"path": "b"})]
    assert [call.id for call in parsed.calls] == ["call_1", "call_2"]
    assert not parsed.text and not parsed.repairs
    assert CallOpened("list_files") in pieces


@pytest.mark.parametrize("step", [1, 4, 10**6])
@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("llama3", f"I look.\n{LIST}; {OTHER}\nThen more."),
        ("mistral", SEVERAL[4][1].join(["I look.", "\n\nThen more."])),
        ("gemma", SEVERAL[7][1].join(["I look.\n", "Then more."])),
        (
            "harmony",
            f"<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{SEVERAL[6][1]}<|call|>"
            "<|start|>assistant<|channel|>final<|message|>Then more.<|return|>",
        ),
    ],
)
def test_words_around_calls(dialect: str, text: str, step: int) -> None:
    pieces, parsed = read(dialect, text, step)
    assert [args["path"] for _, args in calls(parsed)] == [".", "b"]
    assert parsed.text == told(pieces) == "I look.\nThen more."


def test_values_keep_their_types() -> None:
    told_so = '{"on": true, "n": -3, "names": ["a", "b c"], "extra": null}'
    wanted = [("set", {"on": True, "n": -3, "names": ["a", "b c"], "extra": None})]
    python = told_so.replace("true", "True").replace("null", "None")
    gemma = '{extra:null,n:-3,names:[<|"|>a<|"|>,<|"|>b c<|"|>],on:true}'
    for dialect, form in (
        ("llama3", '{{"name": "set", "parameters": {}}}'),
        ("mistral", "[TOOL_CALLS]set[ARGS]{}"),
        ("harmony", TO + "set json<|message|>{}"),
    ):
        assert calls(read(dialect, form.replace("{{", "{").replace("}}", "}").replace("{}", told_so))[1]) == wanted
        mended = read(dialect, form.replace("{{", "{").replace("}}", "}").replace("{}", python))[1]
        assert calls(mended) == wanted and len(mended.repairs) == 2
    for body in (gemma, gemma.replace("true", "True").replace("null", "None"), told_so):
        assert calls(read("gemma", f"<|tool_call>call:set{body}<tool_call|>")[1]) == wanted
    code = "[set(on=True, n=-3, names=['a', \"b c\"], extra=None), set(n=1), now()]"
    assert calls(read("llama3", code)[1]) == [*wanted, ("set", {"n": 1}), ("now", {})]
    assert calls(read("gemma", '<|tool_call>call:set{<|"|>n<|"|>:3,names:[{a-b:1,c:[]}]}<tool_call|>')[1]) == [
        ("set", {"n": 3, "names": [{"a-b": 1, "c": []}]})
    ]


EVIL = 'a <|call|><|end|> [TOOL_CALLS] </s> <|eot_id|> {"} <tool_call|> "q" \\ \n```\n'


@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_markers_inside_strings_are_text(step: int) -> None:
    import json

    body = json.dumps({"path": "p", "content": EVIL})
    texts = {
        "llama3": f'{{"name": "write_file", "parameters": {body}}}',
        "mistral": f"[TOOL_CALLS]write_file[ARGS]{body}",
        "harmony": f"{TO}write_file json<|message|>{body}<|call|>",
        "gemma": f'<|tool_call>call:write_file{{content:<|"|>{EVIL}<|"|>,path:<|"|>p<|"|>}}<tool_call|>',
    }
    for dialect, text in texts.items():
        _, parsed = read(dialect, text, step)
        assert calls(parsed) == [("write_file", {"path": "p", "content": EVIL})], dialect
        assert not parsed.repairs and not parsed.text


# ---------------------------------------------------------------- cut, lost, unknown

CUT = [
    ("llama3", '{"name": "write_file", "parameters": {"path": "a", "content": "half'),
    ("llama3", f'{LIST}; {{"name": "write_file", "parameters": {{"path": "a", "con'),
    ("llama3", '<|python_tag|>{"name": "write_file", "parameters": {"path": "a'),
    ("llama3", '[write_file(path="a", content="half'),
    ("llama3", '<|python_tag|>write_file.call(path="a"'),
    ("mistral", '[TOOL_CALLS]write_file[ARGS]{"path": "a", "content": "half'),
    ("mistral", "[TOOL_CALLS]write_file[ARGS]"),
    ("mistral", "[TOOL_CALLS]write_file"),
    ("mistral", '[TOOL_CALLS][{"name": "write_file", "arguments": {"path": "a'),
    ("harmony", TO + 'write_file json<|message|>{"path": "a'),
    ("harmony", TO + "write_file json<|message|>"),
    ("harmony", TO + "write_file <|constrain|>js"),
    ("gemma", '<|tool_call>call:write_file{content:<|"|>half'),
    ("gemma", '<|tool_call>call:write_file{content:<|"|>half<|"|>,pa'),
    ("gemma", "<|tool_call>call:write_file{"),
]


@pytest.mark.parametrize("step", [1, 10**6])
@pytest.mark.parametrize(("dialect", "text"), CUT)
def test_a_call_that_does_not_end_is_the_last_one_and_marked(dialect: str, text: str, step: int) -> None:
    _, parsed = read(dialect, text, step)
    assert parsed.cut and parsed.calls[-1].name == "write_file"
    assert "the call of write_file was cut" in parsed.repairs and not parsed.text


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("mistral", '[TOOL_CALLS]write_file[ARGS]{"path": "a}[TOOL_CALLS]list_files[ARGS]{"path": "."}'),
        ("harmony", f'{TO}write_file json<|message|>{{"path": "a}}<|end|><|start|>assistant{CHANNEL}'),
        ("gemma", f'<|tool_call>call:write_file{{path:<|"|>a}}<tool_call|>{GEMMA}'),
    ],
)
def test_a_lost_quote_does_not_swallow_what_follows(dialect: str, text: str) -> None:
    _, parsed = read(dialect, text, 2)
    assert ("list_files", {"path": "."}) in calls(parsed) or parsed.repairs
    assert "the call of write_file was cut" in parsed.repairs
    if dialect != "gemma":
        assert calls(parsed) == [("list_files", {"path": "."})] and not parsed.cut


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("llama3", '<|python_tag|>{"name": "x", "parameters": {}}'),
        ("mistral", "[TOOL_CALLS]x[ARGS]{}"),
        ("harmony", TO + "x json<|message|>{}"),
        ("harmony", "<|channel|>analysis to=x code<|message|>print(1)"),
        ("gemma", "<|tool_call>call:x{}<tool_call|>"),
    ],
)
def test_a_name_nobody_has_is_a_call_that_can_be_answered(dialect: str, text: str) -> None:
    assert calls(read(dialect, text)[1])[0][0] == "x"


@pytest.mark.parametrize("step", [1, 5, 10**6])
@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("llama3", 'Use {"name": "list_files"} so.'),
        ("llama3", f"```python\n{LIST}\n```"),
        ("llama3", '{"name": "somebody", "age": 3}'),
        ("llama3", "a; b; {c}\n{\n  x"),
        ("llama3", "print `x`\n[1, 2]"),
        ("llama3", "See [now()] and\n[1, now()]"),
        ("llama3", "```python\n[now()]\n```"),
        ("mistral", "A list [ARG] of [TOOL_CALL] names"),
        ("mistral", "list_files [ARGS"),
        ("gemma", "x < y <tool_call and call:nobody{a:1}"),
        ("gemma", "one\n\n\ntwo"),
        ("harmony", "No head at all, only <|words|>.\nTwo lines."),
        ("harmony", "Short."),
        ("harmony", "{1, 2} is a set"),
    ],
)
def test_what_is_no_call_is_text(dialect: str, text: str, step: int) -> None:
    pieces, parsed = read(dialect, text, step)
    assert parsed == Parsed(text, "", ())
    assert text.startswith(told(pieces))


def test_text_flows_before_the_answer_ends() -> None:
    for dialect in ("llama3", "mistral", "gemma"):
        parser = by_name(dialect).parser(SPECS, thinking=False)
        assert parser.feed("Hello ") == [Said("Hello")]
        assert parser.feed("you") == [Said(" you")]
    parser = by_name("harmony").parser(SPECS, thinking=False)
    assert parser.feed("<|channel|>analysis<|message|>Hm") == [Thought("Hm")]
    assert parser.feed("<|end|><|start|>assistant<|channel|>final<|message|>Hel") == [Said("Hel")]
    assert parser.feed("lo<|ret") == [Said("lo")]


# ---------------------------------------------------------------- thinking, channels


@pytest.mark.parametrize("step", [1, 3, 10**6])
def test_channels(step: int) -> None:
    text = (
        "<|channel|>analysis<|message|>Hm, <b>.<|end|><|start|>assistant<|channel|>analysis<|message|>Or so.<|end|>"
        f"<|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{CHANNEL}"
    )
    pieces, parsed = read("harmony", text, step)
    assert (parsed.thinking, parsed.text, len(parsed.calls)) == ("Hm, <b>.\n\nOr so.", "I look.", 1)
    assert "".join(p.text for p in pieces if isinstance(p, Thought)) == parsed.thinking
    assert not parsed.repairs
    lost = read("harmony", "<|channel|>final\nIt is done.", step)[1]
    assert (lost.text, lost.repairs) == ("It is done.", ("missing <|message|>",))
    other = read("harmony", "<|channel|>final<|message|>Yes.<|end|><|start|>user<|message|>And?", step)[1]
    assert (other.text, other.repairs) == ("Yes.", ("a message of another role",))
    assert read("harmony", "```json\n{}\n```", step)[1].text == "```json\n{}\n```"


@pytest.mark.parametrize("step", [1, 3, 10**6])
def test_thinking(step: int) -> None:
    pieces, parsed = read("gemma", f"<|channel>thought\nHm, <b>.\n<channel|>Yes.\n{GEMMA}", step, thinking=True)
    assert (parsed.thinking, parsed.text, len(parsed.calls)) == ("Hm, <b>.\n", "Yes.", 1)
    assert "".join(p.text for p in pieces if isinstance(p, Thought)) == parsed.thinking
    inside = read("gemma", f"<|channel>thought\nI call {GEMMA}", step, thinking=True)[1]
    assert (inside.thinking, inside.text, len(inside.calls)) == ("I call ", "", 1)
    assert inside.repairs == ("a call inside the thinking",)
    assert read("gemma", "Hi<channel|>", step, thinking=True)[1] == Parsed("Hi", "\n", ())
    assert read("gemma", "<|channel>thought\n<channel|>Hi", step)[1] == Parsed("Hi", "", ())
    drafted = read("mistral", "[THINK]Hm.[/THINK]Yes.[TOOL_CALLS]now[ARGS]{}", step)[1]
    assert (drafted.thinking, drafted.text, calls(drafted)) == ("Hm.", "Yes.", [("now", {})])


# ---------------------------------------------------------------- templates, storms


def test_detection() -> None:
    assert detect("<|start|> <|channel|> <|message|>") == "harmony"
    assert detect("[INST] [TOOL_CALLS] [CALL_ID] [ARGS]") == "mistral"
    assert detect("[INST] [TOOL_CALLS] [ARGS]") == "ministral"
    assert detect("[INST] [TOOL_CALLS] [{") is None
    assert detect('<|start_header_id|> {"name": function name, "parameters": dictionary of argument name') == "llama3"
    assert detect("<|turn> <|tool_call>") == "gemma"


SEEDS = [text for _, text in (*FORMS, *MENDED_FORMS, *SEVERAL, *CUT)]
SEEDS += ["Some words.\n", "```python\nx = {}\n```\n", "<|channel>thought\nHm.\n<channel|>", "[THINK]x[/THINK]"]
SEEDS += ["<|channel|>analysis<|message|>So.<|end|><|start|>assistant", "<|start|>user<|message|>x<|end|>"]
SHARDS = ["```", "json", "\n", '"', "{", "}", "[", "]", "\\", "<|", "|>", "🙂", " ", "'", ",", ";", ":", "; {", "to="]
SHARDS += ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "</s>", "[THINK]", "[/THINK]", "<|python_tag|>", "<|eot_id|>"]
SHARDS += ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>", "<|constrain|>", "<|start_header_id|>"]
SHARDS += ["<|tool_call>", "<tool_call|>", '<|"|>', "<|channel>", "<channel|>", "<|turn>", "<|tool_response>"]
SHARDS += ["call:now{", "list_files", '{"name": "now"', "<tool_call>", "assistant", "final", "\ud800", "\x00"]


def mutated(rng: random.Random) -> str:
    text = rng.choice(["", "\n", " "]).join(rng.choice(SEEDS) for _ in range(rng.randrange(1, 4)))
    for _ in range(rng.randrange(8)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(4):
            case 0:
                text = text[:at] + rng.choice(SHARDS) + text[at:]
            case 1:
                text = text[:at] + text[at + rng.randrange(12) :]
            case 2:
                text = text[:at]
            case _:
                text = text[:at] + text[at // 2 : at // 2 + 30] + text[at:]
    return text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_any_text_in_any_pieces_gives_the_same_answer(dialect: str) -> None:
    rng = random.Random(FUZZ_SEED)
    for _ in range(FUZZ_ROUNDS):
        text, thinking = mutated(rng), rng.random() < 0.3
        whole = read(dialect, text, thinking=thinking)[1]
        pieces, parsed = read(dialect, text, rng.randrange(1, 9), thinking=thinking)
        assert parsed == whole, text
        assert parsed.text.startswith(told(pieces)), text
        assert not parsed.cut or parsed.calls, text


LONG = [
    "[TOOL_CALLS]" * 1_000,
    "[TOOL_CALLS]now" * 1_000,
    'list_files[ARGS]{"a": "\n' * 500,
    "<|python_tag|>" * 1_000,
    "; {" * 5_000,
    "{}; " * 3_000,
    "\n{" * 5_000,
    "[now()]\n" * 1_000,
    "[now(" + "a=[" * 5_000,
    "[now(" + "a='\\" * 5_000,
    "[now(a=1" + "," * 5_000,
    '\n{"name":' * 1_300,
    f"{LIST}; " * 500,
    "<|channel|>" * 1_300,
    "<|start|>assistant to=functions.now" * 500,
    f'{TO}now json<|message|>{{"a": "<|end|>' * 300,
    f"{CHANNEL}<|call|><|start|>assistant" * 300,
    "<|tool_call>" * 1_300,
    '<|tool_call>call:now{a:<|"|><tool_call|>' * 300,
    "<|tool_call>call:now{a:" + '<|"|>' * 3_000,
    "<|tool_call>call:now{" + "a" * 16_000,
    "<|tool_call>call:now{" + ("," + " " * 90) * 300,
    "<|tool_call>call:now" + "{a:" * 3_000,
    GEMMA * 500,
    " " * 16_000,
    "\n" * 16_000,
    "x" * 16_000,
    "l" * 16_000,
    "<" * 16_000,
]


@pytest.mark.parametrize("dialect", ["llama3", "mistral", "harmony", "gemma"])
def test_long_answers_take_linear_time(dialect: str) -> None:
    slowest = max(LONG, key=lambda text: _seconds(dialect, text))
    assert _seconds(dialect, slowest) < 1, slowest[:60]


def _seconds(dialect: str, text: str) -> float:
    began = time.process_time()
    read(dialect, text, 64)
    read(dialect, text)
    return time.process_time() - began


def test_signs_in_a_long_value_of_gemma_take_linear_time() -> None:
    def seconds(count: int) -> float:
        text = '<|tool_call>call:run{command:<|"|>' + "a < b " * count + '<|"|>}<tool_call|>'
        began = time.process_time()
        assert len(read("gemma", text)[1].calls) == 1
        return time.process_time() - began

    assert seconds(160_000) < 2
