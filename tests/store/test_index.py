"""The index of the sessions: what is found, that it keeps up, and that it is only a cache."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time

import pytest

from localagent.errors import StoreError
from localagent.store import finding, index, meta, sessions, transcript
from localagent.values import ToolCall
from tests.store.sessions_support import stored, turn

SESSIONS = int(os.environ.get("LOCALAGENT_SESSIONS", "300"))


def found(words: str) -> list[str]:
    return [hit.row.id for hit in sessions.search(words)]


def test_sessions_are_listed_newest_first_with_what_is_known_of_them() -> None:
    assert sessions.rows() == []
    old = stored("sort  my\nphotos", "and the music", session="20260101-000000-a", folder="/photos")
    new = stored("say hello", session="20260102-000000-b")
    transcript.Transcript("20260103-000000-c").append(turn("c", "never asked")[-1])
    assert [row.id for row in sessions.rows()] == [new, old]
    row = sessions.rows(folder="/photos")[0]
    assert (row.name, row.folder, row.model, row.status) == ("sort my photos", "/photos", "tiny", "done")
    assert (row.requests, row.messages, row.started) == (2, 4, 1_800_000_000.0)
    assert row.size == os.path.getsize(transcript.sessions_dir() / old / "transcript.jsonl")
    assert [row.id for row in sessions.rows(1)] == [new] and sessions.row("c") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Bitte die Steuererklärung für 2025 öffnen", "steuererklarung"),
        ("Bitte die Steuererklärung für 2025 öffnen", "erklärung"),
        ("Größe und Straße", "GRÖSSE".replace("SS", "ß")),
        ("请把下载文件夹整理一下", "文件夹"),
        ("请把下载文件夹整理一下", "整理"),
        ("写 report.pdf 的摘要", "摘要 report"),
        ("¿Dónde está la canción del niño?", "cancion nino"),
        ("レポートを作成", "作成"),
        ("보고서를 정리해 줘", "보고서"),
        ("the file notes-2025_final.txt", "notes-2025_final"),
        ("100% of C:\\temp", "100%"),
        ("run `ls -la`; done", '"ls -la"'),
        ("half a pair \ud83d of letters", "pair letters"),
        ("cafe\u0301 noir", "café"),
        ("a -- b", "--"),
    ],
)
def test_words_of_many_languages_are_found(text: str, words: str) -> None:
    session = stored(text)
    stored("something else", answer="entirely")
    assert found(words) == [session]


@pytest.mark.parametrize(
    "words",
    ["", "   ", '"', '""', "*", "NOT", "a AND", "(", "texts:", "^", "\0", "'; DROP TABLE x", "nowhere " * 500],
)
def test_no_words_break_a_search(words: str) -> None:
    stored("plain request")
    assert found(words) == []


def test_all_words_count_wherever_they_stand_in_a_session() -> None:
    one = stored("book a hotel", answer="The budget is 300.")
    other = stored("book a flight")
    call = ToolCall("call_1", "run", {"command": "rsync --archive src dest"})
    log = transcript.Transcript(other)
    for event in turn(other, "copy it", call=call):
        log.append(event)
    assert found("hotel budget") == [one] and found("rsync") == [other] and found("book") == [other, one]
    assert found("hotel flight") == []
    assert sessions.search("book", limit=1)[0].row.id == other


def test_the_snippet_shows_the_place() -> None:
    stored("x", answer=f"{'before ' * 50}the Übung\n was here {'after ' * 50}")
    snippet = sessions.search("ubung")[0].snippet
    assert "the Übung was here" in snippet and snippet.startswith("…") and snippet.endswith("…") and len(snippet) < 110
    assert finding.snippet("short", ["absent"]) == "short"


def test_a_session_that_grows_is_read_on_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    session = stored("first request")
    assert found("first") == [session]
    taken: list[bytes] = []
    real = index.Gist.take
    monkeypatch.setattr(index.Gist, "take", lambda self, line: (taken.append(line), real(self, line))[1])
    stored("second request", session=session)
    assert found("second") == [session] and found("first") == [session]
    assert len(taken) == 3 and sessions.rows()[0].requests == 2
    # Cut and written anew, it is read from its beginning.
    lines = transcript.sessions_dir() / session / "transcript.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b"first", b"third"))
    os.utime(lines, ns=(1, 1))
    assert found("first") == [] and found("third") == [session]
    lines.write_bytes(lines.read_bytes()[: lines.read_bytes().index(b"second")])
    assert found("second") == [] and found("third") == [session] and sessions.rows()[0].requests == 1


def test_a_title_is_found_and_a_session_that_is_gone_is_not() -> None:
    session = stored("sort the photos")
    meta.rename(session, " Holiday\n 相册 ")
    assert found("holiday") == found("相册") == [session] and sessions.rows()[0].name == "Holiday 相册"
    meta.rename(session, "")
    assert found("holiday") == [] and sessions.rows()[0].name == "sort the photos"
    sessions.remove(session)
    assert found("photos") == [] and sessions.rows() == []
    sessions.restore(session)
    assert found("photos") == [session]


def test_what_cannot_be_read_hides_nothing_else(tmp_path) -> None:
    good = stored("good one")
    folder = transcript.sessions_dir()
    (folder / "20260101-000000-x" / "transcript.jsonl").mkdir(parents=True)
    (folder / "a file").write_text("")
    (folder / "20260101-000000-y").mkdir()
    lines = [b"\xff\xfe", b"[" * 100_000, b"[]", b'{"event":"TurnStarted","message":7}', b'{"event":"FromTheFuture"}', b"{"]
    lines += [b'{"event":"TurnStarted","message":{"parts":[{"text":"odd one"}]},"at":"noon","folder":[],"model":null}']
    (folder / "20260101-000000-y" / "transcript.jsonl").write_bytes(b"\n".join(lines) + b'\n{"event":"TurnEnd')
    (folder / "20260101-000000-y" / "meta.json").write_text('{"title": 3, "origin": [')
    assert [row.id for row in sessions.rows()] == [good, "20260101-000000-y"]
    assert sessions.rows()[1].status == "cut off" and found("odd") == ["20260101-000000-y"]


def test_the_index_is_private_and_made_again_when_it_is_lost_damaged_or_of_another_version() -> None:
    session = stored("keep me")
    assert found("keep") == [session]
    assert stat.S_IMODE(index.path().stat().st_mode) == 0o600
    index.path().unlink()
    assert found("keep") == [session]
    index.path().write_bytes(b"no database at all " * 500)
    assert found("keep") == [session]
    whole = bytearray(index.path().read_bytes())
    whole[4096 : len(whole)] = b"\xaa" * (len(whole) - 4096)
    index.path().write_bytes(whole)
    assert found("keep") == [session]
    with sqlite3.connect(index.path()) as database:
        database.execute("PRAGMA user_version = 99")
    assert found("keep") == [session]
    with sqlite3.connect(index.path()) as database:
        database.execute("DROP TABLE texts")
    assert found("keep") == [session]
    with sqlite3.connect(index.path()) as database:
        database.execute("DELETE FROM texts_content")
    assert found("keep") == [session]
    assert sqlite3.connect(index.path()).execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_where_no_index_can_be_written_one_in_the_memory_serves() -> None:
    session = stored("keep me")
    index.path().mkdir()
    assert found("keep") == [session] and [row.id for row in sessions.rows()] == [session]


def test_without_full_text_search_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "VERSION", -1)
    monkeypatch.setattr(index.Index, "_make", lambda self: self._db.execute("CREATE VIRTUAL TABLE x USING fts99(y)"))
    with pytest.raises(StoreError, match="FTS5"):
        sessions.rows()


def test_many_at_once_find_the_same() -> None:
    folder = transcript.sessions_dir()
    for n in range(60):
        stored(f"request number{n}", session=f"20260101-{n:06}-x")
    results: list[object] = []

    def look() -> None:
        try:
            for n in range(60, 66):
                stored(f"request number{n} {threading.get_ident()}")
                results.append(len(sessions.rows()) >= 61 and len(found("number59")) == 1)
        except Exception as error:  # noqa: BLE001
            results.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert results == [True] * 24
    assert len(sessions.rows()) == 60 + 24 == len(list(folder.iterdir()))


def test_nothing_new_costs_next_to_nothing() -> None:
    count = SESSIONS
    folder = transcript.sessions_dir()
    stored("a request that is in all of them", session="20260101-000000-0")
    whole = (folder / "20260101-000000-0" / "transcript.jsonl").read_bytes()
    for n in range(1, count):
        (folder / f"20260101-000000-{n}").mkdir()
        (folder / f"20260101-000000-{n}" / "transcript.jsonl").write_bytes(whole)
    begun = time.perf_counter()
    assert len(sessions.rows()) == count
    made = time.perf_counter() - begun
    spent = []
    for _ in range(5):
        begun = time.perf_counter()
        index.with_index(lambda _: None)
        spent.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    assert len(sessions.search("request all", limit=50)) == 50
    searched = time.perf_counter() - begun
    told = f"nothing new in {1000 * min(spent):.1f} ms, searched in {1000 * searched:.0f} ms"
    print(f"{count} sessions: made in {made:.2f} s, {told}")
    assert min(spent) < max(0.05, count * 0.00001)
