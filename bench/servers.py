"""Ten checkable tasks on three MCP servers that others wrote, their tools found when they fit or all listed.

    python tests/toolbox/mcp/real.py FOLDER && python bench/servers.py FOLDER [--model starter] [--all] [--json]

filesystem, git and sqlite are started in the sandbox and may read. A task is done when the answer holds
what only the right call tells. With `--all` every tool of the three stands in the prompt, as other agents have it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# What is asked, and what of these the answer must hold.
TASKS = (
    ("List the tables of the database.", ("customers", "orders")),
    ("How many rows are in the table customers? Run a read query on the database.", ("3",)),
    ("Describe the table orders: which columns does it have?", ("amount",)),
    ("Run a read query on the database: the name of the customer with number 2.", ("Grace",)),
    ("Show the git log: what is the message of the newest commit?", ("Add the second chapter",)),
    ("Show the git status: which file is changed but not committed?", ("plan.md",)),
    ("List the git branches of this repository.", ("draft",)),
    ("Show the git diff of what is unstaged: which words were added?", ("by Friday",)),
    ("List the allowed directories of the filesystem server.", ("{folder}",)),
    ("Get the file info of big.bin: what size does it have?", ("4321", "4,321")),
)
_ALL = (
    "from localagent.toolbox.mcp.source import McpSource; McpSource.listed = True; "
    "import sys; sys.argv[0] = 'localagent'; from localagent.cli import program; program()"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", type=Path, metavar="FOLDER")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--all", action="store_true", help="list all tools instead of finding them")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    made = Path(tempfile.mkdtemp(prefix="la-mcp-"))
    try:
        for kind in ("CONFIG", "STATE", "CACHE"):
            os.environ[f"LOCALAGENT_{kind}_DIR"] = str(made / kind.lower())
        # The models stay where they are; what the servers keep is the bench's.
        work = _folder(made / "work")
        _configure(args.servers.resolve(), work)
        rows = [_task(goal, tuple(one.format(folder=work) for one in wanted), work, args) for goal, wanted in TASKS]
    finally:
        shutil.rmtree(made, ignore_errors=True)
    done, tokens = sum(row["done"] for row in rows), sum(row["input_tokens"] for row in rows)
    if args.json:
        print(json.dumps({"listed": args.all, "model": args.model, "done": done, "tasks": rows}, indent=1))
    else:
        print(f"{done} of {len(rows)} done, {tokens:,} prompt tokens, {sum(row['seconds'] for row in rows):.0f} s")
    return 0


def _folder(work: Path) -> Path:
    work.mkdir()
    (work / "big.bin").write_bytes(b"x" * 4321)
    (work / "plan.md").write_text("Finish the book\n")

    def git(*words: str) -> None:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *words], cwd=work, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "Begin")
    git("branch", "draft")
    git("commit", "-q", "--allow-empty", "-m", "Add the second chapter")
    (work / "plan.md").write_text("Finish the book by Friday\n")
    return work


def _configure(servers: Path, work: Path) -> None:
    from localagent.store import mcp, mcp_known
    from localagent.store.mcp import Granted, Server
    from localagent.toolbox.mcp import looking
    from tests.toolbox.mcp.real import program

    os.environ["LOCALAGENT_TEST_MCP"] = str(servers)
    base = work.parent / "store.db"
    import sqlite3

    with sqlite3.connect(base) as db:
        db.executescript(
            "create table customers (id integer, name text); create table orders (id integer, amount real);"
            "insert into customers values (1, 'Ada'), (2, 'Grace'), (3, 'Linus');"
        )
    db.close()
    for name, words, granted in (
        ("filesystem", (str(work),), Granted(effects=("read:fs",))),
        ("git", (), Granted(effects=("read:fs",))),
        # The database lies beside the workspace; it can be read there.
        ("sqlite", ("--db-path", str(base)), Granted(effects=("read:fs",), read=(str(work.parent),))),
    ):
        found = program(name)
        if not found:
            raise SystemExit(f"{name} is not in {servers}: python tests/toolbox/mcp/real.py {servers}")
        made = Server(name, found, words, granted=granted)
        mcp.add(made)
        mcp_known.confirm(name, asyncio.run(looking.look(made, str(work))))


def _task(goal: str, wanted: tuple[str, ...], work: Path, args: argparse.Namespace) -> dict[str, Any]:
    begin = [sys.executable, "-c", _ALL] if args.all else [sys.executable, "-P", "-m", "localagent"]
    allow = ["--allow", "read(/tmp/**)"]
    line = [*begin, "do", goal, "--model", args.model, "--yes", *allow, "--max-turns", "6", "--max-time", "120", "--output-format", "json"]
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(line, cwd=work, env=environment, capture_output=True, text=True, timeout=200, check=False)
    try:
        told = json.loads(ran.stdout)
    except ValueError:
        told = {"final": ran.stderr[-500:], "tools": [], "usage": {"input_tokens": 0}}
    called = [one.get("name") for one in told["tools"]]
    done = any(one in (told["final"] or "") for one in wanted)
    row = {"goal": goal, "done": done, "called": called, "input_tokens": told["usage"]["input_tokens"], "seconds": time.monotonic() - began}
    print(f"{'done  ' if done else 'FAILED'} {row['seconds']:5.1f} s  {goal}  {called}  {(told['final'] or '')[:120]!r}", file=sys.stderr)
    return row


if __name__ == "__main__":
    sys.exit(main())
