"""What the terminal app costs, through a pseudo-terminal and beside a bare Textual app.

    start      from the start of the process to the first frame with the prompt: at most 1.5 times the bare app
    typing     from a key's byte to its echo while Markdown streams in at 200 tokens a second: p95 at most 1.5 times
               the bare app's under the same stream
    history    a stored session of 10,000 messages: from the start to its last message on the screen, less a start

The model is scripted and the tools are functions: what is measured is the screen. Each app is a process of its own.

usage: python bench/app.py [--rounds 5] [--seconds 20] [--json]      exit code 1 where a limit is missed
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TIMES = 1.5
TOKENS_A_SECOND = 200
MESSAGES = 10_000
PIECE = "Some *words* and `code`.\n\n```python\nfor x in range(9):\n    print(x)\n```\n\n- one\n- two\n\n"

STREAM = f"""
import asyncio
PIECE = {PIECE!r}
async def tokens():
    while True:
        for at in range(0, len(PIECE), 4):
            await asyncio.sleep(1 / {TOKENS_A_SECOND})
            yield PIECE[at : at + 4]
"""
BARE = """
from textual.app import App
from textual.containers import VerticalScroll
from textual.widgets import Input, Markdown
class Bare(App):
    def compose(self):
        with VerticalScroll():
            yield Markdown()
        yield Input(placeholder="What should be done?")
    def on_mount(self):
        self.query_one(Input).focus()
        self.query_one(VerticalScroll).anchor()
    async def on_input_submitted(self, event):
        event.input.value = ""
        self.run_worker(self.go())
    async def go(self):
        stream = Markdown.get_stream(self.query_one(Markdown))
        async for token in tokens():
            await stream.write(token)
Bare().run()
"""
OURS = """
import sys
from pathlib import Path
from localagent.events import TextDelta
from localagent.tui.app import LocalAgentApp
class Late:
    # As the real one: what a session is made of is loaded when one is made.
    folder, context, mode, home = Path.cwd(), 16384, "ask", None
    def boundary(self):
        from localagent.sandbox.profile import Boundary
        return Boundary("bubblewrap")
    async def session(self, *asked):
        from tests.fakes import ScriptedEngine
        from tests.tui.support import Home, tools
        class Endless(ScriptedEngine):
            async def stream(self, *asked):
                async for token in tokens():
                    yield TextDelta(token)
        self.home = self.home or Home(Endless(), tools())
        return await self.home.session(*asked)
LocalAgentApp(Late(), sys.argv[1] if len(sys.argv) > 1 else None).run()
"""


class Terminal:
    """An app behind a pseudo-terminal of 100 x 30."""

    def __init__(self, code: str, *argv: str) -> None:
        self._here, there = pty.openpty()
        self.seen = b""
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", "PYTHONPATH": str(ROOT)}
        # A machine set to write no bytecode would compile our modules at every start, but not Textual's.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.began = time.perf_counter()
        command = [sys.executable, "-c", STREAM + code, *argv]
        self._process = subprocess.Popen(
            command, stdin=there, stdout=there, stderr=there, env=environment, close_fds=True
        )
        os.close(there)

    def until(self, text: bytes, seconds: float = 60.0) -> float:
        """Read until the text comes; returns when it did."""
        end = time.perf_counter() + seconds
        while text not in self.seen:
            if not select.select([self._here], [], [], max(0.0, end - time.perf_counter()))[0]:
                raise TimeoutError(f"{text!r} never came; the end of what did: {self.seen[-2000:]!r}")
            self.seen += os.read(self._here, 1 << 16)
        return time.perf_counter()

    def type(self, data: bytes) -> None:
        os.write(self._here, data)

    def read_for(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self._here], [], [], left)[0]:
                self.seen = os.read(self._here, 1 << 16)

    def memory(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._here)


# The hint in the empty line, of which the first letter is under the cursor.
READY = b"hat should be done?"


def start(code: str, *argv: str, shows: bytes = READY) -> float:
    app = Terminal(code, *argv)
    try:
        return app.until(shows) - app.began
    finally:
        app.close()


def typing(code: str, seconds: float) -> tuple[list[float], int]:
    """The latencies of keys while an answer streams, and by how many MB the memory grew in the second half."""
    app, found = Terminal(code), []
    try:
        app.until(READY)
        app.read_for(1.0)
        app.type(b"go")
        app.read_for(0.5)
        app.type(b"\r")
        app.read_for(2.0)
        end, half, letters = time.perf_counter() + seconds, 0, "QZXJKVWY"
        middle = time.perf_counter() + seconds / 2
        while time.perf_counter() < end:
            if not half and time.perf_counter() > middle:
                half = app.memory()
            letter = letters[len(found) % len(letters)].encode()
            app.seen = b""
            sent = time.perf_counter()
            app.type(letter)
            found.append(app.until(letter, 30.0) - sent)
            app.read_for(0.1)
        return found, app.memory() - half
    finally:
        app.close()


def stored() -> str:
    """A session of 10,000 messages on the disk; its id."""
    from localagent.events import MessageDone, TurnEnded, TurnStarted
    from localagent.store import transcript
    from localagent.values import Message, Text

    log = transcript.Transcript(transcript.new_id())
    for n in range(MESSAGES // 2):
        log.append(
            TurnStarted(log.folder.name, Message("user", (Text(f"question {n}"),)), "m", "ask", os.getcwd(), 0.0)
        )
        log.append(MessageDone(Message("assistant", (Text(f"{PIECE}answer-{n}-end"),))))
        log.append(TurnEnded("done"))
    return log.folder.name


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    starts = [(start(BARE), start(OURS)) for _ in range(rounds)]
    bare, _ = typing(BARE, seconds)
    ours, grown = typing(OURS, seconds)
    session = stored()
    opened = start(OURS, session, shows=f"answer-{MESSAGES // 2 - 1}-end".encode())
    own = statistics.median(one for _, one in starts)
    return {
        "start_ratio": statistics.median(one / other for other, one in starts),
        "start_s": own,
        "bare_start_s": statistics.median(one for one, _ in starts),
        "typing_ratio": _p95(ours) / _p95(bare),
        "typing_p95_ms": 1000 * _p95(ours),
        "typing_median_ms": 1000 * statistics.median(ours),
        "bare_typing_p95_ms": 1000 * _p95(bare),
        "streaming_grew_mb": grown,
        "history_s": opened - own,
    }


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix="la-") as home:
        os.environ |= {f"LOCALAGENT_{kind}_DIR": f"{home}/{kind}" for kind in "CONFIG DATA STATE CACHE RUNTIME".split()}
        os.environ["HOME"] = home
        work = Path(home) / "work"
        work.mkdir()
        os.chdir(work)
        found = measure(args.rounds, args.seconds)
        os.chdir(ROOT)
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            print(f"{name:20} {value:8.2f}")
    held = found["start_ratio"] <= TIMES and found["typing_ratio"] <= TIMES and found["history_s"] <= 1.0
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
