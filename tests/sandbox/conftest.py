"""A home with secrets and a workspace, and attacks there as two users."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.sandbox import launch, linux
from localagent.sandbox.profile import Limits, Profile
from tests.sandbox.support import Place, ran


@pytest.fixture(params=["ourselves", "nobody"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Everything as the user who runs the tests, and (where that is root) as nobody too."""
    other = request.param == "nobody"
    if other and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    assert launch.probe().name == "bubblewrap", "these tests need bubblewrap: apt-get install bubblewrap"
    home = Path(tempfile.mkdtemp(prefix="home-", dir="/var/tmp"))
    home.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    for folder in (".ssh", ".aws", ".config/localagent", "Documents", "work/.git/hooks"):
        (home / folder).mkdir(parents=True)
    (home / ".ssh" / "id_rsa").write_text("PRIVATE KEY")
    (home / ".aws" / "credentials").write_text("AWS KEY")
    (home / ".config" / "localagent" / "policy.yaml").write_text("OUR POLICY")
    (home / "Documents" / "diary").write_text("DEAR DIARY")
    (home / ".bashrc").write_text("# mine\n")
    (home / "work" / "file").write_text("work\n")
    (home / "work" / ".git" / "config").write_text("[core]\n")
    monkeypatch.setenv("LOCALAGENT_CONFIG_DIR", str(home / ".config" / "localagent"))
    if other:
        # What belongs to the one who runs the tests, nobody may not even look at.
        monkeypatch.setattr(linux, "_tool_paths", lambda: ())
        for path in (home, *home.rglob("*")):
            os.chown(path, 65534, 65534)

    def run(script: str, *, sandboxed: bool = True, profile: Profile | None = None, env=None) -> tuple[int, str]:
        profile = profile or Profile(writable=(str(home / "work"),), limits=Limits(wall_s=15))
        argv = ["/bin/bash", "-c", f"echo RAN; {script}"]
        env = launch.clean_env() | {"PATH": "/usr/bin:/bin"} | (env or {})
        if not other:
            done = asyncio.run(launch.run(argv, profile=profile if sandboxed else None, cwd=home / "work", env=env))
            return done.code, ran(done.output)
        with linux.prepare(profile, argv, cwd=str(home / "work"), program="/usr/bin/bwrap") as command:
            inner = command.argv if sandboxed else argv
            result = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *inner],
                pass_fds=command.fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=home / "work",
                env=env,
                timeout=20,
                check=False,
            )
        return result.returncode, ran(result.stdout)

    yield Place(home, home / "work", run)
    shutil.rmtree(home)
