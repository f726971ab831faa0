"""`do` from the command line down to the disk: real tools, workers, sandbox, policy and journal; only the model is scripted."""

from __future__ import annotations

import asyncio
import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from localagent import cli, headless, wiring
from localagent.commands import arguments
from localagent.errors import EngineError
from localagent.store import settings, trusted
from localagent.toolbox import own
from tests.fakes import ScriptedEngine, call


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def do(*argv: str, script: list[Any], piped: str = "") -> int:
    """What `localagent do ARGV` does, with this script for a model; returns the exit code."""
    parser = ArgumentParser()
    arguments.configure(parser)
    args = parser.parse_args(argv)

    async def run() -> int:
        session = await wiring.for_do(args, ScriptedEngine(*script), settings.load())
        ended = await headless.do(session, " ".join(args.goal), piped, args.output_format, quiet=args.quiet)
        return int(cli._exit_code(ended))

    return asyncio.run(run())


def test_stdout_is_the_answer_alone(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "a.txt").write_text("forty-two\n")
    code = do("what is in a.txt", script=[[call("read_file", path="a.txt")], "It says forty-two."])
    out, err = capsys.readouterr()
    assert (code, out) == (0, "It says forty-two.\n")
    assert "read_file" in err and "nothing changed" in err


def test_a_plugin_that_fits_is_offered_in_a_line_on_stderr(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = trusted.plugins_folder() / "hello.py"
    file.parent.mkdir()
    code = "from localagent import tool\n\n@tool(effects=['compute'])\ndef hello(who: str) -> str:\n    'Greet.'\n    return 'Hi ' + who\n"
    file.write_text(code)
    for one in asyncio.run(own.look(unsandboxed=False)):
        own.confirm(one)
    assert do("say hello to Ann", script=[[call("hello", who="Ann")], "Done."]) == 0
    out, err = capsys.readouterr()
    assert out == "Done.\n" and "  tools offered: hello\n" in err and "hello who=Ann" in err
    assert do("what is in a.txt", script=["Nothing."]) == 0 and "offered" not in capsys.readouterr().err


def test_yes_writes_and_undo_takes_it_back(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = [call("write_file", path="new/b.txt", content="hello\n")]
    assert do("write", "--yes", script=[calls, "Done."]) == 0
    assert (work / "new" / "b.txt").read_text() == "hello\n"
    assert "b.txt" in capsys.readouterr().err
    assert cli.main(["undo"]) == 0
    assert list(work.iterdir()) == []
    assert cli.main(["redo"]) == 0
    assert (work / "new" / "b.txt").read_text() == "hello\n"


def test_a_script_that_would_lose_files_by_a_slip_is_not_the_end(work: Path) -> None:
    for name in ("a.png", "b.png"):
        (work / name).write_text(name)
    slip, right = call("run", command="mv a.png pics; mv b.png pics"), call("run", command="mkdir pics; mv *.png pics")
    do("move the pictures to pics", "--yes", script=[[slip], "It was not allowed.", [right], "Done."])
    assert sorted(path.name for path in (work / "pics").iterdir()) == ["a.png", "b.png"]


def test_a_script_works_on_a_copy_and_its_changes_are_committed_and_undone(work: Path) -> None:
    (work / "x y.jpeg").write_text("x")
    (work / "keep.txt").write_text("k")
    before = sorted(p.name for p in work.iterdir())
    script = 'for f in *.jpeg; do mv "$f" "${f%.jpeg}.jpg"; done; echo made > made.txt'
    assert do("rename", "--yes", script=[[call("run", command=script)], "Done."]) == 0
    assert sorted(p.name for p in work.iterdir()) == ["keep.txt", "made.txt", "x y.jpg"]
    assert cli.main(["undo"]) == 0
    assert sorted(p.name for p in work.iterdir()) == before and (work / "x y.jpeg").read_text() == "x"


def test_nobody_to_ask_exits_4_prints_the_answer_and_the_rule_that_would_do(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = [[call("write_file", path="a.txt", content="x")], "I was not allowed to."]
    assert do("write", script=script) == 4
    out, err = capsys.readouterr()
    assert out == "I was not allowed to.\n" and not (work / "a.txt").exists()
    rule = err.split("--allow ", 1)[1].splitlines()[0].strip("'")
    assert do("write", "--allow", rule, script=list(script)) == 0
    assert (work / "a.txt").exists()


def test_a_users_own_deny_is_no_missing_approval(work: Path) -> None:
    script = [[call("write_file", path="a.txt", content="x")], "Not allowed."]
    assert do("write", "--yes", "--deny", "write(**)", script=script) == 0
    assert not (work / "a.txt").exists()


def test_what_may_not_be_read_is_closed_to_every_tool(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "secret.txt").write_text("HIDDEN")
    (work / "open.txt").write_text("SHOWN")
    calls = [
        call("read_file", path="secret.txt"),
        call("search_text", pattern="HIDDEN"),
        call("run", command="cat *.txt"),
    ]
    do("look", "--yes", "--deny", "read(secret.txt)", "--output-format", "stream-json", script=[calls, "Done."])
    results = [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines() if "ToolFinished" in line]
    told = "".join(part["text"] for result in results for part in result["parts"])
    assert "SHOWN" in told and "HIDDEN" not in told.replace("'HIDDEN' is in none", "")
    assert (work / "secret.txt").read_text() == "HIDDEN"


@pytest.mark.parametrize("tool", ["copy_file", "move_file"])
def test_a_folder_does_not_carry_a_denied_file_to_another_name(work: Path, tool: str) -> None:
    (work / "sub").mkdir()
    (work / "other").mkdir()
    (work / "sub" / "secret.txt").write_text("HIDDEN")
    script = [[call(tool, source="sub", destination="b"), call(tool, source="other", destination="c")], "Done."]
    do("x", "--yes", "--deny", "read(sub/secret.txt)", script=script)
    assert not (work / "b").exists() and (work / "sub" / "secret.txt").exists()
    assert (work / "c").is_dir(), "a folder that holds nothing denied may go where it likes"


def test_the_json_envelope(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = [[call("run", command="echo hi; exit 3")], "It works.", "It failed."]
    assert do("run it", "--yes", "--output-format", "json", script=script) == 0
    made = json.loads(capsys.readouterr().out)
    assert set(made) == {"ok", "status", "final", "usage", "timings", "turns", "tools", "receipts", "checks", "plan", "denied", "model",
                         "answered_by", "session_id", "questions", "error"}  # fmt: skip
    assert made["ok"] and made["final"] == "It failed." and made["turns"] == 3
    assert set(made["usage"]) == {"input_tokens", "cached_tokens", "output_tokens"}
    assert set(made["timings"]) == {"load_ms", "prefill_ms", "decode_ms"}
    assert made["tools"][0]["name"] == "run" and made["tools"][0]["status"] == "failed"
    assert made["receipts"][0]["data"]["exit_code"] == 3


def test_a_check_that_fails_is_exit_9_on_stderr_and_in_the_json(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script: list[Any] = ["I deleted everything.", "All is gone.", "Believe me.", "Gone."]
    (work / "a.txt").write_text("x")
    assert do("clean up", "--yes", "--check", "absent a.txt", script=list(script)) == 9
    out, err = capsys.readouterr()
    assert out == "Gone.\n" and "a check failed: absent a.txt: it is there" in err
    assert err.count("a check fails, and the model is told: absent a.txt: it is there") == 2
    assert "[nothing changed, nothing sent; 0 of 1 check holds]" in err
    assert do("x", "--yes", "--output-format", "json", "--check", "absent a.txt", "--check", "exists a.txt", script=list(script)) == 9
    made = json.loads(capsys.readouterr().out)
    assert (made["ok"], made["status"], [one["ok"] for one in made["checks"]]) == (False, "check", [False, True])
    mended = ["Done.", [call("trash", path="a.txt")], "Now it is."]
    assert do("x", "--yes", "--allow", "write(**)", "--check", "absent a.txt", "--check", "exit_code 1 test -e a.txt", script=mended) == 0


def test_a_check_that_cannot_be_meant_is_refused_before_anything_is_loaded(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    assert cli.main(["do", "x", "--check", "delete a"]) == 3 and cli.main(["do", "x", "--check", "exists /etc/passwd"]) == 3


def test_a_run_that_cannot_begin_is_told_in_the_form_asked_for(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    assert cli.main(["do", "x", "--output-format", "json"]) == 8
    made = json.loads(capsys.readouterr().out)
    assert made["ok"] is False and made["error"]["kind"] == "model_missing" and "pull" in made["error"]["message"]


def test_a_dry_run_tells_what_would_change(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "a.txt").write_text("a")
    script = [[call("run", command="rm a.txt; echo b > b.txt")], "Done."]
    assert do("x", "--yes", "--dry-run", "--output-format", "json", script=script) == 0
    out, err = capsys.readouterr()
    would = json.loads(out)["tools"][0]["would"]
    assert any("a.txt" in line for line in would) and any("b.txt" in line for line in would)
    assert "would" in err and [p.name for p in work.iterdir()] == ["a.txt"]


def test_a_stored_rule_that_cannot_be_read_is_left_out_and_told(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from localagent.store import grants

    grants.add("fly(high)")
    grants.add("write(a.txt)")
    assert do("x", script=[[call("write_file", path="a.txt", content="x")], "Done."]) == 0
    assert "fly" in capsys.readouterr().err
    assert cli.main(["approvals", "list"]) == 0
    assert "used 1x" in capsys.readouterr().out


def test_the_event_stream_is_the_transcript(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    do("look", "--output-format", "stream-json", script=[[call("list_files")], "Empty."])
    streamed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert streamed[0]["event"] == "TurnStarted" and streamed[-1]["event"] == "TurnEnded"
    folder = next((Path(os.environ["LOCALAGENT_STATE_DIR"]) / "sessions").iterdir())
    stored = [json.loads(line) for line in (folder / "transcript.jsonl").read_text().splitlines()]
    passing = {"TextDelta", "ThinkingDelta", "EngineProgress", "PrefillProgress", "ToolOutput"}
    assert stored == [line for line in streamed if line["event"] not in passing]


def test_resume_goes_on_with_the_history(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    do("remember seven", script=["I will."])
    engine = ScriptedEngine("Seven.")
    parser = ArgumentParser()
    arguments.configure(parser)
    args = parser.parse_args(["which number?", "--resume", "last"])

    async def run() -> None:
        session = await wiring.for_do(args, engine, settings.load())
        await headless.do(session, "which number?", "", "text")

    asyncio.run(run())
    told = [m.text for m in engine.asked[0][0]]
    assert any("remember seven" in text for text in told) and "I will." in told
    assert cli.main(["sessions"]) == 0
    assert "remember seven" in capsys.readouterr().out


def test_an_answer_of_a_schema_is_the_json_alone(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "s.json").write_text('{"type": "object", "properties": {"n": {"type": "integer"}}}')
    script = ["There are 7.", '```json\n{"n": 7}\n```']
    assert do("how many", "--output-schema", "s.json", script=script) == 0
    assert json.loads(capsys.readouterr().out) == {"n": 7}


def test_piped_text_is_context(work: Path) -> None:
    engine_saw: list[str] = []

    class Spy(ScriptedEngine):
        async def stream(self, messages: Any, specs: Any, options: Any):
            engine_saw.append(messages[-1].text)
            async for delta in super().stream(messages, specs, options):
                yield delta

    parser = ArgumentParser()
    arguments.configure(parser)
    args = parser.parse_args(["summarise"])

    async def run() -> None:
        session = await wiring.for_do(args, Spy("ok"), settings.load())
        await headless.do(session, "summarise", "the piped text", "text")

    asyncio.run(run())
    assert "summarise" in engine_saw[0] and "the piped text" in engine_saw[0]


def test_an_engine_failure_is_one_sentence_and_exit_1(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert do("x", script=[EngineError("The engine stopped while answering.", "Run it again.")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "Run it again." in err and "Traceback" not in err


def test_a_move_that_would_swallow_files_is_not_committed_unasked(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.txt", "b.txt"):
        (work / name).write_text(name)
    swallow = [[call("run", command='for f in *.txt; do mv "$f" txt; done')], "Not allowed."]
    assert do("sort", "--yes", script=swallow) == 4
    assert "would be lost" in capsys.readouterr().err
    assert sorted(p.name for p in work.iterdir()) == ["a.txt", "b.txt"]
    plain = [[call("run", command='mkdir t; mv *.txt t/; rm t/a.txt')], "Done."]
    assert do("sort", "--yes", script=plain) == 0
    assert sorted(p.name for p in (work / "t").iterdir()) == ["b.txt"]


def test_outside_the_workspace_is_asked_about_even_in_auto(work: Path, isolated: Path) -> None:
    script = [[call("write_file", path=str(isolated / "evil.txt"), content="x")], "No."]
    assert do("x", "--yes", script=script) == 4
    assert not (isolated / "evil.txt").exists()


def test_the_floor_is_lifted_by_nothing(work: Path, isolated: Path) -> None:
    target = isolated / ".bashrc"
    script = [[call("write_file", path=str(target), content="x")], "No."]
    do("x", "--mode", "yolo", "--allow", "write(**)", script=script)
    assert not target.exists()


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        ([], 3, "usage"),
        (["fly"], 3, "no command"),
        (["d"], 3, "Did you mean 'do'"),
        (["do"], 3, "goal"),
        (["do", ""], 3, "empty"),
        (["do", "x", "--max-turns", "0"], 3, "max-turns"),
        (["do", "x", "--mode", "wild"], 3, "--mode"),
        (["do", "x", "--cwd", "/nowhere"], 3, "/nowhere"),
        (["do", "x", "--model", "nonsense"], 3, "nonsense"),
        (["do", "x", "--output-schema", "nowhere.json"], 3, "nowhere.json"),
        (["do", "x", "--resume", "nonsense"], 3, "nonsense"),
        (["do", "x", "--allow", "fly(high)"], 3, "fly"),
        (["do", "x"], 8, "model pull"),
        (["config", "set", "mode", "wild"], 3, "mode"),
        (["approvals", "revoke", "run(x)"], 1, "no stored rule"),
        (["undo"], 1, "nothing"),
    ],
)
def test_bad_command_lines_are_told_in_one_sentence(
    argv: list[str], code: int, said: str, work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    assert cli.main(argv) == code
    out, err = capsys.readouterr()
    assert said.lower() in (out + err).lower() and "Traceback" not in err


def test_lists_are_what_a_bare_command_shows(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, said in (("approvals", "No approvals"), ("tools", "read_file"), ("config", "mode"), ("engine", "not running")):
        assert cli.main([command]) == 0
        assert said in capsys.readouterr().out


def test_a_relative_rule_is_kept_for_this_folder(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from localagent.store import grants

    assert cli.main(["approvals", "add", "write(a.txt)"]) == 0
    assert cli.main(["approvals", "add", "run(make test)"]) == 0
    assert cli.main(["approvals", "add", "--everywhere", "write(b.txt)"]) == 0
    kept = {grant.rule: grant.folder for grant in grants.load()}
    assert kept == {"write(a.txt)": str(work), "run(make test)": "", "write(b.txt)": ""}


def test_a_folder_that_is_gone_is_one_sentence(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work.rmdir()
    assert cli.main(["do", "x"]) == 3
    assert "current folder" in capsys.readouterr().err


def test_a_mistake_of_ours_is_one_sentence_and_a_file(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(args: object) -> int:
        raise RuntimeError("boom")

    monkeypatch.setattr("localagent.commands.config.run", broken)
    assert cli.main(["config", "get"]) == 1
    err = capsys.readouterr().err
    assert "boom" in err and "Traceback" not in err
    assert "Traceback" in (Path(os.environ["LOCALAGENT_STATE_DIR"]) / "crash.log").read_text()


def test_a_broken_config_names_file_and_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(os.environ["LOCALAGENT_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    settings.path().write_text("mode: ask\nthreads: many\n")
    assert cli.main(["do", "x"]) == 7
    assert "config.yaml:2" in capsys.readouterr().err


def test_a_background_command_asks_and_ends_with_the_run(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.set_value("background", "true")
    script = [[call("start_command", command="touch made")], "It runs."]
    assert do("--yes", "touch it", script=list(script)) == 4
    assert "--allow 'run(touch made)'" in capsys.readouterr().err and not (work / "made").exists()
    assert do("--yes", "--allow", "run(touch made)", "touch it", script=list(script)) == 0
    assert (work / "made").exists()
    capsys.readouterr()
    assert cli.main(["undo"]) == 0 and not (work / "made").exists()
    assert "start_command touch made" in capsys.readouterr().out


def test_a_plan_that_nobody_agrees_to_is_printed_and_no_failure(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = {"do": "Write it", "effects": ["write(a.txt)"]}
    script: list[Any] = [[call("plan", done=0, steps=[step])], [call("write_file", path="a.txt", content="x")], "Write a.txt, then done."]
    options = ("--mode", "plan", "--plan", "on", "--check", "exists a.txt")
    assert do("write", *options, script=list(script)) == 0
    out, err = capsys.readouterr()
    assert out == "Write a.txt, then done.\n" and "  ○ Write it\n      would write(a.txt)\n" in err and not (work / "a.txt").exists()
    assert do("write", *options, "--output-format", "json", script=list(script)) == 0
    assert json.loads(capsys.readouterr().out)["plan"][0]["effects"] == ["write(a.txt)"]
