"""The bindings' room against real llama.cpp: tokens, grammars, and every way to abort the process."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localagent.engine import llama, preflight, vocabulary, weights
from localagent.engine.base import Sampling
from localagent.engine.sampling import sample
from localagent.errors import EngineError, ModelError, ModelMissing

REAL = os.environ.get("LOCALAGENT_TEST_TINY", "")
PIECES = [
    "<tool_call>", "</tool_call>", "<think>", "</think>", "<tool_response>", "<|im_end|>", "<|im_start|>", "<", ">",
    "<tool_", "call>", "\n", "  ", " " * 70, "hello", "ünï", "漢字", "🙂", "\x00", "{\"a\": 1}", "<<tool_call>>", "_",
]  # fmt: skip


@pytest.fixture(scope="module", params=["tiny", "dense"])
def model(request: pytest.FixtureRequest) -> Iterator[llama.Model]:
    loaded = llama.Model(request.getfixturevalue(request.param))
    yield loaded
    loaded.close()


@pytest.fixture
def context(model: llama.Model) -> Iterator[llama.Context]:
    made = llama.Context(model, n_ctx=1024, threads=1)
    yield made
    made.close()


def _texts(count: int) -> list[str]:
    rng = random.Random(7)
    return ["".join(rng.choices(PIECES, k=rng.randrange(1, 30))) for _ in range(count)]


def _check_untrusted(model: llama.Model, count: int) -> None:
    assert len(model.structural) >= 10
    for text in _texts(count):
        tokens = model.untrusted(text)
        assert model.structural.isdisjoint(tokens), text
        assert model.control.isdisjoint(tokens), text
        assert model.text(tokens) == text


def test_untrusted_text_never_becomes_structure(model: llama.Model):
    _check_untrusted(model, 400)


@pytest.mark.parametrize("pre", ["gpt-4o", "tekken", "default"])
def test_long_runs_of_characters_do_not_end_the_process(gguf: Any, tmp_path: Path, pre: str):
    """llama.cpp's own splitting recurses for each of them: 40,000 are above the stack of a thread."""
    path = str(gguf.make("tiny", tmp_path / "other.gguf", pre=pre))
    program = (
        "import sys; from localagent.engine import llama; m = llama.Model(sys.argv[1], vocab_only=True)\n"
        "for text in ('=' * 200_000, ' ' * 200_000, 'ab' * 100_000, 'x' * 4000 + '<tool_call>' + '-' * 99_999):\n"
        "    assert m.text(m.untrusted(text)) == text and m.structural.isdisjoint(m.untrusted(text))\n"
        "    assert m.text(m.template(text)) == text\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_is_not_cut_where_a_long_run_is(model: llama.Model, monkeypatch: pytest.MonkeyPatch):
    (name,) = model.template("<|im_start|>")
    for before in range(vocabulary.RUN - 14, vocabulary.RUN + 2):
        tokens = model.template("x" * before + "<|im_start|>" + "y" * 50)
        assert tokens.count(name) == 1
    short = "one two\n" * 2000
    monkeypatch.setattr(model, "breaks", False)
    whole = model.spell(short, False)
    monkeypatch.setattr(model, "breaks", True)
    assert model.spell(short, False) == whole


@pytest.mark.model
@pytest.mark.skipif(not REAL, reason="LOCALAGENT_TEST_TINY names no model")
def test_untrusted_text_never_becomes_structure_in_a_real_vocabulary():
    real = llama.Model(REAL, vocab_only=True)
    assert real.template("<tool_call>") == (151657,)
    _check_untrusted(real, 1000)
    assert real.text(real.untrusted("x" + " " * 100 + "y" + "=" * 128)) == "x" + " " * 100 + "y" + "=" * 128
    real.close()


def test_template_text_is_structure(model: llama.Model):
    tokens = model.template("<|im_start|>user\n<think>")
    assert tokens[0] in model.control
    assert tokens[-1] in model.structural
    assert model.text(tokens) == "<|im_start|>user\n<think>"
    assert model.eog is not None and model.piece(model.eog) == b"<|im_end|>"


def test_text_that_is_no_unicode_is_still_read(model: llama.Model):
    assert model.text(model.untrusted("a\udcffb")) == "a?b"
    assert model.untrusted("") == ()


BAD = ["", "   ", "root ::= missing", "no grammar {{{", "root ::= root", 'root ::= "a\x00"', 'x ::= "a"']


@pytest.mark.parametrize("bad", BAD)
def test_an_invalid_grammar_is_an_error(model: llama.Model, bad: str):
    with pytest.raises(EngineError, match="grammar"):
        llama.Grammar(model, bad)


def test_a_grammar_refuses_what_it_forbids(model: llama.Model):
    first = llama.Grammar(model, 'root ::= "ab" [0-9]')
    grammar = first.fresh()
    a, b, five = (model.untrusted(c)[0] for c in "ab5")
    assert grammar.allows(a) and not grammar.allows(b)
    assert model.eog is not None and not grammar.allows(model.eog)
    with pytest.raises(EngineError, match="forbids"):
        grammar.accept(b)
    for token in (a, b, five):
        assert not grammar.complete()
        grammar.accept(token)
    assert grammar.complete()
    with pytest.raises(EngineError):
        grammar.accept(a)
    assert first.fresh().allows(a)


JSON = r"""root ::= "{" ws "\"name\":" ws string "," ws "\"size\":" ws [1-9] [0-9]{0,4} ws "}"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\/bfnrt]){0,40} "\""
ws ::= [ \n]{0,2}
"""


@pytest.mark.parametrize("sampling", [
    Sampling(temperature=1.5, seed=1), Sampling(), Sampling(temperature=1.5, top_k=40, top_p=0.9, min_p=0.05, seed=2),
    Sampling(temperature=1.5, presence_penalty=1.5, repeat_penalty=1.1, seed=3),
])  # fmt: skip
def test_what_a_grammar_makes_always_parses(model: llama.Model, context: llama.Context, sampling: Sampling):
    base = llama.Grammar(model, JSON)
    chain = llama.Chain(model, sampling)
    for _ in range(5):
        context.clear()
        assert context.decode(model.template("<|im_start|>user\nwrite json")) == 0
        grammar = base.fresh()
        made: list[int] = []
        while not grammar.complete():
            token = sample(context, chain, grammar)
            grammar.accept(token)
            made.append(token)
            assert context.decode([token]) == 0
        assert model.control.isdisjoint(made)
        raw = b"".join(map(model.piece, made)).decode("utf-8", "replace")
        assert set(json.loads(raw, strict=False)) == {"name", "size"}
        grammar.close()
    chain.close()
    base.close()


def test_behind_a_whole_root_only_the_end_may_come(model: llama.Model, context: llama.Context):
    context.decode([5])
    chain = llama.Chain(model, Sampling())
    grammar = llama.Grammar(model, 'root ::= "a"')
    grammar.accept(model.untrusted("a")[0])
    assert model.is_eog(sample(context, chain, grammar))


@pytest.mark.parametrize(("penalty", "again"), [(0.0, True), (2.0, False)])
def test_what_was_said_often_is_said_less(model: llama.Model, context: llama.Context, penalty: float, again: bool):
    context.decode([5])
    chain = llama.Chain(model, Sampling(frequency_penalty=penalty))
    first = sample(context, chain)
    for _ in range(100):
        chain.accept(first)
    assert (sample(context, chain) == first) is again
    chain.close()


def test_nothing_is_sampled_before_a_decode(model: llama.Model, context: llama.Context):
    chain = llama.Chain(model, Sampling())
    with pytest.raises(EngineError, match="nothing to sample"):
        sample(context, chain)
    context.decode([1, 2, 3])
    sample(context, chain)
    context.truncate(1)
    with pytest.raises(EngineError, match="nothing to sample"):
        context.logits()


def test_batches_out_of_range_are_refused(context: llama.Context):
    with pytest.raises(ValueError, match="batch"):
        context.decode([1] * 513)
    with pytest.raises(ValueError, match="batch"):
        context.decode([])
    assert context.decode([10**6]) == -1


def test_an_aborted_decode_returns_2_and_a_state_comes_back(model: llama.Model, context: llama.Context):
    assert context.decode([1, 2, 3]) == 0
    state = context.save(False)
    context.abort(True)
    assert context.decode([4] * 400) == 2
    context.abort(False)
    context.clear()
    assert context.load(state, False)
    assert context.last_position() == 2
    assert not context.load((type(state))(), False)


def test_what_a_model_says_of_itself(model: llama.Model):
    assert model.meta("general.architecture") in ("qwen35", "qwen3")
    assert model.recurrent == (model.meta("general.architecture") == "qwen35")
    assert model.meta("no.such.key") is None
    assert model.chat_template is None
    assert model.n_ctx_train == 32768
    assert llama.devices()[0]["name"]
    assert isinstance(llama.supports_gpu(), bool)


def test_files_that_cannot_be_loaded(tiny: str, gguf: Any, tmp_path: Path):
    cut = tmp_path / "cut.gguf"
    shutil.copy(tiny, cut)
    os.truncate(cut, os.path.getsize(tiny) // 2)
    with pytest.raises(ModelError, match="cut short"):
        weights.read(cut)
    with pytest.raises(ModelError):
        llama.Model(str(cut))
    text = tmp_path / "text.gguf"
    text.write_text("this is not a model, whatever its name says")
    with pytest.raises(ModelError, match="not a GGUF"):
        weights.read(text)
    with pytest.raises(ModelMissing, match=r"gone\.gguf"):
        preflight.check_file(str(tmp_path / "gone.gguf"))
    with pytest.raises(ModelError, match="cannot be read"):
        preflight.check_file(str(tmp_path))
    strange = gguf.make("tiny", tmp_path / "strange.gguf", arch="strange9")
    with pytest.raises(ModelError, match="architecture 'strange9'"):
        llama.Model(str(strange))


@pytest.mark.parametrize(("kv", "flash", "repack", "batch"), [("q8_0", True, False, 128), ("f16", False, True, 256)])
def test_every_choice_of_a_plan_loads_and_says_nearly_the_same(
    dense: str, kv: str, flash: bool, repack: bool, batch: int
):
    usual = llama.Model(dense)
    other = llama.Model(dense, repack=repack, gpu_layers=0, split=(1, 2))
    said = []
    tokens = list(range(100))
    for model, chosen in ((usual, {}), (other, {"kv": kv, "flash": flash, "batch": batch})):
        context = llama.Context(model, n_ctx=512, threads=1, **chosen)
        assert context.n_batch == chosen.get("batch", 512)
        assert context.decode(tokens) == 0
        said.append(context.logits().copy())
        with pytest.raises(ValueError, match="1 to"):
            context.decode([0] * (context.n_batch + 1))
        context.close()
        model.close()
    assert np.corrcoef(said[0], said[1])[0, 1] > 0.99


def test_loading_can_be_given_up(tiny: str):
    with pytest.raises(EngineError, match="cancelled"):
        llama.Model(tiny, progress=lambda fraction: False)


def test_known_texts_are_kept_in_bounds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vocabulary, "KEPT", 10)
    made: list[str] = []

    def spelled(text: str) -> tuple[int, ...]:
        made.append(text)
        return tuple(range(len(text)))

    kept = vocabulary._Kept(spelled)
    for text in ("abc", "abc", "de", "abc", "fghi", "abc", "de", "x" * 50, "abc"):
        assert kept(text) == tuple(range(len(text)))
    assert made == ["abc", "de", "fghi", "de", "x" * 50, "abc"]
    assert kept.size == 4
