"""Attacks from inside the real sandbox, each judged from outside and paired with the same thing
done without it, so that a green test cannot come from a broken attack."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import socket
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localagent.errors import SandboxUnavailable
from localagent.sandbox import launch, linux
from localagent.sandbox.linux import Host
from localagent.sandbox.profile import Limits, Profile

PYTHON = "/usr/bin/python3"
PROFILES = int(os.environ.get("LOCALAGENT_PROFILES", "50"))


@dataclass
class Place:
    """A home with secrets, a workspace in it, and a way to run something there as one user."""

    home: Path
    work: Path
    run: Callable[..., tuple[int, str]]


@pytest.fixture(params=["ourselves", "nobody"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Everything as the user who runs the tests, and (where that is root) as nobody too."""
    other = request.param == "nobody"
    if other and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    assert launch.probe().name == "bubblewrap", "these tests need bubblewrap: apt-get install bubblewrap"
    home = Path(tempfile.mkdtemp(prefix="home-", dir="/var/tmp"))
    home.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    for folder in (".ssh", ".aws", ".config/localagent", "Documents", "work/.git/hooks"):
        (home / folder).mkdir(parents=True)
    (home / ".ssh" / "id_rsa").write_text("PRIVATE KEY")
    (home / ".aws" / "credentials").write_text("AWS KEY")
    (home / ".config" / "localagent" / "policy.yaml").write_text("OUR POLICY")
    (home / "Documents" / "diary").write_text("DEAR DIARY")
    (home / ".bashrc").write_text("# mine\n")
    (home / "work" / "file").write_text("work\n")
    (home / "work" / ".git" / "config").write_text("[core]\n")
    monkeypatch.setenv("LOCALAGENT_CONFIG_DIR", str(home / ".config" / "localagent"))
    if other:
        # What belongs to the one who runs the tests, nobody may not even look at.
        monkeypatch.setattr(linux, "_tool_paths", lambda: ())
        for path in (home, *home.rglob("*")):
            os.chown(path, 65534, 65534)

    def run(script: str, *, sandboxed: bool = True, profile: Profile | None = None, env=None) -> tuple[int, str]:
        profile = profile or Profile(writable=(str(home / "work"),), limits=Limits(wall_s=15))
        argv = ["/bin/bash", "-c", f"echo RAN; {script}"]
        env = launch.clean_env() | {"PATH": "/usr/bin:/bin"} | (env or {})
        if not other:
            done = asyncio.run(launch.run(argv, profile=profile if sandboxed else None, cwd=home / "work", env=env))
            return done.code, ran(done.output)
        with linux.prepare(profile, argv, cwd=str(home / "work"), program="/usr/bin/bwrap") as command:
            inner = command.argv if sandboxed else argv
            result = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *inner],
                pass_fds=command.fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=home / "work",
                env=env,
                timeout=20,
                check=False,
            )
        return result.returncode, ran(result.stdout)

    yield Place(home, home / "work", run)
    shutil.rmtree(home)


def ran(output: bytes) -> str:
    """What an attack said; one that never started has proved nothing."""
    assert output.startswith(b"RAN\n"), output
    return output.removeprefix(b"RAN\n").decode(errors="replace")


def python(source: str) -> str:
    return f"{PYTHON} -I -S - <<'SCRIPT'\n{textwrap.dedent(source)}\nSCRIPT"


# ---------------------------------------------------------------- files


def test_it_can_do_its_work(place: Place) -> None:
    code, said = place.run(
        "echo new > made && cat file && echo changed > file && mkdir -p sub && mv made sub/ && ls sub"
    )
    assert code == 0, said
    assert said == "work\nmade\n" and (place.work / "file").read_text() == "changed\n"


@pytest.mark.parametrize("target", ["$HOME/evil", "/var/tmp/evil-x", "/tmp/evil-x", "/dev/shm/evil-x", "$HOME/.bashrc"])
def test_nothing_is_written_outside(place: Place, target: str) -> None:
    path = Path(target.replace("$HOME", str(place.home)))
    old = path.read_text() if path.exists() else None
    place.run(f"echo evil >> {target}; echo evil >> /proc/self/root{path}")
    assert (path.read_text() if path.exists() else None) == old
    place.run(f"echo evil >> {target}", sandboxed=False)
    assert "evil" in path.read_text()
    if path.name == "evil-x":
        path.unlink()


