"""Grammars, walked by llama.cpp's own grammar sampler over a small vocabulary."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localagent.engine import gbnf
from localagent.engine.dialects import by_name
from localagent.values import ToolSpec

Accepts = Callable[[str, str], bool]


def closed(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
READ = ToolSpec(
    "read_file", "", closed(("path",), path=TEXT, start={"type": "integer", "minimum": 0}, whole={"type": "boolean"})
)
WRITE = ToolSpec("write_file", "", closed(("path", "content"), content=TEXT, path=TEXT))
NOW = ToolSpec("now", "", closed())
MANY = ToolSpec(
    "many",
    "",
    closed(
        (),
        kind={"enum": ["a", 'b "x"', 3]},
        sure={"const": True},
        short={"type": "string", "maxLength": 3},
        long={"type": "string", "maxLength": 100000},
        far={"type": "number"},
        up={"type": "number", "exclusiveMinimum": 0},
        some={"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        maybe={"anyOf": [{"type": "string"}, {"type": "null"}]},
        also={"type": ["integer", "null"]},
        inner=closed(("x",), x={"type": "number"}, y=TEXT),
        free={"type": "object"},
        map={"type": "object", "additionalProperties": {"type": "integer"}},
        any={},
        tree={"$ref": "#/$defs/tree"},
        lost={"$ref": "#/nowhere"},
    )
    | {"$defs": {"tree": closed((), left={"$ref": "#/$defs/tree"}, right={"$ref": "#/$defs/tree"})}},
)
SPECS = (READ, WRITE, NOW, MANY)


@pytest.fixture(scope="module")
def accepts(tiny: str) -> Iterator[Accepts]:
    """Whether a whole text is in a grammar."""
    import llama_cpp

    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(tiny.encode(), parameters)
    vocab = llama_cpp.llama_model_get_vocab(model)
    end = llama_cpp.llama_vocab_eos(vocab)

    def allowed(sampler: Any, token: int) -> bool:
        data = llama_cpp.llama_token_data(token, 0.0, 0.0)
        array = llama_cpp.llama_token_data_array(llama_cpp.ctypes.pointer(data), 1, -1, False)
        llama_cpp.llama_sampler_apply(sampler, llama_cpp.ctypes.byref(array))
        return data.logit == 0.0

    def walk(grammar: str, text: str) -> bool:
        sampler = llama_cpp.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")
        assert sampler, f"llama.cpp refuses the grammar:\n{grammar}"
        raw = text.encode()
        tokens = (llama_cpp.llama_token * (len(raw) + 8))()
        count = llama_cpp.llama_tokenize(vocab, raw, len(raw), tokens, len(tokens), False, False)
        try:
            for token in tokens[:count]:
                if not allowed(sampler, token):
                    return False
                llama_cpp.llama_sampler_accept(sampler, token)
            return allowed(sampler, end)
        finally:
            llama_cpp.llama_sampler_free(sampler)

    yield walk
    llama_cpp.llama_model_free(model)


def call(name: str, arguments: str) -> str:
    return f'\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


VALID = [
    call("read_file", '{"path": "a.txt"}'),
    call("read_file", '{"path": "Größe 🙂 \\"x\\" \\u00e9\\n", "start": 0, "whole": false}'),
    call("read_file", '{"path": "", "whole": true}'),
    call("write_file", '{"content": "<tool_call> ```json", "path": "b"}'),
    call("now", "{}"),
    call("many", "{}"),
    call("many", '{"kind": "b \\"x\\"", "sure": true, "short": "abc", "far": -1.5e-3}'),
    call("many", '{"kind": 3, "up": 0.25, "some": [1, -2, 3], "maybe": null, "also": null}'),
    call("many", '{"some": [7], "maybe": "x", "also": 4, "inner": {"x": 1, "y": "z"}}'),
    call("many", '{"free": {"a": [1, {}]}, "map": {"a": 1, "b": 2}, "any": [null, "x"]}'),
    call("many", '{"tree": {"left": {"right": {}}, "right": {}}, "lost": 3}'),
]
INVALID = [
    call("read_files", '{"path": "a"}'),
    call("read_file", "{}"),
    call("read_file", '{"path": "a", "start": "1"}'),
    call("read_file", '{"path": "a", "start": -1}'),
    call("read_file", '{"path": "a", "start": 1.5}'),
    call("read_file", '{"path": "a", "extra": 1}'),
    call("read_file", '{"path": "a\nb"}'),
    call("read_file", '{"path": "a\tb"}'),
    call("read_file", '{"path": "a\\d"}'),
    call("read_file", '{"path": "a", "path": "a"}'),
    call("read_file", '{"path": "a",}'),
    call("now", '{"a": 1}'),
    call("many", '{"kind": "c"}'),
    call("many", '{"short": "abcd"}'),
    call("many", '{"some": []}'),
    call("many", '{"some": [1, 2, 3, 4]}'),
    call("many", '{"up": -1}'),
    call("many", '{"inner": {}}'),
    call("many", '{"map": {"a": "x"}}'),
    call("read_file", '{"path": "a"}') + "\n",
    '\n{"name": "now"}\n</tool_call>',
]


@pytest.mark.parametrize("text", VALID)
def test_a_valid_call_is_in_the_grammar(accepts: Accepts, text: str) -> None:
    json.loads(text.removesuffix("</tool_call>"))
    assert accepts(by_name("hermes").grammar(SPECS, "auto").triggers[0].grammar, text)


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_call_is_not(accepts: Accepts, text: str) -> None:
    assert not accepts(by_name("hermes").grammar(SPECS, "auto").triggers[0].grammar, text)


def test_a_fence_holds_one_call_or_several(accepts: Accepts) -> None:
    grammar = by_name("coder").grammar(SPECS, "auto").triggers[0].grammar
    first = 'read_file", "arguments": {"path": "a"}}\n'
    second = '{"name": "now", "arguments": {}}\n'
    assert accepts(grammar, first + "```")
    assert accepts(grammar, first + second + second + "```")
    assert not accepts(grammar, first + "{}\n```")
    assert not accepts(grammar, first)


def xml(name: str, **parameters: str) -> str:
    body = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters.items())
    return f"\n<function={name}>\n{body}</function>\n</tool_call>"


XML_VALID = [
    xml("read_file", path="a.txt"),
    xml("read_file", path="", start="3", whole="true"),
    xml("write_file", content='line\n\n</para\n"q" </parameter> <tool_call>\n</function>\n', path="b"),
    xml("now"),
    xml("many", some="[1, 2]", maybe="anything", also="null", inner='{"x": 1}'),
]
XML_INVALID = [
    xml("read_file"),
    xml("read_file", path="a", start="x"),
    xml("read_file", path="a", whole="True"),
    xml("read_file", start="1", path="a"),
    xml("read_file", path="a\n</parameter>\nb"),
    xml("other"),
    "\n<function=read_file>\n<parameter=path>a</parameter>\n</function>\n</tool_call>",
]


@pytest.mark.parametrize("text", XML_VALID)
def test_a_valid_call_in_parameters(accepts: Accepts, text: str) -> None:
    assert accepts(by_name("qwen35").grammar(SPECS, "auto").triggers[0].grammar, text)


@pytest.mark.parametrize("text", XML_INVALID)
def test_an_invalid_call_in_parameters(accepts: Accepts, text: str) -> None:
    assert not accepts(by_name("qwen35").grammar(SPECS, "auto").triggers[0].grammar, text)


def test_string_choices_stand_raw(accepts: Accepts) -> None:
    spec = ToolSpec("pick", "", closed(("kind",), kind={"type": "string", "enum": ["a b", 'c"']}))
    grammar = by_name("qwen35").grammar((spec,), "auto").triggers[0].grammar
    assert accepts(grammar, xml("pick", kind='c"'))
    assert not accepts(grammar, xml("pick", kind="other"))


def _random_schema(rng: random.Random, depth: int = 0) -> Any:
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "any", "ref", "broken"]
    if depth < 3:
        kinds += ["array", "object", "anyOf", "object"]
    match rng.choice(kinds):
        case "array":
            return {"type": "array", "items": _random_schema(rng, depth + 1), "maxItems": rng.randrange(5)}
        case "object":
            keys = rng.sample(['a"b', "ü", "x\n", "n-1", "z", "$"], rng.randrange(5))
            return closed(tuple(keys[::2]), **{k: _random_schema(rng, depth + 1) for k in keys})
        case "anyOf":
            return {"anyOf": [_random_schema(rng, depth + 1) for _ in range(rng.randrange(1, 4))]}
        case "enum":
            return {"enum": [rng.choice(["x", 'q"\\', 1, None, True, {"a": [1]}, "\n"]) for _ in range(3)]}
        case "any":
            return {}
        case "ref":
            return {"$ref": rng.choice(["#", "#/$defs/none", "#/properties/p"])}
        case "broken":
            return rng.choice([True, None, [], {"type": "what"}, {"type": []}, {"maxLength": 10**9, "type": "string"}])
        case kind:
            return {"type": kind, "maxLength": rng.choice([1, 300, 10**6]), "minimum": rng.choice([-1, 0])}


def test_every_schema_gives_a_grammar_that_llama_cpp_reads(accepts: Accepts) -> None:
    rng = random.Random(5)
    for _ in range(150):
        spec = ToolSpec("t", "", closed((), p=_random_schema(rng), q=_random_schema(rng)))
        assert not accepts(gbnf.json_calls([spec], before="", between=" ", after="."), "!")
        assert not accepts(gbnf.xml_calls([spec], before="", after="."), "!")


def test_references_in_circles_and_twenty_options_stay_small() -> None:
    wide = ToolSpec("w", "", closed((), **{f"p{i}": {"$ref": "#"} for i in range(20)}))
    assert len(gbnf.json_calls([wide], before="", between="", after="")) < 60_000
