"""`localagent channels`: set up, listed, tried and removed, with the secret seen nowhere."""

from __future__ import annotations

import io
import json
import socket

import pytest

from localagent import cli
from localagent.store import channels, credentials
from localagent.store.gateway import Gate, Grants
from localagent.store.inbox import Inbox
from localagent.values import Incoming

SECRET = "correct-horse-battery"


@pytest.fixture
def dead_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def add(monkeypatch: pytest.MonkeyPatch, port: int, *more: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\n"))
    place = {"host": "127.0.0.1", "port": port, "security": "none"}
    servers = [f"{which}_{key}={value}" for which in ("smtp", "imap") for key, value in place.items()]
    return cli.main(["channels", "add", "email", "work", "address=me@own.test", *servers, "--secret-stdin", *more])


def test_a_channel_from_beginning_to_end(monkeypatch, capsys, dead_port: int) -> None:
    assert add(monkeypatch, dead_port) == 1
    said = capsys.readouterr()
    assert "Added work (email)" in said.out and "work: PROBLEM: cannot send through 127.0.0.1" in said.out
    assert SECRET not in said.out + said.err and SECRET not in channels.path().read_text()
    assert credentials.load("work", "password") == SECRET
    assert cli.main(["channels", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["name"] == "work" and listed["options"]["smtp_port"] == dead_port
    assert cli.main(["channels", "probe", "--json"]) == 1
    (probed,) = json.loads(capsys.readouterr().out)
    assert (probed["ok"], probed["sends"], probed["receives"]) == (False, False, False)
    assert cli.main(["channels", "sync"]) == 1 and "work: 0 new, 0 in all; work: " in capsys.readouterr().out
    assert cli.main(["channels", "status"]) == 0
    status = capsys.readouterr().out
    assert "password: file" in status and "never fetched" in status and "last try: work: " in status
    with Inbox() as inbox:
        inbox.take("work", [Incoming("1", "work", "a@b", "a@b", "x", 1.0)], "c")
    assert cli.main(["channels", "rm", "work"]) == 0 and "1 messages stay" in capsys.readouterr().out
    assert channels.load() == {} and credentials.load("work", "password") is None


def test_one_json_document_and_no_probe(monkeypatch, capsys, dead_port: int) -> None:
    assert add(monkeypatch, dead_port, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["name"] == "work" and made["secrets"] == {"password": "file"} and SECRET not in json.dumps(made)
    assert add(monkeypatch, dead_port) == 3 and "already" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("another-secret\n"))
    assert cli.main(["channels", "secret", "work", "--secret-stdin"]) == 0
    assert credentials.load("work", "password") == "another-secret"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["email", "work"], "address is missing"),
        (["email", "work", "address=a@gmail.com", "password=hunter2hunter2"], "password is a secret"),
        (["email", "work", "address=a@gmail.com", "api_key=hunter2hunter2"], "api_key is a secret"),
        (["email", "work", "address=a@gmail.com", "colour=red"], "no setting 'colour'"),
        (["email", "work", "address=a@own.test"], "smtp_host="),
        (["email", "work", "address=nobody"], "no e-mail address"),
        (["email", "Bad name", "address=a@gmail.com"], "cannot be the name"),
        (["email", "work", "address=a@gmail.com"], "--secret-stdin"),
        (["pigeon"], "no kind of channel"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(arguments: list[str], told: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\n"))
    last = ["--secret-stdin"] if arguments[1:2] == ["Bad name"] else []
    assert cli.main(["channels", "add", *arguments, *last]) == 3
    said = capsys.readouterr().err
    assert told in said and "hunter2" not in said and not channels.path().exists() and not credentials.path().exists()


def test_a_command_in_place_of_the_secret_is_kept_in_the_file(capsys) -> None:
    assert cli.main(["channels", "add", "email", "address=a@gmail.com", "password_command=pass show mail", "--no-probe"]) == 0
    assert channels.one("email").options["password_command"] == "pass show mail"
    assert cli.main(["channels", "secret", "email"]) == 3


def test_no_channels_name_the_next_step(capsys) -> None:
    assert cli.main(["channels"]) == 0 and "channels add" in capsys.readouterr().out
    assert cli.main(["channels", "probe", "nobody"]) == 3


def test_a_channel_that_goes_takes_its_pairings_along(capsys):
    channels.add("bot", "telegram", {})
    gate, grants = Gate(), Grants("/x")
    assert gate.tried("bot", gate.offer("bot", grants), "7", "7", "Ada", True) and gate.offer("bot", grants)
    assert cli.main(["channels", "rm", "bot"]) == 0 and "1 paired sender is shut out" in capsys.readouterr().out
    assert gate.pairings() == [] and gate.codes() == [] and gate.of("bot", "7", "7") is None
