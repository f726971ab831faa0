"""Matrix end to end, in both directions, with a real homeserver."""

from __future__ import annotations

import asyncio
import time

import pytest

from localagent.channels import matrix
from tests.channels.messages import attached, outgoing
from tests.channels.servers import Homeserver, synapse
from tests.channels.web import run

ADA, BOT, EVE = "@ada:localhost", "@bot:localhost", "@eve:localhost"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with synapse(tmp_path_factory.mktemp("synapse"), "ada", "bot", "eve") as made:
        yield made


def _as(server: Homeserver, user: str, allowed: str = "", **config):
    token = server.tokens[user]
    return matrix.make(user, {"server": server.url, "allowed": allowed} | config, lambda: token)


async def _all(channel, cursor):
    return [arrival async for arrival in channel.receive(cursor, wait=False)]


async def _new(channel, cursor):
    """The messages behind a place, and the place behind them."""
    arrivals = await _all(channel, cursor)
    return [a.message for a in arrivals if a.message], arrivals[-1].cursor if arrivals else cursor


def _id(number: int) -> str:
    return f"{number:032x}"


def test_a_conversation_in_both_directions(server, tmp_path):
    async def go():
        bot, ada = _as(server, "bot", ADA), _as(server, "ada", BOT)
        assert (await bot.probe()).detail.endswith("knows this account as @bot:localhost.")
        _, at_ada = await _new(ada, "")
        _, at_bot = await _new(bot, "")
        # The room is made, and entered by whom it is for.
        sent = await bot.send(outgoing(ADA, "first *words*\n<b>x</b>"))
        assert sent.state == "sent" and sent.proof.startswith("$")
        got, at_ada = await _new(ada, at_ada)
        (hello,) = got
        assert (hello.id, hello.sender, hello.text) == (sent.proof, BOT, "first *words*\n<b>x</b>")
        assert hello.authentic and abs(hello.at - time.time()) < 120
        # The same message again, as after a crash: the same event, and nothing new for the other side.
        for channel in (bot, _as(server, "bot", ADA)):
            again = await channel.send(outgoing(ADA, "first *words*\n<b>x</b>"))
            assert again == sent
        got, at_ada = await _new(ada, at_ada)
        assert got == []
        # An answer with a file comes back to the same room, as an answer.
        file = attached(tmp_path / "täxt.txt", b"\x00some bytes" * 1000)
        answer = outgoing(hello.chat, "see this", id=_id(2), attachments=(file,), reply_to=hello.id)
        assert (await ada.send(answer)).state == "sent"
        got, at_bot = await _new(bot, at_bot)
        (back,) = got
        assert (back.sender, back.text, back.reply_to, back.chat) == (ADA, "see this", hello.id, hello.chat)
        assert (back.attachments[0].name, back.attachments[0].sha256) == ("täxt.txt", file.sha256)
        # A person is reached in that room from now on, from the other side too.
        assert (await ada.send(outgoing(BOT, "hm", id=_id(3)))).state == "sent"
        got, at_bot = await _new(bot, at_bot)
        assert [m.chat for m in got] == [hello.chat]
        # Several files come behind the text.
        two = attached(tmp_path / "b.png", b"png", media_type="image/png")
        many = outgoing(ADA, "two files", id=_id(4), attachments=(file, two), thread=hello.id)
        assert (await bot.send(many)).state == "sent" == (await bot.send(many)).state
        got, at_ada = await _new(ada, at_ada)
        assert [(m.text, len(m.attachments), m.thread) for m in got] == [
            ("two files", 0, hello.id),
            ("", 1, hello.id),
            ("", 1, hello.id),
        ]

    run(go(), 60)


