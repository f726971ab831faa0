"""What a session is made of, by model."""

from __future__ import annotations

from types import SimpleNamespace

from localagent import wiring
from localagent.engine import catalogue
from localagent.engine.dialects import by_name
from localagent.engine.local import LocalEngine
from localagent.store.settings import Settings


def test_only_a_model_of_some_size_is_offered_a_plan() -> None:
    local = [entry for entry in catalogue.load().entries.values() if entry.parts]
    sizes = {entry.id: LocalEngine(entry.model_file("/m.gguf"), by_name("coder"), start=False).bytes for entry in local}
    offered = {name for name, size in sizes.items() if size >= wiring._PLANS}
    assert {"qwen3.5-9b", "qwen3.5-27b"} <= offered
    assert not {"starter", "tiny", "qwen3.5-0.8b", "qwen3.5-2b", "qwen3.5-4b"} & offered


def test_the_command_line_goes_before_the_setting_and_that_before_the_size() -> None:
    large, small = SimpleNamespace(bytes=6_000_000_000), SimpleNamespace(bytes=1_000_000_000)

    def offered(engine: object, asked: str | None, setting: str) -> bool:
        return wiring._plans(engine, asked, Settings(plans=setting))  # type: ignore[arg-type]

    assert offered(large, None, "auto") and not offered(small, None, "auto")
    assert offered(small, None, "always") and not offered(large, None, "never")
    assert offered(small, "on", "never") and not offered(large, "off", "always")
    assert offered(large, "auto", "never") and not offered(small, "auto", "always")
