"""Grammars in Gemma 4's notation: what differs from JSON is overridden here."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...values import ToolSpec
from .. import gbnf, gbnf_regular, gbnf_rules, gbnf_shape, gbnf_text
from . import _gemma

_MARK = "\ue000"
"""Stands for the quote while rules are made; texts that hold it themselves are left out."""
_NAME = r"[a-zA-Z_] [a-zA-Z0-9_]{0,63}"
_PRIMITIVES = {
    "value": 'string | number | "true" | "false" | "null" | list | object',
    "list": '"[" (value ("," value)*)? "]"',
    "object": r'"{" (key ":" value ("," key ":" value)*)? "}"',
}
_NEEDS = {"value": ("string", "number", "list", "object"), "list": ("value",), "object": ("key", "value")}


class Values(gbnf_rules.Rules):
    """Rules for values of JSON Schemas, each text between quotes, without spaces, keys in their order."""

    def use(self, name: str) -> str:
        if name in self._rules:
            return name
        if name == "string":
            return self._whole("string", 0, self.max_string)
        if name == "key":
            return self.add("key", f"{_NAME} | {self._whole('quoted', 0, 64)}")
        if name not in _PRIMITIVES:
            return super().use(name)
        self.add(name, _PRIMITIVES[name])
        for need in _NEEDS[name]:
            self.use(need)
        return name

    def leaf(self, leaf: Mapping[str, Any], name: str, root: Any) -> str:
        choices = leaf.get("enum")
        if choices and (not self.detail or len(choices) <= 100):
            found = [(text, "") for value in choices if (text := _spelled(value))]
            if found:
                return self.branches(name, found)
        return super().leaf({key: value for key, value in leaf.items() if key != "enum"}, name, root)

    def _string(self, leaf: Mapping[str, Any], name: str) -> str:
        found = self.held(leaf, f"{name}-text", gbnf_text.RAW, quoted=False, end=_MARK, within=(_without_quote,))
        if found is not None:
            return self.share(name, f"{gbnf.literal(_MARK)} {found}")
        low, high = self.lengths(leaf)
        if not low and (high is None or high == self.max_string):
            return self.use("string")
        return self._whole(name, low, high)

    def _whole(self, name: str, low: int, high: int | None) -> str:
        """Any text of so many characters. Where they are counted it is without the beginning of a quote."""
        free = not low and high is None
        counted = None if free else self.counted(_texts(_gemma.QUOTE[:3]), low, high, end=_MARK)
        found = counted or self.language(f"{name}-text", _texts(_gemma.QUOTE), quoted=False, end=_MARK)
        return self.share(name, f"{gbnf.literal(_MARK)} {found}")

    def _object(self, leaf: Mapping[str, Any], name: str, root: Any) -> str:
        """Properties in alphabetical order, the optional ones or not."""
        known = [field for field in gbnf_shape.fields(leaf) if _key(field.name)]
        if not known:
            return self._map(leaf, name, root)
        end = first = later = '"}"'
        pairs = [
            (field.required, f"{gbnf.literal(_key(field.name))} {self.schema(field.schema, f'{name}-{number}', root)}")
            for number, field in enumerate(sorted(known, key=lambda field: field.name.lower()))
        ]
        some = not self.detail and (gbnf_shape.is_count(leaf.get("minProperties")) or 0) > 0
        for number, (needed, pair) in enumerate(reversed(pairs)):
            begun = self.share(f"{name}-next", f'"," {pair} {later}' + ("" if needed else f" | {later}"))
            none = "" if needed or (some and not number) else f" | {first}"
            first = self.share(f"{name}-first", f"{pair} {later}{none}")
            later = begun
        return self.share(name, f'"{{" {first}') if first != end else self.share(name, '"{}"')

    comma = '","'
    key_chars = gbnf_text.LINE

    def key(self, name: str, names: gbnf_regular.Dfa) -> str:
        within = _without_quote(names)
        if within is None:
            return self.any_key()
        return f'{gbnf.literal(_MARK)} {self.language(name, within, quoted=False, end=_MARK)} ":"'

    def any_key(self) -> str:
        return self.use("key") + ' ":"'

    def text(self, root: str) -> str:
        found = super().text(root)
        return re.sub(r'(?<= )""(?= @)|(?<=" )""', "", found.replace(_MARK, f'" {gbnf.token(_gemma.QUOTE)} "'))


def _key(key: Any) -> str:
    if not isinstance(key, str) or not _fits(key):
        return ""
    return f"{key}:" if re.fullmatch(r"[^\W\d][\w.-]*", key) else f"{_MARK}{key}{_MARK}:"


def _spelled(value: Any) -> str:
    """A value of an `enum`; "" where the notation cannot say it."""
    parts = list(_gemma.written(value, null="null"))
    texts = [part for part in parts if part is not None]
    return "".join(_MARK if part is None else part for part in parts) if all(map(_fits, texts)) else ""


def _fits(text: str) -> bool:
    if _gemma.QUOTE in text or _MARK in text:
        return False
    return all(any(low <= ord(char) <= high for low, high in gbnf_text.RAW) for char in text)


@functools.lru_cache(4)
def _texts(mark: str) -> gbnf_regular.Dfa:
    """Text without the mark."""
    free = gbnf_regular.without(gbnf_regular.containing([gbnf_regular.text(mark)]))
    return gbnf_regular.both(free, gbnf_regular.length(0, None, gbnf_regular.Chars(gbnf_text.RAW)))


def _without_quote(texts: gbnf_regular.Dfa) -> gbnf_regular.Dfa | None:
    try:
        found = gbnf_regular.both(texts, _texts(_gemma.QUOTE))
    except gbnf_regular.TooLarge:
        return None
    return None if found.empty else found


@gbnf.cached
def calls(specs: Sequence[ToolSpec], *, before: str, after: str) -> str:
    """A grammar for `before` NAME ARGUMENTS `after`, both pieces of GBNF."""
    rules = Values()
    known = [spec for spec in specs if _fits(spec.name) and not set(spec.name) & set(' {}\n"')]
    bodies = rules.arguments([spec.parameters for spec in known], gbnf.TOTAL)
    found = [(spec.name, body) for spec, body in zip(known, bodies, strict=True)]
    call = rules.branches("call", found) if found else f"{_NAME} {rules.use('object')}"
    return rules.text(f"{before} {call} {after}")
