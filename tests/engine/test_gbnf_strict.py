"""What a grammar allows, held against all of JSON Schema: a value that breaks a keyword is one that `unheld` names."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from localagent.engine import gbnf
from localagent.engine.automaton import Automaton
from localagent.engine.dialects import by_name
from localagent.values import ToolSpec
from tests.engine.grammar_oracle import faults, random_text
from tests.rounds import rounds

ROUNDS = int(os.environ.get("LOCALAGENT_FUZZ_ROUNDS", rounds(48)))
FORMS = ("hermes", "qwen35", "glm", "glm46", "minimax", "kimi", "gemma", "mistral", "llama3", "harmony", "coder")

_KEYS = ['a"b', "ü", "n-1", "z", "a b", "path", "ok", "x_1", "x_2", "$", "Ab"]
_VALUES = [
    "x",
    'q"\\',
    "1",
    1,
    2.5,
    None,
    True,
    {"a": [1]},
    "null",
    "-",
    "",
    " x ",
    "</p>",
    'a<|"|',
    10**17 + 1,
    1e22,
    0.1,
]
_PATTERNS = [
    "^[A-Z]{2}-\\d+$",
    "@",
    "^(a|b)+$",
    "\\.py$",
    "^\\S+$",
    "^(?!x)a",
    "\\bx\\b",
    "^\\w+$",
    "(\\d)\\1",
    "^[^<]*$",
    ".",
]
_BOUNDS = [0, 1, -3, 99, 0.5, 1e-20, -0.0, 10**15, 2**53 + 1, 10**18 + 7, -(10**16), 100, 0.1 + 0.2, 123456.78901234567]
_DEFS = {
    "tree": {
        "type": "object",
        "properties": {"left": {"$ref": "#/$defs/tree"}, "v": {"type": "integer"}},
        "required": ["v"],
    },
    "a/b~c": {"type": "string", "maxLength": 40},
    "loop": {"$ref": "#/$defs/loop"},
    "two": {"anyOf": [{"$ref": "#/$defs/three"}, {"type": "null"}]},
    "three": {"type": "array", "items": {"$ref": "#/$defs/two"}, "maxItems": 2},
}


class Maker:
    """Schemas at random, in which every keyword may be found."""

    def __init__(self, rng: random.Random, keys: list[str]) -> None:
        self.rng, self.keys = rng, keys

    def some(self, chance: float, **words: Any) -> dict[str, Any]:
        return {word: made() if callable(made) else made for word, made in words.items() if self.rng.random() < chance}

    def string(self) -> dict[str, Any]:
        low = self.rng.choice([0, 1, 2, 5, 30, 40])
        high = low + self.rng.choice([0, 1, 10, 33, 64, 250, 900, 5000])
        return {"type": "string", **self.some(
            0.3, minLength=low, maxLength=high, pattern=lambda: self.rng.choice(_PATTERNS),
            format=lambda: self.rng.choice(["date", "uuid", "ipv4", "hostname", "path"]),
        )}  # fmt: skip

    def number(self) -> dict[str, Any]:
        low = self.rng.choice(_BOUNDS)
        high = low + self.rng.choice([0, 1, 3, 1000, 0.5])
        found: dict[str, Any] = {"type": self.rng.choice(["integer", "number", "number"])}
        found |= self.some(0.5, **{self.rng.choice(["minimum", "exclusiveMinimum"]): low})
        found |= self.some(0.5, **{self.rng.choice(["maximum", "exclusiveMaximum"]): high})
        if "minimum" in found:
            found |= self.some(0.1, exclusiveMinimum=True)
        return found | self.some(0.2, multipleOf=lambda: self.rng.choice([1, 2, 5, 7, 100, 0.1, 0.25, 0.01, 1e-9, 777]))

    def array(self, depth: int) -> dict[str, Any]:
        low = self.rng.randrange(3)
        return {"type": "array", **self.some(
            0.5, items=lambda: self.schema(depth + 1), minItems=low, maxItems=low + self.rng.randrange(4),
        ), **self.some(
            0.1, uniqueItems=True, contains=lambda: self.schema(depth + 1),
            prefixItems=lambda: [self.schema(depth + 1) for _ in range(self.rng.randrange(1, 3))],
        )}  # fmt: skip

    def object(self, depth: int) -> dict[str, Any]:
        keys = self.rng.sample(self.keys, self.rng.randrange(5))
        due = [*keys[::2], *(["extra"] if self.rng.random() < 0.1 else [])]
        found: dict[str, Any] = {"type": "object", **self.some(0.8, required=due)}
        found |= self.some(0.8, properties=lambda: {key: self.schema(depth + 1) for key in keys})
        found |= self.some(
            0.4,
            additionalProperties=lambda: self.rng.choice([True, False, {"type": "integer"}, self.schema(depth + 1)]),
        )
        return found | self.some(
            0.15, minProperties=lambda: self.rng.randrange(3), maxProperties=lambda: self.rng.randrange(1, 5),
            patternProperties=lambda: {
                one: self.schema(depth + 1) for one in self.rng.sample(["^x_", "\\d$", "^[A-Z]", "^(?!a)"], self.rng.randrange(1, 3))
            },
            propertyNames=lambda: self.rng.choice([{"pattern": "^[a-z_0-9]+$"}, {"enum": ["x_1", "ok", "Q"]}, {"maxLength": 3}]),
            dependentRequired=lambda: {self.rng.choice(_KEYS): [self.rng.choice(_KEYS)]},
        )  # fmt: skip

    def schema(self, depth: int = 0) -> Any:
        rng = self.rng
        if rng.random() < 0.03:
            return rng.choice([True, {}, {"description": "x"}, {"default": 3}])
        deep = ["array", "array", "object", "object", "union", "types", "all"] if depth < 3 else []
        match rng.choice(["string", "string", "number", "number", "simple", "enum", "const", "ref", *deep]):
            case "string":
                found = self.string()
            case "number":
                found = self.number()
            case "array":
                found = self.array(depth)
            case "object":
                found = self.object(depth)
            case "enum":
                found = {"enum": [rng.choice(_VALUES) for _ in range(rng.randrange(1, 12))]}
            case "const":
                found = {"const": rng.choice([*_VALUES, [1, 2], {"k": "v"}])}
            case "ref":
                return {
                    "$ref": rng.choice(["#/$defs/tree", "#/$defs/a~1b~0c", "#/$defs/two", "#/$defs/loop", "#/nowhere"])
                }
            case "union":
                found = {rng.choice(["anyOf", "oneOf"]): [self.schema(depth + 1) for _ in range(rng.randrange(1, 4))]}
            case "types":
                kinds = rng.sample(["string", "integer", "null", "boolean", "number", "array", "object"], 2)
                found = {**self.string(), **self.number(), "type": kinds}
            case "all":
                found = {"allOf": [self.object(depth + 1), self.object(depth + 1)]}
            case _:
                found = {"type": rng.choice(["boolean", "null", "string", "integer", "number"])}
        if depth < 3 and rng.random() < 0.05:
            found["not"] = self.schema(depth + 1)
        return found


@pytest.mark.parametrize("form", FORMS)
def test_what_a_grammar_allows_breaks_only_what_is_said_to_be_open(form: str) -> None:
    dialect, valid = by_name(form), 0
    keys = [key for key in _KEYS if form != "minimax" or '"' not in key]
    for seed in range(ROUNDS):
        rng = random.Random(f"{form} {seed}")
        parameters = Maker(rng, keys).object(0) | {"$defs": _DEFS}
        spec = ToolSpec("t", "", parameters)
        call = dialect.grammar([spec], "required")
        trigger = call.triggers[0]
        automaton = Automaton.read(trigger.grammar)
        for length in (5, 80, 300):
            text = trigger.text + random_text(automaton, rng, length)
            parser = dialect.parser([spec], thinking=False)
            parser.feed(text)
            parsed = parser.finish()
            assert parsed.calls and not parsed.cut, (seed, text)
            for made in parsed.calls:
                broken = faults(dict(made.args), parameters, parameters)
                valid += not broken
                assert not broken or broken & gbnf.unheld(parameters), (seed, broken, parameters, text)
    assert valid > ROUNDS
