"""Rules that were kept: no two writers lose what the other wrote."""

from __future__ import annotations

import threading

import pytest

from localagent.store import grants


def test_added_found_and_revoked() -> None:
    grants.add("run(ls)", "/w")
    grants.add("write(a)")
    grants.note_use("run(ls)", "/w")
    grants.note_use("run(ls)", "/elsewhere")
    assert [(g.rule, g.uses) for g in grants.load("/w")] == [("run(ls)", 1), ("write(a)", 0)]
    assert grants.revoke("run(ls)", "/elsewhere") == 0 and grants.revoke("run(ls)") == 1
    assert [g.rule for g in grants.load()] == ["write(a)"]


def test_a_use_counted_meanwhile_does_not_bring_back_what_was_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    grants.add("run(ls)", "/w")
    save, counting = grants._save, threading.Event()

    def slow(found: list[grants.Grant]) -> None:
        if any(grant.uses for grant in found):
            counting.set()
            revoking.join(0.3)
        save(found)

    revoking = threading.Thread(target=lambda: (counting.wait(5), grants.revoke("run(ls)")))
    monkeypatch.setattr(grants, "_save", slow)
    revoking.start()
    grants.note_use("run(ls)", "/w")
    revoking.join(5)
    assert grants.load() == []


def test_many_writers_at_once_lose_nothing() -> None:
    rules = [f"run(p{number})" for number in range(8)]
    threads = [threading.Thread(target=grants.add, args=(rule, "/w")) for rule in rules]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(grant.rule for grant in grants.load()) == rules
