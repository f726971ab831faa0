"""channels.yaml: what may stand in it, and that no secret does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.errors import ConfigError, UsageError
from localagent.store import channels


def write(text: str) -> Path:
    channels.path().write_text(text, "utf-8")
    channels.path().chmod(0o600)
    return channels.path()


def test_channels_are_added_and_removed_and_the_rest_stays() -> None:
    write("# mine\nhome:\n  kind: email\n  address: me@home.test # at home\n")
    channels.add("work", "email", {"address": "me@wörk.test", "smtp_port": 465, "authserv": ["a", "b"]})
    channels.add("more", "email", {"address": "x@y.test"})
    known = channels.load()
    assert list(known) == ["home", "work", "more"] and known["work"].kind == "email"
    assert known["work"].options == {"address": "me@wörk.test", "smtp_port": 465, "authserv": ["a", "b"]}
    assert known["work"].place.endswith("channels.yaml:5")
    assert channels.remove("work") and not channels.remove("work")
    text = channels.path().read_text("utf-8")
    assert text.startswith("# mine\nhome:\n  kind: email\n  address: me@home.test # at home\n")
    assert list(channels.load()) == ["home", "more"]
    assert channels.path().stat().st_mode & 0o777 == 0o600


def test_a_name_is_taken_once_and_is_a_plain_word() -> None:
    channels.add("work", "email", {})
    for name in ("work", "", "Work", "a b", "-x", "a" * 33, "../x"):
        with pytest.raises(UsageError):
            channels.add(name, "email", {})


@pytest.mark.parametrize("key", ["password", "smtp_password", "token", "api_key", "apikey", "client_secret", "pass"])
def test_a_secret_is_refused_with_file_and_line(key: str) -> None:
    write(f"work:\n  kind: email\n  {key}: hunter2hunter2\n")
    with pytest.raises(ConfigError) as caught:
        channels.load()
    assert f"channels.yaml:3: work: {key}: a secret does not belong" in str(caught.value) and "hunter2" not in str(caught.value)
    with pytest.raises(UsageError):
        channels.add("other", "email", {key: "hunter2hunter2"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", ":1: the file must hold"),
        ("work: x\n", ":1: work: settings must stand"),
        ("work:\n  address: a\n", "the kind is missing"),
        ("work:\n  kind: email\nwork:\n  kind: email\n", ":3: work: it already stands in line 1"),
        ("work:\n  kind: email\n  a: 1\n  a: 2\n", ":4: a: it already stands"),
        ("work:\n  kind: email\n  a: {b: c}\n", "a: it must be a text"),
        ("work:\n  kind: email\n  a: [[b]]\n", "a: it must be a list of texts"),
        ("work: &x\n  kind: email\n", ":1: anchors"),
        ("work:\n  kind: !!python/name:os.system email\n", ":2: anchors"),
        ('work:\n  kind: email\n  a: "x\\ny"\n', "a text of one line"),
        ("Work:\n  kind: email\n", "cannot be the name"),
        ("work:\n  kind: email\n  A-b: x\n", "cannot be the name of a setting"),
        ("work: [\n", "channels.yaml:"),
        ("\tx", "channels.yaml:1"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, told: str) -> None:
    write(text)
    with pytest.raises(ConfigError) as caught:
        channels.load()
    assert told in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_that_others_can_write_is_not_read() -> None:
    write("work:\n  kind: email\n").chmod(0o666)
    with pytest.raises(ConfigError, match="others can write it"):
        channels.load()


def test_no_file_is_no_channels() -> None:
    assert channels.load() == {}
    with pytest.raises(UsageError, match="no channel 'work'"):
        channels.one("work")
