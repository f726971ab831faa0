"""The one table of places that hold keys, and of those that start programs by themselves.

Pure data and small pure functions. Names are relative to the home folder and written as they
lie on the disk; they are compared without regard to letter case. A name stands for all beneath it.
"""

from __future__ import annotations

from collections.abc import Iterable

SECRET_PLACES: tuple[str, ...] = (
    *(".ssh", ".gnupg", ".gpg", ".aws", ".azure", ".kube", ".docker", ".oci", ".password-store", ".vault-token"),
    *(".config/gcloud", ".config/gh", ".config/hub", ".config/glab-cli", ".config/op", ".config/rclone"),
    *(".config/sops", ".config/age", ".config/doctl", ".config/git/credentials", ".config/containers/auth.json"),
    *(".config/heroku", ".config/linode-cli", ".config/hcloud", ".config/stripe", ".config/ngrok", ".ngrok2"),
    *(".netrc", "_netrc", ".git-credentials", ".pypirc", ".npmrc", ".yarnrc", ".yarnrc.yml", ".config/pip/pip.conf"),
    *(".pip/pip.conf", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".bundle/config"),
    *(".config/composer/auth.json", ".composer/auth.json", ".m2/settings.xml", ".m2/settings-security.xml"),
    *(".gradle/gradle.properties", ".nuget/NuGet", ".terraform.d", ".terraformrc", ".ansible/vault", ".boto", ".s3cfg"),
    *(".passwd-s3fs", ".fly/config.yml", ".config/configstore", ".databrickscfg", ".snowflake", ".dbt/profiles.yml"),
    *(".kaggle", ".huggingface/token", ".cache/huggingface/token", ".cache/huggingface/stored_tokens"),
    *(".pgpass", ".my.cnf", ".mylogin.cnf", ".mongorc.js", ".authinfo", ".authinfo.gpg", ".msmtprc", ".config/msmtp"),
    *(".mutt", ".muttrc", ".config/mutt", ".config/neomutt", ".mbsyncrc", ".config/isyncrc", ".fetchmailrc"),
    *(".offlineimaprc", ".getmail", ".smbcredentials", ".vnc/passwd", ".rdp", ".config/remmina", ".putty"),
    *(".local/share/remmina", ".irssi", ".weechat", ".config/weechat"),
    *(".mozilla", ".thunderbird", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware"),
    *(".config/microsoft-edge", ".config/vivaldi", ".config/opera", ".librewolf", ".waterfox", ".zen"),
    *(".cache/mozilla", ".cache/google-chrome", ".cache/chromium", "snap/firefox", "snap/chromium", ".var/app"),
    *(".config/Signal", ".config/Slack", ".config/discord", ".config/Element", ".local/share/TelegramDesktop"),
    *(".local/share/keyrings", ".local/share/kwalletd", ".gnome2/keyrings", ".pki", ".keystore"),
    *(".config/1Password", ".config/Bitwarden", ".config/KeePass", ".config/keepassxc", ".keepass", ".lastpass"),
    *(".local/share/lpass", ".config/lpass", ".local/share/gopass", ".config/gopass", ".local/share/pass"),
    *(".bitcoin", ".ethereum", ".electrum", ".monero", ".config/solana", ".config/Exodus", ".config/Ledger Live"),
    *(".Xauthority", ".ICEauthority", ".k5login", ".krb5cc", ".google_authenticator", ".config/Yubico"),
    *(".bash_history", ".zsh_history", ".zhistory", ".histfile", ".ash_history", ".sh_history", ".fish_history"),
    *(".local/share/fish/fish_history", ".python_history", ".node_repl_history", ".psql_history", ".mysql_history"),
    *(".sqlite_history", ".rediscli_history", ".mariadb_history", ".lesshst", ".viminfo"),
    *("Library/Keychains", "Library/Cookies", "Library/Safari"),
    *("Library/Application Support/Google", "Library/Application Support/Firefox"),
    *("Library/Application Support/BraveSoftware", "Library/Application Support/1Password"),
)

SYSTEM_SECRETS: tuple[str, ...] = (
    *("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/security/opasswd", "/etc/master.passwd"),
    *("/etc/sudoers", "/etc/sudoers.d", "/etc/ssl/private", "/etc/pki/tls/private", "/etc/letsencrypt"),
    *("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"),
    *("/etc/krb5.keytab", "/etc/wireguard", "/etc/openvpn", "/etc/ipsec.secrets", "/etc/ppp/chap-secrets"),
    *("/etc/NetworkManager/system-connections", "/etc/wpa_supplicant", "/var/lib/iwd", "/etc/netplan"),
    *("/etc/kubernetes", "/etc/docker/key.json", "/etc/rancher", "/var/backups"),
    *("/root/.ssh", "/var/lib/sss"),
)

# Whatever folder they lie in.
SECRET_NAMES: frozenset[str] = frozenset({".ssh", ".gnupg"})

# In any folder, editors and other tools act on these by themselves, or look for programs to run there.
STARTING_NAMES: frozenset[str] = frozenset(
    (
        *(".vscode", ".idea", ".fleet", ".zed", ".cursor", ".devcontainer", ".devcontainer.json", ".claude", ".codex"),
        *(".envrc", ".direnv", ".mcp.json", ".localagent", ".husky", ".pre-commit-config.yaml", ".gitmodules"),
        *(".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".exrc", ".nvimrc", ".gdbinit", ".hgrc"),
    )
)

STARTUP_PLACES: tuple[str, ...] = (
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".bash_completion", ".bash_env"),
    *(".profile", ".login", ".logout", ".cshrc", ".tcshrc", ".kshrc", ".mkshrc", ".shrc", ".shinit"),
    *(".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".zsh", ".oh-my-zsh", ".p10k.zsh", ".zpreztorc"),
    *(".bashrc.d", ".bash.d", ".profile.d", ".config/bash", ".config/zsh", ".config/fish", ".config/nushell"),
    *(".config/powershell", ".config/elvish", ".config/xonsh", ".xonshrc", ".config/direnv", ".cargo/env"),
    *(".inputrc", ".pam_environment", ".xprofile", ".xinitrc", ".xsession", ".xsessionrc", ".Xresources", ".xserverrc"),
    *(".Xclients", ".Xdefaults", ".gitconfig", ".config/git", ".hgrc", ".config/hg", ".config/jj", ".jjconfig.toml"),
    *(".vimrc", ".vim", ".gvimrc", ".exrc", ".nexrc", ".config/vim", ".config/nvim", ".local/share/nvim/site"),
    *(".emacs", ".emacs.el", ".emacs.d", ".config/emacs", ".config/doom", ".doom.d", ".spacemacs", ".spacemacs.d"),
    *(".gdbinit", ".gdbearlyinit", ".config/gdb", ".lldbinit", ".tmux.conf", ".config/tmux", ".tmux", ".screenrc"),
    *(".lessfilter", ".mailcap", ".forward", ".procmailrc", ".qmail", ".pythonrc", ".pythonrc.py", ".pythonstartup"),
)

AUTOSTART_PLACES: tuple[str, ...] = (
    *(".config/autostart", ".config/autostart-scripts", ".config/systemd", ".local/share/systemd"),
    *(".config/environment.d", ".config/plasma-workspace", ".kde/Autostart", ".kde4/Autostart", ".config/upstart"),
    *(".local/share/applications", ".local/share/dbus-1", ".local/share/gnome-shell/extensions"),
    *(".local/share/nautilus/scripts", ".local/share/nautilus-python", ".local/share/kservices5", ".xmonad"),
    *(".config/cron", ".crontab", ".cron", ".anacron", ".local/bin"),
    *("Library/LaunchAgents", "Library/LaunchDaemons", "Library/StartupItems", "Library/Application Scripts"),
)

# Programs act on these too, but people also have them written: asking is enough.
ASKING_PLACES: tuple[str, ...] = (
    *("bin", ".bin", ".cargo/bin", "go/bin", ".npm-global/bin", ".local/share/pnpm", ".bun/bin", ".deno/bin"),
    *(".dotnet/tools", ".yarn/bin", ".krew/bin", ".local/lib", ".local/share/gem", "Library/Services"),
    *(".i3", ".config/i3", ".config/sway", ".config/hypr", ".config/bspwm", ".config/awesome", ".config/openbox"),
    *(".config/qtile", ".config/river", ".config/xmonad", ".fluxbox", ".config/sxhkd", ".xbindkeysrc"),
    *(".config/mimeapps.list", ".config/helix", ".config/micro", ".config/kak", ".nanorc", ".config/nano"),
    *(".config/Code/User", ".config/VSCodium/User", ".vscode", ".ipython", ".jupyter", ".julia/config", ".Rprofile"),
    *(".Renviron", ".irbrc", ".pryrc", ".pdbrc", ".perldb", ".octaverc", ".ghci", ".sqliterc", ".psqlrc", ".wgetrc"),
    *(".curlrc", ".editrc", ".lesskey", ".mailrc", ".rpmmacros", ".gemrc", ".condarc", ".asdfrc", ".tool-versions"),
    *(".config/mise", ".nvm", ".pyenv", ".rbenv", ".sdkman", ".cargo/config", ".cargo/config.toml"),
    *(".gradle/init.d", ".gradle/init.gradle", ".config/pip", ".pip", ".subversion", ".config/starship.toml"),
)

SYSTEM_STARTUP: tuple[str, ...] = (
    *("/etc/profile", "/etc/profile.d", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh", "/etc/zshrc", "/etc/zshenv"),
    *("/etc/environment", "/etc/crontab", "/etc/anacrontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily"),
    *("/etc/cron.weekly", "/etc/cron.monthly", "/var/spool/cron", "/var/spool/at", "/etc/systemd", "/lib/systemd"),
    *("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/init.d", "/etc/inittab", "/etc/rc.local"),
    *("/etc/rc.d", "/etc/xdg/autostart", "/etc/X11", "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/etc/sudoers", "/etc/sudoers.d", "/etc/doas.conf", "/etc/pam.d", "/etc/udev/rules.d", "/etc/gitconfig"),
    *("/Library/LaunchAgents", "/Library/LaunchDaemons", "/Library/StartupItems"),
)


def secret_in_home(relative: str) -> bool:
    """Whether the path, relative to a home folder, is or lies in a place for keys."""
    return _listed(relative, _SECRETS)


def secret_on_system(path: str) -> bool:
    """Whether the absolute path holds keys of the system, or is of a name that does anywhere."""
    return _listed(path, _SYSTEM_SECRETS) or not SECRET_NAMES.isdisjoint(path.casefold().split("/"))


def startup_in_home(relative: str) -> bool:
    """Whether the path, relative to a home folder, is run or read when shells and common tools start."""
    return _listed(relative, _STARTUP)


def autostart_in_home(relative: str) -> bool:
    """Whether the path, relative to a home folder, starts programs on its own or stands in for them."""
    return _listed(relative, _AUTOSTART)


def startup_on_system(path: str) -> bool:
    """Whether the absolute path is run or read when the system starts programs."""
    return _listed(path, _SYSTEM_STARTUP)


def asking_in_home(relative: str) -> bool:
    """Whether programs act on the path, relative to a home folder, though it is not protected."""
    return _listed(relative, _ASKING)


def secret_paths(home: str) -> tuple[str, ...]:
    """Every secret place as an absolute path; those of the system alone where `home` is "" or the root."""
    return (*SYSTEM_SECRETS, *_at(home, SECRET_PLACES))


def startup_paths(home: str) -> tuple[str, ...]:
    """Every place that starts programs as an absolute path, those of the system included."""
    return (*SYSTEM_STARTUP, *_at(home, STARTUP_PLACES), *_at(home, AUTOSTART_PLACES))


def _at(home: str, places: Iterable[str]) -> list[str]:
    base = home.rstrip("/")
    return [f"{base}/{name}" for name in places] if base else []


def _folded(places: Iterable[str]) -> frozenset[str]:
    return frozenset(place.casefold() for place in places)


def _listed(path: str, folded: frozenset[str]) -> bool:
    path = path.casefold().rstrip("/")
    at = len(path)
    while at > 0:
        if path[:at] in folded:
            return True
        at = path.rfind("/", 0, at)
    return False


_SECRETS = _folded(SECRET_PLACES)
_SYSTEM_SECRETS = _folded(SYSTEM_SECRETS)
_STARTUP = _folded(STARTUP_PLACES)
_AUTOSTART = _folded(AUTOSTART_PLACES)
_SYSTEM_STARTUP = _folded(SYSTEM_STARTUP)
_ASKING = _folded(ASKING_PLACES)
