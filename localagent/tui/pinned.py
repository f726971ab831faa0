"""The plan of the running request, above the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widgets import Static

from ..values import PlanItem
from . import plan

# A lower screen shows one line of it until it is unfolded.
_ROOM = 20


class Plan(Static):
    """Folded and unfolded by a click or by `/plan`; on a low screen it begins folded."""

    def __init__(self) -> None:
        super().__init__("", id="plan", markup=False)
        self._shown_steps: tuple[PlanItem, ...] = ()
        self._around = (0, 0)
        self._fold_wanted: bool | None = None

    def show(self, steps: Sequence[PlanItem], width: int, height: int) -> None:
        """The steps to show now, none where there is no plan, on a screen of `height` rows."""
        if (tuple(steps), (width, height)) != (self._shown_steps, self._around):
            self._shown_steps, self._around = tuple(steps), (width, height)
            self._draw_plan()

    def fold(self) -> bool:
        """Fold it or unfold it; False where there is nothing to see."""
        self._fold_wanted = not self._is_folded
        self._draw_plan()
        return bool(self._shown_steps)

    def on_click(self) -> None:
        self.fold()

    @property
    def _is_folded(self) -> bool:
        return self._around[1] < _ROOM if self._fold_wanted is None else self._fold_wanted

    def _draw_plan(self) -> None:
        self.display = bool(self._shown_steps)
        if self._shown_steps:
            self.update(plan.pinned(self._shown_steps, self._around[0], self._is_folded))
