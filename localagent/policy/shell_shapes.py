"""Dangerous shapes of one command, found in its words by best effort: they make us ask more, never less."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from . import shell_git, shell_places
from .shell_readers import reads_only
from .shell_words import INTERPRETERS, program, strip_wrappers

RiskKind = Literal[
    "deletes",
    "overwrites",
    "discards",
    "wipes",
    "device",
    "privilege",
    "network",
    "code",
    "persists",
    "secrets",
    "stops",
    "unclear",
]
"""`unclear` is what is only known when it runs."""


@dataclass(frozen=True, slots=True)
class Risk:
    """One dangerous shape; `what` shows it, and it stands from `start` to `end` (characters) in the line."""

    kind: RiskKind
    what: str
    start: int = 0
    end: int = 0


_NETWORK = frozenset(
    "curl wget ssh scp sftp rsync ftp lftp tftp nc ncat netcat socat telnet dig nslookup host whois ping ping6 fping "
    "traceroute tracepath mtr mosh aria2c axel gh glab hub http https xh httpie w3m lynx links elinks nmap masscan "
    "rclone yt-dlp youtube-dl msmtp sendmail mail mailx mutt swaks s3cmd aws gcloud gsutil az doctl heroku flyctl "
    "kubectl helm terraform ansible ansible-playbook docker podman npx pip pip3 pipx uv uvx npm pnpm yarn bundle gem "
    "cargo go apt apt-get dnf yum pacman apk brew snap flatpak zypper huggingface-cli hf ollama ssh-copy-id ssh-keyscan "
    "git-remote-http xdg-open open sshfs smbclient mount.nfs openvpn wg-quick ngrok cloudflared".split()
)
_FETCHES = frozenset("npx uvx pipx torsocks proxychains proxychains4 sshpass ssh".split())
_LOCAL_WORDS = {
    "cargo": frozenset("fmt clippy test check build tree doc bench metadata version".split()),
    "go": frozenset("fmt vet test build list version env doc".split()),
    "npm": frozenset("test ls list run start version".split()),
    "pip": frozenset("list show freeze check".split()),
    "uv": frozenset("run version".split()),
}
_PRIVILEGE = frozenset(
    "sudo sudoedit doas su sg newgrp pkexec run0 gosu su-exec runuser setpriv setcap chroot unshare nsenter mount "
    "umount losetup insmod modprobe rmmod sysctl usermod useradd userdel groupadd passwd chpasswd visudo capsh "
    "systemd-run machinectl docker podman lxc lxd bwrap firejail iptables nft ufw setenforce aa-teardown dpkg rpm "
    "hostnamectl timedatectl swapon swapoff".split()
)
_PERSISTS = frozenset(
    "crontab at atq batch systemctl launchctl chsh update-rc.d chkconfig rc-update loginctl schtasks disown nohup "
    "setsid daemonize daemon start-stop-daemon screen tmux ssh-copy-id update-alternatives gsettings dconf".split()
)
_CODE = frozenset(
    "eval source . exec trap alias enable builtin command bind complete mapfile readarray xargs parallel watch entr "
    "npx uv uvx pipx run-parts npm pnpm yarn pip pip3 gem bundle cargo go cmake tox nox mvn gradle rails rspec jest "
    "docker podman kubectl ansible ansible-playbook terraform sshpass script busybox toybox less more most man info "
    "nano pico micro hx view vimdiff nvi ld.so poetry conda nix nix-shell nix-env flatpak snap gdb lldb openssl "
    "sqlite3 psql mysql mongo redis-cli dot latex pdflatex xelatex lualatex tex apt apt-get dpkg brew".split()
)
_ERASES = frozenset(
    "mkfs wipefs fdisk sfdisk gdisk sgdisk cfdisk parted mkswap blkdiscard hdparm nvme cryptsetup".split()
)
_STOPS = frozenset("kill pkill killall killall5 shutdown reboot poweroff halt init telinit skill xkill".split())
_LOOKS_AT_NAMES = frozenset(
    "echo printf grep egrep fgrep rg ls stat df file readlink realpath lsblk basename dirname".split()
)
_ASKS_VERSION = frozenset("--version -V -v version --help -version".split())
_NEAR = 64
_DEVICES = ("sd", "hd", "vd", "xvd", "nvme", "mmcblk", "disk", "mapper/", "loop", "dm-", "md", "nbd", "ram", "sr")
_MEMORY = frozenset({"/dev/mem", "/dev/kmem", "/dev/port"})
_SETUID = re.compile(r"0?[2-7][0-7]{3}|(?:[ugoa]*[+=][rwxXst]*,?)*[ugoa]*[+=][rwxXt]*s[rwxXst]*")
_CODE_OPTIONS = {
    "tar": ("--to-command", "--checkpoint-action", "--use-compress-program", "--rsh-command", "--rmt-command",
            "--info-script", "--new-volume-script"),
    "sort": ("--compress-program",),
    "rg": ("--pre", "--hostname-bin"),
    "zip": ("--unzip-command",),
    "rsync": ("--rsh", "--rsync-path"),
    "wget": ("--use-askpass",),
    "split": ("--filter",),
    "ag": ("--pager",),
    "diff": ("--paginate",),
    "pr": (),
    "bat": ("--pager",),
    "column": (),
}  # fmt: skip
_CODE_LETTERS = {"tar": "IF", "zip": "TT", "rsync": "e", "ssh": "o", "scp": "oS", "sftp": "oS", "diff": "l"}
_IN_CODE = (
    (re.compile(r"rmtree|\bunlink|os\.remove|rmdir|File\.delete|rimraf|rmSync|remove-item|\bdel\b", re.IGNORECASE), "deletes"),
    (re.compile(r"urllib|requests\b|http\.|httpx|socket|fetch\(|https?://|Net::HTTP|LWP|urlopen|/inet/|smtp", re.IGNORECASE), "network"),
    (re.compile(r"setuid|setgid"), "privilege"),
)  # fmt: skip


def is_device(word: str) -> bool:
    """Whether the word names a raw disk or the machine's memory."""
    path = shell_places.plain(word.rpartition("=")[2], "")
    return path in _MEMORY or (path.startswith("/dev/") and path[5:].startswith(_DEVICES))


