from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localagent import cli, handed
from localagent.commands import golden
from localagent.engine import catalogue, reuse
from localagent.errors import EngineError
from localagent.events import MessageDone
from localagent.values import Message, Text, Timings, ToolCall, Usage
from tests import make_gguf
from tests.fakes import ScriptedEngine, call

STARTER = os.environ.get("LOCALAGENT_TEST_STARTER", "")
TINY = os.environ.get("LOCALAGENT_TEST_TINY", "")
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TOKENS, _, _, FIRST = make_gguf._vocabulary()
IDS = {text: FIRST + n for n, text in enumerate(make_gguf.CONTROL)}
RIGHT = [
    call("read_file", path="notes/plan.txt"),
    call("run", command="ls photos/"),
    call("search_text", pattern="Timeout", path="./server.log"),
    call("write_file", path="hello.txt", content="good morning\n"),
    call("run", command="date"),
]


def done(*calls: ToolCall, cut: bool = False) -> MessageDone:
    return MessageDone(Message("assistant", calls=calls), Usage(100, 60, 10), Timings(900, 400, 500), cut=cut)


def expect(architecture: str = "qwen35", vocabulary: int = len(TOKENS), **tokens: int) -> str:
    ids = {name: IDS[name] for name in ("<|im_start|>", "<|im_end|>", "<tool_call>")} | tokens
    table = ", ".join(f'"{text}" = {id}' for text, id in ids.items())
    return f'expect = {{ architecture = "{architecture}", vocabulary = {vocabulary}, tokens = {{ {table} }} }}\n'


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., Path]:
    """Make a random model and put it into the catalogue as `mine`."""

    def made(expected: str = "", dialect: str = "coder", template: str | None = CHATML) -> Path:
        file = make_gguf.make("tiny", tmp_path / "mine.gguf", template=template)
        text = f'[model.mine]\npath = "{file}"\ndialect = "{dialect}"\n{expected}'
        catalogue.user_file().write_text(text, encoding="utf-8")
        return file

    return made


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ScriptedEngine]:
    """Let the engine answer with these steps (all right without any)."""

    def scripted(*steps: Any) -> ScriptedEngine:
        engine = ScriptedEngine(*(steps or [done(one) for one in RIGHT]))
        monkeypatch.setattr(handed, "_bench", lambda entry, path, chosen: (engine, golden.SPECS))
        return engine

    return scripted


def run(*argv: str) -> int:
    return cli.main(["model", "check", *argv])


def lines(text: str) -> dict[str, str]:
    """The output by the names of the checks."""
    return {line[9:21].strip(): line for line in text.splitlines() if line[:7].strip() in ("ok", "note", "PROBLEM")}


