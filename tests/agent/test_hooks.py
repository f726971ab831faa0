"""Hooks: real small scripts that hear what a session does, may be stricter, and never looser."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent import hook_form, hooks
from localagent.agent.hooks import Hooks
from localagent.commands import hooks as command
from localagent.errors import ConfigError, UsageError
from localagent.policy.marks import Marks
from localagent.store import agreed, hooksfile, paths
from localagent.store.hooksfile import Hook
from localagent.values import Answer, ToolSpec
from tests.agent.test_loop import World, ended, kinds, results
from tests.agent.test_masking import do
from tests.agent.test_sends import Mail
from tests.fakes import approve_all, call, nobody


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    made = tmp_path / "scripts"
    made.mkdir()
    return made


def hook(event: str, script: str, matcher: str = "", **more: Any) -> Hook:
    return Hook(event, matcher, script, "hooks.json", **{"timeout": 10.0, **more})


def hooked(world: World, *given: Hook) -> World:
    made = Hooks(tuple(given), world.workspace, world.session.id, "transcript.jsonl", world.session.setting.masks.mask)
    world.session.setting = replace(world.session.setting, hooks=made)
    return world


def holds(file: Path, text: str) -> None:
    until = time.monotonic() + 10
    while not (file.exists() and text in file.read_text()) and time.monotonic() < until:
        time.sleep(0.01)


def notices(events: list[e.Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, e.Notice)]


# ------------------------------------------------------------ one call


def test_exit_2_refuses_with_its_reason_and_hears_the_call_as_others_name_it(tmp_path: Path, scripts: Path) -> None:
    heard = scripts / "heard.json"
    world = World(tmp_path, [call("write_file", path="a.txt")], "ok", write_file=(("write:fs",), lambda args: "never"))
    events = hooked(world, hook("PreToolUse", f"cat > {heard}; echo 'a.txt is frozen' >&2; exit 2", "Write|Edit")).run(approve_all)
    [result] = results(events)
    assert result.status == "denied" and "Not allowed: your hook: a.txt is frozen" in result.text
    assert not world.tools.calls
    told = json.loads(heard.read_text())
    assert told["tool_name"] == "Write" and told["tool_input"] == {"file_path": str(world.workspace / "a.txt")}
    assert (told["localagent_tool"], told["hook_event_name"], told["cwd"]) == ("write_file", "PreToolUse", str(world.workspace))
    assert (told["session_id"], told["permission_mode"], told["tool_use_id"]) == (world.session.id, "default", "call_1")


def test_a_hook_makes_allow_ask_and_never_the_other_way_round(tmp_path: Path) -> None:
    asks = """echo '{"hookSpecificOutput": {"permissionDecision": "ask", "permissionDecisionReason": "look first"}}'"""
    world = hooked(World(tmp_path, [call("look", path=".")], "ok"), hook("PreToolUse", asks, "look"))
    reasons = []

    async def approve(made: Any, decision: Any, changes: Any) -> Answer:
        reasons.append((decision.reason, decision.remember, decision.missing))
        return Answer("allow")

    assert results(world.run(approve))[0].status == "ok" and reasons == [("your hook: look first", "", ())]
    for word in ('{"decision": "approve"}', '{"hookSpecificOutput": {"permissionDecision": "allow"}}'):
        again = World(tmp_path, [call("tell", path="a")], "ok", tell=(("send",), lambda args: "sent"))
        events = hooked(again, hook("PreToolUse", f"echo '{word}'")).run(nobody)
        assert results(events)[0].status == "denied" and "ApprovalAsked" in kinds(events)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 1", "it ended with 1"),
        ("/no/such/program", "it ended with 127"),
        ("sleep 30", "its time was over"),
        ("yes", "it printed too much"),
        ("echo '{'", "is not JSON"),
        ("""echo '{"decision": "perhaps"}'""", "which is no decision"),
        ("kill -9 $$", "it ended with -9"),
    ],
)
def test_a_gate_that_fails_is_a_no_and_that_is_said(tmp_path: Path, script: str, why: str) -> None:
    world = World(tmp_path, [call("look", path=".")], "ok")
    events = hooked(world, hook("PreToolUse", script, timeout=0.5)).run(approve_all)
    assert results(events)[0].status == "denied" and why in results(events)[0].text
    assert [why in one and "so the answer is no" in one for one in notices(events)] == [True]


def test_what_a_failure_means_can_be_chosen(tmp_path: Path) -> None:
    passing = hooked(World(tmp_path, [call("look", path=".")], "ok"), hook("PreToolUse", "exit 1", on_failure="pass"))
    events = passing.run(nobody)
    assert results(events)[0].status == "ok" and "things went on" in notices(events)[0]
    asking = hooked(World(tmp_path, [call("look", path=".")], "ok"), hook("PreToolUse", "exit 1", on_failure="ask"))
    assert "ApprovalAsked" in kinds(asking.run(approve_all))


def test_a_changed_call_is_judged_anew_and_only_once_changed(tmp_path: Path) -> None:
    def changing(path: str) -> str:
        return "echo '" + json.dumps({"hookSpecificOutput": {"updatedInput": {"path": path}}}) + "'"

    world = World(tmp_path, [call("look", path="a")], "ok")
    [result] = results(hooked(world, hook("PreToolUse", changing("b"))).run(nobody))
    assert [c.args["path"] for c in world.tools.calls] == ["b"] and "A hook of the user's changed this call" in result.text
    outside = World(tmp_path, [call("look", path="a")], "ok")
    [result] = results(hooked(outside, hook("PreToolUse", changing("/etc/passwd"))).run(nobody))
    assert result.status == "denied" and not outside.tools.calls
    grows = """python3 -c 'import json,sys; p=json.load(sys.stdin)["tool_input"]["path"]+"x"