@lru_cache(maxsize=1024)
def command_risks(words: tuple[str, ...], home: str) -> tuple[Risk, ...]:
    """What this command would do, by its words."""
    return tuple(_command_risks(words, home))


def _command_risks(words: tuple[str, ...], home: str) -> list[Risk]:
    found: list[Risk] = []
    outer = program(words)
    rest = words if reads_only(words) else strip_wrappers(words)
    for kind, names in (("privilege", _PRIVILEGE), ("persists", _PERSISTS), ("code", _CODE), ("network", _FETCHES)):
        if outer in names and rest is not words:
            found.append(Risk(kind, words[0]))
    if not rest:
        return found
    name, args = program(rest), rest[1:]
    shown = " ".join(rest[:3])
    found.extend(Risk(kind, shown) for kind in _kinds(name, args, rest))
    if name not in _LOOKS_AT_NAMES:
        found.extend(Risk("device", word) for word in args if is_device(word))
    if name not in ("echo", "printf", "basename", "dirname"):
        found.extend(
            Risk("secrets", word) for word in args if shell_places.secret(word, home) and not is_filter(name, word)
        )
        if shell_places.searches_all(name, args, home):
            found.append(Risk("secrets", shown))
    if name not in _LOOKS_AT_NAMES and name not in ("cat", "diff", "git", "head", "less", "tail", "wc", "source", "."):
        found.extend(Risk("persists", word) for word in args if shell_places.starts_programs(word, home))
    if _wipes(name, args, home):
        found.append(Risk("wipes", shown))
    return found


def is_filter(name: str, word: str) -> bool:
    return name == "jq" and word.startswith(".") and "/" not in word


def _kinds(name: str, args: tuple[str, ...], rest: tuple[str, ...]) -> list[RiskKind]:
    found: list[RiskKind] = []
    plain = bool(args) and set(args) <= _ASKS_VERSION
    local = bool(args) and args[0] in _LOCAL_WORDS.get(name, ())
    if name in _PRIVILEGE or (name == "chmod" and any(_SETUID.fullmatch(word) for word in args)):
        found.append("privilege")
    if (name in _NETWORK and not plain and not local) or any("/dev/tcp/" in w or "/dev/udp/" in w for w in args):
        found.append("network")
    if name in _PERSISTS:
        found.append("persists")
    if (name in _CODE or name in INTERPRETERS) and not (plain and name not in ("eval", "source", ".")):
        found += [] if reads_only(rest) else ["code"]
        found += [kind for pattern, kind in _IN_CODE if name in INTERPRETERS and any(map(pattern.search, args))]
    if _runs_by_option(name, args):
        found.append("code")
    if name in _STOPS and args[:1] != ("-l",):
        found.append("stops")
    if name == "date" and any(word == "--set" or word.startswith("--set=") or _short(word, "s") for word in args):
        found.append("privilege")
    if name.split(".")[0] in _ERASES:
        found.append("device")
    if name == "git":
        found += shell_git.kinds(args)
    return found + _file_risks(name, args)


def _runs_by_option(name: str, args: tuple[str, ...]) -> bool:
    """Whether an option names a program to run. GNU programs take any beginning of a long option."""
    letters, options = _CODE_LETTERS.get(name, ""), _CODE_OPTIONS.get(name, ())
    for word in args:
        given = word.split("=", 1)[0]
        if word.startswith("--") and len(given) > 3 and any(option.startswith(given) for option in options):
            return True
        if any(_short(word, letter) for letter in letters):
            return True
        if name == "sed" and re.search(r"(?:^|[;{}\n\d/$ ])e(?:\s|$)|/[gpiI\d]*e[gpiI\d]*(?:[;}\s]|$)", word):
            return True
        if name == "find" and word in ("-exec", "-execdir", "-ok", "-okdir"):
            return True
    return False


