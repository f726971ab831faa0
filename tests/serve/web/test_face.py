"""The pages: nothing without the token, nothing from elsewhere, and no page that could run what is not ours."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

import pytest

from localagent.serve.web import pages
from tests.serve.web.support import HOST, Answer, Site

STATIC = Path(pages.__file__).parent / "static"
OURS = sorted(path for path in STATIC.iterdir() if path.is_file())
PATHS = ["/", "/page.js", "/xterm/xterm.js", "/nothing", "/app/" + "0" * 32, "/../doors.py", "//", "/?"]


def get(site: Site, *args: object, **more: object) -> Answer:
    return asyncio.run(site.get(*args, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_everything_is_403(path: str) -> None:
    site = Site()
    for wrong in ({}, {"cookie": f"{site.doors.name}=x"}, {"authorization": f"Bearer {site.doors.token}"}):
        answer = get(site, path, wrong)
        assert answer.status == 403 and "set-cookie" not in answer.headers
        assert len(answer.body) < 200 and answer.headers["content-security-policy"]


def test_a_wrong_token_is_403_and_then_429() -> None:
    site = Site()
    assert [get(site, "/?token=wrong").status for _ in range(12)] == [403] * 10 + [429] * 2
    assert get(site, f"/?token={site.doors.token}").status == 429


def test_the_token_is_exchanged_for_a_cookie_and_a_key() -> None:
    site = Site()
    answer = get(site, f"/?token={site.doors.token}")
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    assert answer.headers["set-cookie"] == site.doors.cookie
    assert f'content="{site.doors.key}"'.encode() in answer.body and site.doors.token.encode() not in answer.body
    inside = get(site, "/", {"cookie": site.cookie})
    assert inside.status == 200 and site.doors.key.encode() not in inside.body
    # A token that came along later changes nothing, and only the first page takes one.
    assert get(site, f"/page.js?token={site.doors.token}").status == 403


@pytest.mark.parametrize("path", pages.FILES)
def test_each_file_is_served_with_the_headers_that_bind_it(path: str) -> None:
    site = Site()
    answer = get(site, path, {"cookie": site.cookie})
    assert answer.status == 200 and answer.body
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';") and "unsafe" not in policy and "*" not in policy
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy and "form-action 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY" and answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_what_is_not_there_is_404_only_for_who_is_in() -> None:
    site = Site()
    assert get(site, "/static/page.js", {"cookie": site.cookie}).status == 404
    assert get(site, "/", {"cookie": site.cookie}, method="POST").status == 403
    assert get(site, "/", {"cookie": site.cookie, "host": "evil.example:8412"}).status == 403
    assert get(site, "/", {"cookie": site.cookie, "origin": "http://evil.example"}).status == 403


def test_a_right_token_under_another_name_is_403() -> None:
    site = Site()
    assert get(site, f"/?token={site.doors.token}", {"host": "evil.example:8412"}).status == 403


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_pages_name_no_other_place_and_hold_no_script(path: Path) -> None:
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z]+\.[a-z]", text)
    if path.suffix == ".html":
        assert not re.search(r"<style|\bstyle=|\bon\w+=|javascript:|<script(?! src=\"/)", text)
    if path.suffix == ".js":
        assert not re.search(r"innerHTML|\beval\(|new Function|document\.write", text)


def test_the_files_of_xterm_are_those_that_are_named() -> None:
    told = (STATIC / "xterm" / "README.md").read_text("utf-8")
    for path in (STATIC / "xterm").glob("*.*"):
        if path.suffix != ".md":
            assert f"`{path.name}`" in told and f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`" in told
    assert "Permission is hereby granted" in (STATIC / "xterm" / "LICENSE").read_text("utf-8")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"cookie": None}, 403),
        ({"cookie": "localagent=wrong"}, 403),
        ({"origin": None}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "http://evil.example", "host": "evil.example"}, 403),
        ({"host": "localhost:8412"}, 403),
        ({"protocols": "localagent"}, 403),
        ({"protocols": "localagent wrong"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_a_websocket_that_is_not_of_our_page_is_refused_before_it_is_one(headers: dict[str, str], status: int) -> None:
    async def whole() -> None:
        site = Site()
        tab = site.tab(**headers)
        await tab.task
        assert tab.status == status and not tab.told and len(site.apps) == 0

    asyncio.run(whole())


def test_a_websocket_elsewhere_is_404() -> None:
    async def whole() -> None:
        for name in ("", "x", "../" + "0" * 29, "0" * 33, "0" * 31 + "G"):
            tab = Site().tab(name)
            await tab.task
            assert tab.status == 404

    asyncio.run(whole())


def test_a_header_that_stands_there_twice_is_refused() -> None:
    async def whole() -> None:
        site, sent = Site(), []

        async def send(message: object) -> None:
            sent.append(message)

        headers = [(b"host", HOST.encode()), (b"host", b"evil.example"), (b"cookie", site.cookie.encode())]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
        await site.face(scope, None, send)  # type: ignore[arg-type]
        assert sent[0]["status"] == 403  # type: ignore[index]

    asyncio.run(whole())
