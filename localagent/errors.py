"""The exception family. Every expected failure is one of these; anything else is a bug.

    LocalAgentError
    ├── UsageError              the command line or a rule cannot be read
    ├── ConfigError             a file of the user's cannot be used (file, line, reason)
    ├── ModelError              a model is missing, damaged, or cannot be loaded
    │   ├── ModelMissing        no file for the chosen model
    │   └── DownloadError       the hub or the index did not give the file
    ├── EngineError             the engine host died, refused or broke off
    │   ├── EndpointDown        a model's endpoint cannot be reached, or goes on refusing for now
    │   ├── PromptTooLong       the conversation does not fit into the context
    │   └── GrammarRefused      a schema or grammar that the engine cannot follow
    ├── CheckFailed             a check of a recipe does not hold, and nobody is to mend it
    ├── BudgetSpent             what a request may cost is more than is left for it
    ├── ChannelError            a channel is not set up, or its service refuses us
    ├── SandboxUnavailable      no boundary, and the action needs one
    ├── StoreError              disk full, folder not writable, journal damaged
    │   └── Conflict            a file is not what it was when it was read
    └── ToolError               a tool's own failure, told to the model as text
"""

from __future__ import annotations


class LocalAgentError(Exception):
    """An expected failure. `str(error)` is one sentence; `hint` names the next step, or is empty."""

    kind = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(LocalAgentError):
    kind = "usage"


class ConfigError(LocalAgentError):
    kind = "config"


class ModelError(LocalAgentError):
    kind = "model"


class ModelMissing(ModelError):
    kind = "model_missing"


class DownloadError(ModelError):
    kind = "download"


class EngineError(LocalAgentError):
    kind = "engine"


class EndpointDown(EngineError):
    """Another endpoint, or another time, may do better."""


class PromptTooLong(EngineError):
    kind = "prompt_too_long"


class GrammarRefused(EngineError):
    kind = "grammar"


class CheckFailed(LocalAgentError):
    kind = "check"


class BudgetSpent(LocalAgentError):
    kind = "budget"


class ChannelError(LocalAgentError):
    kind = "channel"


class SandboxUnavailable(LocalAgentError):
    kind = "sandbox"


class StoreError(LocalAgentError):
    kind = "store"


class Conflict(StoreError):
    kind = "conflict"


class ToolError(LocalAgentError):
    """Raised by a tool: its text goes to the model, which should say or do something about it."""

    kind = "tool"
