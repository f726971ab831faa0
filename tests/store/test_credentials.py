"""Secrets of channels: in the keyring where one works, else in a file that is the owner's alone and closed to tools."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from localagent.errors import StoreError
from localagent.sandbox import linux
from localagent.store import channels, credentials
from localagent.store.protected import Floor


class _Keyring(ModuleType):
    """A keyring of this process; `keeps` False takes everything and holds nothing."""

    def __init__(self, keeps: bool = True) -> None:
        super().__init__("keyring")
        self.__spec__ = ModuleSpec("keyring", None)
        self.held: dict[tuple[str, str], str] = {}
        self.keeps = keeps

    def set_password(self, service: str, name: str, secret: str) -> None:
        if self.keeps:
            self.held[service, name] = secret

    def get_password(self, service: str, name: str) -> str | None:
        return self.held.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        del self.held[service, name]


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", _Keyring(keeps=False))


def test_without_a_keyring_a_file_of_the_owners_holds_them(no_keyring: None) -> None:
    assert credentials.store("work", "password", "horse-battery") == "file"
    assert credentials.store("home", "password", "other-secret") == "file"
    assert credentials.load("work", "password") == "horse-battery" and credentials.where("work", "password") == "file"
    assert credentials.path().stat().st_mode & 0o777 == 0o600 and credentials.load("work", "token") is None
    assert credentials.forget("work", "password", "token") == 1 and credentials.load("work", "password") is None
    assert credentials.load("home", "password") == "other-secret" and credentials.where("work", "password") is None


def test_a_keyring_that_works_holds_them_and_the_file_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", _Keyring(keeps=False))
    credentials.store("work", "password", "first-secret")
    ring = _Keyring()
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert credentials.store("work", "password", "horse-battery") == "keyring"
    assert "horse" not in credentials.path().read_text() and "first" not in credentials.path().read_text()
    assert credentials.load("work", "password") == "horse-battery" and credentials.where("work", "password") == "keyring"
    assert credentials.forget("work", "password") == 1 and ring.held == {}


def test_a_keyring_that_fails_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = _Keyring()
    ring.set_password = ring.get_password = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert credentials.store("work", "password", "horse-battery") == "file"
    assert credentials.load("work", "password") == "horse-battery"


def test_what_was_read_is_known_in_the_forms_people_write(no_keyring: None) -> None:
    credentials.store("work", "password", "abcd efgh ijkl mnop")
    assert {"abcd efgh ijkl mnop", "abcdefghijklmnop"} <= set(credentials.known()) == set(credentials.noted())


def test_a_damaged_file_is_said_and_hides_nothing_wrongly() -> None:
    credentials.path().write_text('["horse"]')
    with pytest.raises(StoreError, match="damaged") as caught:
        credentials.load("work", "password")
    assert "horse" not in str(caught.value)
    assert "horse" not in credentials.known()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_that_was_opened_to_others_is_closed_again(no_keyring: None) -> None:
    credentials.store("work", "password", "horse-battery")
    credentials.path().chmod(0o644)
    credentials.load("work", "password")
    assert credentials.path().stat().st_mode & 0o777 == 0o600


def test_tools_reach_neither_the_secrets_nor_the_settings() -> None:
    floor, closed = Floor(), linux.own_folders()
    for path in (credentials.path(), channels.path()):
        assert floor.refusal(str(path))
        assert any(os.path.realpath(path).startswith(f"{folder}{os.sep}") for folder in closed)
