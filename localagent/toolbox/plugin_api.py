"""What a plugin file is written with: `@tool`, results and change requests.

Imported inside the worker only; a plugin reaches it as `from localagent import ...`.
A request is a wish: nothing has happened when a tool returns it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

VERSION = 5
"""Part of the key under which descriptions are cached; raised when derivation changes."""

MARK = "__localagent_tool__"


@dataclass(frozen=True, slots=True)
class Write:
    """Make a file, or replace all of it. Text is stored as UTF-8. Missing parent folders are made."""

    path: str | Path
    content: str | bytes


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the content of an existing file.

    `before` is the bytes the edit was computed from: the host refuses the edit when the
    file is no longer that. None takes the file as it is when the tool returns.
    """

    path: str | Path
    content: str | bytes
    before: bytes | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Move or rename a file or folder to exactly `destination`."""

    path: str | Path
    destination: str | Path


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy a file or a whole folder to exactly `destination`."""

    path: str | Path
    destination: str | Path


@dataclass(frozen=True, slots=True)
class MakeFolder:
    path: str | Path


@dataclass(frozen=True, slots=True)
class Trash:
    """Remove a file or folder; the host keeps it so that it can be brought back."""

    path: str | Path


@dataclass(frozen=True, slots=True)
class OneOf:
    """Says in a type hint that a text comes from a named set, which the agent fills as it goes.

    `Annotated[str, OneOf("paths")]` (or `Path`, or a list of either) lets the model write only
    paths that the conversation has named or seen. A set that nobody fills allows any text, so a
    tool must still check what it is given.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds a value in a type hint: `Annotated[int, Limit(ge=1, le=100)]`.

    `ge`, `gt`, `le`, `lt` and `multiple_of` are for numbers, `min_length` and `max_length` for text and lists, `pattern` (found
    anywhere in it) for text. The markers of `annotated_types` do the same.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message; the host looks up whom `to` names, shows the exact words to the user, and sends it once.

    `to` is a contact's name or an address, `channel` one of the user's channels or a kind of them ("" for the usual one),
    `reply_to` the id of a received message that this answers. `draft` True only keeps it.
    """

    to: str
    text: str
    subject: str = ""
    attachments: Sequence[str | Path] = ()
    channel: str = ""
    reply_to: str = ""
    draft: bool = False


Request = Write | Edit | Move | Copy | MakeFolder | Trash | Send


@dataclass(frozen=True, slots=True)
class Result:
    """A tool's answer where a plain text is not enough.

    `text` is what the model reads once the requests are carried out, so it speaks in the
    past tense. `exit_code` is a program's own; None where none ran. `pictures` are bytes or files of PNG, JPEG, GIF or
    WebP; a tool may also return one of these by itself.
    """

    text: str
    requests: Sequence[Request] = ()
    failed: bool = False
    exit_code: int | None = None
    pictures: Sequence[bytes | Path] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """What `@tool` was told. `effects` None means that nothing was declared."""

    name: str
    effects: tuple[str, ...] | None
    timeout: float
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    confirm: bool = False


Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def tool(function: Function, /) -> Function: ...
@overload
def tool(
    *,
    effects: Sequence[str] | None = None,
    timeout: float = 60.0,
    name: str | None = None,
    hosts: Sequence[str] = (),
    secrets: Sequence[str] = (),
    confirm: bool = False,
) -> Callable[[Function], Function]: ...
def tool(
    function: Any = None,
    /,
    *,
    effects: Sequence[str] | None = None,
    timeout: float = 60.0,
    name: str | None = None,
    hosts: Sequence[str] = (),
    secrets: Sequence[str] = (),
    confirm: bool = False,
) -> Any:
    """Make a function a tool; the function itself stays as it is.

    - `effects` is what it may do: `compute`, `read:fs`, `write:fs`, `run`, `net` and so on.
      An empty list only computes. Undeclared asks before every call and gets no network
      and no workspace.
    - `timeout` is in seconds; the call is stopped then.
    - `name` is what the model calls it; the function's own name where not given.
    - `hosts` are what a tool with the effect `net` reaches besides the `url` or `host` of its arguments; the user is asked about
      these, and the sandbox lets it reach no others. Programs and libraries find the way by the usual proxy variables.
    - `secrets` are names such as `WEATHER_API_KEY`: the user gives each once (`localagent tools secret NAME`), and the function
      finds it in `os.environ`. Nothing else ever sees it.
    - `confirm` True asks the user before each single call, whatever the mode and the rules.
    """

    def mark(wrapped: Function) -> Function:
        declared = None if effects is None else tuple(effects)
        setattr(wrapped, MARK, Declared(name or wrapped.__name__, declared, float(timeout), tuple(hosts), tuple(secrets), confirm))
        return wrapped

    return mark if function is None else mark(function)
