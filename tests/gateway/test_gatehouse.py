"""The gateway as the command makes it: a chat's session with its narrower grants, and Telegram's own protocol."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from localagent import cli, gatehouse, wiring
from localagent.agent.office import Manner, Office
from localagent.channels import registry
from localagent.channels.sender import Pace
from localagent.commands import arguments
from localagent.errors import UsageError
from localagent.gateway.gateway import Gateway
from localagent.gateway.post import Mailer, Replies
from localagent.store import channels, contacts, credentials, grants, paths
from localagent.store.gateway import Gate, Grants, Pairing
from localagent.store.inbox import Inbox
from localagent.values import Outgoing
from tests.channels.bot_api import TOKEN, BotApi
from tests.channels.web import web
from tests.fakes import ScriptedEngine, call


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    made = ScriptedEngine()
    monkeypatch.setattr(wiring, "chosen_engine", lambda chosen, wanted, obtain: made)
    return made


def _telegram(server: str = "http://127.0.0.1:9") -> None:
    channels.add("bot", "telegram", {"server": server})
    credentials.store("bot", "token", TOKEN)


def _rooms() -> tuple[gatehouse.Rooms, Mailer, Replies, Office]:
    office = Office(Manner(hold_s=0.0))

    async def of(name: str):
        return office.channel(name)

    mailer = Mailer(office.outbox, of, Pace(), print)
    return gatehouse.Rooms(arguments.of_do, None, office, mailer), mailer, Replies(office.outbox, mailer, office.channel), office


def test_a_chats_session_has_its_own_narrower_grants(tmp_path, engine):
    _telegram()
    grants.add("write(**)", str(tmp_path), "")
    (paths.config_dir() / "policy.yaml").write_text("allow:\n  - net(example.org)\ndeny:\n  - write(secret/**)\n")
    who = Pairing(1, "bot", "7", "7", "Ada", Grants(str(tmp_path), "plan", ("write(notes/**)",)), 0.0)

    async def go():
        rooms = _rooms()[0]
        plain = await rooms.session(who)
        again = await rooms.session(Pairing(1, "bot", "7", "7", "Ada", Grants(str(tmp_path), mail=True), 0.0, (plain.id,)))
        return plain, again

    plain, again = asyncio.run(go())
    rules = plain._policy().rules
    assert [str(rule) for rule in (*rules.allow, *rules.kept)] == ["write(notes/**)"]
    assert "write(secret/**)" in [str(rule) for rule in rules.deny]
    assert plain.mode == "plan" and plain.setting.workspace == tmp_path
    names = {spec.name for spec in plain.setting.registry.specs()}
    assert "send_message" in names and not names & {"find_messages", "read_message", "save_attachment"}
    assert "read_message" in {spec.name for spec in again.setting.registry.specs()}
    assert again.mode == "ask"


def test_me_is_whoever_writes_in_the_chat(tmp_path, engine):
    _telegram()
    contacts.save([contacts.Contact("Me Myself", (("telegram", "99"),))])
    who = Pairing(1, "bot", "7", "-42", "Ada", Grants(str(tmp_path)), 0.0)
    session = asyncio.run(_rooms()[0].session(who))
    assert session.setting.post is not None
    assert session.setting.post.people == ("me",) and session.setting.post.told("any mail from Bo?") == ""
    made = session.setting.post.resolved(Outgoing("", "", "x", name="me"))
    assert (made.channel, made.address, made.name) == ("bot", "-42", "Ada")
    assert session.setting.post.resolved(Outgoing("", "", "x", name="Me Myself")).address == "99"


def test_over_telegram_with_a_file_out_after_a_yes(tmp_path, engine, monkeypatch):
    """The whole way: pairing, a question with its code, a forwarded yes that counts for nothing, the file."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "report.csv").write_text("1,2\n")
    engine._steps = [[call("send_message", to=["me"], text="Here", attachments=["report.csv"])], "Sent it."]

    async def go() -> BotApi:
        api = BotApi()
        async with web(api) as server:
            _telegram(server.url)
            rooms, mailer, replies, office = _rooms()
            made = {"bot": lambda: registry.make(channels.one("bot"))}
            gateway = Gateway(Gate(), Inbox(), rooms, mailer, replies, made, lambda line: None)
            stop = asyncio.Event()
            task = asyncio.create_task(gateway.run(stop))
            await _until(lambda: Inbox().cursor("bot"))
            code = Gate().offer("bot", Grants(str(work)))
            now = int(time.time())
            api.say("sort it", sender=8, chat=8, date=now)
            api.say(f"pair {code}", date=now)
            await _until(lambda: any("Paired" in one.get("text", "") for one in api.sent))
            api.say("send me report.csv", date=now)
            await _until(lambda: any("Allow this?" in one.get("text", "") for one in api.sent))
            asked = "\n".join(one.get("text", "") for one in api.sent)
            assert "attached: report.csv (4 bytes" in asked and "send to Ada (@ada) <7> by bot" in asked
            yes = f"yes {asked.rpartition('`yes ')[2][:6]}"
            api.say(yes, chat=8, sender=8, date=now)
            api.say(yes, date=now)
            await _until(lambda: any("Sent it." in one.get("text", "") for one in api.sent))
            stop.set()
            await task
            await office.aclose()
        return api

    api = asyncio.run(go())
    assert {one["chat_id"] if isinstance(one["chat_id"], int) else int(one["chat_id"]) for one in api.sent} == {7}
    assert [one["files"]["document"] for one in api.sent if one["files"]] == [b"1,2\n"]


