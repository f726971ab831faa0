"""Plugins of projects and of installed packages: found without importing them, on only byte for byte."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from localagent.store import trusted, trusted_folders
from localagent.toolbox import own, places
from localagent.toolbox.plugins import PluginSource
from localagent.values import ToolCall

from .test_own import HELLO


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with an entry point; to import it ends the process."""
    site = tmp_path / "site"
    folder = site / "greetings"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("import sys\nif not sys.flags.isolated:\n    raise SystemExit('imported by the host')\n")
    (folder / "inner" / "__init__.py").write_text("")
    (folder / "words.py").write_text("WORD = 'Hello'\n")
    text = HELLO.format("{}").replace('"{} " + name', "WORD + ' ' + name")
    (folder / "inner" / "tools.py").write_text("from ..words import WORD\n" + text)
    facts = site / "greetings-1.5.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.5\n")
    (facts / "entry_points.txt").write_text("[localagent.tools]\nhello = greetings.inner.tools\nlost = greetings.nowhere:x\n")
    monkeypatch.syspath_prepend(str(site))
    return folder


def look(workspace: Path | None = None) -> list[own.Own]:
    return asyncio.run(own.look((), workspace, unsandboxed=False))


def says(tmp_path: Path) -> str:
    async def ask() -> str:
        given, problems = await own.running(unsandboxed=False)
        assert not problems, problems
        source = PluginSource((), given=given, workspace=tmp_path, scratch=tmp_path / "s", spill=tmp_path / "o")
        await source.load()
        return [item async for item in source.call(ToolCall("c", "hello", {"name": "Ann"}))][-1].text  # type: ignore[union-attr]

    return asyncio.run(ask())


def test_a_package_is_found_by_its_entry_point_and_sealed(package: Path, tmp_path: Path) -> None:
    one, lost = look()
    assert one.file == package / "inner" / "tools.py" and one.place.label == "the package greetings 1.5"
    assert [spec.name for spec in one.now.specs] == ["hello"] and not one.problems and "greetings" not in sys.modules
    assert "no Python file there" in lost.problems[0] and "Install it again" in lost.problems[0]
    assert own.find("greetings.inner.tools", [one, lost]) is one
    own.confirm(one)
    assert look()[0].state == "on" and says(tmp_path) == "Hello Ann"

    # Its other files are code, too, and there is no earlier copy of them that could run.
    (package / "words.py").write_text("WORD = 'Evil'\n")
    one = look()[0]
    assert one.state == "changed" and one.running is None
    assert any("other files of its package have changed" in line for line in own.told(one))
    given, problems = asyncio.run(own.running(unsandboxed=False))
    assert given == [] and "have changed, so it is off" in problems[0] and "tools trust greetings.inner.tools" in problems[0]
    own.confirm(one)
    assert says(tmp_path) == "Evil Ann"


def test_a_project_is_not_looked_into_before_it_is_trusted(tmp_path: Path) -> None:
    folder = places.project_folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "hello.py").write_text(HELLO.format("Hello"))
    assert look(tmp_path) == [] and places.untrusted(tmp_path) == [folder / "hello.py"]
    trusted_folders.trust(tmp_path)
    (one,) = look(tmp_path)
    assert one.state == "off" and one.place.origin == "project" and places.untrusted(tmp_path) == []
    own.confirm(one)
    given, _ = asyncio.run(own.running(tmp_path, unsandboxed=False))
    assert [spec.name for spec in given[0].specs] == ["hello"]
    # Elsewhere, and below, it is another folder.
    assert asyncio.run(own.running(folder, unsandboxed=False)) == ([], ()) and not trusted_folders.trusts(folder)
    assert trusted_folders.withdraw(tmp_path) and look(tmp_path) == []
    assert asyncio.run(own.running(tmp_path, unsandboxed=False)) == ([], ())


def test_of_two_with_one_name_the_users_own_stays(tmp_path: Path) -> None:
    trusted.plugins_folder().mkdir()
    folder = places.project_folder(tmp_path)
    folder.mkdir(parents=True)
    for place in (trusted.plugins_folder(), folder):
        (place / "hello.py").write_text(HELLO.format("Hello"))
    trusted_folders.trust(tmp_path)
    first, second = look(tmp_path)
    assert not first.problems and "the name 'hello' is taken by" in second.problems[0]


def test_a_damaged_list_of_folders_trusts_none(tmp_path: Path) -> None:
    trusted_folders.trust(tmp_path)
    trusted_folders._path().write_text("{")
    assert not trusted_folders.trusts(tmp_path)
