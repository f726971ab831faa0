"""What the screen shows in each state, as text. LOCALAGENT_UPDATE_SCREENS=1 writes the pictures anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from .scenes import SCENES, draw
from .support import screen

PICTURES = Path(__file__).parent / "screens"
# Read now: each test clears our variables.
UPDATE = bool(os.environ.get("LOCALAGENT_UPDATE_SCREENS"))


def _still(text: str) -> str:
    """Times go by; everything else must stay."""
    text = re.sub(r" · \d+:\d\d left| · [\d.]+ s left", "", text)
    text = re.sub(r"(\* .*) · [\d.]+ s · ", r"\1 · TIME · ", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-01-01 12:00", text)
    return re.sub(r"  [\d.]+ s$| · [\d.]+ s$", "", text, flags=re.MULTILINE).rstrip() + "\n"


@pytest.mark.usefixtures("quick")
@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_the_screen(name: str) -> None:
    seen: list[str] = []
    draw(SCENES[name], lambda app: seen.append(screen(app)))
    picture = PICTURES / f"{name.replace(' ', '-')}.txt"
    if UPDATE:
        PICTURES.mkdir(exist_ok=True)
        picture.write_text(_still(seen[0]), "utf-8")
    assert _still(seen[0]) == picture.read_text("utf-8")