async def _until(condition, seconds: float = 8.0) -> None:
    while not condition():
        seconds -= 0.01
        assert seconds > 0
        await asyncio.sleep(0.01)


def test_pairing_needs_a_channel_that_vouches_and_a_folder_of_its_own(tmp_path, capsys):
    _telegram()
    channels.add("mail", "email", {"address": "a@example.org", "smtp_host": "mx.example.org", "imap_host": "mx.example.org"})
    channels.add("desk", "desktop", {})
    assert cli.main(["gateway", "pair", "bot", "--folder", str(tmp_path), "--allow", "write(notes/**)"]) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith("pair ") and cli.main(["gateway", "list"]) == 0
    assert "A code for bot is open" in capsys.readouterr().err
    for words, told in (
        (["mail", "--folder", str(tmp_path)], "authserv"),
        (["desk", "--folder", str(tmp_path)], "only sends"),
        (["none"], "There is no channel"),
        (["bot", "--folder", os.path.expanduser("~")], "too much"),
        (["bot", "--folder", str(tmp_path), "--allow", "nonsense"], ""),
    ):
        assert cli.main(["gateway", "pair", *words]) == 3
        assert told in capsys.readouterr().err
    assert cli.main(["gateway", "pair", "bot", "--mode", "yolo"]) == 3


def test_who_is_paired_is_listed_and_shut_out(tmp_path, capsys):
    gate = Gate()
    code = gate.offer("bot", Grants("/w", "ask", ("read(x)",), True))
    assert gate.tried("bot", f"{code[:4]} {code[4:].lower()}", "7", "7", "Ada\x1b[2J", True) is not None
    assert oct(os.stat(gate.path).st_mode & 0o777) == "0o600"
    assert cli.main(["gateway", "list"]) == 0
    assert capsys.readouterr().out == "  1  bot: Ada\\u{1b}[2J <7>: /w (ask, allows read(x), reads mail)\n"
    assert cli.main(["gateway", "unpair", "1"]) == 0 and gate.pairings() == []
    assert cli.main(["gateway", "unpair", "1"]) == 3


def test_there_is_one_gateway_at_a_time(tmp_path):
    from localagent.commands import gateway

    with gateway.alone(), pytest.raises(UsageError, match="runs already"), gateway.alone():
        pass


def test_nothing_begins_where_nothing_could_come_in(capsys):
    assert cli.main(["gateway", "--once"]) == 3
    assert "No channel that receives" in capsys.readouterr().err


def test_every_subcommand_is_offered_by_completion(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        assert "run pair list unpair" in capsys.readouterr().out
