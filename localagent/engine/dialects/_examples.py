"""Worked examples for models that imitate better than they follow instructions.

They stand in the fixed prefix, so they are read once. Each shows one habit: quote names in
a loop, compute with a script, add without replacing, and say that something is missing.
"""

from __future__ import annotations

from . import _chatml as chatml

_PLACE = "\n\n[Files in the current folder: plan.md, server/]"
_SCRIPTS = (
    (
        f"Put the .log files of the folder server into a folder old-logs.{_PLACE}",
        'mkdir -p old-logs\nfor f in server/*.log; do mv "$f" old-logs/; done',
        "exit code 0, no output\n[changed: make folder old-logs, move server/a b.log -> old-logs/a b.log]",
        "I moved the one .log file, a b.log, into old-logs.",
    ),
    ("How many words are in plan.md?", "wc -w < plan.md", "57", "plan.md has 57 words."),
    (
        "Add the line 'call Ann' to plan.md",
        "echo 'call Ann' >> plan.md",
        "exit code 0, no output\n[changed: write plan.md]",
        "I added the line to plan.md.",
    ),
)
_READ = (
    "What is the second line of todo.md?",
    '{"name": "read_file", "arguments": {"path": "todo.md"}}',
    "'todo.md' does not exist. Files here: plan.md, server/",
    "The file todo.md does not exist.",
)


def shown(shell: str, *, read: bool, after: str) -> str:
    """The examples as closed chat turns. `shell` names the tool that runs scripts; `after` ends each result."""
    turns: list[str] = []
    for goal, script, result, answer in _SCRIPTS:
        turns += _turns(goal, f"```bash\n{script}\n```", shell, result, answer, after)
    if read:
        goal, call, result, answer = _READ
        turns += _turns(goal, f"```json\n{call}\n```", "read_file", result, answer, after)
    return "".join(turns)


def _turns(goal: str, made: str, tool: str, result: str, answer: str, after: str) -> list[str]:
    words = goal.removesuffix(_PLACE)
    told = f"Result of {tool}:\n{result}\n\n{after.format(goal=words)}"
    pairs = (("user", goal), ("assistant", made), ("user", told), ("assistant", answer))
    return [chatml.start(role) + text + chatml.END for role, text in pairs]
