"""Exports: whole, readable, and with nothing in them that does anything."""

from __future__ import annotations

import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

from localagent.agent import exporting
from localagent.errors import StoreError, UsageError
from localagent.events import MessageDone, Notice, ToolFinished, TurnEnded, TurnStarted
from localagent.store import meta, sessions, transcript
from localagent.values import Failure, Message, Receipt, Text, ToolCall, ToolResult

EVIL = (
    "<script>alert(1)</script> ![x](https://evil.example/a.png) <img src=//evil.example onerror=x()> "
    "[go](javascript:alert(1)) \x1b]0;title\x07 \x9b31m \u202e ``` &lt; </pre></details> <!-- "
)


def evil_session() -> str:
    log = transcript.Transcript(transcript.new_id())
    call = ToolCall("call_1", f"run{EVIL}", {f"command{EVIL}": f"echo{EVIL}\n```\n{EVIL}"})
    asked = Message("user", (Text(f"asked {EVIL}\n# no heading\n```\n{EVIL}"),))
    said = f"# Answer\n\n- a\n\n  ```\n{EVIL}\n\n    ![in](//evil.example)\n\n{EVIL}"
    for event in [
        TurnStarted(log.folder.name, asked, EVIL, "ask", f"/w{EVIL}", 1.0, "SURROUNDINGS"),
        MessageDone(Message("assistant", (Text(said),), f"thought {EVIL}", (call,))),
        ToolFinished(call, ToolResult("call_1", (Text(f"result {EVIL}\n````\n{EVIL}"),), "failed")),
        Notice(EVIL, "warning"),
        MessageDone(Message("assistant", (Text(f"~~~\nopen fence {EVIL}"),))),
        TurnEnded("failed", error=Failure("bug", EVIL), receipts=(Receipt("changed", {"op": "wrote", "path": f"/w/{EVIL}"}),)),
    ]:
        log.append(event)
    meta.rename(log.folder.name, f"Title {EVIL}")
    return log.folder.name


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("kind", exporting.FORMATS)
def test_an_export_can_do_nothing_to_a_terminal(kind: str) -> None:
    text = exporting.export(evil_session(), kind)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_a_page_holds_text_only() -> None:
    text = exporting.export(evil_session(), "html")
    tags = Tags()
    tags.feed(text)
    names = {tag for tag, _ in tags.seen}
    assert names <= set(
        "html head meta title style body h1 dl dt dd main section time div p details summary pre code ul li span a".split()
    )
    for tag, attributes in tags.seen:
        assert not any(name.startswith("on") or name in ("src", "style", "srcset") for name in attributes), tag
        assert (attributes.get("href") or "https://").startswith("https://")
    assert "url(" not in text and "@import" not in text and "default-src 'none'" in text
    assert text.count("alert(1)") >= 10 and "SURROUNDINGS" not in text
    # Links stay links, of such that a click may follow.
    log = transcript.Transcript(transcript.new_id())
    log.append(TurnStarted("x", Message("user", (Text("x"),)), "m", "ask", "/w", 1.0))
    log.append(MessageDone(Message("assistant", (Text("[a](https://a.example) **bold**\n\n|x|\n|-|\n|1|"),))))
    page = exporting.export(log.folder.name, "html")
    assert '<a href="https://a.example">a</a> <strong>bold</strong>' in page and "<td>1</td>" in page


def test_markdown_shows_no_picture_and_no_html_to_another_reader() -> None:
    from markdown_it import MarkdownIt

    text = exporting.export(evil_session(), "md")
    drawn = MarkdownIt("commonmark", {"html": True}).render(text)
    tags = Tags()
    tags.feed(drawn)
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "details"}
    assert text.startswith("# Title ") and len(re.findall("^## ", text, re.M)) == 1
    assert "SURROUNDINGS" not in text and "# no heading" not in re.findall("^#.*", text, re.M)


def test_code_in_an_answer_stays_as_it_is() -> None:
    log = transcript.Transcript(transcript.new_id())
    log.append(TurnStarted("x", Message("user", (Text("write html"),)), "m", "ask", "/w", 0.0))
    code = "```html\n<p>![x](y)</p>\n```"
    log.append(MessageDone(Message("assistant", (Text(f"Here:\n\n{code}\n\nand <b>"),))))
    log.append(TurnEnded("done"))
    text = exporting.export(log.folder.name, "md")
    assert code in text and "and \\<b>" in text and "## Request 1\n" in text and "> write html" in text


def test_json_lines_are_the_transcript() -> None:
    session = evil_session()
    file = transcript.sessions_dir() / session / "transcript.jsonl"
    with file.open("ab") as lines:
        lines.write(b'{"event":"FromTheFuture"}\nnonsense\n\xff\n{"event":"Torn')
    told = [json.loads(line) for line in exporting.export(session, "jsonl").splitlines()]
    stored = [json.loads(line) for line in file.read_bytes().splitlines()[:-3]]
    assert told == stored and told[-1] == {"event": "FromTheFuture"}


def test_what_is_masked_or_kept_beside_is_not_in_an_export() -> None:
    session = evil_session()
    folder = transcript.sessions_dir() / session
    (folder / "output").mkdir()
    (folder / "output" / "1.txt").write_text("WHOLE-OUTPUT")
    (folder / "tokens.jsonl").write_text('{"message":0,"model":"TOKENS","ids":[1]}\n')
    for kind in exporting.FORMATS:
        text = exporting.export(session, kind)
        assert "WHOLE-OUTPUT" not in text and "TOKENS" not in text


def test_a_file_is_written_for_its_owner_and_never_over_another(tmp_path: Path) -> None:
    session, target = evil_session(), tmp_path / "out.md"
    exporting.save(session, "md", target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        exporting.save(session, "md", target)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError):
        exporting.save(session, "md", tmp_path / "link")
    with pytest.raises(UsageError, match="folder"):
        exporting.save(session, "md", tmp_path)
    with pytest.raises(StoreError):
        exporting.save(session, "md", tmp_path / "no" / "x.md")
    assert target.read_text() == "mine"
    exporting.save(session, "jsonl", target, force=True)
    assert json.loads(target.read_text().splitlines()[0])["event"] == "TurnStarted"


def test_odd_sessions_are_exported_too() -> None:
    log = transcript.Transcript(transcript.new_id())
    log.append(TurnEnded("cancelled"))
    assert "It was interrupted." in exporting.export(log.folder.name, "md")
    assert log.folder.name in exporting.export(log.folder.name, "html")
    with pytest.raises(UsageError):
        exporting.export(log.folder.name, "pdf")
    assert [exporting.kind_of(name) for name in ("a.MD", "b.htm", "c.jsonl", "d", "e.pdf")] == ["md", "html", "jsonl", None, None]
    forked = sessions.forked(evil_session())
    assert "Forked from" in exporting.export(forked, "md")
