"""`localagent mcp`: servers added, taken over, looked at, granted, confirmed, removed; secrets are seen nowhere."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from localagent import cli
from localagent.store import audit, credentials, mcp, mcp_known
from tests.toolbox.mcp.conftest import SCRIPT

START = ["--", sys.executable, "-I", "-S", SCRIPT]


def test_a_server_from_beginning_to_end(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["mcp", "add", "notes", "--effect", "compute", "--env", "API_TOKEN=s3cret-value", *START, "steps"]) == 0
    said = capsys.readouterr()
    assert "It is off until you have looked at it: localagent mcp trust notes" in said.err
    assert "s3cret" not in mcp.path().read_text() and credentials.load("mcp:notes", "API_TOKEN") == "s3cret-value"
    assert cli.main(["mcp", "trust", "notes"]) == 3
    assert "Only a person can confirm a server" in capsys.readouterr().err
    assert cli.main(["mcp", "probe", "notes", "--json"]) == 0
    probed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in probed["tools"]] == ["say", "wipe"] and probed["state"] == "new" and probed["resources"]
    assert cli.main(["mcp", "trust", "notes", "--yes"]) == 0
    said = capsys.readouterr()
    assert "say(text)" in said.out and "may: compute, without files and network" in said.out and "s3cret" not in said.out
    assert "environment API_TOKEN=${secret:API_TOKEN}" in said.out and "On: 2 tools of notes can be called." in said.out
    assert any(json.loads(line)["what"] == "trusted" for line in (audit.folder() / "log.jsonl").read_text().splitlines())
    assert cli.main(["mcp", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["tools"], row["effects"], row["transport"]) == ("on", 2, ["compute"], "stdio")
    assert cli.main(["tools", "info", "say"]) == 0
    assert "say (compute), from mcp:notes" in capsys.readouterr().out
    assert cli.main(["mcp", "tools", "--json"]) == 0
    assert [(one["called"], one["state"]) for one in json.loads(capsys.readouterr().out)] == [("say", "on"), ("wipe", "on")]
    assert cli.main(["mcp", "prompt", "notes", "review", "what=it"]) == 0
    assert capsys.readouterr().out == "Review it.\n"
    assert cli.main(["mcp", "grant", "notes", "--effect", "read:fs", "--host", "a.test", "--exclude", "wipe"]) == 0
    assert "may: read the workspace; reach a.test" in capsys.readouterr().out
    assert cli.main(["mcp", "off", "notes"]) == 0 and not mcp.one("notes").granted.on
    assert cli.main(["mcp", "rm", "notes"]) == 0
    assert mcp.load() == {} and credentials.load("mcp:notes", "API_TOKEN") is None and mcp_known.load("notes").confirmed is None


def test_what_is_wrong_is_said_with_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (["add", "x", "http://example.org/mcp"], "Use https://."),
        (["add", "x", "--effect", "run", "--", "y"], "the network name hosts"),
        (["add", "x", "--host", "a.test", "https://example.org/mcp"], "runs elsewhere"),
        (["add", "x y", "--", "z"], "cannot be the name of a server"),
        (["probe", "none"], "Add one with `localagent mcp add`"),
        (["import", "/nowhere.json"], "claude-desktop"),
        (["import"], "Name a file."),
    ):
        assert cli.main(["mcp", *words]) in (1, 3, 7), words
        assert told in capsys.readouterr().err, words
    assert mcp.load() == {}


def test_what_would_be_fetched_at_each_start_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["mcp", "add", "t", "--yes", "--", "uvx", "mcp-server-time"]) == 0
    assert "Fetch it once: localagent mcp install t" in capsys.readouterr().err and mcp_known.load("t").confirmed is None


def test_a_token_is_asked_for_and_kept_apart(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("tok-of-mine\n"))
    assert cli.main(["mcp", "add", "web", "--bearer", "https://example.org/mcp"]) == 0
    assert mcp.one("web").headers == {"Authorization": "Bearer ${secret:Authorization}"}
    assert credentials.load("mcp:web", "Authorization") == "tok-of-mine"


def test_servers_are_taken_over(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    cursor = isolated / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    servers = {"a": {"command": "x", "env": {"KEY_TOKEN": "abc"}}, "b": {"url": "https://b.test/mcp"}}
    cursor.write_text(json.dumps({"mcpServers": servers}))
    assert cli.main(["mcp", "import"]) == 0
    assert f"cursor          {cursor}" in capsys.readouterr().out
    assert cli.main(["mcp", "import", "cursor", "--only", "a"]) == 0
    assert "a: x, its secrets (KEY_TOKEN) are kept apart" in capsys.readouterr().out
    assert cli.main(["mcp", "import", "cursor"]) == 0
    said = capsys.readouterr()
    assert "there is a server a already, the same" in said.err and list(mcp.load()) == ["a", "b"]
    assert mcp_known.load("a").confirmed is None and mcp.one("a").granted.effects == ()


def test_of_a_folder_only_for_that_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".mcp.json").write_text('{"mcpServers": {"p": {"command": "x"}}}')
    assert cli.main(["mcp", "import", "claude-code"]) == 0
    assert mcp.one("p").granted.folder == str(tmp_path.resolve())
    assert mcp.here(mcp.load(), str(tmp_path)) and not mcp.here(mcp.load(), str(tmp_path.parent))
