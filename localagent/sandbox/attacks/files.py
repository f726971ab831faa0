"""Attacks on files: what may not be read, and what may not be written."""

from __future__ import annotations

import os
from pathlib import Path

from .scene import Judge, Scene
from .values import Attack, leaks, python, says

_SECRETS = {
    "an SSH key": ".ssh/id_rsa",
    "cloud credentials": ".aws/credentials",
    "a GnuPG key": ".gnupg/private-keys-v1.d/key",
    "a browser's passwords": ".mozilla/firefox/profile/logins.json",
    "the keyring": ".local/share/keyrings/login.keyring",
    "Docker's credentials": ".docker/config.json",
    "passwords in .netrc": ".netrc",
    "the shell's history": ".bash_history",
    "our own policy": "config/policy.yaml",
    "a file of the home that nobody named": "Documents/diary",
}
_KEY = "@HOME@/.ssh/id_rsa"


def _secrets() -> list[Attack]:
    found = [Attack(f"read {what}", "secrets", f"cat @HOME@/{path}", leaks) for what, path in _SECRETS.items()]
    ways = {
        "a key through /proc/self/root": f"cat /proc/self/root{_KEY}",
        "a key through the root of another process": f"cat /proc/1/root{_KEY} /proc/@VICTIM@/root{_KEY}",
        "a key through ..": "cat ../.ssh/id_rsa",
        "a key through a hard link": f"ln {_KEY} link && cat link; rm -f link",
        "a key through a symbolic link": f"ln -s {_KEY} there; cat there; rm -f there",
        "a key through a copied reader": f"cp /bin/cat reader; ./reader {_KEY}; rm -f reader",
        "a key through the loader": f"for l in /lib*/ld-linux*.so.* /lib/*/ld-linux*.so.*; do $l /bin/cat {_KEY}; done",
        "a key found by searching": "grep -rsh @MARK@ @HOME@ | head -c 200",
        "that a key exists": "[ -e @HOME@/.ssh/id_rsa ] && echo @MARK@",
    }
    found += [Attack(f"read {what}", "secrets", script, leaks) for what, script in ways.items()]
    keys = "env; cat /proc/self/environ /proc/$PPID/environ /proc/1/environ | tr '\\0' '\\n'"
    found += [
        Attack("find keys in the environment", "secrets", keys, leaks),
        Attack("read an inherited descriptor", "secrets", _DESCRIPTORS, leaks),
        Attack("read the system's passwords", "secrets", "cat /etc/shadow", _has(":"), root_only=True),
    ]
    return found


def _has(word: str) -> Judge:
    return lambda scene, said: any(line.startswith("root" + word) for line in said.splitlines())


def _made(*folders: str) -> Judge:
    return lambda scene, said: any(os.path.lexists(Path(scene.fill(f), f"evil-{scene.mark}")) for f in folders)


def _remove(*folders: str):
    def undo(scene: Scene) -> None:
        for folder in folders:
            Path(scene.fill(folder), f"evil-{scene.mark}").unlink(missing_ok=True)

    return undo


def _writing(name: str, folder: str, script: str = "", root_only: bool = False) -> Attack:
    script = script or f"echo x > {folder}/evil-@MARK@"
    return Attack(name, "files", script, _made(folder), undo=_remove(folder), root_only=root_only)


def _changed(name: str, text: str) -> Judge:
    return lambda scene, said: (scene.home / name).read_text() != text


def _restore(name: str, text: str):
    return lambda scene: (scene.home / name).write_text(text) and None


def _files() -> list[Attack]:
    rc = {"through": _changed(".bashrc", "mine\n"), "undo": _restore(".bashrc", "mine\n")}
    mounts = "mount -o remount,rw /; mount -o remount,rw,bind /; umount @HOME@ /tmp; echo x > /usr/evil-@MARK@"
    kernel = "/proc/sys/kernel/core_pattern"
    return [
        _writing("write into the home", "@HOME@"),
        _writing("write through /proc/self/root", "@HOME@", "echo x > /proc/self/root@HOME@/evil-@MARK@"),
        _writing("write into /var/tmp", "/var/tmp"),
        _writing("write into the host's /tmp", "/tmp"),
        _writing("write into the host's shared memory", "/dev/shm"),
        _writing("write into /etc", "/etc", root_only=True),
        _writing("write into /usr", "/usr", root_only=True),
        _writing("mount the disk anew, for writing", "/usr", mounts, root_only=True),
        _writing("write through a link out", "@HOME@", "ln -s @HOME@ out; echo x > out/evil-@MARK@; rm out"),
        Attack("append to .bashrc", "files", "echo evil >> @HOME@/.bashrc", **rc),
        Attack("append to .bashrc by a hard link", "files", "ln ~/.bashrc l && echo evil >> l; rm -f l", **rc),
        Attack("empty .bashrc without opening it for writing", "files", python(_TRUNCATE), **rc),
        Attack("close the home to its owner", "files", "chmod 711 @HOME@", _mode(0o711), undo=_open_again),
        Attack("make a program that runs as its owner", "files", _SETUID, _setuid, undo=_no_setuid),
        Attack("open a raw device", "files", _DEVICES, says("OPEN"), root_only=True),
        Attack(
            "set a parameter of the kernel",
            "files",
            f'c=$(cat {kernel}); echo "$c" > {kernel} && echo OPEN',
            says("OPEN"),
            root_only=True,
        ),
        Attack("write anything that the kernel would act on", "files", _WRITABLE, says("OPEN"), root_only=True),
        Attack(
            "reach the kernel's emergency keys",
            "files",
            "(: >> /proc/sysrq-trigger) && echo OPEN",
            says("OPEN"),
            root_only=True,
        ),
        Attack("read about the host in /sys", "files", "grep -q : /sys/class/net/*/address && echo OPEN", says("OPEN")),
    ]


_WRITABLE = (
    "find /proc -maxdepth 4 -regex '/proc/[0-9]+' -prune -o -regex '/proc/[a-z]*self' -prune -o -type f -writable -print 2>/dev/null"
    " | while read -r f; do ([ -w $f ] && : 5<>$f) 2>/dev/null && echo OPEN $f; done"
)
# All there are: a program that has opened much before hands on high numbers.
_DESCRIPTORS = "for f in /proc/self/fd/*; do n=${f##*/}; [ $n -gt 2 ] && [ -f $f ] && head -c 99 <&$n; done; :"
_DEVICES = "for d in /dev/[svn][dv][am]* /dev/kmsg; do dd if=$d of=/dev/null bs=9000 count=1 && echo OPEN; done"
_TRUNCATE = """
import os
try: os.truncate("@HOME@/.bashrc", 0)
except OSError as error: print(error)
os.close(os.open("@HOME@/.bashrc", os.O_RDONLY | os.O_TRUNC))
"""
_SETUID = "cp /bin/true as-owner; chmod 4755 as-owner; cp /bin/true too; " + python(
    "import os\nos.close(os.open('made', os.O_CREAT | os.O_WRONLY, 0o4755))"
)


def _mode(mode: int) -> Judge:
    return lambda scene, said: scene.home.stat().st_mode & 0o777 == mode


def _open_again(scene: Scene) -> None:
    scene.home.chmod(0o755)


def _setuid(scene: Scene, said: str) -> bool:
    return any(path.lstat().st_mode & 0o6000 for path in scene.work.iterdir())


def _no_setuid(scene: Scene) -> None:
    for name in ("as-owner", "too", "made"):
        (scene.work / name).unlink(missing_ok=True)


ATTACKS: tuple[Attack, ...] = (*_secrets(), *_files())
