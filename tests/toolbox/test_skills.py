"""Skills: read strictly, off until their bytes are agreed to, shown by a tool, granting nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from localagent import wiring
from localagent.agent import policies
from localagent.commands import skills as command
from localagent.errors import ConfigError, UsageError
from localagent.policy import floor
from localagent.store import agreed, paths, trees
from localagent.toolbox import skill_form, skills
from localagent.toolbox.registry import Registry
from localagent.toolbox.skills import SkillSource
from localagent.values import ToolCall, ToolResult
from localagent.wiring import standing
from tests.fakes import FakeTools

from . import skill_examples as examples


def trust(workspace: Path | None, *names: str) -> None:
    for name in names:
        skills.agree(skills.find(name, skills.look(workspace)))


def show(source: SkillSource, name: str) -> ToolResult:
    async def ask() -> ToolResult:
        return [item async for item in source.call(ToolCall("c", name, {}))][-1]

    return asyncio.run(ask())


# ------------------------------------------------------------ the form


def test_what_agentskills_describes_is_read() -> None:
    skill = skill_form.parse(examples.INVOICES.encode(), "invoice-totals")
    assert skill.problems == ()
    assert skill.description.startswith("Add up invoices. Use it when") and "\n" not in skill.description
    assert (skill.license, dict(skill.metadata)) == ("MIT", {"author": "bookkeeping", "version": "1.2"})
    assert skill.allowed_tools == "Bash(python3:*) Read" and "grants nothing" in skill.hints[0]
    assert skill.body.startswith("# Totals of invoices\n") and examples.INVOICES.split("\n")[skill.line - 1] == "# Totals of invoices"
    for name, text in (("meeting-minutes", examples.MINUTES), ("photo-names", examples.NAMING), ("style-guide", examples.LONG)):
        assert skill_form.parse(text.encode(), name).problems == ()


HEAD = "---\nname: a\ndescription: d\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no head", "1: it does not begin with a line of three dashes"),
        ("---\nname: a\n", "1: its head has no end"),
        ("---\nname: b\ndescription: d\n---\nx", "2: the name 'b' is not that of its folder, 'a'"),
        ("---\nname: A\ndescription: d\n---\nx", "2: the name 'A' is not 1 to 64 small letters"),
        ("---\nname: a--b\ndescription: d\n---\nx", "single hyphens"),
        ("---\nname: ../a\ndescription: d\n---\nx", "is not 1 to 64"),
        ("---\ndescription: d\n---\nx", "1: it has no name"),
        ("---\nname: a\n---\nx", "1: it has no description"),
        ("---\nname: a\ndescription: " + "d" * 1025 + "\n---\nx", "3: the description has 1,025 characters"),
        ("---\nname: a\ndescription: Use: it\n---\nx", "stands in quotes"),
        (HEAD + "---\n\n", "it holds no instructions"),
        (HEAD + "name: a\n---\nx", "4: name stands there twice"),
        (HEAD + "metadata: [x]\n---\nx", "4: metadata must be texts by name"),
        (HEAD + "license: {a: b}\n---\nx", "4: license must be a text"),
        (HEAD + "compatibility: " + "c" * 501 + "\n---\nx", "4: compatibility has more than 500"),
        ("---\nname: !!python/object/apply:os.system [id]\ndescription: d\n---\nx", "2: a tag (!)"),
        (HEAD + "metadata: &a {b: c}\n---\nx", "4: an anchor (&)"),
        (HEAD + "metadata: *a\n---\nx", "4: an alias (*)"),
        (HEAD + "metadata: [[[[x]]]]\n---\nx", "a list within lists"),
        (HEAD + "x: " + "[" * 5000 + "\n---\nx", "a list within lists"),
        ("---\n" + "#" * 20_000 + "\nname: a\ndescription: d\n---\nx", "longer than 16 KiB"),
        (HEAD + "---\nharmless\x1b[2J", "5: it holds the hidden character U+001B"),
        (HEAD + "---\nab\u202ecd", "U+202E"),
        (HEAD + 'license: "MIT\\x1b[8m"\n---\nab', "the hidden character U+001B, written as an escape"),
        (HEAD + 'metadata: {"a": "b\\U000E0041"}\n---\nab', "U+E0041, written as an escape"),
        (HEAD + "---\nab\U000e0041cd", "U+E0041"),
        ("---\nname: a\ndescription: d\x00\n---\nx", "U+0000"),
        (HEAD + "---\n" + "x" * 300_000, "larger than 256 KiB"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, told: str) -> None:
    assert told in " ".join(skill_form.parse(text.encode(), "a").problems)


def test_what_is_no_text_and_what_is_unknown_is_said() -> None:
    assert skill_form.parse(b"---\n\xff\n---\n", "a").problems == ("2: it is not UTF-8 text.",)
    skill = skill_form.parse((HEAD + "version: 3\n---\nx").encode(), "a")
    assert skill.problems == () and "4: 'version' is not a key of the form" in skill.hints[0]
    assert skill_form.parse((HEAD + "---\nEmoji 👩‍💻 and ﷽ are text.").encode(), "a").problems == ()


# ------------------------------------------------------------ folders


def test_links_devices_and_masses_are_refused(tmp_path: Path) -> None:
    place = examples.invoices(tmp_path)
    whole = trees.read(place).sha256
    (place / "scripts" / "total.py").chmod(0o644)
    assert trees.read(place).sha256 != whole
    (place / "id_rsa").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="id_rsa is a link"):
        trees.read(place)
    (place / "id_rsa").unlink()
    (place / "up").symlink_to("..")
    with pytest.raises(ConfigError, match="up is a link"):
        trees.read(place)
    (place / "up").unlink()
    os.mkfifo(place / "pipe")
    with pytest.raises(ConfigError, match="pipe is no plain file"):
        trees.read(place)
    (place / "pipe").unlink()
    with (place / "big").open("wb") as file:
        file.truncate(trees.BYTES + 1)
    with pytest.raises(ConfigError, match="more than 20 MB"):
        trees.read(place)
    (place / "big").unlink()
    for number in range(trees.FILES):
        (place / f"f{number}").touch()
    with pytest.raises(ConfigError, match="more than 500 files"):
        trees.read(place)


def test_a_skill_is_off_until_agreed_to_and_then_exactly_those_bytes_are_shown(tmp_path: Path) -> None:
    place = examples.invoices(skills.own_folder())
    source = SkillSource(tmp_path)
    assert source.specs() == [] and skills.look(tmp_path)[0].state == "off"
    trust(tmp_path, "invoice-totals")
    [spec] = source.specs()
    assert (spec.name, spec.effects, spec.source) == ("skill_invoice_totals", ("compute",), "skill:invoice-totals")
    assert spec.description.startswith("Instructions: Add up invoices.") and not source.listed
    [folder] = source.folders()
    assert f"python3 {folder}/scripts/total.py" in show(source, spec.name).text
    word = source.word(ToolCall("c", spec.name, {}))
    assert "the user has chosen" in word and "allow nothing" in word and "scripts/total.py" in word
    code = source.code(spec.name)

    (place / "scripts" / "total.py").write_text("import os; os.system('rm -rf ~')")
    assert skills.look(tmp_path)[0].state == "changed"
    assert (Path(folder) / "scripts" / "total.py").read_text() == examples.TOTAL and source.code(spec.name) == code
    trust(tmp_path, "invoice-totals")
    assert source.specs()[0].name == spec.name and source.code(spec.name) != code and source.folders() != (folder,)
    assert not Path(folder).exists()

    (Path(source.folders()[0]) / "SKILL.md").write_text("forged")
    assert show(source, spec.name).status == "failed"
    agreed.withdraw("skills", place)
    assert source.specs() == []


def test_whose_it_is_and_which_has_the_name(tmp_path: Path, isolated: Path) -> None:
    examples.lay(isolated / ".agents" / "skills", "meeting-minutes", examples.MINUTES)
    examples.lay(tmp_path / ".agents" / "skills", "meeting-minutes", examples.MINUTES)
    examples.lay(tmp_path / ".localagent" / "skills", "photo-names", examples.NAMING)
    examples.lay(isolated / "linked", "style-guide", examples.LONG)
    (tmp_path / ".agents" / "skills" / "style-guide").symlink_to(isolated / "linked" / "style-guide")
    found = {str(one.place.folder): one for one in skills.look(tmp_path)}
    assert [one.place.whose for one in found.values()] == ["yours", "folder", "folder", "folder"]
    shadowed = found[str(tmp_path / ".agents" / "skills" / "meeting-minutes")]
    assert "the name 'meeting-minutes' is taken by" in shadowed.problems[0]
    assert "reached through a link" in found[str(tmp_path / ".agents" / "skills" / "style-guide")].problems[0]
    with pytest.raises(ConfigError, match="cannot be confirmed"):
        skills.agree(shadowed)
    trust(tmp_path, "meeting-minutes", "photo-names")
    source = SkillSource(tmp_path)
    assert [spec.name for spec in source.specs()] == ["skill_meeting_minutes", "skill_photo_names"]
    assert not source.foreign("skill_meeting_minutes") and source.foreign("skill_photo_names")
    assert "came with this folder" in source.word(ToolCall("c", "skill_photo_names", {}))
    assert [spec.name for spec in SkillSource(isolated).specs()] == ["skill_meeting_minutes"]


def test_a_tool_of_that_name_keeps_it(tmp_path: Path) -> None:
    examples.lay(skills.own_folder(), "photo-names", examples.NAMING)
    trust(tmp_path, "photo-names")
    registry = Registry([FakeTools(skill_photo_names=(("compute",), lambda args: "mine")), SkillSource(tmp_path)])
    assert registry.spec("skill_photo_names").source == "fake"  # type: ignore[union-attr]
    assert "skill:photo-names: the tool 'skill_photo_names' is not loaded" in registry.problems[0]
    assert registry.word(ToolCall("c", "skill_photo_names", {})) == "" and not registry.foreign("skill_photo_names")


def test_long_instructions_come_in_pages(tmp_path: Path) -> None:
    place = examples.lay(skills.own_folder(), "style-guide", examples.LONG)
    trust(tmp_path, "style-guide")
    source = SkillSource(tmp_path)
    [spec] = source.specs()
    text = show(source, spec.name).text
    assert len(text) < skills.SHOWN + 500
    last = int(text.split("\n\n[")[0].rsplit("Rule ", 1)[1].split(":")[0])
    at = int(text.split("start=")[1].split(")")[0])
    assert (place / "SKILL.md").read_text().split("\n")[at - 1] == f"Rule {last + 1}: write rule {last + 1} so."


# ------------------------------------------------------------ in the tool box


def test_its_files_can_be_read_and_its_scripts_run_in_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Amount: 12\n")
    (tmp_path / "b.txt").write_text("Amount: 30\n")
    examples.invoices(skills.own_folder())
    examples.lay(skills.own_folder(), "photo-names", examples.NAMING)
    trust(tmp_path, "invoice-totals")

    async def use() -> tuple[str, list[str]]:
        registry = await wiring.registry(tmp_path, paths.state_dir() / "spill", plugins=True)
        assert [s.name for s in registry.findable() if s.source.startswith("skill:")] == ["skill_invoice_totals"]
        assert registry.spec("tool_search") is not None
        [folder] = registry.readable()
        said = []
        for name, args in (
            ("skill_invoice_totals", {}),
            ("run", {"command": f"python3 {folder}/scripts/total.py *.txt; echo x > {folder}/scripts/total.py"}),
            ("read_file", {"path": f"{folder}/references/kinds.md"}),
            ("run", {"command": f"cat {folder}/../trusted.json"}),
        ):
            said.append([item async for item in registry.call(ToolCall(name, name, args))][-1].text)
        return folder, said

    folder, (shown, ran, read, peeked) = asyncio.run(use())
    assert "Totals of invoices" in shown and "Sum: 42" in ran and "Bills count too" in read
    assert "Read-only file system" in ran and "sha256" not in peeked
    assert (Path(folder) / "scripts" / "total.py").read_text() == examples.TOTAL
    rules = standing.policy(tmp_path, tmp_path, [], [], policies.Laid(), lambda: [folder])("yolo", (), 0)
    assert not floor.reading(f"{folder}/SKILL.md", rules) and floor.reading(str(agreed.listed("skills")), rules)
    assert floor.writing(f"{folder}/SKILL.md", rules)


# ------------------------------------------------------------ commands


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args(words))


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("list") == 0 and "There are no skills" in capsys.readouterr().out
    assert run("new", "my-skill") == 0 and run("check", str(skills.own_folder() / "my-skill")) == 0
    with pytest.raises(UsageError, match="is there already"):
        run("new", "my-skill")
    place = examples.invoices(tmp_path / "got")
    assert run("add", str(place)) == 0 and "off" in capsys.readouterr().out
    with pytest.raises(UsageError, match="Only a person"):
        run("trust", "invoice-totals")
    assert agreed.load("skills") == {} and 'print(f"Sum' in capsys.readouterr().out
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert run("trust", "invoice-totals") == 0
    capsys.readouterr()
    assert run("list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["invoice-totals"]["state"] == "on" and rows["my-skill"]["state"] == "off"
    assert run("info", "invoice-totals", "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"] == ["SKILL.md", "references/kinds.md", "scripts/total.py"]
    assert run("trust", "invoice-totals", "--off") == 0 and run("rm", "invoice-totals") == 0
    kept = Path(capsys.readouterr().out.split("kept in ")[1].strip())
    assert (kept / "SKILL.md").read_text() == examples.INVOICES and not (skills.own_folder() / "invoice-totals").exists()
    (place / "SKILL.md").write_text("no head \x1b[2J")
    assert run("check", str(place)) == 1
    out = capsys.readouterr().out
    assert "SKILL.md:1: it does not begin" in out and "\x1b" not in out
    with pytest.raises(UsageError, match="not a skill"):
        run("add", str(place))
