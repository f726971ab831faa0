"""A conversation that is put away in the middle and taken up again, over a pretended backend."""

from __future__ import annotations

import pytest

from localagent.engine.prefix import Prefix
from localagent.errors import EngineError
from tests.engine.test_prefix import Pretended

A, B = list(range(1, 900)), list(range(2000, 2700))


@pytest.mark.parametrize("recurrent", [True, False])
def test_it_is_where_it_was_with_its_snapshots_and_without_a_second_copy(recurrent: bool):
    backend = Pretended(recurrent)
    prefix = Prefix(backend)
    prefix.sync([*A, 5], marks=(300,), fixed=200)
    marks = [s for s in prefix.snapshots if s.partial]
    held = prefix.suspend()
    assert held is not None
    prefix.sync(B)
    prefix.sync(B[:300] + A)
    assert not [s for s in prefix.snapshots if not s.partial and list(s.tokens) == [*A, 5]]
    prefix.resume(held)
    assert list(prefix.tokens) == backend.attention == backend.state == [*A, 5]
    assert all(any(s is mark for s in prefix.snapshots) for mark in marks) and bool(marks) == recurrent
    decoded = backend.decoded
    prefix.extend([6])
    assert backend.decoded == decoded + 1 and backend.state == [*A, 5, 6]


@pytest.mark.parametrize("recurrent", [True, False])
def test_before_anything_was_read_it_begins_anew(recurrent: bool):
    backend = Pretended(recurrent)
    prefix = Prefix(backend)
    held = prefix.suspend()
    assert held is not None
    prefix.sync(B)
    prefix.resume(held)
    assert len(prefix.tokens) == 0 and backend.attention == []
    assert prefix.sync(A) == 0 and backend.state == A


def test_a_broken_state_is_not_lent_and_one_that_cannot_be_had_back_is_an_error():
    backend = Pretended(True)
    prefix = Prefix(backend)
    prefix.sync(A)
    held = prefix.suspend()
    assert held is not None
    prefix.sync(B)
    backend.load = lambda state, partial: False
    with pytest.raises(EngineError, match="interrupted"):
        prefix.resume(held)
    assert prefix.suspend() is None
    backend = Pretended(False)
    prefix = Prefix(backend)
    prefix.sync(A)
    backend.save = lambda partial: None
    assert prefix.suspend() is None
