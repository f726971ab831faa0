"""Run programs through the shell."""

from __future__ import annotations

import codecs
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Generator

from localagent import Result, tool

_KEPT = 2_000_000
_LONGEST = 590
# What programs leave beside the files they only read would be proposed as changes.
_QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "GIT_OPTIONAL_LOCKS": "0"}
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_COMPLAINT = re.compile(
    r"^(?:(?:fatal|error|bash|sh|(?:ba)?sh: line \d+): |[\w./-]+: .*(?:No such file or directory|not found)$)",
    re.MULTILINE,
)
_ABSENT = re.compile(r"([\w.+-]+): (?:command )?not found|find: ['\u2018]([\w.+-]+)['\u2019]: No such file")
_OFFLINE = re.compile(
    r"could not resolve host|name or service not known|temporary failure in name resolution|network is unreachable"
    r"|failed to establish a new connection|getaddrinfo|no route to host|unable to resolve",
    re.IGNORECASE,
)


@tool(effects=["run"], timeout=600)
def run(command: str, timeout: int = 60) -> Generator[str, None, Result]:
    """Run a bash command or script and see its output; timeout is in seconds."""
    seconds = min(max(timeout, 1), _LONGEST)
    shell = shutil.which("bash") or "/bin/sh"
    program = subprocess.Popen(
        [shell, "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | _QUIET,
        start_new_session=True,
    )
    output = _Output()
    in_time = False
    try:
        for data in _read(program, time.monotonic() + seconds):
            if lines := output.add(data):
                yield lines
        in_time = program.poll() is not None
    finally:
        _end(program)
    if rest := output.finish():
        yield rest
    text = output.text()
    if not in_time:
        told = f"Stopped after {seconds} seconds. Nothing it changed was kept."
        return Result(f"{text}\n{told}".lstrip(), failed=True)
    return Result(_told(text, program.returncode), failed=program.returncode != 0, exit_code=program.returncode)


def _read(program: subprocess.Popen[bytes], until: float) -> Generator[bytes, None, None]:
    """Output as it comes, until the program has ended or its time is over.

    A process that it left in the background may hold the output open for ever.
    """
    assert program.stdout is not None
    handle = program.stdout.fileno()
    while (left := until - time.monotonic()) > 0:
        ended = program.poll() is not None
        ready, _, _ = select.select([handle], [], [], 0.05 if ended else min(left, 0.1))
        if ready:
            data = os.read(handle, 65536)
            if not data:
                break
            yield data
        elif ended:
            return
    while program.poll() is None and time.monotonic() < until:
        time.sleep(0.005)


def _end(program: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        program.kill()
    program.wait()


class _Output:
    """Bytes in, whole lines out; of very long output the middle is dropped."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._partial = ""
        self._head = ""
        self._tail = ""
        self._dropped = 0

    def add(self, data: bytes) -> str:
        text = self._partial + self._decode(data)
        whole, newline, self._partial = text.rpartition("\n")
        if not newline and len(self._partial) > 65536:
            whole, self._partial = self._partial, ""
        return self._keep(whole + newline)

    def finish(self) -> str:
        return self._keep(self._partial + self._decode(b"", True))

    def text(self) -> str:
        if not self._dropped:
            return (self._head + self._tail).rstrip()
        return f"{self._head}\n... {self._dropped:,} characters left out ...\n{self._tail}".rstrip()

    def _keep(self, text: str) -> str:
        if not text:
            return ""
        text = _plain(text)
        room = max(_KEPT - len(self._head), 0)
        self._head += text[:room]
        self._tail += text[room:]
        if len(self._tail) > 2 * _KEPT:
            self._dropped += len(self._tail) - _KEPT
            self._tail = self._tail[-_KEPT:]
        return text


def _plain(text: str) -> str:
    """Without colours, and of a line that was overwritten (a progress bar) only what stood there last."""
    lines = _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _told(text: str, code: int) -> str:
    if code == 0:
        # Only the last command of a pipeline or list decides the exit code.
        part = "\nexit code 0, but a part of it failed" if _COMPLAINT.search(text) else ""
        return f"{text}{part}" or "exit code 0, no output"
    shown = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
    hints = []
    if re.search(r"\bpython: (command )?not found", text):
        hints.append("Use python3 instead of python.")
    elif absent := _ABSENT.search(text):
        hints.append(f"{next(filter(None, absent.groups()))} is not installed. Do it another way.")
    if _OFFLINE.search(text):
        hints.append("Commands have no network here.")
    return "\n".join([text, shown, *hints] if text else [f"{shown}, no output", *hints])
