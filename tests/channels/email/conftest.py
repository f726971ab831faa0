"""Real servers on this machine: dovecot for IMAP, aiosmtpd handing over to it by LMTP for SMTP."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_CONF = """
base_dir = @STATE@/run
state_dir = @STATE@/run
log_path = @STATE@/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = @SSL@
disable_plaintext_auth = no
default_internal_user = dovecot
default_login_user = dovenull
default_internal_group = dovecot
mail_location = maildir:@STATE@/mail/%n
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
auth_failure_delay = 0
auth_mechanisms = plain login xoauth2
passdb {
  driver = static
  args = password=a-secret-of-mail
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=@STATE@/mail/%n
}
namespace inbox {
  inbox = yes
  mailbox Sent {
    auto = create
    special_use = \\Sent
  }
  mailbox Entwürfe {
    auto = create
    special_use = \\Drafts
  }
}
service imap-login {
  inet_listener imap {
    address = 127.0.0.1
    port = @IMAP@
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = @IMAPS@
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = @LMTP@
  }
}
protocol lmtp {
  postmaster_address = postmaster@localhost
}
"""
PASSWORD = "a-secret-of-mail"


@dataclass(slots=True)
class Mail:
    """Where the servers listen. `letters` are the envelopes that SMTP took in, `refuse` an answer to every recipient."""

    imap: int
    lmtp: int
    smtp: int = 0
    state: Path = Path()
    letters: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    refuse: str = ""
    vanish: bool = False
    """SMTP takes the message in and is gone before it has said so."""
    imaps: int = 0
    smtps: int = 0

    def options(self, user: str, **more: Any) -> dict[str, Any]:
        found = {"address": f"{user}@localhost.test", "user": user, "smtp_host": "127.0.0.1", "smtp_port": self.smtp}
        found |= {"smtp_security": "none"}
        found |= {"imap_host": "127.0.0.1", "imap_port": self.imap, "imap_security": "none"}
        return found | more

    def drop(self, user: str, data: bytes) -> None:
        """Deliver a mail as a server would."""
        with smtplib.LMTP("127.0.0.1", self.lmtp) as door:
            door.sendmail("x@outside.test", [f"{user}@localhost.test"], data)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Mail]:
    program = shutil.which("dovecot", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None or not Path("/usr/lib/dovecot/lmtp").exists():
        pytest.skip("dovecot is not installed (apt-get install dovecot-imapd dovecot-lmtpd)")
    if os.getuid() != 0:
        pytest.skip("dovecot is started by root only")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):
        pytest.skip(f"the configuration here is for dovecot 2.3, not {version.strip()}")
    state = Path(tempfile.mkdtemp(prefix="dv-"))
    state.chmod(0o755)
    (state / "mail").mkdir()
    os.chown(state / "mail", pwd.getpwnam("nobody").pw_uid, -1)
    made = Mail(free_port(), free_port(), state=state)
    text, encrypts = _CONF, _certificate(state)
    if encrypts:
        made.imaps = free_port()
        text += f"ssl_cert = <{state}/cert.pem\nssl_key = <{state}/key.pem\n"
    places = {"STATE": state, "IMAP": made.imap, "IMAPS": made.imaps, "LMTP": made.lmtp, "SSL": "yes" if encrypts else "no"}
    for name, value in places.items():
        text = text.replace(f"@{name}@", str(value))
    (state / "dovecot.conf").write_text(text)
    server = subprocess.Popen([program, "-F", "-c", str(state / "dovecot.conf")], stderr=subprocess.PIPE)
    try:
        _up(made.imap, server)
        _up(made.lmtp, server)
        yield made
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)
        if server.stderr is not None:
            server.stderr.close()
        shutil.rmtree(state, ignore_errors=True)


def _certificate(state: Path) -> bool:
    """Made by nobody and for nobody, as a bridge on this machine makes its own."""
    program = shutil.which("openssl")
    if program is None:
        return False
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=nobody.test", "-days", "2"]
    files = ["-keyout", str(state / "key.pem"), "-out", str(state / "cert.pem")]
    return subprocess.run([program, *made, *files], capture_output=True, check=False).returncode == 0


def _up(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if server.poll() is not None:
            pytest.fail(f"dovecot ended: {server.stderr.read() if server.stderr else b''!r}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    pytest.fail("dovecot does not answer")


@pytest.fixture(scope="session")
def _relayed(dovecot: Mail) -> Iterator[Mail]:
    controller = pytest.importorskip("aiosmtpd.controller", reason="requirements-dev.lock installs aiosmtpd")
    from aiosmtpd.smtp import AuthResult, LoginPassword

    class Relay:
        async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
            if dovecot.refuse:
                return dovecot.refuse
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            dovecot.letters.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
            for to in envelope.rcpt_tos:
                if to.endswith("@localhost.test"):
                    with smtplib.LMTP("127.0.0.1", dovecot.lmtp) as door:
                        door.sendmail(envelope.mail_from, [to], envelope.content)
            if dovecot.vanish:
                server.transport.abort()
            return "250 2.0.0 queued as 42"

    def allowed(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=good, handled=good)

    made = controller.Controller(
        Relay(), hostname="127.0.0.1", port=free_port(), authenticator=allowed, auth_require_tls=False, auth_required=True,
        enable_SMTPUTF8=True,
    )  # fmt: skip
    made.start()
    dovecot.smtp = made.port
    running = [made]
    if dovecot.imaps:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(dovecot.state / "cert.pem", dovecot.state / "key.pem")
        ways = {"authenticator": allowed, "auth_required": True, "hostname": "127.0.0.1"}
        running.append(controller.Controller(Relay(), port=free_port(), tls_context=context, require_starttls=True, **ways))
        running[-1].start()
        dovecot.smtps = running[-1].port
    yield dovecot
    for one in running:
        one.stop()


@pytest.fixture
def mail(_relayed: Mail) -> Iterator[Mail]:
    _relayed.letters.clear()
    _relayed.refuse = ""
    yield _relayed
    _relayed.refuse, _relayed.vanish = "", False
