"""`sessions context`: a table for people, one document for programs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from localagent.agent.accounting import CATEGORIES, account
from localagent.commands import contexts
from tests.agent.counting_engine import CountingEngine
from tests.agent.test_compaction import again, ask, reader, said, world


def test_every_token_is_in_one_category_and_the_document_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = world(tmp_path, CountingEngine(4096, reader))
    for n in range(1, 31):
        ask(session, said(n))
    made = asyncio.run(account(session))
    assert made.exact and made.context == 4096 and [name for name, _ in made.parts] == list(CATEGORIES)
    parts = dict(made.parts)
    assert parts["short"] and parts["words"] and parts["tools"] and parts["results"] and parts["answers"] and not parts["images"]
    assert abs(sum(parts.values()) - made.total) <= len(session.talk.shown) and made.free == 4096 - made.total
    resumed = again(session)
    assert asyncio.run(account(resumed)) == made
    assert contexts.tell(resumed, True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["total"] == made.total and told["parts"]["tools"]["tokens"] == parts["tools"] and told["seconds"] > 0
    assert contexts.tell(again(session), False) == 0
    out = capsys.readouterr().out
    assert f"{made.total:,} of 4,096 tokens" in out and "tool results" in out and "s to read" in out
