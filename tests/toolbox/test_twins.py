"""Names that are on the disk in the other form of their letters."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from localagent.toolbox import schema
from localagent.toolbox.twins import as_on_disk

APART = unicodedata.normalize("NFD", "canción")
WHOLE = unicodedata.normalize("NFC", "canción")
PATH = {"type": "object", "properties": {"path": {"type": "string", "format": "path"}}}


def test_a_path_is_taken_as_the_disk_spells_it(tmp_path: Path) -> None:
    (tmp_path / APART).mkdir()
    (tmp_path / APART / f"{APART}.txt").write_text("la")
    asked = f"{WHOLE}/{WHOLE}.txt"
    assert as_on_disk(asked, str(tmp_path)) == f"{APART}/{APART}.txt"
    assert as_on_disk(str(tmp_path / asked), "/") == str(tmp_path / APART / f"{APART}.txt")
    assert as_on_disk(f"{WHOLE}/new ñ.txt", str(tmp_path)) == f"{APART}/new ñ.txt"
    assert schema.settle_paths(PATH, {"path": asked}, tmp_path)[0] == {"path": f"{APART}/{APART}.txt"}


def test_what_is_there_or_in_doubt_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / APART).write_text("a")
    (tmp_path / WHOLE).write_text("b")
    assert as_on_disk(WHOLE, str(tmp_path)) == WHOLE and as_on_disk(APART, str(tmp_path)) == APART
    assert as_on_disk("niño", str(tmp_path)) == "niño" and as_on_disk("a\0é", str(tmp_path)) == "a\0é"
