"""What the grammar of a schema allows: keyword by keyword, then schemas at random, held against other judges."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest

from localagent.engine import gbnf
from localagent.engine.automaton import Automaton
from localagent.engine.dialects import by_name
from localagent.toolbox import schema as later
from localagent.values import ToolSpec
from tests.engine.grammar_oracle import fits, random_text
from tests.rounds import rounds

ROUNDS = int(os.environ.get("LOCALAGENT_FUZZ_ROUNDS", rounds(25)))


def obj(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def allows(schema: Any, text: str) -> bool:
    state = Automaton.read(gbnf.json_value(schema, after="")).start().feed(text)
    return state is not None and state.complete


TREE = {"$ref": "#/$defs/t", "$defs": {"t": obj(("v",), v={"type": "integer"}, next={"$ref": "#/$defs/t"})}}
LIST = {"anyOf": [{"type": "null"}, obj(("rest",), rest={"$ref": "#"})]}
BOTH = {"allOf": [obj(("a",), a={"type": "integer"}), {"properties": {"a": {"minimum": 3}, "b": {"type": "string"}}}]}
EITHER = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
          "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}  # fmt: skip

TABLE: list[tuple[Any, list[str], list[str]]] = [
    ({"enum": ["a", 1, None, {"k": [1]}]}, ['"a"', "1", "null", '{"k": [1]}'], ['"b"', "true"]),
    ({"type": "string", "enum": ["a", 1]}, ['"a"'], ["1"]),
    ({"const": 'q"\n'}, ['"q\\"\\n"'], ['"q"']),
    ({"enum": [f"n{i}" for i in range(5000)]}, ['"n0"', '"n4999"', '"n17"'], ['"n5000"', '"n"']),
    ({"enum": ["a", "ab", "abc", "b", "ba", "c", "d", "e", "f", "a\ud800"]}, ['"a"', '"abc"', '"ba"'], ['"abcd"', '""']),
    ({"enum": []}, ["1", '"x"'], ["x"]),
    ({"type": "string", "pattern": "^[A-Z]{2}-\\d+$"}, ['"AB-1"', '"ZZ-123"'], ['"A-1"', '"AB-"', '"AB-1x"']),
    ({"type": "string", "pattern": "@"}, ['"@"', '"a@b"', '"\\"@"'], ['"a"', '""']),
    ({"type": "string", "pattern": '^"\\\\?\\n$'}, ['"\\"\\\\\\n"', '"\\"\\n"'], ['"\\n"']),
    ({"type": "string", "pattern": "^(a+)+$", "maxLength": 3}, ['"a"', '"aaa"'], ['"aaaa"', '""']),
    ({"type": "string", "pattern": "^(?!x)"}, ['"x"'], ["1"]),
    ({"type": "string", "format": "date"}, ['"2024-02-29"', '"2023-12-31"'], ['"2023-02-29"', '"2023-13-01"', '"soon"']),
    ({"type": "string", "format": "date-time"}, ['"2024-01-02T03:04:05Z"'], ['"2024-01-02"']),
    ({"type": "string", "format": "time"}, ['"23:59"', '"07:30:00.5+02:00"'], ['"24:00"', '"7:30"']),
    ({"type": "string", "format": "uuid"}, ['"12345678-1234-abcd-ABCD-123456789012"'], ['"1234"']),
    ({"type": "string", "format": "email"}, ['"a.b+c@d-e.org"'], ['"a@b"', '"a b@c.de"']),
    ({"type": "string", "format": "no such"}, ['"x"'], ["x"]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"a\\n"', '"äöü"'], ['"a"', '"abcd"']),
    ({"type": "string"}, ['"\\u00e9 🙂"', '"/\\/"'], ['"\\ud83d"', '"\\ud83d\\ude00"', '"\n"', '"\x7f"']),
    ({"type": "integer", "minimum": -5, "maximum": 120}, ["-5", "0", "99", "120"], ["-6", "121", "1.0", "007"]),
    ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10}, ["1", "9"], ["0", "10", "-1"]),
    ({"type": "integer", "minimum": 5, "exclusiveMinimum": True}, ["6"], ["5"]),
    ({"type": "integer", "minimum": 10**30}, [str(10**9)], ["x"]),
    ({"type": "integer"}, ["1234567890123456789", "-18446744073709551615"], ["1" * 21, "1.0", "1e3"]),
    ({"type": "integer", "minimum": 2**53 + 1, "maximum": 10**17 + 1}, ["9007199254740993", "100000000000000001"],
     ["9007199254740992", "100000000000000002", "9007199254740993.0"]),
    ({"type": "integer", "maximum": -(10**16)}, ["-10000000000000000", "-99999999999999999"], ["-9999999999999999", "0"]),
    ({"type": "integer", "minimum": 10**15}, ["1000000000000000", "123456789012345678"], ["999999999999999"]),
    ({"type": "number", "exclusiveMinimum": 100}, ["100.1", "100.000000000001", "12345678901234567"],
     ["100", "100.000000000000001", "100.0"]),
    ({"type": "number", "exclusiveMaximum": 100}, ["99.99"], ["99.999999999999999", "100"]),
    ({"type": "number", "minimum": 0.30000000000000004, "maximum": 0.30000000000000004}, ["0.30000000000000004"], ["0.3"]),
    ({"type": "number", "minimum": 1e-20, "maximum": 1e-19}, ["1e-20", "1e-19"], ["0", "1"]),
    ({"type": "integer", "multipleOf": 5}, ["0", "-5", "15", "10000000000000000000005"], ["1", "-4", "05"]),
    ({"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 30}, ["7", "28"], ["0", "8", "35"]),
    ({"type": "number", "multipleOf": 0.25}, ["0.25", "-1.5", "3", "3.0", "2.50"], ["0.3", "1.125", "1."]),
    ({"type": "number", "multipleOf": 0.01, "minimum": 0}, ["0.01", "19.99", "5"], ["0.001", "-1"]),
    ({"type": "number", "minimum": -5, "exclusiveMinimum": True}, ["-4", "0.5"], ["-5", "-6"]),
    ({"type": "string", "maxLength": 900}, ['"' + "x" * 900 + '"', '""', '"' + "\\n" * 900 + '"'], ['"' + "x" * 901 + '"']),
    ({"type": "string", "minLength": 65, "maxLength": 4000}, ['"' + "ü" * 65 + '"', '"' + "x" * 4000 + '"'],
     ['"' + "x" * 64 + '"', '"' + "x" * 4001 + '"']),
    ({"type": "string", "pattern": "^[a-z@.]+$", "maxLength": 1000}, ['"' + "a" * 1000 + '"'], ['"' + "a" * 1001 + '"', '""']),
    ({"type": "string", "maxLength": 3.0}, ['"abc"'], ['"abcd"']),
    ({"enum": ["a", "b"], "const": "a"}, ['"a"'], ['"b"']),
    ({"allOf": [{**obj((), a={}), "additionalProperties": False}, obj((), a={"type": "integer"}, b={})]},
     ["{}", '{"a": 1}'], ['{"b": 1}', '{"a": "x"}']),
    ({"type": "object", "required": ["a"]}, ['{"a": 1}', '{"a": null}'], ["{}", '{"b": 1}']),
    ({**obj(("a", "z"), a={"type": "null"}), "additionalProperties": {"type": "integer"}},
     ['{"a": null, "z": 3}'], ['{"a": null}', '{"a": null, "z": "x"}']),
    ({**obj((), a={"type": "null"}, b={}), "minProperties": 1}, ['{"a": null}', '{"b": 1}'], ["{}"]),
    ({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2},
     ['{"a": 1}', '{"a": 1, "b": 2}'], ["{}", '{"a": 1, "b": 2, "c": 3}']),
    ({"type": "object", "patternProperties": {"^x": {"type": "integer"}, "^y": {"type": "null"}}},
     ["{}", '{"x1": 1, "y": null}'], ['{"x": null}', '{"z": 1}']),
    ({"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": {"type": "null"}},
     ['{"x": 1, "a": null}'], ['{"x": null}', '{"a": 1}']),
    ({"type": "object", "propertyNames": {"enum": ["a", "b"]}}, ['{"a": 1, "b": []}'], ['{"c": 1}']),
    ({"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}, "additionalProperties": {"type": "null"}},
     ['{"ab": null}'], ['{"A": null}', '{"": null}', '{"a": 1}']),
    ({"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 3}, ['[1, "x", null]'], ["[1]", '["x", 1, 2]', "[1, 2]"]),
    ({"type": "array", "items": {"type": "integer"}, "maxItems": 900}, ["[" + ", ".join("1" * 900) + "]"],
     ["[" + ", ".join("1" * 901) + "]"]),
    ({"type": "number", "minimum": 0}, ["0", "1.5"], ["-1"]),
    ({"type": "number", "minimum": 0.5, "exclusiveMaximum": 2}, ["0.5", "1.99", "0.50"], ["0.49", "2", "2.0", "5e-1"]),
    ({"type": "number", "minimum": 5, "maximum": 3}, ["4", "9"], ["x"]),
    ({"type": "number", "minimum": float("nan"), "maximum": float("inf")}, ["4"], ["NaN"]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, ["[1]", "[1, 2]"], ["[]", "[1, 2, 3]"]),
    ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, ['["a", 1]'], ['["a"]', '["a", 1, 2]']),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "maxItems": 2},
     ['["a"]', '["a", 1]'], ['["a", "b"]', '["a", 1, 2]', "[]"]),
    ({"type": "array", "items": [{"type": "integer"}], "additionalItems": True}, ["[1]", '[1, "x"]'], ['["x"]']),
    (obj(("b",), a={"type": "integer"}, b={"type": "null"}, c={}),
     ['{"b": null}', '{"b": null, "a": 1}', '{"b": null, "c": []}', '{"b": null, "a": 1, "c": {}}'],
     ["{}", '{"a": 1, "b": null}', '{"b": null, "c": 1, "a": 1}', '{"b": null, "d": 1}']),
    (obj((), a={"type": "integer"}, b={"type": "null"}, c={"const": 1}),
     ["{}", '{"a": 1}', '{"b": null}', '{"c": 1}', '{"a": 1, "c": 1}'], ['{"a": 1, }', '{, "a": 1}', '{"c": 1, "a": 1}']),
    ({**obj(("a",), a={"type": "integer"}), "additionalProperties": {"type": "boolean"}},
     ['{"a": 1}', '{"a": 1, "x": true}', '{"a": 1, "": true, "aa": false}'], ['{"a": 1, "a": true}', '{"a": 1, "x": 1}']),
    ({**obj((), a={"type": "integer"}), "additionalProperties": True}, ['{"x": []}', "{}"], ['{"a": []}', '{"\\u0061": []}']),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, ["{}", '{"x": 1, "y": 2}'], ['{"x": "1"}']),
    ({"type": "object", "additionalProperties": False}, ["{}"], ['{"x": 1}']),
    ({"type": "object", "patternProperties": {"^x-": {"type": "integer"}}}, ['{"x-a": 1}'], ['{"a": 1}', '{"x-a": null}']),
    (obj((), **{'q"\n\\': {"const": 1}, "ü": {"const": 2}}), ['{"q\\"\\n\\\\": 1, "ü": 2}'], ['{"q": 1}']),
    (obj(("x",), x={"type": "string"}, y=False), ['{"x": ""}'], ['{"x": "", "y": 1}']),
    ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, ["1", "true"], ['"x"', "null"]),
    ({"oneOf": [{"const": 1}, {"const": 2}], "description": "x"}, ["1", "2"], ["3"]),
    ({"type": ["string", "null"], "maxLength": 1}, ['"a"', "null"], ['"ab"', "1"]),
    ({"type": "integer", "nullable": True}, ["1", "null"], ['"x"']),
    (BOTH, ['{"a": 3}', '{"a": 30, "b": ""}'], ["{}", '{"a": 2}', '{"b": ""}']),
    (EITHER, ['{"a": 1}', '{"b": 1}', '{"a": 1, "b": 2}'], ["{}", '{"a": null}']),
    (TREE, ['{"v": 1}', '{"v": 1, "next": {"v": 2, "next": {"v": 3}}}'], ['{"v": 1, "next": null}', "{}"]),
    (LIST, ["null", '{"rest": null}', '{"rest": {"rest": null}}'], ['{"rest": 1}', "{}"]),
    (obj(("again",), again={"$ref": "#"}), ['{"again": {}}'], ["{}"]),
    ({"$ref": "#/nowhere"}, ["1", '"x"'], ["x"]),
    ({"$ref": "#"}, ["1"], ["x"]),
    ({"type": "dict", "properties": {"x": {"type": "float"}}}, ['{"x": 1.5}'], ["[]", '{"x": "1"}']),
    ({"type": "tuple", "items": {"type": "int"}}, ["[1, 2]"], ['["x"]']),
    ({"type": "any"}, ["1", "null", "{}"], ["x"]),
    (True, ["1", "[]"], ["x"]),
    (None, ["1"], ["x"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "within", "without"), TABLE, ids=[repr(row[0])[:60] for row in TABLE])
def test_json_of_a_schema(schema: Any, within: list[str], without: list[str]) -> None:
    automaton = Automaton.read(gbnf.json_value(schema, after=""))
    for text in within:
        json.loads(text)
        state = automaton.start().feed(text)
        assert state is not None and state.complete, text
    for text in without:
        state = automaton.start().feed(text)
        assert state is None or not state.complete, text


RAW: list[tuple[Any, list[str], list[str]]] = [
    (
        {"type": "string"},
        ["x", "", "a\nb", "1", "</p>", "a </parameter> b"],
        ["</parameter>", "a\n</parameter>\nb", "\x01"],
    ),
    ({"type": "string", "maxLength": 3}, ["", "a\nb", "</x", "\n\n\n", " x "], ["abcd", "\nab\n", "    "]),
    ({"type": "string", "maxLength": 400}, ["", "x" * 400, "</p>" * 100, "\n" * 400], ["x" * 401, "</parameter>"]),
    ({"type": "string", "minLength": 1}, ["x", "\n"], [""]),
    ({"type": "string", "minLength": 70}, ["x" * 70, "\n" * 70, "y" * 5000], ["x" * 69, " " * 69]),
    ({"type": "string", "minLength": 33, "maxLength": 999}, ["x" * 33, "</" * 499], ["x" * 32, "x" * 1000]),
    ({"type": "string", "pattern": "^[ab]*$", "maxLength": 900}, ["a" * 900, ""], ["a" * 901, "c"]),
    ({"enum": ["", "a"]}, ["", "a"], ["b", " "]),
    ({"type": ["string", "integer"], "maxLength": 90}, ["x" * 90, "12"], ["x" * 91]),
    (
        {"anyOf": [{"type": "string", "maxLength": 90}, {"type": "integer", "multipleOf": 5}]},
        ["x" * 90, "15"],
        ["13", "x" * 91],
    ),
    ({"type": "string", "pattern": "^\\d+$"}, ["12"], ["", "x"]),
    ({"type": "string", "format": "date"}, ["2024-01-31"], ["today"]),
    ({"enum": ["a b", 'c"', "1"]}, ["a b", 'c"', "1"], ["a", '"a b"']),
    ({"enum": ["1", 2, "x"]}, ['"1"', "2", "x"], ["1", '"x"']),
    ({"type": ["string", "null"]}, ["null", "x", "5"], []),
    ({"anyOf": [{"type": "string"}, obj(("x",), x={"type": "integer"})]}, ["x", '{"x": 1}'], ["{}", "5", '"x"', " x"]),
    ({"type": "integer", "maximum": 9}, ["9", "-12"], ["10", "x", ""]),
    ({"type": "array", "items": {"type": "string"}}, ['["a"]'], ["a"]),
    ({}, ["x", "1", "{"], ["</parameter>"]),
]


@pytest.mark.parametrize(("schema", "within", "without"), RAW, ids=[repr(row[0])[:60] for row in RAW])
def test_raw_values_of_a_schema(schema: Any, within: list[str], without: list[str]) -> None:
    spec = ToolSpec("t", "", obj(("v",), v=schema))
    automaton = Automaton.read(by_name("qwen35").grammar([spec], "required").triggers[0].grammar)
    for text in [*within, *without]:
        call = f"\n<function=t>\n<parameter=v>\n{text}\n</parameter>\n</function>\n</tool_call>"
        state = automaton.start().feed(call)
        assert (state is not None and state.complete) == (text in within), text
        if text in within:
            parser = by_name("qwen35").parser([spec], thinking=False)
            parser.feed("<tool_call>" + call)
            (made,) = parser.finish().calls
            assert fits(made.args["v"], schema, schema), (text, made)


def test_grammars_are_kept_and_told_apart() -> None:
    def spec(high: int) -> ToolSpec:
        return ToolSpec("t", "", obj((), n={"type": "integer", "maximum": high}))

    forms = {"before": "", "between": "", "after": ""}
    first = gbnf.json_calls([spec(5)], **forms)
    assert gbnf.json_calls([spec(5)], **forms) is first
    assert gbnf.json_calls([spec(6)], **forms) != first
    assert gbnf.json_calls([spec(5)], **{**forms, "again": ","}) != first


def test_strings_are_bounded_where_that_is_asked_for() -> None:
    spec = ToolSpec("t", "", obj((), a={"type": "string"}, b={"type": "string", "maxLength": 2}, c={}))
    text = gbnf.json_calls([spec], before="", between=" ", after="", max_string=5)
    start = Automaton.read(text).start()
    assert start.feed('t {"a": "12345", "b": "12", "c": ["12345"]}') is not None
    assert all(start.feed(f"t {wrong}") is None for wrong in ('{"a": "123456', '{"b": "123', '{"c": ["123456'))


def test_named_sets_become_choices_and_leave_no_trace() -> None:
    who = {"type": "string", "x-choices": "people", "description": "who"}
    open_set, unknown = {"type": "string", "x-choices": "none"}, {"type": "string", "x-choices": "other"}
    plain = ToolSpec("plain", "", obj((), a={"type": "string"}))
    spec = ToolSpec("send", "", obj(("to",), to={"type": "array", "items": who}, cc={"anyOf": [who, {"type": "null"}]},
                                    a=open_set, b=unknown, **{"x-choices": {"type": "integer"}}))  # fmt: skip
    kept, bound = gbnf.bind([plain, spec], {"people": ("Ann", "Bo", "Ann"), "none": ()})
    assert kept is plain
    assert bound.parameters["properties"]["to"]["items"] == {
        "type": "string",
        "description": "who",
        "enum": ["Ann", "Bo"],
    }
    assert bound.parameters["properties"]["a"] == bound.parameters["properties"]["b"] == {"type": "string"}
    assert bound.parameters["properties"]["x-choices"] == {"type": "integer"}, "a parameter may have that name"
    assert spec.parameters["properties"]["b"] is unknown and "x-choices" in unknown
    start = Automaton.read(gbnf.json_calls([bound], before="", between=" ", after="")).start()
    assert start.feed('send {"to": ["Ann", "Bo"], "cc": "Bo", "a": "any"}') is not None
    assert start.feed('send {"to": ["Al') is None
    shown = gbnf.bind([spec], {})[0].parameters["properties"]
    assert shown["to"] == {"type": "array", "items": {"type": "string", "description": "who"}}


# ---------------------------------------------------------------- schemas at random

_KEYS = ['a"b', "ü", "x\n", "n-1", "z", "$", "a b", "path", "<p>", "ok", "name"]
_PATTERNS = ["^[A-Z]{2}-\\d+$", "@", "^(a|b)+$", "\\.py$", "^\\S+$", "x{3,5}", '^[^"\\\\]*$', "^$|^\\w+ \\w+$"]
_DEFS = {
    "tree": {**obj(("v",), left={"$ref": "#/$defs/tree"}, v={"type": "integer"}), "additionalProperties": False},
    "node": {"anyOf": [{"type": "null"}, obj(("next",), next={"$ref": "#/$defs/node"})]},
}
_ODD = [True, {"type": "what"}, {"type": []}, {"type": "any"}, {"type": "dict"}, {"enum": []}, {"description": "x"},
        {"type": "tuple", "items": {"type": "float"}}]  # fmt: skip
_VALUES = ["x", 'q"\\', "1", 1, 2.5, None, True, {"a": [1]}, "\n", "null", "-", "</parameter>"]


def _string(rng: random.Random) -> dict[str, Any]:
    kind = rng.randrange(4)
    if kind == 0:
        return {"type": "string", "pattern": rng.choice(_PATTERNS)}
    if kind == 1:
        return {"type": "string", "format": rng.choice(["date", "uuid", "email", "path", "other"])}
    bounds = {"minLength": rng.randrange(4), "maxLength": rng.choice([3, 5, 64, 300, 5000])}
    return {"type": "string", **{key: bounds[key] for key in rng.sample(sorted(bounds), rng.randrange(3))}}


def _number(rng: random.Random) -> dict[str, Any]:
    low = rng.choice([0, 1, -3, 99, 12345, rng.uniform(-2, 2)])
    kind = rng.choice(["integer", "number"])
    bounds = {rng.choice(["minimum", "exclusiveMinimum"]): low, rng.choice(["maximum", "exclusiveMaximum"]): low + 3}
    return {"type": kind, **{key: bounds[key] for key in rng.sample(sorted(bounds), rng.randrange(3))}}


def _schema(rng: random.Random, depth: int = 0) -> Any:
    leaves = ["string", "string", "number", "simple", "enum", "const", "ref", "odd"]
    match rng.choice(leaves + (["list", "object", "union", "types", "all", "map", "tuple"] if depth < 3 else [])):
        case "string":
            return _string(rng)
        case "number":
            return _number(rng)
        case "simple":
            return {"type": rng.choice(["boolean", "null", "string", "integer"])}
        case "enum":
            return {"enum": [rng.choice(_VALUES) for _ in range(rng.randrange(1, 15))]}
        case "const":
            return {"const": rng.choice(["x", 1, None, [1, 2], {"k": "v"}])}
        case "ref":
            return {"$ref": rng.choice(["#/$defs/tree", "#/$defs/node", "#/nowhere"])}
        case "list":
            low = rng.randrange(3)
            bounds = {"minItems": low, "maxItems": low + rng.randrange(4)} if rng.random() < 0.6 else {}
            return {"type": "array", "items": _schema(rng, depth + 1), **bounds}
        case "tuple":
            first = [_schema(rng, depth + 1) for _ in range(rng.randrange(1, 3))]
            return {"type": "array", "prefixItems": first, "items": rng.choice([False, True, {"type": "integer"}])}
        case "map":
            return {"type": "object", "additionalProperties": rng.choice([True, _schema(rng, depth + 1)])}
        case "object":
            keys = rng.sample(_KEYS, rng.randrange(6))
            found = obj(tuple(keys[::2]), **{key: _schema(rng, depth + 1) for key in keys})
            return {**found, "additionalProperties": rng.choice([False, False, True, {"type": "integer"}])}
        case "union":
            return {rng.choice(["anyOf", "oneOf"]): [_schema(rng, depth + 1) for _ in range(rng.randrange(1, 4))]}
        case "types":
            return {"type": rng.sample(["string", "integer", "null", "boolean", "number", "array", "object"], 2)}
        case "all":
            return {"allOf": [obj(("a",), a=_schema(rng, depth + 1)), {"properties": {"b": _schema(rng, depth + 1)}}]}
    return rng.choice(_ODD)


@pytest.mark.parametrize("form", ["hermes", "qwen35"])
def test_whatever_a_grammar_allows_is_what_the_schema_asks_for(form: str) -> None:
    for seed in range(ROUNDS):
        rng = random.Random(f"{form} {seed}")
        keys = [key for key in rng.sample(_KEYS, rng.randrange(1, 5)) if form == "hermes" or not set(key) & set("<>\n")]
        parameters = obj(tuple(keys[::2]), **{key: _schema(rng) for key in keys})
        parameters |= {"additionalProperties": False, "$defs": _DEFS}
        spec = ToolSpec("t", "", parameters)
        dialect = by_name(form)
        call = dialect.grammar([spec], "required")
        automaton = Automaton.read(call.triggers[0].grammar)
        for length in (5, 60, 250):
            text = call.forced + random_text(automaton, rng, length)
            parser = dialect.parser([spec], thinking=False)
            parser.feed(text)
            parsed = parser.finish()
            assert len(parsed.calls) == 1 and not parsed.repairs and not parsed.cut, (seed, text)
            args = dict(parsed.calls[0].args)
            assert fits(args, parameters, parameters), (seed, parameters, text)
            assert later.repair(parameters, args)[2] == [], (seed, parameters, text)
