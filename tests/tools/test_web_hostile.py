"""Pages, answers and addresses that are made to be read otherwise than they look."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from localagent import ToolError


@pytest.fixture(scope="module")
def web() -> ModuleType:
    spec = importlib.util.spec_from_file_location("web_hostile", Path(__file__).resolve().parents[2] / "tools" / "web.py")
    assert spec is not None and spec.loader is not None
    sys.modules[spec.name] = made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    "html",
    [
        *("<?ORDER?>", "<![CDATA[ORDER]]>", "<!ORDER>", "<a href='/x' title='ORDER'>l</a>", "<dialog>ORDER</dialog>"),
        *(f"<{name}>ORDER</{name}>" for name in ("datalist", "canvas", "audio", "video", "object", "noframes", "noembed")),
        *(
            f"<p style='{style}'>ORDER</p>"
            for style in (
                *("DISPLAY : /**/ none", "visibility:collapse", "opacity:.0", "font-size:0.0px", "color: transparent"),
                *("text-indent:-9999px", "position:absolute;left:-9999px", "width:0;height:0;overflow:hidden"),
                *("max-height: 0px; overflow: hidden", "clip: rect(0,0,0,0)", "clip-path:inset(100%)", "transform:scale(0)"),
                *("transform:translateX(-9999px)", "color:rgba(0, 0, 0, 0)", "content-visibility:hidden"),
            )
        ),
    ],
)
def test_what_no_reader_sees_is_not_read(web: ModuleType, html: str) -> None:
    assert "ORDER" not in web._page(f"<p>Seen.</p>{html}<p>Seen too.</p>")


@pytest.mark.parametrize(
    "style",
    [
        *("opacity:0.5", "margin-top:-100px", "height:0;padding-bottom:56%", "font-size:0.9em", "left:-12px", "color:rgba(0,0,0,0.8)"),
        *("transform:scale(0.9)", "clip-path:polygon(0 0,100% 0,100% 90%)", "transform:translateX(-100%)", "overflow:hidden;width:10px"),
    ],
)
def test_what_a_reader_sees_is_read(web: ModuleType, style: str) -> None:
    assert "words" in web._page(f"<p style='{style}'>words</p><dialog open>asks</dialog>")


def test_letters_that_are_drawn_as_nothing_are_gone(web: ModuleType) -> None:
    assert web._page("<title>T\u202e</title><p>a\U000e0049\U000e0047\u200bb\u202e\x07 \u0645\u06cc\u200c\u0631</p>") == (
        "T\n\nab \u0645\u06cc\u200c\u0631"
    )


def test_what_a_search_finds_is_one_line_each(web: ModuleType) -> None:
    hit = web._hit({"title": "T\n\u202e<b>x</b>\u200b", "url": "https://example.org/a\n\n2. \U000e0041b", "text": "a\x00\nb"})
    assert (hit.title, hit.url, hit.text) == ("T x", "https://example.org/a2.b", "a b")


def _answering(data: bytes) -> str:
    listening = socket.create_server(("127.0.0.1", 0))

    def once() -> None:
        with listening, listening.accept()[0] as one:
            one.recv(65536)
            one.sendall(data)

    threading.Thread(target=once, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"",
    ],
)
def test_a_broken_answer_is_a_sentence(web: ModuleType, data: bytes) -> None:
    with pytest.raises(ToolError, match="could not be reached"):
        web._get(_answering(data), 1000)


@pytest.mark.parametrize("charset", ["undefined", "idna", "rot13", "utf-7", "no-such"])
def test_odd_letters_are_read_as_well_as_can_be(web: ModuleType, charset: str) -> None:
    assert web._Answer("u", "text/html", charset, b"\xff." + b"a." * 90, False).text()


@pytest.mark.parametrize("host", ["%65xample.org", "exa mple.org", "a\0b.org", "[fe80::1]", "exam\u200b ple.org", "a;b.org"])
def test_a_host_that_could_be_read_in_two_ways_is_none(web: ModuleType, host: str) -> None:
    with pytest.raises(ToolError, match="no name of a host"):
        web._address(f"https://{host}/")


def test_a_name_from_an_address_is_one_that_a_file_can_have(web: ModuleType, tmp_path: Path) -> None:
    for path in ("/%00", "/" + "a" * 300, "/%e2%80%ae%07", "/%2e%2e", "/"):
        with pytest.raises(ToolError):
            web.download_file(f"https://example.org{path}", Path(f"{tmp_path}/"))
