from __future__ import annotations

import unicodedata
from pathlib import Path

from localagent.agent.mentions import named, told


def everything(path: Path) -> bool:
    return True


def test_named_files_and_folders_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "app.log").write_bytes(b"12345")
    text = told('Sum "a.csv" and look at logs/.', tmp_path, everything)
    assert "a.csv (8 bytes):\n  | x,y\n  | 1,2" in text and "logs/: app.log (5 bytes)" in text


def test_names_with_spaces_and_in_subfolders(tmp_path: Path) -> None:
    (tmp_path / "my file.txt").write_text("hi")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "e.txt").write_text("yo")
    assert [p.name for p in named("open my file.txt, then d/e.txt.", tmp_path)] == ["my file.txt", "e.txt"]


def test_nothing_outside_and_nothing_that_may_not_be_read(tmp_path: Path) -> None:
    inside = tmp_path / "work"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("s")
    (inside / "key.pem").write_text("k")
    assert told("read ../secret.txt and /etc/passwd and .", inside, everything) == ""
    assert told("read key.pem", inside, lambda path: False) == ""


def test_long_and_binary_files_are_cut_or_described(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("".join(f"line {n}\n" for n in range(1000)))
    (tmp_path / "b.bin").write_bytes(b"\0\1\2")
    text = told("long.txt b.bin", tmp_path, everything)
    assert "its first lines" in text and "line 7" in text and "line 8" not in text
    assert "b.bin: 3 bytes, not text" in text


def test_a_hostile_name_cannot_break_it(tmp_path: Path) -> None:
    (tmp_path / "a\nb.txt").write_text("x")
    assert isinstance(told("a\nb.txt \0 ~ ~nobody/x ((( ", tmp_path, everything), str)


def test_names_among_words_without_spaces_and_old_encodings(tmp_path: Path) -> None:
    (tmp_path / "报告.txt").write_bytes("会议在星期五上午\n".encode("gb18030"))
    (tmp_path / unicodedata.normalize("NFD", "résumé.txt")).write_text("four")
    (tmp_path / "plan.md").write_text("one")
    (tmp_path / "docs").mkdir()
    assert told("请把报告.txt改名为旧报告.txt", tmp_path, everything) == "报告.txt (17 bytes):\n  | 会议在星期五上午"
    assert "four" in told("Traduis résumé.txt", tmp_path, everything)
    assert "| one" in told("「plan.md」を読んで", tmp_path, everything)
    assert "docs/: empty" in told("把docs里的文件删除", tmp_path, everything)
    assert told("看看旧plan.md2和myplan.md", tmp_path, everything) == ""
