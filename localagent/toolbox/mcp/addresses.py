"""Addresses of servers. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from ...errors import ConfigError


def checked(url: str) -> str:
    """The address as it may be used. Raises ConfigError: https is required unless the server is on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host or parts.fragment or any(c.isspace() for c in url):
        raise ConfigError("That is no address of an MCP server.", "It has to look like https://example.org/mcp")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"The address of {host} holds a name or password.", "Give it as a header, such as --bearer.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(f"{host} would get what you tell it in the clear.", "Use https://.")
    return url


def host(url: str) -> str:
    """`name`, or `name:port` where the port is not the usual one; "" for no address."""
    try:
        parts = urlsplit(url)
        name, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    return name if port in (None, 443 if parts.scheme == "https" else 80) else f"{name}:{port}"


def is_loopback(name: str) -> bool:
    """Whether what is told to this name stays on this machine for sure."""
    if name == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def may_be_here(name: str) -> bool:
    """Whether this machine could be meant, in any of its spellings."""
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        found = ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_unspecified
