"""`save` and `run` from the command line down to the disk: real tools, sandbox, policy and journal; only the model is scripted."""

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
from localagent.engine.base import Engine
from localagent.store import recipes, settings, transcript
from tests.fakes import ScriptedEngine, call

SORT = 'mkdir -p "{0}" && for f in *.txt; do mv "$f" "{0}/"; done'


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def do(goal: str, *script: Any) -> None:
    """A finished run of a scripted model, with everything it does allowed."""
    parser = ArgumentParser()
    arguments.configure(parser)
    args = parser.parse_args([goal, "--yes"])

    async def run() -> None:
        session = await wiring.for_do(args, ScriptedEngine(*script), settings.load())
        ended = await headless.do(session, goal, "", "text")
        assert ended.status == "done" and not ended.denied

    asyncio.run(run())


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The scripts of the models that `run` may ask, in order; none is made for nothing."""
    scripts: list[Any] = []

    def chosen(*_: Any) -> Engine:
        assert scripts, "a model was asked for"
        return scripts.pop(0)

    monkeypatch.setattr(wiring, "chosen_engine", chosen)
    return scripts


def sorted_and_saved(work: Path, *param: str) -> None:
    (work / "a.txt").write_text("a")
    do("put the text files into the folder notes", [call("run", command=SORT.format("notes"))], "Done.")
    assert cli.main(["save", "sort", "--yes", *param]) == 0


def test_a_run_is_kept_and_done_again_elsewhere_without_any_model_and_undone(
    work: Path, models: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sorted_and_saved(work)
    recipe = recipes.load("sort")
    assert [(one.name, one.type, one.default) for one in recipe.params] == [("folder", "folder", "notes")]
    assert recipe.goal == "put the text files into the folder {folder}"
    other = work.parent / "other"
    other.mkdir()
    for name in ("x.txt", "y y.txt", "keep.md"):
        (other / name).write_text(name)
    capsys.readouterr()
    monkeypatch.chdir(other)
    assert cli.main(["run", "sort", "folder=my notes; rm -rf *", "--yes", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["ok"] and made["model"] == "recipe sort" and "without the model" in made["final"]
    assert made["usage"] == {"input_tokens": 0, "cached_tokens": 0, "output_tokens": 0}
    assert sorted(p.name for p in (other / "my notes; rm -rf *").iterdir()) == ["x.txt", "y y.txt"]
    assert (other / "keep.md").exists() and {one["kind"] for one in made["receipts"]} == {"ran", "changed"}
    assert cli.main(["undo"]) == 0
    assert sorted(p.name for p in other.iterdir()) == ["keep.md", "x.txt", "y y.txt"]


def test_a_failed_check_ends_with_9_without_a_model_and_asks_it_with_one(
    work: Path, models: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "draft.md").write_text("d")
    (work / "old.md").write_text("o")
    calls = [
        [call("make_folder", path="out")],
        [call("move_file", source="draft.md", destination="out/draft.md")],
        [call("trash", path="old.md")],
    ]
    do("move draft.md to out and throw old.md away", *calls, "Done.")
    assert cli.main(["save", "tidy", "--yes"]) == 0
    (work / "out" / "draft.md").rename(work / "other.md")
    (work / "old.md").write_text("o")
    (work / "out").rmdir()
    capsys.readouterr()
    assert cli.main(["run", "tidy", "--yes", "--no-model"]) == 9
    err = capsys.readouterr().err
    assert "Step 2" in err and "draft.md is not there" in err and (work / "out").is_dir() and (work / "old.md").exists()
    (work / "out").rmdir()
    engine = ScriptedEngine([call("move_file", source="other.md", destination="out/draft.md")], "It was called other.md.")
    models.append(engine)
    assert cli.main(["run", "tidy", "--yes"]) == 0
    out, err = capsys.readouterr()
    assert out == "Done: the recipe tidy, 2 steps, the rest by the model.\n" and "The model goes on" in err
    assert (work / "out" / "draft.md").exists() and not (work / "old.md").exists()
    told = engine.asked[0][0][-1]
    assert told.role == "host" and "draft.md is not there" in told.text and "3. trash" in told.text
    assert len(engine.asked) == 2 and engine.closed


def test_a_model_that_mends_nothing_does_not_let_the_recipe_go_on_and_9_says_so(
    work: Path, models: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    sorted_and_saved(work)
    models.append(ScriptedEngine("There are no text files.", "None.", "Really none."))
    assert cli.main(["run", "sort", "--yes"]) == 9
    out, err = capsys.readouterr()
    assert out.endswith("Really none.\n") and "Step 1 of the recipe sort did not go well, and the model has not mended it." in err


def test_what_was_there_too_early_is_not_taken_for_done(work: Path, models: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    do("write hi into a.txt", [call("write_file", path="a.txt", content="hi")], "Done.")
    assert cli.main(["save", "note", "--yes"]) == 0
    models += [ScriptedEngine("It is there.", "Yes.", "Really."), ScriptedEngine([call("write_file", path="a.txt", content="hi")], "Now.")]
    assert cli.main(["run", "note", "--yes"]) == 9 and "a.txt is there. The model goes on." in capsys.readouterr().err
    assert cli.main(["run", "note", "--yes"]) == 0 and not models


def test_a_secret_that_is_given_to_a_run_is_written_down_nowhere(
    work: Path, models: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    do("put zebra into a.txt", [call("write_file", path="a.txt", content="zebra")], "Done.")
    assert cli.main(["save", "note", "--yes", "--param", "what=zebra"]) == 0
    key = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
    assert cli.main(["run", "note", "file=b.txt", f"what={key}", "--yes"]) == 0
    assert (work / "b.txt").read_text() == key
    (work / key).mkdir()
    assert cli.main(["run", "note", f"file={key}", f"what={key}", "--yes", "--no-model"]) == 9
    written = [line for one in transcript.sessions_dir().iterdir() for line in transcript.Transcript(one.name).raw()]
    out, err = capsys.readouterr()
    assert not any(key.encode() in line for line in written) and key not in out + err


def test_a_recipe_allows_nothing_by_itself(work: Path, models: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    sorted_and_saved(work)
    (work / "b.txt").write_text("b")
    assert cli.main(["run", "sort"]) == 4
    err = capsys.readouterr().err
    assert "--allow" in err and (work / "b.txt").exists()
    assert cli.main(["run", "sort", "--yes", "--deny", "write(**)"]) == 1
    assert (work / "b.txt").exists() and cli.main(["run", "sort", "--dry-run", "--yes"]) == 0 and (work / "b.txt").exists()
    assert "would" in capsys.readouterr().err
    recipe = recipes.text(recipes.load("sort"))
    forged = recipe.replace("tool: run", "tool: run\n  allow: [run(**)]")
    recipes.path("sort").write_text(forged)
    assert cli.main(["run", "sort", "--yes"]) == 7 and "no key 'allow'" in capsys.readouterr().err


def test_the_agent_cannot_write_recipes(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sorted_and_saved(work)
    where, before = recipes.path("sort"), recipes.path("sort").read_bytes()
    (work / "b.txt").write_text("b")
    parser = ArgumentParser()
    arguments.configure(parser)
    args = parser.parse_args(["x", "--mode", "yolo", "--cwd", str(where.parent.parent.parent)])
    calls = [
        [call("write_file", path=str(where), content="recipe: 1")],
        [call("write_file", path=str(where.parent / "new.yaml"), content="recipe: 1")],
        [call("trash", path=str(where))],
        [call("run", command=f"echo x > {where}")],
    ]

    async def run() -> None:
        session = await wiring.for_do(args, ScriptedEngine(*calls, "Done."), settings.load())
        await headless.do(session, "x", "", "text")

    asyncio.run(run())
    assert where.read_bytes() == before and recipes.names() == ["sort"]


def test_what_a_changed_recipe_sends_is_asked_about_until_it_is_confirmed(
    work: Path, models: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sorted_and_saved(work)
    file = recipes.path("sort")
    made = file.read_text()
    file.write_text(made.replace("put the text files", "put all text files"))
    (work / "b.txt").write_text("b")
    assert cli.main(["run", "sort", "--yes"]) == 0
    assert "is not as you kept it" in capsys.readouterr().err
    marked = [json.loads(line) for line in transcript.Transcript(transcript.find("last")).raw()]
    assert ["untrusted"] in [line.get("marks") for line in marked if line["event"] == "Nudged"]
    assert cli.main(["recipes"]) == 0 and "[changed since it was kept]" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    assert cli.main(["recipes", "trust", "sort"]) == 1 and cli.main(["recipes", "trust", "sort", "--yes"]) == 0
    capsys.readouterr()
    assert cli.main(["recipes"]) == 0 and "changed" not in capsys.readouterr().out
    (work / "c.txt").write_text("c")
    assert cli.main(["run", "sort", "--yes"]) == 0 and "as you kept it" not in capsys.readouterr().err


def test_an_argument_stays_one_word(work: Path, models: list[Any]) -> None:
    value = "-rf $(touch pwned)\n; rm *"
    sorted_and_saved(work)
    (work / "b.txt").write_text("b")
    (work / "keep").write_text("k")
    assert cli.main(["run", "sort", f"folder={value}", "--yes"]) == 0
    assert (work / value / "b.txt").exists() and (work / "keep").exists() and (work / "notes" / "a.txt").exists()
    assert sorted(p.name for p in work.iterdir()) == sorted([value, "keep", "notes"])


def test_the_recipes_are_listed_shown_edited_checked_and_removed(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["recipes"]) == 0 and "No recipes yet" in capsys.readouterr().out
    sorted_and_saved(work, "--param", "where=notes")
    capsys.readouterr()
    assert cli.main(["recipes"]) == 0 and "put the text files into the folder {where} (where=)" in capsys.readouterr().out
    assert cli.main(["recipes", "list", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["name"] == "sort" and row["params"] == [{"name": "where", "type": "folder", "default": "notes"}] and row["steps"] == 1
    assert cli.main(["recipes", "--names"]) == 0 and capsys.readouterr().out == "sort\n"
    assert cli.main(["recipes", "show", "sort"]) == 0
    out, err = capsys.readouterr()
    assert out.rstrip() == recipes.path("sort").read_text().rstrip() and err == "localagent run sort where=notes\n"
    assert cli.main(["recipes", "check"]) == 0 and "sort: it can be used" in capsys.readouterr().out
    file = recipes.path("sort")
    monkeypatch.setenv("VISUAL", "sed -i s/notes/papers/")
    assert cli.main(["recipes", "edit", "sort"]) == 0 and recipes.load("sort").params[0].default == "papers"
    monkeypatch.setenv("VISUAL", "/nowhere/editor")
    assert cli.main(["recipes", "edit", "sort"]) == 3 and "cannot be started" in capsys.readouterr().err
    file.write_text(file.read_text().replace("mkdir -p", "sh -c"))
    assert cli.main(["recipes", "check", "sort"]) == 1 and "would be read by sh" in capsys.readouterr().out
    assert cli.main(["run", "sort", "--yes", "--no-model"]) == 3
    file.write_text(file.read_text() + "more: 1\n")
    assert cli.main(["recipes", "check", "sort", "--json"]) == 1 and "no key 'more'" in capsys.readouterr().out
    assert cli.main(["save", "sort", "--yes"]) == 3 and "--force" in capsys.readouterr().err
    assert cli.main(["recipes", "path", "sort"]) == 0 and capsys.readouterr().out == f"{file}\n"
    assert cli.main(["recipes", "rm", "sort"]) == 0 and not file.exists() and cli.main(["run", "sort"]) == 3
    assert cli.main(["run", "sort", "x"]) == 3
