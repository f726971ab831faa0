"""What else the engine owes: memory, company on the cores, and the price of a grammar."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import grammar as grammars
from engine_host import Plain, ask, default_threads
from engine_table import MIB, Bar, Row, lost

from localagent.engine import gguf, local
from localagent.errors import EngineError

GRAMMAR_BAR = Bar(0.95)
# What the sum leaves out (Python, the page tables, the allocator) may be a tenth of it.
MEMORY_BAR = Bar(1.1, at_most=True)
BUSY_BAR = Bar(0.9)
LOST_BAR = Bar(2.0, at_most=True, unit=" s")
RUNTIME = 128 * MIB
_BUSY = "while True: pass"
_TRIES = 40


def grammar(path: str, dialect: str, threads: int | None, tokens: int, pairs: int) -> Row:
    """Writing with every token held to the schemas of tools, against writing freely (`bench/grammar.py`)."""
    found = grammars.decoding(
        SimpleNamespace(model=path, dialect=dialect, threads=threads or default_threads(), tokens=tokens, pairs=pairs)
    )
    told = (
        f"{found['held_ms']:.2f} ms a token under the grammar, {found['free_ms']:.2f} without; "
        f"outside of llama.cpp's decoding {found['host_held_ms']:.2f} and {found['host_free_ms']:.2f}"
    )
    return Row(
        "grammar_ratio",
        "writing under a grammar against without",
        GRAMMAR_BAR,
        1 / found["token_ratio"],
        found,
        (told,),
    )


async def memory(path: str, context: int, prompt: Sequence[int]) -> Row:
    """The host's resident memory with a long context, against what the file's header says it needs."""
    await local.stop()
    await ask(Plain(path, context).request(prompt, 2))
    state = await local.status() or {}
    header = gguf.read(Path(path))
    needs = header.memory()
    if needs is None:
        raise EngineError("the header does not say what a context of this model needs")
    parts = {
        "weights": sum(piece.stat().st_size for piece in gguf.pieces(Path(path), header)),
        "kv": needs.kv_per_token * int(state["context"]),
        "state": needs.state,
        "runtime": RUNTIME,
    }
    used, allowed = int(state["memory_bytes"]), sum(parts.values())
    shown = " + ".join(f"{name} {size / MIB:,.0f}" for name, size in parts.items())
    lines = (f"{used / MIB:,.0f} MiB at {state['context']:,} tokens; {shown} = {allowed / MIB:,.0f} MiB",)
    if (layers := str(state.get("gpu_layers", "0"))) != "0":
        lines += (f"{layers} layers are on the GPU, whose memory does not count here",)
    figures = {"memory_bytes": used, "allowed_bytes": allowed, "context": state["context"], **parts}
    return Row("memory_ratio", "memory of the host against the sum", MEMORY_BAR, used / allowed, figures, lines)


async def busy(
    path: str, context: int, prompts: Iterator[Sequence[int]], seconds: float, most: int = 4000
) -> tuple[Row, Row]:
    """Writing while another process takes a core, against one thread on a quiet machine; and what noticing it cost.

    `seconds` at the quiet rate are written, `most` tokens at most, the last four fifths of them beside the process.
    """
    if default_threads() < 2:
        raise EngineError("there is only one core, and the other process would take it")
    one = Plain(path, context, 1)
    await ask(one.request(next(prompts), 4))
    rate = (await ask(one.request(next(prompts), 16))).timing().rate("decode")
    new = max(32, min(int(rate * seconds), context // 2, most))
    # Afterwards the host chooses by itself again, beginning with all cores.
    await ask(Plain(path, context, default_threads()).request(next(prompts), 4))
    busy_at, stamps = await _beside(Plain(path, context), prompts, new)
    seconds_lost, kept = lost(stamps, busy_at, rate)
    figures = {
        "one_thread_tokens_per_s": rate, "lost_s": seconds_lost, "kept": kept, "tokens": stamps[-1][1],
        "busy_s": stamps[-1][0] - busy_at,
    }  # fmt: skip
    told = f"{kept * rate:.2f} tokens/s beside it, {rate:.2f} with one thread and quiet"
    return (
        Row("busy_ratio", "writing beside one busy process against one quiet thread", BUSY_BAR, kept, figures, (told,)),
        Row("busy_lost_s", "lost until the host had stepped back from that process", LOST_BAR, seconds_lost),
    )


async def _beside(plain: Plain, prompts: Iterator[Sequence[int]], new: int) -> tuple[float, list[tuple[float, int]]]:
    """When the other process was started, and the stamps of `new` tokens.

    A model that ends its answer early is asked again. Raises `EngineError` where it does so all the time.
    """
    began, stamps = time.monotonic(), [(0.0, 0)]
    company: list[tuple[float, subprocess.Popen[bytes]]] = []

    def watch(more: int) -> None:
        stamps.append((time.monotonic() - began, stamps[-1][1] + more))
        if not company and stamps[-1][1] >= new // 5:
            company.append((stamps[-1][0], subprocess.Popen([sys.executable, "-c", _BUSY])))

    try:
        for _ in range(_TRIES):
            await ask(plain.request(next(prompts), new - stamps[-1][1]), watch)
            if stamps[-1][1] >= new:
                return company[0][0], stamps
    finally:
        for _, process in company:
            process.kill()
            process.wait()
    raise EngineError("the model ends its answers too early to be timed")
