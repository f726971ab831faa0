"""`localagent acp` as a process: the protocol alone on standard output, until the editor closes standard input."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from importlib import metadata

import acp

from .agent import EditorAgent, House


def run(house: House) -> None:
    """Serves the editor that started us. Raises KeyboardInterrupt on Ctrl+C."""
    _keep_output_clean()
    asyncio.run(_serve(EditorAgent(house, _version())))


def _version() -> str:
    try:
        return metadata.version("localagent")
    except metadata.PackageNotFoundError:
        return "0"


async def _serve(agent: EditorAgent) -> None:
    try:
        with contextlib.suppress(ConnectionError):
            await acp.run_agent(agent)
    finally:
        await agent.aclose()


def _keep_output_clean() -> None:
    """Whatever prints, it must not land among the messages: those keep a descriptor of their own."""
    own = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(own, "w", encoding="utf-8", newline="\n")