def test_strangers_get_no_answer_and_third_ones_no_words(server):
    async def go():
        bot, eve = _as(server, "bot", ADA), _as(server, "eve", BOT)
        _, at_bot = await _new(bot, "")
        # Someone unknown makes a room and invites us.
        assert (await eve.send(outgoing(BOT, "let me in", id=_id(10)))).state == "sent"
        got, at_bot = await _new(bot, at_bot)
        assert got == []
        joined = await bot._user.need("GET", "/_matrix/client/v3/joined_rooms")
        assert len(joined["joined_rooms"]) == 1
        # The room with Ada gets a third member: it is not the room with her any more.
        ada = _as(server, "ada", BOT)
        first = await bot.send(outgoing(ADA, "for you alone", id=_id(11)))
        room = joined["joined_rooms"][0]
        await ada._user.need("POST", f"/_matrix/client/v3/rooms/{room}/invite", json={"user_id": EVE})
        second = await bot.send(outgoing(ADA, "for you alone", id=_id(12)))
        assert first.state == second.state == "sent"
        rooms = (await bot._user.need("GET", "/_matrix/client/v3/joined_rooms"))["joined_rooms"]
        assert len(rooms) == 2 and await bot._user.people(next(r for r in rooms if r != room)) == {BOT, ADA}

    run(go(), 60)


def test_encrypted_rooms_are_refused_and_said(server):
    async def go():
        bot, ada = _as(server, "bot", ADA), _as(server, "ada", BOT)
        _, at_bot = await _new(bot, "")
        lock = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        about = {"preset": "trusted_private_chat", "invite": [BOT], "initial_state": [lock]}
        made = await ada._user.need("POST", "/_matrix/client/v3/createRoom", json=about)
        got, at_bot = await _new(bot, at_bot)
        assert got == []
        people = await ada._user.people(made["room_id"])
        assert BOT not in people
        sent = await ada.send(outgoing(made["room_id"], "x", id=_id(20)))
        assert sent.state == "failed" and "encrypted" in sent.detail
        assert (await bot.send(outgoing("!nowhere:localhost", "x", id=_id(21)))).state == "failed"

    run(go(), 60)


def test_a_flood_comes_in_whole_and_in_order(server):
    """More than one answer of the server holds, read from a place in the middle of it too."""

    async def go():
        bot, ada = _as(server, "bot", ADA), _as(server, "ada", BOT)
        _, at_bot = await _new(bot, "")
        room = (await ada.send(outgoing(BOT, "0", id=_id(100)))).proof and (await _new(bot, at_bot))[0][0].chat
        for number in range(1, 251):
            path = f"/_matrix/client/v3/rooms/{room}/send/m.room.message/flood{number}"
            await ada._user.need("PUT", path, json={"msgtype": "m.text", "body": str(number)})
        arrivals = []
        async for arrival in bot.receive(at_bot, wait=False):
            arrivals.append(arrival)
            if len(arrivals) == 120:
                break
        rest = await _all(bot, arrivals[-1].cursor)
        texts = [a.message.text for a in [*arrivals, *rest] if a.message]
        assert texts == [str(n) for n in range(251)]

    run(go(), 100)


def test_a_password_makes_a_token_and_a_second_login_ends_no_work(server):
    async def go():
        def channel(password):
            config = {"server": server.url, "login": "password", "user": BOT, "allowed": ADA}
            return matrix.make("pw", config, lambda: password)

        one, two = channel(server.password), channel(server.password)
        first = await one.send(outgoing(ADA, "by password", id=_id(200)))
        second = await two.send(outgoing(ADA, "by password", id=_id(200)))
        third = await one.send(outgoing(ADA, "by password", id=_id(200)))
        # The device stays the same, so the message does too.
        assert first.state == "sent" and first == second == third
        wrong = await channel("wrong one").probe()
        assert not wrong.ok and "wrong one" not in wrong.detail
        token = matrix.make("t", {"server": server.url}, lambda: "syt_wrong_token")
        bad = await token.send(outgoing(ADA, id=_id(201)))
        assert bad.state == "failed" and "syt_wrong_token" not in bad.detail

    run(go(), 60)


def test_waiting_sees_a_message_at_once_and_ends_at_once(server):
    async def go():
        bot, ada = _as(server, "bot", ADA), _as(server, "ada", BOT)
        got = asyncio.Queue()
        _, at_bot = await _new(bot, "")

        async def listen():
            async for arrival in bot.receive(at_bot, wait=True):
                if arrival.message:
                    got.put_nowait(arrival.message.text)

        task = asyncio.create_task(listen())
        await asyncio.sleep(0.5)
        assert (await ada.send(outgoing(BOT, "now", id=_id(300)))).state == "sent"
        assert await asyncio.wait_for(got.get(), 10) == "now"
        task.cancel()
        _, pending = await asyncio.wait([task], timeout=1)
        assert not pending

    run(go(), 60)
