"""The plan of one turn and its checks: the host looks whether what is said to be done is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

from ..errors import UsageError
from ..events import ApprovalAsked, ApprovalGiven, Event, Nudged, PlanUpdated, ToolFinished
from ..policy import decide
from ..policy.context import Context
from ..toolbox import checking, checks, planning
from ..toolbox.checks import Check
from ..values import Answer, Checked, PlanItem, Receipt, Text, ToolCall, ToolSpec
from . import agreement, asking, record, shown
from .agreement import Agreement
from .dispatch import Hands, dispatch
from .tally import Tally

CHANCES = 2
"""How often a model that says it has finished hears that a check fails."""
UNMET = "It is not finished, for a check fails:"
_QUIET = 6
_SECONDS = 60
_TOLD = 300
_READER = ToolSpec("read_file", "", {"type": "object", "properties": {"path": {"type": "string"}}}, ("read:fs",))


@dataclass(slots=True)
class Checklist:
    """`given` are the user's own checks. `items` is the plan as it stands, () without one; `looked` says that nothing happened since
    the checks were run."""

    given: Sequence[Check]
    hands: Hands
    tally: Tally
    agreed: Agreement | None = None
    items: tuple[PlanItem, ...] = ()
    chances: int = CHANCES
    looked: bool = False
    _own: tuple[Checked, ...] = ()
    _since: int = 0
    _told_open: bool = False
    # What a command's check gave, after so many calls: it is not run again for nothing.
    _known: dict[str, tuple[int, str]] = field(default_factory=dict)
    _marks: tuple[str, ...] = ()
    # Plans that were asked about and not agreed to.
    _refused: set[str] = field(default_factory=set)

    def opening(self) -> str:
        """What the model hears before it begins, "" for nothing."""
        return agreement.opening(lambda: self.hands.policy().mode, self.hands.registry) if self.agreed is not None else ""

    @property
    def _proposing(self) -> bool:
        """Whether nothing can be done yet, for nobody agreed to the plan."""
        return self.hands.policy().mode == "plan"

    def heard(self) -> None:
        """The person said something new: there are chances again."""
        self.chances, self._told_open, self.looked = CHANCES, False, False

    async def called(self, finished: ToolFinished) -> AsyncGenerator[Event, None]:
        """A call of `plan` that went well: the steps as they really are, and the call's result with what comes next."""
        self._since = 0
        self.items = planning.items(finished.call.args, self.items)
        if not self.items:
            yield _answering(finished, "There is no plan in this request yet: call plan with its steps.", failed=True)
            return
        told: list[str] = []
        async for event in self._agreement(finished.call, told):
            yield event
        if self._proposing:
            self.items = tuple(replace(item, done=False) for item in self.items)
        else:
            await self._look([item.done for item in self.items], tick=False)
            told.append(self._next())
        yield _answering(finished, " ".join(told), marks=self._taken_marks())
        yield PlanUpdated(self.items, finished.call.id)

    async def _agreement(self, call: ToolCall, told: list[str]) -> AsyncGenerator[Event, None]:
        """In mode plan: ask a person about a plan that they have not agreed to; `told` is what the model hears of it."""
        agreed, made = self.agreed, agreement.digest(self.items)
        if agreed is None or agreed.digest == made or not (agreed.digest or self._proposing):
            return
        # Another plan than the one that was agreed to.
        agreed.withdraw()
        try:
            granted, later = agreement.parted(self.items, self.hands.workspace)
        except UsageError as error:
            told.append(f"The plan was not proposed: {error}")
            return
        if made in self._refused or not (granted or later):
            told.append("The user did not agree to this plan." if made in self._refused else agreement.NO_EFFECTS)
            return
        asked = agreement.question(call, self.items, granted, later)
        yield ApprovalAsked(asked, agreement.QUESTION)
        answer = asking.sound(await self.hands.approve(asked, agreement.QUESTION, ()), self.hands.masks)
        if answer.edited_args is not None:
            answer = Answer("deny", note="a plan is not edited; say what should be different", by_person=answer.by_person)
        yield ApprovalGiven(call.id, answer)
        verdict = replace(agreement.QUESTION, verdict=answer.verdict)
        self.hands.record("decided", self.hands.masks.mask_in(record.decided(asked, verdict, answer, (), made)))
        if answer.verdict == "allow":
            agreed.grant(made, granted)
            told.append("The user agreed to the plan. What it names can be done now, in this request; anything else asks.")
            return
        self._refused.add(made)
        note = f" ({answer.note})" if answer.note else ""
        no = f"The user did not agree{note}. Change the plan and call plan again, or answer."
        told.append(no if answer.by_person else agreement.ALONE)

    def _next(self) -> str:
        failing = [one for one in _checked(self.items) if one.ok is False]
        if failing:
            return f"Not done yet, for a check fails:\n{_listed(failing)}\nMend that, then call plan again."
        step = next((item for item in self.items if not item.done), None)
        return "Noted. All steps are done." if step is None else f"Noted. Now do: {step.text}"

    async def ended(self, *, again: bool, look: bool = True) -> AsyncGenerator[Event, None]:
        """The model has nothing more to call: every check is run, and with `again` it hears what fails or is left open."""
        if not look or not (self.items or self.given) or self._proposing:
            return
        before, self.looked = self.items, True
        await self._look([bool(item.checks) or item.done for item in self.items], tick=True)
        self._own = tuple([await self._run(Checked(str(check))) for check in self.given])
        self.tally.checks = [*_checked(self.items), *self._own]
        if self.items != before:
            yield PlanUpdated(self.items)
        failing = [one for one in self.tally.checks if one.ok is False]
        if not again:
            return
        if failing and self.chances > 0:
            self.chances -= 1
            last = " If that cannot be done, say so plainly." if not self.chances else ""
            told = f"{UNMET}\n{_listed(failing)}\nMend that with a call.{last}"
            yield Nudged(told, marks=self._taken_marks())
        elif (left := [item for item in self.items if not item.done]) and not failing and not self._told_open:
            self._told_open = True
            steps = "\n".join(f"- {item.text}" for item in left[:8])
            what = "Do the next one now, or call plan with done if they are done, or say why not."
            yield Nudged(f"Your plan has open steps:\n{steps}\n{what}")

    def stepped(self) -> Nudged | None:
        """Calls were made: the open step, for a model that has not looked at its plan for some of them."""
        self._since += 1
        self.looked = False
        step = next((item for item in self.items if not item.done), None)
        if step is None or self._since < _QUIET or self._proposing:
            return None
        self._since = 0
        number = self.items.index(step) + 1
        told = f"Step {number} of {len(self.items)} of your plan is open: {step.text}"
        return Nudged(f"{told} When it is done, call plan with done={number}.")

    async def _look(self, wanted: Sequence[bool], *, tick: bool) -> None:
        """Run the checks of the wanted steps. A step is done only where they hold, and with `tick` also where nobody said so."""
        made = []
        for item, look in zip(self.items, wanted, strict=True):
            if not look and item.checks:
                item = replace(item, checks=tuple(replace(one, ok=None, why="") for one in item.checks))
            elif item.checks:
                found = tuple([await self._run(replace(one, step=item.text)) for one in item.checks])
                holds = all(one.ok for one in found)
                item = replace(item, checks=found, done=holds and (item.done or tick))
            made.append(item)
        self.items = tuple(made)

    async def _run(self, one: Checked) -> Checked:
        try:
            check = checks.parse(one.check)
        except UsageError as error:
            return replace(one, ok=False, why=str(error))
        if check.kind == "exit_code":
            why = await self._command(check)
        elif check.kind == "receipt":
            why = _receipt(check, self.tally.receipts, str(self.hands.workspace))
        else:
            why = await asyncio.to_thread(_file, check, str(self.hands.workspace), self.hands.policy().at_once())
        return replace(one, ok=not why, why=self.hands.masks.mask(why))

    async def _command(self, check: Check) -> str:
        """By the tool `run`, with its rules, questions and sandbox; what it would change is thrown away."""
        spec = self.hands.registry.spec("run")
        if spec is None or "run" not in spec.effects or not spec.staged:
            return "there is no tool to run commands with"
        known = self._known.get(str(check))
        if known is not None and known[0] == self.tally.calls:
            return known[1]
        call = ToolCall(f"check_{self.tally.calls}", "run", {"command": check.text, "timeout": _SECONDS})
        why = "it was not run"
        async for event in dispatch(call, replace(self.hands, keeps=False)):
            if isinstance(event, ToolFinished):
                why = self._ended(check, event)
        self._known[str(check)] = (self.tally.calls, why)
        return why

    def _ended(self, check: Check, finished: ToolFinished) -> str:
        self._marks = tuple(dict.fromkeys((*self._marks, *finished.marks)))
        codes = [one.data.get("exit_code") for one in finished.result.receipts if one.kind == "ran"]
        if codes and codes[-1] == check.code:
            return ""
        told = finished.result.text.strip()[-_TOLD:]
        if not codes or codes[-1] is None:
            return f"it did not run to its end: {told}"
        return f"exit code {codes[-1]}: {told}" if told else f"exit code {codes[-1]}"

    def _taken_marks(self) -> tuple[str, ...]:
        marks, self._marks = self._marks, ()
        return marks