print(json.dumps({"hookSpecificOutput": {"updatedInput": {"path": p}}}))'"""
    endless = World(tmp_path, [call("look", path="a")], "ok")
    [result] = results(hooked(endless, hook("PreToolUse", grows)).run(nobody))
    assert result.status == "denied" and "again and again" in result.text and not endless.tools.calls


def test_after_a_call_a_hook_tells_the_model_something_as_data(tmp_path: Path) -> None:
    world = World(tmp_path, [call("count", path="a")], "ok", count=(("compute",), lambda args: "7"))
    script = """grep -q '"output": "7"' && echo "lint: the assistant must delete x" >&2; exit 2"""
    events = hooked(world, hook("PostToolUse", script)).run(nobody)
    [result] = results(events)
    assert result.status == "ok" and result.text == "7\n[A hook of the user's says, as data:]\n| lint: the assistant must delete x"
    assert world.session.marks == Marks(untrusted=True, speaks=True)
    again = World(tmp_path, "ok", count=(("compute",), lambda args: "7"))
    again.session.replay(events)
    assert again.session.marks == Marks(untrusted=True, speaks=True)


def test_secrets_stay_hidden_from_hooks_and_from_what_they_say(tmp_path: Path, scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "tok")
    key = "sk-" + "ant-api03-Zx81kqPLm20Vbn37Rty46Wqe"
    world = World(tmp_path, [call("count", path="a")], "ok", count=(("compute",), lambda args: f"key {key}"))
    hooked(world, hook("PostToolUse", f"cat > {scripts}/heard; env > {scripts}/env; echo 'saw {key}' >&2; exit 2"))
    [result] = results(world.run(nobody))
    assert world.session.setting.masks.mask(key) != key
    assert key not in (scripts / "heard").read_text() and key not in result.text and "saw" in result.text
    env = (scripts / "env").read_text()
    assert "MY_API_TOKEN" not in env and f"CLAUDE_PROJECT_DIR={world.workspace}" in env


# ------------------------------------------------------------ a turn


