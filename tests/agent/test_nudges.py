"""What a model that stops too early is told, and when it is told nothing."""

from __future__ import annotations

from localagent.agent.nudges import Nudges
from localagent.agent.tally import Tally
from localagent.events import MessageDone
from localagent.values import Message, Receipt, Text


def _said(text: str) -> MessageDone:
    return MessageDone(Message("assistant", (Text(text),)))


def test_who_only_looked_hears_the_request_once_more():
    nudges, so_far = Nudges(), Tally(calls=1)
    told = nudges.after(_said("The date is 14 May."), so_far, "Find the date of the fair and write it into fair.txt")
    assert "only looked" in told and "fair.txt" in told and not nudges.insists
    assert "not done" in nudges.after(_said("I will write it now."), so_far, "Find it and write it into fair.txt") and nudges.insists
    assert nudges.after(_said("It is 14 May."), so_far, "Find it and write it into fair.txt") is None and not nudges.insists


def test_a_question_that_wants_no_deed_is_answered_as_it_is():
    for request in ("What did she write?", "Who sends me the most?", "Which answer is right in quiz.txt?", ""):
        assert Nudges().after(_said("Bob."), Tally(calls=2), request) is None


def test_a_claim_without_a_deed_makes_the_next_answer_a_call():
    nudges = Nudges()
    assert "nothing is saved" in nudges.after(_said("I saved the file."), Tally(calls=1), "Save the file of her mail") and nudges.insists
    assert nudges.after(_said("I saved the file."), Tally(calls=1), "Save the file of her mail") is None and not nudges.insists
    plain = Nudges()
    assert plain.after(_said("I added the numbers: 5."), Tally(), "What is 2 + 3?") and not plain.insists


def test_who_did_something_or_was_refused_is_left_alone():
    sent = Tally(calls=1, receipts=[Receipt("sent", {"state": "sent"})])
    for so_far in (sent, Tally(calls=1, denied=["send(work:a@x.org)"]), Tally(calls=1, questions=1)):
        assert Nudges().after(_said("Done."), so_far, "Send Anna the news") is None


def test_a_call_that_is_named_after_a_failure_is_to_be_made():
    nudges, so_far = Nudges(), Tally(calls=1, broken=True)
    request, tools = "Save her file into papers", ["save_attachment", "run"]
    assert "call failed" in nudges.after(_said("It is not there."), so_far, request, tools)
    assert "not done" in nudges.after(_said("Call save_attachment with number=3."), so_far, request, tools) and nudges.insists
    nudges = Nudges()
    nudges.after(_said("Zoe is no contact."), so_far, "Send Zoe hello", tools)
    assert nudges.after(_said("Zoe is no contact; run the import."), so_far, "Send Zoe hello", tools) is None and not nudges.insists


def test_nothing_makes_a_model_send_twice():
    request, tools = "Answer her and add my number", ["send_message"]
    for state in ("sent", "unconfirmed", "held"):
        so_far = Tally(calls=1, receipts=[Receipt("sent", {"state": state})], broken=state != "sent")
        nudges = Nudges()
        for text in ("I have added the number.", "I will call send_message again.", "Call send_message."):
            told = nudges.after(_said(text), so_far, request, tools)
            assert not nudges.insists and "make it again" not in (told or "") and "nothing is saved, written or sent" not in (told or "")


def test_a_program_that_changed_nothing_is_no_deed_either():
    so_far = Tally(calls=1, receipts=[Receipt("ran", {"command": "grep -l TODO src/*.py", "exit_code": 0})])
    nudges = Nudges()
    assert nudges.after(_said("I made the file todo.txt."), so_far, "Write a file todo.txt that lists them") and nudges.insists
    assert Nudges().after(_said("alpha.py and gamma.py."), so_far, "Write a file todo.txt that lists them") is None


def test_a_deed_is_asked_for_in_any_language():
    for request in ("把总数写入 total.txt", "合計を total.txt に書いて", "Запиши сумму в total.txt", "합계를 total.txt에 저장해 줘"):
        assert "only looked" in (Nudges().after(_said("1043"), Tally(calls=1), request) or "")
