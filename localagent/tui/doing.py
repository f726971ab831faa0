"""What the `/commands` do. Each is a method of its name; what it has to say is told in the conversation."""

from __future__ import annotations

import asyncio
import os
import textwrap
from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING, cast

from textual.content import Content

from ..agent import shown
from ..errors import LocalAgentError
from ..store import paths
from ..values import Mode
from . import commands, look
from .view import MODES, Said
from .windows import Reader
from .words import t

if TYPE_CHECKING:
    from ..store.journal import Journal, Undone
    from .app import LocalAgentApp

_KEY_WIDTH = 24


class Doing:
    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app
        self._folder = str(app.house.folder)

    async def command(self, name: str, argument: str) -> None:
        """Carry out `/name argument`."""
        known = {command.name for command in commands.COMMANDS}
        if name not in known:
            near = commands.matching(name)
            hint = f" Did you mean /{near[0].name}?" if near else ""
            self._tell(f"There is no command /{name}.{hint} /help lists them.", "warning")
            return
        try:
            await self._commands()[name](argument)
        except LocalAgentError as error:
            self._tell(str(error), "error")

    def soon(self, name: str) -> None:
        self._app.run_worker(self.command(name, ""))

    def _commands(self) -> dict[str, Callable]:
        from . import archive

        return {
            "help": self._help,
            "undo": self._undo,
            "redo": self._redo,
            "changes": self._changes,
            "trust": self._trust,
            "outbox": self._outbox,
            "mode": self._mode,
            "new": self._new,
            "theme": self._theme,
            "copy": self._copy,
            "quit": self._quit,
            **archive.commands(lambda: self._app),
            **self._app.machine.commands(),
        }

    def _tell(self, text: str, level: str = "info") -> None:
        self._app.driver.tell(text, level)

    def own(self, command: str) -> None:
        """`!command`: in the person's own shell."""
        if not command:
            self._tell("Write the command behind the `!`, as in `!git status`.")
        elif not self._app.driver.run_own(command):
            self._tell("Your last command still runs; Esc stops it.", "warning")

    # ------------------------------------------------------------ help

    def help(self) -> None:
        about = [(f"/{c.name} {c.argument}".rstrip(), c.does) for c in commands.COMMANDS]
        parts = (("Commands", about), ("Keys", commands.KEYS), ("When you are asked", commands.ASKING_KEYS))
        width = max(20, min(100, int(self._app.size.width * 0.9)) - _KEY_WIDTH - 8)
        lines: list[Content] = []
        for heading, pairs in parts:
            lines += [Content.assemble((heading, "bold $text-primary"))]
            lines += [line for pair in pairs for line in _pair(*pair, width)]
            lines += [Content("")]
        self._app.push_screen(Reader("localagent", lines[:-1]))

    async def _help(self, _: str) -> None:
        self.help()

    # ------------------------------------------------------------ undo

    def _idle(self) -> bool:
        if self._app.driver.running:
            self._tell("The agent is at work; Esc stops it, then try again.", "warning")
            return False
        return True

    def _journal(self) -> Journal:
        from ..store.journal import Journal

        session = self._app.driver.session
        return session.setting.journal if session is not None else Journal(paths.state_dir() / "journal")

    async def _undo(self, argument: str) -> None:
        await self._turn_back(argument, self._journal().undo, "Undid")

    async def _redo(self, argument: str) -> None:
        await self._turn_back(argument, self._journal().redo, "Did again")

    async def _turn_back(self, argument: str, act: Callable[..., Undone], verb: str) -> None:
        if argument and not argument.isdecimal():
            self._tell("Name the number of a step, as /changes shows it.", "warning")
        elif self._idle():
            number = int(argument) if argument else None
            done = await asyncio.to_thread(lambda: act(number, within=self._app.house.folder))
            self._tell(*_told(done, verb, self._folder))

    async def _outbox(self, _: str) -> None:
        from ..store.outbox import Outbox
        from . import outbox

        session = self._app.driver.session
        post = session.setting.post if session is not None else None
        letters = outbox.Letters(Outbox(), post, self._app.run_worker, self._tell)
        self._app.push_screen(outbox.Messages(letters))

    async def _changes(self, _: str) -> None:
        from . import changes

        deeds = changes.Deeds(self._journal(), self._folder, self._why_not)
        if await asyncio.to_thread(deeds.steps):
            self._app.push_screen(changes.Steps(deeds, self._tell))
        else:
            self._tell("Nothing was changed in this folder yet.")

    def _why_not(self) -> str:
        return t("The agent is at work; Esc stops it, then try again.") if self._app.driver.running else ""

    async def _trust(self, argument: str) -> None:
        await self._app.trusting.command(argument)

    # ------------------------------------------------------------ sessions and settings

    async def _mode(self, argument: str) -> None:
        if not argument:
            self._app.driver.next_mode()
        elif argument in MODES:
            self._app.driver.set_mode(cast("Mode", argument))
        else:
            self._tell(f"The modes are {', '.join(MODES)}.", "warning")

    async def _new(self, _: str) -> None:
        if self._idle():
            self._app.driver.open()

    async def _theme(self, argument: str) -> None:
        if not argument:
            self.next_theme()
        elif argument in self._app.available_themes:
            self._app.theme = argument
        else:
            self._tell(f"The looks are: {', '.join(sorted(self._app.available_themes))}.")

    def next_theme(self) -> None:
        now = self._app.theme
        at = look.CYCLE.index(now) + 1 if now in look.CYCLE else 0
        self._app.theme = look.CYCLE[at % len(look.CYCLE)]

    async def _copy(self, _: str) -> None:
        last = next(
            (item for item in reversed(self._app.driver.view.all) if isinstance(item, Said) and item.text), None
        )
        if last is None:
            self._tell("There is no answer to copy yet.")
        else:
            self._app.copy_to_clipboard(last.text)
            self._app.notify("Copied the last answer.", timeout=2, markup=False)

    async def _quit(self, _: str) -> None:
        # Not from within the message that brought the command: leaving waits for those.
        self._app.run_worker(self._app.leave())


def _pair(left: str, right: str, width: int) -> list[Content]:
    """Two columns, each wrapped in its own."""
    lefts, rights = textwrap.wrap(left, _KEY_WIDTH) or [""], textwrap.wrap(right, width) or [""]
    pairs = zip_longest(lefts, rights, fillvalue="")
    return [Content.assemble((f"{a:{_KEY_WIDTH}}  ", "bold"), (b, "$text-muted")) for a, b in pairs]


def _told(done: Undone, verb: str, folder: str) -> tuple[str, str]:
    step = done.step
    if done.conflicts and not done.restored:
        told = "\n".join(shown.visible(sentence, lines=False) for sentence in done.conflicts)
        return f"Step {step.number} ({step.name}) was left as it is:\n{told}", "warning"
    names = [shown.visible(os.path.relpath(path, folder), lines=False) for path in done.restored[:12]]
    more = f" and {len(done.restored) - 12} more" if len(done.restored) > 12 else ""
    left = "\n".join(shown.visible(sentence, lines=False) for sentence in done.conflicts)
    text = f"{verb} step {step.number} ({step.name}): {', '.join(names)}{more}"
    return (f"{text}\n{left}", "warning") if left else (text, "info")
