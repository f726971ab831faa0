"""Messages and files for the tests of channels."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from localagent.values import Attachment, Outgoing

ID = "0123456789abcdef0123456789abcdef"


def outgoing(address: str, text: str = "Hello", **more: Any) -> Outgoing:
    return Outgoing(**({"channel": "c", "id": ID, "address": address, "text": text} | more))


def attached(path: Path, data: bytes = b"some bytes", name: str = "", media_type: str = "text/plain") -> Attachment:
    path.write_bytes(data)
    return Attachment(str(path), name or path.name, media_type, len(data), hashlib.sha256(data).hexdigest())
