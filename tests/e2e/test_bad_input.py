"""What goes wrong is told in one sentence with the next step, with the right exit code, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.cli import Exit
from localagent.engine import catalogue, reuse
from localagent.sandbox.landlock import HELPER, OLDEST, version
from tests.e2e.support import Cli, Host, Ran, ended, tool_call, transcript
from tests.make_gguf import make

pytestmark = pytest.mark.slow

Hosts = Callable[..., Host]
IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def _namespaces() -> bool:
    return sys.platform == "linux" and bool(shutil.which("unshare")) and _run([*IN_NAMESPACE, "true"]) == 0


def _run(argv: list[str]) -> int:
    return subprocess.run(argv, check=False, capture_output=True).returncode


namespaces = pytest.mark.skipif(not _namespaces(), reason="mounts of one's own need user namespaces")


NO_BUBBLEWRAP = "[ ! -e /usr/bin/bwrap ] || mount --bind /dev/null /usr/bin/bwrap"
NO_LANDLOCK = f"mount --bind /bin/false '{HELPER}'"


def mounted(script: str) -> list[str]:
    """A program that runs ours where `script` has mounted things; the mounts end with it."""
    return [*IN_NAMESPACE, f'{script} && exec "$@"', "sh"]


def told(ran: Ran, code: Exit, *words: str) -> None:
    """One line of ours, with these words, and nothing for an answer."""
    assert ran.code == code, ran
    assert len(ran.said.splitlines()) == 1, ran.err
    assert all(word in ran.said for word in words), ran.said
    assert ran.out == ""


# ---------------------------------------------------------------- the model


def test_a_model_file_cut_in_half(cli: Cli, gguf: str, tmp_path: Path) -> None:
    half = tmp_path / "half.gguf"
    half.write_bytes(Path(gguf).read_bytes()[: Path(gguf).stat().st_size // 2])
    told(cli("do", "--model", str(half), "hello"), Exit.MODEL, "half.gguf")


def test_a_header_cut_in_half(cli: Cli, gguf: str, tmp_path: Path) -> None:
    half = tmp_path / "half.gguf"
    half.write_bytes(Path(gguf).read_bytes()[:2000])
    told(cli("do", "--model", str(half), "hello"), Exit.MODEL, "half.gguf")


def test_a_damaged_file_of_the_catalogue(cli: Cli) -> None:
    starter = catalogue.load().get("starter")
    file = reuse.own_path(starter, starter.parts[0])
    file.parent.mkdir(parents=True)
    file.write_bytes(b"GGUF")
    told(cli("do", "--model", "starter", "hello"), Exit.MODEL, "damaged", "localagent model pull starter")


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\necho hello\n", b"GGUF", b"GGUF\x63\0\0\0" + b"\xff" * 64])
def test_no_model_file_at_all(content: bytes, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    told(cli("do", "--model", str(file), "hello"), Exit.MODEL, "model.gguf")


def test_an_unknown_architecture(cli: Cli, tmp_path: Path) -> None:
    strange = make("tiny", tmp_path / "strange.gguf", arch="strange9")
    told(cli("do", "--model", str(strange), "hello"), Exit.MODEL, "strange9", "Choose another model")


def test_a_model_that_is_not_there(cli: Cli) -> None:
    told(cli("do", "--model", "/nowhere/model.gguf", "hello"), Exit.MODEL, "/nowhere/model.gguf", "model list")
    told(cli("do", "--model", "startr", "hello"), Exit.USAGE, "startr", "Did you mean starter")
    told(cli("do", "--model", "starter", "hello"), Exit.MODEL, "localagent model pull starter")


# ---------------------------------------------------------------- folders and disks


@pytest.mark.parametrize("kind", ["CONFIG", "DATA", "STATE", "CACHE", "RUNTIME"])
def test_a_folder_of_ours_that_cannot_be_made(kind: str, cli: Cli, gguf: str) -> None:
    cli.env[f"LOCALAGENT_{kind}_DIR"] = "/dev/null/x"
    told(cli("do", "--model", gguf, "hello"), Exit.FAILED, "cannot be made", f"LOCALAGENT_{kind}_DIR")


@namespaces
def test_a_state_folder_that_is_read_only(cli: Cli, gguf: str, host: Hosts) -> None:
    host()
    state = Path(os.environ["LOCALAGENT_STATE_DIR"])
    state.mkdir()
    ran = cli("do", "--model", gguf, "hello", before=mounted(f"mount -t tmpfs -o ro none '{state}'"))
    told(ran, Exit.FAILED, str(state), "LOCALAGENT_STATE_DIR")


@namespaces
def test_a_workspace_that_is_read_only(cli: Cli, gguf: str, host: Hosts) -> None:
    (cli.work / "keep.txt").write_text("kept")
    host(tool_call("write_file", path="a.txt", content="x"), "The folder cannot be written.", "It cannot be written.")
    bound = f"mount --bind '{cli.work}' '{cli.work}' && mount -o remount,bind,ro '{cli.work}' && cd '{cli.work}'"
    ran = cli("do", "--yes", "--model", gguf, "write a.txt", before=mounted(bound))
    assert ran.code == Exit.DONE and "cannot be written" in ran.out
    assert "Nothing was changed" in ran.err and "read-only" in ran.err
    assert sorted(os.listdir(cli.work)) == ["keep.txt"]


@namespaces
def test_a_full_disk_for_the_transcript(cli: Cli, gguf: str, host: Hosts) -> None:
    host()
    state = Path(os.environ["LOCALAGENT_STATE_DIR"])
    state.mkdir()
    full = f"mount -t tmpfs -o size=64k none '{state}' && dd if=/dev/zero of='{state}/filler' bs=4k status=none"
    ran = cli("do", "--model", gguf, "hello", before=mounted(f"{{ {full} 2>&-; true; }}"))
    told(ran, Exit.FAILED, str(state), "Free some space")


def test_a_transcript_that_may_not_grow_holds_whole_lines(cli: Cli, gguf: str, host: Hosts) -> None:
    host("Warm.", "A long answer. " * 400, "I went on.")
    assert cli("do", "--model", gguf, "hello").code == Exit.DONE
    limited = ["bash", "-c", 'ulimit -f 4; exec "$@"', "bash"]
    ran = cli("do", "--model", gguf, "tell me a lot", before=limited)
    told(ran, Exit.FAILED, "transcript.jsonl", "File too large", "LOCALAGENT_STATE_DIR")
    assert [event["event"] for event in transcript()] == ["TurnStarted"]
    assert cli("do", "--model", gguf, "--resume", "last", "go on").out == "I went on.\n"
    assert [event["event"] for event in transcript()] == ["TurnStarted", "TurnStarted", "MessageDone", "TurnEnded"]


@namespaces
def test_a_full_disk_for_the_journal(cli: Cli, gguf: str, host: Hosts) -> None:
    (cli.work / "a.txt").write_text("old\n" * 50_000)
    state = Path(os.environ["LOCALAGENT_STATE_DIR"])
    state.mkdir()
    edit = tool_call("run", command="sed -i s/old/new/ a.txt; echo done")
    host(edit, "It failed: the disk is full.", "It failed: the disk is full.")
    small = f"mount -t tmpfs -o size=100k none '{state}'"
    ran = cli("do", "--yes", "--model", gguf, "edit a.txt", before=mounted(small))
    assert ran.code == Exit.DONE and ran.out.startswith("It failed")
    assert "Nothing was changed" in ran.err and "disk is full" in ran.err and "Free some space" in ran.err
    assert (cli.work / "a.txt").read_text() == "old\n" * 50_000
    assert sorted(os.listdir(cli.work)) == ["a.txt"]


# ---------------------------------------------------------------- surroundings


@namespaces
def test_without_bubblewrap_every_effect_asks_and_the_cure_is_named(cli: Cli, gguf: str, host: Hosts) -> None:
    host(tool_call("run", command="touch made"), "I was not allowed to.", "I was not allowed to.")
    cli.env["PATH"] = "/usr/bin:/bin"
    ran = cli("do", "--yes", "--model", gguf, "make a file", before=mounted(f"{NO_BUBBLEWRAP} && {NO_LANDLOCK}"))
    assert ran.code == Exit.DENIED and "not allowed" in ran.out
    assert "bubblewrap" in ran.err and "install" in ran.err
    assert os.listdir(cli.work) == []


@namespaces
def test_without_bubblewrap_a_reduced_sandbox_is_said_and_holds_the_command(cli: Cli, gguf: str, host: Hosts) -> None:
    if version() < OLDEST:
        pytest.skip("this kernel has no Landlock")
    host(tool_call("run", command="touch made ../out"), "There.", "There.")
    cli.env["PATH"] = "/usr/bin:/bin"
    ran = cli("do", "--yes", "--model", gguf, "make a file", before=mounted(NO_BUBBLEWRAP))
    assert "the sandbox is reduced (landlock)" in ran.err and "install" in ran.err
    assert os.listdir(cli.work) == ["made"] and not (cli.work.parent / "out").exists()


@pytest.mark.parametrize("closed", ["<&-", "</dev/null", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, cli: Cli, gguf: str, host: Hosts) -> None:
    host(tool_call("write_file", path="a.txt", content="x"), "There you are.")
    ran = cli("do", "--yes", "--model", gguf, "write", before=["bash", "-c", f'exec "$@" {closed}', "bash"])
    assert ran.code == Exit.DONE
    assert ran.out == ("" if ">&-" in closed.replace("2>&-", "") else "There you are.\n")
    assert (cli.work / "a.txt").read_text() == "x"


@pytest.mark.parametrize("form", ["text", "json", "stream-json"])
def test_a_reader_that_went_away(form: str, cli: Cli, gguf: str, host: Hosts) -> None:
    host(tool_call("write_file", path="a.txt", content="x"), "There you are.")
    reader, writer = os.pipe()
    os.close(reader)
    ran = cli("do", "--yes", "--model", gguf, "--output-format", form, "write", stdout=writer)
    os.close(writer)
    assert ran.code == Exit.FAILED
    assert transcript()[-1]["event"] == "TurnEnded"


def test_help_into_a_closed_pipe(cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert cli("--help", stdout=writer).code == Exit.FAILED
    os.close(writer)


def test_nobody_there(cli: Cli, gguf: str, host: Hosts) -> None:
    host(tool_call("write_file", path="a.txt", content="x"), "I was not allowed to.")
    ran = cli("do", "--model", gguf, "write")
    assert ran.code == Exit.DENIED and ran.out == "I was not allowed to.\n"
    assert "--allow 'write(" in ran.said and os.listdir(cli.work) == []


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_only_where_they_are_wanted(no_color: str, cli: Cli, gguf: str, host: Hosts) -> None:
    host(tool_call("list_files", path="."), "It is empty.")
    cli.env |= {"NO_COLOR": no_color, "TERM": "xterm"}
    screen, terminal = pty.openpty()
    ran = cli("do", "--yes", "--model", gguf, "list", stderr=terminal)
    os.close(terminal)
    drawn = _read_all(screen)
    assert ran.code == Exit.DONE and b"list_files" in drawn
    assert (b"\x1b[3" in drawn) is (no_color == "")


def _read_all(fd: int) -> bytes:
    found = b""
    try:
        while data := os.read(fd, 65536):
            found += data
    except OSError as error:
        assert error.errno == errno.EIO
    os.close(fd)
    return found


# ---------------------------------------------------------------- names and sizes


def test_file_names_that_are_no_utf8(cli: Cli, gguf: str, host: Hosts) -> None:
    odd = os.fsencode(cli.work) + b"/caf\xe9 \n.txt"
    Path(os.fsdecode(odd)).write_text("crème")
    script = 'for f in *.txt; do cp "$f" "copy of $f"; done; ls'
    host(tool_call("list_files", path="."), tool_call("run", command=script), "Two files.")
    ran = cli("do", "--yes", "--model", gguf, "--output-format", "stream-json", "copy the files")
    assert ran.code == Exit.DONE
    assert all(json.loads(line) for line in ran.out.splitlines())
    assert sorted(os.listdir(os.fsencode(cli.work))) == sorted([b"caf\xe9 \n.txt", b"copy of caf\xe9 \n.txt"])
    assert cli("undo").code == Exit.DONE
    assert os.listdir(os.fsencode(cli.work)) == [b"caf\xe9 \n.txt"]


def test_a_goal_that_is_no_utf8(cli: Cli, gguf: str, host: Hosts) -> None:
    one = host("Very well.")
    process = cli.start("do", "--model", gguf, os.fsdecode(b"read caf\xe9.txt"))
    ran = ended(process, time.monotonic())
    assert ran.code == Exit.DONE and ran.out == "Very well.\n" and one.requests


def test_a_goal_of_a_megabyte(cli: Cli, gguf: str, tmp_path: Path) -> None:
    (tmp_path / "goal").write_text("Add up these numbers: " + "7 12 " * 210_000)
    with (tmp_path / "goal").open("rb") as goal:
        ran = cli("do", "--model", gguf, "-", stdin=goal, timeout=120)
    told(ran, Exit.FAILED, "tokens", "does not fit", "config set context")


def test_a_goal_longer_than_the_context(cli: Cli, gguf: str) -> None:
    Path(os.environ["LOCALAGENT_CONFIG_DIR"]).mkdir()
    assert cli("config", "set", "context", "2048").code == Exit.DONE
    told(cli("do", "--model", gguf, "word " * 4000), Exit.FAILED, "context of 2048 tokens", "config set context")
    assert transcript()[-1]["status"] == "failed"


def test_an_empty_goal_on_stdin(cli: Cli, gguf: str) -> None:
    told(cli("do", "--model", gguf, "-"), Exit.USAGE, "empty")


def test_a_pipe_that_is_no_text(cli: Cli, gguf: str, host: Hosts, tmp_path: Path) -> None:
    host("Noise.")
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 4)
    with (tmp_path / "noise").open("rb") as noise:
        ran = cli("do", "--model", gguf, "what is this?", stdin=noise)
    assert ran.code == Exit.DONE and ran.out == "Noise.\n"
