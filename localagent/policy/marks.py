"""What a session has seen: text that others wrote, data of the user's, words that speak to an assistant.

Marks are only ever added. They make outward actions ask, and in mode `auto` what nobody but such a text
named. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..values import ToolSpec

_FOREIGN = frozenset({"read:fs", "read:mail", "write:fs", "run", "net"})
_PRIVATE = frozenset({"read:fs", "read:mail", "write:fs", "run"})
_WHO = (
    r"(?:ai|assistants?|agents?|llms?|language models?|chat ?bots?|bots?|localagent|claude|chatgpt|gpt|copilot|gemini)"
)
_DEEDS = (
    r"(?:delet|remov|writ|creat|run|execut|send|mov|copy|overwrit|append|open|download|install|upload|forward|e-?mail|"
    r"renam|replac|reveal|print|chang|edit|add)"
)
_SPEAKS = (
    rf"\b(?:ignore|disregard|forget|override)\b.{{0,40}}\b(?:previous|prior|above|earlier|all|your|other|any)\b.{{0,40}}"
    rf"\b(?:instruction|rule|prompt|direction|guideline|task|order|restriction)"
    rf"|\b(?:to|for|dear|attention|hey|hello|hi)\b[^\n]{{0,20}}\b{_WHO}\b"
    rf"|\b(?:system|developer|administrator|admin|security)[ _-]{{0,3}}(?:notice|message|prompt|note|override|instruction|alert|update)"
    rf"|<\|?/?(?:im_start|im_end|system|inst)|\[/?INST\]|<<SYS>>|(?m:^[#\s]{{0,5}}(?:system|instructions?|assistant)\s{{0,3}}:)"
    rf"|\b(?:you are|act as|as)\s+(?:an?|the|my)\s+(?:\w+\s+)?{_WHO}\b"
    rf"|\b{_WHO}\b[^.\n]{{0,30}}\b(?:must|should|shall|has to|have to|needs? to|please|are to|is to|will now)\b"
    rf"|\b(?:before|instead of|after|when|while|once)\s+(?:you\s+)?(?:answer|respond|repl|summari|finish|complet|continu|read)\w*"
    rf"[^.\n]{{0,60}}\b{_DEEDS}"
    rf"|\b(?:you must|you have to|you need to|you should|make sure to|be sure to|as a next step)\b[^.\n]{{0,40}}\b{_DEEDS}"
)


@dataclass(frozen=True, slots=True)
class Marks:
    """`untrusted` text was seen, `private` data was read, and something seen `speaks` to an assistant."""

    untrusted: bool = False
    private: bool = False
    speaks: bool = False

    def __or__(self, other: Marks) -> Marks:
        return Marks(self.untrusted or other.untrusted, self.private or other.private, self.speaks or other.speaks)

    @staticmethod
    def of(names: Iterable[str]) -> Marks:
        known = frozenset(names)
        return Marks("untrusted" in known, "private" in known, "speaks" in known)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in ("untrusted", "private", "speaks") if getattr(self, name))


def of_result(spec: ToolSpec | None, text: str) -> Marks:
    """What the model has seen with this tool's result. A tool that is not known, or says nothing of itself, may show all."""
    effects = frozenset(spec.effects) if spec is not None else frozenset[str]()
    # What runs on the files themselves writes on after its call: whoever looks at that sees the same.
    unknown = spec is None or not effects or not spec.staged
    untrusted = unknown or bool(effects & _FOREIGN) or (spec is not None and spec.source.startswith("mcp:"))
    return Marks(untrusted, unknown or bool(effects & _PRIVATE), untrusted and speaks(text))


def speaks(text: str) -> bool:
    """Whether a text addresses whoever reads it with a model. A guess: it makes us ask more, never less."""
    return re.search(_SPEAKS, text, re.IGNORECASE) is not None