def test_the_system_is_read_only(place: Place) -> None:
    _, said = place.run("for f in /etc/evil /usr/evil /opt/evil /evil /sys/evil /dev/evil; do echo x > $f; done")
    assert said.count("Read-only file system") == 6
    assert not any(Path(p).exists() for p in ("/etc/evil", "/usr/evil", "/opt/evil", "/evil"))
    _, said = place.run("mount -o remount,rw /; umount $HOME; mount --bind /tmp /etc; echo x > /etc/evil")
    assert not Path("/etc/evil").exists()


@pytest.mark.parametrize(
    "secret", [".ssh/id_rsa", ".aws/credentials", ".config/localagent/policy.yaml", "Documents/diary"]
)
def test_secrets_and_other_files_of_the_home_are_hidden(place: Place, secret: str) -> None:
    text = (place.home / secret).read_text()
    assert text in place.run(f"cat ~/{secret}", sandboxed=False)[1]
    read = f"cat ~/{secret} /proc/1/root$HOME/{secret} ../{secret}; ln ~/{secret} x; cat x; ln -s ~/{secret} y; cat y"
    assert text not in place.run(read)[1]


def test_secrets_stay_hidden_under_an_opened_home(place: Place) -> None:
    profile = Profile(readable=(str(place.home), str(place.home / ".ssh"), str(place.home / ".ssh" / "id_rsa")))
    _, said = place.run(
        "cat ~/Documents/diary ~/.ssh/id_rsa ~/.aws/credentials ~/.config/localagent/policy.yaml", profile=profile
    )
    assert "DEAR DIARY" in said and "KEY" not in said and "OUR POLICY" not in said
    _, said = place.run("echo x > ~/.ssh/config; echo x > ~/Documents/x; ls -A ~/.ssh", profile=profile)
    assert not (place.home / ".ssh" / "config").exists() and not (place.home / "Documents" / "x").exists()


def test_secrets_stay_hidden_and_unwritable_under_a_writable_home(place: Place) -> None:
    profile = Profile(writable=(str(place.home),))
    _, said = place.run(
        "cat ~/.ssh/id_rsa; echo evil >> ~/.ssh/id_rsa; rm -rf ~/.ssh; mv ~/.ssh ~/x; echo ok > ~/made", profile=profile
    )
    assert "PRIVATE" not in said
    assert (place.home / ".ssh" / "id_rsa").read_text() == "PRIVATE KEY" and (place.home / "made").exists()


def test_a_scratch_folder_among_our_own_is_open_and_the_rest_is_not(place: Place) -> None:
    scratch = place.home / ".config" / "localagent" / "scratch"
    scratch.mkdir()
    os.chown(scratch, place.home.stat().st_uid, -1)
    code, said = place.run(
        f"echo x > {scratch}/x; cat {scratch}/../policy.yaml",
        profile=Profile(readable=(str(place.work),), writable=(str(scratch),)),
    )
    assert (scratch / "x").exists() and "OUR POLICY" not in said, (code, said)


def test_a_bind_shows_the_copy_at_the_workspace(place: Place) -> None:
    copy = place.home / "copy"
    copy.mkdir()
    os.chown(copy, place.home.stat().st_uid, -1)
    _, said = place.run("echo x > new; ls -A; ls ..", profile=Profile(binds=((str(copy), str(place.work)),)))
    assert (copy / "new").exists() and not (place.work / "new").exists() and "file" not in said


def test_a_link_swapped_in_leads_nowhere(place: Place) -> None:
    (place.work / "data").symlink_to(place.home / "Documents")
    _, said = place.run("cat data/diary; echo evil > data/new; rm -rf data; ln -s /etc data; echo x > data/evil")
    assert "DEAR" not in said and not (place.home / "Documents" / "new").exists() and not Path("/etc/evil").exists()


