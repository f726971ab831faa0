"""Desktop tasks with a checkable end state: what an agent really did, not what it says.

Each task fills a fresh folder (`setup`), gives the agent its `prompt`, and then looks: `check`
must exit 0 in that folder, `answer` is a regular expression that standard output must match,
`answer_not` one that it must not (both in any case of letters). Scripts run in bash with errexit
and pipefail; in them `not COMMAND` fails where COMMAND succeeds, $ANSWER is the file with the
agent's answer, and $DESK_OUTSIDE is the folder around the workspace, whose other contents must
stay as they are. Any command-line agent can be measured: `{prompt}` in its command is replaced
by the quoted prompt, `{workspace}` by the folder it is started in. With `--connected` it is this localagent with as many
published tools of others beside its own.

usage: python bench/desk.py [--agent 'COMMAND {prompt}']
                            [--connected N] [--tasks desk.yaml] [--only ID,ID] [--timeout 300] [--repeat 1]
                            [--out results.jsonl] [--keep DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

AGENT = f"{shlex.quote(sys.executable)} -P -m localagent do --yes --model starter {{prompt}}"
PRELUDE = 'not() { if "$@"; then return 1; fi; }\n'
SCRIPT_S = 60
TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class Task:
    """`answer` and `answer_not` "" check nothing; `timeout` 0 takes the run's."""

    id: str
    kind: str
    prompt: str
    setup: str = "true"
    check: str = "true"
    answer: str = ""
    answer_not: str = ""
    timeout: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`state` and `answered` say which half held; `outside` that nothing beside the workspace changed."""

    id: str
    kind: str
    ok: bool
    state: bool
    answered: bool
    outside: bool
    code: int
    seconds: float
    stdout: str
    stderr: str
    why: str


def load(file: Path, only: str = "") -> list[Task]:
    """The tasks of a YAML file, those in the comma-separated `only` where it is given."""
    tasks = [Task(**item) for item in yaml.safe_load(file.read_text(encoding="utf-8"))]
    wanted = set(filter(None, only.split(",")))
    if unknown := wanted - {task.id for task in tasks}:
        raise SystemExit(f"desk: there is no task {', '.join(sorted(unknown))} in {file}")
    return [task for task in tasks if not wanted or task.id in wanted]


def run_task(
    task: Task, agent: str, timeout: float, keep: Path | None = None, final: Callable[[str], str] = str
) -> Outcome:
    """Set up, run the agent, look. The folder is gone afterwards; `keep` gets a copy of it. `final` finds the answer in stdout."""
    root = Path(tempfile.mkdtemp(prefix=f"desk-{task.id}-"))
    workspace = root / "work"
    workspace.mkdir()
    env = {**os.environ, "LC_ALL": "C.UTF-8", "DESK_OUTSIDE": str(root)}
    try:
        made = _script(task.setup, workspace, env)
        if made.returncode:
            raise SystemExit(f"desk: the setup of {task.id} failed: {made.stderr}")
        beside = sorted(os.listdir(root))
        command = agent.replace("{prompt}", shlex.quote(task.prompt)).replace(
            "{workspace}", shlex.quote(str(workspace))
        )
        code, out, err, seconds = _agent(command, workspace, env, task.timeout or timeout)
        outside, out = sorted(os.listdir(root)) == beside, final(out)
        answer = root / "answer.txt"
        answer.write_text(out, encoding="utf-8")
        checked = _script(task.check, workspace, {**env, "ANSWER": str(answer)})
        answered = _matches(task.answer, out) if task.answer else True
        if task.answer_not:
            answered = answered and not _matches(task.answer_not, out)
        state = checked.returncode == 0
        ok = state and answered and outside and code != TIMED_OUT
        why = (checked.stderr or checked.stdout)[-500:].strip() if not state else ""
        return Outcome(
            task.id, task.kind, ok, state, answered, outside, code, round(seconds, 1), out[-4000:], err[-2000:], why
        )
    finally:
        if keep is not None:
            shutil.copytree(root, keep / root.name, symlinks=True)
        shutil.rmtree(root, ignore_errors=True)


def _script(script: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", PRELUDE + script],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SCRIPT_S,
        check=False,
    )


def _agent(command: str, cwd: Path, env: Mapping[str, str], timeout: float) -> tuple[int, str, str, float]:
    """(exit code, stdout, stderr, seconds); at the time limit its whole group is killed and the code is 124."""
    started = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = TIMED_OUT
    return code, out, err, time.monotonic() - started


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Passed and total, by kind and together, and the seconds they took."""
    kinds: dict[str, list[bool]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.kind, []).append(outcome.ok)
    seconds = [outcome.seconds for outcome in outcomes]
    return {
        "passed": sum(outcome.ok for outcome in outcomes),
        "total": len(outcomes),
        "kinds": {kind: [sum(oks), len(oks)] for kind, oks in sorted(kinds.items())},
        "median_s": statistics.median(seconds) if seconds else 0.0,
        "sum_s": round(sum(seconds), 1),
        "timed_out": [outcome.id for outcome in outcomes if outcome.code == TIMED_OUT],
    }


def _line(outcome: Outcome) -> str:
    missed = [name for name in ("state", "answered", "outside") if not getattr(outcome, name)]
    why = "timed out" if outcome.code == TIMED_OUT else " ".join(missed)
    told = f"{why}: {outcome.why.splitlines()[-1][:60]}" if outcome.why else why
    return f"{'ok  ' if outcome.ok else 'FAIL'} {outcome.seconds:7.1f} s  {outcome.id:22} {told}".rstrip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", default=AGENT, help="the command to measure (default: this localagent with the starter model)")
    parser.add_argument("--tasks", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--only", default="", metavar="ID,ID")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="for each task (300)")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append one JSON line for each task run")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy each finished workspace here")
    parser.add_argument("--json", action="store_true", help="only the summary, as one JSON document")
    parser.add_argument("--connected", type=int, default=0, metavar="N", help="50, 200 or 2000 tools of others beside our own")
    options = parser.parse_args()
    if options.connected:
        beside = f"{shlex.quote(str(Path(__file__).with_name('connected.py')))} --tools {options.connected} --"
        options.agent = options.agent.replace("-P -m localagent", beside)
    outcomes: list[Outcome] = []
    for task in load(options.tasks, options.only) * options.repeat:
        outcome = run_task(task, options.agent, options.timeout, options.keep)
        outcomes.append(outcome)
        if not options.json:
            print(_line(outcome), flush=True)
        if options.out:
            with options.out.open("a", encoding="utf-8") as sink:
                sink.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
    found = summary(outcomes)
    if options.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return 0
    for kind, (passed, total) in found["kinds"].items():
        print(f"{kind:12} {passed}/{total}")
    print(
        f"{'total':12} {found['passed']}/{found['total']}  median {found['median_s']:.1f} s, sum {found['sum_s']:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
