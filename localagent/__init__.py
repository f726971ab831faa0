"""The plugin author's whole API: a tool is a typed function with a docstring.

    from localagent import tool, ToolError, Write

Tools propose and the host disposes: `Write`, `Edit`, `Move`, `Copy`, `MakeFolder` and
`Trash` are requests that the host judges, commits and can undo; `Send` is one that a person sees first.
`encoding_of` and `kept` tell in which encoding the bytes of a text file are.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import ToolError as ToolError
    from .toolbox.encodings import Encoding as Encoding
    from .toolbox.encodings import encoding_of as encoding_of
    from .toolbox.encodings import kept as kept
    from .toolbox.plugin_api import Copy as Copy
    from .toolbox.plugin_api import Edit as Edit
    from .toolbox.plugin_api import Limit as Limit
    from .toolbox.plugin_api import MakeFolder as MakeFolder
    from .toolbox.plugin_api import Move as Move
    from .toolbox.plugin_api import OneOf as OneOf
    from .toolbox.plugin_api import Result as Result
    from .toolbox.plugin_api import Send as Send
    from .toolbox.plugin_api import Trash as Trash
    from .toolbox.plugin_api import Write as Write
    from .toolbox.plugin_api import tool as tool

__all__ = [
    "Copy", "Edit", "Encoding", "Limit", "MakeFolder", "Move", "OneOf", "Result", "Send", "ToolError", "Trash", "Write", "encoding_of",
    "kept", "tool",
]  # fmt: skip
_HOMES = {"ToolError": ".errors", "Encoding": ".toolbox.encodings", "encoding_of": ".toolbox.encodings", "kept": ".toolbox.encodings"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES.get(name, ".toolbox.plugin_api"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
