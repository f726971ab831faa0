"""Real MCP servers that others wrote, where they are installed: LOCALAGENT_TEST_MCP names a folder made by

    python tests/toolbox/mcp/real.py FOLDER

from PyPI (time, git and fetch; sqlite in an environment of its own, for it needs the SDK below 2) and npm (filesystem, everything).
Without the folder, or where one could not be installed, the tests that need it are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NPM = ("@modelcontextprotocol/server-filesystem@2026", "@modelcontextprotocol/server-everything@2026")


def make(place: Path) -> None:
    """What cannot be had is left out."""
    place.mkdir(parents=True, exist_ok=True)
    wanted = {"new": ["mcp-server-time", "mcp-server-git", "mcp-server-fetch"], "old": ["mcp-server-sqlite", "mcp<2"]}
    for name, packages in wanted.items():
        if not (place / name / "bin" / "pip").exists():
            subprocess.run([sys.executable, "-m", "venv", place / name], check=True)
        install = [place / name / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run([*install, *packages], check=False)
    if npm := shutil.which("npm"):
        quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        for package in NPM:
            subprocess.run([npm, "install", *quiet, "--prefix", place, package], check=False)


def program(name: str) -> str:
    """The program of a server; "" where it is not there."""
    folder = os.environ.get("LOCALAGENT_TEST_MCP")
    for place in ("new/bin", "old/bin", "node_modules/.bin"):
        if folder and (found := Path(folder, place, f"mcp-server-{name}")).exists():
            return str(found)
    return ""


if __name__ == "__main__":
    make(Path(sys.argv[1]))
