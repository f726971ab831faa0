"""What the `/commands` do. Each is a method of its name; what it has to say is told in the conversation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING, cast

from textual.content import Content

from ..agent import shown
from ..errors import LocalAgentError
from ..store import paths
from ..values import Mode
from . import commands, look, rewind, wording
from .pinned import Plan
from .showing import Showing
from .view import MODES, Said
from .windows import Picker, Reader, Row
from .words import mark, n_of, t, translated

if TYPE_CHECKING:
    from ..store.journal import Journal, Undone
    from .app import LocalAgentApp

_KEY_WIDTH = 24
# Of so many steps it is looked what was changed since a message.
_SINCE = 500


class Doing:
    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app
        self._folder = str(app.house.folder)
        self.showing = Showing(app)

    async def command(self, name: str, argument: str) -> None:
        """Carry out `/name argument`."""
        known = {command.name for command in commands.COMMANDS}
        if name not in known:
            near = commands.matching(name)
            hint = t("Did you mean /{name}?", name=near[0].name) + " " if near else ""
            told = t("There is no command /{name}. {hint}/help lists them.", name=name, hint=hint)
            self._tell(told, "warning")
            return
        try:
            await self._commands()[name](argument)
        except LocalAgentError as error:
            self._tell(str(error), "error")
        except Exception as error:  # noqa: BLE001 - a command that fails takes neither the app nor the conversation with it
            self._app.failed(error)

    def soon(self, name: str) -> None:
        self._app.run_worker(self.command(name, ""))

    def _commands(self) -> dict[str, Callable]:
        from . import archive, context, keeping

        return {
            "help": self._help,
            "undo": self._undo,
            "redo": self._redo,
            "rewind": self._rewind,
            "plan": self._plan,
            "changes": self._changes,
            "trust": self._trust,
            "remember": keeping.Keeping(self._app).remember,
            "forget": keeping.Keeping(self._app).forget,
            "skills": self._skills,
            **{name: self._recipe(name) for name in ("save", "run")},
            "outbox": self._outbox,
            "jobs": self._jobs,
            "mcp": self._mcp,
            "mode": self._mode,
            "bigger": self._bigger,
            "new": self._new,
            "theme": self._theme,
            "copy": self._copy,
            "quit": self._quit,
            **archive.commands(lambda: self._app),
            **context.Contexts(self._app).commands(),
            **self._app.machine.commands(),
            **Showing(self._app).commands(),
        }

    def _tell(self, text: str, level: str = "info") -> None:
        self._app.driver.tell(text, level)

    def own(self, command: str) -> None:
        """`!command`: in the person's own shell."""
        if not command:
            self._tell(t("Write the command behind the `!`, as in `!git status`."))
        elif not self._app.driver.run_own(command):
            self._tell(t("Your last command still runs; Esc stops it."), "warning")

    # ------------------------------------------------------------ help

    def help(self) -> None:
        about = [(f"/{c.name} {c.argument}".rstrip(), translated(c.does)) for c in commands.COMMANDS]
        keys, asking = ([(translated(a), translated(b)) for a, b in one] for one in (commands.KEYS, commands.ASKING_KEYS))
        parts = ((t("Commands"), about), (t("Keys"), keys), (t("When you are asked"), asking))
        # On a narrow screen the window takes all of it.
        wide = self._app.size.width
        width = max(20, (wide - 6 if wide < look.NARROW else min(100, int(wide * 0.9)) - 8) - _KEY_WIDTH)
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
            self._tell(t("The agent is at work; Esc stops it, then try again."), "warning")
            return False
        return True

    def _journal(self) -> Journal:
        from ..store.journal import Journal

        session = self._app.driver.session
        return session.setting.journal if session is not None else Journal(paths.state_dir() / "journal")

    async def _undo(self, argument: str) -> None:
        await self._turn_back(argument, self._journal().undo, mark("Undid step {number} ({name}): {files}"), False)

    async def _redo(self, argument: str) -> None:
        await self._turn_back(argument, self._journal().redo, mark("Did again step {number} ({name}): {files}"), True)

    async def _turn_back(self, argument: str, act: Callable[..., Undone], sentence: str, again: bool) -> None:
        if argument and not argument.isdecimal():
            self._tell(t("Name the number of a step, as /changes shows it."), "warning")
        elif self._idle():
            number = int(argument) if argument else None
            done = await asyncio.to_thread(lambda: act(number, within=self._app.house.folder))
            self._tell(*_told(done, sentence, self._folder))
            if done.restored:
                self._app.driver.took_back(done.step.number, done.restored, again)

    async def _rewind(self, _: str) -> None:
        session = self._app.driver.session
        if not self._idle() or session is None:
            return
        steps = await asyncio.to_thread(self._journal().steps, _SINCE)
        found = rewind.points(self._app.driver.view.all, steps, session.id)
        if not found:
            self._tell(t("Nothing was asked yet."))
        elif len(self._app.screen_stack) == 1:
            self._app.push_screen(rewind.Rewind(found, self._folder), self._go_back)

    def _go_back(self, chosen: rewind.Chosen | None) -> None:
        if chosen is not None and self._idle():
            self._app.run_worker(self._gone_back(chosen))

    async def _gone_back(self, chosen: rewind.Chosen) -> None:
        point, prompt = chosen.point, self._app.prompt
        try:
            self._app.driver.rewind(point.to, () if chosen.undo else point.paths)
        except LocalAgentError as error:
            self._tell(str(error), "error")
            return
        # What was being written is not lost: Up brings it back.
        prompt.remember(prompt.whole())
        prompt.clear_all()
        prompt.set_text(point.text)
        prompt.focus()
        for step in point.steps if chosen.undo else ():
            await self.command("undo", str(step.number))

    async def _plan(self, _: str) -> None:
        if not self._app.screen_stack[0].query_one(Plan).fold():
            self._tell(t("The model has made no plan for what runs now."))

    async def _outbox(self, _: str) -> None:
        from ..store.outbox import Outbox
        from . import outbox

        session = self._app.driver.session
        post = session.setting.post if session is not None else None
        letters = outbox.Letters(Outbox(), post, self._app.run_worker, self._tell)
        self._app.push_screen(outbox.Messages(letters))

    async def _jobs(self, _: str) -> None:
        from . import jobs

        app = self._app
        await jobs.Works(app.push_screen, app.run_worker, self._tell, app.house.runner).open()

    async def _mcp(self, argument: str) -> None:
        from . import mcp

        await mcp.Servers(self._app).command(argument)

    async def _changes(self, _: str) -> None:
        from . import changes

        deeds = changes.Deeds(self._journal(), self._folder, self._why_not, self._app.driver.took_back)
        if await asyncio.to_thread(deeds.steps):
            self._app.push_screen(changes.Steps(deeds, self._tell))
        else:
            self._tell(t("Nothing was changed in this folder yet."))

    def _why_not(self) -> str:
        return t("The agent is at work; Esc stops it, then try again.") if self._app.driver.running else ""

    async def _trust(self, argument: str) -> None:
        await self._app.trusting.command(argument)

    async def _skills(self, argument: str) -> None:
        await self._app.skills.command(argument)

    def _recipe(self, name: str) -> Callable:
        from .recipes import Recipes

        return getattr(Recipes(self._app), name)

    # ------------------------------------------------------------ sessions and settings

    async def _mode(self, argument: str) -> None:
        if not argument:
            self._app.driver.next_mode()
        elif argument in MODES:
            self._app.driver.set_mode(cast("Mode", argument))
        else:
            self._tell(t("The modes are {names}.", names=", ".join(MODES)), "warning")

    async def _bigger(self, _: str) -> None:
        session = self._app.driver.session
        route = session.setting.route if session is not None else None
        if route is None or route.bigger is None or not route.wish():
            self._tell(t("There is no bigger model yet: name one with /settings bigger PROVIDER/NAME, and begin with /new."), "warning")
        else:
            self._tell(t("The next answer is to come from {model}. What would leave is shown first.", model=route.bigger.id))

    async def _new(self, _: str) -> None:
        if self._idle():
            self._app.driver.open()

    async def _theme(self, argument: str) -> None:
        if not argument:
            own = {theme: t("your own") for theme in self._app.own_themes}
            first = dict.fromkeys((*look.CYCLE, *own))
            names = [*first, *(name for name in sorted(self._app.available_themes) if name not in first)]
            rows = [Row(name, name, own.get(name, "")) for name in names]
            self._app.push_screen(Picker(t("Looks"), rows), self._wear)
        elif argument in self._app.available_themes:
            self._app.theme = argument
        else:
            self._tell(t("The looks are: {names}.", names=", ".join(sorted(self._app.available_themes))))

    def _wear(self, name: str | None) -> None:
        if name is not None:
            self._app.theme = name

    def next_theme(self) -> None:
        now = self._app.theme
        at = look.CYCLE.index(now) + 1 if now in look.CYCLE else 0
        self._app.theme = look.CYCLE[at % len(look.CYCLE)]

    async def _copy(self, _: str) -> None:
        last = next(
            (item for item in reversed(self._app.driver.view.all) if isinstance(item, Said) and item.text), None
        )
        if last is None:
            self._tell(t("There is no answer to copy yet."))
        else:
            self._app.copy_to_clipboard(last.text)
            self._app.notify(t("Copied the last answer."), timeout=2, markup=False)

    async def _quit(self, _: str) -> None:
        # Not from within the message that brought the command: leaving waits for those.
        self._app.run_worker(self._app.leave())


def _pair(left: str, right: str, width: int) -> list[Content]:
    """Two columns, each wrapped in its own."""
    lefts, rights = wording.wrapped(left, _KEY_WIDTH), wording.wrapped(right, width)
    pairs = zip_longest(lefts, rights, fillvalue="")
    return [Content.assemble((wording.padded(a, _KEY_WIDTH) + "  ", "bold"), (b, "$text-muted")) for a, b in pairs]


def _told(done: Undone, sentence: str, folder: str) -> tuple[str, str]:
    step = done.step
    if done.conflicts and not done.restored:
        told = "\n".join(shown.visible(one, lines=False) for one in done.conflicts)
        kept = t("Step {number} ({name}) was left as it is:", number=step.number, name=step.name)
        return f"{kept}\n{told}", "warning"
    names = [shown.visible(os.path.relpath(path, folder), lines=False) for path in done.restored[:12]]
    rest = len(done.restored) - 12
    more = " " + n_of(rest, "and {n} more", "and {n} more") if rest > 0 else ""
    left = "\n".join(shown.visible(one, lines=False) for one in done.conflicts)
    text = translated(sentence, number=step.number, name=step.name, files=", ".join(names) + more)
    return (f"{text}\n{left}", "warning") if left else (text, "info")
