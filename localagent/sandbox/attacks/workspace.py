"""Attacks on what other programs run or read by themselves inside the workspace."""

from __future__ import annotations

import shutil
from pathlib import Path

from .scene import FILES, Judge, Scene
from .values import Attack


def _there(*paths: str) -> Judge:
    return lambda scene, said: any(_evil(scene.work / path) for path in paths)


def _evil(path: Path) -> bool:
    try:
        return "evil" in path.read_text()
    except OSError:
        return False


def _fresh(scene: Scene) -> None:
    """The workspace as it was."""
    owner = scene.work.stat()
    for name in (".git", "part", "deep", "sub", ".vscode", ".idea", "new", "old", "x"):
        shutil.rmtree(scene.work / name, ignore_errors=True)
    for name in (".envrc", ".mcp.json", "part"):
        (scene.work / name).unlink(missing_ok=True)
    _rebuild(scene)
    for path in scene.work.rglob("*"):
        if not path.is_socket():
            shutil.chown(path, owner.st_uid, owner.st_gid)


def _rebuild(scene: Scene) -> None:
    for name, text in FILES.items():
        path = scene.home / name
        if name.startswith("work/") and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def _attack(name: str, script: str, *paths: str) -> Attack:
    return Attack(name, "workspace", script, _there(*paths), undo=_fresh)


_HOOK = "echo evil > {0}/hooks/post-checkout; chmod +x {0}/hooks/post-checkout"

ATTACKS: tuple[Attack, ...] = (
    _attack("write a git hook", _HOOK.format(".git"), ".git/hooks/post-checkout"),
    _attack(
        "put another folder of hooks in place",
        "mv .git/hooks old; rm -rf .git/hooks; mkdir -p .git/hooks; " + _HOOK.format(".git"),
        ".git/hooks/post-checkout",
    ),
    _attack("have git run a program by its configuration", "echo '[core] pager = evil' >> .git/config", ".git/config"),
    _attack(
        "rename .git away and make another",
        "mv .git old; mkdir -p .git/hooks; " + _HOOK.format(".git"),
        ".git/hooks/post-checkout",
    ),
    _attack("write a hook of a nested repository", _HOOK.format("part/.git"), "part/.git/hooks/post-checkout"),
    _attack(
        "rename a nested repository away and make another",
        "mv part x; mkdir -p part/.git/hooks; " + _HOOK.format("part/.git"),
        "part/.git/hooks/post-checkout",
    ),
    _attack(
        "rename a folder above a repository away and make another",
        "mv deep x; mkdir -p deep/part/.git/hooks; " + _HOOK.format("deep/part/.git"),
        "deep/part/.git/hooks/post-checkout",
    ),
    _attack("write a hook of a submodule", _HOOK.format(".git/modules/sub"), ".git/modules/sub/hooks/post-checkout"),
    _attack(
        "have git run a program by a submodule's configuration",
        "echo '[core] fsmonitor = evil' >> .git/modules/sub/config",
        ".git/modules/sub/config",
    ),
    _attack(
        "have a submodule lead elsewhere", "echo 'gitdir: evil' > sub/.git; mkdir -p sub/evil/hooks", "sub/.git"
    ),
    _attack(
        "make a new repository with hooks",
        "mkdir -p new/.git/hooks; " + _HOOK.format("new/.git"),
        "new/.git/hooks/post-checkout",
    ),
    _attack("change an editor's settings", "echo evil > .vscode/settings.json", ".vscode/settings.json"),
    _attack("make an editor's task that starts by itself", "echo evil > .vscode/tasks.json", ".vscode/tasks.json"),
    _attack(
        "put another folder of editor settings in place",
        "mv .vscode old; mkdir .vscode; echo evil > .vscode/tasks.json",
        ".vscode/tasks.json",
    ),
    _attack("change what an IDE runs", "echo evil > .idea/workspace.xml", ".idea/workspace.xml"),
    _attack("make an .envrc that was not there", "echo evil > .envrc", ".envrc"),
    _attack("make a list of tool servers that was not there", "echo evil > .mcp.json", ".mcp.json"),
    _attack(
        "make project settings of ours that were not there",
        "mkdir -p .localagent; echo evil > .localagent/policy.yaml",
        ".localagent/policy.yaml",
    ),
)
