"""From the events of a run to a recipe: what is kept, which values are parameters, what is checked. No disk but for kinds of paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localagent.agent.masks import Masks
from localagent.agent.recipes import fill, making
from localagent.errors import ConfigError, UsageError
from localagent.events import ChangesCommitted, Event, Rewound, ToolFinished, TurnEnded, TurnStarted
from localagent.policy.shell_fill import Misplaced, Value
from localagent.store import recipes
from localagent.store.recipes import Check, Param, Recipe, Step
from localagent.values import Change, Message, Receipt, Text, ToolCall, ToolResult

KEY = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"


class Run:
    """The events of one session in `/w`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._n = 0

    def asked(self, text: str) -> Run:
        self.events.append(TurnStarted("s", Message("user", (Text(text),)), "m", "auto", "/w", 0.0))
        return self

    def did(self, tool: str, *changes: Change, said: str = "ok", status: Any = "ok", code: int | None = None, **args: Any) -> Run:
        self._n += 1
        call = ToolCall(f"c{self._n}", tool, args)
        if changes:
            self.events.append(ChangesCommitted(call.id, 1, changes))
        receipts = [Receipt("changed", {"op": one.kind, "path": one.path}) for one in changes]
        receipts += [Receipt("ran", {"command": args.get("command"), "exit_code": code})] if code is not None else []
        self.events.append(ToolFinished(call, ToolResult(call.id, (Text(said),), status, receipts=tuple(receipts))))
        return self

    def ended(self, status: Any = "done") -> Run:
        self.events.append(TurnEnded(status, "Done."))
        return self

    def made(self, masks: Masks | None = None, turn: int | None = None, **given: str) -> making.Made:
        return making.made("x", making.chosen(making.requests(self.events), turn), masks or Masks(b"k"), given)


def moved(source: str, dest: str) -> Change:
    return Change("move", f"/w/{source}", dest=f"/w/{dest}", before="0" * 64)


def test_looking_and_failing_is_left_out_and_the_journal_gives_the_checks() -> None:
    run = Run().asked("move report.txt into archive 2025").did("list_files", path=".", said="report.txt  3 bytes")
    run.did("move_file", status="failed", source="report.tx", destination="archive")
    run.did("make_folder", Change("make_folder", "/w/archive"), path="archive")
    run.did("move_file", moved("report.txt", "archive/report.txt"), source="report.txt", destination="archive/report.txt").ended()
    made = run.made()
    assert [step.tool for step in made.recipe.steps] == ["make_folder", "move_file"]
    assert made.notes == ("1 call that only looked is left out.",)
    assert made.recipe.goal == "move {file} into {folder} 2025"
    assert made.recipe.params == (Param("file", "file", "report.txt"), Param("folder", "folder", "archive"))
    step = made.recipe.steps[1]
    assert step.args == {"source": "{file}", "destination": "{folder}/{file}"}
    assert step.before == (Check("exists", "{file}", "file"),)
    assert step.after == (Check("absent", "{file}"), Check("exists", "{folder}/{file}"))


def test_a_look_whose_output_a_later_call_needs_stays_and_has_to_say_it_again() -> None:
    run = Run().asked("put the invoice number into n.txt")
    run.did("read_file", path="mail.txt", said="Dear all,\nInvoice RE-2024-117 is due\nBye")
    run.did("write_file", Change("write", "/w/n.txt", before=""), path="n.txt", content="RE-2024-117\n").ended()
    first, second = run.made().recipe.steps
    assert first.tool == "read_file" and first.after == (Check("says", "RE-2024-117"),)
    assert second.before == (Check("absent", "{file}"),) and second.after == (Check("exists", "{file}"),)


def test_programs_are_checked_by_exit_code_and_shape_and_only_by_paths_that_they_name() -> None:
    command = "mkdir -p pics; mv *.jpg pics/; rm /w/old.log"
    changes = (Change("make_folder", "/w/pics"), moved("a.jpg", "pics/a.jpg"), Change("trash", "/w/old.log", before="link:1"))
    run = Run().asked("tidy").did("run", code=0, command="ls", said="a.jpg").did("run", *changes, code=0, command=command).ended()
    (step,) = run.made().recipe.steps
    assert step.args["command"] == "mkdir -p pics; mv *.jpg pics/; rm {here}/old.log"
    assert step.before == (Check("exists", "old.log", "link"),)
    shape = Check("changed", ("make_folder", "move", "trash"))
    assert step.after == (Check("exists", "pics"), Check("absent", "old.log"), Check("exit_code", 0), shape)
    filled = fill.arguments(step, {"here": Value("/other place", "folder")})
    assert filled["command"].endswith("rm '/other place'/old.log")


