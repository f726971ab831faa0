from __future__ import annotations

import pytest

from localagent.agent import dangers
from localagent.values import ToolCall


def _told(command: object, paint=str) -> list[str]:
    return dangers.told(ToolCall("1", "run", {"command": command}), paint)


def test_the_dangerous_part_is_pointed_at() -> None:
    assert _told("ls && rm -rf build; ls") == [
        "  deletes files:",
        "    ls && rm -rf build; ls",
        "          ^^^^^^^^^^^^",
    ]


def test_the_part_may_be_coloured() -> None:
    assert _told("sudo ls", lambda part: f"<{part}>")[1] == "    <sudo ls>"


@pytest.mark.parametrize("command", ["ls", "ls | wc -l", "", ["ls", "-l"], 3])
def test_nothing_is_said_where_nothing_is_dangerous(command: object) -> None:
    assert [line for line in _told(command) if "not read" not in line] == []


def test_the_signs_stand_under_wide_and_escaped_characters() -> None:
    told = _told("ls 日本; rm x\u202e")
    assert "not read completely" in told[0]
    assert told[2] == "    ls 日本; rm x\\u{202e}"
    assert told[3].index("^") == 4 + len("ls ; ") + 4


def test_only_the_line_is_shown_in_which_the_part_stands() -> None:
    told = _told("ls\necho " + "a" * 200 + "; rm x\nls")
    assert told[1].startswith("    …a") and told[1].endswith("; rm x")
    assert told[1][told[2].index("^") :] == "rm x"


def test_of_many_places_the_worst_are_shown() -> None:
    told = _told("".join(f"curl {n}; " for n in range(40)) + "rm -rf ~")
    assert told[0] == "  wipes your home folder or the disk, deletes files:"
    assert told[-1].startswith("  … and ")


def test_an_argv_is_pointed_at_as_it_would_be_written() -> None:
    assert _told(["rm", "-rf", "a b"])[1] == "    rm -rf 'a b'"