def _file_risks(name: str, args: tuple[str, ...]) -> list[RiskKind]:
    if name in ("rm", "rmdir", "unlink", "srm", "trash", "trash-put", "trash-empty", "dropdb", "userdel"):
        return ["deletes"]
    if name in ("shred", "truncate", "csplit"):
        return ["overwrites"]
    if name == "dd" and any(word.startswith("of=") for word in args):
        return ["overwrites"]
    if name == "find":
        written = any(word.startswith(("-fprint", "-fls")) for word in args)
        return (["deletes"] if _find_deletes(args) else []) + (["overwrites"] if written else [])
    if name == "rsync" and any(word.startswith("--del") or word.startswith("--remove-s") for word in args):
        return ["deletes"]
    if name == "tar" and any(word.startswith("--remove") or word.startswith("--recursive-u") for word in args):
        return ["deletes"]
    if name in ("docker", "podman", "kubectl", "helm", "terraform", "aws") and _REMOVES & set(args):
        return ["deletes"]
    if name == "tee" and not {"-a", "--append"} & set(args) and any(not word.startswith("-") for word in args):
        return ["overwrites"]
    if name == "sort" and any(word.startswith("--o") or _short(word, "o") for word in args):
        return ["overwrites"]
    if name == "sed" and any(
        word.startswith("--in-p") or _short(word, "i") or _SED_WRITES.search(word) for word in args
    ):
        return ["overwrites"]
    if name in ("perl", "ruby") and any(_short(word, "i") for word in args):
        return ["overwrites"]
    return _overwritten_by(name, args)


def _overwritten_by(name: str, args: tuple[str, ...]) -> list[RiskKind]:
    """What options, or the text of a small program, write over."""
    if name in ("curl", "wget") and any(_short(word, "o") or _short(word, "O") or word == "--output" for word in args):
        return ["overwrites"]
    if name == "awk" and any(re.search(r"print[^|;}]*>", word) for word in args):
        return ["overwrites"]
    if name in ("chmod", "chown", "chgrp") and any(word == "--recursive" or _short(word, "R") for word in args):
        return ["overwrites"]
    return []


_REMOVES = frozenset("rm rmi prune delete destroy uninstall rb".split())
_SED_WRITES = re.compile(r"(?:^|[;{}\n\d/$ ])[wW]\s+\S|/[gpiIe\d]*w\s*\S")


def _find_deletes(args: tuple[str, ...]) -> bool:
    if "-delete" in args:
        return True
    for flag in ("-exec", "-execdir", "-ok", "-okdir"):
        for at, word in enumerate(args):
            # The options that make a command delete stand near it; a `find` in a `find` has its own turn here.
            if word == flag and _file_risks_of(args[at + 1 : at + _NEAR]):
                return True
    return False


def _file_risks_of(words: tuple[str, ...]) -> bool:
    rest = strip_wrappers(words)
    if not rest or program(rest) == "find":
        return False
    return bool(_file_risks(program(rest), rest[1:]))


def _short(word: str, letter: str) -> bool:
    return word.startswith("-") and not word.startswith("--") and letter in word


def _wipes(name: str, args: tuple[str, ...], home: str) -> bool:
    """Whether home or the whole disk is the thing that is deleted or moved, not only a place that is looked into."""
    if name in ("rm", "rmdir", "shred", "srm", "trash", "trash-put"):
        return any(_is_root_or_home(word, home) for word in args)
    if name == "mv":
        return any(_is_root_or_home(word, home) for word in args[:-1])
    if name == "find":
        narrowed = any(word.lstrip("-").startswith(_FIND_TESTS) for word in args if word.startswith("-"))
        return not narrowed and _find_deletes(args) and any(_is_root_or_home(word, home) for word in args)
    if name in ("chmod", "chown", "chgrp") and _file_risks(name, args):
        return any(_is_root_or_home(word, "") and not word.startswith(("~", "$")) for word in args)
    return False


_FIND_TESTS = tuple("name iname path ipath regex iregex mtime mmin atime ctime size newer empty".split())


def _is_root_or_home(word: str, home: str) -> bool:
    if word == "--no-preserve-root":
        return True
    bare = word.removesuffix("*").rstrip("/")
    if ".." in bare and bare.startswith("/"):
        bare = posixpath.normpath(bare)
    if word.startswith("/") and not bare.strip("/."):
        return True
    if bare.startswith("/proc/"):
        bare = shell_places.plain(bare, home)
        if bare == "/":
            return True
    return bare in ("~", "$HOME", "${HOME}") or bool(home and home != "/" and bare == home.rstrip("/"))
