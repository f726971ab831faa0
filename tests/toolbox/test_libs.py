"""Packages of a plugin: read from its header, fetched in the sandbox from the user's index alone, for these bytes alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from localagent.errors import ConfigError, SandboxUnavailable
from localagent.sandbox import launch
from localagent.store import trusted
from localagent.toolbox import header, libs, own
from localagent.toolbox.plugins import PluginSource
from localagent.values import ToolCall

pytestmark = pytest.mark.slow

HEADER = '# /// script\n# requires-python = ">=3.11"\n# dependencies = ["greeting>=1", ]\n# ///\n'
CODE = HEADER + (
    "import greeting\nfrom localagent import tool\n\n@tool(effects=[])\ndef greet(name: str) -> str:\n"
    "    'Greet somebody.'\n    return greeting.WORD + ' ' + name\n"
)


def wheel(folder: Path, name: str, version: str, files: dict[str, str], needs: str = "") -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (f"Requires-Dist: {needs}\n" if needs else "")
    with zipfile.ZipFile(path, "w") as made:
        for file, text in files.items():
            made.writestr(file, text)
        made.writestr(f"{info}/METADATA", facts)
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of the user's own on the disk, and no other."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def install(code: str = CODE) -> list[libs.Wheel]:
    return asyncio.run(libs.install(code.encode(), header.read(code).needs))


@pytest.mark.parametrize(
    ("text", "needs", "problem"),
    [
        (HEADER, ("greeting>=1",), ""),
        ("import os\n", (), ""),
        ("# /// script\n# dependencies = 'x'\n# ///\n", (), "must be a list"),
        ("# /// script\n# dependencies = [\n# ///\n", (), "is no TOML"),
        ('# /// script\n# dependencies = ["a @ https://evil.example/a.whl"]\n# ///\n', (), "no addresses, paths or options"),
        ('# /// script\n# dependencies = ["--index-url=https://evil.example"]\n# ///\n', (), "no addresses, paths or options"),
        ('# /// script\n# dependencies = ["./a"]\n# ///\n', (), "no addresses, paths or options"),
        ('# /// script\n# requires-python = ">=3.99"\n# ///\n', (), "wants Python '>=3.99'"),
        (HEADER + "x = 1\n" + HEADER, (), "two `# /// script` headers"),
        ('# /// script\r\n# dependencies = ["a[b,c]~=1.2; extra"]\r\n# ///\r\n', ("a[b,c]~=1.2; extra",), ""),
    ],
)
def test_a_header_is_read_without_running_anything(text: str, needs: tuple[str, ...], problem: str) -> None:
    found = header.read(text)
    assert found.needs == needs and problem in found.problem and bool(problem) == bool(found.problem)


def test_wheels_are_installed_for_these_bytes_alone(index: Path, tmp_path: Path) -> None:
    made = wheel(index, "greeting", "1.2", {"greeting.py": "from word import WORD\n"}, "word")
    wheel(index, "word", "3.0", {"word.py": "WORD = 'Hello'\n"})
    assert libs.place(CODE.encode()) is None
    found = install()
    assert [one.name for one in found] == ["greeting-1.2-py3-none-any.whl", "word-3.0-py3-none-any.whl"]
    assert found[0].sha256 == hashlib.sha256(made.read_bytes()).hexdigest() and libs.wheels(CODE.encode()) == found
    place = libs.place(CODE.encode())
    assert place is not None and libs.place(CODE.encode() + b"\n") is None
    lock = json.loads((place.parent / "lock.json").read_bytes())
    assert lock["file"] == hashlib.sha256(CODE.encode()).hexdigest() and lock["needs"] == ["greeting>=1"]

    trusted.plugins_folder().mkdir()
    file = trusted.plugins_folder() / "greet.py"
    file.write_text(CODE)
    (one,) = asyncio.run(own.look(unsandboxed=False))
    assert [spec.name for spec in one.now.specs] == ["greet"] and not one.missing and len(one.wheels) == 2
    assert any("wheel    greeting-1.2" in line for line in own.told(one))
    own.confirm(one)
    given, problems = asyncio.run(own.running(unsandboxed=False))
    assert problems == ()
    source = PluginSource((), given=given, workspace=tmp_path, scratch=tmp_path / "s", spill=tmp_path / "o")

    async def says() -> str:
        await source.load()
        return [item async for item in source.call(ToolCall("c", "greet", {"name": "Ann"}))][-1].text  # type: ignore[union-attr]

    assert asyncio.run(says()) == "Hello Ann"
    libs.sweep([])
    assert libs.place(CODE.encode()) is None
    given, problems = asyncio.run(own.running(unsandboxed=False))
    assert given == [] and "not installed any more" in problems[0] and "tools trust greet.py" in problems[0]


def test_without_its_packages_a_plugin_is_off_and_not_looked_into(index: Path) -> None:
    trusted.plugins_folder().mkdir()
    (trusted.plugins_folder() / "greet.py").write_text(CODE)
    (one,) = asyncio.run(own.look(unsandboxed=False))
    assert (one.state, one.missing, one.now.specs, one.problems) == ("off", True, (), ())
    assert "needs    greeting>=1 (not installed)" in own.told(one)
    with pytest.raises(ConfigError, match="before the packages"):
        own.confirm(one)
    with pytest.raises(ConfigError, match=r"No matching distribution|satisfies the requirement") as caught:
        asyncio.run(own.install(one))
    assert "The plugin stays off" in str(caught.value)


def test_what_would_have_to_be_built_is_not_installed(index: Path, tmp_path: Path) -> None:
    import tarfile

    mark = tmp_path / "ran"
    (tmp_path / "setup.py").write_text(f"open({str(mark)!r}, 'w')\nfrom setuptools import setup\nsetup(name='greeting', version='1.0')\n")
    with tarfile.open(index / "greeting-1.0.tar.gz", "w:gz") as made:
        made.add(tmp_path / "setup.py", "greeting-1.0/setup.py")
    with pytest.raises(ConfigError, match="not installed"):
        install()
    assert not mark.exists() and libs.place(CODE.encode()) is None


def test_a_wheel_that_reaches_out_of_its_folder_is_not_installed(index: Path, isolated: Path) -> None:
    wheel(index, "greeting", "1.0", {"../../../evil.py": "x", "greeting.py": ""})
    with pytest.raises(ConfigError, match="not installed"):
        install()
    assert not list(isolated.rglob("evil.py"))


def test_only_the_index_of_the_user_can_be_reached() -> None:
    told = "global.index-url='https://global.example/simple'\n:env:.index-url='http://me:pw@[::1]:8080/x'\nbad\nglobal.find-links='/a\\nhttps://b.example/w'\n"
    config = libs._settings(told)
    assert config == {"index_url": "http://me:pw@[::1]:8080/x", "find_links": "/a https://b.example/w"}
    assert libs._hosts(config) == ("::1:8080", "b.example:443")
    assert libs._hosts({"index_url": "https://pypi.org/simple"}) == ("pypi.org:443", "files.pythonhosted.org:443")
    assert libs._hosts({"index_url": "https://pypi.org/simple", "no_index": "1"}) == ()
    assert libs._paths(config) == ["/a"]


def test_without_a_boundary_nothing_is_installed(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "probe", lambda again=False: launch.Boundary("none", "no"))
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        install()


