"""Real servers for the tests of channels, where they are installed: LOCALAGENT_TEST_SERVERS names a folder made by

    python tests/channels/servers.py FOLDER

which puts Synapse and Apprise into an environment of their own there (about 250 MB), and the Telegram emulator where
npm is. Without the folder the tests that need them are skipped.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# Read when the tests are collected: each of them runs without our variables.
_FOLDER = os.environ.get("LOCALAGENT_TEST_SERVERS")
_REASON = "LOCALAGENT_TEST_SERVERS names no folder made by tests/channels/servers.py"


def folder(part: str) -> Path:
    """A part of the servers' folder; skips the test where it is not there."""
    found = Path(_FOLDER or "") / part
    if not _FOLDER or not found.exists():
        pytest.skip(_REASON)
    return found


def make(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
    install = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "matrix-synapse>=1.160", "apprise>=2"], check=True)
    if npm := shutil.which("npm"):
        # Without it the emulator's test is skipped.
        subprocess.run([npm, "install", "--silent", "--prefix", place, "telegram-test-api@4"], check=False)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def process(argv: list[object], answers: str, log: Path, seconds: float = 90) -> Iterator[None]:
    """A server for the block, from the moment when the address answers anything."""
    with log.open("wb") as out:
        running = subprocess.Popen([str(a) for a in argv], stdout=out, stderr=out, cwd=log.parent)
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                urllib.request.urlopen(answers, timeout=5).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert running.poll() is None and time.monotonic() < end, log.read_text("utf-8", "replace")[-3000:]
                time.sleep(0.2)
        yield
    finally:
        running.terminate()
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@dataclass(frozen=True)
class Homeserver:
    url: str
    tokens: dict[str, str]
    password: str = "a good password"


_SYNAPSE = """
server_name: localhost
pid_file: {place}/hs.pid
listeners: [{{port: {port}, type: http, bind_addresses: ["127.0.0.1"], resources: [{{names: [client]}}]}}]
database: {{name: sqlite3, args: {{database: {place}/hs.db}}}}
media_store_path: {place}/media
signing_key_path: {place}/key
registration_shared_secret: shared
report_stats: false
trusted_key_servers: []
suppress_key_server_warning: true
macaroon_secret_key: some
form_secret: more
url_preview_enabled: false
rc_message: {{per_second: 1000, burst_count: 1000}}
rc_login: {{address: &fast {{per_second: 1000, burst_count: 1000}}, account: *fast, failed_attempts: *fast}}
rc_joins: {{local: *fast, remote: *fast}}
rc_invites: {{per_room: *fast, per_user: *fast, per_issuer: *fast}}
rc_registration: *fast
rc_room_creation: *fast
"""


@contextmanager
def synapse(place: Path, *users: str) -> Iterator[Homeserver]:
    """A homeserver called localhost with these users."""
    python = folder("bin/python")
    port = free_port()
    (place / "hs.yaml").write_text(_SYNAPSE.format(place=place, port=port))
    run = [python, "-m", "synapse.app.homeserver", "-c", place / "hs.yaml"]
    subprocess.run([str(a) for a in [*run, "--generate-keys"]], check=True, capture_output=True, cwd=place)
    url = f"http://127.0.0.1:{port}"
    with process(run, f"{url}/_matrix/client/versions", place / "hs.log"):
        yield Homeserver(url, {user: _register(url, user) for user in users})


def _register(url: str, user: str) -> str:
    place = f"{url}/_synapse/admin/v1/register"
    with urllib.request.urlopen(place) as answer:
        nonce = json.load(answer)["nonce"]
    said = "\0".join((nonce, user, Homeserver.password, "notadmin")).encode()
    mac = hmac.new(b"shared", said, hashlib.sha1).hexdigest()
    about = {"nonce": nonce, "username": user, "password": Homeserver.password, "admin": False, "mac": mac}
    asked = urllib.request.Request(place, json.dumps(about).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)["access_token"]


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
