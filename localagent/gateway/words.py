"""What in a message is the sender's own word, and what it says to us. Pure.

Quoted and forwarded text, what a mail program puts in, and our own notes in brackets are others' words: they are never
an answer, never a command, and reach the model as data. Where the two cannot be told apart it is all taken for others'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile

from ..values import Incoming

_MARKERS = re.compile(
    r"\s*(?:[-_*=]{3,}\s*)?(?:original message|forwarded message|begin forwarded message|forwarded by|ursprüngliche nachricht|"
    r"weitergeleitete nachricht|anfang der weitergeleiteten|mensaje original|mensaje reenviado|inicio del mensaje reenviado|"
    r"message d'origine|message transféré|début du message|messaggio originale|messaggio inoltrato|原始邮件|转发的邮件|转发邮件|"
    r"пересылаемое сообщение)",
    re.IGNORECASE,
)
# "On Monday, Anna wrote:", in one line or broken into two.
_WROTE = re.compile(
    r"\s*(?:on|am|el|le|il|op|em|den|在|于|\d).{0,300}?(?:wrote|schrieb|escribi[óo]|a écrit|ha scritto|schreef|escreveu|skrev|写道|写到)"
    r"[^\n]{0,120}:?\s*$",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\s*\*{0,2}(?:from|sent|date|to|cc|subject|von|gesendet|datum|an|betreff|de|enviado|fecha|para|asunto|envoyé|objet|da|inviato|"
    r"oggetto|发件人|发送时间|日期|收件人|主题)\*{0,2}\s*[:\uff1a]",
    re.IGNORECASE,
)
# The same in languages that are not listed: a title between dashes; lines with labels, one with an address and one with a time.
_TITLED = re.compile(r"\s*-{4,}\s?[^\s-][^\n]{1,60}[^\s-]\s?-{4,}\s*")
_LABELLED = re.compile(r"\s*\*{0,2}[^\W\d_][\w .()/-]{0,25}\*{0,2}\s?[:\uff1a]\*{0,2}\s*\S.{0,500}")
_ADDRESS = re.compile(r"[\w.+-]@[\w-]+\.\w")
_TIME = re.compile(r"\d[:.]\d\d|(?:19|20)\d\d")
_BY_ADDRESS = re.compile(r"(?=.{0,300}\b(?:19|20)\d\d\b).{0,300}<[^\s<>@]{1,64}@[^\s<>]{1,255}>.{0,60}[:\uff1a]\s*")
_SIGNATURE = re.compile(r"--\s?")
# What telephones put beneath a mail of themselves.
_PHONE = re.compile(
    r"\s*(?:sent from my |sent with |sent from outlook|get outlook for |von meinem .{1,40} gesendet|gesendet mit |"
    r"enviado desde mi |envoyé de mon |inviato da |发自我的)[^\n]{0,80}",
    re.IGNORECASE,
)
_NOTE = re.compile(r"\[[^\n]*\]\s*")
_ANSWERED = re.compile(r"\s*(?:re|aw|sv|antw|odp|res|rif|回复|回覆|返信)\s*(?:\[\d+\])?\s*[:\uff1a]", re.IGNORECASE)
_FORWARDED = re.compile(r"\s*(?:fwd?|wg|tr|rv|i|vb|vl|pd|enc|doorst|转发|轉寄|転送)\s*(?:\[\d+\])?\s*[:\uff1a]", re.IGNORECASE)
_YES = re.compile(r"yes[\s,:-]+([a-z0-9]{6})[.!]?", re.IGNORECASE | re.ASCII)
_COMMAND = re.compile(r"/([a-z]{1,20})(?:@\w{1,40})?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL | re.ASCII)
_CODE = re.compile(r"/?pair\s+([A-Z0-9]{4}[\s-]?[A-Z0-9]{4})[.!]?", re.IGNORECASE | re.ASCII)

_CODE_WITHIN = 2000
_PHONES, _BLANKS = 5, 50
_PROGRAM = "[Sent by a program]"

COMMANDS: dict[str, str] = {
    "/status": "what is being done",
    "/stop": "stop it, and forget what waits",
    "/undo": "take back the last change of this chat",
    "/new": "begin a new conversation",
    "/help": "this",
}


@dataclass(frozen=True, slots=True)
class Said:
    """A message taken apart: the sender's own words, and those of others ("" where there are none)."""

    own: str
    foreign: str = ""


