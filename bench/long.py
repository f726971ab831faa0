"""Long tasks: 8 to 30 steps each, with an end that can be looked at; with and without something, in one table.

The tasks (`long.yaml`, or those of `languages.yaml`) are judged as desk.py judges. Each way (`--way NAME='ARGUMENTS'`, as often as
wanted) is the same agent with other arguments of `do`; every task is run all ways, one behind the other, so that the ways are paired.
The scripted half, in which every task's own `steps` are replayed through the real program and undone again, is
tests/bench/test_long.py.

usage: python bench/long.py [--agent 'COMMAND {prompt}'] [--way 'plain=' --way 'plans=--plan on'] [--tasks long.yaml]
                            [--only ID,ID] [--limit 90] [--out results.jsonl] [--keep DIR] [--table results.jsonl]
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import desk
import yaml

AGENT = f"{shlex.quote(sys.executable)} -P -m localagent do --yes --model starter"
ASIDE_S = 20.0
"""The agent is told to end by itself so long before it would be killed: what it cost is then told."""


@dataclass(frozen=True, slots=True)
class LongTask(desk.Task):
    """`steps` is a known good way: one mapping `tool: arguments` a call, and texts for answers in between and at the end.

    `language` is the code of the language that the answer has to be in, "" for any.
    """

    steps: tuple[Any, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """One task run one way: how it was judged and what it cost. `spoke` says that the answer was in the language asked for."""

    id: str
    way: str
    ok: bool
    state: bool
    answered: bool
    spoke: bool
    code: int
    calls: int
    read: int
    wrote: int
    seconds: float
    answer: str
    stderr: str
    why: str


def load(file: Path, only: str = "") -> list[LongTask]:
    """The tasks of a YAML file, those in the comma-separated `only` where it is given. Tasks may share a `setup` by YAML anchors."""
    given = [item for item in yaml.safe_load(file.read_text(encoding="utf-8")) if "id" in item]
    tasks = [LongTask(**{**item, "steps": tuple(item.get("steps", ()))}) for item in given]
    wanted = set(filter(None, only.split(",")))
    if unknown := wanted - {task.id for task in tasks}:
        raise SystemExit(f"long: there is no task {', '.join(sorted(unknown))} in {file}")
    return [task for task in tasks if not wanted or task.id in wanted]


def run(task: LongTask, way: str, agent: str, limit: float, keep: Path | None = None) -> Ran:
    """One task one way. `agent` is a command of `do` without its format and its goal."""
    told: list[Mapping[str, Any]] = []

    def answer(stdout: str) -> str:
        envelope = _envelope(stdout)
        told.append(envelope)
        return str(envelope.get("final", ""))

    command = f"{agent} --output-format json --max-time {limit:g} {{prompt}}"
    plain = replace(task, language="", steps=())
    outcome = desk.run_task(plain, command, limit + ASIDE_S, keep, answer)
    facts = told[0] if told else {}
    usage = facts.get("usage") or {}
    spoke = not task.language or speaks(outcome.stdout, task.language)
    return Ran(
        task.id,
        way,
        outcome.ok and spoke,
        outcome.state,
        outcome.answered,
        spoke,
        outcome.code,
        len(facts.get("tools") or ()),
        int(usage.get("input_tokens") or 0),
        int(usage.get("output_tokens") or 0),
        outcome.seconds,
        outcome.stdout,
        outcome.stderr,
        outcome.why,
    )


def _envelope(stdout: str) -> Mapping[str, Any]:
    try:
        found = json.loads(stdout)
    except ValueError:
        return {"final": stdout}
    return found if isinstance(found, dict) else {"final": stdout}


def speaks(text: str, language: str) -> bool:
    """Whether a text is in the language, by its script or its commonest words. Names of files are not looked at."""
    from localagent.agent import tongue

    return tongue.speaks(text, language)


def table(rans: Sequence[Ran]) -> str:
    """Passed, calls, tokens and seconds of each way, and behind them each task with what each way made of it."""
    ways = list(dict.fromkeys(ran.way for ran in rans))
    lines = ["| way | passed | end state | calls | tokens read | tokens written | seconds |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for way in ways:
        mine = [ran for ran in rans if ran.way == way]
        sums = [sum(getattr(ran, name) for ran in mine) for name in ("ok", "state", "calls", "read", "wrote")]
        passed, state, calls, read, wrote = sums
        seconds = sum(ran.seconds for ran in mine)
        row = f"| {way} | {passed}/{len(mine)} | {state}/{len(mine)} | {calls} | {read:,} | {wrote:,} | {seconds:.0f} |"
        lines.append(row)
    lines += ["", "| task | " + " | ".join(ways) + " |", "| --- |" + " --- |" * len(ways)]
    for name in dict.fromkeys(ran.id for ran in rans):
        cells = (" ".join(_cell(ran) for ran in rans if (ran.id, ran.way) == (name, way)) for way in ways)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(ran: Ran) -> str:
    missed = [name for name in ("state", "answered", "spoke") if not getattr(ran, name)]
    return f"{'yes' if ran.ok else '-'.join(['no', *missed])} ({ran.calls} calls, {ran.seconds:.0f} s)"


def _ways(given: Sequence[str]) -> dict[str, str]:
    ways = dict(way.split("=", 1) for way in given if "=" in way)
    if len(ways) < len(given):
        raise SystemExit("long: write a way as NAME='ARGUMENTS OF do', each under another name")
    return ways or {"plain": ""}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", default=AGENT, help="a command of `do`, without its goal (default: this localagent, the starter model)")
    parser.add_argument("--way", action="append", default=[], metavar="NAME=ARGUMENTS", help="again for another way")
    parser.add_argument("--tasks", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--only", default="", metavar="ID,ID")
    parser.add_argument("--limit", type=float, default=90, metavar="SECONDS", help="for each task (90)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append one JSON line for each task run")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy each finished workspace here")
    parser.add_argument("--table", type=Path, metavar="FILE", help="run nothing: the table of what --out wrote")
    options = parser.parse_args()
    if options.table:
        rans = [Ran(**json.loads(line)) for line in options.table.read_text(encoding="utf-8").splitlines()]
        print(table(rans))
        return 0
    rans = []
    for task in load(options.tasks, options.only):
        for way, more in _ways(options.way).items():
            ran = run(task, way, f"{options.agent} {more}", options.limit, options.keep)
            rans.append(ran)
            print(f"{'ok  ' if ran.ok else 'FAIL'} {ran.seconds:7.1f} s  {ran.id:22} {way:10} {_cell(ran)}", flush=True)
            if options.out:
                with options.out.open("a", encoding="utf-8") as sink:
                    sink.write(json.dumps(asdict(ran), ensure_ascii=False) + "\n")
    print(table(rans))
    return 0


if __name__ == "__main__":
    sys.exit(main())
