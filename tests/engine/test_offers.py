from __future__ import annotations

from pathlib import Path

from localagent.engine import catalogue, offers, reuse
from localagent.engine.partial import part_path
from localagent.store.settings import Settings


def test_offers_say_what_is_here_what_came_and_what_is_chosen() -> None:
    found = {one.entry.id: one for one in offers.offers(Settings())}
    assert found["qwen3.5-9b"].default and found["qwen3.5-9b"].chosen and "qwen3.5-9b:q8_0" not in found
    assert not found["glm-5"].usable and found["glm-5"].fit.verdict == "hosted"
    entry = catalogue.load().get("tiny")
    own = reuse.own_path(entry, entry.parts[0])
    own.parent.mkdir(parents=True)
    part_path(own).write_bytes(b"GGUF" * 100)
    found = {one.entry.id: one for one in offers.offers(Settings(model="qwen3.5-9b:q8_0"))}
    assert found["tiny"].arrived == 400 and found["tiny"].path is None
    assert found["qwen3.5-9b:q8_0"].chosen and found["qwen3.5-9b"].default and not found["qwen3.5-9b"].chosen


def test_a_file_of_the_persons_own_is_here(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    catalogue.user_file().write_text(f'[model.mine]\nname = "Mine"\ndialect = "hermes"\npath = "{file}"\n')
    (mine,) = [one for one in offers.offers(Settings()) if one.entry.id == "mine"]
    assert mine.path == file and mine.usable
