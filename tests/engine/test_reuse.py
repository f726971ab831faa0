from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from localagent.engine import reuse
from localagent.engine.catalogue import Entry, Part
from localagent.errors import ModelError, ModelMissing

BODY = b"GGUF" + os.urandom(5000)


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def entry(*bodies: bytes) -> Entry:
    contents = bodies or (BODY,)
    names = ["m.gguf"] if len(contents) == 1 else [f"m-{n:05d}-of-{len(contents):05d}.gguf" for n in range(1, 9)]
    parts = tuple(Part(name, len(body), sha(body)) for name, body in zip(names, contents, strict=False))
    return Entry(id="mine", name="Mine", repository="me/mine-GGUF", revision="abc", parts=parts)


def put(file: Path, body: bytes = BODY) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)
    return file


def test_nothing_is_here_at_first() -> None:
    assert reuse.installed(entry()) is None and reuse.search(entry()) is None and reuse.damage(entry()) == ""


@pytest.mark.parametrize(
    "place",
    [
        f".cache/huggingface/hub/models--me--mine-GGUF/blobs/{sha(BODY)}",
        f".cache/huggingface/hub/models--other--fork/blobs/{sha(BODY)}",
        ".cache/huggingface/hub/models--me--mine-GGUF/snapshots/abc/m.gguf",
        f".ollama/models/blobs/sha256-{sha(BODY)}",
        ".lmstudio/models/me/mine/other-name.gguf",
        ".cache/llama.cpp/me_mine_m.gguf",
    ],
    ids=["hub", "fork", "snapshot", "ollama", "lm-studio", "llama.cpp"],
)
def test_files_of_other_programs_are_found_and_used_in_place(isolated: Path, place: str) -> None:
    file = put(isolated / place)
    assert reuse.search(entry()) == file
    assert reuse.installed(entry()) == file
    assert not reuse.own_path(entry(), entry().parts[0]).exists()


def test_folders_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    file = put(tmp_path / "hub" / "models--x--y" / "blobs" / sha(BODY))
    assert reuse.search(entry()) == file


def test_a_name_alone_is_never_believed(isolated: Path) -> None:
    put(isolated / ".lmstudio/models/me/mine/m.gguf", BODY[:-1])
    put(isolated / ".lmstudio/models/me/same-size/m.gguf", bytes(len(BODY)))
    put(isolated / f".ollama/models/blobs/sha256-{sha(BODY)}", b"x" * len(BODY))
    assert reuse.search(entry()) is None


def test_the_record_saves_the_second_hash_and_dies_with_a_change(
    isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put(isolated / ".lmstudio/models/a/b/m.gguf")
    assert reuse.search(entry()) == file
    hashed: list[Path] = []
    real = reuse.hash_file
    monkeypatch.setattr(reuse, "hash_file", lambda path, *more: hashed.append(path) or real(path, *more))
    assert reuse.installed(entry()) == file and hashed == []
    file.write_bytes(bytes(len(BODY)))
    assert reuse.installed(entry()) is None and hashed == [file]
    file.unlink()
    assert reuse.installed(entry()) is None
    put(isolated / "other.gguf")
    reuse.adopt(entry(), isolated / "other.gguf")
    records = json.loads((reuse.folder() / "index.json").read_text())
    assert list(records) == [str(isolated / "other.gguf")]


def test_a_broken_record_costs_a_hash_and_nothing_else(isolated: Path) -> None:
    for broken in (b"{", b"[]", b'{"a": 1}', b"\xff"):
        (reuse.folder() / "index.json").write_bytes(broken)
        file = put(isolated / ".lmstudio/models/a/b/m.gguf")
        assert reuse.search(entry()) == file


def test_the_pieces_of_a_split_model_must_stand_together(isolated: Path) -> None:
    split = entry(BODY, BODY[:3000])
    place = isolated / ".lmstudio/models/a/b"
    first = put(place / "m-00001-of-00002.gguf")
    assert reuse.search(split) is None
    put(place / "m-00002-of-00002.gguf", BODY[:3000])
    assert reuse.search(split) == first == reuse.installed(split)


def test_a_file_or_folder_the_user_names(tmp_path: Path) -> None:
    file = put(tmp_path / "deep" / "er" / "any name.gguf")
    assert reuse.adopt(entry(), tmp_path) == file
    assert reuse.adopt(entry(), file) == file
    with pytest.raises(ModelMissing, match="no file"):
        reuse.adopt(entry(), tmp_path / "none")
    with pytest.raises(ModelMissing, match="No file in"):
        reuse.adopt(entry(BODY[:100]), tmp_path)
    other = put(tmp_path / "other.gguf", bytes(len(BODY)))
    with pytest.raises(ModelError, match="is not mine"):
        reuse.adopt(entry(), other)


def test_our_own_damaged_file_is_named() -> None:
    file = put(reuse.own_path(entry(), entry().parts[0]), BODY[:100])
    assert reuse.installed(entry()) is None
    assert reuse.damage(entry()) == f"{file} has 100 bytes instead of {len(BODY):,}"
    put(file, bytes(len(BODY)))
    assert "sha256" in reuse.damage(entry())
