"""`localagent doctor`: every part the agent stands on, one line each: ok, or the problem and what to do."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from ..errors import LocalAgentError
from ..sandbox import launch
from ..store import paths, settings
from .checks import Check, code, show

_MIN_FREE = 2 << 30
_PREBUILT = "https://abetlen.github.io/llama-cpp-python/whl"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same as a JSON list")
    parser.add_argument("--offline", action="store_true", help="leave out the two checks that use the network")


def run(args: argparse.Namespace) -> int:
    checks: list[Check] = []
    for check in _checks(offline=args.offline):
        checks.append(check)
        if not args.json:
            show(check)
    if args.json:
        json.dump([asdict(check) for check in checks], sys.stdout, ensure_ascii=False, indent=1)
        print()
    return code(checks)


def _checks(*, offline: bool) -> Iterator[Check]:
    parts: list[tuple[str, Callable[[], Check | list[Check]]]] = [
        ("python", _python),
        ("engine", _engine),
        ("gpu", _gpu),
        ("settings", _settings),
        ("policy", _policy),
        ("model", _model),
        ("sandbox", _sandbox),
        ("disk", _disk),
        ("undo", _undo),
    ]
    if not offline:
        parts += [("index", _index), ("hub", _hub)]
    for name, part in parts:
        try:
            found = part()
        except LocalAgentError as error:
            found = Check(name, "problem", error.message, error.hint)
        yield from found if isinstance(found, list) else [found]


def _python() -> Check:
    made, version = platform.python_implementation(), platform.python_version()
    return Check("python", "ok", f"{made} {version} on {platform.system()} {platform.machine()}")


def _engine() -> Check:
    try:
        from ..engine import llama
    except (ImportError, OSError, RuntimeError) as error:
        fix = f"pip install --only-binary llama-cpp-python --extra-index-url {_PREBUILT}/cpu llama-cpp-python"
        return Check("engine", "problem", f"llama-cpp-python cannot be loaded: {error}.", fix)
    from importlib.metadata import version

    return Check("engine", "ok", f"llama-cpp-python {version('llama-cpp-python')}: {_features(llama.build_info())}")


def _features(info: str) -> str:
    """`CPU : SSE3 = 1 | AVX2 = 1 | …` as the names of what is on."""
    names = [part.split("=")[0].split(":")[-1].strip() for part in info.split("|") if part.strip().endswith("= 1")]
    return " ".join(names) or "no CPU features named"


def _gpu() -> Check | list[Check]:
    try:
        from ..engine import llama
    except (ImportError, OSError, RuntimeError):
        return []  # The engine's line has said it.
    used = [f"{d['description']}" for d in llama.devices() if d["kind"] in ("gpu", "igpu")]
    if used and llama.supports_gpu():
        return Check("gpu", "ok", f"the engine uses {', '.join(used)}; {_loaded_layers()}")
    found = _devices()
    if not found:
        return Check("gpu", "ok", "none found; the model runs on the CPU")
    kind, name = found[0]
    return Check("gpu", "note", f"{name} is there, but the engine is built for the CPU only", _rebuild(kind))


def _devices() -> list[tuple[str, str]]:
    """(backend, name) of graphics cards that llama.cpp could use, the best backend first."""
    if sys.platform == "darwin":
        return [("metal", "the Apple GPU")] if platform.machine() == "arm64" else []
    if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        return [("cuda", "an NVIDIA GPU")]
    vendors = {"0x1002": "an AMD GPU", "0x8086": "an Intel GPU", "0x10de": "an NVIDIA GPU"}
    found = []
    for vendor in sorted(Path("/sys/class/drm").glob("card?/device/vendor")):
        try:
            name = vendors.get(vendor.read_text().strip())
        except OSError:
            continue
        if name:
            found.append(("vulkan", name))
    return found


def _rebuild(kind: str) -> str:
    flag = {"cuda": "-DGGML_CUDA=on", "vulkan": "-DGGML_VULKAN=on", "metal": "-DGGML_METAL=on"}[kind]
    pip = f"{sys.executable} -m pip install --force-reinstall --no-cache-dir --no-deps"
    prebuilt = {"cuda": "cu124", "vulkan": "vulkan", "metal": "metal"}[kind]
    return (
        f'CMAKE_ARGS="{flag}" {pip} --no-binary llama-cpp-python llama-cpp-python   '
        f"(or prebuilt: add --only-binary llama-cpp-python --extra-index-url {_PREBUILT}/{prebuilt})"
    )


def _loaded_layers() -> str:
    import asyncio

    from ..engine import local

    status = asyncio.run(local.status()) or {}
    if not status.get("model"):
        return "no model is loaded now, so no layers are on it yet"
    return f"{status.get('gpu_layers', 0)} layers of the loaded model are on it"


def _settings() -> Check:
    settings.load()
    where = settings.path()
    return Check("settings", "ok", str(where) if where.exists() else "all at their defaults")


def _policy() -> Check:
    from ..agent import policies

    mine, here = policies.own(), policies.here()
    number = len(mine.deny) + len(mine.ask) + len(mine.allow)
    text = (
        f"{number} rule{'s' * (number != 1)} in {mine.where}"
        if mine.where
        else "no policy.yaml: the modes alone decide"
    )
    try:
        theirs = policies.of_project(here)
    except LocalAgentError as error:
        return Check("policy", "problem", f"everything asks in this folder: {error.message}", error.hint)
    if theirs.where:
        text += f"; this folder adds {len(theirs.deny) + len(theirs.ask)} ({theirs.where})"
    if theirs.allow:
        return Check("policy", "note", text, f"What it allows does not count: {theirs.where}:{theirs.allow[0].line}")
    return Check("policy", "ok", text)


def _model() -> Check:
    from ..engine import models

    entry, path = models.choose(settings.load(), None)
    if path is None:
        fix = f"localagent model pull {entry.id}   (or a small one to try: localagent model pull starter)"
        return Check("model", "problem", f"{entry.id} is chosen but not on this machine", fix)
    return Check("model", "ok", f"{entry.id} at {path}")


def _sandbox() -> Check:
    boundary = launch.probe()
    if boundary.name == "none":
        return Check("sandbox", "problem", f"{boundary.reason} Until then every action asks first.", boundary.hint)
    if boundary.reduced:
        return Check("sandbox", "note", f"{boundary.name}, which holds less: {boundary.reason}", boundary.hint)
    return Check("sandbox", "ok", f"{boundary.name}: no network, the workspace staged, secrets hidden")


def _disk() -> list[Check]:
    checks = []
    for name, folder in (("models", paths.data_dir()), ("undo", paths.state_dir())):
        if not os.access(folder, os.W_OK):
            checks.append(
                Check("disk", "problem", f"{folder} ({name}) is not writable", f"Make it yours: chown $USER {folder}")
            )
            continue
        free = shutil.disk_usage(folder).free
        text = f"{free / 2**30:.1f} GiB free for {name} at {folder}"
        low = free < _MIN_FREE
        checks.append(Check("disk", "problem" if low else "ok", text, "Free some space." if low else ""))
    return checks


def _undo() -> Check:
    from .undo import open_journal, space

    journal = open_journal()
    used, budget = journal.used()
    text = f"earlier contents take {space(journal)}"
    over = used > budget
    return Check("undo", "note" if over else "ok", text, "They shrink by themselves within a day." if over else "")


def _index() -> Check:
    from ..engine import catalogue, index

    reason = index.unreachable(catalogue.load().get("starter"), settings.load().index_url)
    if reason is None:
        return Check("index", "ok", "the Python index has the starter model")
    return Check("index", "note", f"the Python index cannot be used: {reason}", "Needed for `model pull starter`.")


def _hub() -> Check:
    return _reach("hub", settings.load().hub, "needed to download models; a mirror: localagent config set hub URL")


def _reach(name: str, url: str, why: str) -> Check:
    from ..engine import fetch

    reason = fetch.unreachable(url)
    if reason is None:
        return Check(name, "ok", f"{_host(url)} answers")
    return Check(name, "note", f"{_host(url)} cannot be reached: {reason}", why)


def _host(url: str) -> str:
    return url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]
