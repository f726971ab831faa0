"""A real Chromium without a window, driven by its DevTools protocol over a pipe."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-extensions "
    "--disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe"
).split()

_START = """
import os, sys
down, up = map(int, sys.argv[1:3])
os.dup2(down, 3)
os.dup2(up, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def _above(end: int) -> int:
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    return moved


class Browser:
    """One browser with a profile of its own. Every request that its pages make is in `requests`."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM
        # The browser reads from 3 and writes to 4, so ours must lie above.
        down, self._to = (_above(end) for end in os.pipe())
        self._from, up = (_above(end) for end in os.pipe())
        argv = [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, str(down), str(up), *argv],
            pass_fds=(down, up), start_new_session=True, **quiet,
        )  # type: ignore[call-overload]  # fmt: skip
        os.close(down)
        os.close(up)
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with os.fdopen(self._from, "rb") as stream:
            left = b""
            while chunk := stream.read1(1 << 20):
                *whole, left = (left + chunk).split(b"\0")
                for one in map(json.loads, whole):
                    if "id" in one:
                        self._answers.pop(one["id"]).put(one)
                    else:
                        self.events.append(one)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number, answer = next(self._numbers), queue.Queue[dict[str, Any]]()
        self._answers[number] = answer
        said = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._to, json.dumps(said).encode() + b"\0")
        got = answer.get(timeout=30)
        assert "error" not in got, got
        return got["result"]

    @property
    def requests(self) -> list[str]:
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        sockets = [event["params"]["url"] for event in self.events if event["method"] == "Network.webSocketCreated"]
        return [one["request"]["url"] for one in sent] + sockets

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait(10)
        os.close(self._to)


class Tab:
    """One page."""

    def __init__(self, browser: Browser, address: str, size: tuple[int, int] = (1000, 640)) -> None:
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*size)
        self.go(address)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def go(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def type(self, text: str) -> None:
        for character in text:
            self.call("Input.dispatchKeyEvent", type="keyDown", text=character, key=character)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=character)

    def press(self, key: str, code: int, text: str = "", modifiers: int = 0) -> None:
        known = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **known, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def screen(self) -> str:
        """The characters that the terminal shows."""
        line = "term.buffer.active.getLine(row)?.translateToString(true, 0, term.cols) ?? ''"
        script = f"typeof term === 'undefined' ? '' : Array.from({{length: term.rows}}, (_, row) => {line}).join('\\n')"
        return str(self.run(script))

    def wait(self, met: Callable[[], Any], seconds: float = 30.0) -> Any:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := met():
                return found
            time.sleep(0.05)
        raise AssertionError(f"it never came to that; the page shows: {self.text()}")

    def text(self) -> str:
        return str(self.run("document.body ? document.body.innerText : ''"))

    def picture(self, path: Path) -> None:
        import base64

        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)