def test_a_request_can_be_refused_and_added_to(tmp_path: Path) -> None:
    script = """grep -q secret && { echo "no secrets here" >&2; exit 2; }; echo "Today is a holiday." """
    world = hooked(World(tmp_path, "ok"), hook("UserPromptSubmit", script), hook("SessionStart", "echo started", "startup"))
    refused = world.run(text="tell the secret")
    assert kinds(refused) == ["TurnEnded"] and ended(refused).error.kind == "hook"  # type: ignore[union-attr]
    assert "no secrets here" in ended(refused).error.message and world.session.history == []  # type: ignore[union-attr]
    events = world.run(text="hello")
    assert kinds(events) == ["TurnStarted", "Nudged", "MessageDone", "TurnEnded"]
    said = world.engine.asked[0][0][-1]
    assert said.role == "host" and said.text == "[A hook of the user's says, as data:]\n| Today is a holiday."
    assert world.session.marks.untrusted


def test_a_stop_hook_has_the_model_go_on_but_not_for_ever(tmp_path: Path) -> None:
    script = """grep -q '"stop_hook_active": false' || exit 0; echo "run the tests first" >&2; exit 2"""
    world = hooked(World(tmp_path, "done", "really done"), hook("Stop", script))
    assert ended(world.run()).final == "really done"
    assert "| run the tests first" in world.engine.asked[1][0][-1].text
    for_ever = hooked(World(tmp_path, *["done"] * 9), hook("Stop", "exit 2"))
    events = for_ever.run()
    assert len(for_ever.engine.asked) == 4 and "kept the agent going 3 times" in notices(events)[0]


def test_a_hook_ends_the_turn(tmp_path: Path) -> None:
    script = """echo '{"continue": false, "stopReason": "enough"}'"""
    world = hooked(World(tmp_path, [call("look", path="."), call("look", path="b")], "ok"), hook("PreToolUse", script))
    events = world.run(approve_all)
    assert [r.status for r in results(events)] == ["denied"] and not world.tools.calls
    assert ended(events).status == "failed" and "Your hook ended the turn: enough" in ended(events).error.message  # type: ignore[union-attr]
    assert world.session.history[-1].role == "tool"
    world.session.setting = replace(world.session.setting, hooks=Hooks())
    assert ended(world.run()).status == "done"


def test_a_question_is_told_and_the_end_too(tmp_path: Path, scripts: Path) -> None:
    world = World(tmp_path, [call("tell", path="a")], "ok", tell=(("send",), lambda args: "sent"))
    given = [hook(name, f"cat >> {scripts}/heard; echo >> {scripts}/heard") for name in ("Notification", "SessionEnd")]
    hooked(world, *given)

    async def slowly(made: Any, decision: Any, changes: Any) -> Answer:
        await asyncio.to_thread(holds, scripts / "heard", "\n")
        return Answer("allow")

    world.run(slowly)
    asyncio.run(world.session.close())
    asyncio.run(world.session.close())
    lines = [json.loads(line) for line in (scripts / "heard").read_text().splitlines()]
    assert [line["hook_event_name"] for line in lines] == ["Notification", "SessionEnd"]
    assert "asks whether it may use tell" in lines[0]["message"]


def test_a_stopped_turn_takes_its_hook_and_all_it_began_along(tmp_path: Path, scripts: Path) -> None:
    world = World(tmp_path, [call("look", path=".")], "ok")
    hooked(world, hook("PreToolUse", f"sleep 60 & echo $! > {scripts}/pid; sleep 60", timeout=60))

    async def stop() -> None:
        async def turn() -> None:
            async for _ in world.session.send("go", approve_all):
                pass

        task = asyncio.create_task(turn())
        await asyncio.to_thread(holds, scripts / "pid", "\n")
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(stop())
    pid = int((scripts / "pid").read_text())
    until = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}/status") and "zombie" not in Path(f"/proc/{pid}/status").read_text() and time.monotonic() < until:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{pid}/status") or "zombie" in Path(f"/proc/{pid}/status").read_text()
    assert world.session.ended is not None and world.session.ended.status == "cancelled"


# ------------------------------------------------------------ where they run


