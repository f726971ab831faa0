"""Reading answers: whole, in pieces, damaged."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest

from localagent.engine.base import CallOpened, Parsed, Piece, Said, Thought
from localagent.engine.dialects import by_name, detect, names, thinks
from localagent.errors import ConfigError
from localagent.values import ToolSpec
from tests.rounds import rounds

FUZZ_ROUNDS = int(os.environ.get("LOCALAGENT_FUZZ_ROUNDS", rounds(2000)))
FUZZ_SEED = int(os.environ.get("LOCALAGENT_FUZZ_SEED", "1"))


def spec(name: str, *effects: Any, **kinds: Any) -> ToolSpec:
    properties = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in kinds.items()}
    parameters = {"type": "object", "properties": properties, "required": list(kinds)[:1]}
    return ToolSpec(name, "", parameters, effects)


SPECS = (
    spec("list_files", path="string"),
    spec("write_file", path="string", content="string"),
    spec("run", "run", command="string", timeout="integer"),
    spec("set", on="boolean", n="integer", part="number", names="array", extra={"type": ["integer", "null"]}),
)
LIST = '{"name": "list_files", "arguments": {"path": "."}}'


def read(
    dialect: str, text: str, step: int = 10**6, specs: Sequence[ToolSpec] = SPECS, thinking: bool = False
) -> tuple[list[Piece], Parsed]:
    parser = by_name(dialect).parser(specs, thinking=thinking)
    pieces: list[Piece] = []
    for at in range(0, len(text), step):
        pieces += parser.feed(text[at : at + step])
    return pieces, parser.finish()


def calls(parsed: Parsed) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, dict(call.args)) for call in parsed.calls]


# ---------------------------------------------------------------- JSON forms

FORMS = {
    "fence": f"```json\n{LIST}\n```",
    "fence without language": f"```\n{LIST}\n```",
    "tags": f"<tool_call>\n{LIST}\n</tool_call>",
    "tags on one line": f"<tool_call>{LIST}</tool_call>",
    "bare": LIST,
    "pretty": '```json\n{\n  "name": "list_files",\n  "arguments": {\n    "path": "."\n  }\n}\n```',
    "tight": '```json\n{"name":"list_files","arguments":{"path":"."}}\n```',
    "pretty bare": '{\n  "name": "list_files",\n  "arguments": {\n    "path": "."\n  }\n}',
    "list": f"```json\n[{LIST}]\n```",
    "indented": f"  ```json\n  {LIST}\n  ```",
    "function inside": '```json\n{"type": "function", "function": ' + LIST + "}\n```",
}
MENDED_FORMS = {
    "arguments as text": '```json\n{"name": "list_files", "arguments": "{\\"path\\": \\".\\"}"}\n```',
    "no end tag": f"<tool_call>\n{LIST}",
    "no end fence": f"```json\n{LIST}\n",
    "missing brace": '```json\n{"name": "list_files", "arguments": {"path": "."}\n```',
    "name as key": '```json\n{"list_files": {"path": "."}}\n```',
    "arguments beside": '```json\n{"name": "list_files", "path": "."}\n```',
    "python": "<tool_call>\n{'name': 'list_files', 'arguments': {'path': '.',}}\n</tool_call>",
}


@pytest.mark.parametrize("step", [1, 3, 10**6])
@pytest.mark.parametrize("form", [*FORMS, *MENDED_FORMS])
@pytest.mark.parametrize("dialect", ["coder", "hermes"])
def test_every_form_of_one_call(dialect: str, form: str, step: int) -> None:
    pieces, parsed = read(dialect, (FORMS | MENDED_FORMS)[form], step)
    assert calls(parsed) == [("list_files", {"path": "."})]
    assert not parsed.text and not parsed.cut
    assert bool(parsed.repairs) == (form in MENDED_FORMS)
    assert [p for p in pieces if isinstance(p, Said)] == []
    assert pieces.count(CallOpened("list_files")) == (1 if form != "name as key" else 0)


@pytest.mark.parametrize("step", [1, 4, 10**6])
def test_several_calls_and_words_around(step: int) -> None:
    other = LIST.replace('"."', '"b"')
    text = f"I look.\n\n```json\n{LIST}\n{other}\n```\n<tool_call>\n{LIST}\n</tool_call>\nThen more."
    pieces, parsed = read("coder", text, step)
    assert [args["path"] for _, args in calls(parsed)] == [".", "b", "."]
    assert [call.id for call in parsed.calls] == ["call_1", "call_2", "call_3"]
    assert parsed.text == "I look.\nThen more."
    assert "".join(p.text for p in pieces if isinstance(p, Said)) == parsed.text


@pytest.mark.parametrize(
    "text",
    [
        "Use `x < y` and {braces} here.",
        '```json\n{"port": 8080}\n```\nThat is the file.',
        '```json\n{"name": "somebody", "age": 3}\n```',
        f"```python\n{LIST}\n```",
        '```python\ncall = {"name": "list_files"}\n```\nand\n```text\nx\n```',
        '{"name": "nobody", "arguments": {}}',
        '{"key": [1, 2]}',
        "see <b>bold</b> and <tool",
        "a ```json fence``` in a line",
        "```",
        "one\n\n\ntwo",
        f"The call {LIST} inside a line",
        "````markdown\n```bash\nrm -rf x\n```\n````\nThat is the file.",
        f"````\n```json\n{LIST}\n```\n````",
        f"~~~\n{LIST}\n<tool_call>{LIST}</tool_call>\n~~~\nand `more`",
        f"```python title=x\n{LIST}\n```",
        f"Write `<tool_call>{LIST}</tool_call>`, and close `</tool_call>`.",
        "a `<tool_call> never closed",
    ],
)
@pytest.mark.parametrize("step", [1, 5, 10**6])
def test_what_is_no_call_is_text(text: str, step: int) -> None:
    pieces, parsed = read("coder", text, step)
    assert parsed == Parsed(text, "", ())
    assert text.startswith("".join(p.text for p in pieces if isinstance(p, Said)))


def test_text_flows_before_the_answer_ends() -> None:
    parser = by_name("coder").parser(SPECS, thinking=False)
    assert parser.feed("Hello ") == [Said("Hello")]
    assert parser.feed("you\n``") == [Said(" you")]
    assert parser.feed('`json\n{"na') == []
    assert parser.feed('me": "list_files", ') == [CallOpened("list_files")]


def test_a_name_nobody_has_in_tags_is_a_call_that_can_be_answered() -> None:
    assert calls(read("hermes", '<tool_call>\n{"name": "x", "arguments": {}}\n</tool_call>')[1]) == [("x", {})]


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"name": "write_file", "arguments": {"path": "a", "content": "half',
        '<tool_call>\n{"name": "write_file", "arguments": {"path": "a", "con',
        '<tool_call>\n{"name": "write_file", "arguments": {"path": "a}}\n</tool_call>',
        "```bash\nrm -r a",
    ],
)
def test_a_call_that_does_not_end_is_the_last_one_and_marked(text: str) -> None:
    _, parsed = read("coder", f"```json\n{LIST}\n```\n{text}")
    assert parsed.cut and "was cut" in parsed.repairs[-1]
    assert [call.name for call in parsed.calls] == ["list_files", "run" if "bash" in text else "write_file"]


def test_a_cut_call_that_others_follow_is_left_out() -> None:
    text = '<tool_call>\n{"name": "write_file", "arguments": {"path": "a}}\n</tool_call>\n'
    _, parsed = read("coder", text + f"```json\n{LIST}\n```".replace('"', "'"))
    assert [call.name for call in parsed.calls] == ["list_files"]
    assert not parsed.cut and "the call of write_file was cut" in parsed.repairs


def test_a_lost_quote_does_not_swallow_what_follows() -> None:
    text = '```json\n{"name": "list_files", "arguments": {"path": ".}}\n```\nDone.'
    _, parsed = read("coder", text, 2)
    assert parsed.cut and parsed.text == "Done."


# ---------------------------------------------------------------- scripts


@pytest.mark.parametrize("step", [1, 10**6])
@pytest.mark.parametrize("language", ["bash", "sh", "shell"])
def test_a_shell_fence_is_a_call_of_the_tool_that_runs(language: str, step: int) -> None:
    pieces, parsed = read("coder", f"So:\n```{language}\nls -l\nwc *\n```\nok", step)
    assert calls(parsed) == [("run", {"command": "ls -l\nwc *"})]
    assert parsed.text == "So:\nok"
    assert CallOpened("run") in pieces


def test_without_such_a_tool_it_is_text() -> None:
    text = "```bash\nls\n```"
    assert read("coder", text, specs=SPECS[:2])[1] == Parsed(text, "", ())
    assert read("hermes", text)[1] == Parsed(text, "", ())


def test_fences_in_a_here_document_belong_to_the_script() -> None:
    script = "cat > a.md <<'EOF'\n```\ncode\n```\nEOF\necho ok"
    _, parsed = read("coder", f"```bash\n{script}\n```\nwritten", 1)
    assert calls(parsed) == [("run", {"command": script})]
    open_end = "cat > a.md <<'EOF'\nhi\n"
    _, parsed = read("coder", f"```bash\n{open_end}```\nwritten", 1)
    assert calls(parsed) == [("run", {"command": open_end.strip()})]
    assert parsed.text == "written"


# ---------------------------------------------------------------- the parameter form

SET = (
    "<tool_call>\n<function=set>\n<parameter=on>\nTrue\n</parameter>\n<parameter=n>\n3\n</parameter>\n"
    '<parameter=part>\n1\n</parameter>\n<parameter=names>\n["a", "b"]\n</parameter>\n'
    "<parameter=extra>\nNone\n</parameter>\n</function>\n</tool_call>"
)
VALUE = "line\n <b></parameter> x\n\n</function>\n  end "
WRITE = (
    f"<tool_call>\n<function=write_file>\n<parameter=path>\na b.txt\n</parameter>\n<parameter=content>\n{VALUE}\n"
    "</parameter>\n</function>\n</tool_call>"
)


@pytest.mark.parametrize("step", [1, 3, 10**6])
def test_parameters_get_their_types_and_strings_stay_raw(step: int) -> None:
    pieces, parsed = read("qwen35", f"I write.\n\n{WRITE}\n{SET}", step)
    assert calls(parsed) == [
        ("write_file", {"path": "a b.txt", "content": VALUE}),
        ("set", {"on": True, "n": 3, "part": 1, "names": ["a", "b"], "extra": None}),
    ]
    assert parsed.text == "I write."
    assert [p.name for p in pieces if isinstance(p, CallOpened)] == ["write_file", "set"]


@pytest.mark.parametrize("step", [1, 3, 10**6])
@pytest.mark.parametrize(
    "text",
    [
        "<function=list_files>\n<parameter=path>\n.\n</parameter>\n</function>\n</tool_call>",
        "<function=list_files>\n<parameter=path>\n.\n</parameter>\n</function>",
        "<tool_call><function=list_files><parameter=path>.</parameter></function></tool_call>",
        "<tool_call>\n<function=list_files>\n<parameter=path>\n.\n</parameter>\n</tool_call>",
        "<tool_call>\n<function=list_files>\n<parameter=path>\n.\n</parameter>\n",
        f"<tool_call>\n{LIST}\n</tool_call>",
    ],
)
def test_damaged_parameter_forms(text: str, step: int) -> None:
    _, parsed = read("qwen35", text, step)
    assert calls(parsed) == [("list_files", {"path": "."})]
    assert parsed.repairs and not parsed.cut


def test_values_that_do_not_fit_their_type_stay_text() -> None:
    text = "<tool_call>\n<function=set>\n<parameter=n>\nmany\n</parameter>\n</function>\n</tool_call>"
    assert calls(read("qwen35", text)[1]) == [("set", {"n": "many"})]


def test_a_value_without_its_line_breaks_does_not_swallow_the_next_call() -> None:
    tight = "<tool_call>\n<function=list_files>\n<parameter=path>a</parameter>\n</function>\n</tool_call>\n"
    assert [args["path"] for _, args in calls(read("qwen35", tight + tight, 1)[1])] == ["a", "a"]


def test_a_cut_parameter() -> None:
    _, parsed = read("qwen35", "<tool_call>\n<function=write_file>\n<parameter=path>\na")
    assert parsed.cut and calls(parsed) == [("write_file", {})]


@pytest.mark.parametrize("step", [1, 10**6])
def test_thinking(step: int) -> None:
    pieces, parsed = read("qwen35", f"Hm, <b>.\n</think>\n\nYes.\n\n{SET}", step, thinking=True)
    assert (parsed.thinking, parsed.text, len(parsed.calls)) == ("Hm, <b>.\n", "Yes.", 1)
    assert "".join(p.text for p in pieces if isinstance(p, Thought)) == parsed.thinking
    _, inside = read("qwen35", f"I call {SET}", step, thinking=True)
    assert (inside.thinking, inside.text, len(inside.calls)) == ("I call ", "", 1)
    assert "a call inside the thinking" in inside.repairs
    assert read("qwen35", "</think>\n\nHi", step, thinking=True)[1] == Parsed("Hi", "\n", ())
    _, written = read("qwen3", "<think>\nhm\n</think>\n\nHi", step, thinking=True)
    assert (written.thinking, written.text) == ("\nhm\n", "Hi")


# ---------------------------------------------------------------- names, storms


def test_names_and_detection() -> None:
    assert set(names()) >= {"hermes", "qwen3", "coder", "qwen35"}
    with pytest.raises(ConfigError, match="coder"):
        by_name("other")
    turn = "<|im_start|> {{ tools }} <tool_call> "
    assert detect(turn + '{"name": x, "arguments": y}') == "hermes"
    assert detect(turn + '{{\\"name\\": x, \\"arguments\\": y}}') == "coder"
    assert detect(turn + "arguments enable_thinking") == "qwen3"
    assert detect(turn + "arguments assistant\\n<think>\\n") == "qwen3"
    assert detect(turn + "<function= enable_thinking") == "qwen35"
    assert detect(turn + "<function=") == "qwen3-coder"
    assert detect("<|start_header_id|> <|eot_id|>") == "llama3"
    assert detect("[SYSTEM_PROMPT] [INST] [TOOL_CALLS] [{") == "ministral"
    assert detect("[INST] <tool_call> arguments") is None
    assert detect("") is None


def test_who_can_think() -> None:
    for name in ("qwen3", "qwen35", "glm", "glm46", "gemma"):
        assert thinks(name, "enable_thinking") and not thinks(name, "")
    for name in ("kimi-thinking", "kimi25", "minimax"):
        assert thinks(name, "<think>") and not thinks(name, "")
    assert thinks("harmony", "<|channel|>") and thinks("ministral", "[THINK]") and not thinks("ministral", "<think>")
    for name in ("hermes", "coder", "qwen3-coder", "kimi", "llama3"):
        assert not thinks(name, "enable_thinking <think> [THINK] <|channel|>")


SEEDS = [*FORMS.values(), *MENDED_FORMS.values(), WRITE, SET, f"Hm.</think>{SET}", "```bash\ncat <<A\n```\nA\n```\n"]
SHARDS = ["```", "json", "bash\n", "\n", "<tool_call>", "</tool_call>", "<function=", "</parameter>", "</think>"]
SHARDS += ["<think>", '"', "{", "}", "[", "\\", '{"name": "run"', "<parameter=path>", "<<EOF", "🙂", " ", "'", ","]


def mutated(rng: random.Random) -> str:
    text = "\n".join(rng.choice(SEEDS) for _ in range(rng.randrange(1, 4)))
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


@pytest.mark.parametrize("dialect", ["hermes", "qwen3", "coder", "qwen35"])
def test_any_text_in_any_pieces_gives_the_same_answer(dialect: str) -> None:
    rng = random.Random(FUZZ_SEED)
    for _ in range(FUZZ_ROUNDS):
        text, thinking = mutated(rng), rng.random() < 0.3
        whole = read(dialect, text, thinking=thinking)[1]
        pieces, parsed = read(dialect, text, rng.randrange(1, 9), thinking=thinking)
        assert parsed == whole, text
        streamed = "".join(p.text for p in pieces if isinstance(p, Said))
        assert parsed.text.startswith(streamed), text


LONG = [
    "```json\n" * 8_000,
    "<tool_call>" * 8_000,
    '```json\n{"name": "run", "arguments": {"a": "\n```\n' * 3_000,
    "{" * 100_000,
    " " * 100_000,
    "\n" * 100_000,
    "```bash\n" + "cat <<EOF\n```\n" * 8_000,
    "<tool_call>\n<function=a>\n<parameter=b>\n" + "</parameter>x" * 8_000,
    "<function=a>" * 8_000,
    SET * 300,
    f"<tool_call>{LIST}" * 2_000,
    "x" * 200_000,
]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
@pytest.mark.parametrize("dialect", ["coder", "qwen35"])
def test_long_answers_take_linear_time(dialect: str, text: str) -> None:
    began = time.perf_counter()
    read(dialect, text, 16)
    read(dialect, text)
    assert time.perf_counter() - began < 4


@pytest.mark.parametrize("step", [1, 3, 10**6])
def test_code_in_the_line_hides_a_tag_only_where_it_is_open(step: int) -> None:
    call = f"<tool_call>{LIST}</tool_call>"
    for before in ("I use `ls`", "I use `ls` ", "The `<tool_call>` of `ls`", "`one\n", "``"):
        _, parsed = read("qwen3", before + call, step)
        assert len(parsed.calls) == 1 and parsed.text == before.strip()
    _, parsed = read("qwen3", f"<think>The `<tool_call>` tag.</think>{call}", step, thinking=True)
    assert parsed.thinking == "The `<tool_call>` tag." and len(parsed.calls) == 1 and not parsed.repairs


@pytest.mark.parametrize("step", [1, 4, 10**6])
@pytest.mark.parametrize("dialect", ["qwen35", "qwen3-coder"])
def test_a_string_inside_json_may_hold_the_ends_of_the_form(dialect: str, step: int) -> None:
    held = "a</parameter></function></tool_call><parameter=n>"
    text = (
        f'<tool_call>\n<function=set>\n<parameter=names>\n["{held}", "b"]\n</parameter>\n<parameter=on>\ntrue\n'
        "</parameter>\n</function>\n</tool_call>"
    )
    _, parsed = read(dialect, text, step)
    assert calls(parsed) == [("set", {"names": [held, "b"], "on": True})] and not parsed.repairs
    lost = text.replace('", "b"]', ', "b]').replace(held, "a")
    _, parsed = read(dialect, lost, step)
    assert [name for name, _ in calls(parsed)] == ["set"] and parsed.calls[0].args["on"] is True
