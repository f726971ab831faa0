"""A notification on this desktop: `notify-send` on Linux, `osascript` on macOS. It is handed over, and no more is known."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import ChannelError, LocalAgentError
from ..sandbox import launch
from ..values import Outgoing, Sent
from .base import Health
from .fields import Field, word
from .judging import Ask, failed, quiet, unsendable

TEXT_CHARACTERS = 4000
_WAIT_S = 10
# What leads to the user's own session, beside what every program of ours gets.
_SESSION = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
# The words are arguments, never a part of the script.
_SCRIPT = (
    *("-e", "on run argv"),
    *("-e", "display notification (item 2 of argv) with title (item 1 of argv)"),
    *("-e", "end run"),
)

FIELDS = (Field("title", "the title of notifications without a subject (else localagent)"),)


def make(name: str, config: Mapping[str, Any], secret: Ask) -> Desktop:
    """Needs no secret."""
    return Desktop(name, word(config, "title") or "localagent")


class Desktop:
    """It reaches whoever sits at this machine, whatever the address of a message."""

    kind = "desktop"
    idempotent = False

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self._title = title

    async def send(self, message: Outgoing) -> Sent:
        if (no := unsendable(message, files=0, service="the desktop")) is not None:
            return no
        if len(message.text) > TEXT_CHARACTERS:
            return failed(f"the text is too long: {len(message.text):,} characters, and {TEXT_CHARACTERS:,} are the most")
        try:
            argv = command(sys.platform, message.subject or self._title, message.text)
            done = await launch.run(
                argv, profile=None, cwd="/", env=_environment(), limits=launch.Limits(_WAIT_S, 0, 0, 0, 64)
            )
        except LocalAgentError as error:
            return failed(str(error))
        said = quiet(done.output.decode(errors="replace"))
        if done.ended:
            return Sent("unconfirmed", detail=f"the desktop did not answer within {_WAIT_S} s")
        if done.code != 0:
            return failed(f"the desktop refuses the notification: {said or f'exit code {done.code}'}")
        return Sent("handed over")

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        try:
            program = command(sys.platform, "", "")[0]
        except ChannelError as error:
            return Health(False, str(error))
        if sys.platform != "darwin" and not any(os.environ.get(name) for name in _SESSION[:2]):
            return Health(False, "There is no desktop session here.")
        return Health(True, f"Notifications are handed to {program}.", True)

    async def aclose(self) -> None: ...


def command(platform: str, title: str, text: str) -> list[str]:
    """The program and its arguments. ChannelError where this system has none."""
    if platform == "darwin":
        return [_found("osascript", "It belongs to macOS."), *_SCRIPT, title, text]
    if platform.startswith("win"):
        raise ChannelError("Notifications on Windows are not supported yet.")
    program = _found("notify-send", "Install it: libnotify-bin on Debian and Ubuntu, libnotify elsewhere.")
    # Bodies are read as markup, titles are not.
    body = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return [program, "--app-name=localagent", "--", " ".join(title.split()) or "localagent", body]


def _found(program: str, hint: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ChannelError(f"The program {program} is missing.", hint)
    return os.path.abspath(path)


def _environment() -> dict[str, str]:
    return launch.clean_env({name: os.environ[name] for name in _SESSION if name in os.environ})
