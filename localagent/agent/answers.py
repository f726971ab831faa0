"""What a person has answered in this run: the same thing is not asked about twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..values import Answer, Change, Decision, Proposal, ToolCall, ToolSpec
from . import binding


@dataclass(slots=True)
class Answers:
    """Empty at the start of each run.

    A message is a new question each time (sent twice is another effect), and so is a call that wants to be confirmed.
    """

    _given: dict[str, Answer] = field(default_factory=dict)

    def earlier(self, key: str, decision: Decision) -> Decision | None:
        """The decision that an earlier answer to the very same question makes, None where there is none."""
        answer = self._given.get(key)
        if answer is None:
            return None
        if answer.verdict == "allow":
            return replace(decision, verdict="allow", reason="the user agreed to the same before")
        if not answer.by_person:
            return replace(decision, verdict="deny", reason=answer.note or "nobody could be asked the same before")
        told = f" ({answer.note})" if answer.note else ""
        return replace(decision, verdict="deny", reason=f"the user was asked the same before and said no{told}")

    def forget(self) -> None:
        """The person has said something new: what they refused before may be what they want now, and the other way round."""
        self._given.clear()

    def note(self, key: str, answer: Answer, spec: ToolSpec) -> None:
        if answer.edited_args is None and (answer.verdict == "deny" or ("send" not in spec.effects and not spec.confirm)):
            self._given[key] = answer


def key(call: ToolCall, changes: Sequence[Proposal], decision: Decision, bound: str) -> str:
    """One thing that is asked about: this call as it would run, or these changes from this state to that."""
    effects = [_state(change) for change in changes]
    what = (
        {"tool": call.name, "effects": effects} if changes else {"tool": call.name, "args": call.args, "bound": bound}
    )
    return binding.digest({**what, "why": decision.reason})


def _state(one: Proposal) -> list[object]:
    if not isinstance(one, Change):
        return ["send", one.channel, one.address, one.subject, one.text, [a.sha256 for a in one.attachments]]
    return [one.kind, one.path, one.dest, one.before, one.after, one.mode, None if one.after else one.content]
