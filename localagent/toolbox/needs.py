"""What a tool's worker is given by the user: addresses of services, and secrets by name."""

from __future__ import annotations

from ..errors import ToolError
from ..store import toolkeys
from ..values import ToolSpec


def environment(spec: ToolSpec, service: str | None) -> dict[str, str]:
    """The variables of its environment. Raises ToolError where a secret was never given, StoreError."""
    found = {} if service is None else {"LOCALAGENT_SERVICE": service}
    for name in spec.secrets:
        secret = toolkeys.load(name)
        if secret is None:
            raise ToolError(f"it needs the secret {name}, which the user gives it at a terminal: localagent tools secret {name}")
        found[name] = secret
    return found
