"""The app's own words, in the language of the person. English is the source; a catalogue maps it to another language.

`t("Stopped after {seconds}.", seconds=told)` looks its text up in `languages/<code>.json`, where the keys are the English
texts. What has no translation stays English, so a catalogue that lags behind never hides anything. Values are
put in afterwards and are never translated. Only literals are passed to `t`: a test collects them from the code.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "languages"
_VARIABLES = ("LOCALAGENT_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def t(text: str, **values: object) -> str:
    """The text in the person's language, with `{name}` replaced by the value of that name."""
    told = _catalogue(language()).get(text, text)
    return told.format(**values) if values else told


def language() -> str:
    """The two letters of the language wanted: of the first variable that is set, English otherwise."""
    wanted = next((value for name in _VARIABLES if (value := os.environ.get(name))), "")
    return wanted.replace("-", "_").partition("_")[0].partition(".")[0].lower()


def languages() -> tuple[str, ...]:
    """Those there is a catalogue for, English first."""
    return ("en", *sorted(path.stem for path in _FOLDER.glob("*.json")))


@cache
def _catalogue(code: str) -> dict[str, str]:
    if code not in languages()[1:]:
        return {}
    return json.loads((_FOLDER / f"{code}.json").read_text(encoding="utf-8"))