def test_where_nothing_was_changed_the_programs_that_looked_are_the_recipe() -> None:
    run = Run().asked("how many lines has a.txt").did("run", code=0, command="wc -l a.txt", said="3 a.txt").ended()
    made = run.made().recipe
    assert [step.args for step in made.steps] == [{"command": "wc -l {file}"}] and made.goal == "how many lines has {file}"


@pytest.mark.parametrize(
    ("request_text", "tool", "args", "params"),
    [
        ("send 'the news' to ann@x.org", "send", {"to": "ann@x.org", "text": "the news"}, {"text": "text", "recipient": "recipient"}),
        ("keep the 12 newest", "run", {"command": "ls -t | head -n 12 > l"}, {"number": "number"}),
        ("wait 5 seconds", "run", {"command": "sleep 5 2>/dev/null"}, {"number": "number"}),
        ("shift it by 2", "run", {"command": "make x 2>/dev/null"}, {}),
        ("plan for 2026-03-01", "write_file", {"path": "p.md", "content": "On 2026-03-01:"}, {"date": "date"}),
        ("the last 3", "tail", {"lines": 3, "list": ["a", {"b": "c"}]}, {"number": "number"}),
        ("put the files in", "run", {"command": "cp the files"}, {}),
    ],
)
def test_values_of_the_request_that_reappear_are_parameters(request_text: str, tool: str, args: dict, params: dict[str, str]) -> None:
    run = Run().asked(request_text).did(tool, Change("write", "/w/zz"), code=0 if tool == "run" else None, **args).ended()
    found = {one.name: one.type for one in run.made().recipe.params}
    assert found == params


def test_a_value_that_stands_in_code_stays_as_it_is_and_the_person_is_told() -> None:
    change = Change("write", "/w/go.py", before="")
    run = Run().asked("write go.py that prints 'hello there'")
    run.did("write_file", change, path="go.py", content="print('hello there')").ended()
    made = run.made()
    assert [one.name for one in made.recipe.params] == ["file"] and made.recipe.steps[0].args["content"] == "print('hello there')"
    assert made.notes == ("'hello there' stays as it is: content is code.",)
    with pytest.raises(UsageError, match="cannot be the parameter what: content is code"):
        run.made(what="hello there")
    with pytest.raises(UsageError, match="No step of the run holds 'nowhere'"):
        run.made(what="nowhere")
    with pytest.raises(UsageError, match="no name"):
        run.made(here="go.py")
    braces = Run().asked("x").did("write_file", Change("write", "/w/a"), path="a", content="{a} {b}").ended()
    with pytest.raises(UsageError, match=r"holds the text \{b\} already"):
        braces.made(b="a")
    with pytest.raises(UsageError, match="stands for the folder"):
        Run().asked("x").did("write_file", Change("write", "/w/a"), path="a", content="{here}").ended().made()
    assert [one.name for one in run.made(script="go.py").recipe.params] == ["script"]


def test_no_secret_comes_into_a_recipe() -> None:
    masks = Masks(b"k" * 32)
    held = masks.mask(KEY)
    run = Run().asked("write the key").did("write_file", Change("write", "/w/k"), path="k", content=f"key={held}").ended()
    with pytest.raises(UsageError, match=r"Step 1 \(write_file\) holds a secret.*--param secret=SECRET_"):
        run.made(masks)
    made = run.made(masks, secret=held).recipe
    assert made.params == (Param("secret", "text", None),) and "SECRET_" not in recipes.text(made)
    raw = Run().asked("write").did("write_file", Change("write", "/w/k"), path="k", content=KEY).ended()
    with pytest.raises(UsageError, match="looks like a secret"):
        raw.made(Masks(b"k" * 32))


