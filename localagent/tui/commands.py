"""The `/commands` and the keys: one table each, from which help and completion are drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """`argument` is how its argument is shown, "" where it takes none."""

    name: str
    does: str
    argument: str = ""


COMMANDS = (
    Command("help", "this list, and every key"),
    Command("undo", "take back what the last step (or step N) changed here", "[N]"),
    Command("redo", "put back what undo took away", "[N]"),
    Command("rewind", "go back to an earlier message, to write it anew; what was changed since can be undone too"),
    Command("changes", "what was changed, step by step; undo one, or one file of it"),
    Command("context", "where the tokens of this conversation go, and how many are free"),
    Command("compact", "shorten what the model is shown of this conversation, to make room"),
    Command("plan", "fold or unfold the model's plan above the text"),
    Command("remember", "have something remembered (`. TEXT`: for this project only), or see what is", "[TEXT]"),
    Command("forget", "take out something that is remembered", "[WHAT]"),
    Command("trust", "look at a plugin file of yours (`.`: at what this folder brings), and have it on, or off", "[FILE]"),
    Command("save", "keep the last request as a recipe; name=value makes a value its parameter", "NAME [name=value ...]"),
    Command("run", "do a recipe again: without the model while its checks hold", "[NAME name=value ...]"),
    Command("skills", "instructions that the agent follows where they fit: look at one and have it on, or off", "[NAME]"),
    Command("mcp", "MCP servers: what each may and offers; start one to look, have it on or off", "[NAME]"),
    Command("outbox", "messages that went out, and those that did not: send, take back, reword"),
    Command("jobs", "goals that start by themselves: when they come, how they ended; pause, run, take away"),
    Command("image", "show a picture with the next message: a file, a page (FILE.pdf#2), or the clipboard's", "[FILE]"),
    Command("screenshot", "show what is on the screen with the next message"),
    Command("mode", "plan (look only), ask (changes ask) or auto (undoable changes do not)", "[plan|ask|auto]"),
    Command("model", "choose another model, fetch it if it is not here, and go on with this conversation", "[ID [SOURCE]]"),
    Command("bigger", "have the bigger model of your settings give the next answer; what would leave this machine is shown first"),
    Command("new", "a new conversation"),
    Command("sessions", "earlier conversations: search them, go on, rename, fork, export", "[WORDS]"),
    Command("rename", "give this conversation a title", "[TITLE]"),
    Command("fork", "go on in a copy of this conversation, or of its first N requests", "[N]"),
    Command("export", "write this conversation to a file", "[md|html|jsonl] [PATH]"),
    Command("theme", "choose the look, or take one by name", "[NAME]"),
    Command("monitor", "the machine: processor, memory, model, speed (F2)"),
    Command("settings", "see and change the settings", "[KEY [VALUE]]"),
    Command("tools", "what the agent can do, and what each tool may touch", "[NAME]"),
    Command("approvals", "the rules that are kept, to look at and to take back"),
    Command("copy", "copy the last answer"),
    Command("quit", "leave (a running request is stopped)"),
)

KEYS = (
    ("Enter", "send; while the agent works: tell it now, it hears that at its next step"),
    ("Tab, while the agent works", "queue the text as the next request"),
    ("Ctrl+J, Alt+Enter, Shift+Enter", "a new line (Shift+Enter only where the terminal tells it)"),
    ("Up, Down", "earlier requests, at the first and last line of the text; Up on an empty one takes back what still waits"),
    ("Tab", "take the completion of /commands and @paths; else go to the cards"),
    ("Esc", "close the completion; else stop the agent within a moment; else pause a download"),
    ("Esc Esc", "while nothing runs: go back to an earlier message"),
    ("Shift+Tab", "mode: plan, ask, auto"),
    ("Ctrl+C", "copy a selection; stop the agent; clear the text; twice on an empty line: leave"),
    ("Ctrl+D", "leave, on an empty line"),
    ("Ctrl+O", "show or fold everything: thinking, arguments, whole outputs"),
    ("Enter, Space on a card", "show or fold that one"),
    ("PgUp, PgDn, Ctrl+Home, Ctrl+End", "scroll the conversation"),
    ("Ctrl+T", "the next look: dark, light, high contrast"),
    ("Ctrl+P", "all commands"),
    ("Ctrl+Z", "suspend; fg in the shell comes back"),
    ("F1", "this help"),
    ("F2", "the machine: processor, memory, model, speed"),
    ("!command", "run a command of your own in your shell; the model does not see it"),
    ("@path", "name a file or folder, completed as you type; a picture is shown to a model that sees"),
)

ASKING_KEYS = (
    ("y", "yes, once"),
    ("s", "yes, and not again in this session (the rule shown)"),
    ("a", "yes, always: shows the rule to be kept, which you may edit first"),
    ("n", "no, with a reason for the model if you like"),
    ("e", "edit the call; what you made of it is judged again"),
    ("Esc, Enter", "no"),
    ("Up, Down, PgUp, PgDn, Space, End", "read on; a long effect has to be seen to its end before a yes counts"),
)


def parse(text: str) -> tuple[str, str] | None:
    """`/name argument` in its two parts; None where the text is no command line (a path may begin with `/`)."""
    name, _, argument = text.strip().partition(" ")
    if not name.startswith("/") or "/" in name[1:] or "\n" in text.strip():
        return None
    return name[1:], argument.strip()


def matching(start: str) -> list[Command]:
    """The commands that begin with `start`, else those that hold its letters in order."""
    start = start.lower()
    first = [command for command in COMMANDS if command.name.startswith(start)]
    return first or [command for command in COMMANDS if _holds(command.name, start)]


def _holds(text: str, letters: str) -> bool:
    rest = iter(text)
    return all(letter in rest for letter in letters)
