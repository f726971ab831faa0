from __future__ import annotations

import re
from pathlib import Path

import pytest

from localagent.engine import catalogue, dialects, models, reuse
from localagent.engine.base import Sampling
from localagent.engine.catalogue import Entry, Expect
from localagent.errors import ConfigError, ModelError, ModelMissing, UsageError
from localagent.store.settings import Settings
from tests import make_gguf

GOOD = """
[model.mine]
repository = "me/mine-GGUF"
revision = "main"
file = "mine-{quant}.gguf"
quant = "Q4_K_M"
context = 4096
dialect = "hermes"
sampling = { temperature = 0.5 }

[model.mine.quants]
Q4_K_M = { bytes = 10, sha256 = "AA" }
Q8_0 = { bytes = 20, sha256 = "BB" }
""".replace("AA", "a" * 64).replace("BB", "b" * 64)


def put(text: str) -> Path:
    file = catalogue.user_file()
    file.write_text(text)
    return file


def test_the_shipped_catalogue_is_whole() -> None:
    known = catalogue.load()
    assert known.default == "qwen3.5-9b"
    default = known.get(known.default)
    assert default.bytes == 5680522464
    assert default.parts[0].sha256.startswith("03b74727") and default.quant == "Q4_K_M"
    assert default.sampling == Sampling(temperature=0.7, top_p=0.8, top_k=20)
    for entry in known.entries.values():
        assert entry.name and entry.licence and entry.context, entry.id
        if entry.hosted:
            assert not entry.parts and entry.remote and entry.remote.key_env
            continue
        assert entry.memory and entry.sampling and entry.parts and entry.repository and entry.revision, entry.id
        assert entry.sampling.presence_penalty == 0, entry.id
        assert all(re.fullmatch("[0-9a-f]{64}", part.sha256) for part in entry.parts)
    assert {"starter", "tiny", "qwen3.5-0.8b", "qwen3.5-plus", "glm-5", "minimax-m2.5", "kimi-k2.5"} <= set(
        known.entries
    )


def test_the_slices_of_the_packages_make_the_whole_file() -> None:
    for id in ("starter", "tiny"):
        entry = catalogue.load().get(id)
        assert entry.packages is not None
        assert entry.packages.count == -(-entry.bytes // entry.packages.slice)
        assert entry.sources == ("index", "hub", "modelscope")


def test_a_split_model_has_numbered_pieces() -> None:
    entry = catalogue.load().get("qwen3.5-122b-a10b")
    assert entry.bytes == 77029996032
    assert [part.name for part in entry.parts] == [
        f"Qwen3.5-122B-A10B-UD-Q4_K_XL-0000{n}-of-00003.gguf" for n in (1, 2, 3)
    ]
    assert entry.parts[0].file.startswith("UD-Q4_K_XL/")


def test_variants_and_their_names() -> None:
    known = catalogue.load()
    assert known.get("QWEN3.5-9B:Q5_K_M").bytes == 6577841376
    assert known.get("qwen3.5-9b:q4_k_m").id == "qwen3.5-9b"
    assert {entry.quant for entry in known.variants(known.get("qwen3.5-9b"))} >= {"Q5_K_M", "Q8_0", "Q3_K_M"}


def test_a_mistyped_id_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Did you mean qwen3\.5-9b"):
        catalogue.load().get("qwen35-9b")
    with pytest.raises(UsageError, match="model list"):
        catalogue.load().get("gpt-99")


def test_what_a_header_must_say() -> None:
    known = catalogue.load()
    expect, mixture = known.get("qwen3.5-9b:q8_0").expect, known.get("qwen3.5-35b-a3b").expect
    assert expect is not None and mixture is not None
    assert (expect.architecture, expect.vocabulary) == ("qwen35", 248320)
    assert dict(expect.tokens)["<|im_end|>"] == 248046
    assert mixture == Expect("qwen35moe", expect.vocabulary, expect.tokens)
    assert all(entry.expect for entry in known.entries.values() if not entry.hosted)
    put(GOOD)
    assert catalogue.load().get("mine").expect is None
    put(GOOD.replace("[model.mine.quants]", 'expect = { vocabulary = 9, tokens = { "<x>" = 0 } }\n[model.mine.quants]'))
    assert catalogue.load().get("mine").expect == Expect("", 9, (("<x>", 0),))


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        ("1", "expect: it must be a table"),
        ("{ size = 1 }", "expect.size: there is no such key"),
        ("{ vocabulary = 0 }", "expect.vocabulary: it must be a whole number"),
        ("{ architecture = 2 }", "expect.architecture: it must be a text"),
        ("{ tokens = 3 }", "expect.tokens: it must be a table"),
        ('{ tokens = { "<x>" = "1" } }', "expect.tokens.<x>: it must be a whole number"),
    ],
)
def test_a_bad_expectation_is_refused(expect: str, reason: str) -> None:
    file = put(GOOD.replace("[model.mine.quants]", f"expect = {expect}\n[model.mine.quants]"))
    with pytest.raises(ConfigError) as caught:
        catalogue.load()
    assert reason in str(caught.value) and f"{file}:11:" in str(caught.value)


