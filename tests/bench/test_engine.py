"""The measurement of the engine: its arithmetic with made-up figures, and all of it with random models."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localagent.errors import EngineError
from localagent.store import settings
from tests import make_gguf

BENCH = Path(__file__).resolve().parents[2] / "bench"
PARTS = ("table", "raw", "host", "speed", "session", "start", "load")


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """The command (`engine`), its parts, and `make_qwen35`."""
    before = list(sys.path)
    sys.path.insert(0, str(BENCH))
    try:
        parts = {part: importlib.import_module(f"engine_{part}") for part in PARTS}
        names = {name: importlib.import_module(name) for name in ("engine", "make_qwen35")}
        yield SimpleNamespace(**parts, **names)
    finally:
        sys.path[:] = before


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_gguf.make("tiny", tmp_path_factory.mktemp("models") / "tiny.gguf"))


@pytest.fixture(scope="module")
def program(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return bench.raw.compiled(tmp_path_factory.mktemp("raw"))
    except bench.raw.NoRaw as why:
        pytest.skip(str(why))


@pytest.fixture
def timing(bench: Any) -> Callable[..., Any]:
    def made(prefill_s: float, decode_s: float, cpu: float = 2.0, tokens: int = 10) -> Any:
        return bench.table.Timing(100, prefill_s, prefill_s * cpu, decode_s, decode_s * cpu, tuple(range(tokens)))

    return made


# ---------------------------------------------------------------- the arithmetic


def test_a_ratio_is_the_median_of_the_rounds_against_the_faster_raw_loop(bench: Any, timing: Any) -> None:
    # A neighbour slowed the second round down: within it the ratio is as in the others.
    rounds = [
        {"host": timing(1.0, 2.0), "in process": timing(1.0, 1.0), "raw": timing(0.9, 1.0), "raw repacked": timing(2.0, 1.1)},
        {"host": timing(9.0, 18.0), "in process": timing(9.0, 9.0), "raw": timing(8.1, 9.0), "raw repacked": timing(9.0, 9.9)},
        {"host": timing(1.0, 2.0), "in process": timing(1.0, 1.0), "raw": timing(0.5, 1.0), "raw repacked": timing(2.0, 1.1)},
    ]  # fmt: skip
    bar = bench.table.Bar(0.97)
    row = bench.table.ratio_row("prefill", rounds, 2, bar, "reading")
    assert row.key == "prefill_ratio" and row.value == pytest.approx(0.9) and row.ok is False
    assert row.figures["against"] == "raw"
    assert row.figures["host"]["ratio"] == pytest.approx({"median": 0.9, "least": 0.5, "most": 0.9})
    assert row.figures["host"]["tokens_per_s"]["median"] == pytest.approx(100.0)
    # Two threads that both compute all the time take twice the wall time: each of them as much as the wall.
    assert row.figures["host"]["tokens_per_cpu_s_and_thread"]["median"] == pytest.approx(100.0)
    decode = bench.table.ratio_row("decode", rounds, 2, bar, "writing")
    assert decode.value == pytest.approx(0.5) and decode.figures["in process"]["ratio"]["median"] == pytest.approx(1.0)


def test_the_raw_loop_counts_with_whatever_is_faster(bench: Any, timing: Any) -> None:
    times = {"host": timing(9, 9), "raw": timing(1, 2), "raw repacked": timing(2, 1)}
    assert bench.table.slower_at_both(times) == set()
    assert bench.table.slower_at_both(times | {"raw repacked": timing(2, 3)}) == {"raw repacked"}
    assert bench.table.slower_at_both(times | {"raw repacked": timing(1.01, 2.01)}) == set()
    for sooner, base in (("raw repacked", "raw repacked"), ("raw", "raw")):
        times |= {sooner: timing(1.9, 0.9)}
        for phase in ("prefill", "decode"):
            row = bench.table.ratio_row(phase, [times], 1, bench.table.Bar(0.97), "")
            assert row.figures["against"] == base
        assert row.value == pytest.approx(0.9 / 9)
        times |= {sooner: timing(1, 2)}


def test_a_turn_is_read_once(bench: Any) -> None:
    # 1,000 tokens of prompt and 20 written; then 50 new ones, of which nothing else is read.
    asked = [(1000, 0, 20), (1070, 1020, 30), (1150, 1100, 10)]
    assert bench.table.turn_ratio(asked) == (1.0, 100, 100)
    # The last answer is read again, because the prompt was written anew.
    assert bench.table.turn_ratio([*asked[:2], (1150, 1070, 10)]) == (1.3, 130, 100)


def test_time_lost_to_a_neighbour_is_what_the_quiet_rate_would_have_written(bench: Any) -> None:
    quiet = [(n / 10, n) for n in range(1, 11)]
    stuck = [(1.0 + n, 10 + n) for n in range(1, 3)]
    back = [(3.0 + n / 10, 12 + n) for n in range(1, 41)]
    lost, kept = bench.table.lost([*quiet, *stuck, *back], 1.0, 10.0)
    # Two seconds with one token each instead of ten; the other half is as fast as it was.
    assert lost == pytest.approx(1.8, abs=0.01) and kept == pytest.approx(1.0)
    assert bench.table.lost([(n / 10, n) for n in range(1, 60)], 1.0, 10.0) == pytest.approx((0.0, 1.0), abs=0.11)
    with pytest.raises(ValueError, match="too few"):
        bench.table.lost(quiet, 0.9, 10.0)


def test_the_table_holds_each_value_against_its_bar(bench: Any) -> None:
    Row, Bar = bench.table.Row, bench.table.Bar
    rows = [
        Row("turn_ratio", "tokens read", Bar(1.05, at_most=True), 1.06, {}, ("12 for 11",)),
        Row("decode_ratio", "writing", Bar(0.97), 0.98),
        Row("restart_times", "again", Bar(10.0, unit=" x"), note="no disk"),
    ]
    lines = bench.table.table(["head"], rows).splitlines()
    assert "1.060" in lines[2] and "<= 1.05" in lines[2] and "MISSED" in lines[2] and "12 for 11" in lines[3]
    assert "0.980" in lines[4] and ">= 0.97" in lines[4] and " ok " in lines[4]
    assert "not measured" in lines[5] and ">= 10 x" in lines[5] and "no disk" in lines[6]
    assert (
        rows[0].to_json()["ok"] is False and rows[2].to_json()["ok"] is None and rows[1].to_json()["bar"] == ">= 0.97"
    )


# ---------------------------------------------------------------- the order of things


def test_rounds_take_turns_and_leave_out_a_raw_loop_that_is_beaten(bench: Any, timing: Any) -> None:
    asked: list[tuple[str, int]] = []

    def contender(name: str, *took: float) -> Any:
        async def run(prompt: Sequence[int], new: int) -> Any:
            asked.append((name, prompt[0]))
            return timing(*took, tokens=new)

        return run

    contenders = {
        "host": contender("host", 1, 1),
        "raw": contender("raw", 1, 1),
        "raw repacked": contender("raw repacked", 2, 2),
    }
    prompts = ([number] for number in itertools.count())
    found = asyncio.run(bench.speed.rounds(contenders, prompts, 4, 2))
    assert asked == [("host", 0), ("raw", 0), ("raw repacked", 0), ("raw", 1), ("host", 1), ("host", 2), ("raw", 2)]
    assert [set(one) for one in found] == [{"host", "raw"}] * 2


def test_a_round_in_which_a_model_stops_early_is_made_again(bench: Any, timing: Any) -> None:
    lengths = iter([8, 2, 8, 8])

    async def host(prompt: Sequence[int], new: int) -> Any:
        return timing(1, 1, tokens=next(lengths))

    async def raw(prompt: Sequence[int], new: int) -> Any:
        return timing(1, 1, tokens=new)

    found = asyncio.run(bench.speed.rounds({"host": host, "raw": raw}, iter([[1]] * 9), 8, 2))
    assert [len(one["host"].ids) for one in found] == [8, 8]


def test_a_row_that_cannot_be_measured_says_why_and_the_others_go_on(bench: Any) -> None:
    engine, Row = bench.engine, bench.table.Row
    measured: list[str] = []

    def speed(_: Any) -> Any:
        measured.append("speed")
        raise bench.raw.NoRaw("there is no C compiler")

    def turn(_: Any) -> Any:
        return [Row("turn_ratio", "", engine.BARS["turn_ratio"], 1.0)]

    def memory(_: Any) -> Any:
        raise EngineError("There is not enough memory.", "Close something.")

    rows = {"prefill_ratio": speed, "decode_ratio": speed, "turn_ratio": turn, "memory_ratio": memory}
    found = engine.measure(SimpleNamespace(), list(rows), rows)
    assert [(row.key, row.ok, row.note) for row in found] == [
        ("prefill_ratio", None, "there is no C compiler"), ("decode_ratio", None, "there is no C compiler"),
        ("turn_ratio", True, ""), ("memory_ratio", None, "There is not enough memory. Close something."),
    ]  # fmt: skip
    assert measured == ["speed"]
    assert [row.key for row in engine.measure(SimpleNamespace(), ["turn_ratio"], rows)] == ["turn_ratio"]


def test_every_row_has_a_bar_and_stands_in_the_help(bench: Any) -> None:
    engine = bench.engine
    assert set(engine.ROWS) == set(engine.BARS)
    assert all(f"    {key}" in engine.__doc__ for key in engine.ROWS)


def test_the_head_says_where_the_layers_are_and_that_a_machine_is_not_quiet(bench: Any) -> None:
    told = {"model": "m", "bytes": 10**9, "dialect": "hermes", "threads": 2, "cores": 4, "llama_cpp_python": "1"}
    head = bench.engine.head
    assert "33/33 layers on A Card" in head(told | {"gpus": ["A Card"], "gpu_layers": "33/33"}, 0.1)[0]
    assert "no layer on A Card" in head(told | {"gpus": ["A Card"], "gpu_layers": "0"}, 0.1)[0]
    lines = head(told | {"gpus": [], "gpu_layers": "0"}, 3.0)
    assert "no GPU seen" in lines[0] and "NOT QUIET" in lines[1]


# ---------------------------------------------------------------- the real things


def test_the_raw_loop_writes_what_the_engine_writes(bench: Any, program: Path, tiny: str) -> None:
    ours = bench.host.InProcess(tiny, 512, 1)
    raws = [bench.raw.Raw(program, tiny, context=512, threads=1, repack=repack) for repack in (False, True)]
    try:
        prompt = next(bench.speed.counting(ours.model, 64))
        found = ours.run(prompt, 6)
        others = [raw.run(prompt, 6) for raw in raws]
        assert len(prompt) == 64 and found.read == others[0].read == 64 and found.ids
        assert all(other.ids[: len(found.ids)] == found.ids for other in others)
        assert all(
            0 < one.prefill_s < 60 and 0 < one.decode_s < 60 and one.decode_cpu_s > 0 for one in (found, *others)
        )
        with pytest.raises(bench.raw.NoRaw, match="fit into the context"):
            raws[0].run(prompt, 500)
    finally:
        for one in (ours, *raws):
            one.close()


def test_a_raw_loop_without_a_model_says_so(bench: Any, program: Path, tmp_path: Path) -> None:
    with pytest.raises(bench.raw.NoRaw, match="cannot be loaded"):
        bench.raw.Raw(program, str(tmp_path / "none.gguf"), context=512, threads=1, repack=False)


def test_without_a_compiler_there_is_no_raw_loop(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bench.raw.NoRaw, match="no C compiler"):
        bench.raw.compiled(tmp_path)


def test_a_shape_has_the_tensors_and_types_of_a_real_file(bench: Any, tmp_path: Path) -> None:
    from localagent.engine import gguf
    from localagent.engine.llama import Context, Model

    made = bench.make_qwen35
    small = dataclasses.replace(made.SHAPE, layers=8, embd=256, ff=512, heads=4, heads_kv=2, head_dim=64, rope_dim=64,
                                k_heads=2, v_heads=4, lin_dim=64)  # fmt: skip
    path = made.make(tmp_path / "small.gguf", shape=small, size=1024)
    kinds = {tensor.name: tensor.type for tensor in gguf.read(path).tensors}
    assert kinds["output.weight"] == 14 and kinds["blk.0.attn_qkv.weight"] == 13 and kinds["token_embd.weight"] == 12
    assert (kinds["blk.0.ffn_down.weight"], kinds["blk.1.ffn_down.weight"]) == (14, 12)
    model = Model(str(path))
    context = Context(model, n_ctx=256, threads=1)
    try:
        assert model.n_vocab == 1024 and model.recurrent and model.piece(model.eog or 0) == b"<|im_end|>"
        assert context.decode(model.untrusted("hello")) == 0
        logits = context.logits()
        assert logits.std() > 0.1 and abs(float(logits.mean())) < logits.std()
    finally:
        context.close()
        model.close()


def test_a_vocabulary_is_borrowed_and_filled_up(bench: Any, tiny: str) -> None:
    tokens, types, merges, first = bench.make_qwen35.vocabulary(2000, Path(tiny))
    assert len(tokens) == len(types) == 2000 == len(set(tokens)) and merges
    assert tokens[first] == "<|endoftext|>" and types[first] == make_gguf.CONTROL_T
    assert tokens[:300] == make_gguf._vocabulary()[0][:300]


def test_a_shape_is_made_once(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench.make_qwen35.kept("dense-shape")
    assert path.is_file() and path.parent.name == "bench"
    monkeypatch.setattr(bench.make_qwen35, "written", None)
    assert bench.make_qwen35.kept("dense-shape") == path


@pytest.mark.skipif(not os.environ.get("LOCALAGENT_TEST_BENCH"), reason="starts many processes: LOCALAGENT_TEST_BENCH=1")
def test_everything_is_measured_with_a_random_model(
    bench: Any, program: Path, tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.set_value("threads", "1")
    monkeypatch.setattr(bench.session, "SETTLE_S", 0.1)
    monkeypatch.setattr(bench.start, "SETTLE_S", 0.1)
    monkeypatch.setattr(bench.start.startup, "WARM_UP", 0)
    small = ["--short", "--runs", "1", "--prefill", "32", "--decode", "4", "--turns", "2", "--seconds", "0.2"]
    monkeypatch.setattr("sys.argv", ["engine.py", "--model", tiny, *small, "--threads", "1", "--json"])
    assert bench.engine.main() in (0, 1)
    told = json.loads(capsys.readouterr().out)
    missing = {key: row["note"] for key, row in told["rows"].items() if row["value"] is None}
    assert not {key for key, note in missing.items() if "one core" not in note}, missing
    assert list(told["rows"]) == list(bench.engine.ROWS) and told["turn_ratio"] == told["rows"]["turn_ratio"]["value"]
    assert told["threads"] == 1 and told["gpu_layers"] == "0" and told["dialect"] == "qwen35"
    assert told["rows"]["turn_ratio"]["figures"]["requests"] == 4 and 0.9 <= told["turn_ratio"] <= 1.05
    speeds = told["rows"]["decode_ratio"]["figures"]
    assert speeds["host"]["same_tokens"] == speeds["in process"]["same_tokens"] == 1
    assert {"host", "in process", speeds["against"]} <= set(speeds) and speeds["host"]["tokens_per_s"]["median"] > 0
    assert told["rows"]["memory_ratio"]["figures"]["context"] == 32768 and 0 < told["memory_ratio"] < 1
    assert told["rows"]["cold_s"]["figures"]["first_token_s"][0] > 0 and told["warm_ms"] > 0
    assert told["rows"]["restart_times"]["figures"]["pairs"][0]["prefill_ms"] > 0


def test_speed_and_restarts_are_measured_with_a_random_model(
    bench: Any, program: Path, tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.session, "SETTLE_S", 0.1)
    monkeypatch.setattr(bench.engine.Bench, "specs", ())
    few = ["--short", "--runs", "1", "--prefill", "32", "--decode", "4", "--threads", "1", "--json"]
    only = ["--only", "decode_ratio,restart_times"]
    monkeypatch.setattr("sys.argv", ["engine.py", "--model", tiny, *few, *only])
    assert bench.engine.main() in (0, 1)
    rows = json.loads(capsys.readouterr().out)["rows"]
    speeds = rows["decode_ratio"]["figures"]
    assert {"host", "in process", speeds["against"]} <= set(speeds) and speeds["host"]["tokens_per_s"]["median"] > 0
    assert rows["restart_times"]["figures"]["pairs"][0]["prefill_ms"] > 0


def test_a_model_without_a_recurrent_state_is_read_once_too(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.engine.Bench, "specs", ())
    argv = ["engine.py", "--model", "dense-shape", "--only", "turn_ratio", "--turns", "2", "--short", "--threads", "1"]
    monkeypatch.setattr("sys.argv", argv)
    assert bench.engine.main() == 0
    assert "turn_ratio           1.0" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*argv[:4], "speed"])
    with pytest.raises(SystemExit, match="there is no row 'speed'"):
        bench.engine.main()
