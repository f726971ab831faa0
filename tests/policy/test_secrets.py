"""What counts as a secret in a text, and what must not."""

from __future__ import annotations

import re
import time

import pytest

from localagent.policy import secrets

# Made up here, put together so that no scanner takes this file for a leak.
A36 = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
PEM = "-----BEGIN {0}PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq\nZm9vYmFyYmF6\n-----END {0}PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("id AKIA" + "IOSFODNN7EXAMPLQ here", "AKIA" + "IOSFODNN7EXAMPLQ"),
        ("ghp_" + A36, "ghp_" + A36),
        ("github_pat_" + A36, "github_pat_" + A36),
        ("glpat-" + A36[:20], "glpat-" + A36[:20]),
        ("xoxb-" + "123456789012-abcdefABCDEF", "xoxb-" + "123456789012-abcdefABCDEF"),
        ("sk-ant-api03-" + A36, "sk-ant-api03-" + A36),
        ("sk-proj-" + A36, "sk-proj-" + A36),
        ("sk_live_" + A36[:24], "sk_live_" + A36[:24]),
        ("AIza" + A36[:35], "AIza" + A36[:35]),
        ("hf_" + A36[:34], "hf_" + A36[:34]),
        (f"token {JWT}.", JWT),
        ("postgres://app:s3cr:t-pw!@db.example/x", "s3cr:t-pw!"),
        ("https://user:hunter2@example.org/", "hunter2"),
        ("Authorization: Bearer abc123def456ghi7", "abc123def456ghi7"),
        ("curl -H 'authorization: token 9f8e7d6c5b4a39281'", "9f8e7d6c5b4a39281"),
        ("DB_PASSWORD=correcthorsebattery\n", "correcthorsebattery"),
        ("export API_KEY='Zx9-kq2_LLm3'\n", "Zx9-kq2_LLm3"),
        ('{"client_secret": "q8Rt!2mmZ0p"}', "q8Rt!2mmZ0p"),
        ("PASSWORD=my-dog-rex-42!\n", "my-dog-rex-42!"),
        ("PASSWORD=$ecret-1234\n", "$ecret-1234"),
        ("password: tr0ub4dor&3\n", "tr0ub4dor&3"),
        ("STRIPE=Zm9vQmFyMTIzNDU2Nzg5MGFiY2RlZkdI\n", "Zm9vQmFyMTIzNDU2Nzg5MGFiY2RlZkdI"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY"),
        (PEM.format("RSA "), "MIIEowIBAAKCAQEA7bq\nZm9vYmFyYmF6"),
        (PEM.format("OPENSSH "), "MIIEowIBAAKCAQEA7bq\nZm9vYmFyYmF6"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEcut\noff", "MIIEcut\noff"),
    ],
)
def test_found_exactly(text: str, secret: str) -> None:
    assert [text[s.start : s.end] for s in secrets.find(text)] == [secret]


@pytest.mark.parametrize(
    "text",
    [
        "DEBUG=0\nDB_HOST=db7.internal.example\nDB_USER=app\n",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "BUILD_SHA=9fceb02d0ae598e95dc970b74767f19372d61af8\n",
        "550e8400-e29b-41d4-a716-446655440000",
        "token = tokenizer.encode(text)",
        "password = get_password(user)",
        "secret: string",
        "def login(self, password: str, token: Optional[str]) -> None:",
        "API_KEY=your-api-key-here\nTOKEN=${TOKEN}\nPASSWORD=changeme123\nSECRET=xxxxxxxxxxxx\n",
        "TOKEN_URL=https://example.org/oauth/token\nPASSWORD_FILE=/run/secrets/db-password-1\n",
        "api_key = os.environ['API_KEY_PROD_1']",
        "-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEA7bq\n-----END CERTIFICATE-----\n",
        "-----BEGIN PUBLIC KEY-----\nMIIEowIBAAKCAQEA7bq\n-----END PUBLIC KEY-----\n",
        "see https://example.org:8080/a@b and mailto:ann@example.org",
        "max_tokens: 16384000\ntoken_count=1234567890\n",
        "The secret: never give up. Password hint: blue",
        "sk-button sk-icon-large",
        "",
    ],
)
def test_left_alone(text: str) -> None:
    assert secrets.find(text) == []


def test_the_users_own_expressions() -> None:
    own = [re.compile(r"badge (\d{6})"), re.compile(r"ACME-[A-Z]{4}")]
    text = "badge 123456, ACME-QWER"
    assert [text[s.start : s.end] for s in secrets.find(text, own)] == ["123456", "ACME-QWER"]


def test_spans_that_overlap_become_one() -> None:
    text = f"API_TOKEN={JWT}\n"
    assert [text[s.start : s.end] for s in secrets.find(text)] == [JWT]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\n" * 20_000,
        "eyJ" * 200_000,
        "password=" * 60_000,
        "a:" * 300_000,
        "://" * 200_000,
        "A" * 600_000,
        "_" * 600_000 + "=",
        "secret" + " " * 600_000,
        "authorization:" * 40_000,
    ],
    ids=["begins", "jwt", "names", "colons", "addresses", "letters", "lines", "spaces", "headers"],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    secrets.find(text)
    assert time.process_time() - began < 3
