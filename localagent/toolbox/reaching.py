"""Which hosts one judged call may reach."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..values import ToolCall, ToolSpec

_NAMES = ("url", "urls", "host", "hosts")
_USUAL = (None, 80, 443)


def hosts(call: ToolCall, spec: ToolSpec) -> tuple[str, ...]:
    """Those its arguments name and those its tool declares, as rules of the proxy.

    `www.example.org` comes with `example.org` and the other way round: both are its owner's, and most sites lead from one to the other.
    """
    found: list[str] = list(spec.hosts)
    for name in _NAMES:
        value = call.args.get(name)
        for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ():
            found += _of(text) if isinstance(text, str) else ()
    return tuple(dict.fromkeys(found))


def service(address: str) -> tuple[str, ...]:
    """The `host:port` of an address that the user has set for a tool; empty for none."""
    parts = urlsplit(address)
    if not parts.hostname:
        return ()
    return (f"{_plain(parts.hostname)}:{parts.port or (443 if parts.scheme == 'https' else 80)}",)


def _of(text: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = _plain((parts.hostname or "").rstrip(".")), parts.port
    except ValueError:
        return ()
    if not host or "*" in host:
        return ()
    end = "" if port in _USUAL else f":{port}"
    return host + end, (host.removeprefix("www.") if host.startswith("www.") else f"www.{host}") + end


def _plain(host: str) -> str:
    """The name as it is looked up: other scripts are spelt in ASCII. Raises ValueError."""
    if host.isascii():
        return host.lower()
    import idna

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(str(error)) from None
