"""What no change ever touches, whatever was approved: the floor below every mode."""

from __future__ import annotations

import os

from . import paths

_STARTUP = (
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".login", ".logout"),
    *(".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".inputrc"),
    *(".config/fish", ".config/autostart", ".config/systemd/user", ".config/environment.d", ".config/nushell"),
    *(".pam_environment", ".xprofile", ".xsession", ".xsessionrc", ".xinitrc", ".Xresources", ".gitconfig"),
    *(".config/git", ".config/plasma-workspace", "Library/LaunchAgents", ".local/share/systemd/user"),
    *(".ssh", ".gnupg", ".aws", ".kube", ".docker", ".password-store", ".local/share/keyrings", ".netrc"),
)


class Floor:
    """The protected places of this user, looked up once for many paths."""

    def __init__(self) -> None:
        made = (paths.config_dir(), paths.data_dir(), paths.state_dir(), paths.runtime_dir())
        self._own = {name for folder in made for name in (str(folder), os.path.realpath(folder))}
        home = os.path.expanduser("~")
        named = [os.path.join(home, name) for name in _STARTUP]
        self._startup = {name for path in named for name in (path, os.path.realpath(path))}

    def refusal(self, path: str) -> str:
        """Why `path` (absolute) must not be changed, "" where it may. Letter case does not matter."""
        places = {os.path.abspath(path), os.path.realpath(path)}
        if any(is_hook_place(place) for place in places):
            return "a git hook runs programs by itself"
        for place in places:
            for own in self._own:
                if _below(place, own):
                    return "it belongs to localagent itself"
                if _below(own, place):
                    return "localagent's own files are in it"
            for startup in self._startup:
                if _below(place, startup):
                    return "it runs at every login or holds keys"
                if _below(startup, place) and os.path.lexists(startup):
                    return "files that run at every login, or hold keys, are in it"
        return ""


def is_hook_place(path: str) -> bool:
    """Whether a file at this path would be run by git; git never runs the samples."""
    parts = [part.casefold() for part in path.split(os.sep)]
    if ".git" not in parts:
        return False
    behind = parts[parts.index(".git") + 1 :]
    return "hooks" in behind[:-1] and not behind[-1].endswith(".sample")


def _below(path: str, folder: str) -> bool:
    path, folder = path.casefold(), folder.casefold()
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
