"""Colours and layout: the themes to step through, and the one style sheet."""

from __future__ import annotations

from dataclasses import dataclass

from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the person wants the app to look: a theme by name (None for the usual one), and whether things may move."""

    theme: str | None = None
    motion: bool = True


CONTRAST = Theme(
    name="high-contrast",
    primary="#ffff00",
    secondary="#00ffff",
    accent="#00ffff",
    warning="#ffff00",
    error="#ff8080",
    success="#00ff00",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1a1a1a",
    boost="#262626",
    dark=True,
    variables={"border": "#ffffff", "border-blurred": "#c0c0c0", "text-muted": "#ffffff"},
)
# Columns from which on there is room around a window.
NARROW = 70
# What Ctrl+T steps through; /theme takes every theme that Textual has.
CYCLE = ("textual-dark", "textual-light", "high-contrast")

STYLE = """
Screen { background: $background; }
#transcript { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; background: $background; }
#transcript:focus { background: $background; }
#earlier { color: $text-muted; text-align: center; height: auto; }

#empty { height: auto; margin: 1 1; color: $text-muted; }

Person { height: auto; margin: 1 0 0 0; padding: 0 1; border-left: thick $primary; background: $boost; }
Person.-steer { border-left: thick $secondary; margin: 1 0 0 2; }
Answer { height: auto; margin: 1 0 0 0; }
Answer > Markdown { padding: 0 1; margin: 0; background: $background; }
Answer > Markdown > MarkdownParagraph:last-child { margin: 0; }
Answer MarkdownHeader { content-align: left middle; margin: 0 0 1 0; padding: 0; }
Answer > .finished { height: auto; padding: 0 1; }
Answer > .thinking { height: auto; padding: 0 1; color: $text-muted; }
Line { height: auto; margin: 1 0 0 0; padding: 0 1; color: $text-muted; }
Line.-ended { border-left: double $success; padding: 0; margin-left: 1; }
Line.-warning { color: $text-warning; }
Line.-error { color: $text-error; }

Card { height: auto; margin: 1 0 0 0; padding: 0 1; border-left: outer $panel; }
Card.-running, Card.-asking { border-left: outer $accent; }
Card.-failed, Card.-denied { border-left: outer $error; }
Card.-ok { border-left: outer $success 60%; }
Card:focus { background: $boost; }
Card > .head { height: auto; }
Card > .body { height: auto; padding: 0 0 0 2; color: $text-muted; }

#below { height: auto; }
#plan { height: auto; max-height: 9; padding: 0 2; margin: 1 0 0 0; display: none; }
#queue { height: auto; padding: 0 2; color: $text-muted; display: none; }
#activity { height: 1; padding: 0 2; color: $text-accent; display: none; }
#choices { height: auto; max-height: 8; margin: 0 1; padding: 0 1; background: $panel; display: none; }
#prompt { height: auto; min-height: 3; max-height: 12; border: round $border-blurred; background: $background; padding: 0 1; }
#prompt:focus { border: round $border; }
#prompt.-own { border: round $warning; }
#download { height: 1; padding: 0 2; color: $text-secondary; }
#status { height: 1; padding: 0 2; color: $text-muted; }

#monitor { dock: right; width: 38; height: 1fr; padding: 0 1; border-left: solid $panel; background: $background; }
#monitor > .title { height: auto; text-style: bold; margin: 0 0 1 0; }
#monitor > .about { height: auto; color: $text-muted; margin: 1 0 0 0; }
#gauges { height: auto; }
.window > #first.gauges { height: auto; background: $surface; scrollbar-size-vertical: 1; }
.window > #detail { min-height: 2; margin: 1 0 0 0; }

Window { align: center middle; background: $background 60%; }
.window {
    width: 90%; max-width: 120; height: auto; max-height: 100%; padding: 0 1; background: $surface; border: round $primary;
}
.window > .title { height: auto; text-style: bold; }
.window > .about { height: auto; color: $text-muted; }
.window > Sheet {
    height: auto; min-height: 1; max-height: 2; margin: 1 0; background: $surface;
    scrollbar-size-vertical: 1; scrollbar-gutter: stable;
}
Sheet > Static { height: auto; }
.window > OptionList { height: auto; max-height: 70%; background: $surface; border: none; }
.window > OptionList.few { max-height: 8; }
.window > Input { border: round $border-blurred; background: $surface; }
.window > Input:focus { border: round $border; }
.window > TextArea { height: auto; min-height: 2; max-height: 16; margin: 1 0; }
#answers { height: auto; }
#answers > Static { width: auto; height: 1; padding: 0 1; margin: 0 1 0 0; background: $panel; }
#answers > #no { background: $error; color: $text; text-style: bold; }
#answers > .-off { color: $text-disabled; background: $surface; text-style: dim; }
#hint { height: auto; min-height: 1; color: $text-warning; }
Rewind .window > OptionList { max-height: 30%; }
#since { height: auto; margin: 1 0; }
Approval > .window { border: round $warning; }

App:nocolor *:focus { text-style: bold; }
App:nocolor #answers > Static { text-style: none; }
App:nocolor #answers > Static:focus, App:nocolor #answers > #no:focus { text-style: bold reverse; }
App:nocolor #answers > .-off { text-style: dim; }
App:nocolor Card:focus > .head { text-style: bold reverse; }
App:nocolor Card:focus { border-left: thick $accent; }
App:nocolor OptionList > .option-list--option-highlighted { text-style: bold underline; }
App:nocolor TextArea > .text-area--cursor { text-style: reverse; }
App:nocolor TextArea > .text-area--selection { text-style: reverse; }
App:nocolor .screen--selection { text-style: reverse; }
App:nocolor Person { text-style: bold; }

Screen.-narrow #transcript { padding: 0; }
Screen.-narrow .window { width: 100%; max-height: 100%; padding: 0; }
Screen.-narrow .window > Sheet, Screen.-narrow .window > TextArea { margin: 0; }
Screen.-narrow #plan { margin: 0; }
Screen.-narrow #prompt { max-height: 6; }
"""
