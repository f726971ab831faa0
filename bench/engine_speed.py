"""Reading and writing against the raw loop of llama.cpp: the same tokens, turn by turn."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from engine_host import InProcess, Plain, ask, default_threads
from engine_raw import NoRaw, Raw, compiled
from engine_table import Bar, Rounds, Row, Timing, ratio_row, slower_at_both

from localagent.engine.llama import Model, supports_gpu

BAR = Bar(0.97)
Contender = Callable[[Sequence[int], int], Awaitable[Timing]]


def counting(model: Model, tokens: int) -> Iterator[list[int]]:
    """Prompts of so many tokens that begin differently and that a model goes on with for long."""
    for start in itertools.count(1000, 371):
        text = ", ".join(str(number) for number in range(start, start + tokens))
        ids = [] if model.bos is None else [model.bos]
        yield [*ids, *model.untrusted(f"{chr(65 + start % 26)}{start}: {text}")][:tokens]


async def rounds(
    contenders: Mapping[str, Contender], prompts: Iterator[Sequence[int]], new: int, count: int
) -> list[dict[str, Timing]]:
    """So many rounds in turning order behind one that warms up, without raw loops that are beaten there.

    A round in which a model ended its answer early is made again, `count` times at most.
    """
    taking = dict(contenders)
    found: list[dict[str, Timing]] = []
    for number in range(2 * count + 1):
        prompt, names = next(prompts), list(taking)
        turn = number % len(names)
        times = {name: await taking[name](prompt, new) for name in (*names[turn:], *names[:turn])}
        if number == 0:
            taking = {name: run for name, run in taking.items() if name not in slower_at_both(times)}
        elif all(len(timing.ids) > new // 2 for timing in times.values()):
            found.append({name: times[name] for name in names})
        if len(found) == count:
            break
    return found


async def measure(
    path: str, context: int, threads: int | None, *, prefill: int, decode: int, count: int, folder: Path
) -> Rounds:
    """The host, its loop inside this process, and the raw loop with and without repacked weights.

    Raises `NoRaw` where the raw loop cannot be had or the model never writes enough.
    """
    program, cores = compiled(folder), threads or default_threads()
    with ExitStack() as stack:
        ours = InProcess(path, context, cores)
        stack.callback(ours.close)
        # Repacking is for the CPU alone.
        raws = {
            f"raw{' repacked' if repack else ''}": Raw(program, path, context=context, threads=cores, repack=repack)
            for repack in ((False,) if supports_gpu() else (False, True))
        }
        for raw in raws.values():
            stack.callback(raw.close)
        plain = Plain(path, context, threads)

        async def host(prompt: Sequence[int], new: int) -> Timing:
            return (await ask(plain.request(prompt, new))).timing()

        contenders = {"host": host, "in process": _awaited(ours.run)}
        contenders |= {name: _awaited(raw.run) for name, raw in raws.items()}
        found = await rounds(contenders, counting(ours.model, prefill), decode, count)
    if len(found) < count:
        raise NoRaw("the model ends its answers too early to be timed")
    return found


def _awaited(run: Callable[[Sequence[int], int], Timing]) -> Contender:
    async def made(prompt: Sequence[int], new: int) -> Timing:
        return run(prompt, new)

    return made


def prefill_row(found: Rounds, threads: int, tokens: int) -> Row:
    return ratio_row("prefill", found, threads, BAR, f"reading {tokens} tokens, host against the raw C loop")


def decode_row(found: Rounds, threads: int, tokens: int) -> Row:
    return ratio_row("decode", found, threads, BAR, f"writing {tokens} tokens, host against the raw C loop")
