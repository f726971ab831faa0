"""The process in which plugin code runs: one request on stdin, JSON lines on a stdout of its own.

    {"op": "describe", "file": ..., "source": ..., "module": ..., "libs": ..., "roots": [...]}
    {"op": "call", "file": ..., "source": ..., "tool": ..., "args": {...}, "workspace": ..., "scratch": ...,
     "environment": {...}, ...}

answered by any number of {"progress": text} and one last line: {"tools": [...], "problems": [...]}
or {"text", "failed", "exit_code", "requests", "pictures"}. The last line repeats the request's "nonce", which no
program that a tool starts can know. What the plugin itself prints, in Python or below it, becomes
progress. Contents of files travel as files in the scratch folder.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from typing import Any

_PRINTED_CAP = 262_144
_PROGRESS_CAP = 1_000_000
_RESULT_CAP = 4_000_000
_PR_SET_DUMPABLE = 4


def main() -> None:
    """Serve one request and leave. Never returns."""
    _close_to_others()
    request = json.loads(sys.stdin.buffer.readline())
    wire = Wire(request.pop("nonce", None))
    try:
        answer = _OPERATIONS[request["op"]](request, wire)
    except BaseException as error:  # noqa: BLE001 - whatever plugin code raises is its result
        from .traces import explain

        answer = {"text": explain(error, request.get("file", ""), request.get("tool", "")), "failed": True}
    wire.finish(answer)


def _close_to_others() -> None:
    """Keep our memory and descriptors from the programs that tools start: they run as the same user."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class Wire:
    """The worker's own way out, kept apart from the descriptors that plugin code prints to."""

    def __init__(self, nonce: str | None) -> None:
        self._nonce = nonce
        self._out = os.dup(1)
        self._lock = threading.Lock()
        self._room = _PROGRESS_CAP
        read_end, write_end = os.pipe()
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)
        os.close(write_end)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
        self._pump = threading.Thread(target=self._forward, args=(read_end,), daemon=True)
        self._pump.start()

    def send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            view = memoryview(line)
            while view:
                view = view[os.write(self._out, view) :]

    def progress(self, text: str) -> None:
        """Send text on while there is room for it: what is for eyes need not be whole."""
        if text and self._room > 0:
            self._room -= len(text)
            self.send(
                {"progress": text if self._room > 0 else text[: len(text) + self._room] + "\n... more is not shown\n"}
            )

    def finish(self, answer: Mapping[str, Any]) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        # A process the plugin left behind may hold the pipe open: wait for what was printed, not for its end.
        self._pump.join(0.2)
        self.send(answer if self._nonce is None else {**answer, "nonce": self._nonce})
        os._exit(0)

    def _forward(self, read_end: int) -> None:
        import codecs

        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        left = _PRINTED_CAP
        while data := os.read(read_end, 65536):
            if left > 0:
                self.progress(decode(data[:left]))
                left -= len(data)
                if left <= 0:
                    self.progress("\n... more was printed than is shown\n")


def load(request: Mapping[str, Any]) -> types.ModuleType:
    """The plugin's module, made from exactly this source. Raises what its code raises."""
    import linecache

    file, source, name = request["file"], request["source"], request.get("module") or ""
    _find_packages(request.get("libs"), request.get("roots") or ())
    module = types.ModuleType(name or os.path.splitext(os.path.basename(file))[0])
    module.__file__ = file
    if name:
        package = os.path.basename(file) == "__init__.py"
        module.__package__ = name if package else name.rpartition(".")[0]
        if package:
            module.__path__ = [os.path.dirname(file)]
        sys.modules[name] = module
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    sys.modules.setdefault(module.__name__, module)
    exec(compile(source, file, "exec"), module.__dict__)
    return module


def _find_packages(libs: str | None, roots: Sequence[str]) -> None:
    """Have imports find what was installed for this plugin, before our own packages; and the package that it belongs to."""
    if libs:
        at = next((n for n, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))), len(sys.path))
        sys.path.insert(at, libs)
    sys.path += [folder for folder in map(os.path.dirname, roots) if folder not in sys.path]


def _marked(module: types.ModuleType) -> list[Any]:
    from .plugin_api import MARK

    found = []
    for value in list(vars(module).values()):
        if isinstance(value, types.FunctionType) and MARK in vars(value) and value not in found:
            found.append(value)
    return found


def _describe(request: Mapping[str, Any], wire: Wire) -> dict[str, Any]:
    from .derive import Refused, describe
    from .traces import load_problem

    try:
        functions = _marked(load(request))
    except BaseException as error:  # noqa: BLE001 - importing a plugin runs its code
        return {"tools": [], "problems": [load_problem(error, request["file"])]}
    tools, problems = [], []
    for function in functions:
        try:
            tools.append(describe(function))
        except Refused as refused:
            problems.append({"line": refused.line, "message": refused.message})
    if not functions:
        problems.append({"line": 1, "message": "no function is marked with @tool"})
    return {"tools": tools, "problems": problems}


def _call(request: Mapping[str, Any], wire: Wire) -> dict[str, Any]:
    from .convert import arguments
    from .outcome import Outcome
    from .plugin_api import MARK

    os.environ.update(request.get("environment") or {})
    os.chdir(request.get("cwd") or request["workspace"])
    module = load(request)
    for function in _marked(module):
        if getattr(function, MARK).name == request["tool"]:
            break
    else:
        raise LookupError(f"{request['file']} has no tool {request['tool']!r}")
    outcome = Outcome(workspace=request["workspace"], scratch=request["scratch"])
    outcome.take(drive(function(**arguments(function, request["args"])), wire, outcome))
    answer = outcome.answer()
    answer["text"] = _within(answer["text"])
    return answer


def drive(value: Any, wire: Wire, outcome: Any) -> Any:
    """What the function gave, run to its end: a coroutine awaited, a generator's lines sent on as they come."""
    import inspect

    if inspect.isgenerator(value):
        while True:
            try:
                item = next(value)
            except StopIteration as stop:
                return stop.value
            outcome.line(item, wire.progress)
    if inspect.iscoroutine(value) or inspect.isasyncgen(value):
        import asyncio

        return asyncio.run(_drive_async(value, wire, outcome))
    return value


async def _drive_async(value: Any, wire: Wire, outcome: Any) -> Any:
    if not hasattr(value, "__aiter__"):
        return await value
    async for item in value:
        outcome.line(item, wire.progress)
    return None


def _within(text: str) -> str:
    """The text without its middle where it is too long to hand over whole."""
    if len(text) <= _RESULT_CAP:
        return text
    half = _RESULT_CAP // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"


_OPERATIONS = {"describe": _describe, "call": _call}
