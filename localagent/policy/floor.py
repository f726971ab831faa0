"""What no mode and no rule lifts: our own folders, startup files, git hooks, secrets, home and root, raw devices.

Names are compared without regard to letter case, since the file system may not regard it either.
Each function returns the reason as half a sentence, or "" where the floor has nothing to say.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache

from .context import Context, beneath

_STARTUP = (
    ".bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .zlogout "
    ".kshrc .cshrc .tcshrc .login .logout .inputrc .xprofile .xinitrc .xsession .xsessionrc .pam_environment "
    ".config/fish .config/nushell .config/powershell .config/zsh .config/bash .zsh .oh-my-zsh .bashrc.d .profile.d "
    ".gitconfig .config/git .vimrc .config/nvim .tmux.conf .config/tmux .pythonrc .pythonstartup"
).split()
_AUTOSTART = (
    ".config/autostart .config/autostart-scripts .config/systemd .local/share/systemd .config/environment.d "
    ".config/plasma-workspace/env .config/upstart .local/share/applications .local/share/dbus-1 "
    "library/launchagents library/launchdaemons library/startupitems"
).split()
_SECRETS = (
    ".ssh .gnupg .gpg .aws .azure .config/gcloud .oci .kube .docker .netrc .git-credentials .config/git/credentials "
    ".config/gh .config/hub .config/glab-cli .pypirc .npmrc .yarnrc.yml .cargo/credentials .cargo/credentials.toml "
    ".gem/credentials .password-store .local/share/keyrings .local/share/kwalletd .pki .mozilla .thunderbird "
    ".config/google-chrome .config/chromium .config/bravesoftware .config/microsoft-edge .config/vivaldi "
    ".config/1password .config/bitwarden .config/keepassxc .electrum .bitcoin .ethereum .vault-token .terraform.d "
    ".config/rclone .config/op .msmtprc .mutt .mbsyncrc .fetchmailrc .authinfo .authinfo.gpg .pgpass .my.cnf .s3cfg "
    ".boto library/keychains library/cookies .huggingface/token .cache/huggingface/token"
).split()
_SECRETS += ["library/application support/google", "library/application support/firefox"]
_SYSTEM_STARTUP = (
    "/etc/profile /etc/profile.d /etc/bash.bashrc /etc/bashrc /etc/zsh /etc/zshrc /etc/zshenv /etc/environment "
    "/etc/crontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /var/spool/cron "
    "/etc/systemd /lib/systemd /usr/lib/systemd /etc/init.d /etc/rc.local /etc/xdg/autostart /etc/ld.so.preload "
    "/etc/sudoers /etc/sudoers.d /etc/pam.d /library/launchagents /library/launchdaemons"
).split()
_SYSTEM_SECRETS = "/etc/shadow /etc/gshadow /etc/shadow- /etc/gshadow- /etc/ssl/private /root/.ssh".split()
_KERNEL = ("/dev", "/proc", "/sys", "/boot")
_HARMLESS_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
_HOME_LIKE = re.compile(r"/(?:home|users)/[^/]+|/root|/var/root")
_GIT_FILES = frozenset({"hooks", "config", "config.worktree"})
_ANYWHERE_SECRET = frozenset({".ssh", ".gnupg"})


def reading(path: str, ctx: Context) -> str:
    """Why this path may not be read or listed."""
    for form in ctx.forms(path):
        if any(beneath(form, folder) for folder in ctx.readable):
            continue
        reason = _ours(form, ctx) or _secret(form, ctx)
        if reason:
            return reason
        if _device(form):
            return f"{form} is a device of the machine"
    return ""


def writing(path: str, ctx: Context, after: str | None = None, folder: bool = False) -> str:
    """Why nothing may be written at this path.

    `after` is the sha256 of the new bytes, None where it is not known; `folder` means that an empty folder is made.
    """
    for form in ctx.forms(path):
        reason = _ours(form, ctx) or _secret(form, ctx) or _startup(form, ctx) or _git(form, after, folder)
        if reason:
            return reason
        if any(beneath(form.casefold(), folder) for folder in _KERNEL) and form not in _HARMLESS_DEVICES:
            return f"{form} belongs to the machine itself"
    return ""


def removing(path: str, ctx: Context) -> str:
    """Why what lies at this path, and beneath it, may not be moved away, deleted or replaced."""
    for form in ctx.forms(path):
        if form == "/":
            return "/ is the whole disk"
        if ctx.home and beneath(ctx.home.casefold(), form.casefold()):
            return f"{form} is your home folder, or holds it"
        held = _held(form, _guarded(ctx.home, ctx.protected))
        if held:
            return f"{form} holds {held}, which is protected"
    return writing(path, ctx)


def replacing_git(path: str) -> str:
    """Why nothing may be moved, copied or linked to this path: a whole `.git` brings its own hooks."""
    if posixpath.basename(path).casefold() == ".git":
        return f"{path} would bring its own git hooks and configuration"
    return ""


def takes_along(path: str, ctx: Context) -> str:
    """Why the tree at this path may not be copied: it is, or holds, something secret."""
    for form in ctx.forms(path):
        held = _held(form, _private(ctx.home, ctx.protected))
        if held:
            return f"{form} holds {held}, which is secret"
    return reading(path, ctx)


@lru_cache(maxsize=8)
def _private(home: str, protected: tuple[str, ...]) -> tuple[str, ...]:
    base = home.rstrip("/")
    return (*protected, *_SYSTEM_SECRETS, *(f"{base}/{name}" for name in _SECRETS if base))


@lru_cache(maxsize=8)
def _guarded(home: str, protected: tuple[str, ...]) -> tuple[str, ...]:
    base = home.rstrip("/")
    in_home = (f"{base}/{name}" for name in (*_STARTUP, *_AUTOSTART) if base)
    return (*_private(home, protected), *_SYSTEM_STARTUP, *in_home)


def _held(path: str, guarded: tuple[str, ...]) -> str:
    """The first of these places that lies at or beneath the path."""
    prefix = path.casefold().rstrip("/")
    return next((p for p in guarded if p.casefold() == prefix or p.casefold().startswith(prefix + "/")), "")


def _ours(path: str, ctx: Context) -> str:
    for folder in ctx.protected:
        if beneath(path.casefold(), folder.casefold()):
            return f"{folder} holds localagent's own files"
    return ""


def _in_home(path: str, ctx: Context) -> list[str]:
    """The path relative to the homes it lies in, letter case folded."""
    folded = path.casefold()
    homes = [ctx.home.casefold().rstrip("/")] if ctx.home.strip("/") else []
    other = _HOME_LIKE.match(folded)
    if other and other.group() not in homes:
        homes.append(other.group())
    return [folded[len(home) + 1 :] for home in homes if beneath(folded, home) and folded != home]


def _listed(relative: str, names: Sequence[str]) -> bool:
    return any(beneath(relative, name) for name in names)


def _secret(path: str, ctx: Context) -> str:
    if any(_listed(relative, _SECRETS) for relative in _in_home(path, ctx)):
        return f"{path} is a place for secrets"
    folded = path.casefold()
    if _listed(folded, _SYSTEM_SECRETS) or _ANYWHERE_SECRET & set(folded.split("/")):
        return f"{path} is a place for secrets"
    return ""


def _startup(path: str, ctx: Context) -> str:
    for relative in _in_home(path, ctx):
        if _listed(relative, _STARTUP):
            return f"{path} is run or read by your shell or tools when they start"
        if _listed(relative, _AUTOSTART):
            return f"{path} starts programs on its own"
    if _listed(path.casefold(), _SYSTEM_STARTUP):
        return f"{path} is run or read when the system starts programs"
    return ""


def _git(path: str, after: str | None, folder: bool) -> str:
    parts = path.casefold().split("/")
    for at, part in enumerate(parts):
        if part != ".git" or at + 1 >= len(parts):
            continue
        rest = parts[at + 1 :]
        if (rest == ["config"] and after in _new_repository()) or (rest == ["hooks"] and folder):
            return ""
        if len(rest) == 2 and rest[0] == "hooks" and rest[1].endswith(".sample"):
            return ""
        if rest[0] in _GIT_FILES or (rest[0] in ("modules", "worktrees") and _GIT_FILES & set(rest[1:])):
            return f"{path} makes git run programs"
    return ""


@lru_cache(maxsize=1)
def _new_repository() -> frozenset[str]:
    """The sha256 of each configuration that `git init` itself writes."""
    from hashlib import sha256

    core = "[core]\n\trepositoryformatversion = 0\n\tfilemode = {}\n\tbare = false\n\tlogallrefupdates = true\n"
    endings = ("", "\tignorecase = true\n", "\tignorecase = true\n\tprecomposeunicode = true\n")
    texts = (core.format(filemode) + ending for filemode in ("true", "false") for ending in endings)
    return frozenset(sha256(text.encode()).hexdigest() for text in texts)


def _device(path: str) -> bool:
    return beneath(path, "/dev") and path != "/dev" and path not in _HARMLESS_DEVICES
