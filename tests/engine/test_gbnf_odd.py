"""No schema and no grammar, however odd, reaches llama.cpp in a form that it could not survive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from localagent.engine import gbnf
from localagent.engine.automaton import Automaton, GrammarError
from localagent.engine.base import Sampling
from localagent.engine.dialects import by_name
from localagent.engine.gbnf_reader import MAX_BYTES
from localagent.engine.grammars import Grammars
from localagent.engine.llama import Chain, Context, Model
from localagent.engine.sampling import sample
from localagent.errors import EngineError
from localagent.values import ToolSpec
from tests.engine.test_automaton import REFUSED


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def nested(depth: int, kind: str) -> Any:
    schema: Any = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema} if kind == "array" else obj(a=schema)
    return schema


def circles(count: int) -> dict[str, Any]:
    """Definitions that each refer to the next two."""
    defs = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{(n + 1) % count}"}, {"$ref": f"#/$defs/d{(n + 2) % count}"}],
                      "type": "object"} for n in range(count)}  # fmt: skip
    return {"$ref": "#/$defs/d0", "$defs": defs}


def wide_unions(depth: int) -> Any:
    schema: Any = {"type": "integer"}
    for number in range(depth):
        schema = {"anyOf": [schema, {"type": "object", "properties": {f"p{number}": schema}}, schema]}
    return schema


def itself() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    schema["properties"]["me"] = schema
    schema["items"] = schema
    return schema


BUSY = {"type": "string", "pattern": "(.*a){30}b{100}|^(x+x+)+y$", "minLength": 3}
ODD: dict[str, Any] = {
    "deep arrays": nested(400, "array"),
    "deep objects": nested(400, "object"),
    "deeper than any stack": nested(30_000, "object"),
    "a million items": {"type": "array", "items": {"type": "array", "maxItems": 10**6}, "minItems": 10**6, "maxItems": 10**6},
    "bounds in bounds": {"type": "array", "maxItems": 200, "items": {
        "type": "array", "maxItems": 200, "items": {"type": "array", "maxItems": 200, "items": {
            "type": "string", "maxLength": 900}}}},
    "references in circles": circles(12),
    "references that branch": {"$ref": "#/$defs/d0", "$defs": {
        f"d{n}": obj(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(60)}},
    "a reference to itself": {"$ref": "#"},
    "a union of itself": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "an object that needs itself": obj(again={"$ref": "#"}),
    "a schema that holds itself": itself(),
    "references to nowhere": obj(a={"$ref": "#/x/y"}, b={"$ref": "http://x"}, c={"$ref": 7}, d={"$ref": "#/$defs/%zz~2"}),
    "unions of unions": wide_unions(7),
    "an empty enum": obj(a={"enum": []}, b={"type": "string", "enum": []}),
    "an enum of 5,000 values": {"enum": [f"value {n:05} of many" for n in range(5000)]},
    "an enum of long values": {"enum": ["x" * n for n in range(1, 2000)]},
    "an enum of odd values": {"enum": [float("nan"), object(), {1, 2}, b"x", "\ud800", "\0", "\x7f", 'q"', "\n</parameter>"]},
    "a huge pattern": {"type": "string", "pattern": "a" * 100_000},
    "nested brackets in a pattern": {"type": "string", "pattern": "(" * 3000 + "a" + ")" * 3000},
    "a pattern that counts": {"type": "string", "pattern": "^((a{0,500}){0,500}){0,500}$"},
    "a pattern that branches": {"type": "string", "pattern": "(a|b|ab)*a.{30}c"},
    "a broken pattern": obj(a={"type": "string", "pattern": "["}, b={"type": "string", "pattern": "*a(?<n"}),
    "many busy patterns": obj(**{f"p{n}": {**BUSY, "pattern": BUSY["pattern"] + str(n)} for n in range(40)}),
    "keys that are no texts": {"type": "object", "properties": {1: {"type": "integer"}, None: {}, ("t",): {}}, "required": [1, None]},
    "names of all kinds": obj(**{'"': {}, "a\nb": {}, "\\": {}, "": {}, "\0": {}, "\x7f": {}, "<b>": {}, "ä🙂": {}}),
    "half a name": {"type": "object", "properties": {"\ud800": {}, "ok": {}}, "required": ["\ud800"]},
    "300 properties": {"type": "object", "properties": {f"property_{n}": {"type": "string"} for n in range(300)}},
    "300 properties, all open": {"type": "object", "additionalProperties": True,
                                 "properties": {f"property {n}": {"enum": [*range(20)]} for n in range(300)}},
    "800 properties": obj(**{f"property_number_{n}": {"type": "array", "items": obj(x={})} for n in range(800)}),
    "numbers that are none": obj(a={"type": "integer", "minimum": float("nan")}, b={"type": "number", "maximum": float("inf")},
                                 c={"type": "integer", "minimum": "3", "maximum": [1]}, d={"type": "integer", "maximum": 10**400}),
    "bounds that cross": obj(a={"type": "integer", "minimum": 5, "maximum": 1}, b={"type": "string", "minLength": 9, "maxLength": 1},
                             c={"type": "array", "minItems": 4, "maxItems": 2}, d={"type": "string", "minLength": -1}),
    "words in the wrong places": {"type": {"a": 1}, "properties": [1, 2], "required": 7, "items": "x", "enum": "abc", "anyOf": {},
                                  "allOf": 3, "pattern": 5, "format": {}, "additionalProperties": "no", "prefixItems": 1},
    "no schemas at all": obj(a=None, b=3, c="string", d=[], e=False, f=True),
    "everything forbidden": {"allOf": [{"type": "string"}, {"type": "integer"}, False]},
    "types nobody knows": obj(a={"type": "whatever"}, b={"type": []}, c={"type": [None, 3]}, d={"type": ["any", "string"]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def context(dense: str) -> Iterator[Context]:
    model = Model(dense)
    made = Context(model, n_ctx=512, threads=1)
    yield made
    made.close()
    model.close()


def _decodes(context: Context, grammar: str) -> str:
    """llama.cpp reads the grammar, and a few tokens of the model are written under it; its shortest text."""
    kept = Grammars(context.model)
    held = kept.start(grammar)
    shortest = held.closing.rest()
    context.clear()
    assert context.decode(context.model.template("go")) == 0
    chain = Chain(context.model, Sampling(temperature=1.5, seed=1))
    for _ in range(6):
        token = sample(context, chain, held.grammar)
        held.accept(token)
        if context.model.is_eog(token) or held.grammar.complete():
            break
        assert context.decode([token]) == 0
    for one in (chain, held.grammar, kept):
        one.close()
    return shortest


@pytest.mark.parametrize("name", ODD)
def test_an_odd_schema_gives_a_grammar_that_the_engine_can_follow(context: Context, name: str) -> None:
    spec = ToolSpec("odd", "", ODD[name] if isinstance(ODD[name], dict) else {})
    inside = ToolSpec("inside", "", {"type": "object", "properties": {"p": ODD[name]}})
    began = time.process_time()
    for form in ("hermes", "qwen35"):
        text = by_name(form).grammar((spec, inside), "required").triggers[0].grammar
        assert len(text.encode()) < MAX_BYTES
        assert len(_decodes(context, text)) < 200_000
    assert time.process_time() - began < 5


def test_many_tools_are_told_apart_and_one_heavy_tool_costs_the_others_nothing() -> None:
    light = [ToolSpec(f"tool_{n}", "", obj(day={"type": "string", "format": "date"})) for n in range(59)]
    heavy = ToolSpec("heavy", "", obj(**{f"p{n}": {"enum": [f"{n} {m}" for m in range(200)]} for n in range(200)}))
    text = gbnf.json_calls([*light, heavy], before="", between=" ", after="")
    start = Automaton.read(text).start()
    assert len(text) < 200_000
    assert start.feed('tool_7 {"day": "2024-01-31"}') is not None and start.feed('tool_7 {"day": "t') is None
    assert start.feed('heavy {"p0": ') is not None and start.feed('heavy {"q') is None


def test_thousands_of_tools_keep_their_names() -> None:
    tools = [ToolSpec(f"tool_{n}", "", obj(a={"type": "string", "pattern": "^a"})) for n in range(3000)]
    text = gbnf.json_calls(tools, before="", between=" ", after="")
    assert len(text) < MAX_BYTES
    start = Automaton.read(text).start()
    assert start.feed("tool_2999 {") is not None and start.feed("tool_3000 {") is None


def test_names_that_no_form_can_write_are_left_out() -> None:
    for form in ("hermes", "qwen35", "coder"):
        odd = [ToolSpec(name, "", {}) for name in ("\ud800", "", "a>b\n", 'q"', "ok")]
        call = by_name(form).grammar(odd, "required")
        assert Automaton.read(call.triggers[0].grammar).start().completion()
        alone = by_name(form).grammar(odd[:1], "required")
        assert Automaton.read(alone.triggers[0].grammar).start().completion()


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_grammar_is_refused_before_llama_cpp_sees_it(
    context: Context, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("localagent.engine.llama.grammar.L", None)
    kept = Grammars(context.model)
    with pytest.raises(EngineError):
        kept.start(REFUSED[name])


def test_the_reader_agrees_with_llama_cpp(context: Context) -> None:
    """What llama.cpp itself refuses is refused; what is read here is read there."""
    for text in ['root ::= "a"{3}', "root ::= [a-z]+ ( . | [^\\n] )?", 'root ::= "\\U0001F642" # x', "root ::= a\na ::= [\\-\\]]"]:
        Automaton.read(text)
        _decodes(context, text + " | a-b\na-b ::= [0-9]{2,4}" if "\n" not in text else text)
    for text in ['root ::= "a" b', "root ::= [", 'root ::= "\\q"', "root ::= *"]:
        with pytest.raises(GrammarError):
            Automaton.read(text)


def test_a_schema_too_deep_to_be_looked_through_names_no_sets() -> None:
    deep = ToolSpec("deep", "", nested(30_000, "object"))
    assert gbnf.bind([deep], {"any": ("a",)})[0] is deep


def test_deep_json_schemas_from_a_file_are_read() -> None:
    schema = json.loads('{"type": "array", "items": ' * 900 + "{}" + "}" * 900)
    assert Automaton.read(gbnf.json_value(schema, after=".")).start().feed("[[[]]].") is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"}, {"enum": [1, [2], "x"]}, {"type": ["object", "null"], "nullable": True}, {"const": False},
        {"type": "object", "allOf": [{"type": "string"}]}, {"anyOf": [{"type": "integer"}, {"type": "object"}]},
        {"allOf": [3, {"enum": 0}, {"enum": [0]}]}, {"allOf": [False, {}]}, {"properties": 3, "required": 4},
    ],
)  # fmt: skip
def test_arguments_are_an_object_whatever_the_schema_says(schema: dict[str, Any]) -> None:
    spec = ToolSpec("odd", "", schema)
    for form in ("hermes", "mistral", "gemma", "kimi", "qwen35"):
        dialect = by_name(form)
        trigger = dialect.grammar([spec], "required", parallel=False).triggers[0]
        parser = dialect.parser([spec], thinking=False)
        parser.feed(trigger.text + Automaton.read(trigger.grammar).start().completion())
        parsed = parser.finish()
        assert [(call.name, dict(call.args)) for call in parsed.calls] == [("odd", {})], parsed