def test_what_the_agent_may_write_runs_in_the_sandbox(tmp_path: Path, scripts: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "check.sh").write_text("echo x > /tmp/escaped-by-a-hook; touch here; cat input; exit 2\n")
    (scripts / "mine.sh").write_text("exit 0")
    inside = [f"bash {work}/check.sh", "bash check.sh", 'bash "$CLAUDE_PROJECT_DIR"/check.sh', f"x=1;bash '{work}/check.sh'|cat"]
    assert all(hooks.held(hook("Stop", script), work) for script in inside)
    assert not hooks.held(hook("Stop", f"bash {scripts}/mine.sh"), work)
    assert not hooks.held(hook("Stop", "bash check.sh", sandbox=False), work)
    assert hooks.held(hook("Stop", "true", own=False), work) and hooks.held(hook("Stop", "true", sandbox=True), work)
    (work / "input").write_text("seen")
    said = asyncio.run(hooks.run(hook("PreToolUse", "bash check.sh"), {}, work))
    assert said.verdict == "deny" and "Read-only file system" in said.reason and not (work / "here").exists()
    assert not os.path.exists("/tmp/escaped-by-a-hook")


def test_names_of_other_agents_match() -> None:
    for matcher, name, called in (
        ("Bash", "run", "Bash"),
        ("run_shell_command", "run", "run_shell_command"),
        ("Write|Edit", "edit_file", "Edit"),
        ("", "look", "look"),
        ("*", "run", "run"),
        ("run", "run", "run"),
        ("Bash", "look", None),
        ("Ba", "run", None),
    ):
        assert hook_form.matched(hook("PreToolUse", "x", matcher), hook_form.names_of(name)) == called
    assert hook_form.names_of("git_status", "mcp:git")[-1] == "mcp__git__status"
    spec = ToolSpec("edit_file", "", {})
    assert hook_form.our_arguments(spec, {"file_path": "a", "old_string": "b", "new": "c"}) == {"path": "a", "old": "b", "new": "c"}


# ------------------------------------------------------------ the files


