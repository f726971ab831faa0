"""What a value breaks of its schema, also what no grammar holds; in bounded time, whatever the schema."""

from __future__ import annotations

import time
from typing import Any

import pytest

from localagent.engine.conform import fits, problems

NESTED = {"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": "integer"}},
          "required": ["n"]}}, "$ref": "#/$defs/node"}  # fmt: skip
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    ({"type": "integer"}, [0, -3, 10**30], [1.5, 3.0, "3", True, None]),
    ({"type": "number"}, [0, 1.5], [float("nan"), float("inf"), "1", False]),
    ({"type": ["string", "null"]}, ["", None], [0, []]),
    ({"type": "string", "nullable": True}, [None, "a"], [1]),
    ({"enum": ["a", 1, None, {"k": [1]}]}, ["a", 1, 1.0, None, {"k": [1]}], [True, "A", {"k": [2]}, {}]),
    ({"const": False}, [False], [0, None, ""]),
    ({"type": "boolean", "enum": ["True", "False"]}, [True, "False"], ["true", 1, None]),
    ({"type": "array", "items": {"type": "string"}, "enum": ["a", "b"]}, [["a"], "b", []], [[1], "c", None]),
    ({"type": "object", "properties": {"a": {"const": 1}}, "enum": ["x"]}, ["x", {"a": 1}], [{"a": 2}]),
    ({"minimum": 1, "exclusiveMaximum": 3}, [1, 2.9, "text"], [0, 3]),
    ({"minimum": 1, "exclusiveMinimum": True}, [2], [1, 0]),
    ({"multipleOf": 5}, [0, -10, 15.0], [7, 2.5]),
    ({"multipleOf": 0.1}, [0.3, 7, 1.1], [0.35]),
    ({"minLength": 2, "maxLength": 3}, ["ab", "äöü"], ["a", "abcd"]),
    ({"pattern": "^[a-z]+$"}, ["abc"], ["a1", ""]),
    ({"pattern": r"^(?=.*[A-Z])(?=.*\d).{8,}$"}, ["Abcdefg1"], ["abcdefg1", "Abc1"]),
    ({"pattern": "^(a+)+$"}, ["aaa", "a" * 3000], ["a" * 3000 + "b"]),
    ({"pattern": "(unclosed"}, ["anything"], []),
    ({"format": "date"}, ["2024-02-29"], ["2023-02-29", "29.2.2024", "20240229"]),
    ({"format": "time"}, ["12:30", "12:30:05", "12:30:05Z", "12:30:05.5+02:00"], ["25:00", "noon", "1230"]),
    ({"format": "date-time"}, ["2024-02-29T12:30:05Z", "2024-02-29T12:30:05.123+01:00"], ["2024-02-29", "2024-02-30T12:30:05Z"]),
    ({"format": "email"}, ["o'hara@example.org"], ["example.org", "a b@example.org"]),
    ({"format": "uuid"}, ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567", "g23e4567-e89b-12d3-a456-426614174000"]),
    ({"format": "ipv4"}, ["127.0.0.1"], ["127.0.0.256"]),
    ({"format": "ipv6"}, ["::1"], ["127.0.0.1"]),
    ({"format": "uri"}, ["https://example.org/a"], ["example"]),
    ({"format": "color"}, ["anything"], []),
    ({"uniqueItems": True}, [[1, True, "1"], []], [[1, 1.0], [{"a": 1}, {"a": 1}]]),
    ({"minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
    ({"items": {"type": "string"}, "prefixItems": [{"type": "integer"}]}, [[1, "a"], []], [["a"], [1, 2]]),
    ({"prefixItems": [{}], "items": False}, [[1]], [[1, 2]]),
    ({"contains": {"type": "integer"}, "maxContains": 1}, [["a", 1]], [["a"], [1, 2]]),
    ({"required": ["a"]}, [{"a": None}], [{}]),
    ({"properties": {"a": {}}, "required": ["a", "gone"]}, [{"a": 1}], [{}]),
    ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}], [{"b": 1}]),
    ({"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False}, [{"xa": 1}], [{"xa": "1"}, {"y": 1}]),
    ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "b"}]),
    ({"minProperties": 1, "propertyNames": {"maxLength": 2}}, [{"ab": 1}], [{}, {"abc": 1}]),
    ({"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 2}, {"b": 1}], [{"a": 1}]),
    ({"not": {"type": "null"}}, [1], [None]),
    ({"anyOf": [{"type": "integer"}, {"minLength": 3}]}, [1, "abc"], ["ab"]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, [1, 3.5], [4, 2.5]),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1], [3]),
    ({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}, [{"a": 1, "b": 1}, {"c": 1}], [{"a": 1}, {}]),
    (NESTED, [{"n": 1, "next": {"n": 2}}], [{"n": 1, "next": {"next": {"n": 1}}}]),
    ({"$ref": "#/gone"}, [1, None], []),
    (True, [1], []),
    (False, [], [1]),
    ("no schema", [1], [float("inf")]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "right", "wrong"), CASES, ids=lambda case: str(case)[:40])
def test_what_fits_and_what_does_not(schema: Any, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        assert problems(schema, value) == [], value
    for value in wrong:
        assert problems(schema, value), value
    assert [fits(schema, value) for value in (*right, *wrong)] == [True] * len(right) + [False] * len(wrong)


def test_a_problem_says_where_it_is_and_quotes_little() -> None:
    schema = {"properties": {"days": {"items": {"type": "integer"}}}}
    (told,) = problems(schema, {"days": [1, "x" * 500]})
    assert told.startswith("'days[1]' must be integer") and len(told) < 140
    assert problems({"required": ["city"]}, {}) == ["'city' is missing"]
    assert len(problems({"items": {"type": "integer"}}, ["a"] * 1000)) == 5


def test_references_of_a_part_are_those_of_the_whole() -> None:
    root = {"$defs": {"n": {"type": "integer"}}}
    assert fits({"$ref": "#/$defs/n"}, 1, root) and not fits({"$ref": "#/$defs/n"}, "1", root)


def test_no_schema_takes_long_or_fails() -> None:
    circle: dict[str, Any] = {"anyOf": [{"$ref": "#"}] * 8}
    doubling: Any = {"type": "integer"}
    for _ in range(30):
        doubling = {"anyOf": [doubling, doubling]}
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    choices = {"items": {"enum": [{"n": n} for n in range(3000)]}}
    began = time.process_time()
    assert problems(circle, "a") == problems(doubling, 1) == []
    problems(doubling, "a")
    assert problems({}, deep) == ["it is nested too deeply"] and not fits({}, deep)
    assert problems(choices, [{"n": n} for n in range(3000)]) == []
    problems({"items": {"pattern": "a.*b.*c.*d$"}}, ["abc" * 20] * 5000)
    problems({"patternProperties": {f"a.*{n}.*b$": {} for n in range(500)}}, {f"a{n}" * 20: n for n in range(500)})
    assert time.process_time() - began < 10
