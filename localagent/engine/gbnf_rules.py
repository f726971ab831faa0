"""Rules of one grammar for JSON values, from JSON Schemas."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import gbnf_left, gbnf_number, gbnf_pattern, gbnf_regular, gbnf_text
from .gbnf_left import MAX_CHOICES, MAX_ITEMS, MAX_LEAST_LENGTH, MAX_LENGTH
from .gbnf_regular import Dfa
from .gbnf_shape import MAX_DEPTH, NEVER, fields, is_count, is_number, kinds, says, spelled, target
from .gbnf_table import LEAST, Table
from .gbnf_text import literal

__all__ = ["LEAST", "Rules", "times"]

_MAX_CHOICE_TEXT = 300_000
_MAX_PRODUCT = 100_000
"""Of bounded repetitions inside each other; what goes beyond is left to the later check."""
_SHALLOW = 8
_SHORT = 32

_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_MERGED = ("$ref", "allOf", "anyOf", "oneOf", "enum", "const")
_FREE = {"array": "list", "object": "object"}


Within = Callable[[Dfa], Dfa | None]
"""Takes some texts from an automaton; None where the rest is too large, or nothing."""


def _as_it_is(texts: Dfa) -> Dfa:
    return texts


class Rules(Table):
    """Rules for the JSON values of schemas."""

    def arguments(self, parameters: Sequence[Any], budget: int) -> list[str]:
        """For each tool a rule for the JSON object of a call's arguments, together of about so many bytes at most."""
        shapes = [
            one if isinstance(one, Mapping) and one else {"type": "object", "properties": {}} for one in parameters
        ]
        return self.each(
            budget,
            [functools.partial(self._named_values, shape, f"t{number}") for number, shape in enumerate(shapes)],
        )

    def _named_values(self, shape: Mapping[str, Any], name: str) -> str:
        """A rule for the values of `shape` that are objects: arguments are nothing else, whatever a schema says."""
        if self.detail < LEAST and kinds(shape) == ("object",) and not any(key in shape for key in _MERGED):
            return self.schema(shape, name, shape)
        found = self.shapes.leaves(shape, shape) if self.detail < LEAST else []
        found_objects = [leaf for leaf in found if leaf.get("type") == "object"]
        if not found_objects or {} in found:
            return self.use("object")
        self._depth += 1
        try:
            rules = [self.leaf(leaf, f"{name}-{number}", shape) for number, leaf in enumerate(found_objects)]
        finally:
            self._depth -= 1
        return self.share(name, " | ".join(dict.fromkeys(rules)))

    # ------------------------------------------------------------ schemas

    def schema(self, schema: Any, name: str, root: Any) -> str:
        """The name of a rule for JSON values of `schema`. Schemas that hold themselves give rules that do."""
        for _ in range(MAX_DEPTH):
            if not (isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str)) or says(schema):
                break
            schema = target(schema["$ref"], root)
        key = id(schema), id(root)
        if key in self._known:
            return self._known[key]
        if key in self._open and self.detail < 2:
            # Inside itself: a rule that is written when the whole of it is known.
            self.doubtful = True
            self._open[key] = self._open[key] or self.union(f"{name}-again", ())
            return str(self._open[key])
        deepest = (MAX_DEPTH, MAX_DEPTH, 2, 1, 0)[self.detail]
        if not isinstance(schema, Mapping) or self._depth >= deepest or key in self._open:
            kind = kinds(schema) if isinstance(schema, Mapping) else ()
            return self.use(_FREE.get(kind[0], kind[0]) if len(kind) == 1 else "value")
        self._kept += [schema, root]
        self._depth += 1
        # Parts that are required twice at every level have no short text.
        self.doubtful = self.doubtful or self._depth > _SHALLOW
        self._open[key] = None
        try:
            found = self._schema(schema, name, root)
        finally:
            self._depth -= 1
            again = self._open.pop(key, None)
        if again is not None:
            self._unions[again] = [found]
        if self._product == 1:
            self._known[key] = found
        return found

    def _schema(self, schema: Mapping[str, Any], name: str, root: Any) -> str:
        plain, parts = self.shapes.parts(schema, root)
        if plain:
            found = [self.leaf(part, f"{name}-{n}" if n else name, root) for n, part in enumerate(parts)]
        else:
            found = [self.schema(part, f"{name}-{n}", root) for n, part in enumerate(parts) if part is not NEVER]
        found = list(dict.fromkeys(found))
        if not found:
            return self.use("value")
        return found[0] if len(found) == 1 and found[0] not in self._unions else self.union(f"{name}-any", found)

    def leaf(self, leaf: Mapping[str, Any], name: str, root: Any) -> str:
        """A rule for JSON values of a plain schema (see `gbnf_shape`)."""
        choices = [(text, "") for text in map(spelled, self.choices(leaf)) if text]
        if choices:
            return self.branches(name, choices)
        match leaf.get("type"):
            case "string":
                return self._string(leaf, name)
            case "integer" | "number" as kind:
                return self._number(leaf, name, kind)
            case "array":
                return self._array(leaf, name, root)
            case "object":
                return self._object(leaf, name, root)
            case "boolean" | "null" as kind:
                return self.use(kind)
        return self.use("value")

    def choices(self, leaf: Mapping[str, Any]) -> Sequence[Any]:
        """The values of an `enum` that the grammar names: none where they are too many for the detail that is kept."""
        found = leaf.get("enum", ())
        if len(found) > (100 if self.detail else MAX_CHOICES):
            return ()
        return found if sum(len(one) for one in found if isinstance(one, str)) <= _MAX_CHOICE_TEXT else ()

    # ------------------------------------------------------------ strings

    def _string(self, leaf: Mapping[str, Any], name: str) -> str:
        low, high = self.lengths(leaf)
        found = self.held(leaf, f"{name}-text", gbnf_text.QUOTED, quoted=True, end='"')
        if found is not None:
            return self.share(name, rf'"\"" {found}')
        if not low and (high is None or high == self.max_string):
            return self.use("string")
        if max(low, high or 0) > _SHORT:
            return self.share(name, rf'"\"" {self.characters(low, high)}')
        return self.share(name, rf'"\"" {self.use("char")}{times(low, high)} "\""')

    def lengths(self, leaf: Mapping[str, Any]) -> tuple[int, int | None]:
        """The fewest and most characters of a string that the grammar asks for."""
        low, high = min(is_count(leaf.get("minLength")) or 0, MAX_LEAST_LENGTH), is_count(leaf.get("maxLength"))
        if self.detail:
            low, high = 0, None
        elif high is not None and not low <= high <= MAX_LENGTH:
            high = None
        if self.max_string is not None:
            low, high = min(low, self.max_string), self.max_string if high is None else min(high, self.max_string)
        return low, high

    def held(
        self,
        leaf: Mapping[str, Any],
        name: str,
        chars: gbnf_regular.Ranges,
        *,
        quoted: bool,
        end: str,
        within: Sequence[Within] = (_as_it_is,),
    ) -> str | None:
        """A rule for the strings that `pattern`, `format` and the lengths leave, and `end` behind them.

        None where there is no pattern or format that can be held. `within` takes from the strings
        what the form cannot write: the first that is small enough counts, and the later ones take
        more and are smaller.
        """
        patterns = () if self.detail else gbnf_pattern.asked(leaf)
        usable = tuple(one for one in patterns if self._strings((one,), 0, None, chars, within) is not None)
        self.missed.update(gbnf_left.strings(leaf, usable))
        if not usable:
            return None
        low, high = self.lengths(leaf)
        if max(low, high or 0) > 2 * _SHORT:
            for small in within:
                loose = self._strings(usable, 0, None, chars, (small,))
                counted = loose and self.counted(loose, low, high, quoted=quoted, end=end, plain=False)
                if counted is not None:
                    return counted
        found = self._strings(usable, low, high, chars, within)
        if found is None:
            found = self._strings(usable, 0, None, chars, within)
            self.missed |= {"pattern", "format"} if found is None else {"minLength", "maxLength"}
        return None if found is None else self.language(name, found, quoted=quoted, end=end)

    def _strings(
        self,
        patterns: tuple[str, ...],
        low: int,
        high: int | None,
        chars: gbnf_regular.Ranges,
        within: Sequence[Within],
    ) -> Dfa | None:
        def made() -> Dfa | None:
            found = gbnf_pattern.strings(patterns, low, high, chars)
            return None if found is None else next((less for one in within if (less := one(found)) is not None), None)

        return self.automaton((patterns, low, high, chars, tuple(within)), made)

    # ------------------------------------------------------------ numbers

    def _number(self, leaf: Mapping[str, Any], name: str, kind: str) -> str:
        whole = kind == "integer"
        bounds = {key: leaf[key] for key in (*_BOUNDS, "multipleOf") if key in leaf}
        low = max((bounds[key] for key in _BOUNDS[:2] if is_number(bounds.get(key))), default=-1)
        if low >= 0 and (self.detail or (low == 0 and [*bounds] == ["minimum"])):
            return self.use("natural" if whole else "positive")
        found = None
        if bounds and not self.detail:
            found = self.automaton((repr(bounds), whole), lambda: gbnf_number.in_bounds(bounds, whole=whole))
        self.missed |= {*bounds} if found is None else gbnf_number.left(bounds, found, whole=whole)
        return self.use(kind) if found is None else self.language(f"{name}-{kind}", found, quoted=False, end="")

    # ------------------------------------------------------------ arrays

    def _array(self, leaf: Mapping[str, Any], name: str, root: Any) -> str:
        first, items = leaf.get("prefixItems"), leaf.get("items")
        if isinstance(items, Sequence) and not isinstance(items, str):
            first, items = items, leaf.get("additionalItems", False)
        first = list(first) if isinstance(first, Sequence) and not isinstance(first, str) else []
        low, high = is_count(leaf.get("minItems")) or 0, is_count(leaf.get("maxItems"))
        self.missed.update(gbnf_left.arrays(leaf, many=self._product * max(low, high or 1) > _MAX_PRODUCT))
        if (high is not None and high < low) or low > MAX_ITEMS:
            low, high = min(low, MAX_ITEMS), None
        if self.detail and high != 0:
            low, high = min(low, 1), None
        first = first[:high]
        fixed = [self.schema(shape, f"{name}-{n}", root) for n, shape in enumerate(first[:MAX_ITEMS])]
        if items is False or (first and items is None):
            # Nothing beyond them is asked for, unless by a number.
            items, high = None, len(fixed) if items is False else max(low, len(fixed))
        low = max(low - len(fixed), 0)
        high = None if high is None or high > MAX_ITEMS else high - len(fixed)
        if high == 0:
            return self.share(name, f'"[" {self._linked(fixed)} "]"' if fixed else '"[]"')
        return self._items(items, name, root, fixed, low, high)

    def _items(self, items: Any, name: str, root: Any, fixed: list[str], low: int, high: int | None) -> str:
        bound = max(low, high or 1)
        if self._product * bound > _MAX_PRODUCT:
            low, high, bound = min(low, 1), None, 1
        before, self._product = self._product, self._product * bound
        item = self.schema({} if items is None else items, f"{name}-item", root)
        self._product = before
        if fixed:
            return self.share(name, f'"[" {self._linked(fixed)} ({self.comma} {item}){times(low, high)} "]"')
        filled = f"{item} ({self.comma} {item}){times(max(low - 1, 0), None if high is None else high - 1)}"
        return self.share(name, f'"[" {filled} "]"' if low else f'"[" ({filled})? "]"')

    # ------------------------------------------------------------ objects

    def _object(self, leaf: Mapping[str, Any], name: str, root: Any) -> str:
        """The required properties, then each optional one or nothing, then others where the schema allows them."""
        self.missed.update(gbnf_left.objects(leaf))
        found = [field for field in fields(leaf) if spelled(field.name)]
        if not found:
            return self._map(leaf, name, root)
        pairs = [
            f"{literal(spelled(field.name) + ': ')} {self.schema(field.schema, f'{name}-{number}', root)}"
            for number, field in enumerate(found)
        ]
        due = [pair for pair, field in zip(pairs, found, strict=True) if field.required]
        others = [] if self.detail else self._others(leaf, tuple(field.name for field in found), name, root)
        rest = "" if not others else others[0] if len(others) == 1 else self.share(f"{name}-others", " | ".join(others))
        some = not self.detail and (is_count(leaf.get("minProperties")) or 0) > 0
        tail = self._optional(pairs[len(due) :], rest, name, follows=bool(due), some=some)
        return self.share(name, " ".join(part for part in ('"{"', self._linked(due), tail, '"}"') if part))

    def _optional(self, pairs: list[str], extra: str, name: str, *, follows: bool, some: bool) -> str:
        """Each pair or nothing, in this order, with commas only between; then any number of `extra` pairs."""
        behind = f"({self.comma} {extra})*" if extra else ""
        first = f"{extra} {behind}" if extra else ""
        for pair in reversed(pairs):
            later, rest = first, behind
            if rest and len(rest) > 60:
                rest = self.share(f"{name}-rest", rest)
            if not follows:
                first = self.share(f"{name}-first", f"{pair} {rest}".strip() + (f" | {later}" if later else ""))
            behind = f"({self.comma} {pair})? {rest}".strip()
        if follows or not first:
            return behind if follows else ""
        return first if some else f"({first})?"

    def _map(self, leaf: Mapping[str, Any], name: str, root: Any) -> str:
        """An object whose names no schema lists."""
        extra, patterns = leaf.get("additionalProperties", "properties" not in leaf), leaf.get("patternProperties")
        if extra is False and not patterns:
            return self.share(name, '"{}"')
        low, high = is_count(leaf.get("minProperties")) or 0, is_count(leaf.get("maxProperties"))
        if self.detail or (high is not None and not 0 < high <= MAX_ITEMS) or low > (high or MAX_ITEMS):
            low, high = 0, None
        pairs = [] if self.detail else self._others(leaf, (), name, root)
        if not pairs:
            plain = isinstance(extra, Mapping) and extra
            if not plain and not low and high is None:
                return self.use("object")
            pairs = [f"{self.any_key()} {self.schema(extra if plain else {}, f'{name}-value', root)}"]
        pair = pairs[0] if len(pairs) == 1 else self.share(f"{name}-pair", " | ".join(pairs))
        filled = f"{pair} ({self.comma} {pair}){times(max(low - 1, 0), None if high is None else high - 1)}"
        return self.share(name, rf'"{{" {filled} "}}"' if low else rf'"{{" ({filled})? "}}"')

    def _others(self, leaf: Mapping[str, Any], known: tuple[str, ...], name: str, root: Any) -> list[str]:
        """Pairs with names that are none of those known, each kind with its own values.

        Empty where there are none, or any pair would do, or their names cannot be told apart.
        """
        kinds_of_names = gbnf_pattern.kinds_of_names(leaf, known, closed=bool(known))
        pairs = []
        for number, (wanted, foreign, value) in enumerate(kinds_of_names):
            found = self._names(leaf, wanted, foreign, known)
            if found is not None:
                key = self.key(f"{name}-key{number}", found)
                pairs.append(f"{key} {self.schema(value, f'{name}-value{number}', root)}")
        return pairs

    def _names(
        self, leaf: Mapping[str, Any], wanted: tuple[str, ...], foreign: tuple[str, ...], known: tuple[str, ...]
    ) -> Dfa | None:
        allowed = gbnf_pattern.allowed_names(leaf)
        return self.automaton(
            ("names", wanted, foreign, known, allowed, self.max_string),
            lambda: gbnf_pattern.keys(wanted, foreign, known, allowed, self.max_string, self.key_chars),
        )

    comma = '", "'
    key_chars = gbnf_text.QUOTED

    def any_key(self) -> str:
        return self.use("string") + ' ": "'

    def key(self, name: str, names: Dfa) -> str:
        """What stands before a value: one of these names, as JSON writes it."""
        return rf'"\"" {self.language(name, names, quoted=True, end=chr(34) + ": ")}'

    def _linked(self, parts: Sequence[str]) -> str:
        return f" {self.comma} ".join(parts)


def times(low: int, high: int | None) -> str:
    """A bounded repetition in GBNF."""
    return "*" if not low and high is None else f"{{{low},{'' if high is None else high}}}"
