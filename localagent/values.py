"""The nouns that flow between the rooms: frozen, plain, importing nothing of ours.

They are values only. Identity on disk, rendering for a person and rendering for a
model belong to `store`, the front ends and `engine.dialects`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Effect = Literal["compute", "read:fs", "read:mail", "write:fs", "run", "net", "send", "persist"]
EFFECTS: tuple[Effect, ...] = ("compute", "read:fs", "read:mail", "write:fs", "run", "net", "send", "persist")
Mode = Literal["plan", "ask", "auto", "yolo"]
BIGGER = "bigger_model"
"""What the question whether a bigger model may have a step has in the place of a tool's name; no tool is called so."""
MODES: tuple[Mode, ...] = ("plan", "ask", "auto", "yolo")


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture by the sha256 of its file in the session's folder (`toolbox.pictures`)."""

    sha256: str
    media_type: str = "image/png"


Part = Text | Image


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """Everything known about a tool, once.

    `parameters` is a closed JSON Schema object. `effects` is empty where the tool declared
    none: then it asks every time and gets no network and no write. `source` names the file,
    or `mcp:SERVER`. `timeout` is in seconds. `staged` False: what it runs, or
    looks at, goes on by itself and works on the files themselves. `posts` True: its worker has no network, so
    it can only ask the host to send what is then judged, shown and sent. `hosts` are those that a tool with `net`
    reaches besides the ones its arguments name, each `name` or `name:port`. `secrets` are names of what the user has
    stored for its worker alone; `confirm` True asks a person before each call, whatever the mode and the rules.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    effects: tuple[Effect, ...] = ()
    source: str = ""
    timeout: float = 60.0
    staged: bool = True
    posts: bool = False
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    confirm: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as the model (or a repair) made it. `id` is unique within the session."""

    id: str
    name: str
    args: Mapping[str, Any]


ChangeKind = Literal["write", "edit", "move", "copy", "make_folder", "trash", "link", "chmod"]


@dataclass(frozen=True, slots=True)
class Change:
    """One proposed change to the workspace; nothing has happened yet.

    `path` and `dest` are absolute. `content` is the path of a host file that holds the
    complete new bytes (write, edit), or the link's target (link). `before` is the sha256
    of the file as it was when the change was computed (or a `store.fingerprint` of a folder,
    link or large file), "" where it must not exist, None where nothing was read. `after`
    and `size` describe the new bytes. `mode` holds the permission bits to set, None leaves
    them as they are. `mtime_ns` is the new file time to keep (a program's own), None for now.
    """

    kind: ChangeKind
    path: str
    dest: str | None = None
    content: str | None = None
    before: str | None = None
    after: str | None = None
    size: int = 0
    mode: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message. `path` is absolute on this machine; `size` and `sha256` are those of its bytes as they were agreed to."""

    path: str
    name: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to one address in its exact words; nothing has been sent.

    `id` (a uuid's 32 hex digits) makes it one of its kind, "" before the outbox has taken it in. `channel` is a
    configured channel's name, `address` what that channel sends to, `name` the contact as the user knows them, "" for
    an address that is in no contact. `reply_to` is the channel's own id of the message that is answered, `thread` what else
    the channel needs to keep the conversation together. `draft` True: it is only to be kept, not sent.
    """

    channel: str
    address: str
    text: str
    subject: str = ""
    name: str = ""
    attachments: tuple[Attachment, ...] = ()
    reply_to: str = ""
    thread: str = ""
    id: str = ""
    draft: bool = False


Proposal = Change | Outgoing
"""What a call would bring about, and what a person is asked about."""

SendState = Literal["sent", "handed over", "failed", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Sent:
    """What is known of a message after the attempt to send it.

    `sent`: the service took it in, `proof` is its own id for it. `handed over`: another program took it, nothing more is
    known. `failed`: it was certainly not sent, `detail` says why; `again` is set where a later attempt may succeed.
    `unconfirmed`: it may have been sent or not.
    """

    state: SendState
    proof: str = ""
    detail: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message that came in: untrusted text from beginning to end.

    `id` is the channel's own and unique in it; `sender` an address that the channel vouches for no further than
    `authentic` says (None: it cannot tell). `chat` is where an answer goes, `at` seconds since the epoch as the service
    tells, `thread` and `reply_to` as in `Outgoing`. Attachments lie in files of ours.
    """

    id: str
    channel: str
    sender: str
    chat: str
    text: str
    at: float
    subject: str = ""
    name: str = ""
    attachments: tuple[Attachment, ...] = ()
    reply_to: str = ""
    thread: str = ""
    authentic: bool | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What really happened, said by the host and never by the model.

    `changed`: data = {op, path, dest?}; `ran`: data = {command, exit_code, seconds};
    `sent`: data = {channel, to, state}; `scheduled`: data = {job, name, when, remind};
    `undone`: data = {step, files, again}, what the person took back (or put back) meanwhile;
    `reached`: data = {tool}, a call that may have done something beyond this machine of which nothing more is known;
    `remembered`: data = {text, file, step}.
    """

    kind: Literal["changed", "ran", "sent", "scheduled", "undone", "reached", "remembered"]
    data: Mapping[str, Any]


Status = Literal["ok", "failed", "denied", "cancelled"]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The end of one call. `requests` are changes still to be judged and committed, `messages` are still to be judged and sent."""

    call_id: str
    parts: tuple[Part, ...]
    status: Status = "ok"
    requests: tuple[Change, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    spill: str | None = None
    messages: tuple[Outgoing, ...] = ()

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Generated:
    """Token ids exactly as the model with this sha256 sampled them, without the closing end token."""

    model: str
    ids: tuple[int, ...]


Role = Literal["system", "user", "host", "steer", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the history. `result` is set on role `tool` only.

    Roles `host` (our own word) and `steer` (the person's, in the middle of a turn) are read by a model as a user's,
    but open no turn.

    `generated` is kept beside the transcript, not in it: the ids let the next prompt
    extend the last one token by token.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    result: ToolResult | None = None
    generated: Generated | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


Verdict = Literal["allow", "ask", "deny"]
Scope = Literal["once", "session", "folder", "always"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules say. `rule` is the rule or built-in reason that decided, as the user writes it.

    `remember` is the rule that an "always" would store, "" where the answer may not be remembered.
    `missing` are the rules that would have made the question needless, () where only a person can say yes.
    """

    verdict: Verdict
    reason: str
    rule: str = ""
    remember: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person (or a flag) said to a question. `edited_args` makes a new call that is judged again.

    `rule` is what is kept in place of `Decision.remember`, "" where the person left that as it was.
    """

    verdict: Literal["allow", "deny"]
    scope: Scope = "once"
    note: str = ""
    edited_args: Mapping[str, Any] | None = None
    by_person: bool = True
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or many engine calls. `cached` are prompt tokens that were not evaluated again."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
        )


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds spent by the engine."""

    load_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0

    def __add__(self, other: Timings) -> Timings:
        return Timings(
            self.load_ms + other.load_ms, self.prefill_ms + other.prefill_ms, self.decode_ms + other.decode_ms
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """A check (see `toolbox.checks`) and what the host found: `ok` None before it was run, `why` it does not hold.

    `step` is the text of the plan's step that it belongs to, "" for one of the user's own.
    """

    check: str
    ok: bool | None = None
    why: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One step. `effects` are what it would do, as rules, of a plan that is proposed."""

    text: str
    done: bool = False
    checks: tuple[Checked, ...] = ()
    effects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a turn ended badly: `kind` as in `errors`, `message` one sentence with the next step."""

    kind: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
