"""A conversation as one HTML page that needs nothing else: no script, no picture, no font, nothing of elsewhere.

Every text is escaped; the model's Markdown is drawn with HTML and pictures switched off. A policy in the page itself
forbids to load or run anything, should one of these ever fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from markdown_it import MarkdownIt

from .plain import calm
from .story import ENDS, Asked, Did, Ended, Entry, Head, Noted, Said, receipts, when

_STYLE = """
:root { color-scheme: light dark; --text: #1c1f24; --back: #ffffff; --soft: #f2f4f7; --line: #d5d9e0; --faint: #5b6470;
  --own: #1d5fbf; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7ec; --back: #14171b; --soft: #1f242b; --line: #343b45;
  --faint: #9aa4b1; --own: #7db3ff; --bad: #ff8a80; } }
body { margin: 0 auto; max-width: 50rem; padding: 1.5rem; background: var(--back); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dl, .note, summary, time { color: var(--faint); font-size: .875rem; } dd { margin: 0; }
.asked { margin: 2.5rem 0 1rem; padding: .5rem 1rem; border-left: .25rem solid var(--own); background: var(--soft);
  white-space: pre-wrap; }
.asked time { float: right; margin-left: 1rem; }
pre { padding: .75rem; background: var(--soft); border-radius: .375rem; overflow-x: auto; white-space: pre-wrap; }
code, pre { font: .875rem/1.45 ui-monospace, monospace; } .said > :first-child { margin-top: 0; }
details { margin: .5rem 0; border: 1px solid var(--line); border-radius: .375rem; padding: .25rem .75rem; }
summary { cursor: pointer; } .bad { color: var(--bad); } a { color: var(--own); }
table { border-collapse: collapse; } th, td { border: 1px solid var(--line); padding: .25rem .6rem; text-align: left; }
blockquote { margin-left: 0; padding-left: 1rem; border-left: .2rem solid var(--line); }
@media print { details:not([open]) > * { display: block; } }
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(head: Head, entries: Iterable[Entry]) -> str:
    """The whole page."""
    drawn = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    about = "".join(f"<dt>{_e(name)}</dt><dd>{_e(value)}</dd>" for name, value in head.facts())
    parts = [_part(entry, head.folder, drawn) for entry in entries]
    top = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_e(head.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_e(head.title)}</h1><dl>{about}</dl><main>",
    ]
    return "\n".join([*top, *parts, "</main></body></html>", ""])


def _e(text: str) -> str:
    return escape(calm(text))


def _part(entry: Entry, folder: str, drawn: MarkdownIt) -> str:
    match entry:
        case Asked():
            at = when(entry.at)
            told = f"<time>{_e(at)}</time>" if at else ""
            return f'<section class="asked" id="request-{entry.number}">{told}{_e(entry.text)}</section>'
        case Said():
            thought = _folded("Thinking", f"<pre>{_e(entry.thinking)}</pre>") if entry.thinking else ""
            return f'{thought}<div class="said" dir="auto">{drawn.render(calm(entry.text))}</div>'
        case Did():
            return _did(entry)
        case Noted():
            return f'<p class="note">{_e(entry.text)}</p>'
        case Ended():
            return _ended(entry, folder)


def _did(done: Did) -> str:
    args = "\n".join(f"{key}: {value}" for key, value in done.call.args.items())
    short = " ".join(args.split())
    bad = "" if done.result.status == "ok" else f' <span class="bad">{_e(done.result.status)}</span>'
    head = f"<code>{_e(done.call.name)}</code> {_e(short[:80] + ('…' if len(short) > 80 else ''))}{bad}"
    return _folded(head, f"<pre>{_e(args)}</pre><pre>{_e(done.result.text)}</pre>")


def _folded(head: str, body: str) -> str:
    return f"<details><summary>{head}</summary>{body}</details>"


def _ended(ended: Ended, folder: str) -> str:
    why = ended.error.message if ended.error else ENDS.get(ended.status, "")
    lines = [f'<p class="note bad">{_e(why)}</p>'] if why else []
    done = receipts(ended, folder)
    lines += [f'<p class="note">✓ {_e(done)}</p>'] if done else []
    return "".join(lines)
