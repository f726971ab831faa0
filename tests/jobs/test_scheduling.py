"""Jobs that the model asks for: what it says is spelt out, shown whole, and made with a yes alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from localagent import wiring
from localagent.channels import desktop
from localagent.commands import arguments
from localagent.errors import ChannelError, StoreError, UsageError
from localagent.events import ApprovalAsked, TurnEnded
from localagent.jobs import reminding, running, scheduling, wishes
from localagent.policy import decide, rules
from localagent.policy.context import Context
from localagent.store import channels, settings
from localagent.store.jobs import Job, Jobs, Run, Trigger, marks
from localagent.values import Answer, Change, Decision, Sent, ToolCall
from localagent.wiring import toolset
from tests.fakes import ScriptedEngine, call

BERLIN = ZoneInfo("Europe/Berlin")
# A Tuesday.
NOW = datetime.fromisoformat("2026-12-01T10:00:00+01:00").timestamp()
REMINDER = Job("abc123", "Call Anna", "Call Anna", "/", Trigger("at", "18:30", zone="UTC"), remind=True)
RUN = Run(1, "abc123", "its time", "", 0, 0, "begun", 0, "", "", "", {})


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setattr(desktop, "command", lambda *_: ["true"])


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("18:30", "2026-12-01 18:30"),
        ("at 9:00", "2026-12-02 09:00"),
        ("9am", "2026-12-02 09:00"),
        ("6 pm", "2026-12-01 18:00"),
        ("tomorrow 9:00", "2026-12-02 09:00"),
        ("Tomorrow at 9", "2026-12-02 09:00"),
        ("today at 11.15", "2026-12-01 11:15"),
        ("friday 8:00", "2026-12-04 08:00"),
        ("next tuesday at 8:00", "2026-12-08 08:00"),
        ("on Tuesday at 10:30", "2026-12-01 10:30"),
        ("in 20m", "2026-12-01 10:20"),
        ("in 2 hours", "2026-12-01 12:00"),
        ("in an hour", "2026-12-01 11:00"),
        ("in 1h30m", "2026-12-01 11:30"),
        ("2026-12-24 18:30", "2026-12-24 18:30"),
        ("2026-12-24T18:30:00", "2026-12-24 18:30"),
        ("2026-12-24T17:30:00Z", "2026-12-24 18:30"),
    ],
)
def test_moments_as_people_say_them(said: str, first: str, tmp_path: Path) -> None:
    made, due = wishes.trigger(said, tmp_path, NOW)
    assert datetime.fromtimestamp(due, BERLIN).replace(tzinfo=None).isoformat(" ", "minutes") == first
    assert (made.kind, made.zone) == ("at", "Europe/Berlin")
    assert wishes.trigger(wishes.canonical(made), tmp_path, NOW) == (made, due)


@pytest.mark.parametrize(
    ("said", "kind", "text", "first"),
    [
        ("every 15 minutes", "every", "15m", "2026-12-01 10:15"),
        ("every hour", "every", "1h", "2026-12-01 11:00"),
        ("hourly", "every", "1h", "2026-12-01 11:00"),
        ("every 1h30m", "every", "1h30m", "2026-12-01 11:30"),
        ("every day at 8:00", "cron", "0 8 * * *", "2026-12-02 08:00"),
        ("daily 18:30", "cron", "30 18 * * *", "2026-12-01 18:30"),
        ("every monday at 8", "cron", "0 8 * * 1", "2026-12-07 08:00"),
        ("every weekday at 9:00", "cron", "0 9 * * 1-5", "2026-12-02 09:00"),
        ("every sunday", "cron", "0 9 * * 0", "2026-12-06 09:00"),
        ("0 8 1 * *", "cron", "0 8 1 * *", "2027-01-01 08:00"),
    ],
)
def test_what_comes_again(said: str, kind: str, text: str, first: str, tmp_path: Path) -> None:
    made, due = wishes.trigger(said, tmp_path, NOW)
    assert (made.kind, made.text) == (kind, text)
    assert datetime.fromtimestamp(due, BERLIN).replace(tzinfo=None).isoformat(" ", "minutes") == first
    assert wishes.trigger(wishes.canonical(made), tmp_path, NOW) == (made, due)


def test_files_and_nonsense(tmp_path: Path) -> None:
    for said in ("file in/a.pdf", "when file 'in/a.pdf' appears"):
        with pytest.raises(UsageError, match="no folder for it"):
            wishes.trigger(said, tmp_path, NOW)
    (tmp_path / "in").mkdir()
    made, due = wishes.trigger("when file 'in/a.pdf' appears", tmp_path, NOW)
    assert (made, due) == (Trigger("change", str(tmp_path / "in" / "a.pdf"), 60.0), 0.0)
    assert wishes.trigger(wishes.canonical(made), tmp_path, NOW) == (made, due)
    wrong = ["", "soon", "25:00", "9:99", "in a while", "every now and then", "yesterday", "2020-01-01 10:00", "every 1s", "today at 9"]
    for said in [*wrong, "in 99999 weeks", "99 99 * * *", "in " + "9" * 400 + "m"]:
        with pytest.raises(UsageError):
            wishes.trigger(said, tmp_path, NOW)


def test_what_is_agreed_to_is_what_is_made(tmp_path: Path) -> None:
    # The night in which the clocks show the hour from two to three twice.
    for said, at in (("in 70m", "2026-10-25T01:50:00+02:00"), ("in 20m", "2026-10-25T02:30:00+01:00")):
        now = datetime.fromisoformat(at).timestamp()
        made, due = wishes.trigger(said, tmp_path, now)
        assert wishes.trigger(wishes.canonical(made), tmp_path, now + 60) == (made, due), said
    for name in ("report changes", "'quoted'", "two  blanks", "is new", '"both\'"'):
        made, due = wishes.trigger(f"file '{name}'", tmp_path, NOW)
        assert made.text == str(tmp_path / name)
        assert wishes.trigger(wishes.canonical(made), tmp_path, NOW) == (made, due), name


@pytest.mark.parametrize(
    ("words", "later"),
    [
        ("Remind me tomorrow at nine to call Anna", True),
        ("every Monday at 8 summarise the folder", True),
        ("when invoice.pdf appears, move it to paid/", True),
        ("set an alarm in 20 minutes", True),
        ("Erinnere mich morgen um neun, Anna anzurufen", True),
        ("Jeden Montag um 8 eine Zusammenfassung", True),
        ("Sobald rechnung.pdf da ist, verschieb sie", True),
        ("recu\u00e9rdame ma\u00f1ana a las nueve llamar a Anna", True),
        ("\u660e\u5929\u4e5d\u70b9\u63d0\u9192\u6211\u7ed9\u5b89\u5a1c\u6253\u7535\u8bdd", True),
        ("what is in this folder?", False),
        ("delete every second line of a.txt", False),
        ("which files changed today?", False),
        ("move each file into a folder of its month", False),
        ("wenn es Dateien gibt, z\u00e4hle sie", False),
        ("when " + "x" * 3_000_000, False),
    ],
)
def test_it_is_offered_where_a_request_speaks_of_later(words: str, later: bool) -> None:
    assert wishes.speaks_of_later(words) is later


# ---------------------------------------------------------------- in a session


def turn(folder: Path, answer: Answer, **args: object) -> tuple[list[ApprovalAsked], TurnEnded, str]:
    """What was asked, how the turn ended, and what the model heard of its call."""
    asked: list[ApprovalAsked] = []
    heard: list[str] = []

    async def approve(one: ToolCall, decision: object, changes: object) -> Answer:
        return answer

    async def run() -> TurnEnded:
        session = await wiring.for_do(
            arguments.of_do(["-", "--cwd", str(folder)]), ScriptedEngine([call("schedule", **args)], "Done."), settings.load()
        )
        registry = await toolset.registry(folder, folder, schedules=(session.setting.journal, session.id))
        session.setting = replace(session.setting, registry=registry)
        async for event in session.send("remind me tomorrow at nine to call Anna", approve):
            if isinstance(event, ApprovalAsked):
                asked.append(event)
            if type(event).__name__ == "ToolFinished":
                heard.append(event.result.text)  # type: ignore[union-attr]
        assert session.ended is not None
        return session.ended

    ended = asyncio.run(run())
    return asked, ended, "\n".join(heard)


def test_a_reminder_is_made_as_it_was_shown(tmp_path: Path) -> None:
    asked, ended, heard = turn(tmp_path, Answer("allow"), task="Call Anna", when="tomorrow at 9", remind=True)
    (question,) = asked
    assert "these words are shown to you on this desktop, and no model runs" in question.decision.reason
    assert question.call.args["when"].endswith(" 09:00:00") and question.call.args["task"] == "Call Anna"
    (kept,) = Jobs().all()
    assert (kept.job.goal, kept.job.remind, kept.job.tools, kept.job.trigger.text) == ("Call Anna", True, (), question.call.args["when"])
    (receipt,) = ended.receipts
    assert receipt.kind == "scheduled" and receipt.data["job"] == kept.job.id
    assert "nobody watches jobs now" in question.decision.reason and "Europe/Berlin" in question.decision.reason
    assert f"jobs rm {kept.job.id}" in heard and "jobs watch" in heard


def test_a_task_has_the_tools_of_now_and_may_write_what_was_named(tmp_path: Path) -> None:
    args = {"task": "List the new files into new.md", "when": "every day at 8:00", "remind": False, "files": ["new.md", "./a/b.md"]}
    asked, _, _ = turn(tmp_path, Answer("allow"), **args)
    assert "without asking you, it may write write(new.md), write(a/b.md), and has the tools" in asked[0].decision.reason
    (kept,) = Jobs().all()
    names = {name for name, _ in kept.job.tools}
    assert {"read_file", "write_file", "run"} <= names and "schedule" not in names
    assert [rule for rule, _ in kept.job.allow] == ["write(new.md)", "write(a/b.md)"]


@pytest.mark.parametrize("answer", [Answer("deny"), Answer("deny", by_person=False)])
def test_without_a_yes_nothing_is_left(tmp_path: Path, answer: Answer) -> None:
    _, ended, heard = turn(tmp_path, answer, task="x", when="every hour", remind=True)
    assert Jobs().all() == [] and "Not allowed" in heard
    assert ended.denied == (() if answer.by_person else ("persist(schedule)",))


def test_a_rule_for_jobs_does_not_let_them_write_too() -> None:
    def decided(*allow: str, **args: object) -> Decision:
        ctx = Context("ask", "/w", rules.Rules(allow=tuple(map(rules.parse, allow))), boundary=True, untrusted_seen=True)
        return decide.before(ToolCall("1", "schedule", {"task": "x", "when": "18:30", "remind": False, **args}), scheduling.SCHEDULE, ctx)

    assert decided("persist(schedule)").verdict == "allow"
    assert decided("persist(schedule)", files=["a.md", "b.md"]).verdict == "ask"
    assert decided("persist(schedule)", "write(a.md)", files=["a.md", "b.md"]).verdict == "ask"
    assert decided("persist(schedule)", "write(*.md)", files=["**"]).verdict == "ask"
    assert decided("persist(schedule)", "write(*.md)", files=["a.md", "b.md"]).verdict == "allow"
    assert decided("write(*.md)", files=["a.md"]).verdict == "ask"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"task": " ", "when": "18:30", "remind": True}, "task is empty"),
        ({"task": "x", "when": "soon", "remind": True}, "Say when as one of"),
        ({"task": "x", "when": "18:30", "remind": True, "files": ["../a"]}, "no file in"),
        ({"task": "x", "when": "18:30", "remind": False, "files": ["../a"]}, "no file in"),
        ({"task": "x", "when": "18:30", "remind": False, "files": ["/etc/passwd"]}, "no file in"),
        ({"task": "x", "when": "18:30", "remind": False, "files": ["."]}, "no file in"),
        ({"task": "x" * 3000, "when": "18:30", "remind": True}, "more than"),
    ],
)
def test_what_comes_to_nothing_is_not_even_asked(tmp_path: Path, args: dict[str, object], said: str) -> None:
    asked, _, heard = turn(tmp_path, Answer("allow"), **args)
    assert asked == [] and said in heard and Jobs().all() == []


# ---------------------------------------------------------------- when its time comes


@pytest.mark.parametrize(("sent", "state"), [(Sent("handed over"), "done"), (Sent("failed", detail="no desktop"), "failed")])
def test_a_reminder_shows_its_words_and_runs_no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: Sent, state: str) -> None:
    shown: list[str] = []

    async def send(self: object, message: object) -> Sent:
        shown.append(message.text)  # type: ignore[attr-defined]
        return sent

    async def others(*_: object) -> running.Outcome:
        pytest.fail("a model would run")

    monkeypatch.setattr(desktop.Desktop, "send", send)
    outcome = asyncio.run(reminding.Reminding(others)(REMINDER, RUN, lambda session: None))
    assert (outcome.state, outcome.again, shown) == (state, state == "failed", ["Call Anna"])
    assert ("no desktop" in str(outcome.facts)) is (state == "failed")


def test_where_there_is_no_desktop_it_goes_to_the_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> list[str]:
        raise ChannelError("The program notify-send is missing.", "Install it.")

    monkeypatch.setattr(desktop, "command", none)
    with pytest.raises(UsageError, match="notify-send is missing"):
        reminding.way()
    channels.add("work", "email", {"address": "me@example.org"})
    assert reminding.way() == "work:me@example.org"


def test_undo_takes_the_job_away_and_redo_brings_it_back(tmp_path: Path) -> None:
    _, ended, _ = turn(tmp_path, Answer("allow"), task="Call Anna", when="in 1h", remind=True)
    store, journal = Jobs(), wiring.journal()[0]
    (kept,) = store.all()
    assert ended.receipts[0].data["step"] == journal.steps()[0].number
    before = store.changed()
    assert journal.undo(within=tmp_path).conflicts == ()
    assert store.all() == [] and store.find(kept.job.id) is None and store.changed() != before
    assert store.begin(kept.job.id, "its time", "", "me", NOW, after=None) is None and store.runs() == []
    journal.redo(within=tmp_path)
    assert store.all() == [kept]
    store.remove(kept.job.id)
    assert not Path(kept.job.mark).exists() and journal.undo(within=tmp_path).conflicts


def test_only_the_host_reaches_the_marks(tmp_path: Path) -> None:
    mark = marks() / "abc.job"
    mark.parent.mkdir()
    (tmp_path / "x").write_text("x")
    made = Change("write", str(mark), content=str(tmp_path / "x"), before="", size=1)
    with pytest.raises(StoreError, match="belongs to localagent"):
        wiring.journal()[0].commit([made], [str(mark)], session="", call="", label="")
