from __future__ import annotations

import importlib.util
import random
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from localagent.policy import rule as model
from localagent.policy import shell_risk
from localagent.policy.rule import Subject
from tests.rounds import rounds


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lines, verdicts, scripts = _beside("lines"), _beside("verdicts"), _beside("scripts")
HOME = "/home/u"
_ORDER = {"allow": 0, "ask": 1, "deny": 2}


def test_what_only_reads_needs_no_question() -> None:
    for text in verdicts.ALLOWED:
        line = shell_risk.read(text, HOME)
        assert line.verdict == "allow", text
        assert line.classes == {"read"} and not line.risks and not line.complex, text


def test_what_does_more_is_asked_about_and_classed() -> None:
    for text, classes in verdicts.ASKED:
        line = shell_risk.read(text, HOME)
        assert line.verdict == "ask", text
        assert set(classes.split()) <= line.classes, text


def test_what_wipes_home_or_a_disk_is_refused() -> None:
    assert [text for text in verdicts.REFUSED if shell_risk.read(text, HOME).verdict != "deny"] == []


def test_the_table_is_large_enough() -> None:
    assert len(verdicts.ALLOWED) >= 60
    assert len(verdicts.ALLOWED) + len(verdicts.ASKED) + len(verdicts.REFUSED) >= 400


@pytest.mark.parametrize(
    ("text", "kind", "marked"),
    [
        ("ls && rm -rf build; ls", "deletes", "rm -rf build"),
        ("ls | xargs rm -f", "deletes", "xargs rm -f"),
        ('echo "a $(rm b) c"', "deletes", "rm b"),
        ("cat <<E\n$(rm b)\nE\n", "deletes", "rm b"),
        ("cat a > out", "overwrites", "> out"),
        ("cp ~/.ssh/id_rsa x", "secrets", "~/.ssh/id_rsa"),
        ("cat a >> ~/.bashrc", "persists", ">> ~/.bashrc"),
        ("sh -c 'rm b' x", "deletes", "'rm b'"),
        ("a=1; $x b", "unclear", "$x"),
        ("ls 日本; sudo ls", "privilege", "sudo ls"),
        ("PATH=. ls", "code", "PATH=."),
        ("ls 'open; rm b", "deletes", "rm b"),
    ],
)
def test_the_dangerous_part_is_marked(text: str, kind: str, marked: str) -> None:
    places = [text[risk.start : risk.end] for risk in shell_risk.read(text, HOME).risks if risk.kind == kind]
    assert marked in places


def test_every_mark_lies_in_its_line() -> None:
    for text in (*verdicts.REFUSED, *(text for text, _ in verdicts.ASKED)):
        line = shell_risk.read(text, HOME)
        for part in (*line.risks, *line.pieces):
            assert 0 <= part.start < part.end <= len(text), text


def test_adding_a_command_never_lowers_the_verdict() -> None:
    rng = random.Random(29)
    # What is left open, or a remark at the end, would take the next command in.
    known = [t for t in (*verdicts.ALLOWED, *verdicts.REFUSED, *(t for t, _ in verdicts.ASKED)) if "#" not in t]
    whole = [t for t in known if "\n" not in t and t[-1] not in "&;|" and not shell_risk.read(t, HOME).complex]
    for _ in range(rounds(1_500)):
        first, second = rng.choice(whole), rng.choice(whole)
        joint = rng.choice([" | ", " && ", "; ", " || ", " & ", "\n", " |& ", "|", "&&", "\n\n"])
        joined = shell_risk.read(first + joint + second, HOME)
        for part in (first, second):
            assert _ORDER[joined.verdict] >= _ORDER[shell_risk.read(part, HOME).verdict], joined.text
            lost = shell_risk.read(part, HOME).classes - joined.classes
            assert lost <= ({"unknown", "read", "write"} if joined.complex else set()), joined.text
        for around in ("( {} )", "{{ {}; }}", "if true; then {}; fi", "while true; do {}; done", "echo $( {} )"):
            nested = shell_risk.read(around.format(first), HOME)
            assert _ORDER[nested.verdict] >= _ORDER[shell_risk.read(first, HOME).verdict], nested.text


