"""Ask rules about reading, and rules that are not known: nothing goes past them by another tool."""

from __future__ import annotations

from typing import Any

import pytest

from localagent.policy import decide, floor
from localagent.policy.decide import Context
from localagent.policy.rules import Rules
from localagent.values import Change, ToolCall, ToolSpec

HOME, WORK = "/home/u", "/home/u/w"
_PATH = {"type": "string", "format": "path"}


def spec(name: str, *effects: Any, **properties: Any) -> ToolSpec:
    return ToolSpec(name, "", {"type": "object", "properties": properties}, tuple(effects))


READ = spec("read_file", "read:fs", path=_PATH)
SEARCH = spec("search_text", "read:fs", path=_PATH)
COPY = spec("copy_file", "write:fs", source=_PATH, destination=_PATH)
WRITE = spec("write_file", "write:fs", path=_PATH)
RUN = spec("run", "run", command={"type": "string"})
MAIL = spec("read_message", "read:mail")
ADD = spec("add", "compute")
UNSAID = spec("mystery")


def context(mode: Any = "auto", **rules: Any) -> Context:
    unread = rules.pop("unread", "")
    made = Rules.of(**rules)
    return Context(
        mode, WORK, Rules(made.deny, made.ask, made.allow, made.kept, unread), True, HOME, folder=lambda p: "." not in p
    )


def before(tool: ToolSpec, ctx: Context, **args: Any) -> decide.Decision:
    return decide.before(ToolCall("1", tool.name, args), tool, ctx)


@pytest.mark.parametrize(
    ("rule", "tool", "args", "verdict"),
    [
        ("read(private/**)", READ, {"path": "private/a.txt"}, "ask"),
        ("read(private/**)", READ, {"path": "a.txt"}, "allow"),
        ("read(private/**)", SEARCH, {"path": "."}, "ask"),
        ("read(private/**)", SEARCH, {}, "ask"),
        ("read(PRIVATE/*/a)", SEARCH, {"path": "private/x"}, "ask"),
        ("read(private/**)", SEARCH, {"path": "public"}, "allow"),
        ("read(private/**)", COPY, {"source": "private", "destination": "b"}, "ask"),
        ("read(private/deep/**)", COPY, {"source": "private", "destination": "b"}, "ask"),
        ("read(private/**)", COPY, {"source": "public", "destination": "b"}, "allow"),
        ("read(private/**)", RUN, {"command": "make"}, "ask"),
        ("read(~/Documents/**)", RUN, {"command": "make"}, "allow"),
        ("read(/**)", RUN, {"command": "make"}, "ask"),
        ("run(git push)", RUN, {"command": "git push"}, "ask"),
        ("run(git push)", RUN, {"command": "make"}, "allow"),
        ("tool(read_file)", READ, {"path": "a.txt"}, "ask"),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "yolo"])
def test_an_ask_rule_is_met_before_the_call(mode: str, rule: str, tool: ToolSpec, args: Any, verdict: str) -> None:
    assert before(tool, context(mode, ask=[rule], allow=["run(make)"]), **args).verdict == verdict


@pytest.mark.parametrize("rule", ["write(a.txt)", "tool(write_file)"])
def test_what_only_proposes_is_asked_about_once_over_its_changes(rule: str) -> None:
    ctx, call = context(ask=[rule], allow=["write(**)"]), ToolCall("1", "write_file", {"path": "a.txt"})
    assert decide.before(call, WRITE, ctx).verdict == "allow"
    decision = decide.after(call, WRITE, [Change("write", f"{WORK}/a.txt")], ctx)
    assert decision.verdict == "ask" and rule in decision.reason


@pytest.mark.parametrize("mode", ["ask", "auto", "yolo"])
@pytest.mark.parametrize("tool", [READ, SEARCH, COPY, WRITE, RUN, MAIL, UNSAID], ids=lambda tool: tool.name)
def test_where_a_folders_rules_are_not_known_everything_asks(mode: str, tool: ToolSpec) -> None:
    ctx = context(mode, unread="they cannot be read", allow=["run(*)", "write(**)", f"tool({tool.name})"])
    args = {"path": "a.txt", "source": "a.txt", "destination": "b.txt", "command": "ls"}
    known = set(tool.parameters["properties"])
    call = ToolCall("1", tool.name, {key: value for key, value in args.items() if key in known})
    assert decide.before(call, tool, ctx).verdict == "ask"
    assert decide.after(call, tool, [Change("write", f"{WORK}/a.txt")], ctx).verdict == "ask"
    assert before(ADD, ctx).verdict == "allow"


def test_deny_stays_above_what_is_not_known() -> None:
    ctx = context("yolo", unread="x", deny=["read(a.txt)"])
    assert before(READ, ctx, path="a.txt").verdict == "deny"


@pytest.mark.parametrize(
    ("path", "kind", "refused"),
    [
        (f"{WORK}/.localagent/policy.yaml", "write", True),
        (f"{WORK}/.LocalAgent/Policy.yaml", "write", True),
        (f"{WORK}/.localagent/policy.yaml", "remove", True),
        (f"{WORK}/.localagent/policy.yaml", "chmod", True),
        (f"{WORK}/sub/.localagent/policy.yaml", "bring", True),
        (f"{WORK}/.localagent", "remove", True),
        (f"{WORK}/.localagent", "link", True),
        (f"{WORK}/.localagent", "bring", True),
        (f"{WORK}/.localagent", "folder", False),
        (f"{WORK}/.localagent/notes.md", "write", False),
        (f"{WORK}/policy.yaml", "write", False),
    ],
)
def test_no_rule_and_no_mode_lets_a_folders_rules_be_changed(path: str, kind: Any, refused: bool) -> None:
    assert bool(floor.writing(path, context("yolo"), kind=kind)) == refused
    assert not floor.reading(path, context("yolo"))
