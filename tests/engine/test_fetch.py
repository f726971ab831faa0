"""Against a real HTTP server on loopback that misbehaves as told."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from localagent.engine import fetch, machine, reuse
from localagent.engine.catalogue import Entry, Part
from localagent.engine.fetch import Patience
from localagent.engine.partial import part_path
from localagent.errors import DownloadError, StoreError, UsageError
from localagent.store.settings import Settings

BODY = b"GGUF" + (3).to_bytes(4, "little") + bytes(16) + os.urandom(300_000)
SOON = Patience(connect_s=2, stall_s=0.4, tries=3, first_wait_s=0.01, longest_wait_s=0.3)

Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.seen.append(dict(self.headers))
        act = self.server.script.pop(0) if self.server.script else good
        act(self)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    @property
    def start(self) -> int:
        wanted = self.headers.get("Range")
        return int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0

    @property
    def content(self) -> bytes:
        return self.server.files.get(self.path, BODY)

    def log_message(self, *_: object) -> None:
        pass


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Act] = []
        self.asked: list[tuple[str, str | None]] = []
        self.seen: list[dict[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.released = threading.Event()

    def handle_error(self, *_: object) -> None:
        pass

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def good(handler: Handler) -> None:
    body, start = handler.content, handler.start
    if start >= len(body):
        handler.answer(416)
    elif start:
        handler.answer(206, body[start:], Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
    else:
        handler.answer(200, body)


def ignores_range(handler: Handler) -> None:
    handler.answer(200, handler.content)


def cuts(share: float) -> Act:
    """Promises everything and closes early."""

    def act(handler: Handler) -> None:
        body = handler.content[handler.start :]
        handler.send_response(206 if handler.start else 200)
        handler.send_header("Content-Length", str(len(body)))
        if handler.start:
            total = len(handler.content)
            handler.send_header("Content-Range", f"bytes {handler.start}-{total - 1}/{total}")
        handler.end_headers()
        handler.wfile.write(body[: int(len(body) * share)])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.close()

    return act


def stalls(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(handler.content)))
    handler.end_headers()
    handler.wfile.write(handler.content[:1000])
    handler.wfile.flush()
    handler.server.released.wait(5)


def status(code: int, **headers: str) -> Act:
    return lambda handler: handler.answer(code, b"no", **headers)


def sends(body: bytes, code: int = 200, **headers: str) -> Act:
    return lambda handler: handler.answer(code, body, **headers)


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def entry(*bodies: bytes) -> Entry:
    contents = bodies or (BODY,)
    names = ["m.gguf"] if len(contents) == 1 else [f"q/m-{n:05d}-of-{len(contents):05d}.gguf" for n in range(1, 9)]
    parts = tuple(
        Part(name, len(body), hashlib.sha256(body).hexdigest()) for name, body in zip(names, contents, strict=False)
    )
    return Entry(id="mine:q8", name="Mine", repository="me/mine", revision="abc", parts=parts)


def pull(hub: Hub, wanted: Entry | None = None, **more: object) -> Path:
    return fetch.pull(wanted or entry(), settings=Settings(hub=hub.url), patience=SOON, **more)  # type: ignore[arg-type]


def target() -> Path:
    return reuse.own_path(entry(), entry().parts[0])


def leave(rest: bytes) -> None:
    target().parent.mkdir(parents=True)
    part_path(target()).write_bytes(rest)


# ---------------------------------------------------------------- the good case


def test_a_file_arrives_whole_and_is_known_from_then_on(hub: Hub) -> None:
    told: list[tuple[int, int]] = []
    path = pull(hub, progress=lambda done, total: told.append((done, total)))
    assert path == target() and path.read_bytes() == BODY
    assert hub.asked == [("/me/mine/resolve/abc/m.gguf", None)]
    assert hub.seen[0]["Accept-Encoding"] == "identity"
    assert told[0][0] == 0 and told[-1] == (len(BODY), len(BODY)) and told == sorted(told)
    assert not part_path(path).exists()
    assert reuse.installed(entry()) == path
    assert pull(hub) == path and len(hub.asked) == 1


def test_a_split_model_is_fetched_piece_by_piece(hub: Hub) -> None:
    first, second = BODY[:5000], BODY[:9000]
    hub.files = {f"/me/mine/resolve/abc/q/m-0000{n}-of-00002.gguf": body for n, body in ((1, first), (2, second))}
    told: list[int] = []
    path = pull(hub, entry(first, second), progress=lambda done, _: told.append(done))
    assert path.name == "m-00001-of-00002.gguf" and path.read_bytes() == first
    assert path.with_name("m-00002-of-00002.gguf").read_bytes() == second
    assert told == sorted(told) and told[-1] == 14000


def test_redirects_are_followed_and_the_token_stays_with_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    other = hub.url.replace("127.0.0.1", "localhost")
    hub.script = [status(302, Location=f"{other}/cdn/x")]
    assert pull(hub).read_bytes() == BODY
    assert hub.seen[0]["Authorization"] == "Bearer secret"
    assert "Authorization" not in hub.seen[1]


def test_modelscope_is_another_source(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MODELSCOPE", f"{hub.url}/models")
    assert pull(hub, source="modelscope").read_bytes() == BODY
    assert hub.asked[0][0] == "/models/me/mine/resolve/master/m.gguf"


# ---------------------------------------------------------------- resuming


def test_a_cut_download_goes_on_where_it_stopped(hub: Hub) -> None:
    hub.script = [cuts(0.5), cuts(0.5)]
    assert pull(hub).read_bytes() == BODY
    starts = [asked for _, asked in hub.asked]
    assert starts[0] is None and all(start is not None for start in starts[1:])


def test_the_rest_of_an_earlier_run_is_used(hub: Hub) -> None:
    leave(BODY[:100_000])
    assert pull(hub).read_bytes() == BODY
    assert hub.asked == [("/me/mine/resolve/abc/m.gguf", "bytes=100000-")]


def test_a_server_that_ignores_range_starts_again_cleanly(hub: Hub) -> None:
    leave(BODY[:100_000])
    hub.script = [ignores_range]
    assert pull(hub).read_bytes() == BODY


def test_an_answer_with_another_range_is_not_appended(hub: Hub) -> None:
    leave(BODY[:100_000])
    hub.script = [sends(BODY[5:], 206, Content_Range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}")]
    assert pull(hub).read_bytes() == BODY


def test_a_rest_of_something_else_costs_one_more_download(hub: Hub) -> None:
    leave(b"GGUF" + b"x" * 100_000)
    assert pull(hub).read_bytes() == BODY
    assert [start for _, start in hub.asked] == ["bytes=100004-", None]


@pytest.mark.parametrize("rest", [BODY, BODY + b"more", b"x" * len(BODY), b""])
def test_any_rest_ends_in_the_right_file(hub: Hub, rest: bytes) -> None:
    leave(rest)
    assert pull(hub).read_bytes() == BODY


def test_a_stalled_server_is_left_and_asked_again(hub: Hub) -> None:
    hub.script = [stalls]
    assert pull(hub).read_bytes() == BODY
    assert hub.asked[1][1] == "bytes=1000-"


def test_a_server_that_only_stalls_ends_with_what_is_kept(hub: Hub) -> None:
    hub.script = [stalls, stalls, *[cuts(0)] * 9]
    with pytest.raises(DownloadError, match=r"broke off.*are kept; run it again"):
        pull(hub)
    assert not target().exists() and part_path(target()).stat().st_size > 0


# ---------------------------------------------------------------- refusals


def test_busy_servers_are_asked_again_when_they_say(hub: Hub) -> None:
    hub.script = [status(429, Retry_After="0"), status(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")]
    assert pull(hub).read_bytes() == BODY
    hub.script = [status(500), status(429, Retry_After="soon")]
    other = BODY[:5000]
    hub.files = {"/me/mine/resolve/abc/m.gguf": other}
    assert pull(hub, entry(other)).read_bytes() == other


def test_a_server_that_stays_busy_ends_with_a_sentence(hub: Hub) -> None:
    hub.script = [status(429, Retry_After="9999")] * 9
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"busy \(429\)"):
        pull(hub)
    assert time.monotonic() - began < 5
    assert len(hub.asked) == SOON.tries


@pytest.mark.parametrize(
    ("code", "says"),
    [(401, "HF_TOKEN"), (403, "Accept the model's terms"), (404, "no such file"), (418, "answered 418")],
)
def test_a_refusal_is_final_and_names_the_next_step(hub: Hub, code: int, says: str) -> None:
    hub.script = [status(code)] * 9
    with pytest.raises(DownloadError, match=says) as caught:
        pull(hub)
    assert caught.value.hint and len(hub.asked) == 1
    assert list(target().parent.glob("m.gguf*")) == []


def test_a_hub_that_cannot_be_reached(hub: Hub) -> None:
    settings = Settings(hub="http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"127.0.0.1:9 cannot be used.*--source modelscope.*HF_ENDPOINT"):
        fetch.pull(entry(), settings=settings, patience=SOON)


# ---------------------------------------------------------------- wrong bytes


def test_wrong_bytes_are_thrown_away_and_never_get_the_name(hub: Hub) -> None:
    hub.script = [sends(b"GGUF" + b"x" * (len(BODY) - 4))] * 9
    with pytest.raises(DownloadError, match="sha256"):
        pull(hub)
    assert list(target().parent.glob("m.gguf*")) == [] and len(hub.asked) == 1


def test_another_size_is_refused_before_anything_is_read(hub: Hub) -> None:
    hub.script = [sends(BODY + b"x")]
    with pytest.raises(DownloadError, match="instead of"):
        pull(hub)


def test_a_web_page_is_recognised(hub: Hub) -> None:
    def page(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"<html>" + b" " * 1000)

    hub.script = [page]
    with pytest.raises(DownloadError, match="a web page instead"):
        pull(hub)


def test_more_bytes_than_promised_are_refused(hub: Hub) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY + b"x" * 100_000)

    hub.script = [endless]
    with pytest.raises(DownloadError, match="more came"):
        pull(hub)
    assert not target().exists()


def test_a_file_with_a_broken_header_never_gets_the_name(hub: Hub) -> None:
    body = b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16 + b"x" * 100
    hub.files = {"/me/mine/resolve/abc/m.gguf": body}
    with pytest.raises(Exception, match="damaged GGUF"):
        pull(hub, entry(body))
    assert not target().exists()


# ---------------------------------------------------------------- the disk


def test_too_little_disk_is_said_before_the_first_byte(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "disk_free", lambda _: 1000)
    with pytest.raises(StoreError, match=r"1\.0 kB free.*LOCALAGENT_DATA_DIR"):
        pull(hub)
    assert hub.asked == []


def test_a_disk_that_fills_up_keeps_the_rest_and_goes_on_later(hub: Hub) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (123_456, limit[1]))
    try:
        with pytest.raises(StoreError, match=r"disk is full: 123,456 of .* are kept.*Free"):
            pull(hub)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert part_path(target()).stat().st_size == 123_456 and not target().exists()
    assert pull(hub).read_bytes() == BODY
    assert hub.asked[-1][1] == "bytes=123456-"


def test_a_really_full_disk(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user cannot mount a small disk")
    try:
        monkeypatch.setenv("LOCALAGENT_DATA_DIR", str(disk / "data"))
        monkeypatch.setattr(machine, "disk_free", lambda _: 0)
        with pytest.raises(StoreError, match="disk is full"):
            pull(hub)
        assert not target().exists() and part_path(target()).stat().st_size > 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_written(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOCALAGENT_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="LOCALAGENT_DATA_DIR"):
        pull(hub)


# ---------------------------------------------------------------- two at once, and interruption


def test_two_at_once_download_once(hub: Hub) -> None:
    def slowly(handler: Handler) -> None:
        time.sleep(0.3)
        good(handler)

    hub.script = [slowly]
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(pull(hub))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [target()] * 3 and len(hub.asked) == 1


def test_an_interrupted_download_keeps_its_rest(hub: Hub) -> None:
    def stop(done: int, _: int) -> None:
        if done > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(hub, progress=stop)
    kept = part_path(target()).read_bytes()
    assert len(kept) > 50_000 and BODY.startswith(kept) and not target().exists()
    assert pull(hub).read_bytes() == BODY


def test_a_killed_download_leaves_no_whole_file(hub: Hub) -> None:
    hub.script = [stalls]
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from localagent.engine import fetch; from localagent.engine.catalogue import *\n"
        "from localagent.store.settings import Settings\n"
        f"e = Entry(id='mine', name='', repository='me/mine', revision='abc', parts=({entry().parts[0]!r},))\n"
        "fetch.pull(e, settings=Settings(hub=sys.argv[1]), patience=fetch.Patience(stall_s=60))"
    )
    root = str(Path(__file__).resolve().parents[2])
    child = subprocess.Popen([sys.executable, "-c", code, hub.url, root])
    rest = part_path(target())
    deadline = time.monotonic() + 10
    while not (rest.exists() and rest.stat().st_size == 1000) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert not target().exists() and rest.stat().st_size == 1000
    assert pull(hub).read_bytes() == BODY


def test_what_cannot_be_fetched_is_said() -> None:
    with pytest.raises(UsageError, match="file of your own"):
        fetch.pull(Entry(id="x", name="x", path="/x.gguf"), settings=Settings())
    with pytest.raises(UsageError, match="Its sources are: hub, modelscope"):
        fetch.pull(entry(), settings=Settings(), source="index")


def test_whether_a_server_answers_at_all(hub: Hub) -> None:
    assert fetch.unreachable(hub.url) is None
    assert fetch.unreachable("http://127.0.0.1:9", 1)
