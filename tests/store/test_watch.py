"""The watcher: what it hears, what it leaves alone, and what happens where it cannot."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.store import watch


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Callable[..., tuple[watch.Watch, queue.Queue]]]:
    made: list[watch.Watch] = []

    def start(folder: Path) -> tuple[watch.Watch, queue.Queue]:
        heard: queue.Queue = queue.Queue()
        one = watch.Watch(str(folder), heard.put)
        made.append(one)
        one.start()
        assert one.ready.wait(10)
        return one, heard

    yield start
    for one in made:
        one.stop()


def gathered(heard: queue.Queue, wanted: set[str]) -> set[str]:
    found: set[str] = set()
    until = time.monotonic() + 10
    while not wanted <= found and time.monotonic() < until:
        try:
            found |= heard.get(timeout=0.5) or set()
        except queue.Empty:
            continue
    return found


def test_it_hears_of_writes_saves_and_new_folders_but_not_of_reading_nor_of_what_is_skipped(tmp_path: Path, watching) -> None:
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    (top / "node_modules" / "x").mkdir(parents=True)
    (top / "a").write_text("1")
    (top / "link").symlink_to(tmp_path)
    one, heard = watching(top)
    assert one.whole and not one.problem
    (top / "a").read_text()
    (top / "node_modules" / "x" / "y").write_text("1")
    (top / ".localagent-0123.tmp").write_text("1")
    (tmp_path / "outside").write_text("1")
    with pytest.raises(queue.Empty):
        heard.get(timeout=0.6)
    (top / "sub" / "b~").write_text("1")
    os.replace(top / "sub" / "b~", top / "sub" / "b")
    assert str(top / "sub" / "b") in gathered(heard, {str(top / "sub" / "b")})
    (top / "new").mkdir()
    time.sleep(0.2)
    (top / "new" / "c").write_text("1")
    assert str(top / "new" / "c") in gathered(heard, {str(top / "new" / "c")})


def test_a_storm_is_a_few_words_and_afterwards_it_hears_again(tmp_path: Path, watching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_EVENTS", 50)
    monkeypatch.setattr(watch, "_DEAF_S", 0.3)
    one, heard = watching(tmp_path)
    for number in range(400):
        (tmp_path / f"f{number}").write_text("x")
    assert heard.get(timeout=10) is None
    while not heard.empty():
        heard.get()
    assert list(one._watched) == [str(tmp_path)]
    time.sleep(0.3)
    (tmp_path / "later").write_text("x")
    assert str(tmp_path / "later") in gathered(heard, {str(tmp_path / "later")})


def test_of_a_large_tree_the_top_and_the_named_folders(tmp_path: Path, watching, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/b", "c", "d"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(watch, "FOLDERS", 3)
    monkeypatch.setattr(watch.moderate, "__defaults__", (3,))
    monkeypatch.setattr(watch, "FEW", 2)
    one, heard = watching(tmp_path)
    assert not one.whole and not one.problem
    one.also([str(tmp_path / "a" / "b" / "x"), str(tmp_path / "c" / "x")])
    (tmp_path / "c" / "x").write_text("beyond what there is room for")
    (tmp_path / "a" / "b" / "x").write_text("1")
    (tmp_path / "y").write_text("1")
    wanted = {str(tmp_path / "a" / "b" / "x"), str(tmp_path / "y")}
    assert gathered(heard, wanted) == wanted


def test_no_watch_left_or_no_folder_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watching) -> None:
    from watchdog.observers.api import BaseObserver

    def refuse(*args: object, **named: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    with monkeypatch.context() as patch:
        patch.setattr(BaseObserver, "schedule", refuse)
        one, _ = watching(tmp_path)
        assert one.problem == "inotify watch limit reached" and not one.whole
    gone, _ = watching(tmp_path / "nowhere")
    assert gone.problem and not gone.whole


def test_stopping_waits_for_nobody(tmp_path: Path, watching) -> None:
    one, _ = watching(tmp_path)
    began = time.monotonic()
    one.stop()
    one.stop()
    assert time.monotonic() - began < 0.5
    until = time.monotonic() + 5
    while any(t.name == "watch" for t in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(t.name == "watch" for t in threading.enumerate())
