"""Attacks from inside the real sandbox, each judged from outside and paired with the same thing
done without it, so that a green test cannot come from a broken attack."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.errors import SandboxUnavailable
from localagent.sandbox import hints, linux
from localagent.sandbox.linux import Host
from localagent.sandbox.profile import Limits, Profile
from localagent.store.secrets import SECRET_PLACES, SYSTEM_SECRETS
from tests.sandbox.support import Place

PROFILES = int(os.environ.get("LOCALAGENT_PROFILES", "50"))

# ---------------------------------------------------------------- files


def test_it_can_do_its_work(place: Place) -> None:
    code, said = place.run(
        "echo new > made && cat file && echo changed > file && mkdir -p sub && mv made sub/ && ls sub"
    )
    assert code == 0, said
    assert said == "work\nmade\n" and (place.work / "file").read_text() == "changed\n"


@pytest.mark.parametrize("target", ["$HOME/evil", "/var/tmp/evil-x", "/tmp/evil-x", "/dev/shm/evil-x", "$HOME/.bashrc"])
def test_nothing_is_written_outside(place: Place, target: str) -> None:
    path = Path(target.replace("$HOME", str(place.home)))
    old = path.read_text() if path.exists() else None
    place.run(f"echo evil >> {target}; echo evil >> /proc/self/root{path}")
    assert (path.read_text() if path.exists() else None) == old
    place.run(f"echo evil >> {target}", sandboxed=False)
    assert "evil" in path.read_text()
    if path.name == "evil-x":
        path.unlink()


def test_the_system_is_read_only(place: Place) -> None:
    _, said = place.run("for f in /etc/evil /usr/evil /opt/evil /evil /sys/evil /dev/evil; do echo x > $f; done")
    assert said.count("Read-only file system") == 6
    assert not any(Path(p).exists() for p in ("/etc/evil", "/usr/evil", "/opt/evil", "/evil"))
    _, said = place.run("mount -o remount,rw /; umount $HOME; mount --bind /tmp /etc; echo x > /etc/evil")
    assert not Path("/etc/evil").exists()


@pytest.mark.parametrize(
    "secret", [".ssh/id_rsa", ".aws/credentials", ".config/localagent/policy.yaml", "Documents/diary"]
)
def test_secrets_and_other_files_of_the_home_are_hidden(place: Place, secret: str) -> None:
    text = (place.home / secret).read_text()
    assert text in place.run(f"cat ~/{secret}", sandboxed=False)[1]
    read = f"cat ~/{secret} /proc/1/root$HOME/{secret} ../{secret}; ln ~/{secret} x; cat x; ln -s ~/{secret} y; cat y"
    assert text not in place.run(read)[1]


def test_secrets_stay_hidden_under_an_opened_home(place: Place) -> None:
    profile = Profile(readable=(str(place.home), str(place.home / ".ssh"), str(place.home / ".ssh" / "id_rsa")))
    _, said = place.run(
        "cat ~/Documents/diary ~/.ssh/id_rsa ~/.aws/credentials ~/.config/localagent/policy.yaml", profile=profile
    )
    assert "DEAR DIARY" in said and "KEY" not in said and "OUR POLICY" not in said
    _, said = place.run("echo x > ~/.ssh/config; echo x > ~/Documents/x; ls -A ~/.ssh", profile=profile)
    assert not (place.home / ".ssh" / "config").exists() and not (place.home / "Documents" / "x").exists()


def test_secrets_stay_hidden_and_unwritable_under_a_writable_home(place: Place) -> None:
    profile = Profile(writable=(str(place.home),))
    _, said = place.run(
        "cat ~/.ssh/id_rsa; echo evil >> ~/.ssh/id_rsa; rm -rf ~/.ssh; mv ~/.ssh ~/x; echo ok > ~/made", profile=profile
    )
    assert "PRIVATE" not in said
    assert (place.home / ".ssh" / "id_rsa").read_text() == "PRIVATE KEY" and (place.home / "made").exists()


def test_every_secret_place_of_a_home_is_closed(place: Place) -> None:
    inside = [name for name in SECRET_PLACES if not name.startswith((".ssh", ".aws"))]
    owner = place.home.stat().st_uid
    for number, name in enumerate(inside):
        path = place.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 2:
            path.mkdir(exist_ok=True)
            path = path / "key"
        if not path.exists():
            path.write_text("TOPSECRET")
    for path in place.home.rglob("*"):
        os.chown(path, owner, owner)
    find = "grep -rlsa TOPSECRET ~ | wc -l; cat ~/.netrc ~/.s3cfg ~/.config/glab-cli/key ~/.config/glab-cli 2>/dev/null"
    assert int(place.run(find, sandboxed=False)[1].split()[0]) > 100
    for profile in (Profile(readable=(str(place.home),)), Profile(writable=(str(place.home),))):
        _, said = place.run(find, profile=profile)
        assert said.split()[0] == "0" and "TOPSECRET" not in said, place.run("grep -rlsa TOPSECRET ~", profile=profile)
    config = str(place.home / ".config")
    _, said = place.run(
        "grep -rsa TOPSECRET ~/.config; echo x > ~/.config/gh/x; ls ~/.config",
        profile=Profile((str(place.work),), (config,)),
    )
    assert "TOPSECRET" not in said and "gh" in said


def test_secrets_behind_links_are_closed_where_they_lie(place: Place) -> None:
    dots = place.home / "work" / "dotfiles"
    (dots / "gh").mkdir(parents=True)
    (dots / "gh" / "hosts.yml").write_text("TOPSECRET")
    (dots / "netrc").write_text("TOPSECRET")
    (dots / "plain").write_text("fine")
    (place.home / ".config" / "gh").symlink_to(dots / "gh")
    (place.home / ".netrc").symlink_to("work/dotfiles/netrc")
    (place.home / ".bash_history").symlink_to("/dev/null")
    for path in (dots, *dots.rglob("*")):
        os.chown(path, place.home.stat().st_uid, -1)
    look = "cat dotfiles/gh/* dotfiles/netrc dotfiles/plain; echo x > /dev/null && echo still"
    assert place.run(look, sandboxed=False)[1].count("TOPSECRET") == 2
    _, said = place.run(look)
    assert "TOPSECRET" not in said and "fine" in said and "still" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="others may not read them anyway")
@pytest.mark.parametrize("where", ["work", "etc"])
def test_secrets_of_the_system_are_closed_for_root_too(place: Place, where: str) -> None:
    if place.home.stat().st_uid:
        pytest.skip("others may not read them anyway")
    look = (
        f"cat {' '.join(SYSTEM_SECRETS)} 2>/dev/null; ls /var/backups /etc/ssl/private /etc/sudoers.d 2>/dev/null | cat"
    )
    assert "root:" in place.run(look, sandboxed=False)[1]
    named = ("/etc", "/etc/shadow", "/var") if where == "etc" else ()
    profile = Profile(readable=(str(place.work), *named))
    _, said = place.run(look, profile=profile)
    assert "root:" not in said and not [line for line in said.splitlines() if line and not line.endswith(":")], said


def test_a_scratch_folder_among_our_own_is_open_and_the_rest_is_not(place: Place) -> None:
    scratch = place.home / ".config" / "localagent" / "scratch"
    scratch.mkdir()
    os.chown(scratch, place.home.stat().st_uid, -1)
    code, said = place.run(
        f"echo x > {scratch}/x; cat {scratch}/../policy.yaml",
        profile=Profile(readable=(str(place.work),), writable=(str(scratch),)),
    )
    assert (scratch / "x").exists() and "OUR POLICY" not in said, (code, said)


def test_a_bind_shows_the_copy_at_the_workspace(place: Place) -> None:
    copy = place.home / "copy"
    copy.mkdir()
    os.chown(copy, place.home.stat().st_uid, -1)
    _, said = place.run("echo x > new; ls -A; ls ..", profile=Profile(binds=((str(copy), str(place.work)),)))
    assert (copy / "new").exists() and not (place.work / "new").exists() and "file" not in said


def test_a_link_swapped_in_leads_nowhere(place: Place) -> None:
    (place.work / "data").symlink_to(place.home / "Documents")
    _, said = place.run("cat data/diary; echo evil > data/new; rm -rf data; ln -s /etc data; echo x > data/evil")
    assert "DEAR" not in said and not (place.home / "Documents" / "new").exists() and not Path("/etc/evil").exists()


def test_a_workspace_named_through_a_link_works(place: Place) -> None:
    link = place.home / "shortcut"
    link.symlink_to(place.work)
    _, said = place.run(f"cat {link}/file", profile=Profile(readable=(str(link),)))
    assert said == "work\n"


def test_hooks_and_configuration_of_a_repository_are_held(place: Place) -> None:
    attacks = (
        "echo evil > .git/hooks/post-checkout; echo evil >> .git/config; mv .git/hooks .git/h; rm -rf .git/hooks;"
        "mv .git old && mkdir -p .git/hooks && echo evil > .git/hooks/post-checkout; echo ../evil > .git/commondir"
    )
    place.run(attacks)
    assert not (place.work / ".git" / "hooks" / "post-checkout").exists()
    assert (place.work / ".git" / "config").read_text() == "[core]\n"
    assert not (place.work / ".git" / "commondir").exists(), "git takes its configuration from where this leads"
    place.run(attacks, sandboxed=False)
    assert (place.work / ".git" / "commondir").exists()
    assert (place.work / ".git" / "hooks" / "post-checkout").exists()


def test_a_repository_is_held_wherever_it_lies(place: Place) -> None:
    """More folders than a staged copy is looked through, deeper than that, and by a file that leads to it."""
    from localagent.sandbox import starting

    for number in range(starting._LOOKED + 50):
        (place.work / f"many-{number}").mkdir()
    repositories = [place.work / "many-7/a/b/c/d/.git", place.work / "many-9/kept.git", place.work / ".git/modules/sub"]
    for repository in repositories:
        (repository / "hooks").mkdir(parents=True)
        (repository / "config").write_text("[core]\n")
    (place.work / "sub").mkdir()
    (place.work / "sub/.git").write_text("gitdir: ../.git/modules/sub\n")
    (place.work / "many-9/.git").write_text("gitdir: kept.git\n")
    for path in place.work.rglob("*"):
        os.chown(path, place.home.stat().st_uid, -1)
    attack = "; ".join(f"echo evil >> {r}/config; echo evil > {r}/hooks/post-checkout; echo .. > {r}/commondir" for r in repositories)
    place.run(f"{attack}; echo x > many-7/new")
    assert (place.work / "many-7/new").exists()
    for repository in repositories:
        assert (repository / "config").read_text() == "[core]\n" and not list((repository / "hooks").iterdir())
        assert not (repository / "commondir").exists()
    place.run(attack, sandboxed=False)
    assert all((repository / "commondir").exists() for repository in repositories)


# ---------------------------------------------------------------- the arguments


def options(argv: list[str]) -> Iterator[tuple[str, ...]]:
    """The mounts in order: (kind, [source,] target)."""
    rest = iter(argv)
    for word in rest:
        if word in ("--bind", "--ro-bind", "--ro-bind-try", "--symlink"):
            yield (word, next(rest), next(rest))
        elif word in ("--tmpfs", "--size", "--dev", "--proc", "--remount-ro", "--chdir", "--dir", "--cap-drop"):
            yield (word, next(rest))
        else:
            yield (word,)


def test_any_profile_keeps_the_promises(isolated: Path) -> None:
    rng = random.Random(3)
    (isolated / ".ssh").mkdir()
    roots = [isolated / name for name in ("a", "a/b", "c", ".ssh/in", "config/x", "deep/er/x")]
    for root in roots:
        root.mkdir(parents=True, exist_ok=True)
    host = Host(str(isolated), (), (str(isolated / "config"),), ())
    for _ in range(PROFILES):
        readable = tuple(str(r) for r in rng.sample(roots, rng.randint(0, 3)))
        writable = tuple(str(r) for r in rng.sample(roots, rng.randint(0, 3)))
        network = rng.random() < 0.5
        copy = isolated / "copy"
        copy.mkdir(exist_ok=True)
        binds = ((str(copy), str(rng.choice(roots))),) if rng.random() < 0.5 else ()
        hosts = ("example.org",) if rng.random() < 0.5 else ()
        argv = linux.build(Profile(readable, writable, binds, network=network, hosts=hosts), host, cwd="/")
        parsed = list(options(argv))
        flat = set(itertools.chain(*parsed))
        assert {"--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc"} <= flat
        assert "--share-net" not in flat and "--cap-add" not in flat and "--dev-bind" not in flat
        assert ("--cap-drop", "ALL") in parsed and ("--unshare-net" in flat) == (not network)
        for option in parsed:
            if option[0] == "--bind":
                opened = (*writable, *(path for _, path in binds))
                assert any(option[2] == w or option[2].startswith(w + "/") for w in opened)
                given = (*writable, *(source for source, _ in binds))
                assert any(option[1] == w or option[1].startswith(w + "/") for w in given)
                assert "/.ssh" not in option[2]
        sized = [parsed[i - 1][0] == "--size" for i, option in enumerate(parsed) if option[0] == "--tmpfs"]
        assert all(sized)
        shadowed = [option[-1] for option in parsed if option[0] in ("--tmpfs", "--bind", "--ro-bind")]
        for i, earlier in enumerate(shadowed):
            assert not any(earlier.startswith(later + "/") for later in shadowed[i + 1 :]), (
                "a mount hides an earlier one"
            )


def test_the_whole_disk_is_never_opened_for_writing(isolated: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="whole disk"):
        linux.build(Profile(writable=("/",)), Host.current(), cwd="/")


def test_limits_are_set_by_the_shell_that_becomes_the_program() -> None:
    argv = linux.limited(["prog", "-x", "a b"], Limits(memory_mb=10, processes=7, file_mb=3))
    assert argv[-3:] == ["prog", "-x", "a b"]
    script = argv[argv.index("-c") + 1]
    assert "ulimit -d 10240" in script and "ulimit -u 7" in script and "ulimit -f 3072" in script


def test_hints_name_a_command() -> None:
    assert "bubblewrap" in hints.install_hint()
    assert hints.refused_hint()
