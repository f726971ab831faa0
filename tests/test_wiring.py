"""What a session is made of, by model."""

from __future__ import annotations

from localagent import wiring
from localagent.engine import catalogue
from localagent.engine.dialects import by_name
from localagent.engine.local import LocalEngine


def test_only_a_model_of_some_size_is_offered_a_plan() -> None:
    local = [entry for entry in catalogue.load().entries.values() if entry.parts]
    sizes = {entry.id: LocalEngine(entry.model_file("/m.gguf"), by_name("coder"), start=False).bytes for entry in local}
    offered = {name for name, size in sizes.items() if size >= wiring._PLANS}
    assert {"qwen3.5-9b", "qwen3.5-27b"} <= offered
    assert not {"starter", "tiny", "qwen3.5-0.8b", "qwen3.5-2b", "qwen3.5-4b"} & offered