def _answering(finished: ToolFinished, text: str, *, failed: bool = False, marks: tuple[str, ...] = ()) -> ToolFinished:
    result = replace(finished.result, parts=(Text(text),), status="failed" if failed else finished.result.status)
    return replace(finished, result=result, marks=tuple(dict.fromkeys((*finished.marks, *marks))))


def _checked(items: Sequence[PlanItem]) -> list[Checked]:
    return [one for item in items for one in item.checks if one.ok is not None]


def _listed(failing: Sequence[Checked]) -> str:
    return "\n".join(f"- {one.check}: {one.why}" for one in failing)


def _file(check: Check, workspace: str, rules: Context) -> str:
    def may_read(path: str) -> bool:
        return decide.before(ToolCall("", _READER.name, {"path": path}), _READER, rules).verdict == "allow"

    return checking.fails(check, workspace, may_read)


def _receipt(check: Check, receipts: Sequence[Receipt], workspace: str) -> str:
    if check.deed == "changed":
        inside = checking.place(check.path, workspace)
        paths = [str(one.data.get(name, "")) for one in receipts if one.kind == "changed" for name in ("path", "dest")]
        told = inside is not None and any(shown.relative(path, workspace) == inside for path in paths if path)
        return "" if told else "this request has not changed it"
    if check.deed == "ran":
        ran = [one.data for one in receipts if one.kind == "ran" and str(one.data.get("command", "")).strip() == check.text]
        codes = [data.get("exit_code") for data in ran]
        return "" if codes and codes[-1] == 0 else f"it ended with exit code {codes[-1]}" if codes else "this request has not run it"
    sent = [one.data for one in receipts if one.kind == "sent" and one.data.get("state") in ("sent", "handed over")]
    known = {form.casefold() for data in sent for form in _recipient(str(data.get("channel")), str(data.get("to")))}
    return "" if check.text.casefold() in known else "this request has sent them nothing"


def _recipient(channel: str, to: str) -> tuple[str, ...]:
    """Whatever a recipient of that receipt may be called: `to` is an address, or `NAME <ADDRESS>`."""
    name, _, address = to.removesuffix(">").rpartition(" <") if to.endswith(">") else ("", "", to)
    return (to, address, f"{channel}:{address}", *([name] if name else []))
