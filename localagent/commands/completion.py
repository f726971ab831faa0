"""`localagent completion bash|zsh|fish`: completes the commands, and files behind them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

_BASH = """\
_localagent() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{names}" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = model ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "list pull use info check rm" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = approvals ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "list add revoke" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = channels ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "add list status probe sync secret rm" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = channels ]; then
    COMPREPLY=($(compgen -W "--secret-stdin --messages --past --json" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = jobs ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "add list show run pause resume rm log watch install uninstall" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = jobs ] && [ "${{word:0:1}}" = - ]; then
    COMPREPLY=($(compgen -W "{jobs}" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = gateway ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "run pair list unpair --once --model" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = gateway ] && [ "${{word:0:1}}" = - ]; then
    COMPREPLY=($(compgen -W "--folder --mode --allow --mail --once --model --json" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = audit ]; then
    COMPREPLY=($(compgen -W "show verify --last --session --json" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = sessions ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "list search rename fork export rm restore --json --folder -n" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = sessions ] && [ "${{word:0:1}}" = - ]; then
    COMPREPLY=($(compgen -W "--json --folder -n --at --format -o --force" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = resume ] && [ "$COMP_CWORD" -eq 2 ] ||
    [[ "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" =~ ^sessions.(rename|fork|export|rm)$ && "$COMP_CWORD" -eq 3 ]] ||
    [ "${{COMP_WORDS[COMP_CWORD-1]}}" = --resume ]; then
    COMPREPLY=($(compgen -W "last $(localagent sessions --ids 2>/dev/null)" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = tune ] && [ "${{word:0:1}}" = - ]; then
    COMPREPLY=($(compgen -W "--forget --anyway --json" -- "$word"))
  elif [ "${{COMP_WORDS[1]}}" = sandbox ]; then
    COMPREPLY=($(compgen -W "--verify --json" -- "$word"))
  elif [ "${{word:0:1}}" = - ] && [ "${{COMP_WORDS[1]}}" = undo ]; then
    COMPREPLY=($(compgen -W "--step --file --force --overwrite" -- "$word"))
  elif [ "${{word:0:1}}" = - ] && [ "${{COMP_WORDS[1]}}" = redo ]; then
    COMPREPLY=($(compgen -W "--step --file" -- "$word"))
  elif [ "${{word:0:1}}" = - ] && [ "${{COMP_WORDS[1]}}" = changes ]; then
    COMPREPLY=($(compgen -W "--step --file --session --limit --json" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _localagent localagent
"""
_ZSH = """\
#compdef localagent
_localagent() {{
  if (( CURRENT == 2 )); then
    compadd {names}
  elif [[ $words[2] == model ]] && (( CURRENT == 3 )); then
    compadd list pull use info check rm
  elif [[ $words[2] == approvals ]] && (( CURRENT == 3 )); then
    compadd list add revoke
  elif [[ $words[2] == channels ]] && (( CURRENT == 3 )); then
    compadd add list status probe sync secret rm
  elif [[ $words[2] == channels ]]; then
    compadd -- --secret-stdin --messages --past --json
  elif [[ $words[2] == jobs ]] && (( CURRENT == 3 )); then
    compadd add list show run pause resume rm log watch install uninstall
  elif [[ $words[2] == jobs && $PREFIX == -* ]]; then
    compadd -- {jobs}
  elif [[ $words[2] == gateway ]] && (( CURRENT == 3 )); then
    compadd -- run pair list unpair --once --model
  elif [[ $words[2] == gateway && $PREFIX == -* ]]; then
    compadd -- --folder --mode --allow --mail --once --model --json
  elif [[ $words[2] == audit ]]; then
    compadd -- show verify --last --session --json
  elif [[ $words[2] == sessions ]] && (( CURRENT == 3 )); then
    compadd -- list search rename fork export rm restore --json --folder -n
  elif [[ $words[2] == sessions && $PREFIX == -* ]]; then
    compadd -- --json --folder -n --at --format -o --force
  elif [[ $words[2] == resume && $CURRENT == 3 || $words[CURRENT-1] == --resume ||
    $words[2] == sessions && $words[3] == (rename|fork|export|rm) && $CURRENT == 4 ]]; then
    compadd last $(localagent sessions --ids 2>/dev/null)
  elif [[ $words[2] == tune && $PREFIX == -* ]]; then
    compadd -- --forget --anyway --json
  elif [[ $words[2] == sandbox ]]; then
    compadd -- --verify --json
  elif [[ $words[2] == undo && $PREFIX == -* ]]; then
    compadd -- --step --file --force --overwrite
  elif [[ $words[2] == redo && $PREFIX == -* ]]; then
    compadd -- --step --file
  elif [[ $words[2] == changes && $PREFIX == -* ]]; then
    compadd -- --step --file --session --limit --json
  else
    _files
  fi
}}
compdef _localagent localagent
"""
_FISH = """\
complete -c localagent -n __fish_use_subcommand -f -a "{names}"
complete -c localagent -n "__fish_seen_subcommand_from model" -f -a "list pull use info check rm"
complete -c localagent -n "__fish_seen_subcommand_from approvals" -f -a "list add revoke"
complete -c localagent -n "__fish_seen_subcommand_from channels" -f -a "add list status probe sync secret rm"
complete -c localagent -n "__fish_seen_subcommand_from channels" -a "--secret-stdin --messages --past --json"
complete -c localagent -n "__fish_seen_subcommand_from gateway" -f -a "run pair list unpair"
complete -c localagent -n "__fish_seen_subcommand_from gateway" -a "--folder --mode --allow --mail --once --model --json"
complete -c localagent -n "__fish_seen_subcommand_from audit" -f -a "show verify --last --session --json"
complete -c localagent -n "__fish_seen_subcommand_from jobs" -a "add list show run pause resume rm log watch install uninstall {jobs}"
complete -c localagent -n "__fish_seen_subcommand_from sessions" -f -a "list search rename fork export rm restore --json --folder"
complete -c localagent -n "__fish_seen_subcommand_from resume rename fork export rm" -f -a "last (localagent sessions --ids 2>/dev/null)"
complete -c localagent -n "__fish_seen_subcommand_from tune" -a "--forget --anyway --json"
complete -c localagent -n "__fish_seen_subcommand_from sandbox" -f -a "--verify --json"
complete -c localagent -n "__fish_seen_subcommand_from undo" -a "--step --file --force --overwrite"
complete -c localagent -n "__fish_seen_subcommand_from redo" -a "--step --file"
complete -c localagent -n "__fish_seen_subcommand_from changes" -a "--step --file --session --limit --json"
"""
_JOBS = (
    "--at --every --cron --on-change --on-output --on-mail --on-exit --from --words --channel --poll --tz --allow --deny --tool --cwd "
    "--name --model --max-time --max-turns --missed --tell --yes --json -n"
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])
    parser.epilog = 'bash: eval "$(localagent completion bash)" in ~/.bashrc'


def run(args: argparse.Namespace, names: Sequence[str]) -> int:
    script = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[args.shell]
    print(script.format(names=" ".join(names), jobs=_JOBS), end="")
    return 0
