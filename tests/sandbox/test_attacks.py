"""Every attack we know, against the real sandbox, as root and as nobody; judged from outside, and each
tried without the sandbox too, so that none of them is held only because it does not work."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

import pytest

from localagent.sandbox import landlock, launch, linux
from localagent.sandbox.attacks import trial
from localagent.sandbox.attacks.scene import Scene, scene
from localagent.sandbox.attacks.values import Outcome
from localagent.sandbox.profile import Boundary
from tests.sandbox.support import PYTHON

pytestmark = pytest.mark.slow

NOBODY = 65534
GROUPS = sorted({attack.group for attack in trial.ATTACKS})
PREFIX = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

# What a kernel or a container may refuse to everybody, so that it proves nothing there.
MAY_BE_IDLE = {
    "open a raw device",
    "reach the kernel's emergency keys",
    "make a socket for VSOCK",
    "make a socket for packets",
    "make a socket for the kernel's crypto",
    "make a socket for Bluetooth",
    "type into the terminal",
    "queue work for the kernel",
    "stop the kernel at page faults",
    "make a raw socket",
    "find a route to the internet",
    "read about the host in /sys",
}
# The kernel keeps these from everybody but root; our own run-time folder is not nobody's here.
ROOTS = {
    "reach our own engine",
    "load a program into the kernel",
    "watch the machine's counters",
    "mount a file system",
    "open files by their handle",
    "make a namespace of mounts",
    "make a namespace of networks",
    "make a namespace of processes",
    "make a namespace of users",
    "enter another namespace",
    "write into another process's memory",
    "trace a process of the same user",
}
# What the reduced boundary is known not to hold (said in `doctor` and the README).
REDUCED_LETS = {
    "read that a key exists",
    "close the home to its owner",
    "fill the memory by temporary files",
    "have git run a program by its configuration",
    "have git run a program by a submodule's configuration",
    "have a submodule lead elsewhere",
    "change an editor's settings",
    "make an editor's task that starts by itself",
    "put another folder of editor settings in place",
    "change what an IDE runs",
}
# All of it, with the comparison outside for everybody; else that is made once, as ourselves with bubblewrap.
THOROUGH = bool(os.environ.get("LOCALAGENT_ATTACKS"))


@pytest.fixture(params=["ourselves", "nobody"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Scene, tuple[str, ...]]]:
    other = request.param == "nobody"
    if other and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with scene(owner=NOBODY if other else None, python=PYTHON) as made:
        if other:
            become_nobody(monkeypatch)
        yield made, PREFIX if other else ()


def become_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is started inside runs as nobody, by the real launcher."""
    command = launch.command

    @contextlib.contextmanager
    def as_nobody(*args, **named) -> Iterator[linux.Command]:
        with command(*args, **named) as made:
            if made.temporary:
                os.chown(made.temporary, NOBODY, NOBODY)
            made.argv = [*PREFIX, *made.argv]
            yield made

    # What belongs to the one who runs the tests, nobody may not even look at.
    monkeypatch.setattr(linux, "_tool_paths", lambda: ())
    monkeypatch.setattr(landlock, "program", lambda: PYTHON)
    monkeypatch.setattr(launch, "command", as_nobody)


def tried(place: tuple[Scene, tuple[str, ...]], group: str, control: bool) -> list[Outcome]:
    made, prefix = place
    root = os.geteuid() == 0 and not prefix
    attacks = [a for a in trial.ATTACKS if a.group == group and (root or not a.root_only)]

    async def run() -> list[Outcome]:
        if THOROUGH:
            return [outcome async for outcome in trial.trials(made, attacks, prefix=prefix)]
        return await trial.together(made, attacks, prefix=prefix, control=control)

    outcomes = asyncio.run(run())
    assert {outcome.attack for outcome in outcomes} == set(attacks)
    return outcomes


def told(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    return [(outcome.attack.name, outcome.said[-300:]) for outcome in outcomes]


@pytest.mark.parametrize("group", GROUPS)
def test_the_sandbox_holds(place: tuple[Scene, tuple[str, ...]], group: str) -> None:
    assert launch.probe(again=True) == Boundary("bubblewrap"), "these tests need bubblewrap: apt-get install bubblewrap"
    outcomes = tried(place, group, control=THOROUGH or not place[1])
    assert outcomes
    assert told([o for o in outcomes if o.verdict == "through"]) == []
    excused = MAY_BE_IDLE | (ROOTS if place[1] or os.geteuid() != 0 else set())
    assert told([o for o in outcomes if o.verdict == "idle" and o.attack.name not in excused]) == []


@pytest.mark.parametrize("group", GROUPS)
def test_the_reduced_sandbox_holds_all_but_what_is_known(
    place: tuple[Scene, tuple[str, ...]], group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if landlock.version() < landlock.OLDEST:
        pytest.skip("this kernel has no Landlock to speak of")
    if not place[1] and os.geteuid() == 0 and not THOROUGH:
        pytest.skip("as nobody only, unless LOCALAGENT_ATTACKS is set")
    monkeypatch.setattr(linux, "find_bwrap", lambda: None)
    found = launch.probe(again=True)
    assert found.name == "landlock" and found.reduced, found
    try:
        outcomes = tried(place, group, control=THOROUGH)
    finally:
        launch._probed = None
    through = {o.attack.name for o in outcomes if o.verdict == "through"}
    assert told([o for o in outcomes if o.attack.name in through - REDUCED_LETS]) == []
    # What is said to get through still does, or it should be said no more.
    assert through == REDUCED_LETS & {o.attack.name for o in outcomes}
