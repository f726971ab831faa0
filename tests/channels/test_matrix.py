"""Matrix against a small server that can fail; with a real one see `test_matrix_synapse`."""

from __future__ import annotations

import asyncio

import pytest

from localagent.channels import matrix, matrix_events
from localagent.channels.base import Channel, Receiver
from localagent.channels.wire import Backoff
from localagent.errors import ChannelError
from tests.channels.homeserver import ADA, EVE, ME, TOKEN, Home, invited, member, said, timeline
from tests.channels.messages import ID, attached, outgoing
from tests.channels.web import Answer, Drop, closed_port, run, until, web


def _channel(server, token=TOKEN, **config):
    return matrix.make("c", {"server": server.url, "allowed": [ADA]} | config, lambda: token)


def _sent(home, *messages, token=TOKEN, **config):
    """What became of messages that one channel sends after the other."""

    async def go():
        async with web(home) as server:
            channel = _channel(server, token, **config)
            return [await channel.send(message) for message in messages]

    return run(go())


def _home(*rooms) -> Home:
    home = Home()
    for name, *people in rooms:
        home.room(name, *people)
    return home


def test_it_is_a_channel_that_receives_and_sends_twice_without_harm():
    made = matrix.make("c", {"server": "https://h.example"}, lambda: TOKEN)
    assert isinstance(made, Channel) and isinstance(made, Receiver) and made.idempotent
    for config in (
        {},
        {"server": "http://h.example"},
        {"server": "https://h.example", "allowed": "ada"},
        {"server": "https://h.example", "login": "password"},
        {"server": "https://h.example", "login": "sso"},
    ):
        with pytest.raises(ChannelError):
            matrix.make("c", config, lambda: TOKEN)


def test_a_person_is_reached_in_the_room_that_only_the_two_share():
    home = _home(("!three", ADA, EVE), ("!two", ADA), ("!alone",))
    home.direct = {ADA: ["!three", "!left"]}
    (sent,) = _sent(home, outgoing(ADA, "hi"))
    assert (sent.state, sent.proof) == ("sent", "$event0")
    assert home.events == [("!two", {"msgtype": "m.text", "body": "hi"})]
    assert home.direct == {ADA: ["!three", "!left", "!two"]}


def test_a_room_is_made_once_where_there_is_none():
    home = _home(("!three", ADA, EVE))
    one, two = _sent(home, outgoing(ADA, "hi"), outgoing(ADA, "again", id="f" * 32))
    assert one.state == two.state == "sent" and [r for r, _ in home.events] == ["!made1", "!made1"]
    assert home.calls.count("POST /createRoom") == 1


def test_a_room_that_an_attempt_made_before_it_was_cut_off_is_found_again():
    home = _home()
    home.next = [("m.direct", Answer({}, 404)), ("m.direct", Drop())]
    one, two = _sent(home, outgoing(ADA, "hi"), outgoing(ADA, "hi"))
    assert (one.state, one.again, two.state) == ("failed", True, "sent")
    assert len(home.rooms) == 1 and len(home.events) == 1


def test_an_answer_that_is_lost_is_unconfirmed_and_the_same_id_comes_once():
    home = _home(("!r", ADA))
    home.next = [("/send/", Drop())]
    one, two = _sent(home, outgoing("!r", "hi"), outgoing("!r", "hi"))
    assert (one.state, two.state, two.proof) == ("unconfirmed", "sent", "$event0")
    assert len(home.events) == 1


def test_a_part_that_arrived_is_never_called_a_failure(tmp_path):
    files = tuple(attached(tmp_path / n, n.encode()) for n in "ab")
    message = outgoing("!r", "hi", attachments=files)
    home = _home(("!r", ADA))
    home.next = [(f"/send/m.room.message/{ID}-1", Answer({"errcode": "M_TOO_LARGE"}, 413))]
    one, two = _sent(home, message, message)
    assert one.state == "unconfirmed" and "part" in one.detail and two.state == "sent"
    assert [c["body"] for _, c in home.events] == ["hi", "a", "b"]


