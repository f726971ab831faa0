"""A file of one's own that is, byte for byte, a model of the catalogue."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from localagent.engine import catalogue, models, reuse
from localagent.engine.base import Sampling
from localagent.engine.judge import Judge
from localagent.store.settings import Settings

TWIN = """
[model.twin]
name = "Twin"
licence = "MIT"
context = 4096
dialect = "coder"
thinks = false
sampling = {{ temperature = 0.5 }}
repository = "me/twin-GGUF"
revision = "main"
file = "twin-{{quant}}.gguf"
quant = "Q8_0"
judge = {{ fits = 1.0, news = 0.1, support = 2.0, named = 1.0, bias = -2.0 }}
memory = {{ kv_per_token = 100, state = 0, compute = 1 }}
[model.twin.quants]
Q8_0 = {{ bytes = {size}, sha256 = "{sha256}" }}
"""
JUDGE = Judge(1.0, 0.1, 2.0, 1.0, -2.0)


@pytest.fixture
def file(dense: str, tmp_path: Path) -> Path:
    """A file of a name that says nothing, and a catalogue that knows its bytes."""
    copy = Path(shutil.copy(dense, tmp_path / "a.gguf"))
    know(copy, hashlib.sha256(copy.read_bytes()).hexdigest())
    return copy


def know(file: Path, sha256: str, more: str = "") -> None:
    catalogue.user_file().write_text(TWIN.format(size=file.stat().st_size, sha256=sha256) + more)


def test_it_is_spoken_to_sampled_and_judged_as_that_model(file: Path) -> None:
    entry, path = models.choose(Settings(), str(file))
    assert (entry.id, entry.path, path) == (str(file), str(file), file)
    assert (entry.dialect, entry.thinks, entry.judge) == ("coder", False, JUDGE)
    assert entry.sampling == Sampling(temperature=0.5) and entry.licence == "MIT"
    assert entry.model_file(file).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert models.choose(Settings(model=str(file)), None)[0] == entry


def test_it_is_hashed_once_and_again_when_it_changes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    real = reuse.hash_file
    monkeypatch.setattr(reuse, "hash_file", lambda path, *more: hashed.append(path) or real(path, *more))
    for _ in range(3):
        assert models.choose(Settings(), str(file))[0].judge == JUDGE
    assert hashed == [file]
    body = bytearray(file.read_bytes())
    body[-1] ^= 1
    file.write_bytes(body)
    os.utime(file, ns=(1, 1))
    changed = models.choose(Settings(), str(file))[0]
    assert hashed == [file] * 2 and (changed.judge, changed.parts[0].sha256) == (None, "")
    assert changed.dialect != "coder"


def test_a_file_of_another_size_is_not_even_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "hash_file", lambda *_: pytest.fail("hashed"))
    with file.open("ab") as end:
        end.write(b"\0" * 32)
    assert models.choose(Settings(), str(file))[0].judge is None


def test_what_a_user_wrote_of_a_file_goes_before(file: Path) -> None:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    know(file, sha256, f'[model.mine]\npath = "{file}"\n[model.other]\npath = "{file}"\ndialect = "hermes"\nthinks = false\n')
    known = catalogue.load()
    # Nobody has looked into it yet, and a list of models is no reason to.
    assert models.whole(known.get("mine"), known, hashing=False).judge is None
    mine, other = models.choose(Settings(), "mine")[0], models.choose(Settings(), "other")[0]
    assert (mine.id, mine.dialect, mine.judge) == ("mine", "coder", JUDGE)
    assert (other.id, other.dialect, other.judge) == ("other", "hermes", JUDGE)
    assert models.whole(known.get("mine"), known, hashing=False) == mine
