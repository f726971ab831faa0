from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from localagent import cli
from localagent.commands import model, pulling
from localagent.engine import catalogue, fetch, reuse
from localagent.errors import DownloadError, ModelMissing
from localagent.store import settings
from localagent.store.settings import Settings

EYES = b"GGUF" + (3).to_bytes(4, "little") + bytes(16) + os.urandom(900)
BODY = b"GGUF" + (3).to_bytes(4, "little") + bytes(16) + os.urandom(5000)


class Hub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        body = EYES if self.path.endswith("mmproj.gguf") else BODY
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def mine() -> None:
    """A small model of the user's own, `mine`, in two quantisations."""
    sha256 = hashlib.sha256(BODY).hexdigest()
    catalogue.user_file().write_text(
        '[model.mine]\nfamily = "qwen2.5-coder"\nrepository = "me/mine"\nrevision = "main"\n'
        'file = "mine-{quant}.gguf"\nquant = "Q4_K_M"\n[model.mine.quants]\n'
        f'Q4_K_M = {{ bytes = {len(BODY)}, sha256 = "{sha256}" }}\nQ8_0 = {{ bytes = 9, sha256 = "{"a" * 64}" }}\n'
    )


def run(*argv: str) -> int:
    return cli.main(["model", *argv])


def own() -> Path:
    return reuse.own_path(catalogue.load().get("mine"), catalogue.load().get("mine").parts[0])


def test_list_shows_models_needs_and_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    out = capsys.readouterr().out
    assert "*  qwen3.5-9b " in out and "5.7 GB" in out and "6.6 GiB" in out
    assert "glm-5" in out and "no key: localagent model key zai" in out
    assert "qwen3.5-9b:q8_0" not in out and "This machine:" in out
    assert run("list", "--all") == 0
    assert "qwen3.5-9b:q8_0" in capsys.readouterr().out


def test_list_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    read = json.loads(capsys.readouterr().out)
    rows = {row["id"]: row for row in read["models"]}
    assert read["machine"]["memory"] > 0 and read["context"] == 16384
    assert rows["qwen3.5-9b"]["in_use"] and rows["qwen3.5-9b"]["needs_bytes"] > rows["qwen3.5-9b"]["bytes"]
    assert rows["kimi-k2.5"]["kind"] == "api" and not rows["mine"]["present"]


def test_a_model_is_pulled_chosen_listed_and_removed(hub: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings.set_value("hub", hub)
    assert run("pull", "mine") == 0
    shown = capsys.readouterr()
    assert f"mine is ready: {own()}" in shown.out and "It is now the model in use" in shown.out
    assert "Downloading mine" in shown.err
    assert own().read_bytes() == BODY and settings.load().model == "mine"
    assert run("list") == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if " mine " in line)
    assert row.startswith("*") and " here" in row
    assert run("rm", "mine") == cli.Exit.USAGE and own().exists()
    assert "Add --yes" in capsys.readouterr().err
    assert run("rm", "mine", "--yes") == 0 and not own().exists()
    assert run("rm", "mine", "--yes") == cli.Exit.MODEL


