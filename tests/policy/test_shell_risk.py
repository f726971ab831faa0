from __future__ import annotations

import importlib.util
import random
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from localagent.policy import shell_risk
from tests.rounds import rounds

_spec = importlib.util.spec_from_file_location("lines", Path(__file__).with_name("lines.py"))
assert _spec and _spec.loader
lines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lines)

HOME = "/home/u"


@pytest.mark.parametrize(("text", "argv"), lines.READS)
def test_a_plain_reading_command_is_read_exactly(text: str, argv: list[str]) -> None:
    line = shell_risk.read(text, HOME)
    assert line.words == tuple(argv)
    assert line.read_only
    assert not line.destructive


@pytest.mark.parametrize(("text", "argv"), lines.PLAIN)
def test_a_plain_command_that_may_do_more_is_not_called_reading(text: str, argv: list[str]) -> None:
    line = shell_risk.read(text, HOME)
    assert line.words == tuple(argv)
    assert not line.read_only


@pytest.mark.parametrize("text", lines.COMPLEX)
def test_what_is_no_plain_command_has_no_words(text: str) -> None:
    line = shell_risk.read(text, HOME)
    assert line.words is None
    assert line.why


@pytest.mark.parametrize(("text", "kinds"), lines.RISKY)
def test_risks_are_found(text: str, kinds: set[str]) -> None:
    assert kinds <= {risk.kind for risk in shell_risk.read(text, HOME).risks}


@pytest.mark.parametrize(("text", "kinds"), lines.HARMLESS)
def test_harmless_lines_are_not_called_what_they_are_not(text: str, kinds: set[str]) -> None:
    assert not kinds & {risk.kind for risk in shell_risk.read(text, HOME).risks}


def test_there_are_enough_lines() -> None:
    assert sum(map(len, (lines.READS, lines.PLAIN, lines.COMPLEX, lines.RISKY, lines.HARMLESS))) >= 250


def test_an_argv_is_taken_as_it_is() -> None:
    line = shell_risk.read_argv(["rm", "-rf", "/"], HOME)
    assert line.words == ("rm", "-rf", "/")
    assert "wipes" in {risk.kind for risk in line.risks}
    assert shell_risk.read_argv(["cat", "a b; rm -rf c"]).read_only
    assert shell_risk.read_argv(["ls", "a\nb"]).complex
    assert shell_risk.read_argv([]).complex


def test_exact_words_are_those_of_shlex_and_quoting_reads_back() -> None:
    rng = random.Random(7)
    letters = "ab c'\"\\$`;|&<>(){}*?~#!=é日-/.\n\t\u202e"
    for _ in range(rounds(6_000)):
        text = "".join(rng.choice(letters) for _ in range(rng.randrange(1, 14)))
        words = shell_risk.read(text).words
        if words is not None:
            assert list(words) == shlex.split(text.strip(" \n")), text
        argv = ["x", *("".join(rng.choice("ab c'\"\\$`;|*~é") for _ in range(4)) for _ in range(3))]
        assert shell_risk.read(shlex.join(argv)).words == tuple(argv)


def test_adding_a_command_never_makes_a_line_look_safer() -> None:
    rng = random.Random(11)
    texts = [text for text, _ in lines.READS + lines.PLAIN + lines.RISKY]
    for _ in range(rounds(1_200)):
        first, second = rng.choice(texts), rng.choice(texts)
        joined = shell_risk.read(f"{first} {rng.choice(['|', '&&', ';', '||', '&'])} {second}", HOME)
        assert joined.words is None
        for part in (first, second):
            assert {risk.kind for risk in shell_risk.read(part, HOME).risks} <= {risk.kind for risk in joined.risks}


def test_reading_survives_anything() -> None:
    rng = random.Random(13)
    pool = [
        "$(",
        ")",
        "`",
        "'",
        '"',
        "\\",
        "\n",
        ";",
        "|",
        ">",
        "<",
        "<<EOF",
        "rm",
        "-rf",
        "/",
        " ",
        "\x00",
        "\ud800",
        "é",
    ]
    for _ in range(2_000):
        shell_risk.read("".join(rng.choice(pool) for _ in range(rng.randrange(30))), HOME)
    shell_risk.read("$(" * 5_000 + ")" * 5_000, HOME)
    shell_risk.read("ls && " * 3_000 + "ls", HOME)
    shell_risk.read("sudo " * 5_000 + "rm", HOME)
    shell_risk.read("'" + "a " * 50_000, HOME)


LONG = [
    "printf " + "A" * 200_000,
    '"' * 100_001,
    "$(" * 60_000 + ")" * 60_000,
    "sudo " + "-a " * 40_000,
    "A=b " * 30_000,
    "find . " + "-exec find " * 10_000,
    "find -exec sudo rm " * 5_000,
    "x;" * 60_000,
    "`a" * 60_000 + "`",
    "\\" * 100_001,
    "sh 'sh a b' " * 5_000,
    "9" * 130_000 + "x",
]


@pytest.mark.parametrize("text", LONG, ids=lambda t: t[:12])
def test_a_long_line_is_judged_at_once(text: str) -> None:
    begun = time.monotonic()
    line = shell_risk.read(text, HOME)
    assert line.words is None and line.verdict != "allow"
    assert time.monotonic() - begun < 2


def test_a_find_in_a_find_is_not_followed_without_end() -> None:
    begun = time.monotonic()
    risks = shell_risk.read("find . " + "-exec find . " * 60 + "-exec rm {} ;", HOME).risks
    assert "deletes" in {risk.kind for risk in risks}
    assert time.monotonic() - begun < 1


def test_what_wipes_is_found_behind_a_long_beginning() -> None:
    for filling in (9_000, 100_000, 300_000):
        risks = shell_risk.read("true " + "a" * filling + "; rm -rf ~", HOME).risks
        assert "wipes" in {risk.kind for risk in risks}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here to compare with")
def test_a_real_shell_sees_the_same_words() -> None:
    rng = random.Random(17)
    pieces = [
        "a",
        "b-c",
        "'d e'",
        '"f \\" g"',
        "\\ ",
        "\\'",
        "=x",
        "é",
        "日",
        "/p",
        "..",
        "%1",
        "@",
        "+",
        ":",
        ",",
        " ",
        " ",
        "''",
    ]
    accepted: list[tuple[str, tuple[str, ...]]] = []
    while len(accepted) < 2_000:
        text = "x" + "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 9)))
        words = shell_risk.read(text).words
        if words is not None:
            accepted.append((text, words))
    script = "".join(f"printf '%s\\0' {text}\nprintf '\\n'\n" for text, _ in accepted)
    shown = subprocess.run(["bash", "--norc", "-s"], input=script.encode(), capture_output=True, check=True).stdout
    seen = shown.decode().split("\0\n")
    assert [tuple(line.split("\0")) for line in seen[:-1]] == [words for _, words in accepted]
