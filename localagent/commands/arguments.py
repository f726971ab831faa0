"""The arguments of `do`, which the terminal app, chats and jobs understand too."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def of_do(argv: Sequence[str]) -> argparse.Namespace:
    """What `do` understands by these arguments: the other front ends differ from it in who reads and who answers."""
    parser = argparse.ArgumentParser(prog="localagent do", allow_abbrev=False)
    configure(parser)
    return parser.parse_args(argv)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("goal", nargs="+", help="what to do; `-` alone reads the goal from standard input")
    parser.add_argument("--mode", choices=["plan", "ask", "auto", "yolo"], help="how much may happen without asking")
    parser.add_argument("--yes", action="store_true", help="same as --mode auto: what can be undone is not asked about")
    parser.add_argument("--allow", action="append", default=[], metavar="RULE", help="e.g. 'write(notes/**)', 'run(make *)'")
    parser.add_argument("--deny", action="append", default=[], metavar="RULE", help="rules that no other rule lifts")
    parser.add_argument("--cwd", metavar="DIR", help="the folder to work in (default: here)")
    parser.add_argument("--model", metavar="ID", help="a model of `localagent model list`, or a GGUF file")
    parser.add_argument("--image", action="append", default=[], metavar="FILE", help="show a picture, FILE.pdf#2 or a film (repeatable)")
    parser.add_argument("--pull", action="store_true", help="download the model first if it is missing")
    parser.add_argument("--max-turns", type=_positive, default=40, metavar="N", help="answers of the model at most (40)")
    parser.add_argument("--max-time", type=_seconds, default=0.0, metavar="SECONDS", help="wall time at most")
    parser.add_argument("--max-tokens", type=_positive, default=0, metavar="N", help="tokens that are generated at most")
    parser.add_argument("--max-cost", type=_seconds, metavar="DOLLARS", help="what hosted models may cost in this run at most")
    parser.add_argument("--output-format", choices=["text", "json", "stream-json"], default="text")
    parser.add_argument("--output-schema", metavar="FILE", help="JSON Schema that the answer must satisfy")
    parser.add_argument("--dry-run", action="store_true", help="run, show what would change, change nothing")
    parser.add_argument("--local-only", action="store_true", help="never use a model on another machine")
    parser.add_argument("--no-memory", action="store_true", help="neither use nor write down what is remembered")
    parser.add_argument("--bigger", metavar="ID", help="a bigger model that may be asked for a step (default: the setting `bigger`)")
    parser.add_argument(
        "--bigger-on",
        choices=["never", "ask", "always", "each"],
        help="where the model is unsure: never, ask (the person), always; or `each`: for every answer. What leaves is shown first",
    )
    parser.add_argument("--think", action="store_true", help="let a thinking model think before it acts")
    parser.add_argument(
        "--check", action="append", default=[], metavar="CHECK", help="must hold at the end, else exit code 9; e.g. 'exists report.md'"
    )
    parser.add_argument("--plan", choices=["auto", "on", "off"], help="whether the model writes down a plan (auto: models of 4 GB or more)")
    parser.add_argument("--resume", metavar="ID", help="go on with a session (`last` for the last one)")
    parser.add_argument("--quiet", "-q", action="store_true", help="nothing on stderr but errors")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
