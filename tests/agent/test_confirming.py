"""A tool that wants to be confirmed asks each time; a secret reaches its tool's worker and nothing else."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent import cli, headless, wiring
from localagent.commands import arguments
from localagent.policy import decide
from localagent.policy.context import Context
from localagent.policy.rules import Rules
from localagent.store import credentials, paths, settings, toolkeys, trusted
from localagent.toolbox import own
from localagent.values import EFFECTS, MODES, Answer, ToolCall, ToolSpec
from tests.agent.test_asking import Counting
from tests.agent.test_loop import World, write
from tests.fakes import ScriptedEngine, call

PLAIN = ToolSpec("pay", "Pay.", {"type": "object", "properties": {}}, ("compute",))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("effect", EFFECTS)
def test_no_mode_and_no_rule_spares_the_question(mode: Any, effect: Any) -> None:
    spec = replace(PLAIN, effects=(effect,), confirm=True)
    ctx = Context(mode, "/home/u/w", Rules.of(allow=("tool(pay)", "run(*)", "net(*)", "persist(*)")), True, "/home/u")
    made = ToolCall("1", "pay", {"command": "ls", "url": "https://example.org/"})
    verdict = decide.before(made, spec, ctx).verdict
    before = decide.before(made, replace(spec, confirm=False), ctx).verdict
    assert verdict == ("deny" if before == "deny" else "ask")
    denied = replace(ctx, rules=Rules.of(deny=("tool(pay)",)))
    assert decide.before(made, spec, denied).verdict == "deny"


def test_the_same_call_is_asked_about_again_and_always_is_not_kept(tmp_path: Path) -> None:
    spec = replace(PLAIN, confirm=True)
    again = [call("pay")]
    # Something happens in between, or the second would be taken for a mere repetition.
    tools = {"pay": (spec, lambda args: "paid"), "write": (("write:fs",), lambda args: write(world.workspace, "a", "x"))}
    world = World(tmp_path, again, [call("write", path="a")], again, "ok", **tools)
    approve = Counting(Answer("allow", scope="always"))
    world.run(approve)
    asked = [(decision.remember, decision.missing) for made, decision in approve.asked if made.name == "pay"]
    assert asked == [("", ())] * 2


SECRET = "w3ather-k3y-of-mine"
PLUGIN = """
import base64, os
from localagent import tool

@tool(effects=["compute"], secrets=["WEATHER_API_KEY"])
def forecast(place: str):
    "Tell the weather forecast of a place."
    key = os.environ["WEATHER_API_KEY"]
    yield f"asking with {key}"
    return f"{place}: sun ({key}, {len(key)} characters)"
"""


def test_a_secret_stands_in_no_transcript_no_log_and_before_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    toolkeys.store("WEATHER_API_KEY", SECRET)
    trusted.plugins_folder().mkdir()
    (trusted.plugins_folder() / "weather.py").write_text(PLUGIN)
    (one,) = asyncio.run(own.look(unsandboxed=False))
    assert any("gets the secret WEATHER_API_KEY" in line for line in own.told(one))
    own.confirm(one)
    model = ScriptedEngine([call("forecast", place="Bern")], "Sun.")
    parser = ArgumentParser()
    arguments.configure(parser)
    args = parser.parse_args(["the weather forecast of Bern", "--output-format", "stream-json"])

    async def run() -> int:
        session = await wiring.for_do(args, model, settings.load())
        code = int(cli._exit_code(await headless.do(session, args.goal[0], "", "stream-json", quiet=False)))
        result = next(message.result for message in session.history if message.result)
        assert "Bern: sun (SECRET_" in result.text and f"{len(SECRET)} characters" in result.text
        return code

    assert asyncio.run(run()) == 0
    kept = [path for made in (paths.state_dir(), paths.cache_dir(), paths.data_dir()) for path in made.rglob("*") if path.is_file()]
    assert len(kept) > 3 and [path for path in kept if SECRET.encode() in path.read_bytes()] in ([], [credentials.path()])
