"""The host's end of one worker: starts it, hands it the request, reads its lines.

Nothing a worker writes is trusted to be well formed, and an answer counts only with the number that
its worker alone was told: the programs it starts can reach the same pipe.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ..errors import SandboxUnavailable
from ..sandbox import launch

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from localagent.toolbox.worker import main; main()"
_KEPT = 2000
_OUTPUT_KB = 65536
_TRIES = 2
_REFUSALS = 3


def limits(timeout: float) -> launch.Limits:
    """What one worker may use, for `timeout` seconds."""
    return launch.Limits(wall_s=timeout, output_kb=_OUTPUT_KB)


async def ask(
    request: Mapping[str, Any], *, profile: launch.Profile | None, cwd: str, timeout: float
) -> AsyncGenerator[str | dict[str, Any], None]:
    """The worker's progress as text, then its one answer.

    `profile` None runs it without a boundary. A worker that ends without an answer is
    answered for, with `failed` set. Raises SandboxUnavailable.
    """
    tries = 1 if profile is None else _TRIES
    begun = False
    for left in reversed(range(tries)):
        try:
            async with aclosing(_ask(request, profile, cwd, timeout)) as said:
                async for item in said:
                    begun = True
                    yield item
            return
        except SandboxUnavailable:
            # The worker never ran. What was to be hidden may have gone in the meantime: a socket of another program.
            if begun or not left:
                raise


async def _ask(
    request: Mapping[str, Any], profile: launch.Profile | None, cwd: str, timeout: float
) -> AsyncGenerator[str | dict[str, Any], None]:
    argv = [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, str(_ROOT)]
    bounds = profile.limits if profile is not None else limits(timeout)
    process = await launch.start(
        argv, profile=profile, cwd=cwd, env=launch.clean_env(), stdin=True, merge=False, limits=bounds
    )
    said = ""
    answer: dict[str, Any] = {}
    nonce = secrets.token_hex(16)
    async with process:
        process.write(json.dumps({**request, "nonce": nonce}).encode() + b"\n")
        process.close_stdin()
        parts: list[bytes] = []
        async for chunk in process:
            parts.append(chunk)
            if b"\n" not in chunk:
                continue
            *lines, rest = b"".join(parts).split(b"\n")
            parts = [rest]
            for line in lines:
                message = _message(line)
                if isinstance(progress := message.get("progress"), str):
                    # A lone surrogate (a file name's odd byte) could be printed nowhere.
                    progress = progress.encode("utf-8", "replace").decode()
                    said = (said + progress)[-_KEPT:]
                    yield progress
                elif message.pop("nonce", None) == nonce:
                    answer = message
                    break
            if answer:
                break
        code = 0 if answer else await process.wait()
    answer = answer or {"text": _unanswered(process, code, request, timeout, said), "failed": True}
    if (refused := process.refused()) and isinstance(answer.get("text"), str):
        # Programs rarely show why a proxy said no.
        more = f" and {len(refused) - _REFUSALS} more" if len(refused) > _REFUSALS else ""
        answer["text"] += f"\n[refused by the sandbox: {'; '.join(refused[:_REFUSALS])}{more}]"
    yield answer


def _message(line: bytes) -> dict[str, Any]:
    """One line of the protocol; empty where it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _unanswered(process: launch.Process, code: int, request: Mapping[str, Any], timeout: float, said: str) -> str:
    name = request.get("tool") or Path(str(request.get("file"))).name
    reasons = {
        "timeout": f"{name} was stopped after {timeout:g} seconds.",
        "output": f"{name} was stopped: it wrote more output than is allowed.",
        "memory": f"{name} was stopped: it used more memory than is allowed.",
        "processes": f"{name} was stopped: it started more processes than are allowed.",
        "killed": f"{name} was stopped.",
    }
    text = reasons.get(process.ended) or f"{name} broke off ({_code(code)}) without an answer."
    last = said.strip() or ("" if process.ended else process.stderr.decode(errors="replace").strip()[-_KEPT:])
    return f"{text} Its last output:\n{last}" if last else text


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"signal {code - 128}" if code > 128 else f"exit code {code}"
