"""Skills in the app: a new or changed one is offered, shown whole, and used when a person confirms its bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.content import Content

from ..agent import shown
from ..errors import LocalAgentError
from ..store import agreed
from .trust import Looked
from .windows import Picker, Row
from .words import t

if TYPE_CHECKING:
    from ..toolbox.skills import Found
    from .app import LocalAgentApp


class Skills:
    """What the app does about skills. `offer` looks at all of them; call it when something may have changed."""

    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app
        self._offered: set[tuple[str, str, tuple[str, ...]]] = set()

    async def look(self) -> list[Found]:
        """The skills as they are now. Raises ConfigError."""
        from ..toolbox import skills

        return await asyncio.to_thread(skills.look, self._app.house.folder)

    async def offer(self) -> None:
        """A toast for each skill that is not what was confirmed, once for each content."""
        try:
            found = await self.look()
        except LocalAgentError as error:
            self._app.driver.tell(str(error), "warning")
            return
        for one in found:
            key = (str(one.place.folder), one.sha256, one.problems)
            if one.state == "on" or key in self._offered:
                continue
            self._offered.add(key)
            name = shown.visible(one.name, lines=False)
            if one.problems:
                problem = shown.visible(" ".join(one.problems), lines=False)
                self._app.driver.tell(t("The skill {name} cannot be used: {problem}", name=name, problem=problem), "warning")
            elif one.state == "changed":
                text = t("The skill {name} was changed; its earlier version is used. /skills shows it and asks.", name=name)
                self._app.notify(text, timeout=10, markup=False)
            elif one.place.whose == "folder":
                text = t("This folder brings the skill {name}; it is off. /skills shows it and asks.", name=name)
                self._app.notify(text, timeout=10, markup=False)
            else:
                self._app.notify(t("The skill {name} is new, and off. /skills shows it and asks.", name=name), timeout=10, markup=False)

    async def command(self, argument: str) -> None:
        """`/skills [NAME]`: all of them, or one of them whole."""
        from ..toolbox import skills

        found = await self.look()
        if argument:
            self._show(skills.find(argument, found))
            return
        if not found:
            told = t("There are no skills. They are folders with a SKILL.md in {folder}", folder=str(skills.own_folder()))
            self._app.driver.tell(told)
            return
        by_place = {str(one.place.folder): one for one in found}
        rows = [Row(place, shown.visible(one.name, lines=False), _about(one)) for place, one in by_place.items()]
        self._app.push_screen(Picker(t("Skills"), rows), lambda place: self._show(by_place[place]) if place else None)

    def _show(self, one: Found) -> None:
        window = Looked(t("The skill {name}", name=shown.visible(one.name, lines=False)), lines_of(one), keys_of(one))
        self._app.push_screen(window, lambda key: self._app.run_worker(self._answered(one, key)) and None)

    async def _answered(self, one: Found, key: str | None) -> None:
        from ..toolbox import skills

        name = shown.visible(one.name, lines=False)
        try:
            if key == "x":
                await asyncio.to_thread(agreed.withdraw, "skills", one.place.folder)
                self._app.driver.tell(t("The skill {name} is off.", name=name))
            elif key == "y":
                await asyncio.to_thread(skills.agree, one)
                self._app.driver.tell(t("The skill {name} is on, from the next request on.", name=name))
        except LocalAgentError as error:
            self._app.driver.tell(str(error), "error")


def _about(one: Found) -> str:
    state = t("cannot be used") if one.problems else {"on": t("on"), "off": t("off"), "changed": t("changed")}[one.state]
    origin = t("of this folder") if one.place.whose == "folder" else ""
    return " · ".join(filter(None, (state, origin, shown.visible(one.now.description, lines=False))))


def keys_of(one: Found) -> dict[str, str]:
    keys = {} if one.state == "on" or one.problems else {"y": t("has it on, exactly as it is here")}
    return keys if one.running is None else {**keys, "x": t("has it off")}


def lines_of(one: Found) -> list[Content]:
    """Its facts, then all of its text: what was not shown cannot be agreed to."""
    from ..toolbox import skills

    return [Content(shown.visible(line, lines=False)) for line in (*skills.told(one), *skills.text_of(one))]
