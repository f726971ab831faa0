"""Telegram against a server of the published API that can also fail."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path

import pytest

from localagent.channels import telegram, telegram_updates
from localagent.channels.base import Channel, Receiver
from localagent.channels.wire import Backoff
from localagent.errors import ChannelError
from tests.channels.bot_api import TOKEN, BotApi, refusal
from tests.channels.messages import attached, outgoing
from tests.channels.web import Answer, Drop, closed_port, run, until, web


def _channel(server, token=TOKEN, **config):
    return telegram.make("c", {"server": server.url} | config, lambda: token)


def _sent(message, *answers, token=TOKEN):
    """What became of a message, and what the service would show."""

    async def go():
        api = BotApi()
        api.next = list(answers)
        async with web(api) as server:
            return await _channel(server, token).send(message), api.sent

    return run(go())


def test_it_is_a_channel_that_receives():
    made = telegram.make("c", {}, lambda: TOKEN)
    assert isinstance(made, Channel) and isinstance(made, Receiver) and not made.idempotent
    assert run(made.find(outgoing("7"))) is None


def test_a_text_goes_out_as_it_is():
    text = "*stars* <b>tags</b> [link](http://x)\n  two"
    sent, shown = _sent(outgoing("-1007", text, reply_to="-1007:41", thread="9"))
    assert (sent.state, sent.proof) == ("sent", "-1007:1")
    assert shown == [
        {
            "chat_id": -1007,
            "text": text,
            "link_preview_options": {"is_disabled": True},
            "reply_parameters": {"message_id": 41, "allow_sending_without_reply": True},
            "message_thread_id": 9,
            "files": {},
        }
    ]


def test_a_subject_stands_above_the_text():
    _, shown = _sent(outgoing("7", "body", subject="title"))
    assert shown[0]["text"] == "title\n\nbody"


def test_one_file_and_several_are_one_message_each(tmp_path):
    one = attached(tmp_path / "a", b"\x00\r\n--x", name='na"me\n.txt')
    two = attached(tmp_path / "b", b"two", name="two.pdf", media_type="application/pdf")
    sent, shown = _sent(outgoing("7", "caption", attachments=(one,)))
    assert sent.state == "sent" and shown[0]["caption"] == "caption" and shown[0]["files"] == {"document": b"\x00\r\n--x"}
    sent, shown = _sent(outgoing("7", "caption", attachments=(one, two)))
    assert (sent.state, sent.proof) == ("sent", "7:1")
    assert shown[0]["media"][1] == {"type": "document", "media": "attach://file1", "caption": "caption"}
    assert "caption" not in shown[0]["media"][0] and shown[0]["files"] == {"file0": b"\x00\r\n--x", "file1": b"two"}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"address": "ada"}, "no chat"),
        ({"address": "@a b"}, "no chat"),
        ({"address": ""}, "no chat"),
        ({"text": "x" * 4097}, "4,097"),
        ({"text": "\U0001f600" * 2049}, "4,098"),
        ({"text": " \n"}, "empty"),
        ({"text": "a\ud800"}, "cannot be sent"),
        ({"draft": True}, "drafts"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_leaves(more, why):
    sent, shown = _sent(outgoing(**({"address": "7"} | more)))
    assert sent.state == "failed" and not sent.again and why in sent.detail and not shown


def test_the_longest_text_is_taken():
    assert _sent(outgoing("7", "\U0001f600" * 2048))[0].state == "sent"


def test_a_file_that_changed_or_went_or_is_a_link_is_not_sent(tmp_path):
    file = attached(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"SOME BYTES")
    sent, shown = _sent(outgoing("7", attachments=(file,)))
    assert sent.state == "failed" and "not what it was" in sent.detail and not shown
    (tmp_path / "a").unlink()
    assert "cannot be read" in _sent(outgoing("7", attachments=(file,)))[0].detail
    (tmp_path / "real").write_bytes(b"some bytes")
    (tmp_path / "a").symlink_to(tmp_path / "real")
    assert _sent(outgoing("7", attachments=(file,)))[0].state == "failed"
    large = attached(tmp_path / "b")
    assert "too large" in _sent(outgoing("7", attachments=(dataclasses.replace(large, size=51 << 20),)))[0].detail


@pytest.mark.parametrize(
    ("answer", "state", "again", "why"),
    [
        (Drop(), "unconfirmed", False, "not known"),
        (Answer({"ok": True}, cut=2), "unconfirmed", False, "not known"),
        (Answer(b"<html>", 200), "unconfirmed", False, "cannot be read"),
        (Answer({"ok": True, "result": {}}), "unconfirmed", False, "cannot be read"),
        (refusal(429, "Too Many Requests: retry after 5", retry_after=5), "failed", True, "5 s"),
        (refusal(403, "Forbidden: bot was blocked by the user"), "failed", False, "blocked"),
        (refusal(400, "Bad Request: chat not found"), "failed", False, "chat not found"),
        (refusal(400, "upgraded", migrate_to_chat_id=-1005), "failed", False, "-1005"),
        (refusal(401, f"Unauthorized {TOKEN}"), "failed", False, "[secret]"),
        (refusal(500, "Internal Server Error"), "unconfirmed", False, "500"),
        (Answer(b"bad gateway", 502), "unconfirmed", False, "502"),
        (Answer({"ok": False, "error_code": 400, "description": "no"}, 200), "failed", False, "no"),
    ],
)
def test_what_each_failure_is_called(answer, state, again, why):
    sent, _ = _sent(outgoing("7"), answer)
    assert (sent.state, sent.again) == (state, again)
    assert why in sent.detail and TOKEN not in sent.detail


def test_no_server_and_no_token_are_failures():
    async def go():
        made = telegram.make("c", {"server": f"http://127.0.0.1:{await closed_port()}"}, lambda: TOKEN)
        return await made.send(outgoing("7"))

    sent = run(go())
    assert (sent.state, sent.again) == ("failed", True) and TOKEN not in sent.detail
    for token in ("", "no token", "123:abc/../x"):
        sent, shown = _sent(outgoing("7"), token=token)
        assert sent.state == "failed" and "token" in sent.detail and not shown
        assert not token or token not in sent.detail


def test_a_message_is_sent_once_whatever_happens():
    """Nothing is tried again: each send is one request."""

    async def go(answer):
        api = BotApi()
        api.next = [answer]
        async with web(api) as server:
            await _channel(server).send(outgoing("7"))
            return len(server.asked)

    assert [run(go(a)) for a in (Drop(), refusal(429, "x", retry_after=0), Answer({}, 500))] == [1, 1, 1]


def test_probe_says_who_it_is_or_why_not():
    async def go(token):
        async with web(BotApi()) as server:
            return await _channel(server, token).probe()

    assert run(go(TOKEN)).ok and "@our_bot" in run(go(TOKEN)).detail
    wrong = run(go("1:wrong"))
    assert not wrong.ok and "1:wrong" not in wrong.detail


# ---------------------------------------------------------------- in


async def _all(channel, cursor):
    return [arrival async for arrival in channel.receive(cursor, wait=False)]


def _received(*says, senders="", files=None):
    """The messages that come in when a person says these things."""

    async def go():
        api = BotApi()
        api.files = files or {}
        async with web(api) as server:
            channel = _channel(server, senders=senders)
            (start,) = await _all(channel, "")
            for each in says:
                api.say(**each)
            return [a.message for a in await _all(channel, start.cursor)]

    return run(go())


def test_nothing_old_comes_in_and_nothing_twice():
    async def go():
        api = BotApi()
        api.say("old")
        async with web(api) as server:
            channel = _channel(server)
            (start,) = await _all(channel, "")
            assert start.message is None
            for text in "abc":
                api.say(text)
            arrivals = channel.receive(start.cursor, wait=False)
            first = await anext(arrivals)
            assert first.message.text == "a"
            # Killed here, with the first one stored: the other two come, and then nothing.
            await arrivals.aclose()
            rest = await _all(channel, first.cursor)
            assert [a.message.text for a in rest] == ["b", "c"]
            assert await _all(channel, rest[1].cursor) == []

    run(go())


def test_what_a_message_holds():
    topic = {"message_thread_id": 8, "is_topic_message": True}
    (got,) = _received({"text": "hello", "chat": -5, "reply_to_message": {"message_id": 3}} | topic)
    assert (got.sender, got.chat, got.name, got.text) == ("7", "-5", "Ada (@ada)", "hello")
    assert (got.reply_to, got.thread, got.authentic, got.at) == ("-5:3", "8", True, 1_790_000_000.0)
    assert got.id == "-5:101" and got.channel == "c"


def test_edits_joins_and_nonsense_are_passed_over():
    says = [
        {"text": "edited", "kind": "edited_message"},
        {"text": None, "new_chat_members": [{"id": 1}]},
        {"text": None, "document": "nonsense"},
        {"text": 5},
        {"text": "x", "message_id": None},
        {"text": "x", "chat": {"a": []}},
        {"text": "fine"},
    ]
    assert [m.text for m in _received(*says) if m] == ["fine"]


@pytest.mark.parametrize(("kind", "said"), [("location", "a location"), ("sticker", "a sticker"), ("paid_media", "a paid media")])
def test_what_nobody_here_can_read_is_named(kind, said):
    api = BotApi()
    api.say(None, **{kind: {"x": 1}})
    found = telegram_updates.read(api.updates[0])
    assert found is not None and found.text == f"[not read: {said}]"


def test_who_writes_for_a_group_is_not_vouched_for():
    (got,) = _received({"text": "hi", "chat": -5, "sender_chat": {"id": -5, "title": "The group"}})
    assert (got.sender, got.name, got.authentic) == ("-5", "The group", False)


def test_files_are_fetched_from_those_we_know_only():
    document = {"file_id": "documents~file_1", "file_name": "../../.bashrc\u202e", "mime_type": "text/x-evil; a=b", "file_size": 3}
    photo = [{"file_id": "photos~small", "width": 1, "height": 1}, {"file_id": "photos~large", "width": 9, "height": 9}]
    voice = {"file_id": "voice~1", "mime_type": "audio/ogg"}
    says = [
        {"text": None, "caption": "look", "document": document},
        {"text": None, "photo": photo},
        {"text": None, "voice": voice},
    ]
    files = {"documents/file_1": b"abc", "photos/large": b"jpeg", "voice/1": b"ogg"}
    one, two, three = _received(*says, senders="7", files=files)
    assert one.text == "look"
    (file,) = one.attachments
    assert (file.name, file.media_type, file.size) == ("bashrc_", "text/x-evil", 3)
    assert Path(file.path).read_bytes() == b"abc"
    assert (two.attachments[0].name, two.attachments[0].media_type) == ("photo.jpg", "image/jpeg")
    assert three.attachments[0].name == "voice.ogg"
    (stranger,) = _received(says[0], senders="8", files=files)
    assert not stranger.attachments and "look\n[not fetched: bashrc_" in stranger.text


@pytest.mark.parametrize(
    ("file", "size", "why"),
    [
        ("big~1", 21 << 20, "larger than 20.0 MB"),
        ("gone~1", 5, "404"),
        ("..~..~secret", 5, "does not give it away"),
        ("http:~~evil", 5, "does not give it away"),
        ("~abs", 5, "does not give it away"),
    ],
)
def test_files_that_cannot_be_had_are_named_and_why(file, size, why):
    document = {"file_id": file, "file_name": "f.zip", "file_size": size}
    (got,) = _received({"text": None, "document": document}, senders="7")
    assert not got.attachments and got.text.startswith("[not fetched: ") and why in got.text


def test_a_file_larger_than_it_said_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(telegram, "FETCH_BYTES", 1000)
    document = {"file_id": "d~1", "file_name": "f", "file_size": 10}
    (got,) = _received({"text": None, "document": document}, senders="7", files={"d/1": bytes(5000)})
    assert not got.attachments and "larger than" in got.text
    from localagent.store import paths

    assert list((paths.state_dir() / "attachments").iterdir()) == []


def test_waiting_goes_on_over_failures_and_ends_at_once(monkeypatch):
    monkeypatch.setattr(telegram, "Backoff", lambda: Backoff(0.01, 0.02))

    async def go():
        api = BotApi()
        async with web(api) as server:
            channel = _channel(server)
            got: list[str] = []

            async def listen():
                async for arrival in channel.receive("", wait=True):
                    if arrival.message:
                        got.append(arrival.message.text)

            task = asyncio.create_task(listen())
            for trouble in (None, Answer({}, 502), refusal(429, "slow", retry_after=0), Drop(), Answer(b"<html>", 200, cut=1)):
                if trouble is not None:
                    trouble.for_updates = True
                    api.next.append(trouble)
                await until(lambda: any(a.json.get("timeout") for a in server.asked))
                api.say(str(len(got)))
                await until(lambda: len(got) >= api.number - 1000)
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - started < 0.5
            return got

    assert run(go()) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (refusal(401, "Unauthorized"), "token"),
        (refusal(404, "Not Found"), "token"),
        (refusal(409, "Conflict: can't use getUpdates method while webhook is active"), "webhook"),
    ],
)
def test_a_service_that_refuses_us_for_good_is_told(answer, why):
    async def go(wait):
        api = BotApi()
        answer.for_updates = True
        api.next = [answer]
        async with web(api) as server:
            async for _ in _channel(server).receive("5@1790000000", wait=wait):
                raise AssertionError("nothing should come")

    for wait in (True, False):
        with pytest.raises(ChannelError, match=why):
            run(go(wait))


def test_one_look_says_when_it_could_not_look():
    async def go():
        made = telegram.make("c", {"server": f"http://127.0.0.1:{await closed_port()}"}, lambda: TOKEN)
        return await _all(made, "5@1790000000")

    with pytest.raises(ChannelError, match="cannot be asked"):
        run(go())
    with pytest.raises(ChannelError, match="place"):
        run(_all(telegram.make("c", {}, lambda: TOKEN), "nonsense"))


def test_after_a_week_of_silence_numbers_may_begin_anew():
    assert telegram._offset("500@1000", 1000 + 5 * 86400) == 500
    assert telegram._offset("500@1000", 1000 + 7 * 86400) == 0


@pytest.mark.parametrize("value", [None, [], {}, {"message": []}, {"message": {"message_id": 1, "chat": {"id": True}, "text": "x"}}])
def test_updates_of_any_form_are_read_without_harm(value):
    assert telegram_updates.read(value if isinstance(value, dict) else {"message": value}) is None


def test_configurations_that_cannot_be():
    for config in ({"server": "http://example.org"}, {"server": 5.5}, {"senders": {"a": 1}}):
        with pytest.raises(ChannelError):
            telegram.make("c", config, lambda: TOKEN)


def test_a_long_text_is_offered_in_parts_that_fit():
    made = telegram.make("c", {}, lambda: TOKEN)
    parts = made.parts("\U0001f600 word " * 3000)
    assert len(parts) == 6 and all(_sent(outgoing("7", part))[0].state == "sent" for part in parts)


def test_a_server_that_does_not_let_us_wait_is_not_asked_all_the_time():
    async def go():
        async def empty(_):
            return {"ok": True, "result": []}

        async with web(empty) as server:
            task = asyncio.create_task(anext(_channel(server).receive("5@1790000000", wait=True)))
            await asyncio.sleep(0.5)
            task.cancel()
            return len(server.asked)

    assert run(go()) == 1


@pytest.mark.parametrize("sign", [{"forward_origin": {"type": "user"}}, {"forward_date": 1}, {"via_bot": {"id": 3, "is_bot": True}}])
def test_what_another_wrote_is_marked_as_quoted(sign):
    message = {"message_id": 1, "chat": {"id": 7}, "from": {"id": 7}, "text": "yes K3F9QX\nnow", **sign}
    found = telegram_updates.read({"update_id": 1, "message": message})
    assert found is not None and found.text == "> yes K3F9QX\n> now"
