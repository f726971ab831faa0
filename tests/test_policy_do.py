"""policy.yaml from the file down to the disk: real tools, sandbox, policy and journal; only the model is scripted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localagent import cli, wiring
from localagent.store import policyfile
from localagent.wiring import toolset
from tests.fakes import call
from tests.test_do import do, work

pytestmark = pytest.mark.slow

__all__ = ["work"]


def lay(text: str) -> Path:
    file = Path(policyfile.path())
    file.write_text(text)
    file.chmod(0o600)
    return file


def write(path: str) -> list[object]:
    return [[call("write_file", path=path, content="x")], "Done."]


@pytest.mark.parametrize(
    ("rules", "argv", "script", "code", "made"),
    [
        ("allow: ['write(notes/**)']", [], write("notes/a.md"), 0, True),
        ("allow: ['write(notes/**)']", [], write("a.md"), 4, False),
        ("ask: ['write(notes/**)']", ["--yes"], write("notes/a.md"), 4, False),
        ("ask: ['write(notes/**)']", ["--mode", "yolo"], write("notes/a.md"), 4, False),
        ("ask: ['write(notes/**)']", ["--allow", "write(**)"], write("notes/a.md"), 4, False),
        ("allow: ['write(**)']\nask: ['write(notes/**)']", [], write("notes/a.md"), 4, False),
        ("allow: ['write(**)']\ndeny: ['write(notes/**)']", ["--yes"], write("notes/a.md"), 0, False),
        ("allow: ['write(**)']", ["--deny", "write(notes/**)"], write("notes/a.md"), 0, False),
        ("ask: ['run(touch)']", ["--yes"], [[call("run", command="touch a.md")], "Done."], 4, False),
        ("ask: ['run(git push)']", ["--yes"], [[call("run", command="touch a.md")], "Done."], 0, True),
        ("deny: ['run(touch)']", ["--yes"], [[call("run", command="x=1; touch a.md")], "Done."], 0, False),
    ],
)
def test_the_users_rules_decide(work: Path, rules: str, argv: list[str], script: list[object], code: int, made: bool) -> None:
    lay(rules + "\n")
    assert do("go", *argv, script=list(script)) == code
    assert ((work / "a.md").exists() or (work / "notes" / "a.md").exists()) == made


def test_what_is_denied_to_be_read_is_closed_to_programs(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay("deny: ['read(**/private/**)']\n")
    (work / "private").mkdir()
    (work / "private" / "a.txt").write_text("HIDDEN")
    calls = [call("run", command="cat private/* || echo closed"), call("read_file", path="private/a.txt")]
    do("look", "--yes", "--output-format", "stream-json", script=[calls, "Done."])
    assert "HIDDEN" not in capsys.readouterr().out


def test_a_program_does_not_read_unasked_what_a_rule_asks_about(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay("ask: ['read(private/**)']\n")
    (work / "private").mkdir()
    (work / "private" / "a.txt").write_text("HIDDEN")
    calls = [call("run", command="cat private/*"), call("search_text", pattern="HIDD"), call("read_file", path="private/a.txt")]
    assert do("look at private/a.txt", "--yes", "--output-format", "stream-json", script=[calls, "Done."]) == 4
    assert "HIDDEN" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("deny: []\nallow: ['fly(x)']\n", 0o600, "policy.yaml:2"),
        ("ask: ['run(x)']\nexamples:\n- {rule_for: run, text: x, verdict: deny}\n", 0o600, "policy.yaml:3"),
        ("deny: []\n", 0o666, "chmod go-w"),
    ],
)
def test_a_bad_file_stops_the_start(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, mode: int, said: str
) -> None:
    lay(text).chmod(mode)
    monkeypatch.setattr(wiring, "chosen_engine", lambda *_: pytest.fail("it went on"))
    assert cli.main(["do", "x"]) == 7
    out, err = capsys.readouterr()
    assert out == "" and said in err and len(err.splitlines()) == 1


def test_a_folder_tightens_and_its_allow_is_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / ".localagent").mkdir()
    (work / ".localagent" / "policy.yaml").write_text("allow: ['write(**)']\ndeny: ['write(keep.txt)']\n")
    assert do("go", script=write("a.md")) == 4
    assert "policy.yaml:1" in capsys.readouterr().err
    assert do("go", "--yes", "--allow", "write(**)", script=write("keep.txt")) == 0
    assert do("go", "--yes", script=write("a.md")) == 0
    assert (work / "a.md").exists() and not (work / "keep.txt").exists()


def test_a_folder_whose_rules_cannot_be_read_asks_for_everything(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / ".localagent").mkdir()
    (work / ".localagent" / "policy.yaml").write_text("deny: [\n")
    (work / "a.txt").write_text("SHOWN")
    script = [[call("read_file", path="a.txt"), call("run", command="touch b")], "Done."]
    assert do("look at a.txt", "--mode", "yolo", "--allow", "run(*)", "--output-format", "stream-json", script=script) == 4
    out = capsys.readouterr().out
    assert "SHOWN" not in out and "everything asks" in out and not (work / "b").exists()


@pytest.mark.parametrize("tool", ["write_file", "trash", "run"])
def test_a_folders_rules_outlive_every_mode(work: Path, tool: str) -> None:
    (work / ".localagent").mkdir()
    file = work / ".localagent" / "policy.yaml"
    file.write_text("ask: ['run(x)']\n")
    name = ".localagent/policy.yaml"
    made = {
        "write_file": call("write_file", path=name, content=""),
        "trash": call("trash", path=".localagent"),
        "run": call("run", command=f"rm -rf .localagent; mkdir -p .localagent; echo > {name}"),
    }[tool]
    do("go", "--mode", "yolo", "--allow", "write(**)", "--allow", "run(*)", script=[[made], "Done."])
    assert file.read_text() == "ask: ['run(x)']\n"


def test_approvals_list_the_rules_with_their_lines(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lay("deny: ['read(a)']\nask: ['run(git push)']\n")
    (work / ".localagent").mkdir()
    theirs = work / ".localagent" / "policy.yaml"
    theirs.write_text("ask: ['net(*)']\nallow: ['run(x)']\n")
    assert cli.main(["approvals", "add", "run(make test)"]) == 0
    capsys.readouterr()
    assert cli.main(["approvals", "list"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 4 and out[0].startswith("run(make test)")
    assert out[1] == f"deny read(a)  in every folder  ({file}:1; change it there)"
    assert out[3] == f"ask net(*)  in {work}  ({theirs}:1; change it there)"
    assert cli.main(["approvals", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["rule"], row["verdict"]) for row in rows][:2] == [("run(make test)", "allow"), ("read(a)", "deny")]
    assert cli.main(["approvals", "revoke", "run(git push)"]) == 1
    assert f"{file}:2" in capsys.readouterr().err and file.read_text().count("git push") == 1
    theirs.write_text("deny: [\n")
    assert cli.main(["approvals", "list"]) == 0
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("project", ["", "deny: ['net(c.org)']\n", "deny: [\n"])
def test_programs_reach_the_hosts_that_are_allowed_and_ask_nobody(
    work: Path, monkeypatch: pytest.MonkeyPatch, project: str
) -> None:
    lay("allow: ['net(a.org)', 'net(c.org)']\nask: ['net(b.org)']\n")
    if project:
        (work / ".localagent").mkdir()
        (work / ".localagent" / "policy.yaml").write_text(project)
    given: list[tuple[tuple[str, ...], ...]] = []
    real = toolset.PluginSource

    def source(*args: object, **more: object) -> object:
        given.append(more["hosts"]())  # type: ignore[operator]
        return real(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(toolset, "PluginSource", source)
    do("go", "--allow", "net(d.org)", script=["Done."])
    opened, closed = given[0]
    assert opened == (() if project == "deny: [\n" else ("d.org", "a.org", "c.org"))
    assert set(closed) == ({"b.org", "c.org"} if "c.org" in project else {"b.org"})
