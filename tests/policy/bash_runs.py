"""Runs inside a sandbox: what programs does bash start for each script? Reads and writes JSON lines.

No program can be found, so each one that bash would start is told to a function, which says so.
"""

import json
import os
import signal
import sys

ENVIRONMENT = {
    "PATH": "/nonexistent",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "BASH_FUNC_command_not_found_handle%%": "() { printf '%s\\0' $# \"${@//$'\\n'/<nl>}\" >&9; return $((RANDOM % 2)); }",
}


def runs(bash: str, script: str) -> list[list[str]]:
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    pid = os.posix_spawn(
        bash,
        [bash, "--norc", "--noprofile", "-c", script],
        ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, writing, 9),
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, null, 1),
            (os.POSIX_SPAWN_DUP2, null, 2),
        ],
        setpgroup=0,
    )
    os.close(writing)
    os.close(null)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    data = b""
    try:
        while len(data) < 1_000_000 and (more := os.read(reading, 65536)):
            data += more
    except TimeoutError:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.close(reading)
    os.waitpid(pid, 0)
    return _argvs(data.decode("utf-8", "replace").replace("<nl>", "\n").split("\0"))


def _argvs(words: list[str]) -> list[list[str]]:
    found: list[list[str]] = []
    at = 0
    while at < len(words) and words[at].isdigit():
        count = int(words[at])
        found.append(words[at + 1 : at + 1 + count])
        at += 1 + count
    return found


def _late(*_: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _late)
    for line in sys.stdin:
        print(json.dumps(runs(sys.argv[1], json.loads(line))), flush=True)
