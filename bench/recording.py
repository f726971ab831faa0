"""A session of the real app with a real model, recorded in tmux: a task, the question, the change, its undo.

    python bench/recording.py [--model starter] [--out FILE]

Needs tmux and the model. Writes the screen after each step as text; exit code 1 where a step did not come.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_GOAL = "Rename the file draft.txt to final.txt"
_WAIT_S = 240.0


class Screen:
    """An app in a tmux of its own."""

    def __init__(self, command: str, folder: Path, env: dict[str, str]) -> None:
        self._tmux = ["tmux", "-L", f"recording-{os.getpid()}", "-f", os.devnull]
        self.taken: list[str] = []
        subprocess.run([*self._tmux, "new-session", "-d", "-x", "100", "-y", "30", "-c", str(folder), command], check=True, env=env)

    def text(self) -> str:
        done = subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False)
        return done.stdout.rstrip()

    def keys(self, *keys: str, literal: bool = False) -> None:
        subprocess.run([*self._tmux, "send-keys", *(["-l"] if literal else []), *keys], check=True)

    def until(self, *words: str) -> bool:
        """Wait until one of these is on the screen."""
        ends = time.monotonic() + _WAIT_S
        while time.monotonic() < ends:
            if any(word in self.text() for word in words):
                return True
            time.sleep(0.2)
        return False

    def take(self, what: str) -> None:
        self.taken.append(f"=== {what}\n{self.text()}\n")

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


def record(model: str) -> tuple[str, bool]:
    """The screens, and whether everything came about: the file renamed after the yes, and back after /undo."""
    with tempfile.TemporaryDirectory(prefix="recording-") as root:
        folder = Path(root, "work")
        folder.mkdir()
        (folder / "draft.txt").write_text("The report.\n", encoding="utf-8")
        kept = {f"LOCALAGENT_{kind}_DIR": str(Path(root, kind.lower())) for kind in ("CONFIG", "STATE")}
        for name in kept.values():
            Path(name).mkdir(mode=0o700)
        Path(kept["LOCALAGENT_CONFIG_DIR"], "config.yaml").write_text(f"model: {model}\n", encoding="utf-8")
        screen = Screen(f"{shlex.quote(sys.executable)} -P -m localagent", folder, {**os.environ, **kept, "TERM": "xterm-256color"})
        try:
            return _played(screen, folder)
        finally:
            screen.close()


def _played(screen: Screen, folder: Path) -> tuple[str, bool]:
    good = screen.until("What should be done?")
    time.sleep(2)
    if "Welcome" in screen.text():
        screen.keys("Escape")
        time.sleep(1)
        screen.keys("Escape")
    screen.take("started")
    screen.keys(_GOAL, literal=True)
    screen.keys("Enter")
    good = screen.until("Allow this?") and good
    screen.take("the question")
    asked = sorted(path.name for path in folder.iterdir())
    time.sleep(1)
    screen.keys("y")
    good = screen.until("step 1", "Undid", "✓ move") and good
    screen.until("What should be done?")
    time.sleep(2)
    screen.take("after the yes")
    changed = sorted(path.name for path in folder.iterdir())
    screen.keys("/undo", literal=True)
    screen.keys("Enter")
    good = screen.until("Undid step") and good
    time.sleep(1)
    screen.take("after /undo")
    back = sorted(path.name for path in folder.iterdir())
    good = good and asked == ["draft.txt"] and changed == ["final.txt"] and back == ["draft.txt"]
    return "\n".join(screen.taken), good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    text, good = record(args.model)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    print(text)
    print("as it should be" if good else "NOT as it should be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