def test_the_file_with_which_a_model_sees_comes_along_and_goes_with_the_last_of_it(
    hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.set_value("hub", hub)
    eyes = f'projector = {{ file = "mmproj.gguf", bytes = {len(EYES)}, sha256 = "{hashlib.sha256(EYES).hexdigest()}" }}\n'
    text = catalogue.user_file().read_text().replace("[model.mine.quants]", eyes + "[model.mine.quants]")
    catalogue.user_file().write_text(text)
    entry = catalogue.load().get("mine")
    assert run("pull", "mine") == 0 and "mine, its eyes" in capsys.readouterr().err
    found = reuse.projector(entry)
    assert found == own().with_name("mmproj.gguf") and found.read_bytes() == EYES
    assert run("info", "mine", "--json") == 0 and json.loads(capsys.readouterr().out)["projector"] == str(found)
    # It came with a model that was here already, too; and a model without it is a model all the same.
    found.unlink()
    catalogue.user_file().write_text(text.replace(hashlib.sha256(EYES).hexdigest(), "b" * 64))
    assert run("pull", "mine") == 0
    assert "not the file with which it sees pictures" in capsys.readouterr().err and not found.exists()
    catalogue.user_file().write_text(text)
    assert run("pull", "mine") == 0 and found.exists()
    assert run("rm", "mine", "--yes") == 0 and not found.exists() and not own().exists()


def test_a_file_of_the_users_is_used_and_never_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "some name.gguf"
    file.write_bytes(BODY)
    assert run("pull", "mine", "--from", str(tmp_path)) == 0
    assert f"mine is used from {file}" in capsys.readouterr().out
    assert run("rm", "mine") == 0
    assert "belongs to another program" in capsys.readouterr().out and file.exists()
    assert reuse.installed(catalogue.load().get("mine")) is None
    assert run("pull", "mine:q8_0", "--from", str(file)) == cli.Exit.MODEL


def test_use_writes_the_settings_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("use", "STARTER") == 0
    shown = capsys.readouterr()
    assert settings.load().model == "starter" and "model pull starter" in shown.err
    assert run("use", "strater") == cli.Exit.USAGE
    assert "Did you mean starter?" in capsys.readouterr().err
    assert run("use", str(tmp_path / "none.gguf")) == cli.Exit.MODEL
    assert settings.load().model == "starter"
    assert run("use", "glm-5") == 0
    err = capsys.readouterr().err
    assert "api.z.ai: what you write" in err and "localagent model key zai" in err


def test_info_shows_the_computation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info") == 0
    out = capsys.readouterr().out
    assert "qwen3.5-9b" in out and "Apache-2.0" in out and "03b74727" in out
    assert "file 5.3 + context 0.5" in out and "qwen3.5-9b:q5_k_m" in out
    assert run("info", "glm-5", "--json") == 0
    assert json.loads(capsys.readouterr().out)["base_url"].startswith("https://")


def test_a_broken_catalogue_and_broken_settings_are_configuration_errors(capsys: pytest.CaptureFixture[str]) -> None:
    catalogue.user_file().write_text("[model.x]\nfoo = 1\n")
    assert run("list") == cli.Exit.CONFIG
    assert f"{catalogue.user_file()}:2: model.x.foo" in capsys.readouterr().err
    settings.path().write_text("mode: maybe\n")
    assert run("list") == cli.Exit.CONFIG


def test_a_hub_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    soon = fetch.Patience(connect_s=1, stall_s=1, tries=2, first_wait_s=0.01)
    monkeypatch.setattr(fetch, "Patience", lambda: soon)
    settings.set_value("hub", "http://127.0.0.1:9")
    assert run("pull", "mine") == cli.Exit.MODEL
    assert "127.0.0.1:9 cannot be used" in capsys.readouterr().err


# ---------------------------------------------------------------- what `do` asks


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_person_is_offered_the_default_and_the_starter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(pulling, "fetch", lambda entry, chosen: fetched.append(entry.id) or Path("/m.gguf"))
    answers(monkeypatch, "2\n")
    entry, path = model.offer(catalogue.load().get("qwen3.5-9b"), Settings())
    assert (entry.id, path) == ("starter", Path("/m.gguf")) and fetched == ["starter"]
    err = capsys.readouterr().err
    assert "5.7 GB" in err and "1.1 GB" in err and settings.load().model == "starter"


def test_with_nobody_there_the_commands_that_help_are_named(isolated: Path) -> None:
    entry = catalogue.load().get("qwen3.5-9b")
    with pytest.raises(ModelMissing, match=r"model pull qwen3\.5-9b.*model pull starter"):
        model.obtain(entry, Settings(), pull=False, person=False)
    file = isolated / ".lmstudio" / "models" / "x.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    mine = catalogue.load().get("mine")
    assert model.obtain(mine, Settings(), pull=False, person=False) == (mine, file)


def test_enter_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("\n", "", "3\n", "yes\n"):
        answers(monkeypatch, text)
        with pytest.raises(ModelMissing):
            model.offer(catalogue.load().get("qwen3.5-9b"), Settings())


def test_when_the_hub_fails_the_starter_is_offered_and_never_taken_silently(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(entry: catalogue.Entry, chosen: Settings) -> Path:
        if entry.id != "starter":
            raise DownloadError("The hub cannot be reached.")
        return Path("/s.gguf")

    monkeypatch.setattr(pulling, "fetch", failing)
    answers(monkeypatch, "1\nn\n")
    with pytest.raises(DownloadError):
        model.offer(catalogue.load().get("qwen3.5-9b"), Settings(model="qwen3.5-9b"))
    answers(monkeypatch, "1\ny\n")
    entry, _ = model.offer(catalogue.load().get("qwen3.5-9b"), Settings(model="qwen3.5-9b"))
    assert entry.id == "starter" and settings.load().model is None
    assert "The hub cannot be reached." in capsys.readouterr().err


def test_progress_is_plain_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(pulling.time, "monotonic", lambda: clock[0])
    with pulling.Bar("mine") as bar:
        bar(1_000_000, 10_000_000)
        clock[0] += 6
        bar(4_000_000, 10_000_000)
        clock[0] += 1
        bar(5_000_000, 10_000_000)
        clock[0] += 5
        bar(10_000_000, 10_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["mine   40%  4.0 MB of 10.0 MB  500 kB/s  12 s left", "mine  100%  10.0 MB of 10.0 MB"]


def test_pull_tells_programs_how_far_it_is(hub: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings.set_value("hub", hub)
    assert run("pull", "mine", "--json") == 0
    shown = capsys.readouterr()
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert lines[-2] == {"what": "downloading", "done": len(BODY), "total": len(BODY)}
    assert lines[-1] == {"what": "ready", "path": str(own())} and "now the model in use" in shown.err
    own().unlink()
    settings.set_value("hub", "http://127.0.0.1:9")
    catalogue.user_file().write_text(catalogue.user_file().read_text().replace("me/mine", "me/gone"))
    assert run("pull", "glm-5", "--json") == cli.Exit.USAGE
    failed = json.loads(capsys.readouterr().out)
    assert failed["what"] == "failed" and failed["kind"] == "usage" and "hosted" in failed["message"]


def test_a_download_ends_with_the_input_of_whoever_started_it(hub: str, tmp_path: Path) -> None:
    class Slow(Hub):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY[:1000])
            self.wfile.flush()
            ended.wait(20)

    ended = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    settings.set_value("hub", f"http://127.0.0.1:{server.server_address[1]}")
    argv = [sys.executable, "-P", "-m", "localagent", "model", "pull", "mine", "--json", "--while-open"]
    root = str(Path(model.__file__).resolve().parents[2])
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": root}
    ) as child:
        assert child.stdin and child.stdout
        assert json.loads(child.stdout.readline())["what"] == "downloading"
        part, end = own().with_name(own().name + ".part"), time.monotonic() + 10
        while part.stat().st_size < 1000 and time.monotonic() < end:
            time.sleep(0.02)
        child.stdin.close()
        assert child.wait(10) == cli.Exit.INTERRUPTED
    ended.set()
    server.shutdown()
    server.server_close()
    # What has come is kept, and the next one goes on from there.
    assert part.stat().st_size == 1000
    settings.set_value("hub", hub)
    assert run("pull", "mine") == 0 and own().read_bytes() == BODY
