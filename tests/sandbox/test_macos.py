"""The profile of macOS, as text: compared whole, and read by the rule that the last match holds."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path

import pytest

from localagent.errors import SandboxUnavailable
from localagent.sandbox import linux, macos
from localagent.sandbox.linux import Host
from localagent.sandbox.profile import Profile

UPDATE = bool(os.environ.get("LOCALAGENT_UPDATE"))
GOLDEN = Path(__file__).with_name("seatbelt.sb")
HOME = "/Users/ann"
HOST = Host(HOME, ("/opt/homebrew", "/Users/ann/.local/lib"), ("/Users/ann/Library/Application Support/localagent",))
SECRETS = ("/Users/ann/.ssh", "/Users/ann/Library/Keychains", "/Users/ann/work/.env.secret")
TEMPORARY = "/private/var/folders/x/localagent-call-1"
PROFILE = Profile(readable=("/Users/ann/Documents",), writable=('/Users/ann/work', '/Users/ann/a "b" (c)'))


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of a Mac that is not here."""
    monkeypatch.setattr(linux, "secrets_of", lambda home: SECRETS)
    monkeypatch.setattr(linux, "openable", lambda path, secrets: path if not linux.under(path, secrets) else "")
    held = [("part", 2), ("part/.git", 2), ("part/.git/hooks", 1)]
    monkeypatch.setattr(linux, "held_rules", lambda root, names, closed=(): held if root.endswith("work") else [])


def test_the_text_is_as_it_was_agreed() -> None:
    made = macos.text(PROFILE, HOST, TEMPORARY)
    if UPDATE:
        GOLDEN.write_text(made)
    assert made == GOLDEN.read_text()


def allowed(text: str, operation: str, path: str) -> bool:
    """What Seatbelt would say: the last rule that names this operation and this path."""
    verdict = False
    for line in text.splitlines():
        match = re.match(r"\((allow|deny) ([a-z*\- ]+?)(?: (\(.*\)|#.*))?\)$", line)
        if match is None or not any(fnmatch.fnmatch(operation, name) for name in match[2].split()):
            verdict = False if line == "(deny default)" else verdict
            continue
        filters = match[3] or ""
        strings = r'"((?:[^"\\]|\\.)*)"'
        hits = [path == _plain(p) for p in re.findall(rf"\(literal {strings}\)", filters)]
        hits += [path == _plain(p) or path.startswith(_plain(p) + "/") for p in re.findall(rf"\(subpath {strings}\)", filters)]
        hits += [bool(re.search(p.replace('\\"', '"'), path)) for p in re.findall(rf"\(regex #{strings}\)", filters)]
        if any(hits) or not filters:
            verdict = match[1] == "allow"
    return verdict


def _plain(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")


READ = {
    "/usr/lib/libSystem.dylib": True,
    "/Users/ann/Documents/letter": True,
    "/Users/ann/work/x": True,
    "/Users/ann/diary": False,
    "/Users/bob/diary": False,
    "/Users/ann/.ssh/id_rsa": False,
    "/Users/ann/Library/Keychains/login": False,
    "/Users/ann/work/.env.secret": False,
    "/Users/ann/Library/Application Support/localagent/policy.yaml": False,
    "/Volumes/backup/x": False,
    "/private/tmp/com.apple.launchd.x/Listeners": False,
    f"{TEMPORARY}/x": True,
}
WRITE = {
    "/Users/ann/work/x": True,
    '/Users/ann/a "b" (c)/x': True,
    "/Users/ann/work/.git/index": True,
    "/Users/ann/work/.git/hooks/post-checkout": False,
    "/Users/ann/work/.git/hooks": False,
    "/Users/ann/work/new/.git/hooks/post-checkout": False,
    "/Users/ann/work/.git/config": False,
    "/Users/ann/work/.git/modules/a/hooks/x": False,
    "/Users/ann/work/.vscode/tasks.json": False,
    "/Users/ann/work/deep/er/.envrc": False,
    "/Users/ann/work/.envrc.example": True,
    "/Users/ann/work/.VSCode/tasks.json": False,
    "/Users/ann/work/.GIT/Hooks/post-checkout": False,
    '/Users/ann/a "b" (c)/.mcp.json': False,
    "/Users/ann/.bashrc": False,
    "/Users/ann/Documents/x": False,
    "/etc/hosts": False,
    "/dev/disk0": False,
}
UNLINK = {
    "/Users/ann/work/x": True,
    "/Users/ann/work": False,
    "/Users/ann/work/.git": False,
    "/Users/ann/work/part": False,
    "/Users/ann/work/part/.git": False,
    "/Users/ann/work/new/.git": False,
}


@pytest.mark.parametrize(
    ("operation", "path", "want"),
    [
        *(("file-read-data", *pair) for pair in READ.items()),
        *(("file-write-create", *pair) for pair in WRITE.items()),
        *(("file-write-unlink", *pair) for pair in UNLINK.items()),
    ],
)
def test_what_it_permits(operation: str, path: str, want: bool) -> None:
    assert allowed(macos.text(PROFILE, HOST, TEMPORARY), operation, path) is want


def test_the_network_is_off_or_the_proxy_alone() -> None:
    assert "network" not in macos.text(PROFILE, HOST, TEMPORARY)
    lines = [line for line in macos.text(PROFILE, HOST, TEMPORARY, 3128).splitlines() if "network" in line]
    assert lines == ['(allow network-outbound (remote ip "localhost:3128"))']


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(SandboxUnavailable, match="whole disk"):
        macos.text(Profile(writable=("/",)), HOST, TEMPORARY)
    for name in ("/Users/ann/a\nb", "/Users/ann/a\0b"):
        with pytest.raises(SandboxUnavailable, match="cannot be named"):
            macos.text(Profile(writable=(name,)), HOST, TEMPORARY)
    quoted = macos.text(Profile(writable=('/Users/ann/x") (allow default',)), HOST, TEMPORARY)
    assert not [line for line in quoted.splitlines() if line.startswith("(allow default")]
