"""Attacks over the network, and over the sockets of a desktop's own services."""

from __future__ import annotations

from .scene import Judge
from .values import Attack, python, says

_SOCKETS = {
    "the desktop's bus": "DBUS",
    "the Docker daemon": "DOCKER",
    "the SSH agent": "AGENT",
    "the X server": "X11",
    "a socket of the system": "WAYLAND",
    "our own engine": "ENGINE",
    "a socket in the workspace": "INSIDE",
    "a socket without a file": "ABSTRACT",
}
_CONNECT = """
import socket
s = socket.socket(socket.AF_UNIX)
s.settimeout(2)
try: s.connect("@{0}@"); print("CONNECTED")
except OSError as error: print(error)
"""
_UDP = """
import socket
try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", @UDP@))
except OSError as error: print(error)
"""
_RAW = """
import socket
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print("OPEN")
except OSError as error: print(error)
"""
_ROUTE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.connect(("192.0.2.1", 9)); print("OPEN")
except OSError as error: print(error)
"""


def _reached(name: str) -> Judge:
    return lambda scene, said: scene.reached(name)


ATTACKS: tuple[Attack, ...] = (
    *(
        Attack(f"reach {what}", "sockets", python(_CONNECT.format(name)), _reached(name))
        for what, name in _SOCKETS.items()
    ),
    Attack("connect to the host", "network", "timeout 2 bash -c 'echo x > /dev/tcp/127.0.0.1/@TCP@'", _reached("TCP")),
    Attack("send a datagram to the host", "network", python(_UDP), _reached("UDP")),
    Attack(
        "connect with no proxy set",
        "network",
        "env -u http_proxy -u HTTP_PROXY timeout 2 bash -c 'echo x > /dev/tcp/127.0.0.1/@TCP@'",
        _reached("TCP"),
    ),
    Attack("find a route to the internet", "network", python(_ROUTE), says("OPEN")),
    Attack("make a raw socket", "network", python(_RAW), says("OPEN"), root_only=True),
)
