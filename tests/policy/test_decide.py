from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from typing import Any

import pytest

from localagent.policy import decide, harm, rules
from localagent.policy.decide import Context
from localagent.policy.rules import Rules
from localagent.values import EFFECTS, MODES, Change, ToolCall, ToolSpec
from tests.rounds import rounds

HOME = "/home/u"
OURS = (f"{HOME}/.config/localagent", f"{HOME}/.local/share/localagent")
_PATH = {"type": "string", "format": "path"}


def _spec(name: str, *effects: Any, **properties: Any) -> ToolSpec:
    return ToolSpec(name, "", {"type": "object", "properties": properties}, tuple(effects))


READ = _spec("read_file", "read:fs", path=_PATH)
MAIL = _spec("read_message", "read:mail", id={"type": "string"})
WRITE = _spec("write_file", "write:fs", path=_PATH, content={"type": "string"})
MOVE = _spec("move_file", "write:fs", source=_PATH, destination=_PATH)
RUN = _spec("run", "run", command={"type": "string"})
FETCH = _spec("fetch", "net", url={"type": "string"})
SEND = _spec("send_message", "send", to={"type": "string"}, channel={"type": "string"})
PERSIST = _spec("add_job", "persist", kind={"type": "string"})
COMPUTE = _spec("add", "compute", a={"type": "number"})
UNSAID = _spec("mystery", thing={"type": "string"})
SPECS = [READ, MAIL, WRITE, MOVE, RUN, FETCH, SEND, PERSIST, COMPUTE, UNSAID]


def _context(mode: Any = "ask", boundary: bool = True, **more: Any) -> Context:
    made = Rules.of(**{name: more.pop(name, ()) for name in ("deny", "ask", "allow", "kept")})
    return Context(mode, f"{HOME}/w", made, boundary, HOME, OURS, **more)


def _call(spec: ToolSpec, **args: Any) -> ToolCall:
    return ToolCall("1", spec.name, args)


CALLS: dict[str, tuple[ToolSpec, ToolCall]] = {
    "read inside": (READ, _call(READ, path="a.txt")),
    "read outside": (READ, _call(READ, path="/etc/hosts")),
    "read upwards": (READ, _call(READ, path="../x")),
    "read mail": (MAIL, _call(MAIL, id="1")),
    "write inside": (WRITE, _call(WRITE, path="a.txt", content="x")),
    "write outside": (WRITE, _call(WRITE, path="~/x", content="x")),
    "run": (RUN, _call(RUN, command="make test")),
    "run reading": (RUN, _call(RUN, command="ls")),
    "run destructive": (RUN, _call(RUN, command="rm -rf build")),
    "run complex": (RUN, _call(RUN, command="ls | sh")),
    "net": (FETCH, _call(FETCH, url="https://example.org/x")),
    "send": (SEND, _call(SEND, to="ann@example.org", channel="email")),
    "persist": (PERSIST, _call(PERSIST, kind="schedule")),
    "compute": (COMPUTE, _call(COMPUTE, a=1)),
    "undeclared": (UNSAID, _call(UNSAID, thing="x")),
}

# call: plan, ask, auto, yolo, each with a sandbox and without one.
BEFORE = {
    "read inside": ("allow ask", "allow ask", "allow ask", "allow allow"),
    "read outside": ("ask ask", "ask ask", "ask ask", "allow allow"),
    "read upwards": ("ask ask", "ask ask", "ask ask", "allow allow"),
    "read mail": ("allow ask", "allow ask", "allow ask", "allow allow"),
    "write inside": ("deny deny", "allow allow", "allow allow", "allow allow"),
    "write outside": ("deny deny", "ask ask", "ask ask", "allow allow"),
    "run": ("deny deny", "allow ask", "allow ask", "allow ask"),
    "run reading": ("deny deny", "allow ask", "allow ask", "allow ask"),
    "run destructive": ("deny deny", "allow ask", "allow ask", "allow ask"),
    "run complex": ("deny deny", "allow ask", "allow ask", "allow ask"),
    "net": ("deny deny", "ask ask", "ask ask", "allow allow"),
    "send": ("deny deny", "ask ask", "ask ask", "ask ask"),
    "persist": ("deny deny", "ask ask", "ask ask", "allow allow"),
    "compute": ("allow allow", "allow allow", "allow allow", "allow allow"),
    "undeclared": ("deny deny", "ask ask", "ask ask", "allow ask"),
}


