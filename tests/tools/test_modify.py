# ruff: noqa: RUF001
"""Writing, editing, moving, copying, making folders, deleting: what is requested and what is told."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from localagent import Copy, Edit, MakeFolder, Move, Result, ToolError, Trash, Write


def touch(here: Path, *names: str) -> None:
    for name in names:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if not name.endswith("/") else path.mkdir(exist_ok=True)


def moves(result: Result) -> list[tuple[str, str]]:
    return [(str(one.path), str(one.destination)) for one in result.requests if isinstance(one, Move | Copy)]


# ---------------------------------------------------------------- write_file


def test_writing_a_new_file_and_replacing_one(here: Path, modify: ModuleType) -> None:
    made = modify.write_file(Path("a b.txt"), "one\ntwo")
    assert made == Result("Wrote a b.txt (2 lines).", [Write(Path("a b.txt"), b"one\ntwo")])
    (here / "a b.txt").write_text("old")
    assert modify.write_file(Path("a b.txt"), "one\n").text == "Replaced the content of a b.txt (1 line)."
    assert modify.write_file(Path("a b.txt"), "old") == Result("a b.txt already has exactly this content.")
    touch(here, "d/")
    with pytest.raises(ToolError, match=r"d/ is a folder. Give the path of a file in it"):
        modify.write_file(Path("d"), "x")


# ---------------------------------------------------------------- edit_file


def edited(modify: ModuleType, content: str | bytes, old: str, new: str) -> tuple[bytes, str]:
    Path("f.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    result = modify.edit_file(Path("f.txt"), old, new)
    (edit,) = result.requests
    assert isinstance(edit, Edit)
    assert edit.before == Path("f.txt").read_bytes()
    return bytes(edit.content), result.text


@pytest.mark.parametrize(
    ("content", "old", "new", "made", "told"),
    [
        ("a: 1\nb: 2\n", "b: 2", "b: 3", "a: 1\nb: 3\n", "line 2."),
        ("port: 8080\nmax: 80800\n", "8080", "9090", "port: 9090\nmax: 80800\n", "line 1."),
        ("x80\n", "80", "90", "x90\n", "line 1."),
        ("Acme. Acme\nAcme's", "Acme", "Globex", "Globex. Globex\nGlobex's", "3 places (lines 1, 1, 2)."),
        ("a\r\nb\r\nc", "a\nb", "x\ny", "x\r\ny\r\nc", "line 1."),
        ("a\r\nb\r\n", "a\r\n", "z\r\n", "z\r\nb\r\n", "line 1."),
        (
            "if x:\n    go()  \n    stop()\n",
            "go()\nstop()",
            "run()\nhalt()",
            "if x:\n    run()\n    halt()\n",
            "line 2.",
        ),
        ("    a\n    b\n", "  a\n  b", "  c\n    d", "    c\n      d\n", "line 1."),
        ("one\ntwo\n", "two\n", "", "one\n", "line 2."),
        (b"\xef\xbb\xbfhi\n", "hi", "ho", b"\xef\xbb\xbfho\n", "line 1."),
        ("wide\n".encode("utf-16"), "wide", "höh", "höh\n".encode("utf-16"), "line 1."),
        ("caf\xe9 x".encode("latin-1"), "x", "ü", "caf\xe9 ü".encode("latin-1"), "line 1."),
    ],
)
def test_the_text_is_replaced_and_everything_else_stays(
    here: Path, modify: ModuleType, content: str | bytes, old: str, new: str, made: str | bytes, told: str
) -> None:
    data, text = edited(modify, content, old, new)
    assert data == (made.encode() if isinstance(made, str) else made)
    assert text == f"Replaced the text in f.txt, {told}"


def test_a_text_that_is_not_there_is_answered_with_the_nearest_lines(here: Path, modify: ModuleType) -> None:
    (here / "f.txt").write_text("server:\n  host: localhost\n  port: 8080\n")
    with pytest.raises(ToolError) as caught:
        modify.edit_file(Path("f.txt"), "port = 8080", "port = 9090")
    assert str(caught.value).startswith("'port = 8080' is not in f.txt. The nearest lines are:")
    assert "3:   port: 8080" in str(caught.value)
    assert str(caught.value).endswith("Call edit_file again with 'old' as it is in the file, for example 'port: 8080'.")
    (here / "f.txt").write_text("x\n    a\nx\n  a\n")
    with pytest.raises(ToolError):
        modify.edit_file(Path("f.txt"), " a ", "b")


def test_an_edit_that_is_done_already_says_so(here: Path, modify: ModuleType) -> None:
    (here / "f.txt").write_text("version: 2\n")
    assert modify.edit_file(Path("f.txt"), "version: 1", "version: 2") == Result(
        "f.txt already contains the new text; nothing was changed."
    )


def test_edits_that_cannot_be(here: Path, modify: ModuleType) -> None:
    touch(here, "e.txt", "d/")
    (here / "b.bin").write_bytes(b"\0\1")
    (here / "l.txt").write_bytes(b"caf\xe9")
    for path, old, new, told in [
        ("nowhere.txt", "a", "b", "does not exist"),
        ("e.txt", "a", "b", "The file is empty; use write_file"),
        ("b.bin", "a", "b", "not a text file"),
        ("d", "a", "b", r"d/ is a folder. Give a file, or a pattern such as d/\*.txt"),
        ("e.txt", "", "b", "write_file"),
        ("e.txt", "a", "a", "the same"),
        ("l.txt", "caf", "日", "Latin-1"),
    ]:
        with pytest.raises(ToolError, match=told):
            modify.edit_file(Path(path), old, new)


def test_a_pattern_edits_every_file_that_has_the_text(here: Path, modify: ModuleType) -> None:
    for name in ("docs/a.md", "docs/deep/b.md", "docs/c.md", "docs/d.txt"):
        touch(here, name)
        (here / name).write_text("nothing" if name.endswith("c.md") else "Acme here")
    result = modify.edit_file(Path("docs/**/*.md"), "Acme", "Globex")
    assert [str(edit.path) for edit in result.requests] == ["docs/a.md", "docs/deep/b.md"]
    assert result.text.startswith("Changed 2 of 3 files:\nReplaced the text in docs/a.md, line 1.")
    with pytest.raises(ToolError, match="None of the 3 files contains 'Zeta'"):
        modify.edit_file(Path("docs/**/*.md"), "Zeta", "x")


# ---------------------------------------------------------------- move_file, copy_file


@pytest.mark.parametrize(
    ("source", "destination", "made", "told"),
    [
        ("a.txt", "b.txt", [("a.txt", "b.txt")], "Renamed a.txt to b.txt."),
        ("a.txt", "new/b.txt", [("a.txt", "new/b.txt")], "Moved a.txt to new/b.txt."),
        ("a.txt", "folder", [("a.txt", "folder/a.txt")], "Moved a.txt to folder/a.txt."),
        ("a.txt", "folder/", [("a.txt", "folder/a.txt")], "Moved a.txt to folder/a.txt."),
        ("a.txt", "archive", [("a.txt", "archive/a.txt")], "Moved a.txt to archive/a.txt."),
        ("a.txt", "archive/", [("a.txt", "archive/a.txt")], "Moved a.txt to archive/a.txt."),
        ("a.txt", "a", [("a.txt", "a")], "Renamed a.txt to a."),
        ("a.txt", ".a", [("a.txt", ".a")], "Renamed a.txt to .a."),
        ("Makefile", "build", [("Makefile", "build")], "Renamed Makefile to build."),
        ("folder", "other", [("folder", "other")], "Renamed folder/ to other."),
        ("*.png", "p", [("x y.png", "p/x y.png"), ("z.png", "p/z.png")], "Moved 2 files into p/: x y.png, z.png."),
        ("*.{png,txt}", "all/", [("x y.png", "all/x y.png"), ("z.png", "all/z.png"), ("a.txt", "all/a.txt")], None),
        ("a.txt, z.png", "folder", [("a.txt", "folder/a.txt"), ("z.png", "folder/z.png")], None),
        ("a.txt z.png", "folder", [("a.txt", "folder/a.txt"), ("z.png", "folder/z.png")], None),
        ("*.png", "*.jpg", [("x y.png", "x y.jpg"), ("z.png", "z.jpg")], "Renamed 2 files: x y.jpg, z.jpg."),
        ("folder/*.log", "folder/*.txt", [("folder/q.log", "folder/q.txt")], None),
        ("folder/*", ".", [("folder/q.log", "q.log")], "Moved folder/q.log to q.log."),
    ],
)  # fmt: skip
def test_moving(
    here: Path, modify: ModuleType, source: str, destination: str, made: list[tuple[str, str]], told: str | None
) -> None:
    touch(here, "a.txt", "x y.png", "z.png", "Makefile", "folder/q.log")
    result = modify.move_file(source, destination)
    assert moves(result) == made
    assert all(isinstance(one, Move) for one in result.requests)
    if told is not None:
        assert result.text == told


def test_copying_is_told_as_copying(here: Path, modify: ModuleType) -> None:
    touch(here, "a.txt")
    result = modify.copy_file("a.txt", "b.txt")
    assert (result.requests, result.text) == ([Copy(Path("a.txt"), Path("b.txt"))], "Copied a.txt to b.txt.")


def test_moves_that_cannot_be(here: Path, modify: ModuleType) -> None:
    touch(here, "a.txt", "b.txt", "d/a.txt", "e/a.txt", "full/a.txt")
    for source, destination, told in [
        ("nowhere.txt", "b", "nowhere.txt does not exist. In this folder there is: a.txt, b.txt, d/"),
        ("a.tx", "b", "Did you mean a.txt"),
        ("*.zip", "b", r"Nothing matches '\*.zip'. In this folder there is"),
        ("a.txt", "b.txt", "b.txt already exists. Trash it first"),
        ("a.txt", "full", "full/a.txt already exists"),
        ("*.txt", "a.txt", "a.txt is a file, not a folder"),
        ("?/a.txt", "new", "Two of these files would become new/a.txt"),
        ("d", "d/inside", "cannot go into itself"),
        ("", "b", "Give the path"),
    ]:
        with pytest.raises(ToolError, match=told):
            modify.move_file(source, destination)


def test_what_is_there_already_is_no_failure(here: Path, modify: ModuleType) -> None:
    touch(here, "a.txt", "d/x")
    assert modify.move_file("a.txt", ".") == Result("a.txt is already there.")
    assert moves(modify.move_file("*", "d")) == [("a.txt", "d/a.txt")]


def test_names_with_odd_characters_are_taken_as_they_are(here: Path, modify: ModuleType) -> None:
    touch(here, "a[1].txt", "two\nlines", "x, y.txt", "日本.txt")
    assert moves(modify.move_file("a[1].txt", "b.txt")) == [("a[1].txt", "b.txt")]
    assert moves(modify.move_file("two\nlines", "one")) == [("two\nlines", "one")]
    assert moves(modify.move_file("x, y.txt", "z.txt")) == [("x, y.txt", "z.txt")]
    assert len(modify.move_file("*", "all/").requests) == 4
    assert "'two\\nlines'" in modify.trash("two\nlines").text


# ---------------------------------------------------------------- make_folder, trash


def test_making_folders(here: Path, modify: ModuleType) -> None:
    assert modify.make_folder(Path("a/b")) == Result("Made the folder a/b.", [MakeFolder(Path("a/b"))])
    touch(here, "d/", "f")
    assert modify.make_folder(Path("d")) == Result("The folder d/ already exists.")
    with pytest.raises(ToolError, match="f is a file"):
        modify.make_folder(Path("f"))


def test_deleting(here: Path, modify: ModuleType) -> None:
    touch(here, "a.tmp", "b.tmp", "d/x")
    assert modify.trash("d/") == Result("Deleted d/. It can be restored.", [Trash(Path("d"))])
    assert modify.trash("*.tmp").text == "Deleted 2 entries (a.tmp, b.tmp). It can be restored."
    os.symlink("nowhere", here / "broken")
    assert modify.trash("broken").requests == [Trash(Path("broken"))]
    for path in (".", "..", "/", str(here)):
        with pytest.raises(ToolError, match="it stays"):
            modify.trash(path)
    with pytest.raises(ToolError, match="does not exist"):
        modify.trash("nowhere")


# ---------------------------------------------------------------- what is no file


@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
def test_pipes_and_devices_are_refused_at_once(here: Path, modify: ModuleType, name: str) -> None:
    os.mkfifo(here / "pipe")
    (here / "b").write_text("x")
    for call in (
        lambda: modify.write_file(Path(name), ""),
        lambda: modify.edit_file(Path(name), "a", "b"),
        lambda: modify.copy_file(name, "copy"),
    ):
        with pytest.raises(ToolError, match="is a pipe or a device, not a file"):
            call()
    assert len(modify.edit_file(Path("*"), "x", "y").requests) == 1
    assert modify.trash("pipe").requests == [Trash(Path("pipe"))]


@pytest.mark.parametrize(
    ("codec", "text", "old", "new"),
    [
        ("gb18030", "开会时间：星期一上午。\n", "星期一", "星期五"),
        ("cp932", "見積書\n合計：４８０００円\n", "４８０００", "５００００"),
        ("koi8-r", "Уважаемая Марина Сергеевна!\n", "Марина", "Анна"),
        ("cp1251", "молоко\nхлеб\nяблоки\n", "хлеб", "сыр"),
        ("utf-16-le", "one two\n", "two", "дwa"),
        ("big5", "今天天氣很好，我們去公園。\n", "公園", "學校"),
    ],
)
def test_an_edit_keeps_an_old_encoding(codec: str, text: str, old: str, new: str, here: Path, modify: ModuleType) -> None:
    (here / "a.txt").write_bytes(text.encode(codec))
    (edit,) = modify.edit_file(Path("a.txt"), old, new).requests
    assert edit.content == text.replace(old, new).encode(codec)


def test_words_without_spaces_between_them_are_all_replaced(here: Path, modify: ModuleType) -> None:
    (here / "a.txt").write_text("東京、東京駅\nกรุงเทพมหานคร กรุงเทพ\n")
    (edit,) = modify.edit_file(Path("a.txt"), "東京", "大阪").requests
    assert edit.content.decode().startswith("大阪、大阪駅\n")
    (edit,) = modify.edit_file(Path("a.txt"), "กรุงเทพ", "เชียงใหม่").requests
    assert edit.content.decode().count("เชียงใหม่") == 2
