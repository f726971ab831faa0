"""Values in shell commands, each asked of bash: what the program gets is the value, whatever it holds, and nothing else runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from localagent.policy.shell_fill import Misplaced, Value, fill, why_not

NASTY = [
    *("; rm -rf *", "a b", "it's", 'say "x"', "two\nlines", "$(touch pwned)", "`touch pwned`", "*", "~", "$HOME", "{a,b}", "a\\", "!x"),
    *("&& touch pwned", "> pwned", "|cat", "#c", "ünï 漢", "x\ty", "'$(touch pwned)'", '"; touch pwned; "', "\\$(touch pwned)"),
    "a'\"`touch pwned`",
    *("{p}", "zq0000zq", "${p}", "$'\\n'", "EOF", "=", "fi", "<(touch pwned)"),
]
# Each prints what it was given.
PLACES = [
    "printf %s {p}",
    'printf %s "{p}"',
    "printf %s '{p}'",
    'x={p}; printf %s "$x"',
    'for f in {p}; do printf %s "$f"; done',
    'printf %s "$(printf %s {p}; printf x)" | head -c -1',
    'case {p} in *) printf %s "{p}";; esac',
    "if [ -n {p} ]; then\n  printf %s \\\n  {p}\nfi",
    "timeout 5 printf %s {p}",
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("place", PLACES)
def test_bash_gets_the_value_as_one_word(tmp_path: Path, place: str) -> None:
    assert why_not(place, ["p"]) == ""
    # All in one script: each on its own line of output, ended by a character that no value has.
    script = "\n".join(f"{fill(place, {'p': Value(value)})}\nprintf '\\001'" for value in NASTY)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split("\x01")[:-1] == NASTY and done.stderr == ""
    assert os.listdir(tmp_path) == []


def test_parts_of_words_stay_parts(tmp_path: Path) -> None:
    made = fill("mkdir -p {d}/x-{n} && touch {d}/x-{n}/'{f}'", {"d": Value("a b;", "folder"), "n": Value("7", "number"), "f": Value("$x")})
    subprocess.run(["bash", "-c", made], cwd=tmp_path, check=True)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()] == ["a b;/x-7/$x"]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("cat <<E\n{p}\nE", "here-document"),
        ("true # {p}", "comment"),
        ("echo $(( {p} ))", "substitution"),
        ("echo $'{p}'", "substitution"),
        ('echo "$(pwd)/{p}"', "substitution"),
        ("{p} x", "the program"),
        ("sudo {p}", "the program"),
        ("true | {p}", "the program"),
        ("$({p})", "the program"),
        ("bash -c 'echo {p}'", "read by bash"),
        ("env X=1 sh -c {p}", "read by sh"),
        ("eval echo {p}", "read by eval"),
        ("ssh host ls {p}", "read by ssh"),
        ("find . -exec sh -c {p} \\;", "read by sh"),
        ("watch ls {p}", "read by watch"),
        ("echo ${x:={p}}", "for it"),
        ("echo 'a {p}", "for a quote"),
    ],
)
def test_where_no_value_is_safe_it_is_refused(place: str, why: str) -> None:
    assert why in why_not(place, ["p"])
    with pytest.raises(Misplaced):
        fill(place, {"p": Value("x")})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("rm {p}", Value("-rf")),
        ("head -n {p} f", Value("-5", "number")),
        ("rm -r {p}/x", Value("")),
        ("ls {p}", Value("a\0b")),
        ("ls {p}", Value("a\x1b[2Jb")),
        ("ls {p}", Value("a\u202eb")),
        ("python3 -c 'print(\"{p}\")'", Value('");import os;os.remove("x')),
        ("sed s/x/{p}/ f", Value("a/e;w out")),
        ("awk '/{p}/' f", Value("x/{system(\"id\")}")),
        ("timeout {p} true", Value("-s", "number")),
        ("timeout {p} true", Value("5 rm")),
    ],
)
def test_values_that_would_be_more_than_a_value_are_refused(place: str, value: Value) -> None:
    assert why_not(place, ["p"]) == ""
    with pytest.raises(Misplaced):
        fill(place, {"p": value})


def test_what_is_no_parameter_stays_and_a_path_with_a_dash_is_no_option() -> None:
    assert fill("echo {a,b} {q} ${p} {p}", {"p": Value("x")}) == "echo {a,b} {q} ${p} x"
    assert fill("rm {p}", {"p": Value("-rf", "file")}) == "rm ./-rf"
    assert fill("sed s/x/{p}/ f", {"p": Value("two words")}) == "sed s/x/'two words'/ f"
    assert fill("find . -name {p} -exec mv {} {p} \\;", {"p": Value("a*")}) == "find . -name 'a*' -exec mv {} 'a*' \\;"
    assert fill("echo hi", {"p": Value("x")}) == "echo hi" and why_not("echo 'unclosed", ["p"]) == ""