def test_no_number_of_commands_hides_one() -> None:
    for filling in ("true; ", "true && ", "ls | ", "a=b\n", "echo x\n"):
        for count in (50, 500, 3_000):
            assert shell_risk.read(filling * count + "rm -rf ~", HOME).verdict == "deny", count
            assert shell_risk.read("rm -rf ~; " + filling * count + "ls", HOME).verdict == "deny", count
            denied = Subject("run", text := filling * count + "git push", shell_risk.read(text, HOME))
            assert model.reaches(model.parse("run(git push)"), denied, _Place())
    assert shell_risk.read("ls && " * 3_000 + "ls", HOME).verdict == "allow"


class _Place:
    workspace, home, resolve = "/w", HOME, None


@pytest.mark.parametrize(
    "form", ["({})", "$({})", "`{}`", "{{ {}; }}", "sh -c '{}'", "if a; then {}; fi", "${{x:-{}}}", '"{}"']
)
def test_no_depth_is_too_much(form: str) -> None:
    text = "rm x"
    for _ in range(400):
        text = form.format(text)
        if len(text) > 20_000:
            break
    assert shell_risk.read(text, HOME).verdict == "ask"


def test_quoting_makes_no_difference() -> None:
    rng = random.Random(31)
    plain = [words for text, _ in (*lines.PLAIN, *lines.READS) if (words := shell_risk.read(text, HOME).words)]
    for _ in range(rounds(1_500)):
        words = rng.choice(plain)
        forms = [
            shell_risk.read(" ".join(_quoted(rng, word, n) for n, word in enumerate(words)), HOME) for _ in range(3)
        ]
        expected = shell_risk.read(shlex.join(words), HOME)
        for form in forms:
            assert form.verdict == expected.verdict, form.text
            assert form.classes == expected.classes, form.text


def _quoted(rng: random.Random, word: str, at: int) -> str:
    def whole(text: str) -> str:
        return "'" + text.replace("'", "'\\''") + "'"

    cut = rng.randrange(len(word) + 1)
    doubled = '"' + "".join("\\" + char if char in '"\\$`' else char for char in word) + '"'
    escaped = "".join(char if char.isalnum() or char in "._/" else "\\" + char for char in word) or "''"
    ansi = "$'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return rng.choice([whole(word), doubled, escaped, whole(word[:cut]) + whole(word[cut:]), ansi])


@pytest.mark.parametrize(
    "joint",
    [
        "|",
        "||",
        "&",
        "&&",
        ";",
        "\n",
        ">",
        ">>",
        "<",
        "`",
        "$(",
        "(",
        "|&",
        "<<<",
        " $x",
        " *",
        " ~",
        " {a,b}",
        "<<E\n",
        " &>",
        ">&",
        "\r\n",
        "\u00a0",
        "\u200b",
    ],
)
def test_a_rule_with_words_never_reaches_past_what_is_no_word(joint: str) -> None:
    for text in ("run(git diff)", "run(git diff *)"):
        rule = model.parse(text)
        for line in (
            f"git diff{joint}rm x",
            f"git diff {joint} rm x",
            f"git diff a{joint}b",
            f"{joint}ls\ngit diff",
            f"git{joint}diff",
        ):
            assert not model.allows(rule, Subject("run", line, shell_risk.read(line)), _Place()), line


def test_reading_any_script_ends_and_says_something() -> None:
    source = scripts.Scripts(37)
    for _ in range(rounds(1_500)):
        text = source.next()
        line = shell_risk.read(text, HOME)
        assert line.verdict != "allow" or (not line.complex and not line.risks)
        assert not (line.complex and line.pieces)
