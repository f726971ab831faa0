"""What others would run by themselves is put out of the way when a program has made it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from localagent.sandbox import launch
from localagent.sandbox.holding import SUFFIX, Watched
from localagent.sandbox.profile import Profile

MAKES = """
mkdir -p .vscode new/.git/hooks deep/er ordinary
echo evil > .vscode/tasks.json; echo evil > deep/er/.envrc; echo evil > .mcp.json
echo evil > new/.git/hooks/post-checkout; echo evil > new/.git/config; echo fine > new/.git/hooks/a.sample
echo fine > ordinary/file; ln -s /etc/passwd .zshrc
"""


def test_what_is_new_is_held_back_and_kept(tmp_path: Path) -> None:
    (tmp_path / ".envrc").write_text("mine")
    (tmp_path / ".idea").mkdir()

    async def main() -> tuple[str, ...]:
        process = await launch.start(["/bin/bash", "-c", MAKES], profile=Profile(writable=(str(tmp_path),)), cwd=tmp_path)
        await process.wait()
        return process.held_back

    held = {str(Path(path).relative_to(tmp_path)) for path in asyncio.run(main())}
    assert held == {
        *(".vscode", "deep/er/.envrc", ".mcp.json", ".zshrc"),
        *("new/.git/hooks/post-checkout", "new/.git/config"),
    }
    for path in held:
        assert not (tmp_path / path).is_symlink() and not (tmp_path / path).exists()
        assert (tmp_path / (path + SUFFIX)).is_symlink() or (tmp_path / (path + SUFFIX)).exists()
    assert (tmp_path / (".vscode" + SUFFIX) / "tasks.json").read_text() == "evil\n"
    assert (tmp_path / ".envrc").read_text() == "mine" and (tmp_path / ".idea").is_dir()
    assert (tmp_path / "ordinary" / "file").exists() and (tmp_path / "new/.git/hooks/a.sample").exists()


def test_a_second_one_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    for text in ("one", "two"):
        watched = Watched([str(tmp_path)])
        (tmp_path / ".envrc").write_text(text)
        assert watched.hold_back() == (str(tmp_path / ".envrc"),)
    assert [(tmp_path / f".envrc{SUFFIX}{n}").read_text() for n in ("", "-2")] == ["one", "two"]


def test_our_own_folders_are_not_looked_through(isolated: Path) -> None:
    scratch = isolated / "cache" / "scratch"
    scratch.mkdir(parents=True)
    watched = Watched([str(scratch)])
    (scratch / ".envrc").write_text("judged elsewhere")
    assert watched.hold_back() == () and (scratch / ".envrc").exists()
