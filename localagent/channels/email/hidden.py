"""Whether a piece of HTML is drawn at all: what a person cannot see, the model must not read. Pure.

Looked at are an element's own style and attributes, plain rules of style sheets for classes, ids and
elements, and letters in the colour of what lies behind them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

Colour = tuple[int, int, int]

_DECLARATION = re.compile(r"([\w-]{1,40})\s*:\s*([^;]{1,500})")
_SIMPLE = re.compile(r"(?:[a-z][a-z0-9]*)?(?:[.#][\w-]+)?", re.IGNORECASE)
_NUMBER = re.compile(r"(-?\d*\.?\d+)\s*(px|pt|em|rem|ex|ch|%|vw|vh|in|cm|mm|)")
_FAR = -400.0
_NEAR = 24
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_NAMES: Mapping[str, Colour] = {
    "white": _WHITE, "black": _BLACK, "snow": (255, 250, 250), "ivory": (255, 255, 240), "ghostwhite": (248, 248, 255),
    "whitesmoke": (245, 245, 245), "floralwhite": (255, 250, 240), "mintcream": (245, 255, 250), "azure": (240, 255, 255),
    "red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "gray": (128, 128, 128), "grey": (128, 128, 128),
    "silver": (192, 192, 192), "yellow": (255, 255, 0), "navy": (0, 0, 128), "orange": (255, 165, 0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """How letters are drawn at a place. `behind` is None where a picture lies behind them. `gone`: nothing of it is drawn,
    whatever is inside; `blank` (by visibility), `clear` (by colour) and `tiny`: not drawn, unless an element inside
    says otherwise."""

    ink: Colour = _BLACK
    behind: Colour | None = _WHITE
    gone: bool = False
    blank: bool = False
    clear: bool = False
    tiny: bool = False

    @property
    def hidden(self) -> bool:
        same = self.behind is not None and sum(abs(a - b) for a, b in zip(self.ink, self.behind, strict=True)) < _NEAR
        return self.gone or self.blank or self.clear or self.tiny or same


Sheet = Mapping[str, Mapping[str, str]]


def sheet(css: str) -> dict[str, dict[str, str]]:
    """Selector -> declarations of the rules that hold everywhere and name one element, class or id."""
    found: dict[str, dict[str, str]] = {}
    for rule in _without_conditions(_without_comments(css)).split("}"):
        selectors, opened, body = rule.rpartition("{")
        if not opened:
            continue
        declared = declarations(body[:5000])
        for selector in selectors.rpartition("{")[2][:2000].split(","):
            selector = selector.strip()
            if selector and _SIMPLE.fullmatch(selector):
                found.setdefault(selector.lower(), {}).update(declared)
    return found


def _without_comments(css: str) -> str:
    pieces, at = [], 0
    while (begin := css.find("/*", at)) >= 0:
        pieces.append(css[at:begin])
        end = css.find("*/", begin + 2)
        if end < 0:
            return "".join(pieces)
        at = end + 2
    return "".join([*pieces, css[at:]])


def _without_conditions(css: str) -> str:
    """What stands in `@media` and the like holds on some screens only."""
    pieces: list[str] = []
    depth, skipped, start = 0, 0, 0
    for match in re.finditer(r"[{}@]", css):
        ch, at = match[0], match.start()
        if ch == "@" and not skipped and depth == 0:
            pieces.append(css[start:at])
            skipped, start = 1, at
            inner = css.find(";", at)
            brace = css.find("{", at)
            if 0 <= inner < brace or (brace < 0 <= inner):
                skipped, start = 0, inner + 1
        elif ch == "{":
            depth += 1
        elif ch == "}" and depth:
            depth -= 1
            if depth == 0 and skipped:
                skipped, start = 0, at + 1
    return "".join([*pieces, "" if skipped else css[start:]])


def declarations(style: str) -> dict[str, str]:
    return {name.lower(): value.replace("!important", "").strip().lower() for name, value in _DECLARATION.findall(style)}


def within(outer: Look, tag: str, attributes: Mapping[str, str], styles: Sheet) -> Look:
    """The look inside an element."""
    if not attributes and not styles:
        return outer
    declared: dict[str, str] = {}
    for key in (tag, *(f".{one}" for one in attributes.get("class", "").lower().split()[:20]), f"#{attributes.get('id', '').lower()}"):
        declared |= styles.get(key, {})
        declared |= styles.get(f"{tag}{key}", {})
    declared |= declarations(attributes.get("style", "")[:5000])
    look = _coloured(outer, tag, attributes, declared)
    if visibility := declared.get("visibility", ""):
        look = replace(look, blank=visibility in ("hidden", "collapse"))
    if (size := _number(declared.get("font-size", ""))) is not None:
        look = replace(look, tiny=_tiny(*size) or (outer.tiny and size[1] in ("em", "%", "ex", "ch")))
    return replace(look, gone=outer.gone or _gone(attributes, declared))


def _gone(attributes: Mapping[str, str], declared: Mapping[str, str]) -> bool:
    if "hidden" in attributes or declared.get("display", "") == "none" or declared.get("mso-hide", "") == "all":
        return True
    if (opacity := _number(declared.get("opacity", ""))) is not None and opacity[0] <= 0.05:
        return True
    clipped = declared.get("overflow", declared.get("overflow-y", "")) in ("hidden", "clip")
    for side in ("height", "max-height", "width", "max-width"):
        size = _number(declared.get(side, ""))
        if size is not None and size[0] <= 1 and size[1] in ("", "px", "pt", "%") and (clipped or side.startswith("max")):
            return True
    for move in ("text-indent", "left", "top", "margin-left", "margin-top", "right"):
        size = _number(declared.get(move, ""))
        if size is not None and size[0] <= _FAR and size[1] in ("px", "pt", "em", "rem", "%", ""):
            return True
    if re.match(r"rect\(\s*[01](px)?[\s,]+[01](px)?[\s,]+[01](px)?[\s,]+[01](px)?\s*\)", declared.get("clip", "")):
        return True
    return bool(re.search(r"scale\(\s*0\s*[,)]", declared.get("transform", "")))


def _tiny(value: float, unit: str) -> bool:
    return value <= {"px": 2, "pt": 1.5, "": 0, "%": 10}.get(unit, 0.1)


def _coloured(outer: Look, tag: str, attributes: Mapping[str, str], declared: Mapping[str, str]) -> Look:
    look = outer
    written = declared.get("color") or (attributes.get("color", "") if tag == "font" else "") or attributes.get("text", "")
    if written:
        if written.replace(" ", "") == "transparent" or _clear(written):
            look = replace(look, clear=True)
        else:
            look = replace(look, ink=_colour(written) or look.ink, clear=False)
    picture = "url(" in declared.get("background", "") + declared.get("background-image", "") or "background" in attributes
    behind = declared.get("background-color") or declared.get("background", "") or attributes.get("bgcolor", "")
    if picture or "gradient(" in behind + declared.get("background-image", ""):
        return replace(look, behind=None)
    if behind and (found := _colour(behind)) is not None and not _clear(behind):
        look = replace(look, behind=found)
    return look


def _clear(text: str) -> bool:
    """Whether the colour lets everything through."""
    match = re.search(r"(?:rgba|hsla)\([^)]*[,/]\s*(\d*\.?\d+)%?\s*\)", text)
    return bool(match and float(match[1]) <= 0.05)


def _colour(text: str) -> Colour | None:
    if match := re.search(r"#([0-9a-f]{6}|[0-9a-f]{3})\b", text, re.IGNORECASE):
        digits = match[1] if len(match[1]) == 6 else "".join(digit * 2 for digit in match[1])
        return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
    if match := re.search(r"rgba?\(\s*(\d{1,3})\D+(\d{1,3})\D+(\d{1,3})", text):
        return min(int(match[1]), 255), min(int(match[2]), 255), min(int(match[3]), 255)
    if match := re.fullmatch(r"\s*([0-9a-f]{6})\s*", text, re.IGNORECASE):
        return int(match[1][0:2], 16), int(match[1][2:4], 16), int(match[1][4:6], 16)
    return next((_NAMES[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _NAMES), None)


def _number(text: str) -> tuple[float, str] | None:
    match = _NUMBER.match(text.strip())
    return (float(match[1]), match[2]) if match else None
