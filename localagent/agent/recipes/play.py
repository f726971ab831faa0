"""A recipe in the place of a model: its steps are the answers while its checks hold, and where one fails the model answers.

Every step is a call as a model's would be: judged, shown, asked about, run, committed and written down by the same dispatch.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engine.base import Delta, Engine, Options
from ...errors import CheckFailed, LocalAgentError, UsageError
from ...events import Event, MessageDone, Notice, Nudged
from ...policy.marks import Marks
from ...policy.shell_fill import Misplaced, Value
from ...store.recipes import Check, Recipe, Step
from ...values import Message, Text, ToolCall, ToolResult, ToolSpec
from .. import shown
from . import checks, fill

if TYPE_CHECKING:
    from ..session import Session

_SHOWN = 600
_DID = frozenset({"changed", "ran", "sent", "scheduled"})
_ACTS = frozenset({"write:fs", "send", "persist"})


class Play:
    """One run of a recipe: an engine (`base.Engine`) and what the loop asks besides (`turn.Script`).

    `open_engine` makes the model's engine, and is called where a check fails and not before; None: no model may be asked.
    A recipe that is not the user's `own`, byte for byte, is text that others may have written: what goes out asks.
    Raises UsageError where a value cannot be put in.
    """

    def __init__(
        self, recipe: Recipe, given: Mapping[str, str], folder: Path, open_engine: Callable[[], Engine] | None, *, own: bool = True
    ) -> None:
        self.recipe = recipe
        self._foreign = not own
        values = fill.settled(recipe, given, str(folder))
        self.goal = fill.plain(recipe.goal, values)
        self.steps = [_filled(step, n, values) for n, step in enumerate(recipe.steps, 1)]
        self.playing = True
        self._folder = folder
        self._open = open_engine
        self._engine: Engine | None = None
        self._dry = False
        self._mask: Callable[[Any], Any] = lambda value: value
        self._tools: Callable[[str], ToolSpec | None] | None = None
        self._next = 0
        self._made: list[int] = []
        self._waiting = False
        self._stopped = ""
        self._results: list[ToolResult] = []
        # Where the model took over: the step, whether that was made, and how long the history was.
        self._handed: tuple[int, bool, int] | None = None
        self._seen: set[int] = set()
        self._urged = False
        self._well = True

    @property
    def script(self) -> Play:
        """How the loop knows that this is no model (`turn.script`)."""
        return self

    def __getattr__(self, name: str) -> Any:
        """What the model's engine can do besides, once it is there."""
        engine = self.__dict__.get("_engine")
        if engine is None or name.startswith("_"):
            raise AttributeError(name)
        return getattr(engine, name)

    @property
    def model(self) -> str:
        return self._engine.model if self._engine is not None else f"recipe {self.recipe.name}"

    @property
    def awake(self) -> bool:
        """Whether the model's engine was made."""
        return self._engine is not None

    @contextmanager
    def within(self, session: Session) -> Iterator[None]:
        """In the model's place for one turn of a conversation, which the model goes on with."""
        was = session.setting
        self.begin(session)
        try:
            yield
        finally:
            # Another model may have been chosen meanwhile.
            engine = was.engine if session.setting.engine is self else session.setting.engine
            session.setting = replace(session.setting, engine=engine, budget=was.budget)

    def begin(self, session: Session) -> None:
        """Take the place of the session's model."""
        setting = session.setting
        self._dry, self._mask, self._tools = setting.dry_run, setting.masks.mask_in, setting.registry.spec
        more = 2 * len(self.steps) + 2
        budget = replace(setting.budget, turns=_more(setting.budget.turns, more), calls=_more(setting.budget.calls, more))
        session.setting = replace(setting, engine=self, budget=budget)

    # ------------------------------------------------------------ what the loop asks

    async def before(self, history: Sequence[Message]) -> list[Event]:
        """Called before each answer with the messages of the turn. Raises CheckFailed where no model may be asked."""
        if not self.playing or self._stopped:
            return []
        if self._foreign:
            self._foreign = False
            told = f"The recipe {self.recipe.name} is not as you kept it, so it counts as text of others: what goes out is asked about."
            return [
                Notice(f"{told} Look at it and confirm it: localagent recipes trust {self.recipe.name}", "warning"),
                Nudged("The request stands in a file that others may have written.", marks=Marks(untrusted=True).names),
                *await self.before(history),
            ]
        number, made = self._next, False
        why = "the person said something meanwhile" if any(one.role == "steer" for one in history) else ""
        if self._waiting:
            self._waiting = False
            result = next((one.result for one in reversed(history) if one.result is not None), None)
            if result is None or result.status in ("denied", "cancelled"):
                said = " ".join(result.text.split())[:_SHOWN] if result is not None else "it has no result"
                self._stopped = f"Step {number + 1} of {len(self.steps)} was not done, and the recipe stopped there. {said}"
                return []
            self._results.append(result)
            why = why or await asyncio.to_thread(self._after, number, result)
            made = True
            if not why:
                self._made.append(number)
                self._next += 1
        if not why and self._next < len(self.steps):
            number, made = self._next, False
            why = await asyncio.to_thread(self._before, number)
        if not why:
            return []
        return await self._hand_over(number, made, why, len(history))

    async def goes_on(self, history: Sequence[Message]) -> Nudged | None:
        """Called when the model has nothing more to call: the recipe's other steps, or a word to the model to do them."""
        if self.playing or self._handed is None or any(one.role == "steer" for one in history):
            return None
        number, made, begun = self._handed
        self._well = await asyncio.to_thread(self._mended, number, made, history[begun:])
        if self._well:
            self._next = number + 1
            if self._next >= len(self.steps):
                return None
            if not await asyncio.to_thread(self._before, self._next):
                self.playing = True
                return Nudged(f"The recipe goes on with step {self._next + 1}.")
        if self._urged:
            return None
        self._urged = True
        told = (
            "The recipe cannot go on by itself, for what its next steps need is not there. Do what is left of the request yourself, "
            f"or say what is in the way. What the recipe would do:\n{self._listed(number)}"
        )
        return Nudged(self._mask(told))

    def over(self, denied: bool) -> None:
        """The turn is at its end. Raises where the recipe is not done, which its exit code has to say."""
        if self._stopped:
            if not denied:
                raise LocalAgentError(f"The recipe {self.recipe.name} was not done to its end.")
            return
        if self.playing or self._handed is None or denied:
            return
        number = self._handed[0]
        if not self._well:
            raise CheckFailed(f"Step {number + 1} of the recipe {self.recipe.name} did not go well, and the model has not mended it.")
        for at, step in enumerate(self.steps[number:], number + 1):
            for check in step.after if not self._dry else ():
                if check.what in checks.ON_DISK and (why := checks.failing(check, self._folder)):
                    raise CheckFailed(f"A check of the recipe {self.recipe.name} fails still, in step {at}: {self._mask(why)}.")

    async def _hand_over(self, number: int, made: bool, why: str, length: int) -> list[Event]:
        step = self.steps[number]
        why = self._mask(why)
        what = f"Step {number + 1} of the recipe {self.recipe.name} ({step.tool}): {why}."
        if self._open is None:
            raise CheckFailed(what, "Without --no-model the model would be asked to go on.")
        if number in self._seen:
            raise CheckFailed(what, "The model was asked about this step already.")
        self._seen.add(number)
        if self._engine is None:
            try:
                self._engine = await asyncio.to_thread(self._open)
            except LocalAgentError as error:
                error.message = f"{what} The model is needed now. {error.message}"
                raise
        leaves = getattr(self._engine, "leaves", "")
        self.playing, self._handed, self._urged = False, (number, made, length), False
        rest = self._listed(number + 1)
        told = [
            "The calls above were made by a saved recipe and not by you. It stops here, for one of its checks does not hold.",
            f"Step {number + 1} of {len(self.steps)} {'was made' if made else 'was not made'}: {_line(step)}",
            f"What is wrong: {why}.",
            "Look at what is there, and do now what this step is for, in another way if need be. Do nothing that is done already.",
            f"Then say so in one sentence, and the recipe makes the rest by itself:\n{rest}" if rest else "Then answer the request.",
        ]
        notices = [Notice(one, "warning") for one in (f"{what} The model goes on.", leaves) if one]
        return [*notices, Nudged(self._mask("\n".join(told)))]

    def _listed(self, start: int) -> str:
        return "\n".join(f"{n}. {_line(step)}" for n, step in enumerate(self.steps[start:], start + 1))[: 4 * _SHOWN]

    # ------------------------------------------------------------ checks

    def _before(self, number: int) -> str:
        step = self.steps[number]
        if self._tools is not None and self._tools(step.tool) is None:
            return f"there is no tool {step.tool}"
        # In a dry run nothing is made: what earlier steps would leave is taken as they say.
        would = {str(one.value): one.what for at in self._made for one in self.steps[at].after} if self._dry else {}
        for check in step.before:
            if str(check.value) in would:
                if would[str(check.value)] != check.what:
                    return f"{check.value} would not be as it should"
            elif why := checks.failing(check, self._folder):
                return why
        return ""

    def _after(self, number: int, result: ToolResult) -> str:
        if result.status == "failed":
            return f"it failed: {shown.first_line(result)}"
        wanted = [check for check in self.steps[number].after if not self._dry or check.what == "exit_code"]
        return next((why for check in wanted if (why := checks.failing(check, self._folder, result))), "")

    def _mended(self, number: int, made: bool, since: Sequence[Message]) -> bool:
        """Whether what the step is for is there now: by its checks on the disk, else because the model has done something."""
        step = self.steps[number]
        lasting = [check for check in step.after if check.what in checks.ON_DISK]
        if any(checks.failing(check, self._folder) for check in lasting):
            return False
        # Something that was there too early is no sign that the step was done.
        early = {check.value for check in step.before if check.what == "absent"} & {check.value for check in lasting}
        if lasting and not made and not early:
            return True
        names = {call.id: call.name for message in since for call in message.calls}
        return any(self._acts(names.get(one.result.call_id, ""), one.result) for one in since if one.result is not None)

    def _acts(self, name: str, result: ToolResult) -> bool:
        """Whether a call did something, or found that there was nothing left to do."""
        spec = self._tools(name) if self._tools is not None else None
        writes = spec is not None and not _ACTS.isdisjoint(spec.effects)
        return result.status == "ok" and (writes or any(receipt.kind in _DID for receipt in result.receipts))

    # ------------------------------------------------------------ the engine

    async def stream(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options
    ) -> AsyncGenerator[Delta, None]:
        if self.playing:
            yield MessageDone(self._answer())
            return
        assert self._engine is not None
        async for delta in self._engine.stream(messages, specs, options):
            yield delta

    async def prepare(self, messages: Sequence[Message], specs: Sequence[ToolSpec], options: Options) -> None:
        """No model is loaded before one is needed."""
        if self._engine is not None:
            await self._engine.prepare(messages, specs, options)

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.close()

    def _answer(self) -> Message:
        if self._stopped:
            return Message("assistant", (Text(self._stopped),))
        if self._next >= len(self.steps):
            return Message("assistant", (Text(self._final()),))
        step = self.steps[self._next]
        self._waiting = True
        return Message("assistant", calls=(ToolCall("", step.tool, self._mask(dict(step.args))),))

    def _final(self) -> str:
        """What the last step says where the recipe only looks, else what was done."""
        receipts = [receipt for one in self._results for receipt in one.receipts]
        if self._results and not self._dry and all(receipt.kind == "ran" for receipt in receipts):
            return self._results[-1].text.strip() or "Done."
        steps = f"{len(self._made)} step{'s' if len(self._made) != 1 else ''}"
        by = "without the model" if self._handed is None else "the rest by the model"
        return f"Done: the recipe {self.recipe.name}, {steps}, {by}."


def _more(budget: int, more: int) -> int:
    return budget + more if budget > 0 else 0


def _filled(step: Step, number: int, values: Mapping[str, Value]) -> Step:
    try:
        args = fill.arguments(step, values)
    except Misplaced as error:
        raise UsageError(f"Step {number} ({step.tool}) cannot be made: {error}.") from None

    def filled(wanted: Sequence[Check]) -> tuple[Check, ...]:
        return tuple(fill.check(one, values) for one in wanted)

    return Step(step.tool, args, filled(step.before), filled(step.after))


def _line(step: Step) -> str:
    return f"{step.tool} {json.dumps(dict(step.args), ensure_ascii=False, default=str)}"[:_SHOWN]
