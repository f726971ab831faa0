"""A picture on the whole way: the command line, the sandbox, the host, a projector of random weights, and again after a restart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from localagent.cli import Exit
from localagent.sandbox import launch
from tests import make_gguf, make_mmproj
from tests.e2e.support import Cli, Ran

pytestmark = [pytest.mark.slow, pytest.mark.skipif(launch.probe().name == "none", reason="there is no sandbox here")]


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_mmproj.make("tiny", folder / "mmproj-tiny.gguf")
    return make_gguf.make("tiny", folder / "tiny.gguf")


def read(ran: Ran) -> tuple[int, int]:
    """Tokens of the first answer's prompt, and how many of them were known: what random weights say then is nobody's concern."""
    events = [json.loads(line) for line in ran.out.splitlines()]
    usage = next(event["usage"] for event in events if event["event"] == "MessageDone")
    return usage["input_tokens"], usage["cached_tokens"]


def test_a_picture_costs_its_tokens_once(cli: Cli, seeing: Path, tmp_path: Path) -> None:
    Image.radial_gradient("L").resize((640, 480)).save(cli.work / "a.png")
    argv = ("do", "--model", str(seeing), "--output-format", "stream-json", "--max-turns", "1")
    words, _ = read(cli(*argv, "What is it?"))
    shown = cli(*argv, "--image", "a.png", "What is it?")
    first, _ = read(shown)
    # 640 x 480 points at 32 a token, and the line that names it.
    assert words + 300 < first < words + 400 and "▣ picture 1: a.png, 640 x 480" in shown.err
    again, cached = read(cli(*argv, "--image", "a.png", "What is it?"))
    assert again == first and cached > first - 100
    named = cli(*argv, "What is on @a.png?")
    assert read(named)[0] > words + 300 and "▣ picture 1" in named.err
    shutil.copy(seeing, tmp_path / "blind.gguf")
    blind = cli("do", "--model", str(tmp_path / "blind.gguf"), "--image", "a.png", "What is it?")
    assert blind.code == Exit.MODEL and "cannot see pictures" in blind.said
