"""The engine's promises for one model, each measured and held against its bar.

    prefill_ratio   reading 512 tokens through the resident host, against llama.cpp's raw loop in C
    decode_ratio    writing 64 tokens, the same way
    turn_ratio      tokens read for each new one in a session of 20 turns with calls
    restart_times   the fixed prefix after a restart of the host, restored against read again
    cold_s          `do` with nothing running to its first token, without reading the request
    warm_ms         `do` on a warm host to its first evaluated token, above an interpreter's start
    busy_ratio      writing beside one busy process, against one thread on a quiet machine
    busy_lost_s     what the host lost until it had stepped back from that process
    memory_ratio    the host's memory with 32k tokens of context, against weights + KV + state + 128 MiB (a tenth more at most)
    grammar_ratio   writing under the grammar of tools, against without

Speeds are compared within rounds: every contender runs the same tokens, in turning order, and the
median over the rounds of the ratio within each is told, with the least and the most. The raw loop
(`rawbench.c`) is compiled here, with `cc`, against the libraries of llama-cpp-python, and runs with
repacked weights and without; the one that is sooner done with reading and writing together counts.
Tokens a second of CPU time, for each thread, stand beside those of wall time. The model's files are
those of the user; the host is one of its own. Measure on a quiet machine.

usage: python bench/engine.py [--model ID|FILE|9b-shape] [--short] [--only prefill_ratio,...] [--json]

`9b-shape` is Qwen3.5-9B with random weights, made once in the cache folder (5.6 GB; see
`make_qwen35.py`). Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import engine_load as load  # noqa: E402
import engine_session as session  # noqa: E402
import engine_speed as speed  # noqa: E402
import engine_start as start  # noqa: E402
from engine_host import Plain, ask, default_threads, gpu_names  # noqa: E402
from engine_raw import NoRaw  # noqa: E402
from engine_table import Row, table  # noqa: E402

from localagent import wiring  # noqa: E402
from localagent.engine import local, models  # noqa: E402
from localagent.errors import LocalAgentError  # noqa: E402
from localagent.store import settings  # noqa: E402

LONG_CONTEXT = 32768


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds, tokens read and written, turns, seconds beside a busy process."""

    runs: int = 7
    prefill: int = 512
    decode: int = 64
    turns: int = 20
    written: int = 24
    restarts: int = 3
    busy_s: float = 8.0


SHORT = Size(runs=3, prefill=128, decode=16, turns=4, written=8, restarts=1, busy_s=5.0)


@dataclass
class Bench:
    """One model under measurement. `home` holds everything that is made on the way."""

    model: str
    path: str
    dialect: str
    chosen: settings.Settings
    own_context: int
    size: Size
    home: Path
    engine: Any = field(repr=False)

    @cached_property
    def specs(self) -> Sequence[Any]:
        """The tools of `do`."""
        here = self.home / "work"
        here.mkdir(exist_ok=True)
        return asyncio.run(wiring.registry(here, here)).specs()

    @cached_property
    def prompts(self) -> Any:
        from localagent.engine.llama import Model

        return speed.counting(Model(self.path, vocab_only=True), 48)

    # ------------------------------------------------------------ the rows

    def speed(self) -> list[Row]:
        size, threads = self.size, self.chosen.threads
        found = asyncio.run(
            speed.measure(
                self.path, self.chosen.context, threads,
                prefill=size.prefill, decode=size.decode, count=size.runs, folder=self.home,
            )
        )  # fmt: skip
        used = threads or default_threads()
        return [speed.prefill_row(found, used, size.prefill), speed.decode_row(found, used, size.decode)]

    def turn(self) -> list[Row]:
        return [asyncio.run(session.turn(self.engine, self.specs, self.size.turns, self.size.written))]

    def restart(self) -> list[Row]:
        return [asyncio.run(session.restart(self.engine, self.specs, self.size.restarts, self.home.name))]

    def cold(self) -> list[Row]:
        start.ready(self.model)
        asked = Plain(self.path, self.own_context, self.chosen.threads).request(next(self.prompts), 8)
        timing = asyncio.run(ask(asked)).timing()
        return [start.cold(self.model, self.size.restarts, timing.decode_s / max(1, len(timing.ids)))]

    def warm(self) -> list[Row]:
        return [start.warm(self.model, self.size.runs)]

    def busy(self) -> list[Row]:
        return list(asyncio.run(load.busy(self.path, self.chosen.context, self.prompts, self.size.busy_s)))

    def memory(self) -> list[Row]:
        return [asyncio.run(load.memory(self.path, LONG_CONTEXT, next(self.prompts)))]

    def grammar(self) -> list[Row]:
        size = self.size
        return [load.grammar(self.path, self.dialect, self.chosen.threads, size.decode, size.runs)]


# row -> what measures it
ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "prefill_ratio": Bench.speed,
    "decode_ratio": Bench.speed,
    "turn_ratio": Bench.turn,
    "restart_times": Bench.restart,
    "cold_s": Bench.cold,
    "warm_ms": Bench.warm,
    "busy_ratio": Bench.busy,
    "busy_lost_s": Bench.busy,
    "memory_ratio": Bench.memory,
    "grammar_ratio": Bench.grammar,
}
BARS = {
    "prefill_ratio": speed.BAR, "decode_ratio": speed.BAR, "turn_ratio": session.TURN_BAR,
    "restart_times": session.RESTART_BAR, "cold_s": start.COLD_BAR, "warm_ms": start.WARM_BAR,
    "busy_ratio": load.BUSY_BAR, "busy_lost_s": load.LOST_BAR, "memory_ratio": load.MEMORY_BAR,
    "grammar_ratio": load.GRAMMAR_BAR,
}  # fmt: skip


