"""The host's few words to a model that stumbles: each at most once a turn, each about what was seen."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..events import MessageDone
from .tally import Tally

CUT = "This call was cut off because it was too long, so it was not run. Make it shorter, or do it in several calls."

_DESCRIBED = "You wrote code but nothing was run. If the task needs it, do it now with a tool call; else answer in plain words."
_FAILED = (
    "Your last call failed, so the request is not done. Look at what is really there, correct the call and make it again. "
    "Only if it cannot be done, say what is missing."
)
_EMPTY = "You answered nothing. Go on with the next tool call, or answer the user."
_UNDONE = (
    "Nothing on the disk has changed so far. If the request needs a file or folder to be made or changed, do it now with a call; "
    "else answer without saying that something was changed."
)
_LOOKED = (
    "So far you have only looked: nothing is saved, written or sent. The request was: {request}\n"
    "If it wants something saved, written or sent, do it now with a call, with the values you have seen. Else give your answer again."
)
_DO_IT = "That is said, and not done. Make the call for it now."
_REQUEST = 500
_DEED = re.compile(
    r"(?:^|[.,;:!?]\s+|\b(?:and|then|please|und|bitte|y|luego|et|puis)\s+)(?:"
    r"save|store|write|put|add|send|reply|answer|respond|forward|tell \w+ (?:by|that)|speicher\w*|schreib\w*|send\w*|schick\w*|antwort\w*|"
    r"beantwort\w*|guarda\w*|escrib\w*|env\w*|respond\w*|contest\w*|enregistr\w*|écri\w*|répon\w*)\b"
    # Where no space stands between words, and in other scripts: save, write, send, answer.
    r"|保存|写入|写到|寫入|发送|發送|回复|書いて|書き込|保存して|送って|返信|저장|작성|써 ?줘|보내|답장"
    r"|\b(?:сохран|запиш|напиш|отправ|ответь|збереж|надішл)\w*"
    r"|احفظ|اكتب|أرسل|بنويس|लिख|सहेज|भेज|บันทึก|เขียน|ส่งข้อความ",
    re.IGNORECASE,
)
_CLAIMED = re.compile(
    r"\bI(?:'ve| have)?(?: \w+)? "
    r"(?:wrote|written|created|made|moved|renamed|deleted|removed|added|appended|changed|replaced|updated|saved|copied|merged|sorted)\b",
    re.IGNORECASE,
)
_PROMISED = re.compile(r"\b(?:I(?:'ll| will| am going to| can| need to| should)|let me)\b", re.IGNORECASE)
_FENCE = re.compile(r"```\w*\n.+?```", re.S)


def as_json(schema: Mapping[str, Any]) -> str:
    return f"Give this answer as JSON of this schema:\n{json.dumps(schema, ensure_ascii=False)}"


def in_language(language: str) -> str:
    return f"The user does not write English. Say that once more in {language}."


def repeated(earlier: str) -> str:
    return (
        f"You already made this call and nothing has changed since. Its result was:\n{earlier}\n"
        "Do the next step now, or answer the user if the task is done."
    )


@dataclass(slots=True)
class Nudges:
    """`insists`: the request asks for a deed, the model says that it is done, and it is not: its next answer is to be a call."""

    given: set[str] = field(default_factory=set)
    insists: bool = False

    def after(self, done: MessageDone, so_far: Tally, request: str = "", tools: Collection[str] = ()) -> str | None:
        """What to tell the model after an answer without calls; None lets the answer stand.

        `request` is in the user's own words, `tools` are the names of those that may be called.
        """
        text = done.message.text.strip()
        self.insists = False
        if not text:
            return self._once("empty", _EMPTY)
        posted = [receipt.data.get("state") for receipt in so_far.receipts if receipt.kind == "sent"]
        looked = so_far.calls and not so_far.did and not so_far.denied and not so_far.questions
        # A message of which nobody knows whether it went out is not to be sent again.
        if so_far.broken and "failed" not in self.given and not {"unconfirmed", "sending", "held"}.intersection(posted):
            return self._once("failed", f"{_FAILED}\nThe request was: {request[:_REQUEST]}" if request else _FAILED)
        if not so_far.changed and _CLAIMED.search(text):
            # A program that changed nothing has done no more than a look.
            idle = so_far.calls and not posted and not so_far.denied and not so_far.questions
            if idle and "claimed" not in self.given and _DEED.search(request):
                self.insists = True
                return self._once("claimed", _LOOKED.format(request=request[:_REQUEST]))
            return self._once("claimed", _UNDONE)
        if looked and not self.given and _DEED.search(request):
            return self._once("looked", _LOOKED.format(request=request[:_REQUEST]))
        promised = "looked" in self.given and looked and _PROMISED.search(text)
        # To name a call is not to make it.
        named = "failed" in self.given and not so_far.denied and not posted and any("_" in name and name in text for name in tools)
        if (promised or named) and _DEED.search(request):
            self.insists = True
            return self._once("promised", _DO_IT)
        if so_far.calls == 0 and _FENCE.search(text):
            return self._once("described", _DESCRIBED)
        return None

    def _once(self, name: str, text: str) -> str | None:
        if name in self.given:
            return None
        self.given.add(name)
        return text