def test_the_users_file_adds_and_replaces() -> None:
    put(GOOD + '\n[model.big]\nfamily = "qwen3-5"\npath = "big.gguf"\n')
    known = catalogue.load()
    assert known.get("mine").bytes == 10 and known.get("mine:q8_0").bytes == 20
    assert known.get("big").dialect == "qwen35"
    assert known.get("big").path == str(catalogue.user_file().parent / "big.gguf")
    put('default = "starter"\n' + GOOD.replace("model.mine", "model.starter"))
    assert catalogue.load().get("starter").bytes == 10
    assert catalogue.load().default == "starter"


def test_a_server_of_ones_own() -> None:
    put('[provider.here]\nbase_url = "http://127.0.0.1:8080/v1"\n[model.remote]\nprovider = "here"\nmodel = "x"\n')
    entry = catalogue.load().get("remote")
    assert entry.hosted and entry.remote and entry.remote.model == "x" and entry.sampling is None


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[model.mine\n", 1, ""),
        ("x = 1\n", 1, "x: only default"),
        ("\n[model.mine]\nfoo = 1\n", 3, "model.mine.foo: there is no such key"),
        (GOOD.replace("context = 4096", "context = -1"), 7, "model.mine.context: it must be a whole number"),
        (GOOD.replace('"main"', '"../x"'), 4, "model.mine.revision: it must be a revision"),
        (GOOD.replace('"me/mine-GGUF"', '"mine"'), 3, "model.mine.repository"),
        (GOOD.replace('"mine-{quant}.gguf"', '"../mine.gguf"'), 5, "model.mine.file"),
        (GOOD.replace("temperature", "temprature"), 9, "there is no such key"),
        (GOOD.replace("b" * 64, "B" * 64), 13, "model.mine.quants.Q8_0.sha256: it must be 64 hex"),
        (GOOD.replace('quant = "Q4_K_M"', 'quant = "Q5_K_M"'), 6, "quants has no Q5_K_M"),
        (GOOD.replace('dialect = "hermes"\n', ""), 2, "model.mine: dialect is missing"),
        (GOOD.replace("bytes = 20, ", ""), 13, "bytes is missing"),
        ('[model.mine]\nfamily = "none"\n', 2, "there is no [family.none]"),
        ('[model."M X"]\npath = "x.gguf"\n', 1, "an id has small letters"),
        ('[model.mine]\nname = "x"\n', 1, "it needs repository, path or provider"),
        ("[model.mine]\n", 1, "it needs repository"),
        ('[model.mine]\npath = "a.gguf"\nprovider = "b"\n', 1, "provider and path exclude"),
        ('default = "nothing"\n', 1, "there is no model 'nothing'"),
        ("a = 1\nb = \n", 2, ""),
    ],
)
def test_a_bad_entry_is_refused_with_file_line_and_reason(text: str, line: int, says: str) -> None:
    file = put(text)
    with pytest.raises(ConfigError) as caught:
        catalogue.load()
    assert caught.value.message.startswith(f"{file}:{line}: ")
    assert says in caught.value.message


# ---------------------------------------------------------------- choosing