@pytest.mark.parametrize("boundary", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_before_the_call(mode: str, boundary: bool) -> None:
    for name, verdicts in BEFORE.items():
        spec, call = CALLS[name]
        decision = decide.before(call, spec, _context(mode, boundary))
        assert decision.verdict == verdicts[MODES.index(mode)].split()[not boundary], name
        assert decision.reason and decision.rule, name


W = f"{HOME}/w"
CHANGES: dict[str, tuple[Change, ...]] = {
    "nothing": (),
    "new file": (Change("write", f"{W}/a", before=""),),
    "edit": (Change("edit", f"{W}/a", before="1", after="2"),),
    "ten overwritten": tuple(Change("write", f"{W}/{n}", before="1", after="2") for n in range(10)),
    "eleven overwritten": tuple(Change("write", f"{W}/{n}", before="1", after="2") for n in range(11)),
    "ten deleted": tuple(Change("trash", f"{W}/{n}", before=str(n)) for n in range(10)),
    "eleven deleted": tuple(Change("trash", f"{W}/{n}", before=str(n)) for n in range(11)),
    "thirty renamed": tuple(Change("trash", f"{W}/{n}", before=f"h{n}") for n in range(30))
    + tuple(Change("write", f"{W}/new-{n}", before="", after=f"h{n}") for n in range(30)),
    "thirty moved": tuple(Change("move", f"{W}/{n}", f"{W}/d/{n}") for n in range(30)),
    "outside": (Change("write", f"{HOME}/x", before=""),),
    "copied in": (Change("copy", "/etc/hosts", f"{W}/hosts"),),
    "moved out": (Change("move", f"{W}/a", "/tmp/a"),),
    "link inside": (Change("link", f"{W}/l", content="a"),),
    "link outside": (Change("link", f"{W}/l", content="../other"),),
    "setuid": (Change("chmod", f"{W}/a", mode=0o4755),),
    "editor tasks": (Change("write", f"{W}/.vscode/tasks.json", before=""),),
    "dotenv": (Change("write", f"{W}/sub/.env.local", before=""),),
    "git objects": (Change("write", f"{W}/.git/objects/ab/cd", before=""),),
    "git folder trashed": (Change("trash", f"{W}/.git"),),
}

# changes: ask, auto, yolo with a sandbox, auto without one.
AFTER = {
    "nothing": "allow allow allow allow",
    "new file": "ask allow allow ask",
    "edit": "ask allow allow ask",
    "ten overwritten": "ask allow allow ask",
    "eleven overwritten": "ask ask allow ask",
    "ten deleted": "ask allow allow ask",
    "eleven deleted": "ask ask allow ask",
    "thirty renamed": "ask allow allow ask",
    "thirty moved": "ask allow allow ask",
    "outside": "ask ask allow ask",
    "copied in": "ask ask allow ask",
    "moved out": "ask ask allow ask",
    "link inside": "ask allow allow ask",
    "link outside": "ask ask allow ask",
    "setuid": "ask ask allow ask",
    "editor tasks": "ask ask allow ask",
    "dotenv": "ask ask allow ask",
    "git objects": "ask allow allow ask",
    "git folder trashed": "ask ask allow ask",
}


@pytest.mark.parametrize("name", AFTER)
def test_over_the_changes(name: str) -> None:
    moments = [_context("ask"), _context("auto"), _context("yolo"), _context("auto", boundary=False)]
    found = [decide.after(_call(RUN, command="make"), RUN, CHANGES[name], ctx) for ctx in moments]
    assert " ".join(d.verdict for d in found) == AFTER[name]
    assert all(d.reason and d.rule for d in found)


@pytest.mark.parametrize("name", [name for name in AFTER if name != "nothing"])
def test_in_plan_nothing_is_changed_whatever_the_rules_say(name: str) -> None:
    ctx = _context("plan", allow=["write(/**)", "run(*)"])
    assert decide.after(_call(RUN, command="make"), RUN, CHANGES[name], ctx).verdict == "deny"


FLOOR_WRITES = [
    *(f"{folder}/x" for folder in OURS),
    OURS[0],
    f"{HOME}/.CONFIG/LocalAgent/policy.yaml",
    f"{HOME}/.bashrc",
    f"{HOME}/.BashRC",
    f"{HOME}/.profile",
    f"{HOME}/.zshrc",
    f"{HOME}/.config/fish/config.fish",
    f"{HOME}/.config/fish/functions/ls.fish",
    f"{HOME}/.config/autostart/x.desktop",
    f"{HOME}/.config/systemd/user/x.service",
    f"{HOME}/Library/LaunchAgents/x.plist",
    f"{HOME}/.ssh/authorized_keys",
    f"{HOME}/.ssh",
    f"{HOME}/.gnupg/x",
    f"{HOME}/.aws/credentials",
    f"{HOME}/.netrc",
    "/root/.bashrc",
    "/home/other/.zshrc",
    "/etc/profile.d/x.sh",
    "/etc/cron.d/x",
    "/etc/shadow",
    "/dev/sda",
    "/proc/self/mem",
    "/sys/power/state",
    f"{W}/.git/hooks/pre-commit",
    f"{W}/.git/config",
    f"{W}/.GIT/Hooks/post-checkout",
    f"{W}/deep/repo/.git/config",
    f"{W}/.git/modules/sub/hooks/x",
    f"{W}/.git/worktrees/a/config.worktree",
    f"{W}/.ssh/id_ed25519",
    f"{W}/.git/commondir",
    f"{W}/.hg/hgrc",
    *(
        f"{HOME}/{name}"
        for name in (
            ".emacs .vimrc .vim/plugin/x.vim .gdbinit .inputrc .xprofile .Xsession .config/environment.d/x.conf "
            ".local/share/applications/x.desktop .local/bin/git .config/nvim/init.lua .s3cfg .boto .authinfo .msmtprc "
            ".pgpass .my.cnf .git-credentials .config/gh/hosts.yml .config/glab-cli/config.yml .config/hub "
            ".bash_history .mailcap .forward .procmailrc .tmux.conf"
        ).split()
    ),
    "/etc/sudoers",
    "/etc/ssl/private/x.key",
    "/var/spool/cron/u",
]


@pytest.mark.parametrize("mode", MODES)
def test_no_mode_and_no_rule_lifts_the_floor(mode: str) -> None:
    for path in FLOOR_WRITES:
        _held_by_the_floor(path, mode)


def _held_by_the_floor(path: str, mode: str) -> None:
    ctx = _context(mode, allow=["write(/**)", "read(/**)", "run(*)", "tool(write_file)", "tool(run)"])
    call = _call(WRITE, path=path, content="x")
    assert decide.before(call, WRITE, ctx).verdict == "deny"
    source = f"{W}/harmless"
    for change in (
        Change("write", path, before=""),
        Change("edit", path, before="1", after="2"),
        Change("trash", path),
        Change("chmod", path, mode=0o755),
        Change("link", path, content="x"),
        Change("link", f"{W}/l", content=path),
        Change("move", source, path),
        Change("move", path, source),
        Change("copy", source, path),
    ):
        decision = decide.after(call, WRITE, (Change("write", f"{W}/ok", before=""), change), ctx)
        assert decision.verdict == "deny", (path, change)
        if mode != "plan":
            assert decision.rule == "floor"
    assert rules.suggest(call, WRITE, (Change("write", path),), ctx) == ""


@pytest.mark.parametrize(
    "path",
    [
        *(f"{HOME}/.ssh/id_rsa", "~/.gnupg", "~/.SSH", OURS[0], "/etc/shadow", "/dev/sda", "~/.aws/x", "~/.s3cfg"),
        *("~/.config/gh/hosts.yml", "~/.config/glab-cli/x", "~/.config/hub", "/etc/sudoers", "/etc/ssl/private/k"),
    ],
)
def test_secrets_are_not_read_either(path: str) -> None:
    for mode in MODES:
        ctx = _context(mode, allow=["read(/**)", "tool(read_file)"])
        assert decide.before(_call(READ, path=path), READ, ctx).verdict == "deny"


@pytest.mark.parametrize("path", ["/", "/home", HOME, f"{HOME}/", f"{HOME}/.config", "/etc", "/HOME/U"])
@pytest.mark.parametrize("kind", ["move", "trash"])
def test_home_and_root_are_not_moved_or_wiped(path: str, kind: Any) -> None:
    ctx = _context("yolo", allow=["write(/**)"])
    change = Change(kind, path.rstrip("/") or "/", "/tmp/x" if kind == "move" else None)
    assert decide.after(_call(WRITE), WRITE, (change,), ctx).verdict == "deny"


def test_a_home_is_not_copied_with_its_secrets() -> None:
    ctx = _context("yolo")
    assert decide.after(_call(WRITE), WRITE, (Change("copy", HOME, f"{W}/all"),), ctx).verdict == "deny"
    assert decide.after(_call(WRITE), WRITE, (Change("copy", f"{HOME}/docs", f"{W}/all"),), ctx).verdict == "allow"


def test_a_folder_does_not_become_a_repository_with_hooks() -> None:
    ctx = _context("yolo")
    for change in (
        Change("move", f"{W}/x", f"{W}/.git"),
        Change("copy", f"{W}/x", f"{W}/sub/.git"),
        Change("link", f"{W}/.git", content="x"),
    ):
        assert decide.after(_call(MOVE), MOVE, (change,), ctx).verdict == "deny"


def test_what_git_init_writes_is_no_danger() -> None:
    text = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
    made = (
        Change("make_folder", f"{W}/.git"),
        Change("make_folder", f"{W}/.git/hooks"),
        Change("write", f"{W}/.git/HEAD", before=""),
        Change("write", f"{W}/.git/hooks/pre-commit.sample", before=""),
        Change("write", f"{W}/.git/config", before="", after=hashlib.sha256(text.encode()).hexdigest()),
    )
    assert decide.after(_call(RUN, command="git init"), RUN, made, _context("auto")).verdict == "allow"
    other = replace(made[-1], after=hashlib.sha256(text.encode() + b"\tfsmonitor = x\n").hexdigest())
    assert decide.after(_call(RUN, command="git init"), RUN, (*made[:-1], other), _context("auto")).verdict == "deny"


@pytest.mark.parametrize(
    "command", ["rm -rf ~", "sudo rm -rf /", "cat x > /dev/sda", "bash -c 'rm -rf $HOME'", "mv ~ /tmp/x"]
)
def test_a_program_that_wipes_is_refused_in_every_mode(command: str) -> None:
    for mode in MODES:
        for boundary in (True, False):
            ctx = _context(mode, boundary, allow=["run(*)"])
            assert decide.before(_call(RUN, command=command), RUN, ctx).verdict == "deny"


def test_links_are_followed() -> None:
    def resolve(path: str) -> str:
        return path.replace(f"{W}/link", f"{HOME}/.ssh").replace(f"{W}/out", "/srv")

    ctx = _context("auto", resolve=resolve)
    assert decide.before(_call(READ, path="link/id"), READ, ctx).verdict == "deny"
    assert decide.before(_call(READ, path="out/x"), READ, ctx).verdict == "ask"
    assert decide.after(_call(WRITE), WRITE, (Change("write", f"{W}/out/x", before=""),), ctx).verdict == "ask"
    assert decide.after(_call(WRITE), WRITE, (Change("write", f"{W}/link/x", before=""),), ctx).verdict == "deny"


def test_our_spilled_output_may_be_read_though_our_folders_may_not() -> None:
    spill = f"{OURS[1]}/sessions/1/spill"
    ctx = _context("ask", readable=(spill,))
    assert decide.before(_call(READ, path=f"{spill}/out.txt"), READ, ctx).verdict == "allow"
    assert decide.before(_call(READ, path=f"{OURS[1]}/sessions/1/log"), READ, ctx).verdict == "deny"
    assert decide.after(_call(WRITE), WRITE, (Change("write", f"{spill}/x"),), ctx).verdict == "deny"


def test_deny_wins_over_ask_and_ask_over_allow() -> None:
    call, change = _call(WRITE, path="a.txt"), (Change("write", f"{W}/a.txt", before=""),)
    everything = ["write(**)"]
    assert decide.after(call, WRITE, change, _context("auto", allow=everything)).verdict == "allow"
    assert decide.after(call, WRITE, change, _context("auto", ask=everything, allow=everything)).verdict == "ask"
    denied = _context("yolo", deny=["write(A.TXT)"], ask=everything, allow=everything)
    assert decide.after(call, WRITE, change, denied).rule == "deny write(A.TXT)"
    assert decide.before(call, WRITE, denied).verdict == "deny"
    assert decide.before(_call(RUN, command="ls && git push"), RUN, _context(deny=["run(git push)"])).verdict == "deny"
    assert decide.before(_call(RUN, command="ls"), RUN, _context("yolo", deny=["tool(run)"])).verdict == "deny"


def test_one_covered_change_does_not_carry_the_others() -> None:
    changes = (Change("write", f"{W}/a", before=""), Change("write", f"{W}/b", before=""))
    ctx = _context("ask", allow=["write(a)"])
    assert decide.after(_call(RUN, command="make"), RUN, changes[:1], ctx).verdict == "allow"
    assert decide.after(_call(RUN, command="make"), RUN, changes, ctx).verdict == "ask"
    both = _context("ask", allow=["write(a)", "write(b)"])
    assert decide.after(_call(RUN, command="make"), RUN, changes, both).verdict == "allow"


def test_a_run_rule_covers_what_the_command_changes_in_the_workspace_only() -> None:
    ctx = _context("ask", allow=["run(make *)"])
    call = _call(RUN, command="make all")
    assert decide.after(call, RUN, CHANGES["eleven deleted"], ctx).verdict == "allow"
    assert decide.after(call, RUN, CHANGES["outside"], ctx).verdict == "ask"
    assert decide.after(_call(RUN, command="make all; x"), RUN, CHANGES["new file"], ctx).verdict == "ask"


def test_a_tool_rule_stays_inside_and_sends_nothing() -> None:
    ctx = _context("ask", allow=["tool(write_file)", "tool(read_file)", "tool(send_message)", "tool(mystery)"])
    assert decide.after(_call(WRITE), WRITE, CHANGES["new file"], ctx).verdict == "allow"
    assert decide.after(_call(WRITE), WRITE, CHANGES["outside"], ctx).verdict == "ask"
    assert decide.before(*reversed(CALLS["read outside"]), ctx).verdict == "ask"
    assert decide.before(*reversed(CALLS["send"]), ctx).verdict == "ask"
    assert decide.before(*reversed(CALLS["undeclared"]), ctx).verdict == "allow"


@pytest.mark.parametrize("marks", [{"untrusted_seen": True}, {"private_seen": True}])
@pytest.mark.parametrize("name", ["net", "send", "persist"])
def test_a_marked_session_asks_before_anything_leaves(name: str, marks: dict[str, bool]) -> None:
    spec, call = CALLS[name]
    for mode in ("ask", "auto", "yolo"):
        decision = decide.before(call, spec, _context(mode, **marks))
        assert decision.verdict == "ask" and "has seen" in decision.reason
    ruled = _context("auto", allow=["net(example.org)", "send(email:ann@example.org)", "persist(schedule)"], **marks)
    assert decide.before(call, spec, ruled).verdict == "allow"
    by_name = _context("auto", allow=[f"tool({spec.name})"], **marks)
    assert decide.before(call, spec, by_name).verdict == "ask"


@pytest.mark.parametrize(
    ("hosts", "args", "asks"),
    [
        (("api.example:444",), {"query": "x"}, "reaching the network (api.example) always asks"),
        (("api.example",), {"query": "x", "url": "https://evil.example/q"}, "evil.example does not come from your own words"),
        ((), {"url": "https://\u0430pple.example/"}, "xn--pple-43d.example"),
        ((), {"url": "https://\u2025.example/"}, "reaching the network always asks"),
    ],
)
def test_the_hosts_a_tool_declares_are_asked_about_too(hosts: tuple[str, ...], args: dict[str, str], asks: str) -> None:
    spec = replace(FETCH, hosts=hosts)
    decision = decide.before(_call(spec, **args), spec, _context("auto", said="find rye"))
    assert decision.verdict == "ask" and asks in decision.reason
    assert ("your own words" in decision.reason) is not bool(hosts and len(args) == 1)


def test_a_rule_for_a_host_is_none_for_its_other_ports() -> None:
    odd = _call(FETCH, url="https://example.org:22/")
    assert decide.before(odd, FETCH, _context("auto", allow=["net(example.org)"])).verdict == "ask"
    for rule in ("net(example.org:22)", "net(*)"):
        assert decide.before(odd, FETCH, _context("auto", allow=[rule])).verdict == "allow"
        assert decide.before(odd, FETCH, _context("auto", allow=[rule], deny=["net(example.org)"])).verdict == "deny"
    assert rules.needed(odd, FETCH, (), _context("ask")) == ("net(example.org:22)",)
    usual = _call(FETCH, url="https://example.org:443/")
    assert decide.before(usual, FETCH, _context("auto", allow=["net(example.org)"])).verdict == "allow"


def test_a_rule_for_a_declared_host_lifts_its_question() -> None:
    spec, call = replace(FETCH, hosts=("api.example:444",)), ToolCall("1", "fetch", {"query": "x"})
    assert decide.before(call, spec, _context("ask", allow=["net(api.example)"])).verdict == "allow"
    assert decide.before(call, spec, _context("ask", deny=["net(api.example)"])).verdict == "deny"
    assert decide.before(call, spec, _context("ask", allow=["net(other.example)"])).verdict == "ask"


def test_the_whole_workspace_is_not_deleted_unasked() -> None:
    sizes = {W: 4, f"{W}/docs": 3, f"{W}/a": 1, f"{W}/big": 40}
    ctx = _context("auto", count=lambda path: sizes.get(path, 1))
    trash = {name: Change("trash", f"{W}/{name}") for name in ("docs", "a", "big")}
    assert decide.after(_call(RUN), RUN, (trash["docs"],), ctx).verdict == "allow"
    assert decide.after(_call(RUN), RUN, (trash["docs"], trash["a"]), ctx).verdict == "ask"
    assert decide.after(_call(RUN), RUN, (trash["big"],), ctx).verdict == "ask"


def test_a_folder_that_was_emptied_first_loses_nothing() -> None:
    ctx = _context("auto", count=lambda path: 30 if path == f"{W}/inbox" else 100 if path == W else 1)
    moves = tuple(Change("move", f"{W}/inbox/{n}", f"{W}/sorted/{n}") for n in range(30))
    trash = Change("trash", f"{W}/inbox")
    assert decide.after(_call(RUN), RUN, (*moves, trash), ctx).verdict == "allow"
    assert decide.after(_call(RUN), RUN, (*moves[:15], trash), ctx).verdict == "ask"
    one_by_one = tuple(Change("trash", f"{W}/inbox/{n}", before=str(n)) for n in range(30))
    assert "30 files" in decide.after(_call(RUN), RUN, (*one_by_one, trash), ctx).reason


@pytest.mark.parametrize("name", BEFORE)
def test_the_suggested_rule_would_do(name: str) -> None:
    spec, call = CALLS[name]
    for mode in ("ask", "auto"):
        for boundary in (True, False):
            ctx = _context(mode, boundary)
            if decide.before(call, spec, ctx).verdict != "ask":
                continue
            text = rules.suggest(call, spec, (), ctx)
            assert text
            allowed = replace(ctx, rules=ctx.rules.with_allowed([text]))
            assert decide.before(call, spec, allowed).verdict == "allow"


@pytest.mark.parametrize("name", [name for name in AFTER if name != "nothing"])
def test_the_suggested_rules_would_do_for_changes(name: str) -> None:
    for ctx in (_context("ask"), _context("auto"), _context("auto", boundary=False)):
        call = _call(RUN, command="make")
        if decide.after(call, RUN, CHANGES[name], ctx).verdict == "ask":
            texts = rules.needed(call, RUN, CHANGES[name], ctx)
            assert texts and (name == "copied in" or len(texts) == 1)
            allowed = replace(ctx, rules=ctx.rules.with_allowed(texts))
            assert decide.after(call, RUN, CHANGES[name], allowed).verdict == "allow", texts


def test_suggestions_are_narrow() -> None:
    ctx = _context("ask", boundary=False)
    assert rules.suggest(*reversed(CALLS["run"]), (), ctx) == "run(make test)"
    assert rules.suggest(*reversed(CALLS["run complex"]), (), ctx) == "run(ls | sh)"
    assert rules.suggest(*reversed(CALLS["net"]), (), ctx) == "net(example.org)"
    assert rules.suggest(*reversed(CALLS["send"]), (), ctx) == "send(email:ann@example.org)"
    assert rules.suggest(*reversed(CALLS["undeclared"]), (), ctx) == "tool(mystery)"
    assert rules.suggest(_call(WRITE), WRITE, CHANGES["new file"], _context("ask")) == "write(a)"


DEEP = [_spec(name, "read:fs", path=_PATH) for name in ("search_text", "find_files", "word_count")]
LIST = _spec("list_files", "read:fs", path=_PATH)
COPY = _spec("copy_file", "write:fs", source=_PATH, destination=_PATH)


def _after(changes: tuple[Change, ...], ctx: Context, spec: ToolSpec = RUN) -> Any:
    return decide.after(_call(spec, command="make"), spec, changes, ctx)


@pytest.mark.parametrize("name", ["eleven overwritten", "eleven deleted", "setuid", "editor tasks", "dotenv"])
@pytest.mark.parametrize("boundary", [True, False])
@pytest.mark.parametrize("mode", ["ask", "auto"])
def test_a_kept_rule_never_lifts_what_loses_much_or_is_delicate(name: str, boundary: bool, mode: str) -> None:
    for rule in ("write(**)", "run(make)", "tool(run)", "write(/**)"):
        kept = _context(mode, boundary, kept=[rule])
        decision = _after(CHANGES[name], kept)
        assert (decision.verdict, decision.rule) == ("ask", "destructive")
        assert _after(CHANGES["new file"], kept).verdict == "allow"
        assert _after(CHANGES[name], _context(mode, boundary, allow=[rule])).verdict == "allow"
    assert rules.remembered(_call(RUN, command="make"), RUN, CHANGES[name], _context(mode, boundary)) == ""


def test_a_kept_rule_does_not_reach_the_floor_nor_a_deny_rule() -> None:
    change = (Change("write", f"{W}/.git/commondir", before=""),)
    assert _after(change, _context("auto", kept=["write(/**)"])).rule == "floor"
    denied = _context("auto", kept=["write(a)"], deny=["write(a)"])
    assert _after(CHANGES["new file"], denied).verdict == "deny"


def test_a_mass_deletion_outside_is_no_less_of_one() -> None:
    changes = tuple(Change("trash", f"{HOME}/pics/{n}.jpg", before=str(n)) for n in range(11))
    assert _after(changes, _context("auto", kept=["write(~/pics/*.jpg)"])).rule == "destructive"
    assert _after(changes, _context("auto", allow=["write(~/pics/*.jpg)"])).verdict == "allow"


def test_an_always_keeps_only_the_names_that_changed() -> None:
    ctx, call = _context("ask"), _call(RUN, command="mv a.jpeg a.jpg; mv b.jpeg b.jpg")
    mixed = tuple(Change("move", f"{W}/{n}.jpeg", f"{W}/{n}.jpg") for n in "ab")
    assert rules.remembered(call, RUN, mixed, ctx) == ""
    same = tuple(Change("edit", f"{W}/s/{n}.md", before="1", after="2") for n in "ab")
    assert rules.remembered(call, RUN, same, ctx) == "write(s/*.md)"
    assert rules.remembered(call, RUN, same[:1], ctx) == "write(s/a.md)"
    assert rules.remembered(call, RUN, (*same, Change("edit", f"{W}/s/t/c.md", before="1", after="2")), ctx) == ""
    assert rules.remembered(_call(WRITE), WRITE, CHANGES["new file"], ctx) == "write(a)"
    assert rules.remembered(*reversed(CALLS["undeclared"]), (), ctx) == "tool(mystery)"


@pytest.mark.parametrize("mode", ["ask", "auto"])
@pytest.mark.parametrize("path", ["~/private/diary.txt", "~/*", "/etc/hosts", "../x"])
def test_a_tool_that_writes_asks_before_it_looks_outside(path: str, mode: str) -> None:
    for spec, args in (
        (WRITE, {"path": path}),
        (MOVE, {"source": path, "destination": "x"}),
        (MOVE, {"source": "x", "destination": path}),
        (COPY, {"source": path, "destination": "x"}),
    ):
        call = _call(spec, **args)
        assert decide.before(call, spec, _context(mode)).rule == "outside"
        text = rules.suggest(call, spec, (), _context(mode))
        assert text and decide.before(call, spec, _context(mode, allow=[text])).verdict == "allow"
        denied = decide.before(call, spec, _context(mode, deny=["read(/**)"]))
        assert denied.verdict == "deny"


def test_one_rule_is_enough_to_write_outside() -> None:
    call, change = _call(WRITE, path="~/out/n.txt"), (Change("write", f"{HOME}/out/n.txt", before=""),)
    text = rules.suggest(call, WRITE, (), _context("ask"))
    assert text == "write(~/out/n.txt)"
    ctx = _context("ask", allow=[text])
    assert decide.before(call, WRITE, ctx).verdict == "allow"
    assert decide.after(call, WRITE, change, ctx).verdict == "allow"


@pytest.mark.parametrize("spec", DEEP, ids=lambda s: s.name)
def test_listing_a_folder_does_not_open_what_is_beneath_it(spec: ToolSpec) -> None:
    for rule in (rules.suggest(_call(LIST, path="~"), LIST, (), _context()), "read(~)", "read(~/*)"):
        for ctx in (_context(allow=[rule]), _context(kept=[rule]), _context(allow=[rule], folder=lambda _: True)):
            assert decide.before(_call(spec, path="~"), spec, ctx).verdict == "ask"
    assert decide.before(_call(LIST, path="~"), LIST, _context(allow=["read(~)"])).verdict == "allow"
    assert decide.before(_call(READ, path="~/mail/x"), READ, _context(allow=["read(~)"])).verdict == "ask"
    assert decide.before(_call(spec, path="~"), spec, _context(allow=["read(~/**)"])).verdict == "allow"
    file = _context(allow=["read(/etc/hosts)"], folder=lambda _: False)
    assert decide.before(_call(spec, path="/etc/hosts"), spec, file).verdict == "allow"
    assert rules.remembered(_call(spec, path="~"), spec, (), _context()) == ""


def test_a_listed_folder_is_not_copied_as_a_whole() -> None:
    change = (Change("copy", "/srv/docs", f"{W}/docs"),)
    assert _after(change, _context("auto", allow=["read(/srv/docs)"])).verdict == "ask"
    assert _after(change, _context("auto", allow=["read(/srv/docs/**)"])).verdict == "allow"
    assert _after(change, _context("auto", allow=["read(/srv/docs)"], folder=lambda _: False)).verdict == "allow"


def test_deletions_of_one_request_are_counted_together() -> None:
    changes = tuple(Change("trash", f"{W}/{n}", before=str(n)) for n in range(6))
    assert harm.lost(changes, _context()) == 6
    assert harm.lost(CHANGES["thirty renamed"], _context()) == 0
    assert _after(changes, _context("auto", lost_before=4)).verdict == "allow"
    decision = _after(changes, _context("auto", lost_before=5))
    assert (decision.verdict, decision.rule) == ("ask", "destructive") and "11 files" in decision.reason
    assert _after(CHANGES["edit"], _context("auto", lost_before=500)).verdict == "allow"
    left = _context("auto", lost_before=3, count=lambda path: 1)
    assert "all 1 files" in _after(changes[:1], left).reason


@pytest.mark.parametrize(
    "name",
    ".selected_editor .config/htop/htoprc .npm/x .dir_colors .wgetrc .config/Code/User/settings.json bin/ls a/x.pth "
    ".local/lib/python3.11/site-packages/usercustomize.py sitecustomize.py .config/i3/config tools/prog "
    "project/.github/workflows/x.yml .cargo/config.toml".split(),
)
@pytest.mark.parametrize("workspace", [HOME, "/home", "/"])
def test_in_a_home_what_programs_act_on_asks(name: str, workspace: str) -> None:
    ctx = replace(_context("auto", search_path=(f"{HOME}/tools",)), workspace=workspace)
    change = (Change("write", f"{HOME}/{name}", before=""),)
    assert _after(change, ctx).rule == "destructive"
    assert _after(change, replace(ctx, rules=Rules.of(kept=["write(**)"]))).verdict == "ask"
    assert _after((Change("write", f"{HOME}/notes/a.txt", before=""),), ctx).verdict == "allow"


def test_a_project_may_have_files_with_a_dot() -> None:
    for name in (".gitignore", ".github/workflows/x.yml", ".venv/lib/site-packages/x.pth", "bin/tool"):
        assert _after((Change("write", f"{W}/{name}", before=""),), _context("auto")).verdict == "allow"
    assert _after((Change("write", f"{W}/sitecustomize.py", before=""),), _context("auto")).verdict == "ask"


_ORDER = {"allow": 0, "ask": 1, "deny": 2}


def _random_context(rng: random.Random, **fixed: Any) -> Context:
    made: dict[str, Any] = {
        "mode": rng.choice(MODES),
        "boundary": rng.random() < 0.5,
        "untrusted_seen": rng.random() < 0.3,
        "private_seen": rng.random() < 0.3,
    }
    made.update(fixed)
    return _context(**made)


def test_properties_of_random_calls_and_changes() -> None:
    rng = random.Random(23)
    pool = [change for changes in CHANGES.values() for change in changes]
    pool += [Change("write", path) for path in FLOOR_WRITES]
    for _ in range(rounds(1_500)):
        spec = replace(rng.choice(SPECS), effects=tuple(rng.sample(EFFECTS, rng.randrange(4))))
        call = ToolCall("1", spec.name, rng.choice(list(CALLS.values()))[1].args)
        changes = tuple(rng.sample(pool, rng.randrange(1, 4)))
        ctx = _random_context(rng)
        verdicts = [decide.before(call, spec, ctx).verdict, decide.after(call, spec, changes, ctx).verdict]
        # Without a sandbox, with a mark, or in a stricter mode, nothing becomes freer.
        for stricter in (
            replace(ctx, boundary=False),
            replace(ctx, untrusted_seen=True),
            replace(ctx, private_seen=True),
            replace(ctx, mode=MODES[max(0, MODES.index(ctx.mode) - 1)]),
            replace(ctx, rules=Rules.of(deny=["write(a)", "run(make)"], ask=["read(**)"])),
        ):
            judged = [decide.before(call, spec, stricter).verdict, decide.after(call, spec, changes, stricter).verdict]
            assert all(_ORDER[now] >= _ORDER[was] for now, was in zip(judged, verdicts, strict=True)), (
                spec,
                call,
                changes,
            )
        # One more change, or one more effect, never makes the whole freer.
        more = decide.after(call, spec, (*changes, rng.choice(pool)), ctx).verdict
        assert _ORDER[more] >= _ORDER[verdicts[1]]
        if ctx.mode == "plan":
            assert verdicts[1] == "deny"
            assert verdicts[0] == "deny" or set(spec.effects) <= {"read:fs", "read:mail", "compute"}
        if "send" in spec.effects:
            assert verdicts[0] != "allow"


@pytest.mark.parametrize(
    "path",
    "bin/ls proj/.envrc proj/.vscode/tasks.json proj/.env proj/.husky/pre-push x.git/config x/HEAD .cargo/bin/cargo "
    ".local/lib/python3.11/site-packages/usercustomize.py lib/python/x.pth .curlrc .i3/config .local/share/t/sbin/x "
    "there/tasks.json".split(),
)
def test_a_kept_rule_never_covers_what_programs_act_on_outside_the_workspace(path: str) -> None:
    def resolve(name: str) -> str:
        return name.replace(f"{HOME}/there", f"{HOME}/proj/.vscode")

    more: dict[str, Any] = {"resolve": resolve, "search_path": (f"{HOME}/.local/share/t/sbin",)}
    kept = _context("auto", kept=("write(~/**)",), **more)
    change = Change("write", f"{HOME}/{path}", before="")
    assert decide.after(_call(WRITE), WRITE, [change], kept).verdict == "ask"
    written_out = _context("auto", allow=("write(~/**)",), **more)
    assert decide.after(_call(WRITE), WRITE, [change], written_out).verdict == "allow"


def test_a_kept_rule_covers_ordinary_files_outside_the_workspace() -> None:
    for name in ("notes.txt", "proj/main.py", "proj/.gitignore"):
        change = Change("write", f"{HOME}/{name}", before="")
        assert decide.after(_call(WRITE), WRITE, [change], _context("auto", kept=("write(~/**)",))).verdict == "allow"


_EMPTY = hashlib.sha256(b"").hexdigest()


def _overwrite(n: int, after: str = _EMPTY, size: int = 0, before: str = "old") -> Change:
    return Change("write", f"{HOME}/w/f{n}", before=before, after=after, size=size)


def test_emptied_files_are_summed_over_the_turn_like_deleted_ones() -> None:
    ctx = _context("auto", size=lambda path: 1000)
    few = [_overwrite(n) for n in range(4)] + [_overwrite(n, f"a{n}", 99) for n in range(4, 8)]
    assert harm.lost(few, ctx) == 8
    assert decide.after(_call(RUN), RUN, few, ctx).verdict == "allow"
    later = decide.after(_call(RUN), RUN, few, replace(ctx, lost_before=8))
    assert later.verdict == "ask" and "16 files" in later.reason
    mixed = [*few, *(Change("trash", f"{HOME}/w/g{n}", before=f"b{n}") for n in range(3))]
    assert "deletes or empties 11 files" in decide.after(_call(RUN), RUN, mixed, ctx).reason


def test_ordinary_edits_are_not_lost_files() -> None:
    ctx = _context("auto", size=lambda path: 1000, lost_before=10)
    fine = [
        _overwrite(1, "new", 900),
        _overwrite(2, "new", 100),
        _overwrite(3, before=_EMPTY),
        _overwrite(4, before=""),
        Change("edit", f"{HOME}/w/f5", before="1", after="2", size=400),
    ]
    assert harm.lost(fine, ctx) == 0
    assert decide.after(_call(RUN), RUN, fine, ctx).verdict == "allow"
    rotated = [_overwrite(1, before="log"), Change("write", f"{HOME}/w/log.1", before="", after="log", size=1000)]
    assert harm.lost(rotated, ctx) == 0
    assert harm.lost([_overwrite(1, "new", 10)], replace(ctx, size=None)) == 0