def test_which_request_of_a_session() -> None:
    run = Run().asked("one").did("make_folder", Change("make_folder", "/w/a"), path="a").ended().asked("two").ended("cancelled")
    with pytest.raises(UsageError, match=r"Request 2 was stopped.*--turn 1"):
        run.made()
    assert run.made(turn=1).recipe.goal == "one"
    with pytest.raises(UsageError, match="has 2 requests, not 3"):
        run.made(turn=3)
    run.events.append(Rewound(1))
    assert run.made().recipe.goal == "one"
    run.asked("and now?").did("read_file", path="a").ended()
    with pytest.raises(UsageError, match="nothing to repeat"):
        run.made()


# --- the file ---------------------------------------------------------------------------------------


def test_a_file_says_what_was_written() -> None:
    args = {"command": "a\n b: {n}\n", "timeout": 3, "odd": ["yes", "2026-01-01", {"k": None}, "{n}", ": #", "é\x07"]}
    after = (Check("changed", ("move",)), Check("exit_code", 0), Check("says", "42"))
    steps = (Step("run", args, (Check("exists", "{n}", "file"),), after),)
    made = Recipe("x", "no", "do {n}", steps, (Param("n", "number", "1"), Param("m", "date")))
    with pytest.raises(ConfigError, match=r"params: m: no step and no goal has \{m\}"):
        recipes.parse(recipes.text(made), "x", "f")
    made = Recipe("x", "no", "do {n}", steps, (Param("n", "number", "1"),))
    assert recipes.parse(recipes.text(made), "x", "f") == made


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ("steps: &a [{tool: x}]", "f:3: an anchor"),
        ("steps: !!python/name:os.system x", "f:3: a tag"),
        ("steps: []", "steps: there is none"),
        ("steps: [{tool: x}]\nsteps: [{tool: y}]", "f:4: the key 'steps' stands there twice"),
        ("steps: [{tool: x, mode: yolo}]", "step 1: there is no key 'mode'"),
        ("steps: [{tool: x, before: [{exit_code: 0}]}]", "only `exists` and `absent`"),
        ("steps: [{tool: x, after: [{exists: a, absent: b}]}]", "a check is one of"),
        ("steps: [{tool: x, after: [{changed: [wipe]}]}]", "changed is a list of"),
        ("steps: [{tool: x, args: [1]}]", "args must be names"),
        ("steps: [{tool: x}]\nparams: {here: {}}", "and not `here`"),
        ("steps: [{tool: x}]\nparams: {a: {type: shell}}", "its type is one of"),
        ("steps: [{tool: x", "f:"),
        ("allow: [run]", "no key 'allow'"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_place(odd: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipes.parse(f"recipe: 1\ngoal: g\n{odd}\n", "x", "f")
    assert told in str(error.value)


def test_a_file_that_others_can_write_is_not_read(tmp_path: Path) -> None:
    made = Recipe("x", "", "g", (Step("a", {}),))
    where = recipes.save(made)
    assert recipes.load("x") == made and where.stat().st_mode & 0o777 == 0o600
    where.chmod(0o666)
    with pytest.raises(ConfigError, match="others can write it"):
        recipes.load("x")
    where.unlink()
    where.symlink_to(tmp_path)
    with pytest.raises(ConfigError):
        recipes.load("x")
    for name in ("../x", "X", "", "a/b", ".x"):
        with pytest.raises(UsageError, match="no name"):
            recipes.path(name)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("number", "1; x"), ("date", "soon"), ("folder", ""), ("recipient", "a\nb"), ("text", "a\0b"), ("file", "x" * 9000)],
)
def test_a_value_of_another_type_is_refused(kind: Any, text: str) -> None:
    made = Recipe("x", "", "{p}", (Step("a", {}),), (Param("p", kind),))
    with pytest.raises(UsageError):
        fill.settled(made, {"p": text}, "/w")
    with pytest.raises(UsageError, match="needs p"):
        fill.settled(made, {}, "/w")


def test_a_value_in_plain_arguments_is_only_text() -> None:
    values = {"p": Value("{q}; $(x)"), "q": Value("y")}
    step = Step("m", {"a": "{p} {q} ${p}", "n": [1, {"b": "{q}"}]})
    assert fill.arguments(step, values) == {"a": "{q}; $(x) y ${p}", "n": [1, {"b": "y"}]}
    script = {"path": "a", "content": "#!/bin/sh\n{p}"}
    for args in ({"code": "{p}"}, {"path": "a.sh", "content": "{p}"}, script, {"n": {"command": "{p}"}}):
        with pytest.raises(Misplaced):
            fill.arguments(Step("m", args), values)