def said(message: Incoming) -> Said:
    """The message's own words and the others'. A new mail's subject is a part of what its sender says; an answer's is whoever's."""
    mine, theirs = _apart(message.text)
    subject = " ".join(message.subject.split())
    if _FORWARDED.match(subject) and not theirs:
        # A forwarded mail without a sign of where it begins.
        mine, theirs = "", mine
    if command(mine) is not None or approves(mine) is not None:
        # A mail has to have a subject; it does not make another thing of these.
        return Said(mine, theirs)
    if subject and not message.reply_to and not _ANSWERED.match(subject) and not _FORWARDED.match(subject):
        mine = f"{subject}\n{mine}".strip()
    return Said(mine, theirs)


def _apart(text: str) -> tuple[str, str]:
    own: list[str] = []
    others: list[str] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for at, line in enumerate(lines):
        if _ends(lines, at):
            others += lines[at:]
            break
        (others if line.lstrip().startswith((">", "\uff1e")) or _NOTE.fullmatch(line) else own).append(line)
    return "\n".join(own).strip(), "\n".join(others).strip()


def _ends(lines: list[str], at: int) -> bool:
    """Whether the sender's own words end before this line."""
    for _ in range(_PHONES):
        if not _PHONE.fullmatch(lines[at]):
            return _others_begin(lines, at)
        # Only as the last of the sender's words: "Sent with love" may begin a letter.
        later = next((n for n in range(at + 1, min(len(lines), at + _BLANKS)) if lines[n].strip()), None)
        if later is None or lines[later].lstrip().startswith(">"):
            return True
        at = later
    return False


def _others_begin(lines: list[str], at: int) -> bool:
    line = lines[at]
    following = lines[at + 1] if at + 1 < len(lines) else ""
    if _MARKERS.match(line) or _SIGNATURE.fullmatch(line) or _TITLED.fullmatch(line):
        return True
    both = (line, f"{line} {following}") if line.strip() else ()
    if any(_BY_ADDRESS.fullmatch(one) for one in both):
        return True
    whole = next((one for one in both if _WROTE.fullmatch(one)), "")
    if whole:
        # Only where a quotation follows: "on Friday Bo wrote: done" may be a person's own sentence.
        later = [one for one in lines[at + 1 : at + 5] if one.strip()]
        return any(one.lstrip().startswith(">") for one in later) or whole.rstrip().endswith((":", "\uff1a"))
    if _HEADER.match(line):
        return sum(bool(_HEADER.match(one)) for one in lines[at : at + 5]) >= 2 or _labelled(lines[at : at + 5])
    return _labelled(lines[at : at + 5])


def _labelled(lines: list[str]) -> bool:
    """Whether a letter's head begins here: three lines with labels and more, in them an address and a time."""
    head = list(takewhile(_LABELLED.fullmatch, lines))
    return len(head) >= 3 and any(map(_ADDRESS.search, head)) and any(map(_TIME.search, head))


def approves(own: str) -> str | None:
    """The code of a yes, in capitals; None for whatever is none."""
    found = _YES.fullmatch(own.strip())
    return found[1].upper() if found else None


def command(own: str) -> tuple[str, str] | None:
    """`/name` and what stands behind it; None for what is no command."""
    found = _COMMAND.fullmatch(own.strip())
    return (found[1].lower(), (found[2] or "").strip()) if found else None


def by_program(message: Incoming) -> bool:
    """Whether a mail says that no person wrote it: answering an answering machine never ends."""
    return any(line == _PROGRAM for line in message.text[:_CODE_WITHIN].split("\n")[:8])


def pairing_code(message: Incoming) -> str | None:
    """The code of a message that says `pair CODE` and nothing else; the subject does not count."""
    # Strangers' mails are long, and reading them is to cost nothing.
    found = _CODE.fullmatch(_apart(message.text[:_CODE_WITHIN])[0])
    return found[1] if found else None
