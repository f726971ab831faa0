"""`localagent engine status|stop`: the resident process that holds the model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="status|stop")
    parser.set_defaults(what="status", json=False)
    status = what.add_parser("status", help="which models are loaded with how much memory, and what waits")
    status.add_argument("--json", action="store_true")
    what.add_parser("stop", help="end the engine; the next request starts it again")


def run(args: argparse.Namespace) -> int:
    import asyncio

    from ..engine import local

    if args.what == "stop":
        print("The engine was stopped." if asyncio.run(local.stop()) else "The engine was not running.")
        return 0
    status = asyncio.run(local.status())
    if args.json:
        json.dump(status or {"running": False}, sys.stdout, indent=1)
        print()
    elif status is None:
        print("The engine is not running; the next request starts it.")
    else:
        print("\n".join(_lines(status)))
    return 0


def _lines(status: dict[str, Any]) -> Iterator[str]:
    """The engine itself, then each model in memory, then what is being answered and what waits."""
    for key in ("state", "pid", "uptime_s", "idle_s", "idle_limit_s", "answered", "clients"):
        yield f"{key:>14}  {status.get(key, '')}"
    yield f"{'memory':>14}  {_size(status.get('memory_bytes', 0))}"
    models = status.get("models", ())
    if not models:
        yield "No model is loaded."
    for model in models:
        yield from _model(model)
    for job in status.get("queue", ()):
        yield f"{job['state']} for {job['seconds']} s, priority {job['priority']}: {job['model']}"


def _model(model: dict[str, Any]) -> Iterator[str]:
    yield f"{model['model']}{' (in use)' if model['busy'] else ''}"
    yield (
        f"    {_size(model['memory_bytes'])} with {model['used']} of {model['context']} tokens in use; "
        f"threads {model['threads']}, layers on a GPU {model['gpu_layers']}, cache {model['kv']}"
    )
    if model["note"]:
        yield f"    {model['note']}"
    took = f" in {model.get('restoring_ms', 0.0):.0f} ms" if model["tokens_restored"] else ""
    yield f"    {model['tokens_read']} tokens read, {model['tokens_restored']} restored from the disk{took}"
    if model["snapshots"] or model["disk_snapshots"]:
        yield (
            f"    states kept: {model['snapshots']} in {_size(model['snapshot_bytes'])} of memory, "
            f"{model['disk_snapshots']} in {_size(model['disk_bytes'])} on the disk"
        )
    if model["disk_trouble"]:
        yield f"    nothing is written to the disk: {model['disk_trouble']}"


def _size(size: int) -> str:
    return f"{size / (1 << 30):.2f} GiB"
