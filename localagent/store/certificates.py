"""Whose certificates we trust: the system's, or the user's own bundle where one is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


def certificates() -> ssl.SSLContext | bool:
    """What an HTTP client is given as `verify`: the bundle that is named as pip and curl read it, else True."""
    if os.environ.get("SSL_CERT_FILE"):
        return True
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        bundle = os.environ.get(name)
        if bundle and os.path.exists(bundle):
            import ssl

            folder = os.path.isdir(bundle)
            return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)
    return True
