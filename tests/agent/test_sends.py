"""A message from the model's call to its receipt: who is meant, who is asked, what goes out, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent import events as e
from localagent.agent import posting
from localagent.agent.posting import Answerable, Post
from localagent.agent.shown import message_lines
from localagent.channels.base import Health
from localagent.channels.sender import Sender
from localagent.errors import StoreError, ToolError
from localagent.policy import rules
from localagent.policy.context import Context
from localagent.store import contacts
from localagent.store.contacts import Contact
from localagent.store.outbox import Outbox
from localagent.values import Answer, Attachment, Decision, Mode, Outgoing, Sent, Text, ToolCall, ToolResult, ToolSpec
from tests.agent.test_loop import World, kinds, results
from tests.fakes import call

_TEXT = {"type": "string"}
SEND = ToolSpec(
    "send_message",
    "Send a message.",
    {
        "type": "object",
        "properties": {
            **dict.fromkeys(("to", "text", "subject", "channel", "reply_to"), _TEXT),
            "files": {"type": "array", "items": _TEXT},
            "draft": {"type": "boolean"},
        },
        "required": ["to", "text"],
    },
    ("send",),
    posts=True,
)


class Channel:
    name, kind, idempotent = "work", "email", False

    def __init__(self) -> None:
        self.got: list[Outgoing] = []
        self.end: Sent | Exception = Sent("sent", "<proof>")

    async def send(self, message: Outgoing) -> Sent:
        self.got.append(message)
        if isinstance(self.end, Exception):
            raise self.end
        return self.end

    async def find(self, message: Outgoing) -> Sent | None:
        return None

    async def probe(self) -> Health:
        return Health(True, "")

    async def aclose(self) -> None: ...


class Mail(World):
    """The world with a channel, two contacts and a tool that asks to send."""

    def __init__(self, tmp: Path, *steps: Any, allow: Sequence[str] = (), dry_run: bool = False, **more: Any) -> None:
        self.allow = tuple(rules.parse(one) for one in allow)
        tools = {"send_message": (SEND, self._ask), **more.pop("tools", {})}
        super().__init__(tmp, *steps, **more, **tools)
        contacts.save([Contact("Anna Berg", (("email", "anna@example.org"),)), Contact("Bo", (("telegram", "42"),))])
        self.channel, self.outbox = Channel(), Outbox(tmp / "outbox")

        async def of(name: str) -> Channel:
            return self.channel

        known = {"m1": Answerable("work", "carl@example.net", "Lunch?", "<m1@example.net>", "<m1@example.net>")}
        post = Post(self.outbox, Sender(self.outbox, of), (("work", "email"),), known.get, 0.0)
        self.session.setting = replace(self.session.setting, post=post, dry_run=dry_run)

    def _ask(self, args: Any) -> ToolResult:
        files = tuple(Attachment(str(self.workspace / name), name, "", 0, "") for name in args.get("files", ()))
        told = {name: args.get(name, "") for name in ("channel", "subject", "reply_to")}
        message = Outgoing(
            told["channel"], "", args["text"], told["subject"], args["to"], files, told["reply_to"], draft=args.get("draft", False)
        )
        return ToolResult("", (Text(""),), messages=(message,))

    def context(self, mode: Mode, granted: tuple[str, ...], lost: int) -> Context:
        made = super().context(mode, granted, lost)
        return replace(made, rules=replace(made.rules, allow=self.allow), exists=lambda path: Path(path).exists())


class Person:
    """Answers every question the same way, and remembers what was shown."""

    def __init__(self, answer: Answer = Answer("allow")) -> None:
        self.answer, self.asked = answer, []

    async def __call__(self, call: ToolCall, decision: Decision, changes: tuple) -> Answer:
        self.asked.append((decision, changes))
        return self.answer


def _world(tmp_path: Path, *args: dict, person: Person | None = None, **more: Any):
    return Mail(tmp_path, *[[call("send_message", **one)] for one in args], "Done.", **more), person or Person()


def test_the_person_sees_what_goes_out_and_it_goes_out_once(tmp_path):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello", "subject": "News"})
    events = world.run(person, "tell Anna hello")
    (decision, (shown,)) = person.asked[0]
    assert (shown.address, shown.name, shown.channel, shown.text) == ("anna@example.org", "Anna Berg", "work", "Hello")
    assert "work:anna@example.org" in decision.reason and decision.remember == "send(work:anna@example.org)"
    assert world.channel.got == [shown]
    receipt = results(events)[0].receipts[0]
    assert receipt.kind == "sent" and receipt.data["state"] == "sent" and receipt.data["proof"] == "<proof>"
    assert results(events)[0].text == "Sent to Anna Berg by work."
    assert [entry.state for entry in world.outbox.entries()] == ["sent"]
    assert events[-1].receipts[0].data["to"] == "Anna Berg <anna@example.org>"
    assert kinds(events).count("ApprovalAsked") == 1
    again = e.from_json(e.to_json(next(event for event in events if isinstance(event, e.ApprovalAsked))))
    assert again.changes == (shown,)


def test_nobody_to_ask_sends_nothing_and_names_the_rule(tmp_path):
    async def nobody(call, decision, changes):
        return Answer("deny", note="nobody is here to ask", by_person=False)

    world, _ = _world(tmp_path, {"to": "Anna", "text": "Hello"})
    events = world.run(nobody)
    assert world.channel.got == [] and world.outbox.entries()[0].state == "refused"
    assert events[-1].denied == ("send(work:anna@example.org)",)


def test_a_rule_sends_without_a_question(tmp_path):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello"}, allow=["send(work:anna@example.org)"])
    world.run(person)
    assert person.asked == [] and len(world.channel.got) == 1


def test_a_wide_rule_sends_to_contacts_only(tmp_path):
    steps = {"to": "Anna", "text": "Hello"}, {"to": "eve@evil.example", "text": "Hello"}
    world, person = _world(tmp_path, *steps, allow=["send(*)"])
    world.run(person, "send the news around")
    assert [decision.reason for decision, _ in person.asked] == [
        "eve@evil.example is in no contact, and does not come from your own words"
    ]
    world, person = _world(tmp_path, {"to": "eve@evil.example", "text": "Hello, eve"}, allow=["send(*)"])
    world.run(person, "write to eve@evil.example")
    assert person.asked == []


def test_a_new_address_asks_and_says_that_it_is_new(tmp_path):
    world, person = _world(tmp_path, {"to": "anna@examp1e.org", "text": "Hello"})
    world.run(person, "tell Anna hello")
    decision, (shown,) = person.asked[0]
    assert "anna@examp1e.org is in no contact" in decision.reason and shown.name == "" and decision.remember == ""


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"to": "Zoe", "text": "x"}, "'Zoe' is no contact and no address. The contacts are: Anna Berg, Bo."),
        ({"to": "Bo", "text": "x"}, "Bo cannot be reached"),
        ({"to": "Anna", "text": "x", "channel": "sms"}, "There is no channel 'sms'"),
        ({"to": "Anna", "text": "x", "reply_to": "m9"}, "There is no received message 'm9'"),
        ({"to": "Anna", "text": "x", "files": ["none.txt"]}, "none.txt cannot be read"),
    ],
)
def test_what_cannot_be_sent_is_told_to_the_model(tmp_path, args, told):
    world, person = _world(tmp_path, args)
    result = results(world.run(person))[0]
    assert result.status == "failed" and told in result.text
    assert world.channel.got == [] and world.outbox.entries() == []


def test_an_answer_goes_where_the_message_came_from(tmp_path):
    world, person = _world(tmp_path, {"to": "carl@example.net", "text": "Yes", "reply_to": "m1"})
    world.run(person)
    sent = world.channel.got[0]
    assert (sent.address, sent.subject, sent.reply_to) == ("carl@example.net", "Re: Lunch?", "<m1@example.net>")


def test_files_go_along_as_they_were_seen(tmp_path):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Here", "files": ["report.csv"]})
    (world.workspace / "report.csv").write_text("1,2\n")
    world.run(person, "send Anna report.csv")
    attachment = person.asked[0][1][0].attachments[0]
    assert (attachment.name, attachment.size, attachment.media_type) == ("report.csv", 4, "text/csv")
    assert Path(world.channel.got[0].attachments[0].path).read_text() == "1,2\n"


def test_a_file_that_nobody_named_asks_in_spite_of_a_rule(tmp_path):
    args = {"to": "Anna", "text": "Here", "files": ["invoices.csv"]}
    world, person = _world(tmp_path, args, allow=["send(work:anna@example.org)"])
    (world.workspace / "invoices.csv").write_text("1\n")
    world.run(person, "write to Anna")
    assert "invoices.csv would go out, and you did not name it" in person.asked[0][0].reason


def test_a_secret_is_not_even_opened(tmp_path):
    key = Path.home() / ".ssh" / "id_ed25519"
    key.parent.mkdir()
    key.write_text("key")
    world, person = _world(tmp_path, {"to": "Anna", "text": "Here", "files": [str(key)]}, allow=["send(*)", f"read({key})"])
    result = results(world.run(person, f"send {key} to Anna"))[0]
    assert result.status == "denied" and person.asked == [] and world.outbox.entries() == []


def test_the_same_message_twice_asks_twice_and_says_so(tmp_path):
    args = {"to": "Anna", "text": "Hello"}
    world, person = _world(tmp_path, args, {**args, "subject": ""}, allow=["send(*)"])
    world.run(person)
    assert [decision.reason.split(" since")[0] for decision, _ in person.asked] == ["the same message to anna@example.org is sent"]


def test_a_no_keeps_it_in_the_outbox(tmp_path):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello"}, person=Person(Answer("deny", note="not today")))
    result = results(world.run(person))[0]
    assert result.status == "denied" and "not today" in result.text
    assert [(entry.state, entry.detail) for entry in world.outbox.entries()] == [("refused", "not today")]


def test_a_draft_is_kept_and_nothing_is_asked(tmp_path):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello", "draft": True})
    result = results(world.run(person))[0]
    assert result.text == "Kept as a draft for Anna Berg by work; nothing was sent." and person.asked == []
    assert world.channel.got == [] and world.outbox.entries()[0].state == "draft"


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (Sent("failed", detail="550 no such user"), "NOT sent to Anna Berg by work: 550 no such user."),
        (Sent("handed over"), "Handed over for Anna Berg by work; whether it arrived is not known."),
        (RuntimeError("boom"), "It is not known whether it reached Anna Berg by work"),
    ],
)
def test_the_model_hears_what_is_known_and_no_more(tmp_path, end, told):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello"})
    world.channel.end = end
    assert told in results(world.run(person))[0].text


def test_an_edited_message_is_judged_anew(tmp_path):
    world, _ = _world(tmp_path, {"to": "Anna", "text": "Helo"})
    answers = [Answer("allow", edited_args={"to": "Anna", "text": "Hello"}), Answer("allow")]

    async def person(call, decision, changes):
        return answers.pop(0)

    world.run(person)
    assert [message.text for message in world.channel.got] == ["Hello"]
    assert sorted(entry.state for entry in world.outbox.entries()) == ["refused", "sent"]


def test_a_dry_run_and_plan_mode_send_nothing(tmp_path):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello"}, dry_run=True)
    assert "dry run" in results(world.run(person))[0].text
    assert world.channel.got == []
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello"}, mode="plan")
    assert results(world.run(person))[0].status == "denied" and world.channel.got == [] and person.asked == []


def test_interrupted_in_the_hold_it_is_taken_back(tmp_path):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello"})
    world.session.setting = replace(world.session.setting, post=replace(world.session.setting.post, hold_s=30.0))

    async def stopped() -> None:
        task = asyncio.ensure_future(_all(world, person))
        while not any(entry.state == "held" for entry in world.outbox.entries()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    assert world.channel.got == [] and world.outbox.entries()[0].state == "cancelled"


async def _all(world: World, person: Person) -> None:
    async for _ in world.session.send("tell Anna", person):
        pass


def test_without_a_channel_the_next_step_is_named(tmp_path):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Hello"})
    world.session.setting = replace(world.session.setting, post=None)
    result = results(world.run(person))[0]
    assert result.status == "failed" and "localagent channels add" in result.text


def test_a_link_that_is_changed_behind_the_judgement_leads_nowhere(tmp_path, monkeypatch):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Here", "files": ["report.csv"]}, allow=["send(*)"])
    report, key = world.workspace / "report.csv", tmp_path / "id_rsa"
    report.write_text("1,2\n")
    key.write_text("secret")
    judged = posting.with_files

    def swapped(message: Outgoing) -> Outgoing:
        report.unlink()
        report.symlink_to(key)
        return judged(message)

    monkeypatch.setattr(posting, "with_files", swapped)
    result = results(world.run(person, "send Anna report.csv"))[0]
    assert result.status == "failed" and "report.csv cannot be read" in result.text
    assert world.channel.got == [] and world.outbox.entries() == []


def test_a_folder_that_becomes_a_link_behind_the_judgement_leads_nowhere(tmp_path, monkeypatch):
    world, person = _world(tmp_path, {"to": "Anna", "text": "Here", "files": ["out/report.csv"]}, allow=["send(*)"])
    (world.workspace / "out").mkdir()
    (world.workspace / "out" / "report.csv").write_text("1,2\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.csv").write_text("secret")
    judged = posting.with_files

    def swapped(message: Outgoing) -> Outgoing:
        (world.workspace / "out").rename(tmp_path / "gone")
        (world.workspace / "out").symlink_to(tmp_path / "other")
        return judged(message)

    monkeypatch.setattr(posting, "with_files", swapped)
    assert results(world.run(person, "send Anna report.csv"))[0].status == "failed" and world.channel.got == []


def test_a_link_is_judged_by_where_it_leads_and_named_by_either(tmp_path):
    args = {"to": "Anna", "text": "Here", "files": ["latest.csv"]}
    world, person = _world(tmp_path, args, allow=["send(*)"])
    (world.workspace / "v3.csv").write_text("1,2\n")
    (world.workspace / "latest.csv").symlink_to("v3.csv")
    world.run(person, "send Anna latest.csv")
    assert person.asked == [] and world.channel.got[0].attachments[0].name == "latest.csv"
    world, person = _world(tmp_path, {**args, "text": "Again"}, allow=["send(*)"])
    (world.workspace / "latest.csv").unlink()
    (world.workspace / "latest.csv").symlink_to(tmp_path / "outside.csv")
    (tmp_path / "outside.csv").write_text("3\n")
    world.run(person, "send Anna latest.csv")
    assert "outside.csv is outside the workspace" in person.asked[0][0].reason


def test_words_changed_while_the_question_stood_do_not_go_out(tmp_path):
    world, _ = _world(tmp_path, {"to": "Anna", "text": "Hello"})

    async def person(call, decision, changes):
        world.outbox.reword(world.outbox.entries()[0].id, text="Something else", subject="")
        return Answer("allow")

    result = results(world.run(person))[0]
    assert world.channel.got == [] and result.status == "failed" and "has other words now" in result.text
    assert world.outbox.entries()[0].state == "draft"


def test_of_several_none_goes_out_where_one_was_taken_back_meanwhile(tmp_path):
    world, _ = _world(tmp_path)
    box, post = world.outbox, world.session.setting.post
    first, second = (box.draft(Outgoing("work", f"{who}@example.org", "Hi"), who) for who in ("a", "b"))
    box.cancel(second.id)

    async def delivered() -> None:
        async for _ in post.deliver([first, second]):
            pass

    with pytest.raises(StoreError, match="is cancelled now"):
        asyncio.run(delivered())
    assert box.get(first.id).state == "cancelled" and world.channel.got == []


def test_who_stops_listening_in_the_hold_has_taken_it_back(tmp_path):
    world, _ = _world(tmp_path)
    post = replace(world.session.setting.post, hold_s=30.0)
    entry = world.outbox.draft(Outgoing("work", "a@example.org", "Hi"), "k")

    async def left() -> None:
        async with aclosing(post.deliver([entry])) as lines:
            await anext(lines)

    asyncio.run(left())
    assert world.outbox.get(entry.id).state == "cancelled"


def test_a_domain_in_another_alphabet_is_shown_as_servers_know_it():
    lines = message_lines(Outgoing("work", "anna@\u0430\u0440\u0440\u04cf\u0435.com", "Hi"))
    assert "xn--80ak6aa92e.com" in lines[1] and "CAREFUL" in lines[1]
    assert "CAREFUL" not in "".join(message_lines(Outgoing("work", "anna@example.org", "Hi")))


def test_a_rule_or_a_word_for_an_address_is_not_for_its_look_alike(tmp_path):
    world, person = _world(tmp_path, {"to": "\u212aate@x.org", "text": "Hi"}, allow=["send(work:kate@x.org)"])
    world.run(person, "write to kate@x.org")
    assert "in no contact" in person.asked[0][0].reason


def test_a_name_in_no_contact_is_no_topic_and_no_word_for_a_receiver(tmp_path):
    for kind in ("ntfy", "webhook"):
        world, _ = _world(tmp_path)
        post = replace(world.session.setting.post, channels=(("hook", kind),))
        with pytest.raises(ToolError, match="is no contact and no address"):
            post.resolved(Outgoing("", "", "Hi", name="Zoltan"))
        assert post.resolved(Outgoing("hook", "", "Hi", name="alerts")).address == "alerts"


def test_the_file_of_a_message_is_not_sent_back_to_who_wrote_it(tmp_path):
    args = {"to": "carl@example.net", "text": "Paid.", "reply_to": "m1", "files": ["menu.pdf", "mine.txt"]}
    world, person = _world(tmp_path, args)
    (world.workspace / "mine.txt").write_text("x")
    post = world.session.setting.post
    known = Answerable("work", "carl@example.net", "Lunch?", "<m1>", "", ("menu.pdf",))
    world.session.setting = replace(world.session.setting, post=replace(post, received=lambda id: known))
    result = results(world.run(person, "answer Carl and send mine.txt"))[0]
    assert [one.name for one in world.channel.got[0].attachments] == ["mine.txt"]
    assert result.text.splitlines()[0] == "Without menu.pdf: whom you answer has sent that."
    world, person = _world(tmp_path, {**args, "to": "Anna"})
    world.session.setting = replace(world.session.setting, post=replace(world.session.setting.post, received=lambda id: known))
    assert "menu.pdf cannot be read" in results(world.run(person))[0].text
