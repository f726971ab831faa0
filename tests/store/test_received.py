"""Files that come in piece by piece, and whose certificates are trusted."""

from __future__ import annotations

import hashlib
import os
import ssl
import stat
from types import SimpleNamespace

import pytest

from localagent.errors import StoreError
from localagent.store import attachments, received
from localagent.store.certificates import certificates


def test_a_file_is_kept_by_its_content_for_its_owner_alone():
    for _ in range(2):
        with received.coming(100) as file:
            assert file.write(b"some ") and file.write(b"bytes")
            kept = file.keep("a.txt", "text/plain")
    assert kept.sha256 == hashlib.sha256(b"some bytes").hexdigest() and (kept.name, kept.size) == ("a.txt", 10)
    assert os.listdir(attachments.folder()) == [kept.sha256]
    if os.name != "nt":
        assert stat.S_IMODE(os.stat(kept.path).st_mode) == 0o600
    with open(kept.path, "rb") as file:
        assert file.read() == b"some bytes"


def test_what_is_too_large_or_given_up_leaves_nothing():
    with received.coming(4) as file:
        assert file.write(b"1234") and not file.write(b"5") and file.size == 4
    with pytest.raises(RuntimeError), received.coming(4) as file:
        file.write(b"1")
        raise RuntimeError
    assert os.listdir(attachments.folder()) == []


def test_a_full_disk_takes_nothing_in(monkeypatch):
    monkeypatch.setattr(received.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(StoreError, match="full"), received.coming(10):
        pass


def test_the_users_own_bundle_is_trusted_where_one_is_named(monkeypatch, tmp_path):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    assert certificates() is True
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing"))
    assert certificates() is True
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path))
    assert isinstance(certificates(), ssl.SSLContext)
    monkeypatch.setenv("SSL_CERT_FILE", "x")
    assert certificates() is True
