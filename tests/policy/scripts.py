"""Random shell scripts, many of them adversarial, for comparing our reader with a real shell."""

from __future__ import annotations

import random

_PROGRAMS = [
    "p0",
    "p1",
    "p2",
    "rm",
    "git",
    "ls",
    "p-3",
    "p_4",
    "sudo",
    "p5.x",
    "+p",
    "@p",
    "%1",
    "p=1",
    "'p q'",
    '"p6"',
    "p\\7",
    "p''8",
]
_ARGUMENTS = [
    *(
        "a",
        "b.txt",
        "-rf",
        "--x=y",
        "/",
        "'c d'",
        '"e f"',
        "g\\ h",
        "''",
        '""',
        "=",
        "a=b",
        "{}",
        "{",
        "}",
        "!",
        "#x",
        "x#y",
    ),
    *(
        "$v",
        '"$v"',
        "${v}",
        "${v:-w}",
        '"${v:-a b}"',
        "$@",
        '"$@"',
        "$*",
        "$#",
        "$$",
        "$1",
        "$",
        '"$"',
        "$'k'",
        "$'\\x41'",
        "$'\\n'",
    ),
    *(
        "*",
        "?",
        "[a]",
        "[",
        "]",
        "~",
        "~/x",
        "a~b",
        "*.txt",
        "{a,b}",
        "{1..2}",
        "a{b}c",
        "é",
        "日本",
        "^",
        "%",
        "@",
        ",",
    ),
    *(
        "if",
        "then",
        "do",
        "done",
        "fi",
        "esac",
        "in",
        "time",
        "[[",
        "]]",
        "function",
        "coproc",
        "\\;",
        "';'",
        '"|"',
        "\\|",
        "1",
        "2",
        "12",
    ),
    *(
        "$((1+2))",
        "$((v))",
        "$[1]",
        "${#v}",
        "${v%x}",
        "${v//a/b}",
        "${!v}",
        "${v@P}",
        "${v:0:1}",
        '$"x"',
        "`p9 a`",
        "$(p9 a)",
        '"$(p9 b)"',
    ),
    *(
        '"`p9 c`"',
        "$(p9|p8)",
        "<(p9 d)",
        ">(p9 e)",
        "a<(p9)",
        '"a\\"b"',
        '"a\\$b"',
        '"a\\qb"',
        "\\\n",
        "a\\\nb",
        '"a\\\nb"',
        "'a\nb'",
        '"a\nb"',
    ),
]
_REDIRECTS = [
    "> o",
    ">o",
    ">> o",
    "2>o",
    "2>&1",
    ">&2",
    "&>o",
    "&>>o",
    "< a",
    "<&-",
    ">|o",
    "<>o",
    "<<< w",
    "3>o",
    "12>o",
    "123>o",
    "{fd}>o",
    "2>&1-",
    ">$v",
    "> 'o p'",
    "<<<$(p9)",
]
_JOINTS = [
    " | ",
    "|",
    " && ",
    "&&",
    " || ",
    "; ",
    ";",
    " & ",
    "&",
    "\n",
    " |& ",
    "\n\n",
    " ;; ",
    " &&\n",
    " |\n",
    " ; # c\n",
    "\\\n",
    " && \\\n",
]
_SOUP = [
    *";|&()<>{}!#$`'\"\\ \n\t=*?[]~",
    "p0",
    "p1",
    "a",
    "$(",
    "${",
    "))",
    "((",
    "<<E\n",
    "\nE\n",
    ";;",
    "in ",
    "do ",
    "case ",
    "if ",
    "fi",
    "then ",
    "time ",
    "$'",
    "[[ ",
    " ]]",
    "<(",
    "\r",
]


class Scripts:
    """An endless source of scripts from one seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def next(self) -> str:
        kind = self._rng.random()
        if kind < 0.6:
            return self._list(3)
        if kind < 0.85:
            return self._broken(self._list(2))
        return "".join(self._rng.choice(_SOUP) for _ in range(self._rng.randrange(1, 16)))

    def _broken(self, text: str) -> str:
        """The same with a few characters put in, doubled or left out."""
        for _ in range(self._rng.randrange(1, 4)):
            at = self._rng.randrange(len(text) + 1)
            text = text[:at] + self._rng.choice(["", self._rng.choice(_SOUP)]) + text[at + self._rng.randrange(2) :]
        return text

    def _list(self, depth: int) -> str:
        parts = [self._one(depth)]
        for _ in range(self._rng.choice([0, 0, 1, 1, 2, 3])):
            parts += [self._rng.choice(_JOINTS), self._one(depth)]
        return "".join(parts)

    def _one(self, depth: int) -> str:
        if depth > 0 and self._rng.random() < 0.3:
            return self._compound(depth - 1) + self._rng.choice(["", "", f" {self._rng.choice(_REDIRECTS)}"])
        return self._simple(depth)

    def _compound(self, depth: int) -> str:
        def some() -> str:
            return self._list(depth)

        end = self._rng.choice(["; ", "\n", ";\n", " "])
        word = self._rng.choice(_ARGUMENTS)
        return self._rng.choice(
            [
                lambda: f"({some()})",
                lambda: f"( {some()}{end})",
                lambda: f"{{ {some()}{end}}}",
                lambda: f"if {some()}{end}then {some()}{end}fi",
                lambda: f"if {some()}{end}then {some()}{end}else {some()}{end}fi",
                lambda: f"if {some()}{end}then {some()}{end}elif {some()}{end}then {some()}{end}fi",
                lambda: f"for v in {word} {word}{end}do {some()}{end}done",
                lambda: f"for v{end}do {some()}{end}done",
                lambda: f"while {some()}{end}do {some()}{end}done",
                lambda: f"until {some()}{end}do {some()}{end}done",
                lambda: f"case {word} in {word}) {some()};; (*) {some()}{end}esac",
                lambda: f"case {word} in\n{word}|b) {some()} ;;\nesac",
                lambda: f"f() {{ {some()}{end}}}{end}f {word}",
                lambda: f"f () ({some()}){end}f",
                lambda: f"function f {{ {some()}{end}}}{end}f",
                lambda: f"! {some()}",
                lambda: f"time {some()}",
                lambda: f"[[ -n {word} ]] && {some()}",
                lambda: f"[[ {word} == {word} || ! -f a ]]",
                lambda: f"p1 <<E\n{word} {some()}\nE\n{some()}",
                lambda: f"p1 <<'E' | {some()}\n{word} $(p9)\nE\n",
                lambda: f"p1 <<-E\n\t{word} $(p9 h)\n\tE\n{some()}",
                lambda: f"p1 a$({some()})b",
                lambda: f'p1 "x$({some()})"',
                lambda: f"v=$({some()}) p2",
                lambda: f"v={word}; $v {word}",
                lambda: f"({some()}) {word}",
            ]
        )()

    def _simple(self, depth: int) -> str:
        rng = self._rng
        parts = [
            f"{rng.choice(['v', 'V', 'v+', 'v[0]'])}={rng.choice(_ARGUMENTS)}"
            for _ in range(rng.choice([0] * 8 + [1, 2]))
        ]
        if rng.random() < 0.93:
            parts.append(rng.choice(_PROGRAMS) if rng.random() < 0.9 else rng.choice(_ARGUMENTS))
        parts += [rng.choice(_ARGUMENTS) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(_REDIRECTS))
        return rng.choice([" ", " ", "  ", "\t"]).join(parts)
