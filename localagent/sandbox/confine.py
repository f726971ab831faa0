"""A helper of its own, started with -I -S: holds a program by Landlock and a system-call filter, and ends all it started.

    python -I -S confine.py FD -- PROGRAM ARGUMENTS

FD holds one JSON object, as `landlock.py` writes it. This process stays outside as the parent of
everything that is left behind inside: when the program has ended, or on SIGTERM, or when whoever
started it is gone, nothing of the tree goes on. Imports nothing of ours, so that it starts at once.
"""

import base64
import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys

_PDEATHSIG, _SECCOMP, _SUBREAPER, _CAPBSET_DROP, _NO_NEW_PRIVS = 1, 22, 36, 24, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_FAILED = 126

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    fd, argv = int(sys.argv[1]), sys.argv[3:]
    with open(fd, "rb") as file:
        wanted = json.load(file)
    waited = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    starter = os.getppid()
    _prctl(_SUBREAPER, 1)
    _prctl(_PDEATHSIG, signal.SIGTERM)
    keeper = os.getpid()
    program = os.fork()
    if program == 0:
        try:
            _become(argv, wanted, keeper)
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
            os._exit(127)
        os._exit(_FAILED)
    code = _wait(program, waited, starter)
    _end_all(keeper)
    import shutil

    shutil.rmtree(wanted["temporary"], ignore_errors=True)
    if wanted["report"]:
        with contextlib.suppress(OSError):
            os.write(wanted["report"], json.dumps({"exit-code": code}).encode() + b"\n")
    return code


def _wait(program: int, waited: set[signal.Signals], starter: int) -> int:
    """The program's exit status; killed where we are told to stop."""
    while True:
        told = signal.sigtimedwait(waited, 1.0)
        if told is not None and told.si_signo != signal.SIGCHLD:
            return 128 + signal.SIGKILL
        if told is None and os.getppid() != starter:
            return 128 + signal.SIGKILL
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return _FAILED
            if pid == program:
                return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            if pid == 0:
                break


def _end_all(keeper: int) -> None:
    """Kill and collect until there is nobody left: first everyone is stopped, so that none can make another."""
    sign = signal.SIGSTOP
    known: set[int] = set()
    while True:
        found = _below(keeper)
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, sign)
        if set(found) <= known:
            sign = signal.SIGKILL
        known |= set(found)
        try:
            while os.waitpid(-1, os.WNOHANG if sign == signal.SIGSTOP or found else 0)[0]:
                pass
        except ChildProcessError:
            return


def _below(top: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] != b"Z":
                children.setdefault(int(fields[1]), []).append(int(name))
    below = [top]
    for parent in below:
        below += children.get(parent, ())
    return below[1:]


def _become(argv: list[str], wanted: dict, keeper: int) -> None:
    os.setsid()
    _prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(_FAILED)
    os.chdir(wanted["cwd"])
    for name, limit in wanted["limits"].items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (limit, limit))
    _drop_capabilities()
    _prctl(_NO_NEW_PRIVS, 1)
    _restrict(wanted)
    if wanted["report"]:
        os.set_inheritable(wanted["report"], False)
    program = base64.b64decode(wanted["filter"])
    for placeholder, value in zip(wanted["keeper"], (keeper, -keeper & 0xFFFFFFFF), strict=True):
        program = program.replace(struct.pack("<I", placeholder), struct.pack("<I", value))
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    _prctl(_SECCOMP, 2, ctypes.create_string_buffer(head, len(head)))
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(argv[0], argv)


def _drop_capabilities() -> None:
    for number in range(64):
        _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0)
    header = struct.pack("<Ii", 0x20080522, 0)
    if _libc.capset(ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(24)):
        raise OSError(ctypes.get_errno(), "the capabilities could not be given up")


def _restrict(wanted: dict) -> None:
    attributes = struct.pack("<QQQ", *wanted["handled"])[: wanted["size"]]
    ruleset = _syscall(_CREATE_RULESET, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes), 0)
    for path, access in wanted["rules"]:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # Not there, so that there is nothing to open.
        try:
            _syscall(_ADD_RULE, ruleset, 1, ctypes.create_string_buffer(struct.pack("<Qi", access, fd), 12), 0)
        finally:
            os.close(fd)
    _syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _prctl(option: int, *arguments: object) -> None:
    values = [a if not isinstance(a, int) else ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0)[:4]]
    if _libc.prctl(option, *values):
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _syscall(number: int, *arguments: object) -> int:
    result = _libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return int(result)


if __name__ == "__main__":
    sys.exit(main())