def measure(bench: Bench, wanted: Sequence[str], rows: dict[str, Callable[[Bench], list[Row]]] = ROWS) -> list[Row]:
    """The rows wanted, in the table's order. What cannot be measured here is a row that says why."""
    found: dict[str, Row] = {}
    for key, taken in rows.items():
        if key not in wanted or key in found:
            continue
        print(f"engine: {key} ...", file=sys.stderr, flush=True)
        try:
            found |= {row.key: row for row in taken(bench)}
        except (NoRaw, LocalAgentError) as error:
            found |= {same: Row(same, "", BARS[same], note=str(error)) for same in rows if rows[same] is taken}
    return [found[key] for key in rows if key in wanted]


# ---------------------------------------------------------------- the model and the place


def opened(args: argparse.Namespace, home: Path, own: settings.Settings) -> Bench:
    """Raises the package's errors for a model that is not here."""
    entry, path = models.choose(own, args.model)
    if path is None:
        raise SystemExit(f"engine: {entry.id} is not here; `localagent model pull {entry.id}` fetches it.")
    size = SHORT if args.short else Size()
    given = {"runs": args.runs, "prefill": args.prefill, "decode": args.decode, "turns": args.turns}
    size = replace(size, **{key: value for key, value in given.items() if value is not None})
    if args.seconds is not None:
        size = replace(size, busy_s=args.seconds)
    chosen = replace(own, threads=args.threads or own.threads, context=args.context or own.context, idle_s=120.0)
    own_context = entry.model_file(path, context=own.context).context
    return Bench(
        args.model or entry.id, str(path), entry.dialect, chosen, own_context, size, home,
        wiring.engine_of(entry, path, chosen),
    )  # fmt: skip


def facts(bench: Bench, state: dict[str, Any]) -> dict[str, Any]:
    import importlib.metadata

    return {
        "model": bench.model,
        "bytes": os.path.getsize(bench.path),
        "dialect": bench.dialect,
        "threads": bench.chosen.threads or default_threads(),
        "cores": os.cpu_count(),
        "gpus": gpu_names(),
        "gpu_layers": str(state.get("gpu_layers", "0") or "0"),
        "llama_cpp_python": importlib.metadata.version("llama-cpp-python"),
    }


def head(told: dict[str, Any], load: float) -> list[str]:
    gpus, layers = ", ".join(told["gpus"]), told["gpu_layers"]
    where = f"{layers} layers on {gpus}" if layers != "0" else f"no layer on {gpus}" if gpus else "no GPU seen"
    lines = [
        f"{told['model']} ({told['bytes'] / 1e9:.2f} GB, {told['dialect']}), {told['threads']} threads of "
        f"{told['cores']} cores, {where}, llama-cpp-python {told['llama_cpp_python']}"
    ]
    if load > 0.5:
        lines.append(f"THE MACHINE WAS NOT QUIET: load {load:.1f} at the start. Speeds are not to be believed.")
    return lines


def run(args: argparse.Namespace, home: Path) -> int:
    import make_qwen35

    own = settings.load()
    if args.model in make_qwen35.SHAPED:
        args.model = str(make_qwen35.kept(args.model))
    busy = os.getloadavg()[0]
    for kind in ("RUNTIME", "STATE", "CACHE"):
        os.environ[f"LOCALAGENT_{kind}_DIR"] = str(home / kind.lower())
    wanted = args.only.split(",") if args.only else list(ROWS)
    if unknown := [key for key in wanted if key not in ROWS]:
        raise SystemExit(f"engine: there is no row {unknown[0]!r}; there are {', '.join(ROWS)}.")
    bench = opened(args, home, own)
    state: dict[str, Any] = {}
    try:
        rows = measure(bench, wanted)
        asyncio.run(ask(Plain(bench.path, bench.chosen.context, args.threads).request(next(bench.prompts), 1)))
        state = asyncio.run(local.status()) or {}
    finally:
        asyncio.run(local.stop())
    told = facts(bench, state)
    if args.json:
        values = {row.key: row.value for row in rows}
        json.dump(
            {**told, "load": busy, **values, "rows": {row.key: row.to_json() for row in rows}}, sys.stdout, indent=1
        )
        print()
    else:
        print(table(head(told, busy), rows))
    return 1 if any(row.ok is False for row in rows) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", help="catalogue id, a GGUF file, or 9b-shape, tiny-shape, dense-shape (the one in use)"
    )
    parser.add_argument("--short", action="store_true", help="a quick form: fewer rounds, tokens and turns")
    parser.add_argument("--only", help="these rows alone, with commas between them")
    parser.add_argument("--runs", type=int, help="rounds (7)")
    parser.add_argument("--prefill", type=int, help="tokens read (512)")
    parser.add_argument("--decode", type=int, help="tokens written (64)")
    parser.add_argument("--turns", type=int, help="turns of the session (20)")
    parser.add_argument("--seconds", type=float, help="seconds beside a busy process (8)")
    parser.add_argument("--threads", type=int, help="threads of everybody (physical cores, and the host's own choice)")
    parser.add_argument("--context", type=int, help="tokens of context but for the memory row (that of the settings)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    args = parser.parse_args()
    # Whoever ends this ends the host too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Short: a socket lies in it.
    home = Path(tempfile.mkdtemp(prefix="la-"))
    try:
        return run(args, home)
    except LocalAgentError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
