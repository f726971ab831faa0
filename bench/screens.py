"""Pictures of the app's states, drawn by the real app over scripted answers.

    python bench/screens.py [--out DIR] [--size 100x30] [--theme NAME] [STATE ...]

Writes a PNG a state into docs/pictures where a Chromium is installed, else (or with --svg) an SVG, which loads
no font and nothing else from elsewhere. `--list` names the states.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# What a reader of the README sees first.
CHOSEN = ("answered", "approval of a diff", "approval of a command", "changed", "prefill", "high contrast")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("states", nargs="*", metavar="STATE", help=f"default: {', '.join(CHOSEN)}")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--size", default="", metavar="COLUMNSxROWS", help="default: each state's own")
    parser.add_argument("--theme", default="", help="any theme of Textual, or high-contrast")
    parser.add_argument("--svg", action="store_true", help="an SVG in any case")
    parser.add_argument("--list", action="store_true", help="name the states")
    args = parser.parse_args()
    from tests.tui.scenes import SCENES

    if args.list:
        print("\n".join(SCENES))
        return 0
    unknown = [state for state in args.states if state not in SCENES]
    if unknown:
        parser.error(f"there is no state {unknown[0]!r}; --list names them")
    args.out.mkdir(parents=True, exist_ok=True)
    size = tuple(map(int, args.size.split("x"))) if args.size else None
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    for state in args.states or CHOSEN:
        svg = _drawn(SCENES[state], size, args.theme)
        path = args.out.resolve() / f"{state.replace(' ', '-')}.svg"
        path.write_text(svg, "utf-8")
        if browser and not args.svg:
            path = _png(browser, path)
        print(path)
    return 0


def _drawn(scene: Any, size: tuple[int, int] | None, theme: str) -> str:
    """One picture, in a home of its own."""
    from localagent.tui.approval import Approval
    from tests.tui.scenes import draw

    Approval.LOCKED_S, Approval.ALONE_S = 0.01, 0.01
    pictures: list[str] = []

    def picture(app: Any) -> None:
        if theme:
            app.theme = theme
        pictures.append(app.export_screenshot(title="localagent"))

    with tempfile.TemporaryDirectory(prefix="la-") as home:
        work = Path(home) / "work"
        work.mkdir()
        os.chdir(work)
        os.environ |= {"HOME": home, "LOCALAGENT_NO_MOTION": "1"}
        os.environ |= {f"LOCALAGENT_{kind}_DIR": f"{home}/{kind}" for kind in "CONFIG DATA STATE CACHE RUNTIME".split()}
        draw(scene, picture, size)
        os.chdir(ROOT)
    # Textual names a font on a server; whoever looks at the picture should ask nobody.
    return re.sub(r"@font-face \{.*?\}\s*", "", pictures[0], flags=re.S)


def _png(browser: str, svg: Path) -> Path:
    width, height = (round(float(n)) for n in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text("utf-8"))[0])
    target = svg.with_suffix(".png")
    page = svg.with_suffix(".html")
    page.write_text(f'<body style="margin:0"><img src="{svg.name}" width="{width}" height="{height}">')
    try:
        with tempfile.TemporaryDirectory() as profile:
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
            subprocess.run(
                [browser, *options, f"--window-size={width},{height}", f"--screenshot={target}", page.as_uri()],
                check=True,
                capture_output=True,
                timeout=120,
            )
    finally:
        page.unlink()
    svg.unlink()
    return target


if __name__ == "__main__":
    sys.exit(main())
