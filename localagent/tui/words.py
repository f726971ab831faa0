"""The app's own words, in the language of the person. English is the source; a catalogue maps it to another language.

`t("Stopped after {seconds}.", seconds=told)` looks its text up in `languages/<code>.json`, where the keys are the English
texts. What has no translation stays English, so a catalogue that lags behind never hides anything. Values are
put in afterwards and are never translated. Only literals are passed to `t`, `mark` and `n_of`: a test collects them from
the code. A text in a constant is marked where it stands and translated where it is shown.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "languages"
_OURS = "LOCALAGENT_LANG"
_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
_chosen = ""


def t(text: str, /, **values: object) -> str:
    """The text in the person's language, with `{name}` replaced by the value of that name."""
    return translated(text, **values)


def mark(text: str, /) -> str:
    """The text itself: it will be translated where it is shown."""
    return text


def translated(text: str, /, **values: object) -> str:
    """What `mark` marked, in the person's language; any other text as it is."""
    told = _catalogue(language()).get(text, text)
    return told.format(**values) if values else told


def n_of(number: int, one: str, many: str, /, **values: object) -> str:
    """`{n} file` or `{n} files` in the person's language, with the number grouped as `1,234`."""
    return translated(one if number == 1 else many, n=f"{number:,}", **values)


def choose(code: str | None) -> None:
    """The language of the settings, None for the locale's. LOCALAGENT_LANG goes before it."""
    global _chosen
    _chosen = code or ""


def language() -> str:
    """The two letters of the language wanted: LOCALAGENT_LANG, the settings, the locale; "" where none says."""
    wanted = os.environ.get(_OURS) or _chosen or next((v for name in _LOCALE if (v := os.environ.get(name))), "")
    return wanted.replace("-", "_").partition("_")[0].partition(".")[0].lower()


def languages() -> tuple[str, ...]:
    """Those there is a catalogue for, English first."""
    return ("en", *sorted(path.stem for path in _FOLDER.glob("*.json")))


@cache
def _catalogue(code: str) -> dict[str, str]:
    if code not in languages()[1:]:
        return {}
    return json.loads((_FOLDER / f"{code}.json").read_text(encoding="utf-8"))
