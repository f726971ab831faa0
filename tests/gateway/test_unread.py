"""What nobody has read is said to who sent it; what came twice, or was cut off, is known for that."""

from __future__ import annotations

import pytest

from localagent.store import attachments
from localagent.values import Incoming, Sent
from tests.fakes import call
from tests.gateway.support import World, play
from tests.gateway.test_gateway import story


def test_a_voice_note_alone_costs_no_model_call_and_is_known_later(tmp_path):
    async def tell(world: World) -> None:
        world.service.write("", attachments=(attachments.keep(b"OggS", "../voice.ogg", "audio/ogg"),))
        told = await world.said("cannot hear")
        assert told == "Not read: received/voice.ogg: I cannot hear it, I have only put it there.\n\nWrite what is to be done with it."
        assert world.house.engine.asked == [] and (world.house.folder / "received" / "voice.ogg").read_bytes() == b"OggS"
        world.service.write("Where is it?")
        await world.said("There.")

    world = story(tmp_path, "There.")(tell)
    assert "The sender attached received/voice.ogg" in world.house.engine.asked[0][0][-1].text
    assert world.gate.tasks("done") == [(2, 1), (3, 1)]


def test_beside_a_request_the_sender_is_told_whatever_the_model_says(tmp_path):
    async def tell(world: World) -> None:
        picture = attachments.keep(b"png", "cat.png", "image/png")
        plain = attachments.keep(b"txt", "list.txt", "text/plain")
        world.service.write("What is on it?\n[not fetched: film.mp4, larger than 20.0 MB]", attachments=(picture, plain))
        await world.said("A lovely cat.")

    world = story(tmp_path, "A lovely cat.")(tell)
    told = world.service.told()[-1]
    assert "[Not read: received/cat.png: I cannot see it, I have only put it there.\nNot fetched: film.mp4, larger than 20.0 MB]" in told
    assert "list.txt" not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[not read: a location]", "Not read: a location"),
        ("[an encrypted message: end-to-end encryption is not spoken here; write in a room without it]", "Not read: an encrypted message"),
        ("[The file x.iso was left out: it has 99,999,999 bytes]", "Not read: The file x.iso was left out"),
        ("  ", "That message was empty."),
    ],
)
def test_what_cannot_be_read_at_all_is_answered_without_the_model(tmp_path, text, told):
    async def tell(world: World) -> None:
        world.service.write(text)
        await world.said(told)

    world = story(tmp_path)(tell)
    assert world.house.engine.asked == [] and world.house.made == []


def test_files_beside_an_answer_or_a_command_are_not_dropped_without_a_word(tmp_path):
    async def tell(world: World) -> None:
        picture = attachments.keep(b"png", "cat.png", "image/png")
        world.service.write("Write it")
        await world.code()
        world.service.write("/status", attachments=(picture,))
        await world.said("were not taken")
        world.service.write("", attachments=(picture,))
        await world.said("Not written.")
        await world.said("were not taken", times=2)

    world = story(tmp_path, [call("write", path="a.txt")], "Not written.")(tell)
    assert list(world.house.folder.iterdir()) == []


def test_a_denied_place_takes_no_file_and_the_sender_hears_why(tmp_path):
    async def tell(world: World) -> None:
        world.service.write("Keep this", attachments=(attachments.keep(b"x", "x.txt", "text/plain"),))
        await world.said("Not kept.")

    world = story(tmp_path, "Not kept.", mode="plan")(tell)
    assert "[Not read: x.txt: It was not saved: in plan mode nothing is changed.]" in world.service.told()[-1]
    assert not (world.house.folder / "received").exists()


def test_a_command_that_a_crash_has_cut_off_is_answered_by_the_next_start(tmp_path):
    async def tell() -> None:
        world = World(tmp_path)
        world.start()
        await world.pair()
        await world.stop()
        # Put down, and killed before anything was done: the state between two transactions.
        world.gate._step = lambda *_: False  # type: ignore[method-assign]
        inbox = world.gateway()._inbox
        (stored,) = inbox.take("chat", [Incoming("m9", "chat", "ada", "ada", "/status", 0.0, authentic=True)], "")
        world.gate.pass_by(stored.number, 1)
        del world.gate._step
        world.start()
        await world.said("Nothing is being done")
        await world.stop()
        world.start()
        await world.stop()
        assert sum("Nothing is being done" in text for text in world.service.told()) == 1

    play(tell)


def test_killed_between_the_answer_and_its_mark_it_is_not_called_cut_off(tmp_path):
    async def tell() -> None:
        world = World(tmp_path, "Paris.")
        world.start()
        await world.pair()
        end, world.gate.end = world.gate.end, lambda *_: True  # type: ignore[method-assign]
        world.service.write("Where?")
        await world.said("Paris.")
        await world.stop()
        world.gate.end = end  # type: ignore[method-assign]
        assert world.gate.tasks("running") == [(2, 1)]
        world.start()
        await world.until(lambda: world.gate.tasks("done") == [(2, 1)])
        await world.stop()
        assert [text for text in world.service.told()[1:]] == ["Paris.\n\n[nothing changed, nothing sent]"]

    play(tell)


def test_an_answer_that_may_not_have_arrived_is_told_and_not_sent_again(tmp_path):
    async def tell(world: World) -> None:
        world.service.ends = [Sent("unconfirmed", detail="no answer")]
        world.service.write("Where?")
        told = await world.said("not certain")
        begins = "it begins “Paris. [nothing changed, nothing sent]…”"
        assert told == f"It is not certain that an answer of mine has reached you; {begins}. Ask again if it has not."

    world = story(tmp_path, "Paris.")(tell)
    assert [text[:6] for text in world.service.told()[1:]] == ["Paris.", "It is "]


def test_a_mail_counts_once_however_often_it_is_delivered(tmp_path):
    """Twice by the mail system, sent on by whoever has got it, and our own answer in a mailbox that writes to itself."""

    async def tell(world: World) -> None:
        def mail(id: str, text: str, authentic: bool | None = True) -> None:
            world.service.came.append(Incoming(id, "chat", "ada", "ada", text, 0.0, subject="s", authentic=authentic))
            world.service.new.set()

        mail("<1@b.test>#00", "forged first", None)
        mail("<1@b.test>#aa", "Write it")
        mail("<1@b.test>#bb", "Write it")
        await world.said("Done once.")
        (answer,) = [e for e in world.outbox.entries() if e.message.text.startswith("Done once.")]
        mail(f"<{answer.id}@b.test>#cc", "Done once.")
        mail("<2@b.test>#dd", "And this")
        await world.said("Second.")

    world = story(tmp_path, [call("look")], "Done once.", "Second.")(tell)
    assert len(world.house.engine.asked) == 3 and world.gate.tasks("done") == [(3, 1), (6, 1)]