def test_one_file_goes_with_its_text(tmp_path):
    home = _home(("!r", ADA))
    file = attached(tmp_path / "x", b"data", name="../p.png", media_type="image/png")
    (sent,) = _sent(home, outgoing("!r", "see", attachments=(file,), reply_to="$q"))
    assert sent.state == "sent" and list(home.media.values()) == [b"data"]
    assert home.events[0][1] == {
        "msgtype": "m.image",
        "body": "see",
        "filename": "p.png",
        "url": "mxc://h/m0",
        "info": {"mimetype": "image/png", "size": 4},
        "m.relates_to": {"m.in_reply_to": {"event_id": "$q"}},
    }


def test_threads_and_answers_are_said_as_the_protocol_says_them():
    plain = list(matrix_events.contents(outgoing("!r", thread="$t"), "x", []))
    about = {"rel_type": "m.thread", "event_id": "$t", "is_falling_back": True, "m.in_reply_to": {"event_id": "$t"}}
    assert plain[0]["m.relates_to"] == about
    (answer,) = matrix_events.contents(outgoing("!r", thread="$t", reply_to="$q"), "x", [])
    assert answer["m.relates_to"] == about | {"is_falling_back": False, "m.in_reply_to": {"event_id": "$q"}}


def test_encrypted_rooms_get_nothing():
    home = Home()
    home.room("!r", ADA, encrypted=True)
    by_room, by_person = _sent(home, outgoing("!r"), outgoing(ADA))
    assert by_room.state == by_person.state == "failed" and "encrypted" in by_room.detail and "encrypted" in by_person.detail
    assert not home.events and "POST /createRoom" not in home.calls


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"address": "ada"}, "no Matrix user"),
        ({"address": "#alias:h"}, "no Matrix user"),
        ({"address": ME}, "that sends"),
        ({"text": "ä" * 20_001}, "40,002"),
        ({"draft": True}, "drafts"),
        ({"id": ""}, "no id"),
        ({"address": "!unknown"}, "403"),
    ],
)
def test_what_cannot_be_sent(more, why):
    home = _home(("!r", ADA))
    (sent,) = _sent(home, outgoing(**({"address": "!r"} | more)))
    assert sent.state == "failed" and why in sent.detail and not home.events


