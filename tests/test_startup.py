"""Starting is a feature: what answers at once loads the standard library and our own modules only."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Parts of the standard library that cost more than they would be used.
HEAVY = set("urllib.request http.client email.message xml unittest multiprocessing sqlite3 pdb".split())

HELP = "import sys; from localagent.cli import main; main(['--help'])"
WORKER = "import localagent.toolbox.worker"
PLUGIN = "from localagent import tool"
WARM_DO = "import localagent.cli, localagent.headless, localagent.wiring"
SERVERS = """
import pathlib
from localagent.store import mcp, mcp_known
from localagent.toolbox.mcp.source import McpSource
server = mcp.Server("s", "x")
mcp.one("s") if "s" in mcp.load() else mcp.add(server)
tools = (mcp_known.Definition("look", "Looks.", {"properties": {"a": {"type": "string"}}}),)
mcp_known.confirm("s", mcp_known.Manifest(server.identity, tools))
assert [spec.name for spec in McpSource(pathlib.Path("/"), pathlib.Path("/tmp")).specs()] == ["look"]
"""


def _python(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def _loaded(code: str) -> set[str]:
    shown = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    before = set(json.loads(_python(shown)))
    return set(json.loads(_python(f"{code}\n{shown}").splitlines()[-1])) - before - {"json"}


@pytest.mark.parametrize("code", [HELP, WORKER, PLUGIN, WARM_DO, SERVERS])
def test_nothing_of_others_is_loaded(code: str) -> None:
    tops = {name.partition(".")[0] for name in _loaded(code)}
    assert tops - sys.stdlib_module_names - {"localagent"} == set()


@pytest.mark.parametrize("code", [HELP, WORKER, PLUGIN, WARM_DO])
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not _loaded(code) & HEAVY


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (HELP, {"asyncio", "dataclasses", "argparse", "inspect", "pathlib", "localagent.values"}),
        (WORKER, {"asyncio", "argparse", "localagent.agent", "localagent.engine", "localagent.sandbox"}),
        (PLUGIN, {"asyncio", "argparse", "localagent.agent", "localagent.engine", "localagent.sandbox"}),
        (WARM_DO, {"localagent.engine.llama", "localagent.engine.fetch", "localagent.commands.doctor", "tomllib"}),
    ],
    ids=["help", "worker", "plugin", "warm do"],
)
def test_what_is_not_needed_is_not_loaded(code: str, unwanted: set[str]) -> None:
    assert not _loaded(code) & unwanted


def _paired(code: str, against: str, rounds: int = 11) -> float:
    """How many times as long `code` takes as `against`: the median over pairs run one after the other."""
    ratios = []
    for _ in range(rounds):
        times = []
        for text in (against, code):
            started = time.perf_counter()
            _python(text)
            times.append(time.perf_counter() - started)
        ratios.append(times[1] / times[0])
    return statistics.median(ratios)


def test_help_answers_within_three_times_an_empty_python() -> None:
    assert min(_paired(HELP, "pass") for _ in range(2)) <= 3


def test_only_the_app_loads_textual_and_it_never_loads_the_engine() -> None:
    app = _loaded("import localagent.interactive, localagent.tui.app")
    assert "textual" in app and not app & {"llama_cpp", "numpy", "localagent.engine.llama", "httpx2", "starlette", "watchdog"}
    # What a session is made of, and the index, come behind the first frame.
    assert not app & {"localagent.wiring", "localagent.agent.session", "localagent.policy", "localagent.engine", "sqlite3"}
    assert "textual" not in _loaded("import localagent.interactive")


def test_the_web_server_is_loaded_when_it_is_started_and_never_with_textual() -> None:
    assert not _loaded("import localagent.commands.web") & {"starlette", "uvicorn", "wsproto", "textual"}
    server = _loaded("import localagent.serve.web.server")
    assert "starlette" in server and not server & {"textual", "llama_cpp", "numpy", "httpx2"}


def test_without_a_terminal_no_arguments_print_the_help() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    code = "import sys; from localagent.cli import main; code = main([]); sys.exit(7 if 'textual' in sys.modules else code)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd="/", stdin=subprocess.DEVNULL
    )
    assert done.returncode == 3 and done.stdout.startswith("usage: localagent")
    resumed = subprocess.run(
        [sys.executable, "-m", "localagent", "resume"], capture_output=True, text=True, env=environment, cwd="/",
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert resumed.returncode == 3 and "terminal" in resumed.stderr
