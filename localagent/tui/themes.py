"""The person's own looks: `themes/NAME.yaml` in the configuration folder, each a handful of colours.

    primary: "#2f6f4f"
    background: "#fbf7ef"
    foreground: "#2b2b2b"
    dark: false

What is wrong with a file is told with its line's key, and that look is left out; the others stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

from ..store import paths
from .words import t

_COLOURS = frozenset(
    "primary secondary accent warning error success foreground background surface panel boost".split()
)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_MOST_BYTES = 20_000
# The least that the foreground must differ from the background, as WCAG counts it for large text.
_CONTRAST = 3.0


def folder() -> Path:
    return paths.config_dir() / "themes"


def load(taken: Collection[str]) -> tuple[list[Theme], list[str]]:
    """The looks in the folder, and a sentence for each that cannot be used. `taken` are names that are there already."""
    found, told = [], []
    for file in sorted(folder().glob("*.y*ml")) if folder().is_dir() else []:
        try:
            found.append(_read(file, taken))
        except (ValueError, OSError) as error:
            told.append(t("The look {file} is left out: {why}", file=file, why=error))
    return found, told


def _read(file: Path, taken: Collection[str]) -> Theme:
    """Raises ValueError with the reason in the person's language."""
    import yaml

    name = file.stem
    if not _NAME.fullmatch(name):
        raise ValueError(t("its name may hold small letters, digits and hyphens only."))
    if name in taken:
        raise ValueError(t("there is a look {name} already.", name=name))
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError(t("it is too large for a few colours."))
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(t("it is no YAML: {error}", error=" ".join(str(error).split()))) from None
    if not isinstance(values, dict) or "primary" not in values:
        raise ValueError(t('it must hold at least `primary: "#rrggbb"`.'))
    theme = Theme(name=name, dark=_dark(values.pop("dark", True)), **_colours(values))
    return _readable(theme)


def _dark(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(t("{key} must be true or false.", key="dark"))
    return value


def _colours(values: dict[Any, Any]) -> dict[str, str]:
    made = {}
    for key, value in values.items():
        if key not in _COLOURS:
            raise ValueError(t("there is no colour {key}; there are {names}.", key=key, names=", ".join(sorted(_COLOURS))))
        try:
            colour = Color.parse(value) if isinstance(value, str) else None
        except ColorParseError:
            colour = None
        if colour is None or colour.a != 1 or colour.ansi is not None or colour.auto:
            told = t('{key}: {value} is no colour; write "#rrggbb", with its quotes.', key=key, value=value)
            raise ValueError(told)
        made[key] = colour.hex
    return made


def _readable(theme: Theme) -> Theme:
    """The same, unless its text would not be seen on its background."""
    system = theme.to_color_system().generate()
    front, back = Color.parse(system["foreground"]), Color.parse(system["background"])
    ratio = _contrast(front, back)
    if ratio < _CONTRAST:
        told = t("its text is too close to its background to be read: {ratio} to 1.", ratio=f"{ratio:.1f}")
        raise ValueError(told)
    return theme


def _contrast(one: Color, other: Color) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    parts = (part / 255 for part in colour.rgb)
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
