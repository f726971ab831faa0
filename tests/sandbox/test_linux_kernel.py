"""Attacks on processes, the kernel, the terminal and the network, each paired with the same thing outside."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from localagent.sandbox import linux
from localagent.sandbox.profile import Profile
from tests.sandbox.support import PYTHON, Place, python

# ---------------------------------------------------------------- processes, kernel


def test_host_processes_are_invisible(place: Place) -> None:
    victim = subprocess.Popen(["sleep", "30"], user=place.home.stat().st_uid if os.geteuid() == 0 else None)
    try:
        look = f"cat /proc/{victim.pid}/cmdline; kill -9 {victim.pid}; ls /proc | grep -c '^[0-9]'"
        _, said = place.run(look)
        assert "sleep" not in said and victim.poll() is None
        assert int(said.splitlines()[-1]) < 10
        assert "sleep" in place.run(f"cat /proc/{victim.pid}/cmdline", sandboxed=False)[1]
    finally:
        victim.kill()
        victim.wait()


def test_no_capabilities_and_no_new_privileges(place: Place) -> None:
    _, said = place.run("cat /proc/self/status")
    values = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert values["NoNewPrivs"] == "1" and values["Seccomp"] == "2"
    assert int(values["CapEff"], 16) == int(values["CapBnd"], 16) == int(values["CapPrm"], 16) == 0


KERNEL = """
import ctypes, errno, fcntl, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number, *arguments)
    print(name, "open" if result >= 0 else errno.errorcode[ctypes.get_errno()])
buffer = ctypes.create_string_buffer(256)
call("ptrace", 101, 0, 0, 0, 0)
call("io_uring", 425, 8, buffer)
call("userns", 272, 0x10000000)
call("mountns", 272, 0x00020000)
call("clone3", 435, buffer, 0)
call("bpf", 321, 0, buffer, 64)
call("keyctl", 250, 0, -3, 1)
call("perf", 298, buffer, 0, -1, -1, 0)
call("userfaultfd", 323, 1)
call("process_vm", 310, os.getppid(), buffer, 1, buffer, 1, 0)
call("setns", 308, 0, 0)
for family in (40, 17, 38):
    try:
        socket.socket(family, socket.SOCK_DGRAM); print("family", family, "open")
    except OSError as error:
        print("family", family, errno.errorcode[error.errno])
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_doors_of_the_kernel_are_shut(place: Place) -> None:
    _, said = place.run(python(KERNEL))
    answers = dict(line.rsplit(" ", 1) for line in said.splitlines())
    assert len(answers) == 14, said
    assert answers.pop("clone3") == "ENOSYS"
    for family in (40, 17, 38):
        assert answers.pop(f"family {family}") == "EAFNOSUPPORT"
    assert set(answers.values()) == {"EPERM"}, answers
    _, said = place.run(python(KERNEL), sandboxed=False)
    assert "ptrace open" in said and ("userns open" in said or "io_uring EFAULT" in said)


TERMINAL = """
import fcntl, os, pty, sys, termios
pid, master = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
import time
time.sleep(0.6)
os.set_blocking(master, False)
try:
    sys.stdout.write(os.read(master, 65536).decode(errors="replace"))
except OSError:
    pass
os.waitpid(pid, 0)
"""


INJECT = """
import fcntl, os
for name in ("/dev/tty", "/dev/fd/0", "/dev/fd/1", "/dev/fd/2"):
    try:
        fcntl.ioctl(os.open(name, os.O_RDWR), 0x5412, b"X")
        print("INJECTED")
    except OSError as error:
        print("held", error.errno)
"""


def test_keystrokes_cannot_be_put_into_the_terminal(place: Place, tmp_path: Path) -> None:
    profile = Profile(writable=(str(place.work),))
    helper = tmp_path / "terminal.py"
    helper.write_text(TERMINAL)
    with linux.prepare(profile, [PYTHON, "-I", "-S", "-c", INJECT], cwd="/", program="/usr/bin/bwrap") as command:
        done = subprocess.run(
            [PYTHON, str(helper), *command.argv], pass_fds=command.fds, capture_output=True, timeout=20, check=False
        )
    assert b"held" in done.stdout and b"INJECTED" not in done.stdout, done


# ---------------------------------------------------------------- network and sockets


def test_the_network_is_off(place: Place) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        connect = f"timeout 2 bash -c 'echo hello > /dev/tcp/127.0.0.1/{port}' && echo CONNECTED"
        assert "CONNECTED" not in place.run(connect)[1]
        assert "CONNECTED" in place.run(connect, sandboxed=False)[1]
        assert "CONNECTED" in place.run(connect, profile=Profile(readable=(str(place.work),), network=True))[1]
    _, said = place.run("cat /proc/net/dev; ls /sys/class/net")
    names = [line.split(":")[0].strip() for line in said.splitlines() if ":" in line]
    assert [name for name in names if name not in ("ls",) and " " not in name] == ["lo"]


@pytest.mark.parametrize("where", ["workspace", "abstract", "system"])
def test_unix_sockets_of_the_host_are_out_of_reach(place: Place, where: str) -> None:
    visible = Path(tempfile.mkdtemp(prefix="socket-", dir="/opt")) if os.geteuid() == 0 else place.work
    path = {"workspace": str(place.work / "s"), "abstract": f"\0la-{os.getpid()}", "system": str(visible / "s")}[where]
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            if where != "abstract":
                Path(path).chmod(0o777)
                visible.chmod(0o755)
            attack = python(f"""
                import socket
                s = socket.socket(socket.AF_UNIX)
                try:
                    s.connect({path!r}); print("CONNECTED")
                except OSError as error:
                    print(error)
                """)
            assert "CONNECTED" not in place.run(attack)[1]
            assert "CONNECTED" in place.run(attack, sandboxed=False)[1]
    finally:
        if visible != place.work:
            shutil.rmtree(visible)


ORDINARY = """
import http.server, multiprocessing, sqlite3, subprocess, tempfile, threading, urllib.request
if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/file").read() == b"work\\n"
    with sqlite3.connect("data.db") as base:
        base.execute("pragma journal_mode=wal")
        base.execute("create table t (x)")
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        assert pool.map(abs, [-1]) == [1]
    tempfile.NamedTemporaryFile().write(b"x")
    print(subprocess.run(["true"]).returncode)
"""


def test_ordinary_programs_work(place: Place) -> None:
    (place.work / "ordinary.py").write_text(ORDINARY)
    (place.work / "ordinary.py").chmod(0o644)
    code, said = place.run(f"{PYTHON} ordinary.py")
    assert (code, said.splitlines()[-1:]) == (0, ["0"]), said
