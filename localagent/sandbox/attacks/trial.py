"""Runs the attacks, inside the sandbox and, for comparison, outside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from ...errors import SandboxUnavailable
from .. import launch
from ..profile import Limits
from . import files, kernel, limits, network, workspace
from .scene import Scene
from .values import QUICK, Attack, Outcome, Verdict

ATTACKS: tuple[Attack, ...] = (*files.ATTACKS, *workspace.ATTACKS, *kernel.ATTACKS, *network.ATTACKS, *limits.ATTACKS)
_CONTROL_S = 20.0

Inside = Callable[[Scene, Attack, Sequence[str]], Awaitable[str]]
_RAN = "RAN\n"
_PART = "=-=-= "
_LONGER = Limits(wall_s=60, output_kb=1024)


async def trials(
    scene: Scene,
    attacks: Sequence[Attack],
    *,
    run: Inside | None = None,
    prefix: Sequence[str] = (),
    control: bool = True,
) -> AsyncIterator[Outcome]:
    """Every attack, one after the other, each with what came of it.

    `run` is how a program gets into the sandbox, `prefix` what makes a plain one run as the same user.
    Raises SandboxUnavailable where an attack could not even begin.
    """
    for attack in attacks:
        yield await trial(scene, attack, run=run, prefix=prefix, control=control)


async def trial(
    scene: Scene, attack: Attack, *, run: Inside | None = None, prefix: Sequence[str] = (), control: bool = True
) -> Outcome:
    """One attack inside; where it is held, the same outside, because one that fails there too proves nothing."""
    scene.forget()
    said = await (run or inside)(scene, attack, _argv(scene, attack))
    if not said.startswith(_RAN):
        raise SandboxUnavailable(f"An attack could not be tried: {said.strip()[-300:]}")
    said = said.removeprefix(_RAN)
    verdict: Verdict = "through" if _judged(scene, attack, said) else "held"
    if verdict == "held" and control and attack.control:
        scene.forget()
        there = await asyncio.to_thread(outside, scene, _argv(scene, attack), prefix, attack.terminal)
        if not _judged(scene, attack, there.removeprefix(_RAN)):
            verdict, said = "idle", there
    return Outcome(attack, verdict, said)


def _argv(scene: Scene, attack: Attack) -> list[str]:
    return ["/bin/bash", "-c", f"echo RAN\n{scene.fill(attack.script)}"]


async def together(
    scene: Scene, attacks: Sequence[Attack], *, run: Inside | None = None, prefix: Sequence[str] = (), control: bool = True
) -> list[Outcome]:
    """The same outcomes, with all that leaves nothing behind tried in one program, which is quicker."""
    batch = [a for a in attacks if a.control and a.undo is None and not a.terminal and a.limits is QUICK]
    rest = [a for a in attacks if a not in batch]
    outcomes = [outcome async for outcome in trials(scene, rest, run=run, prefix=prefix, control=control)]
    if not batch:
        return outcomes
    parts = [f"echo; echo '{_PART}{n}'; ( {scene.fill(a.script)}\n) 2>&1" for n, a in enumerate(batch)]
    everything = Attack("everything", batch[0].group, "\n".join(parts), batch[0].through, limits=_LONGER)
    argv = ["/bin/bash", "-c", f"echo RAN\n{everything.script}\necho; echo '{_PART}{len(batch)}'"]
    scene.forget()
    inner = _parts(await (run or inside)(scene, everything, argv), len(batch))
    through = [a.through(scene, said) for a, said in zip(batch, inner, strict=True)]
    scene.forget()
    outer = _parts(await asyncio.to_thread(outside, scene, argv, prefix), len(batch)) if control else inner
    for attack, said, other, passed in zip(batch, inner, outer, through, strict=True):
        idle = control and not attack.through(scene, other)
        outcomes.append(Outcome(attack, "through" if passed else "idle" if idle else "held", said if passed else other))
    return outcomes


def _parts(said: str, count: int) -> list[str]:
    """What each of the attacks said. Raises SandboxUnavailable where they did not all come to their end."""
    found = [said.partition(f"{_PART}{n}\n")[2].partition(f"\n{_PART}{n + 1}\n")[0] for n in range(count)]
    if f"\n{_PART}{count}\n" not in said:
        raise SandboxUnavailable(f"The attacks broke off: {said.strip()[-300:]}")
    return found


def _judged(scene: Scene, attack: Attack, said: str) -> bool:
    through = attack.through(scene, said)
    if attack.undo is not None:
        attack.undo(scene)
    return through


async def inside(scene: Scene, attack: Attack, argv: Sequence[str]) -> str:
    """What the attack said when it ran as every program of the agent's does."""
    if attack.terminal:
        with launch.command(scene.profile(attack.limits), argv, cwd=str(scene.work)) as command:
            return await asyncio.to_thread(_plain, command.argv, scene, launch.clean_env(), True, command.fds)
    done = await launch.run(argv, profile=scene.profile(attack.limits), cwd=scene.work)
    return done.output.decode(errors="replace")


def outside(scene: Scene, argv: Sequence[str], prefix: Sequence[str] = (), terminal: bool = False) -> str:
    """The same without any sandbox, with everything inherited that a careless program hands on."""
    return _plain([*prefix, *argv], scene, scene.environment(), terminal, (scene.secret_fd,))


def _plain(argv: Sequence[str], scene: Scene, env: Mapping[str, str], terminal: bool, fds: Sequence[int]) -> str:
    argv = [scene.python, "-I", "-S", "-c", _TERMINAL, *argv] if terminal else list(argv)
    with tempfile.TemporaryFile() as said:
        popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=scene.work,
            env=env,
            pass_fds=fds,
            start_new_session=True,
        )
        try:
            popen.wait(_CONTROL_S)
        except subprocess.TimeoutExpired:
            os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
        said.seek(0)
        return said.read().decode(errors="replace").replace("\r\n", "\n")


# Starts a program on a terminal of its own and passes on what it says there.
_TERMINAL = """
import os, pty, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
try:
    while data := os.read(master, 65536):
        os.write(1, data)
except OSError:
    pass
os.waitpid(pid, 0)
"""
