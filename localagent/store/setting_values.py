"""What each setting may be: the checks, and one table of them all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Check = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class OneOf:
    choices: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        if value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        return value


def _one_of(*choices: str) -> Check:
    return OneOf(choices)


def _integer(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ValueError("must be a number of seconds above 0")
    return float(value)


def _seconds_or_none(value: Any) -> float:
    return 0.0 if value in (0, 0.0) and not isinstance(value, bool) else _seconds(value)


def _hours(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", value.strip()):
        raise ValueError('must be two times of day, such as "22:00-07:00"')
    return value.strip()


def yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise ValueError("must be a text of one line")
    return value.strip()


def _url(*schemes: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must be an address that begins with {' or '.join(f'{s}://' for s in schemes)}")
        return value.rstrip("/")

    return check


def _search(value: Any) -> str:
    address = _url("https", "http")(value)
    if address.count("{query}") != 1 or "{" in address.replace("{query}", ""):
        raise ValueError("must hold {query} once, where the words to search for go")
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,4}|:[1-5][0-9]{4}|:6[0-4][0-9]{3}|:65[0-4][0-9]{2})?/.*", address):
        raise ValueError("must name its host plainly, such as https://search.example.org/search?q={query}&format=json")
    return address


def _expressions(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) and value else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise ValueError("must be a list of regular expressions")
    for one in listed:
        try:
            if re.compile(one).search("") is not None:
                raise ValueError(f"must not match nothing at all ({one!r} does)")
        except re.error as error:
            raise ValueError(f"holds {one!r}, which is no regular expression: {error}") from None
    return tuple(listed)


def _names(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and one.strip() and "\n" not in one for one in listed):
        raise ValueError("must be a list of names")
    return tuple(dict.fromkeys(one.strip() for one in listed))


LIMITS = ("day", "month", "day_tokens", "month_tokens")


def _budget(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or not set(value) <= set(LIMITS):
        raise ValueError(f"must name limits, such as {{day: 2.00, month_tokens: 500000}}; there are {', '.join(LIMITS)}")
    for name, most in value.items():
        whole = isinstance(most, int) or not name.endswith("tokens")
        if isinstance(most, bool) or not isinstance(most, int | float) or not whole or not 0 <= most < 1e15:
            raise ValueError(f"must have {'a whole number of tokens' if name.endswith('tokens') else 'dollars'} for {name}")
    return dict(value)


# key -> (check, may be null, what it is)
KEYS: Mapping[str, tuple[Check, bool, str]] = {
    "model": (_text, True, "the model to use: an id of the catalogue or the path of a GGUF file"),
    "mode": (
        _one_of("plan", "ask", "auto"),
        False,
        "plan (read only), ask (changes ask), auto (undoable changes do not)",
    ),
    "context": (_integer(1024, 1_048_576), False, "tokens the model can see at once; more needs more memory"),
    "threads": (_integer(1, 1024), True, "threads the engine computes with; null for as many as help"),
    "power": (
        _one_of("auto", "full", "save"),
        False,
        "auto (half the threads on a low battery or a hot processor), full (never), save (always)",
    ),
    "secret_patterns": (
        _expressions,
        True,
        "regular expressions of more secrets to hide from the model (of the whole match, or of its first group)",
    ),
    "idle_s": (_seconds, False, "seconds without a request after which the engine frees its memory"),
    "undo_mb": (
        _integer(0, 1_048_576),
        False,
        "MB that earlier contents, kept for undo, may take; the oldest go first, never the newest session's",
    ),
    "background": (yes_or_no, False, "true offers the model tools for commands that go on in the background"),
    "plans": (_one_of("auto", "always", "never"), False, "whether the model writes plans: auto (models of 4 GB or more), always, never"),
    "language": (_one_of("en", "de", "zh", "es"), True, "language of the terminal app; null for the locale's"),
    "theme": (_text, True, "look of the terminal app, as /theme names it; null for the dark one"),
    "motion": (yes_or_no, False, "false leaves out spinners and other movement in the terminal app"),
    "plain": (yes_or_no, False, "true makes `localagent` a conversation in plain lines, for screen readers"),
    "hold_s": (_seconds_or_none, False, "seconds in which a message that was agreed to can still be taken back"),
    "messages_per_hour": (_integer(0, 100_000), False, "messages an hour that each channel sends at most; 0 for no limit"),
    "quiet_hours": (_hours, True, "times of day in which no message goes out, such as 22:00-07:00"),
    "memory": (yes_or_no, False, "false neither shows the model what is remembered nor lets it ask to remember"),
    "local_only": (yes_or_no, False, "true never uses a model on another machine"),
    "bigger": (_text, True, "a model that may be asked where this one is unsure or you wish it, such as zai/glm-5; null for none"),
    "escalate": (
        _one_of("never", "ask", "always"),
        False,
        "where the model is unsure: ask (whether the bigger one may have the step), never (only when you wish it), always",
    ),
    "fallback": (_names, True, "models to go on with where an endpoint is down, in this order; `local` is the one of this machine"),
    "budget": (_budget, True, "what hosted models may cost, such as {day: 2.00, month: 20, day_tokens: 500000} (dollars, tokens)"),
    "provider_tools": (
        _names,
        True,
        "tools that run at the provider and reach the web from there: web_search, code_interpreter (of Qwen's at Alibaba)",
    ),
    "search_url": (
        _search,
        True,
        "where the web is searched, with {query} in it, such as http://localhost:8888/search?q={query}&format=json",
    ),
    "hub": (_url("https", "http"), False, "where models are downloaded from"),
    "index_url": (_url("https", "http", "file"), True, "Python index of the starter models; null for pip's own"),
}
