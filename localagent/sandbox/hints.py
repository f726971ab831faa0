"""What a person can do where bubblewrap is missing, or refused."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path


def install_hint() -> str:
    """The command that installs bubblewrap on this distribution."""
    commands = {
        "apt-get": "sudo apt-get install bubblewrap",
        "dnf": "sudo dnf install bubblewrap",
        "pacman": "sudo pacman -S bubblewrap",
        "zypper": "sudo zypper install bubblewrap",
        "apk": "sudo apk add bubblewrap",
        "xbps-install": "sudo xbps-install bubblewrap",
        "nix-env": "nix-env -iA nixpkgs.bubblewrap",
    }
    for manager, command in commands.items():
        if shutil.which(manager):
            return f"Install it with: {command}"
    return "Install the package bubblewrap with your package manager."


def refused_hint() -> str:
    """What permits unprivileged user namespaces, by what forbids them here."""
    for path, bad, command in (
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
    ):
        with contextlib.suppress(OSError):
            if Path(path).read_text().strip() == bad:
                return f"Allow user namespaces with: sudo sysctl kernel.{command}"
    return "A container may forbid it: run with user namespaces allowed."
