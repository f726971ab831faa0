"""The questions of a session to the person at this screen: one window at a time, the others wait."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from ..values import Answer, Change, Decision, ToolCall
from . import effect
from .approval import Approval, Question

if TYPE_CHECKING:
    from .app import LocalAgentApp


class Asking:
    """`questions` are those that are open, the oldest first."""

    def __init__(self, app: LocalAgentApp) -> None:
        self._app = app
        self.questions: list[Question] = []

    async def approve(self, call: ToolCall, decision: Decision, changes: tuple[Change, ...]) -> Answer:
        """The session's Approver: the person at this screen."""
        home = os.path.realpath(os.path.expanduser("~"))
        rows = await asyncio.to_thread(effect.rows, call, changes, str(self._app.house.folder), home)
        question = Question(call, decision, changes, rows)
        self.questions.append(question)
        try:
            self._ask()
            return await question.answer
        finally:
            self.questions.remove(question)
            self._close(question)

    def _ask(self) -> None:
        """Show the oldest open question, unless one is shown."""
        shown_now = next((screen for screen in self._app.screen_stack if isinstance(screen, Approval)), None)
        if shown_now is not None:
            shown_now.others_changed()
        elif open_now := [one for one in self.questions if not one.answer.done()]:
            question = open_now[0]
            self._app.bell()
            window = Approval(question, lambda: self.questions)
            self._app.push_screen(window, lambda answer: self._answered(question, answer))

    def _answered(self, question: Question, answer: Answer | None) -> None:
        if answer is not None and not question.answer.done():
            question.answer.set_result(answer)
        self._app.call_later(self._ask)

    def _close(self, question: Question) -> None:
        """The question is settled, by its answer or because the run was stopped: its window goes."""
        for screen in list(self._app.screen_stack):
            if isinstance(screen, Approval) and screen.question is question:
                while self._app.screen_stack[-1] is not screen:
                    self._app.pop_screen()
                screen.close()
            elif isinstance(screen, Approval):
                screen.others_changed()
