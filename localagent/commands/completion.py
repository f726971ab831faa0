"""`localagent completion bash|zsh|fish`: the words of every command, as its own parser knows them, and files behind them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence

Words = Mapping[tuple[str, ...], Sequence[str]]
"""(command, subcommand, ...) -> the words that may follow: subcommands first, then options."""

_SESSIONS = "localagent sessions --ids 2>/dev/null"
# Where the id of a session stands.
_IDS = (("resume",), *(("sessions", what) for what in ("rename", "fork", "export", "rm")))
_OPTION_OF_IDS = "--resume"
_RECIPES = "localagent recipes --names 2>/dev/null"
# Where the name of a recipe stands.
_NAMES = (("run",), *(("recipes", what) for what in ("show", "check", "path", "edit", "rm", "trust")))

_BASH = """\
_localagent() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" one="${{COMP_WORDS[1]}}" two="" words=""
  [ "$COMP_CWORD" -gt 2 ] && two="${{COMP_WORDS[2]}}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{names}"
  elif [ "$before" = {resume} ] || {{ [ "${{word:0:1}}" != - ] && case "$one $two" in {ids}) true;; *) false;; esac; }}; then
    words="last $({sessions})"
  elif [ "${{word:0:1}}" != - ] && case "$one $two" in {recipes}) true;; *) false;; esac; then
    words="$({names_of_recipes})"
  else
    case "$one $two" in
{cases}
      *) case "$one" in
{plain}
        esac;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [ ${{#COMPREPLY[@]}} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$word")); fi
}}
complete -o filenames -F _localagent localagent
"""
_ZSH = """\
#compdef localagent
_localagent() {{
  local one=$words[2] two="" found=""
  (( CURRENT > 3 )) && two=$words[3]
  if (( CURRENT == 2 )); then
    compadd -- {names}
    return
  fi
  if [[ $words[CURRENT-1] == {resume} ]] || {{ [[ $PREFIX != -* ]] && case "$one $two" in {ids}) true;; *) false;; esac }}; then
    compadd -- last $({sessions})
    return
  fi
  if [[ $PREFIX != -* ]] && case "$one $two" in {recipes}) true;; *) false;; esac; then
    compadd -- $({names_of_recipes})
    return
  fi
  case "$one $two" in
{cases}
    *) case "$one" in
{plain}
      esac;;
  esac
  compadd -- ${{=found}}
  _files
}}
compdef _localagent localagent
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])
    parser.epilog = 'bash: eval "$(localagent completion bash)" in ~/.bashrc'


def run(args: argparse.Namespace, parsers: Callable[[], Mapping[str, argparse.ArgumentParser]]) -> int:
    """`parsers` makes the parser of each command."""
    words = {place: listed for name, parser in parsers().items() for place, listed in known(parser, (name,))}
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](words), end="")
    return 0


def known(parser: argparse.ArgumentParser, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """What may follow behind each place, in the order of the help."""
    names: list[str] = []
    options: list[str] = []
    inner: list[tuple[tuple[str, ...], list[str]]] = []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        options += [option for option in action.option_strings if option.startswith("--") or len(action.option_strings) == 1]
        if isinstance(action, argparse._SubParsersAction):
            names += action.choices
            for name, one in action.choices.items():
                inner += known(one, (*place, name))
        elif not action.option_strings and action.choices:
            names += map(str, action.choices)
    yield place, [*names, *options]
    yield from inner


def _commands(words: Words) -> str:
    return " ".join(dict.fromkeys(place[0] for place in words))


def _bash(words: Words) -> str:
    return _filled(_BASH, words, "words", 6)


def _zsh(words: Words) -> str:
    return _filled(_ZSH, words, "found", 4)


def _filled(script: str, words: Words, variable: str, indent: int) -> str:
    def case(place: Sequence[str], listed: Sequence[str], deep: int) -> str:
        return f'{" " * deep}"{" ".join(place)}") {variable}="{" ".join(listed)}";;'

    cases = "\n".join(case(place, listed, indent) for place, listed in words.items() if len(place) == 2)
    plain = "\n".join(case(place, listed, indent + 2) for place, listed in words.items() if len(place) == 1)
    ids, recipes = ("|".join(f'"{place[0]} {place[1] if len(place) > 1 else ""}"' for place in places) for places in (_IDS, _NAMES))
    dynamic = {"ids": ids, "sessions": _SESSIONS, "resume": _OPTION_OF_IDS, "recipes": recipes, "names_of_recipes": _RECIPES}
    return script.format(names=_commands(words), cases=cases, plain=plain, **dynamic)


def _fish(words: Words) -> str:
    lines = [f'complete -c localagent -n __fish_use_subcommand -f -a "{_commands(words)}"']
    seen = "__fish_seen_subcommand_from"
    for place, listed in words.items():
        if len(place) > 2 or not listed:
            continue
        inner = [other[1] for other in words if len(other) == 2 and other[0] == place[0]]
        where = f"{seen} {place[0]}" if len(place) == 1 else f"{seen} {place[0]}; and {seen} {place[1]}"
        if len(place) == 1 and inner:
            where += f"; and not {seen} {' '.join(inner)}"
        lines.append(f'complete -c localagent -n "{where}" -a "{" ".join(listed)}"')
    for place in _IDS:
        where = "; and ".join(f"{seen} {name}" for name in place)
        lines.append(f'complete -c localagent -n "{where}" -f -a "last ({_SESSIONS})"')
    for place in _NAMES:
        # Behind the name of the one to run come files.
        first = "; and test (count (commandline -opc)) -eq 2" if len(place) == 1 else ""
        where = "; and ".join(f"{seen} {name}" for name in place) + first
        lines.append(f'complete -c localagent -n "{where}" -f -a "({_RECIPES})"')
    return "\n".join(lines) + "\n"
