"""Snapshots on disk: what a restart finds again, and what it must not believe."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from localagent.engine import archive as archive_module
from localagent.engine.archive import Archive
from localagent.engine.gguf import Header
from localagent.engine.prefix import Cancelled, Prefix
from localagent.store import paths, snapfile

KEY = {"model": ["abc"], "engine": "1", "layout": "f16"}
HEAD = list(range(1, 701))


class Backend:
    """llama.cpp's rules over bytes; `decoded` counts tokens."""

    n_ctx, n_batch = 8192, 128

    def __init__(self, recurrent: bool) -> None:
        self.recurrent = recurrent
        self.attention: list[int] = []
        self.state: list[int] = []
        self.decoded = 0
        self.aborts = False
        self.takes = True

    def decode(self, tokens: Any) -> int:
        if self.aborts:
            self.attention += tokens
            self.state += [-1]
            return 2
        self.attention += tokens
        self.state += tokens
        self.decoded += len(tokens)
        return 0

    def last_position(self) -> int:
        return len(self.attention) - 1

    def truncate(self, length: int) -> bool:
        if self.recurrent and len(self.state) > length:
            return False
        self.attention = self.attention[:length]
        if not self.recurrent:
            self.state = self.state[:length]
        return True

    def clear(self) -> None:
        self.attention, self.state = [], []

    def size(self, partial: bool) -> int:
        return len(self.save(partial))

    def save(self, partial: bool) -> bytes:
        return json.dumps([self.state, None if partial else self.attention]).encode()

    def load(self, state: Any, partial: bool) -> bool:
        recurrent, attention = json.loads(bytes(state))
        assert partial == (attention is None)
        if not self.takes:
            return False
        self.state = recurrent
        if not partial:
            self.attention = attention
        return True


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "RESERVE", 0)


