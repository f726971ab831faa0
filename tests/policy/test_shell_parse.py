"""Does bash run a program that our reader did not see? Random scripts, in a sandbox, with nothing to be found."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localagent.policy.shell_class import pieces
from localagent.policy.shell_parse import parse
from localagent.policy.shell_tree import Command, Script

_spec = importlib.util.spec_from_file_location("scripts", Path(__file__).with_name("scripts.py"))
assert _spec and _spec.loader
scripts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scripts)

# How many scripts are compared: LOCALAGENT_SHELL_SCRIPTS=20000 for the full count, in about two minutes.
COUNT = int(os.environ.get("LOCALAGENT_SHELL_SCRIPTS", "400"))
SEED = int(os.environ.get("LOCALAGENT_SHELL_SEED", "41"))
# Of the shell's own commands, those that run their words or change how the next line is read are not compared.
_RUN_WORDS = re.compile(r"eval|command|builtin|exec|source|\.|trap|alias|sudo")


def _words(script: Script) -> list[Command]:
    return [command for command in script.commands if command.words]


def _readable(text: str) -> Script | None:
    """The script, where the reader claims to know every program in it."""
    script = parse(text)
    if isinstance(script, str) or script.opaque:
        return None
    unclear = any(risk.kind == "unclear" for piece in pieces(script, "/h") for risk in piece.risks)
    runs = any(_RUN_WORDS.fullmatch(c.words[0].text) and c.words[0].text != "sudo" for c in _words(script))
    return None if unclear or runs else script


def _fits(command: Command, argv: list[str]) -> bool:
    parts = (
        "(?:[^\0]*\0)*" if w.splits else "(?:[^\0]*\0)+" if not w.known else re.escape(w.text) + "\0"
        for w in command.words
    )
    return re.fullmatch("".join(parts), "".join(word + "\0" for word in argv), re.DOTALL) is not None


def _run(texts: list[str]) -> list[list[list[str]]]:
    """The programs that bash would start for each script."""
    bash, bwrap = shutil.which("bash"), shutil.which("bwrap")
    assert bash and bwrap, "bash and bubblewrap are needed to compare"
    here = Path(__file__).parent
    command = [bwrap, "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--ro-bind", str(here), "/tmp/t", "--dir", "/tmp/w"]
    command += [
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    python = os.path.realpath(sys.executable)
    command += ["--chdir", "/tmp/w", python, "-I", "/tmp/t/bash_runs.py", bash]
    given = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _wrong(found: list[tuple[str, Script]], seen: list[list[list[str]]]) -> list[tuple[str, list[str]]]:
    return [
        (text, argv)
        for (text, script), argvs in zip(found, seen, strict=True)
        for argv in argvs
        if not any(_fits(command, argv) for command in _words(script))
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox of this test is that of Linux")
def test_bash_runs_no_program_that_was_not_read() -> None:
    source, found, known = scripts.Scripts(SEED), [], set()
    while len(found) < COUNT:
        text = source.next()
        script = _readable(text)
        if script is not None and text not in known:
            known.add(text)
            found.append((text, script))
    seen = _run([text for text, _ in found])
    runs = sum(map(len, seen))
    print(f"{len(found)} scripts, {runs} programs run")
    assert runs > COUNT
    assert not (wrong := _wrong(found, seen)), wrong[:10]


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox of this test is that of Linux")
def test_the_comparison_would_see_a_wrong_program() -> None:
    script = parse("p1 a; p2 b")
    assert isinstance(script, Script)
    seen = _run(["p1 a; p2 b", "p1 'a'; p3 b"])
    assert _wrong([("", script)], seen[:1]) == []
    assert _wrong([("", script)], seen[1:]) == [("", ["p3", "b"])]


@pytest.mark.parametrize(
    ("text", "argvs"),
    [
        ("a | b && c || d; e & f", ["a", "b", "c", "d", "e", "f"]),
        ("(a; { b; c; }) > x", ["a", "b", "c"]),
        ("if a; then b; elif c; then d; else e; fi", ["a", "b", "c", "d", "e"]),
        ("while a; do b; done; until c; do d; done", ["a", "b", "c", "d"]),
        ("for x in $(a); do b; done", ["a", "b"]),
        ("case $(a) in x|y) b;; (*) c;; esac", ["a", "b", "c"]),
        ("f() { a; }; function g { b; }; f", ["a", "b", "f"]),
        ('x=$(a) b "$(c `d`)" <(e) >(f)', ["a", "b", "c", "d", "e", "f"]),
        ("a <<E b\n$(c)\nE\nd", ["a", "c", "d"]),
        ("a <<'E' | b\n$(c)\nE\nd", ["a", "b", "d"]),
        ("time ! a # b\nc", ["a", "c"]),
        ("a \\\n b; [[ -f x ]] && c", ["a", "c"]),
    ],
)
def test_every_command_is_found(text: str, argvs: list[str]) -> None:
    script = parse(text)
    assert isinstance(script, Script)
    assert sorted(command.words[0].text for command in _words(script)) == sorted(argvs)
    assert all(text[c.start : c.end].startswith(("x=", c.words[0].text)) for c in _words(script))


def test_a_here_document_within_a_substitution_is_not_read() -> None:
    """bash 5.2 gives `ls` the words behind `\\;;` here, as if no command began there."""
    assert isinstance(parse('a "x$(b <<E\nc\nE\nls \\;; d e\n)"'), str)
    assert isinstance(parse("a <<E\n$(b <<F\nF\n)\nE\n"), str)
    assert not isinstance(parse("a <<E\n$(b)\nE\n"), str)