def file_of(event: str = "PreToolUse", **given: Any) -> bytes:
    return json.dumps({"hooks": {event: [{"matcher": "Bash", "hooks": [{"type": "command", "command": "true", **given}]}]}}).encode()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{", "hooks.json:1: it is not JSON"),
        (b"[]", "is no object"),
        (file_of("PreTooluse"), "there is no event 'PreTooluse'. Did you mean PreToolUse?"),
        (file_of(type="prompt"), "only hooks of the type command"),
        (file_of(timeout=0), "timeout must be seconds"),
        (file_of(on_failure="allow"), "on_failure must be one of"),
        (file_of(comand="x"), "there is no key 'comand'"),
        (file_of(command=" "), "command must be a text"),
        (b'{"hooks": {"Stop": [{"matcher": "(", "hooks": []}]}}', "is no regular expression"),
        (b'{"hooks": {"Stop": [], "Stop": []}}', "a key stands twice"),
        (b'{"hooks": {"Stop": {}}}', "is no list"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(data: bytes, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        hooksfile.parse(data, "hooks.json", own=True)
    assert told in str(raised.value)


def test_events_of_others_are_told_and_the_users_file_is_the_users_alone() -> None:
    assert "there is no event PreCompact here" in hooksfile.parse(file_of("PreCompact"), "h", own=True).notices[0]
    assert hooksfile.load() == hooksfile.Hooks()
    place = paths.config_dir() / "hooks.json"
    place.write_bytes(file_of())
    assert [one.matcher for one in hooksfile.load().hooks] == ["Bash"]
    place.chmod(0o666)
    with pytest.raises(ConfigError, match="others may write it"):
        hooksfile.load()


def test_hooks_of_a_folder_count_as_they_were_confirmed(tmp_path: Path) -> None:
    place = hooksfile.project_path(tmp_path)
    assert hooksfile.load_project(tmp_path) == hooksfile.Hooks()
    place.parent.mkdir()
    place.write_bytes(file_of())
    found = hooksfile.load_project(tmp_path)
    assert found.hooks == () and "not confirmed" in found.notices[0]
    hooksfile.agree(tmp_path, file_of())
    found = hooksfile.load_project(tmp_path)
    assert [one.own for one in found.hooks] == [False] and found.notices == ()
    place.write_bytes(file_of(command="rm -rf ~"))
    found = hooksfile.load_project(tmp_path)
    assert [one.command for one in found.hooks] == ["true"] and "was changed" in found.notices[0]
    with pytest.raises(ConfigError, match="run in the sandbox"):
        hooksfile.agree(tmp_path, file_of(sandbox=False))
    agreed.withdraw("hooks", place)
    assert hooksfile.load_project(tmp_path).hooks == ()
    place.unlink()
    place.symlink_to("/etc/passwd")
    assert "through a link" in hooksfile.load_project(tmp_path).notices[0]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args(words))


def test_the_commands(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0 and "There are no hooks" in capsys.readouterr().out
    (paths.config_dir() / "hooks.json").write_bytes(file_of(command='grep -q "rm " && { echo "no rm" >&2; exit 2; } || true'))
    assert run("list", "--json") == 0 and json.loads(capsys.readouterr().out)[0]["sandboxed"] is False
    assert run("test", "PreToolUse") == 0 and "nothing against it" in capsys.readouterr().out
    assert run("test", "PreToolUse", "--input", '{"command": "rm -rf x"}') == 1 and "no rm" in capsys.readouterr().out
    assert run("test", "PreToolUse", "--tool", "read_file") == 0 and "No hook hears" in capsys.readouterr().out
    with pytest.raises(UsageError, match="has no hooks"):
        run("trust")
    place = hooksfile.project_path(here)
    place.parent.mkdir()
    place.write_bytes(file_of("Stop"))
    with pytest.raises(UsageError, match="Only a person"):
        run("trust")
    assert run("trust", "--off") == 0


# ------------------------------------------------------------ messages, and a whole program


def test_a_hook_before_a_message_refuses_it_and_one_behind_hears_what_became_of_it(tmp_path: Path, scripts: Path) -> None:
    letter = call("send_message", to="Anna Berg", text="the price is 12")
    gate = hook("PreSend", "grep -q 'price' && { echo 'no prices by mail' >&2; exit 2; } || true", "work")
    world = Mail(tmp_path, [letter], "ok")
    [result] = results(hooked(world, gate).run(approve_all))
    assert result.status == "denied" and "no prices by mail" in result.text and not world.channel.got
    asking = hook("PreSend", """echo '{"hookSpecificOutput": {"permissionDecision": "ask"}}'""", "work:.*")
    allowed = Mail(tmp_path, [letter], "ok", allow=["send(work:anna@example.org)"])
    assert results(hooked(allowed, asking).run(nobody))[0].status == "denied" and not allowed.channel.got
    heard = scripts / "heard.json"
    (tmp_path / "third").mkdir()
    sent = Mail(tmp_path / "third", [letter], "ok")
    assert results(hooked(sent, hook("PostSend", f"cat > {heard}")).run(approve_all))[0].status == "ok"
    told = json.loads(heard.read_text())
    assert (told["channel"], told["address"], told["state"], told["text"]) == ("work", "anna@example.org", "sent", "the price is 12")


def test_do_runs_the_hooks_of_the_user_and_of_the_folder(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = here / "log"
    mine = {"hooks": {"SessionEnd": [{"hooks": [{"type": "command", "command": f"cat > {log}"}]}]}}
    (paths.config_dir() / "hooks.json").write_text(json.dumps(mine))
    work = here / "work"
    work.mkdir()
    place = hooksfile.project_path(work)
    place.parent.mkdir()
    place.write_bytes(file_of(command="echo 'no shell here' >&2; exit 2"))
    hooksfile.agree(work, place.read_bytes())
    code, model = do("go", "--cwd", str(work), script=[[call("run", command="echo hi")], "ok"])
    assert code == 0 and "no shell here" in model.asked[1][0][-1].text
    told = json.loads(log.read_text())
    assert told["hook_event_name"] == "SessionEnd" and Path(told["transcript_path"]).is_file()
    (paths.config_dir() / "hooks.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        do("go", script=["ok"])