@pytest.fixture(params=[False, True], ids=["attention", "recurrent"])
def recurrent(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def _start(recurrent: bool, key: dict[str, Any] = KEY) -> Prefix:
    """As after a restart."""
    return Prefix(Backend(recurrent), archive=Archive(key))


def _files() -> list[Path]:
    return sorted((paths.cache_dir() / "snapshots").glob("*/*"))


def _spoken(recurrent: bool) -> tuple[Prefix, list[int]]:
    """A conversation with a fixed part, in its second turn, as it is kept when nobody asks for a while."""
    prefix = _start(recurrent)
    first = [*HEAD, *range(5000, 5300)]
    prefix.sync(first, marks=[710], fixed=700, tail=995)
    talk = [*first[:995], *range(6000, 6400)]
    prefix.sync(talk, marks=[1200], fixed=700, tail=1390)
    for token in (7, 8, 9):
        prefix.extend([token])
    assert prefix.archive
    prefix.archive.work(lambda: False)
    prefix.park()
    prefix.archive.work(lambda: False)
    return prefix, [*talk, 7, 8, 9]


def _right(prefix: Prefix, goal: list[int], **how: Any) -> int:
    """The tokens that were not decoded for `goal`, which is held exactly."""
    before = prefix.backend.decoded  # type: ignore[attr-defined]
    cached = prefix.sync(goal, **how)
    backend: Any = prefix.backend
    assert backend.attention == goal and backend.state == goal
    assert backend.decoded - before == len(goal) - cached
    return cached


def test_what_all_begin_with_is_there_after_a_restart(recurrent: bool) -> None:
    _spoken(recurrent)
    again = _start(recurrent)
    assert _right(again, [*HEAD, 1, 2, 3], fixed=700) == 700
    assert again.restored == 700
    assert _right(again, [*HEAD, 4, 5], fixed=700) == 700
    assert again.restored == 700 or not recurrent


def test_a_conversation_goes_on_after_a_restart(recurrent: bool) -> None:
    _, talk = _spoken(recurrent)
    again = _start(recurrent)
    assert _right(again, [*talk, 1, 2]) == len(talk)
    # Without the last answer: from where that began.
    again = _start(recurrent)
    assert _right(again, [*talk[:1391], 1, 2]) == (1390 if recurrent else 1391)
    # With another last message: from before it.
    again = _start(recurrent)
    assert _right(again, [*talk[:1201], 1, 2]) == (1200 if recurrent else 1201)
    assert _right(again, [*talk[:1201], 3, 4]) >= 1200


def test_only_the_newest_state_of_a_conversation_is_kept(recurrent: bool) -> None:
    prefix, talk = _spoken(recurrent)
    assert len(_files()) == 2
    prefix.sync([*talk, *range(300)], marks=[len(talk) + 5], fixed=700)
    prefix.park()
    assert prefix.archive
    prefix.archive.work(lambda: False)
    assert len(_files()) == 2
    assert _right(_start(recurrent), [*talk, *range(300), 1]) == len(talk) + 300


@pytest.mark.parametrize("section", range(4))
def test_damage_in_any_section_costs_the_file_and_nothing_else(recurrent: bool, section: int) -> None:
    _, talk = _spoken(recurrent)
    [path] = [path for path in _files() if path.name.startswith("session-")]
    with open(path, "rb") as file:
        sections = snapfile.read_header(file).sections
    if section >= len(sections):
        section = 0
    raw = bytearray(path.read_bytes())
    raw[sections[section].start + 10] ^= 1
    path.write_bytes(raw)
    assert _right(_start(recurrent), [*talk, 1]) == 700
    assert not path.exists()


@pytest.mark.parametrize("length", [0, 11, 200, 4000, -1])
def test_a_truncated_file_is_dropped(recurrent: bool, length: int) -> None:
    _, talk = _spoken(recurrent)
    for path in _files():
        path.write_bytes(path.read_bytes()[:length])
    assert _right(_start(recurrent), [*talk, 1]) == 0
    assert not any(path.exists() for path in _files())


def test_damage_after_the_start_is_found_when_the_file_is_used(recurrent: bool) -> None:
    _, talk = _spoken(recurrent)
    again = _start(recurrent)
    for path in _files():
        path.write_bytes(path.read_bytes()[:-5])
    assert _right(again, [*talk, 1]) == 0
    assert _files() == []
    again = _start(recurrent)
    assert _right(again, [*talk, 1]) == 0


@pytest.mark.parametrize("part", ["model", "engine", "layout"])
def test_states_of_another_model_engine_or_layout_are_not_touched(recurrent: bool, part: str) -> None:
    _, talk = _spoken(recurrent)
    before = _files()
    other = {**KEY, part: ["other"]}
    assert _right(_start(recurrent, other), [*talk, 1]) == 0
    assert _files() == before
    assert _right(_start(recurrent), [*talk, 1]) == len(talk)


def test_a_foreign_file_in_our_place_is_dropped(recurrent: bool) -> None:
    _, talk = _spoken(recurrent)
    other = Archive({**KEY, "model": ["other"]})
    [ours] = {path.parent for path in _files()}
    place = snapfile.folder(other._name)
    for path in _files():
        shutil.copy(path, place / path.name)
    assert ours != place
    assert _right(Prefix(Backend(recurrent), archive=Archive({**KEY, "model": ["other"]})), [*talk, 1]) == 0
    assert list(place.iterdir()) == []


def test_a_state_that_the_engine_refuses_is_dropped(recurrent: bool) -> None:
    _, talk = _spoken(recurrent)
    again = _start(recurrent)
    backend: Any = again.backend
    backend.takes = False
    assert _right(again, [*talk, 1]) == 0
    assert _files() == []


def test_a_smaller_context_leaves_larger_states_alone(recurrent: bool) -> None:
    _, talk = _spoken(recurrent)
    again = _start(recurrent)
    again.backend.n_ctx = 1000
    assert _right(again, [*HEAD, 1, 2]) == 700
    assert _right(_start(recurrent), [*talk, 1]) == len(talk)


def test_a_full_disk_loses_nothing_and_is_told(recurrent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    _, talk = _spoken(recurrent)
    before = {path.name: path.read_bytes() for path in _files()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapfile, "_write_all", full)
    prefix = _start(recurrent)
    prefix.sync([*talk, *range(400)], fixed=700)
    prefix.park()
    assert prefix.archive
    prefix.archive.work(lambda: False)
    assert prefix.archive.trouble == "No space left on device"
    assert {path.name: path.read_bytes() for path in _files()} == before
    assert not prefix.archive.takes
    assert _right(prefix, [*talk, *range(401)]) == len(talk) + 400


def test_room_is_left_on_the_disk(recurrent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "RESERVE", 1 << 60)
    prefix, _ = _spoken(recurrent)
    assert _files() == []
    assert prefix.archive and "too little room" in prefix.archive.trouble


def test_writing_stops_at_once_and_goes_on_later() -> None:
    prefix = _start(False)
    prefix.backend.save = lambda partial: bytes(5 << 20)  # type: ignore[method-assign]
    prefix.sync([*HEAD, 1, 2], fixed=700)
    assert prefix.archive
    gaps = 0
    while not [path for path in _files() if path.suffix == ".snap"]:
        asked = iter([False])
        prefix.archive.work(lambda asked=asked: next(asked, True))
        gaps += 1
    assert gaps == 7 and len(_files()) == 1
    prefix.archive.offer([*prefix.snapshots], fixed=True)
    prefix.archive.work(lambda: False)
    assert len(_files()) == 1


def test_closing_leaves_nothing_half_written() -> None:
    prefix = _start(False)
    prefix.backend.save = lambda partial: bytes(5 << 20)  # type: ignore[method-assign]
    prefix.sync([*HEAD, 1, 2], fixed=700)
    asked = iter([False])
    assert prefix.archive
    prefix.archive.work(lambda: next(asked, True))
    assert len(_files()) == 1
    prefix.archive.close()
    assert _files() == []


def test_nothing_is_kept_where_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALAGENT_SNAPSHOTS_MB", "0")
    _spoken(True)
    assert not (paths.cache_dir() / "snapshots").exists()


def test_an_answer_broken_off_is_not_parked() -> None:
    prefix = _start(True)
    prefix.sync([*HEAD, *range(5000, 5300)], fixed=700)
    backend: Any = prefix.backend
    backend.aborts = True
    with pytest.raises(Cancelled):
        prefix.extend([1])
    backend.aborts = False
    prefix.park()
    assert prefix.archive
    prefix.archive.work(lambda: False)
    assert [path.name[:6] for path in _files()] == ["fixed-"]
    assert os.stat(_files()[0]).st_mode & 0o777 == 0o600


def test_a_state_serves_no_context_in_which_positions_are_turned_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Some models (Phi) have two sets of factors, and which is used goes by the size of the context."""
    file = tmp_path / "model.gguf"
    file.write_bytes(b"x")
    facts = {"general.architecture": "phi3", "phi3.rope.scaling.original_context_length": 4096}
    monkeypatch.setattr(archive_module.gguf, "read", lambda _: Header(3, facts, (), 0, 0))
    small, other, large = (archive_module.key(str(file), "f16", "build", n) for n in (2048, 4096, 4097))
    assert small == other != large
    facts.clear()
    assert archive_module.key(str(file), "f16", "build", 1 << 20) == small