def fetched(entry: Entry, content: bytes) -> Path:
    path = reuse.own_path(entry, entry.parts[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_the_choice_is_the_flag_then_the_settings_then_the_default() -> None:
    assert models.choose(Settings(), None)[0].id == "qwen3.5-9b"
    assert models.choose(Settings(model="starter"), None)[0].id == "starter"
    assert models.choose(Settings(model="starter"), "tiny") == (catalogue.load().get("tiny"), None)


def test_what_was_chosen_is_never_replaced() -> None:
    import hashlib

    put(GOOD.replace("a" * 64, hashlib.sha256(b"0123456789").hexdigest()))
    path = fetched(catalogue.load().get("mine"), b"0123456789")
    assert models.choose(Settings(), None) == (catalogue.load().get("qwen3.5-9b"), None)
    assert models.choose(Settings(), "mine")[1] == path


def test_an_unknown_choice_says_where_it_was_made() -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml: model: .*qwen"):
        models.choose(Settings(model="qwen-9b"), None)
    with pytest.raises(UsageError):
        models.choose(Settings(), "qwen-9b")
    with pytest.raises(ModelMissing, match="no model file"):
        models.choose(Settings(), "/nowhere/x.gguf")


def test_a_damaged_file_is_not_used_and_not_called_missing() -> None:
    put(GOOD)
    fetched(catalogue.load().get("mine"), b"01234")
    with pytest.raises(ModelError, match=r"5 bytes instead of 10\..*model pull mine"):
        models.choose(Settings(), "mine")


@pytest.mark.parametrize(
    ("template", "arch", "dialect", "thinks"),
    [
        ("[gMASK]<sop> <arg_key> enable_thinking", "tiny", "glm", True),
        ("<|start|> <|channel|> <|message|>", "tiny", "harmony", True),
        ("<|im_start|> <tool_call> arguments", "qwen2", "coder", False),
        ("<|im_start|> <tool_call> arguments", "qwen3", "hermes", False),
        ("{{ messages }}", "minimax-m2", "minimax", False),
        ("{{ messages }}", "qwen35moe", "qwen35", False),
        ("<start_of_turn>", "gemma3", "hermes", False),
    ],
)
def test_a_file_is_spoken_to_as_its_template_asks(template: str, arch: str, dialect: str, thinks: bool) -> None:
    assert catalogue.dialect_of(arch, "My-Coder" if arch == "qwen2" else "Some", template) == dialect
    assert dialects.thinks(dialect, template) == thinks


def test_the_header_of_a_file_says_its_dialect(tmp_path: Path) -> None:
    file = make_gguf.make("tiny", tmp_path / "a.gguf", template="]~b]ai <minimax:tool_call> <think>")
    entry = catalogue.entry_of_file(file)
    assert (entry.dialect, entry.thinks) == ("minimax", True)


def test_the_file_with_which_a_model_sees(tmp_path: Path) -> None:
    """Named in the catalogue, lying beside a file of the user's own, or named there."""
    nine = catalogue.load().get("qwen3.5-9b:q8_0")
    assert nine.can_see and nine.eyes is not None and nine.eyes.parts == (nine.projector,) and nine.eyes.id == "qwen3.5-9b"
    assert nine.eyes.eyes is None and reuse.projector(nine) is None
    file = make_gguf.make("tiny", tmp_path / "mine.gguf")
    assert not catalogue.entry_of_file(file).can_see
    eyes = tmp_path / "mmproj-mine-BF16.gguf"
    eyes.write_bytes(b"GGUF")
    entry = catalogue.entry_of_file(file)
    assert reuse.projector(entry) == eyes and entry.eyes is None
    assert entry.model_file(file, projector=reuse.projector(entry)).projector == str(eyes)
    (tmp_path / "mmproj-mine-F16.gguf").write_bytes(b"GGUF")
    assert reuse.projector(catalogue.entry_of_file(file)) == tmp_path / "mmproj-mine-F16.gguf"
    (tmp_path / "mmproj-other-F16.gguf").write_bytes(b"GGUF")
    assert not catalogue.entry_of_file(file).can_see
    own = tmp_path / "models.toml"
    own.write_text('[model.mine]\npath = "mine.gguf"\nprojector = "mmproj-mine-BF16.gguf"\n')
    assert reuse.projector(catalogue.load(own).get("mine")) == eyes
    for line, why in (('projector = ""', "must be a text"), ('projector = { file = "a.gguf" }', "bytes is missing")):
        own.write_text(f'[model.mine]\npath = "mine.gguf"\n{line}\n')
        with pytest.raises(ConfigError, match=why):
            catalogue.load(own)