@pytest.mark.parametrize(
    ("where", "answer", "state", "again"),
    [
        ("/send/", Answer({"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1500}, 429), "failed", True),
        ("/send/", Answer({"errcode": "M_FORBIDDEN"}, 403), "failed", False),
        ("/send/", Answer({}, 502), "unconfirmed", False),
        ("/send/", Answer({}), "unconfirmed", False),
        ("/send/", Answer({"errcode": "M_UNKNOWN_TOKEN"}, 401), "failed", False),
        ("encryption", Answer({}, 500), "failed", True),
        ("whoami", Answer({}, 502), "failed", True),
        ("members", Answer({"retry_after_ms": 1}, 429), "failed", True),
        ("joined_rooms", Drop(), "failed", True),
    ],
)
def test_what_each_failure_is_called(where, answer, state, again):
    home = _home(("!r", ADA))
    home.next = [(where, answer)]
    (sent,) = _sent(home, outgoing(ADA))
    assert (sent.state, sent.again) == (state, again) and TOKEN not in sent.detail and not home.events


def test_a_password_makes_a_token_again_when_it_was_ended():
    home = _home(("!r", ADA))

    async def go():
        async with web(home) as server:
            channel = _channel(server, "right one", login="password", user=ME)
            one = await channel.send(outgoing("!r", "a"))
            home.tokens = {"another's"}
            two = await channel.send(outgoing("!r", "b", id="f" * 32))
            wrong = await _channel(server, "wrong one", login="password", user=ME).send(outgoing("!r"))
            return one, two, wrong, [a.json["device_id"] for a in server.asked if a.path.endswith("/login")]

    one, two, wrong, devices = run(go())
    assert one.state == two.state == "sent" and wrong.state == "failed" and "wrong one" not in wrong.detail
    assert len(devices) == 3 and len(set(devices)) == 1


# ---------------------------------------------------------------- in


async def _all(channel, cursor):
    return [arrival async for arrival in channel.receive(cursor, wait=False)]


def _texts(arrivals):
    return [a.message.text for a in arrivals if a.message]


def _received(home, cursor='["s0"]', **config):
    async def go():
        async with web(home) as server:
            return await _all(_channel(server, **config), cursor)

    return run(go())


def test_who_asks_again_and_again_hears_what_came_in_between():
    home = Home()

    async def go():
        async with web(home) as server:
            channel = _channel(server)
            (start,) = await _all(channel, "")
            assert await _all(channel, start.cursor) == []
            home.batch({"!a": timeline(said("$1", "one"))})
            return _texts(await _all(channel, start.cursor))

    # A server that was asked the same question would give the answer it remembers.
    assert run(go()) == ["one"]


def test_nothing_old_comes_in_and_each_message_once():
    home = Home()
    home.batch({"!a": timeline(said("$1", "one"), said("$2", "two")), "!b": timeline(said("$3", "three"))})

    async def go():
        async with web(home) as server:
            channel = _channel(server)
            (start,) = await _all(channel, "")
            got = await _all(channel, start.cursor)
            assert start.message is None and _texts(got) == ["one", "two", "three"]
            assert (got[0].message.id, got[0].message.chat, got[0].message.at) == ("$1", "!a", 5.0)
            assert _texts(await _all(channel, got[0].cursor)) == ["two", "three"]
            assert _texts(await _all(channel, got[2].cursor)) == []
            assert await _all(channel, got[-1].cursor) == []

    run(go())


def test_what_one_answer_leaves_out_is_fetched_and_put_in_order():
    home = Home()
    home.batch({"!a": timeline(said("$5", "5"), said("$6", "6"), limited=True, prev_batch="p1")})
    home.pages = [
        {"chunk": [said("$4", "4"), said("$3", "3")], "end": "p2"},
        {"chunk": [said("$2", "2"), said("$1", "1")]},
    ]
    assert _texts(_received(home)) == ["1", "2", "3", "4", "5", "6"]


def test_we_enter_rooms_of_people_we_know_only():
    home = Home()
    lock = {"type": "m.room.encryption", "state_key": "", "content": {}}
    home.batch(invite={"!ada": invited(ADA), "!eve": invited(EVE), "!locked": invited(ADA, lock)})
    old = said("$0", "before we were asked")
    home.batch({"!ada": timeline(old, member(ME, "invite"), said("$1", "hello"), member(ME, "join", ME, "invite"), said("$2", "?"))})
    assert _texts(_received(home)) == ["hello", "?"]
    entered = [c for c in home.calls if c.endswith(("/join", "/leave"))]
    assert entered == ["POST /rooms/!ada/join", "POST /rooms/!locked/leave"]


def test_events_that_are_no_message_are_passed_over():
    edit = said("$e", "* new", **{"m.relates_to": {"rel_type": "m.replace", "event_id": "$1"}})
    notice, mine, state = said("$n", "beep", msgtype="m.notice"), said("$m", "mine", ME), said("$s", "x") | {"state_key": ""}
    odd = [5, {}, said("$o", "x") | {"content": []}, said("$p", 7), said("$q", "x", "nobody"), said("$r", " ")]
    locked = said("$l", "") | {"type": "m.room.encrypted", "content": {"ciphertext": "x"}}
    home = Home()
    home.batch({"!a": timeline(edit, notice, mine, state, *odd, locked, said("$1", "fine"))})
    assert _texts(_received(home)) == [matrix_events.UNREADABLE, "fine"]


def test_what_nobody_here_can_read_is_named():
    place = matrix_events.read("!r:h", said("$1", "geo", msgtype="m.location"), ME)
    sticker = matrix_events.read("!r:h", said("$2", "cat") | {"type": "m.sticker"}, ME)
    assert place is not None and place.text == "[not read: a location]"
    assert sticker is not None and sticker.text == "[not read: a sticker]"


def test_an_answer_is_without_what_it_quotes():
    related = {"m.relates_to": {"m.in_reply_to": {"event_id": "$q"}}}
    event = matrix_events.read("!a", said("$1", "> <@bot:h> first\n> second\n\nyes", **related), ME)
    assert (event.text, event.reply_to) == ("yes", "$q")
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": "$t", "is_falling_back": True, "m.in_reply_to": {"event_id": "$z"}}}
    event = matrix_events.read("!a", said("$1", "> quoted by hand", **thread), ME)
    assert (event.text, event.reply_to, event.thread) == ("> quoted by hand", "", "$t")


def test_files_come_from_those_we_know_only():
    def file(name, sender, **more):
        return said(name, "b.txt", sender, msgtype="m.file", url="mxc://h/m1", **more)

    home = Home()
    home.media["h/m1"] = b"bytes"
    captioned = {"filename": "c.txt", "info": {"mimetype": "text/plain", "size": 5}}
    large = file("$4", ADA, info={"size": 1 << 40})
    evil = file("$5", ADA) | {"content": {"msgtype": "m.file", "body": "x", "url": "mxc://h/../../secret"}}
    home.batch({"!a": timeline(file("$1", ADA), file("$2", ADA, **captioned), file("$3", EVE), large, evil)})
    one, two, three, four, five = (a.message for a in _received(home) if a.message)
    assert (one.text, one.attachments[0].name, one.attachments[0].size) == ("", "b.txt", 5)
    assert (two.text, two.attachments[0].name, two.attachments[0].media_type) == ("b.txt", "c.txt", "text/plain")
    assert not three.attachments and "not one of yours" in three.text
    assert "larger than" in four.text and "cannot be read" in five.text


def test_waiting_goes_on_over_failures_and_ends_at_once(monkeypatch):
    monkeypatch.setattr(matrix, "Backoff", lambda: Backoff(0.01, 0.02))
    home, got = Home(), []

    async def go():
        async with web(home) as server:

            async def listen():
                async for arrival in _channel(server).receive("", wait=True):
                    got.append(arrival)

            task = asyncio.create_task(listen())
            await until(lambda: got)
            for number, trouble in enumerate((Drop(), Answer({}, 502), Answer({"retry_after_ms": 1}, 429), Answer({}, cut=1)), 1):
                home.next.append(("/sync", trouble))
                home.batch({"!a": timeline(said(f"${number}", str(number)))})
                await until(lambda number=number: len(_texts(got)) == number)
            task.cancel()
            _, pending = await asyncio.wait([task], timeout=0.5)
            assert not pending

    run(go())
    assert _texts(got) == ["1", "2", "3", "4"]


def test_a_server_that_refuses_us_for_good_is_told():
    with pytest.raises(ChannelError, match="not accept"):
        _received(Home(), token="syt_ended")
    with pytest.raises(ChannelError, match="belongs to"):
        _received(Home(), user="@other:h")
    with pytest.raises(ChannelError, match="place"):
        _received(Home(), cursor="{")
    home = Home()
    home.next = [("/sync", Answer({}, 502))]
    with pytest.raises(ChannelError, match="cannot be asked"):
        _received(home)

    async def away():
        return await matrix.make("c", {"server": f"http://127.0.0.1:{await closed_port()}"}, lambda: TOKEN).probe()

    assert not run(away()).ok


@pytest.mark.parametrize("at", [10**400, 1e400, float("nan"), -5, True, "x", 2**62, None])
def test_a_time_that_cannot_be_stops_nothing(at):
    event = matrix_events.read("!r:h", said("$1", "hi") | {"origin_server_ts": at}, ME)
    assert event is not None and 0 <= event.at <= 4e9
