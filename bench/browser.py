"""A picture of the app in a browser: the real server, app and Chromium, with an engine that says what a script says.

    python bench/browser.py [--out FILE]

Needs a Chromium, and draws docs/pictures/browser.png where no other file is named.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
ANSWER = (
    "There are **three** seed lists here; the newest is `spring.csv`.\n\n| plant | sow in | height |\n| --- | --- | --- |\n"
    "| Sweet pea | March | 180 cm |\n| Cosmos | April | 90 cm |\n| Zinnia | May | 60 cm |\n"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "browser.png")
    args = parser.parse_args()
    from tests.serve.web.browser import PROGRAM

    if PROGRAM is None:
        print("No Chromium is installed.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="la-", ignore_cleanup_errors=True) as home:
        _draw(Path(home), args.out)
    print(args.out)
    return 0


def _draw(home: Path, out: Path) -> None:
    """In a home of its own, which the picture shows as `~`."""
    from tests.e2e.support import ARGV, Host
    from tests.make_gguf import make
    from tests.serve.web.browser import Browser, Tab

    for kind in ("config", "data", "state", "cache", "runtime"):
        os.environ[f"LOCALAGENT_{kind.upper()}_DIR"] = str(home / kind)
        (home / kind).mkdir(mode=0o700)
    os.environ |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    model = make("tiny-dense", home / "starter.gguf")
    (home / "config" / "config.yaml").write_text(f"model: {model}\n")
    folder = home / "garden"
    folder.mkdir()
    host = Host(ANSWER, ANSWER, ANSWER)
    server = subprocess.Popen([*ARGV, "web", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True)
    browser = Browser(home / "profile")
    try:
        assert server.stdout
        found = re.search(r"http\S+", server.stdout.readline())
        assert found, "the server did not start"
        tab = Tab(browser, found[0], (900, 560))
        tab.wait(lambda: "What should be done?" in tab.screen())
        tab.type("Which seed lists are here?")
        tab.press("Enter", 13, "\r")
        tab.wait(lambda: "Zinnia" in tab.screen())
        time.sleep(1.5)
        tab.picture(out)
    finally:
        browser.close()
        server.send_signal(signal.SIGTERM)
        server.wait(20)
        host.close()


if __name__ == "__main__":
    sys.exit(main())
