"""HTML as text: what a person sees and nothing else, in time that grows with its length."""

from __future__ import annotations

import time

import pytest

from localagent.channels.email.html import to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One <b>two</b>&nbsp;&amp; three</p><p>four<br>five</p>", "One two & three\n\nfour\nfive"),
        ("<ul><li>a<li>b</ul><ol><li>x</li><li>y</li></ol>", "- a\n- b\n\n1. x\n2. y"),
        ("<table><tr><td>a<td>b</tr><tr><th>c</th><td>d</td></tr></table>", "a | b\nc | d"),
        ("<blockquote>q<br>r</blockquote>s", "> q\n> r\n\ns"),
        ("<pre>  a\n    b</pre>", "  a\n    b"),
        ('<a href="https://evil.test/x">https://bank.test</a>', "https://bank.test <https://evil.test/x>"),
        ('<a href="https://a.test/">https://a.test</a>', "https://a.test"),
        ('<a href="javascript:x()">go</a>', "go"),
        ('<a href="https://a.test"><img src=x></a>', "<https://a.test>"),
        ('<img alt="Logo" src=x><img alt="beacon" width=1 height=1>', "[Logo]"),
        ("a < b <c", "a < b"),
        ("x&#8203;y\u00ad\u202ez", "xyz"),
        ("<b title='a>b'>in</b> <i title=\"</i>no\">it</i>", "in it"),
        ("<h1>T</h1>text<hr>more", "T\n\ntext\n---\nmore"),
        ("plain\ntext", "plain text"),
        ("", ""),
    ],
)
def test_what_a_person_sees(html: str, text: str) -> None:
    assert to_text(html) == text


HIDING = [
    '<div style="display:none">{}</div>',
    '<div style="DISPLAY : None !important">{}</div>',
    '<div style="display:none"><p style="display:block">{}</p></div>',
    '<div style="visibility:hidden">{}</div>',
    '<div style="visibility:hidden"><b style="font-size:12px">{}</b></div>',
    '<div style="opacity:0">{}</div>',
    '<div style="font-size:0">{}</div>',
    '<div style="font-size:1px;line-height:1px">{}</div>',
    '<div style="font-size:0"><b style="font-size:2em">{}</b></div>',
    '<div style="color:#fff">{}</div>',
    '<font color="white">{}</font>',
    '<div style="color:#fefefe;background-color:white">{}</div>',
    '<table bgcolor="#336699"><td style="color:rgb(51, 102, 153)">{}</td></table>',
    '<body bgcolor=black text=black>{}</body>',
    '<div style="color:transparent">{}</div>',
    '<div style="color:rgba(0,0,0,0)">{}</div>',
    '<div style="max-height:0;overflow:hidden">{}</div>',
    '<div style="height:0px;overflow:hidden">{}</div>',
    '<div style="position:absolute;left:-9999px">{}</div>',
    '<div style="text-indent:-1000em">{}</div>',
    '<div style="mso-hide:all">{}</div>',
    "<div hidden>{}</div>",
    "<!-- {} -->",
    "<!--> x --><!-- {}",
    "<style>.a{{display:none}}</style><p class='x A'>{}</p>",
    "<style>/* x */ p.a, #b {{ color: red; visibility:hidden }}</style><p id=b>{}</p>",
    "<script>{}</script>",
    "<style>{}</style>",
    "<title>{}</title>",
    "<template>{}</template>",
    "<textarea>{}</textarea>",
    "<noframes>{}</noframes>",
    "<p title='{}'>",
    "<" + "div><" * 3000 + "div style=display:none>{}",
    "<a href='{}",
]


@pytest.mark.parametrize("html", HIDING)
def test_what_a_person_does_not_see_is_left_out(html: str) -> None:
    assert "obey" not in to_text(f"<p>before</p>{html.replace('{{', '{').replace('}}', '}').replace('{}', 'obey')}")


@pytest.mark.parametrize(
    "html",
    [
        '<div style="color:#fff;background:#000">{}</div>',
        '<div style="background:url(x.png);color:#fff">{}</div>',
        "<style>@media screen{.a{display:none}} .b{display:none}</style><p class=a>{}</p>",
        '<div style="visibility:hidden"><b style="visibility:visible">{}</b></div>',
        '<div style="font-size:0"><b style="font-size:14px">{}</b></div>',
        '<div style="color:#fff"><b style="color:#333">{}</b></div>',
        '<div style="max-width:600px;height:0">{}</div>',
        '<td width="1" style="width:100%">{}</td>',
    ],
)
def test_what_a_person_does_see_stays(html: str) -> None:
    assert "seen" in to_text(html.replace("{}", "seen"))


@pytest.mark.parametrize(
    "piece",
    ["<!--", '<a "', '<a href="', "<a href='x'", "<div>", "</div>", "<style>", "<style>a{", "<style>/*", "<style>@", "&#", "<td>",
     "<li><br>", "<a href=http://x>y", "<b style='color:red;", "<p = '", "<b></a>", "<blockquote>"],
)  # fmt: skip
def test_time_grows_with_the_length(piece: str) -> None:
    def took(count: int) -> float:
        begun = time.process_time()
        to_text(piece * count)
        return time.process_time() - begun

    assert took(8000) < max(0.05, took(1000)) * 24
