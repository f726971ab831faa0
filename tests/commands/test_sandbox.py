"""`localagent sandbox`: what it says, and that it fails when an attack gets through."""

from __future__ import annotations

import json

import pytest

from localagent import cli, headless
from localagent.sandbox import landlock, launch, linux
from localagent.sandbox.attacks import trial, verify
from localagent.sandbox.attacks.values import Attack, leaks

HELD = next(attack for attack in trial.ATTACKS if attack.name == "read an SSH key")
THROUGH = Attack("say something that it may know", "secrets", "echo @MARK@", leaks)
IDLE = Attack("do nothing at all", "files", "true", leaks)


def test_it_says_what_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sandbox"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("bubblewrap: no network") and "bwrap" in said
    assert cli.main(["sandbox", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == "bubblewrap" and facts["version"][0].isdigit()


def test_verify_prints_what_held(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "attacks", lambda: (HELD, IDLE))
    assert cli.main(["sandbox", "--verify"]) == 0
    said = capsys.readouterr().out
    assert "held       read an SSH key" in said and "no matter  do nothing at all" in said
    assert "1 attacks held, 0 got through, 1 do not work" in said


def test_verify_fails_when_one_gets_through(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "attacks", lambda: (HELD, THROUGH))
    assert cli.main(["sandbox", "--verify"]) == 1
    assert "THROUGH    say something" in capsys.readouterr().out
    assert cli.main(["sandbox", "--verify", "--json"]) == 1
    made = json.loads(capsys.readouterr().out)
    assert made["ok"] is False and [a["verdict"] for a in made["attacks"]] == ["held", "through"]


def test_verify_fails_where_nothing_holds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "find_bwrap", lambda: None)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(launch, "_probed", None)
    try:
        assert cli.main(["sandbox", "--verify"]) == cli.Exit.SANDBOX
        assert "every effect asks first" in capsys.readouterr().out
    finally:
        launch._probed = None


@pytest.mark.parametrize(("name", "word"), [("landlock", "reduced"), ("none", "every effect asks first"), ("bubblewrap", "")])
def test_do_says_what_holds_less(
    name: str, word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    boundary = launch.Boundary(name, "It is missing.", "Install it.")  # type: ignore[arg-type]
    monkeypatch.setattr(launch, "probe", lambda: boundary)
    headless._tell_boundary(quiet=False)
    said = capsys.readouterr().err
    assert (word in said and "It is missing. Install it." in said) if word else not said
    headless._tell_boundary(quiet=True)
    assert not capsys.readouterr().err


def test_every_attack_is_named_once() -> None:
    names = [attack.name for attack in trial.ATTACKS]
    assert len(names) == len(set(names)) and len(names) > 100
