"""Where a channel's secret comes from, and that no failure holds it."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from localagent.channels import registry, secrets
from localagent.errors import ChannelError, UsageError
from localagent.store import credentials
from localagent.store.channels import Configured


def obtain(**options: Any) -> str:
    return asyncio.run(secrets.obtain(Configured("work", "email", options), "password"))


def test_a_command_goes_before_what_is_stored() -> None:
    credentials.store("work", "password", "stored-secret")
    assert obtain() == "stored-secret"
    assert obtain(password_command=f"{sys.executable} -c \"print('printed secret'); print('more')\"") == "printed secret"
    assert obtain(password_command=[sys.executable, "-c", "print('listed-secret')"]) == "listed-secret"
    assert {"stored-secret", "printed secret", "listed-secret"} <= set(credentials.noted())


@pytest.mark.parametrize(
    ("code", "told"),
    [("import sys; print('the-secret'); sys.exit(3)", "exit code 3"), ("raise SystemExit(1)", "exit code 1")],
)
def test_a_command_that_fails_is_said_without_what_it_printed(code: str, told: str) -> None:
    with pytest.raises(ChannelError, match=told) as caught:
        obtain(password_command=[sys.executable, "-c", code])
    assert "the-secret" not in str(caught.value)


def test_a_command_that_is_not_there_and_one_that_cannot_be_read() -> None:
    for command in ("no-such-program-here x", 'echo "open', [" "]):
        with pytest.raises(ChannelError):
            obtain(password_command=command)


def test_nothing_stored_names_the_next_step() -> None:
    assert obtain() == "" == obtain(password_command=[sys.executable, "-c", "print()"])
    options = {"address": "a@b.test", "smtp_host": "127.0.0.1", "smtp_port": 9, "smtp_security": "none"}
    health = asyncio.run(registry.make(Configured("work", "email", options)).probe())
    assert not health.ok and "channels secret work" in health.detail


class _Letters:
    """Sends letters."""

    FIELDS = (SimpleNamespace(name="url", help="Where", required=True, secret=False),
              SimpleNamespace(name="token", help="Which", required=False, secret=True))  # fmt: skip

    @staticmethod
    def make(name: str, options: Any, secret: Any) -> Any:
        return name, dict(options), asyncio.run(secret())


def test_a_module_with_fields_and_make_is_a_kind() -> None:
    kind = registry.simple("letters", _Letters)
    assert kind.summary == "Sends letters"
    assert [(one.name, one.secret, one.needed) for one in kind.fields] == [("url", False, True), ("token", True, False)]

    async def none(field: str) -> str:
        raise registry.NoSecret("none")

    async def some(field: str) -> str:
        return f"the {field}"

    one = Configured("work", "letters", {"url": "x"})
    assert kind.make(one, none) == ("work", {"url": "x"}, "") and kind.make(one, some)[2] == "the token"  # type: ignore[index]


def test_kinds_are_known_by_name_and_check_their_settings() -> None:
    for name in registry.KINDS:
        kind = registry.kind(name)
        assert kind.name == name and kind.summary and len({field.name for field in kind.fields}) == len(kind.fields)
    with pytest.raises(UsageError, match="no kind of channel 'pigeon'"):
        registry.kind("pigeon")
    for options in ({"adress": "x"}, {"address": "nobody"}, {"address": "a@b.test"},
                    {"address": "a@b.test", "smtp_host": "x", "smtp_port": 0},
                    {"address": "a@b.test", "smtp_host": "mail.b.test", "smtp_security": "none"}):  # fmt: skip
        with pytest.raises(ChannelError, match=r"channels\.yaml:7: work"):
            registry.make(Configured("work", "email", options, "channels.yaml:7"))


@pytest.mark.parametrize(
    ("given", "host", "security"),
    [
        ({"address": "Ann@GMail.com"}, "smtp.gmail.com", "tls"),
        ({"address": "ann@outlook.com"}, "smtp-mail.outlook.com", "starttls"),
        ({"address": "ann@own.test", "provider": "fastmail"}, "smtp.fastmail.com", "tls"),
        ({"address": "ann@gmail.com", "smtp_host": "relay.own.test"}, "relay.own.test", None),
        ({"address": "ann@own.test", "smtp_host": "mail.own.test"}, "mail.own.test", None),
    ],
)
def test_known_providers_need_only_the_address(given: dict[str, Any], host: str, security: str | None) -> None:
    made = registry.kind("email").complete(given)
    assert made["smtp_host"] == host and made.get("smtp_security") == security and "provider" not in made
    registry.make(Configured("work", "email", made))


def test_an_unknown_provider_is_asked_about() -> None:
    with pytest.raises(UsageError, match="smtp_host="):
        registry.kind("email").complete({"address": "ann@own.test"})
    assert "app password" in registry.kind("email").hint({"address": "ann@gmail.com"})