def test_a_model_as_it_should_be_is_ready(mine: Any, answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = mine(expect())
    engine = answers()
    assert run("mine") == 0
    out = capsys.readouterr().out
    said = lines(out)
    assert str(file) in said["file"] and f"{file.stat().st_size:,} bytes" in said["file"]
    assert said["architecture"].startswith("ok") and said["vocabulary"].startswith("ok")
    assert f"<|im_end|> {IDS['<|im_end|>']}" in said["tokens"] and said["tokens"].startswith("ok")
    assert "our own form; the template is not used" in said["template"]
    assert all(said[f"call {n}"].startswith("ok") for n in range(1, 6))
    assert "5 of 5" in said["calls"]
    assert "reading 100.0 tokens/s, writing 20.0 tokens/s" in said["speed"]
    assert out.endswith("mine is ready.\n") and engine.closed
    system, user = engine.asked[0][0]
    assert system.role == "system" and "notes/plan.txt" in user.text and engine.asked[0][1] == golden.SPECS


def test_another_model_is_noticed(mine: Any, answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mine(expect("qwen35moe", 248320, **{"<|im_end|>": 248046, "<gone>": 7}))
    answers()
    assert run("mine") == 1
    out = capsys.readouterr().out
    said = lines(out)
    assert said["architecture"].startswith("PROBLEM") and "qwen35, not qwen35moe" in said["architecture"]
    assert f"{len(TOKENS)} tokens, not 248,320" in said["vocabulary"]
    assert f"<|im_end|> is {IDS['<|im_end|>']}, not 248046; <gone> is missing" in said["tokens"]
    assert "-> This is another model than mine should be" in out and "ready" not in out


def test_what_nobody_knows_is_said_to_be_unknown(mine: Any, answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = mine(template=None)
    answers()
    assert run(str(file)) == 0
    said = lines(capsys.readouterr().out)
    for name in ("file", "architecture", "vocabulary", "tokens"):
        assert said[name].startswith("note") and "the catalogue does not say" in said[name]
    assert said["template"].startswith("note") and "our qwen35 form cannot be compared" in said["template"]


def test_control_tokens_must_be_tokens(
    mine: Any, answers: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_gguf, "CONTROL_T", make_gguf.NORMAL_T)
    answers()
    mine(expect())
    assert run("mine") == 1
    assert "<|im_start|> is plain text, not a token of its own" in lines(capsys.readouterr().out)["tokens"]
    mine()
    assert run("mine") == 1
    assert "<|im_end|> is plain text" in lines(capsys.readouterr().out)["tokens"]


def test_the_template_is_compared_to_the_byte(
    mine: Any, answers: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine(expect(), dialect="hermes")
    answers()
    assert run("mine") == 1
    said = lines(capsys.readouterr().out)["template"]
    assert said.startswith("PROBLEM") and "a request with tools: character 54: the template has" in said
    monkeypatch.setattr(golden, "HISTORIES", {"a question": golden.HISTORIES["a question"]})
    answers()
    assert run("mine") == 0
    assert "our hermes form is the same to the byte in 1 histories" in lines(capsys.readouterr().out)["template"]


KIMI = (
    "{{ bos_token }}{% set ns = namespace(seen=[]) %}{% for m in messages %}{% set _ = ns.seen.append(m.role) %}"
    "{{ '<|im_assistant|>' if m.role == 'assistant' else '<|im_' + m.role + '|>' }}{{ m.role }}<|im_middle|>"
    "{{ m.content }}<|im_end|>{% endfor %}<|im_assistant|>assistant<|im_middle|>"
)


def test_each_form_is_asked_for_its_own_tokens_and_compared_as_its_template_can(
    mine: Any, answers: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine(dialect="kimi", template=KIMI)
    monkeypatch.setattr(golden, "HISTORIES", {"a question": golden.HISTORIES["a question"]})
    answers()
    assert run("mine") == 1
    said = lines(capsys.readouterr().out)
    assert said["template"].startswith("ok") and "our kimi form is the same to the byte" in said["template"]
    assert "<|im_user|> is missing" in said["tokens"] and "<|im_end|> is" not in said["tokens"]


def test_what_a_template_cannot_say_is_not_compared() -> None:
    def told(dialect: str, *, thinks: bool = False) -> tuple[set[str], set[bool]]:
        pairs = list(golden.comparable(dialect, thinks=thinks))
        return {name for name, _ in pairs}, {mode for _, mode in pairs}

    every = set(golden.HISTORIES)
    assert told("hermes") == (every, {False}) and told("qwen3", thinks=True) == (every, {False, True})
    assert told("minimax", thinks=True) == told("kimi-thinking", thinks=True) == (every, {True})
    assert every - told("llama3")[0] == every - told("harmony", thinks=True)[0] == {"two calls at once"}
    assert every - told("gemma", thinks=True)[0] == {"words and a call"}


@pytest.mark.parametrize(
    ("dialect", "template", "reason"),
    [
        ("coder", "{{ messages[0].content }}", "<|im_start|> and <|im_end|> are not in it"),
        ("hermes", "{% if %}", "a question: The chat template cannot be rendered"),
        ("hermes", "{{ raise_exception('never') }}", "never"),
    ],
)
def test_a_template_of_another_kind(
    mine: Any, answers: Any, capsys: pytest.CaptureFixture[str], dialect: str, template: str, reason: str
) -> None:
    mine(expect(), dialect=dialect, template=template)
    answers()
    assert run("mine") == 1
    assert reason in lines(capsys.readouterr().out)["template"]


def test_one_wrong_call_is_noted_two_are_a_problem(mine: Any, answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mine(expect())
    answers(*map(done, RIGHT[:4]), "It is late.")
    assert run("mine") == 0
    said = lines(capsys.readouterr().out)
    assert said["calls"].startswith("note") and "4 of 5" in said["calls"]
    assert said["call 5"].startswith("note") and "gave no call: It is late.; wanted run with date" in said["call 5"]
    wrong = call("write_file", path="notes/plan.txt", content="read it")
    answers(done(wrong), done(RIGHT[1], cut=True), done(call("search_text", pattern="timeout")), *map(done, RIGHT[3:]))
    assert run("mine") == 1
    out = capsys.readouterr().out
    assert [lines(out)[f"call {n}"][:4] for n in range(1, 6)] == ["note", "note", "note", "ok  ", "ok  "]
    assert "(cut off)" in lines(out)["call 2"] and "2 of 5" in lines(out)["calls"]
    assert "-> This model cannot be trusted with tools" in out


def test_an_engine_that_fails_is_a_problem(mine: Any, answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mine(expect())
    engine = answers(done(RIGHT[0]), EngineError("There is no memory left.", "Close something."))
    assert run("mine") == 1
    out = capsys.readouterr().out
    assert "There is no memory left." in lines(out)["calls"] and "-> Close something." in out
    assert engine.closed and "speed" not in lines(out)


def test_nothing_measured_is_said(mine: Any, answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mine(expect())
    answers(*([one] for one in RIGHT))
    assert run("mine") == 0
    assert "reading not measured, writing not measured" in lines(capsys.readouterr().out)["speed"]


def test_a_report_for_programs(mine: Any, answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = mine(expect("other"))
    answers(*map(done, RIGHT[:4]), "No.")
    assert run("mine", "--json") == 1
    read = json.loads(capsys.readouterr().out)
    assert read["model"] == "mine" and read["path"] == str(file) and read["ok"] is False
    states = {one["name"]: one["state"] for one in read["checks"]}
    assert states["architecture"] == "problem" and states["vocabulary"] == "ok" and states["calls"] == "note"
    assert [one["ok"] for one in read["calls"]] == [True] * 4 + [False]
    assert read["speed"]["prefill"] > 100 and read["speed"]["decode"] > 20


def test_a_model_that_is_not_here(answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    engine = answers()
    assert run() == cli.Exit.MODEL
    assert "`localagent model pull qwen3.5-9b`" in capsys.readouterr().err
    assert run("glm-5") == cli.Exit.USAGE
    assert "hosted" in capsys.readouterr().err
    assert run("none-such") == cli.Exit.USAGE
    assert not engine.asked


def test_a_damaged_file_is_named_and_not_run(answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    engine = answers()
    entry = catalogue.load().get("tiny")
    path = reuse.own_path(entry, entry.parts[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF" + bytes(100))
    assert run("tiny") == 1
    out = capsys.readouterr().out
    assert "104 bytes instead of 491,400,064" in lines(out)["file"] and "-> `localagent model pull tiny`" in out
    assert list(lines(out)) == ["file"] and not engine.asked


def test_a_verified_file_is_not_hashed_again(
    tmp_path: Path, answers: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import hashlib

    file = make_gguf.make("tiny", tmp_path / "made.gguf", template=CHATML)
    body = file.read_bytes()
    catalogue.user_file().write_text(
        f'[model.mine]\nrepository = "me/mine"\nrevision = "main"\nfile = "mine-{{quant}}.gguf"\nquant = "Q8_0"\n'
        f'context = 4096\nsampling = {{ temperature = 0 }}\ndialect = "coder"\n{expect()}[model.mine.quants]\n'
        f'Q8_0 = {{ bytes = {len(body)}, sha256 = "{hashlib.sha256(body).hexdigest()}" }}\n'
    )
    entry = catalogue.load().get("mine")
    own = reuse.own_path(entry, entry.parts[0])
    own.parent.mkdir(parents=True)
    file.rename(own)
    answers()
    assert run("mine") == 0
    assert "as in the catalogue" in lines(capsys.readouterr().out)["file"]
    monkeypatch.setattr(reuse, "hash_file", lambda *_: pytest.fail("hashed again"))
    answers()
    assert run("mine") == 0


def test_a_text_answer_without_words(mine: Any, answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mine(expect())
    empty = MessageDone(Message("assistant", (Text(" "),)))
    answers(empty, *map(done, RIGHT[1:]))
    assert run("mine") == 0
    assert "gave an empty answer" in lines(capsys.readouterr().out)["call 1"]


@pytest.mark.model
@pytest.mark.skipif(not STARTER, reason="LOCALAGENT_TEST_STARTER names no model file")
def test_the_starter_passes(capsys: pytest.CaptureFixture[str]) -> None:
    entry = catalogue.load().get("starter")
    reuse.adopt(entry, Path(STARTER))
    try:
        assert run("starter", "--json") == 0
    finally:
        cli.main(["engine", "stop"])
    read = json.JSONDecoder().raw_decode(capsys.readouterr().out)[0]
    states = {one["name"]: one["state"] for one in read["checks"]}
    for name in ("file", "architecture", "vocabulary", "tokens", "template"):
        assert states[name] == "ok"
    assert sum(one["ok"] for one in read["calls"]) >= 4
    assert read["speed"]["prefill"] > 0 and read["speed"]["decode"] > 0


@pytest.mark.model
@pytest.mark.skipif(not TINY, reason="LOCALAGENT_TEST_TINY names no model file")
def test_a_real_template_is_the_same_to_the_byte(answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue.user_file().write_text(f'[model.mine]\npath = "{TINY}"\ndialect = "hermes"\n')
    answers()
    assert run("mine") == 0
    assert "our hermes form is the same to the byte" in lines(capsys.readouterr().out)["template"]
