"""The keys of providers: from their variable, else as the user stored them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...errors import ModelError
from ...store import credentials
from ..entry import Entry, Remote

FIELD = "key"
_HERE = ("localhost", "127.0.0.1", "[::1]")


def place(provider: str) -> str:
    """Under which name the key of a provider is stored."""
    return f"provider/{provider}"


def key(remote: Remote) -> str:
    """The secret, "" where there is none; this process hides it from then on wherever it turns up. Raises StoreError."""
    found = os.environ.get(remote.key_env, "").strip() if remote.key_env else ""
    if found:
        credentials.note(found)
        return found
    return credentials.load(place(remote.provider), FIELD) or ""


def needed(entry: Entry) -> str:
    """The key for an endpoint. Raises ModelError where one beyond this machine has none."""
    assert entry.remote is not None
    found = key(entry.remote)
    if not found and not is_here(entry.remote) and entry.remote.key_env:
        how = f"`localagent model key {entry.remote.provider}` stores it, or set {entry.remote.key_env}."
        raise ModelError(f"{entry.id} needs a key of {entry.remote.provider}, and there is none.", how)
    return found


def is_here(remote: Remote) -> bool:
    """Whether the endpoint is on this machine."""
    from urllib.parse import urlsplit

    host = urlsplit(remote.base_url).netloc.rpartition("@")[2]
    return host.rpartition(":")[0] in _HERE or host in _HERE


def host(entry: Entry) -> str:
    """Where its endpoint is, as a person reads it; "" for a model of this machine."""
    from urllib.parse import urlsplit

    return urlsplit(entry.remote.base_url).netloc.rpartition("@")[2] if entry.remote is not None else ""


def leaves(entry: Entry, on: Sequence[str] = ()) -> str:
    """What a person should know of it, "" where nothing leaves the machine. `on` are tools of the provider's own that are switched on."""
    from urllib.parse import urlsplit

    if entry.remote is None or is_here(entry.remote):
        return ""
    host = urlsplit(entry.remote.base_url).netloc
    clear = "" if entry.remote.base_url.startswith("https://") else " It goes in the clear, the key too: others in the network can read it."
    tools = f" Tools of the provider's own are on: {', '.join(on)}." if on else ""
    return f"{entry.id} is at {host}: what you write, and what tools show the model, is sent there (secrets are left out).{clear}{tools}"