def test_a_workspace_named_through_a_link_works(place: Place) -> None:
    link = place.home / "shortcut"
    link.symlink_to(place.work)
    _, said = place.run(f"cat {link}/file", profile=Profile(readable=(str(link),)))
    assert said == "work\n"


def test_hooks_and_configuration_of_a_repository_are_held(place: Place) -> None:
    attacks = (
        "echo evil > .git/hooks/post-checkout; echo evil >> .git/config; mv .git/hooks .git/h; rm -rf .git/hooks;"
        "mv .git old && mkdir -p .git/hooks && echo evil > .git/hooks/post-checkout; echo fine > .git/HEAD"
    )
    place.run(attacks)
    assert not (place.work / ".git" / "hooks" / "post-checkout").exists()
    assert (place.work / ".git" / "config").read_text() == "[core]\n"
    assert (place.work / ".git" / "HEAD").read_text() == "fine\n"
    place.run(attacks, sandboxed=False)
    assert (place.work / ".git" / "hooks" / "post-checkout").exists()


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


# ---------------------------------------------------------------- the arguments


def options(argv: list[str]) -> Iterator[tuple[str, ...]]:
    """The mounts in order: (kind, [source,] target)."""
    rest = iter(argv)
    for word in rest:
        if word in ("--bind", "--ro-bind", "--ro-bind-try", "--symlink"):
            yield (word, next(rest), next(rest))
        elif word in ("--tmpfs", "--size", "--dev", "--proc", "--remount-ro", "--chdir", "--dir", "--cap-drop"):
            yield (word, next(rest))
        else:
            yield (word,)


def test_any_profile_keeps_the_promises(isolated: Path) -> None:
    rng = random.Random(3)
    (isolated / ".ssh").mkdir()
    roots = [isolated / name for name in ("a", "a/b", "c", ".ssh/in", "config/x", "deep/er/x")]
    for root in roots:
        root.mkdir(parents=True, exist_ok=True)
    host = Host(str(isolated), (), (str(isolated / "config"),), ())
    for _ in range(PROFILES):
        readable = tuple(str(r) for r in rng.sample(roots, rng.randint(0, 3)))
        writable = tuple(str(r) for r in rng.sample(roots, rng.randint(0, 3)))
        network = rng.random() < 0.5
        argv = linux.build(Profile(readable, writable, network=network), host, cwd="/")
        parsed = list(options(argv))
        flat = set(itertools.chain(*parsed))
        assert {"--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc"} <= flat
        assert ("--cap-drop", "ALL") in parsed and ("--unshare-net" in flat) == (not network)
        for option in parsed:
            if option[0] == "--bind":
                assert any(option[2] == w or option[2].startswith(w + "/") for w in writable)
                assert "/.ssh" not in option[2]
        sized = [parsed[i - 1][0] == "--size" for i, option in enumerate(parsed) if option[0] == "--tmpfs"]
        assert all(sized)
        shadowed = [option[-1] for option in parsed if option[0] in ("--tmpfs", "--bind", "--ro-bind")]
        for i, earlier in enumerate(shadowed):
            assert not any(earlier.startswith(later + "/") for later in shadowed[i + 1 :]), (
                "a mount hides an earlier one"
            )


def test_the_whole_disk_is_never_opened_for_writing(isolated: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="whole disk"):
        linux.build(Profile(writable=("/",)), Host.current(), cwd="/")


def test_limits_are_set_by_the_shell_that_becomes_the_program() -> None:
    argv = linux.limited(["prog", "-x", "a b"], Limits(memory_mb=10, processes=7, file_mb=3))
    assert argv[-3:] == ["prog", "-x", "a b"]
    script = argv[argv.index("-c") + 1]
    assert "ulimit -d 10240" in script and "ulimit -u 7" in script and "ulimit -f 3072" in script


def test_hints_name_a_command() -> None:
    assert "bubblewrap" in linux.install_hint()
    assert linux.refused_hint()
