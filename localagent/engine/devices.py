"""The devices that a build of llama.cpp computes with, asked through its backend library."""

from __future__ import annotations

import ctypes
from typing import Any


def listed(library: Any) -> list[dict[str, Any]]:
    """What `llama.devices` tells."""

    def call(name: str, result: Any, *arguments: Any) -> Any:
        function = getattr(library, f"ggml_backend_dev_{name}")
        function.restype = result
        return function(*arguments)

    found = []
    for index in range(call("count", ctypes.c_size_t)):
        device = ctypes.c_void_p(call("get", ctypes.c_void_p, ctypes.c_size_t(index)))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        call("memory", None, device, ctypes.byref(free), ctypes.byref(total))
        number = call("type", ctypes.c_int, device)
        kind = ("cpu", "gpu", "igpu", "accel")[number] if 0 <= number < 4 else "other"
        name, text = (call(n, ctypes.c_char_p, device).decode("utf-8", "replace") for n in ("name", "description"))
        found.append({"name": name, "description": text, "kind": kind, "free": free.value, "total": total.value})
    return found
