"""Attacks on processes, on the kernel and on the terminal."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import time

from .. import seccomp
from .scene import Scene
from .values import Attack, leaks, python, says

_CALL = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
space = ctypes.create_string_buffer(512)
def call(number, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(number, *arguments) >= 0 or ctypes.get_errno() not in (1, 38):
        print("OPEN")
"""
_FAMILY = """
import socket
try: socket.socket({family}, {kind}); print("OPEN")
except OSError as error: print(error)
"""
_NAMESPACES = {"users": 0x10000000, "mounts": 0x00020000, "networks": 0x40000000, "processes": 0x20000000}
_PROBES = {
    "trace processes": ("ptrace", "0, 0, 0, 0"),
    "queue work for the kernel": ("io_uring_setup", "8, space"),
    "read the memory of another process": ("process_vm_readv", "os.getppid(), space, 1, space, 1, 0"),
    "load a program into the kernel": ("bpf", "0, space, 64"),
    "use the kernel's keyring": ("keyctl", "0, -3, 1"),
    "watch the machine's counters": ("perf_event_open", "space, 0, -1, -1, 0"),
    "stop the kernel at page faults": ("userfaultfd", "1"),
    "enter another namespace": ("setns", "0, 0"),
    "mount a file system": ("mount", "space, space, space, 0, 0"),
    "open files by their handle": ("open_by_handle_at", "-100, space, 0"),
    "take descriptors of another process": ("pidfd_getfd", "0, 0, 0"),
}


def _kernel() -> list[Attack]:
    found = []
    column = {"x86_64": 0, "aarch64": 1}.get(platform.machine())
    if column is not None:
        for name, (call, arguments) in _PROBES.items():
            number = seccomp.number(call)
            found.append(Attack(name, "kernel", python(f"{_CALL}\ncall({number}, {arguments})"), says("OPEN")))
        for name, flag in _NAMESPACES.items():
            source = f"{_CALL}\ncall({seccomp.number('unshare')}, {flag})"
            found.append(Attack(f"make a namespace of {name}", "kernel", python(source), says("OPEN")))
        source = f"{_CALL}\ncall({seccomp.number('clone3')}, space, 0)"
        found.append(Attack("make a process by a call no filter can read", "kernel", python(source), says("OPEN")))
    for name, family in {"VSOCK": 40, "packets": 17, "the kernel's crypto": 38, "Bluetooth": 31}.items():
        kind = {17: 3, 38: 5, 31: 3}.get(family, 1)
        script = python(_FAMILY.format(family=family, kind=kind))
        found.append(Attack(f"make a socket for {name}", "kernel", script, says("OPEN")))
    found.append(Attack("keep privileges", "kernel", python(_PRIVILEGES), says("OPEN")))
    return found


_PRIVILEGES = """
values = dict(line.split(":", 1) for line in open("/proc/self/status"))
held = int(values["CapEff"], 16) or int(values["CapBnd"], 16)
if held or values["NoNewPrivs"].strip() != "1": print("OPEN")
"""


def _victim_dead(scene: Scene, said: str) -> bool:
    assert scene.victim is not None
    return scene.victim.poll() is not None


_PTRACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, @VICTIM@, 0, 0) == 0:
    os.waitpid(@VICTIM@, 0x40000000)
    print("OPEN")
    libc.ptrace(17, @VICTIM@, 0, 0)
"""
_SEE = "cat /proc/@VICTIM@/cmdline | tr '\\0' ' '; for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f | grep -o 'exit 3.*'; done"

_PROCESSES = [
    Attack("see the host's processes", "processes", _SEE, leaks),
    Attack("read another process's environment", "processes", "cat /proc/@VICTIM@/environ", leaks),
    Attack("trace a process of the same user", "processes", python(_PTRACE), says("OPEN")),
    Attack("write into another process's memory", "processes", "(: >> /proc/@VICTIM@/mem) && echo OPEN", says("OPEN")),
    Attack("end a process of the same user", "processes", "kill -9 @VICTIM@; sleep 0.2", _victim_dead, control=False),
    Attack(
        "limit a process of the same user", "processes", "prlimit --pid @VICTIM@ --core=0 && echo OPEN", says("OPEN")
    ),
]


_QUIET_LOOKS, _APART_S = 5, 0.02


def _alive(scene: Scene, said: str) -> bool:
    return bool(scene.survivors())


def _bury(scene: Scene) -> None:
    # One that is just becoming another program cannot be seen for a moment.
    quiet = 0
    while quiet < _QUIET_LOOKS:
        found = scene.survivors()
        quiet = 0 if found else quiet + 1
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_APART_S)


_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv("/bin/sh", ["@TURN@", "-c", ": @TURN@; sleep 60; :"])
    os._exit(0)
os.wait()
"""
_SURVIVORS = [
    Attack(
        "outlive the call in a session of its own",
        "processes",
        "setsid nohup sh -c ': @TURN@; sleep 60; :' >/dev/null 2>&1 &",
        _alive,
        undo=_bury,
    ),
    Attack("outlive the call by two forks", "processes", python(_DAEMON), _alive, undo=_bury),
    Attack(
        "outlive the call and hold its output",
        "processes",
        "setsid sh -c ': @TURN@; trap \"\" TERM HUP; sleep 60; :' 2>/dev/null & disown; echo",
        _alive,
        undo=_bury,
    ),
]

_INJECT = """
import fcntl, os
for name in ("/dev/tty", "/dev/fd/0", "/dev/fd/1", "/dev/fd/2"):
    for request in (0x5412, 0x5412 | 1 << 32):
        try: fcntl.ioctl(os.open(name, os.O_RDWR), request, b"X"); print("\\nOPEN")
        except (OSError, OverflowError) as error: print(error)
"""
_TERMINAL = Attack("type into the terminal", "kernel", python(_INJECT), says("OPEN"), terminal=True)

ATTACKS: tuple[Attack, ...] = (*_kernel(), _TERMINAL, *_PROCESSES, *_SURVIVORS)
