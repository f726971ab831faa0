"""The user's rules from outside: parsed, suggested for what was asked, kept or not, shown as a flag."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from ..errors import UsageError
from ..values import Change, ToolCall, ToolSpec
from . import shell_risk, subjects
from .context import Context
from .decide import after, before, questions_after, questions_before
from .rule import Place, Rule, RuleKind, Rules, Subject, allows, parse
from .shell_words import INTERPRETERS, SHELLS, WRAPPERS, program

__all__ = ["Rule", "Rules", "needed", "parse", "remembered", "rule_for", "shown", "storable", "suggest"]


_PRIVILEGE = frozenset("sudo doas su pkexec run0 git-shell".split())


def escape(path: str) -> str:
    """The path as a glob that matches only itself."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def suggest(call: ToolCall, spec: ToolSpec, changes: Sequence[Change], ctx: Context) -> str:
    """The narrowest rule that would turn this "ask" into "allow"; "" where no single rule would do."""
    ctx = ctx.at_once()
    candidates = [rule_for(group, ctx) for group in _groups(call, spec, changes, ctx)]
    for text in (*candidates, f"tool({spec.name})"):
        if text and _would_allow([text], call, spec, changes, ctx):
            return text
    return ""


def needed(call: ToolCall, spec: ToolSpec, changes: Sequence[Change], ctx: Context) -> tuple[str, ...]:
    """The rules that together would turn this "ask" into "allow"; () where no rules would do."""
    one = suggest(call, spec, changes, ctx)
    if one:
        return (one,)
    several = [text for group in _groups(call, spec, changes, ctx) if (text := rule_for(group, ctx))]
    texts = tuple(dict.fromkeys(several))
    return texts if _would_allow(texts, call, spec, changes, ctx) else ()


def local(text: str) -> bool:
    """Whether the rule means another file in another folder, so that it may be kept for this folder only."""
    rule = parse(text)
    return rule.kind in ("read", "write") and not rule.object.startswith(("/", "~"))


def remembered(call: ToolCall, spec: ToolSpec, changes: Sequence[Change], ctx: Context) -> str:
    """The rule that an answer "always" keeps; "" where the same question would come again, or may."""
    ctx = ctx.at_once()
    texts = [rule_for(group, ctx) for group in _groups(call, spec, changes, ctx)]
    if not {"run", "write:fs"} & set(spec.effects):
        texts.append(f"tool({spec.name})")
    for text in texts:
        if text and storable(text) and _would_allow([text], call, spec, changes, ctx, kept=True):
            return text
    return ""


def _groups(call: ToolCall, spec: ToolSpec, changes: Sequence[Change], ctx: Context) -> list[list[Subject]]:
    """What each question is about, then all that is asked of one kind together."""
    asked = questions_after(call, spec, changes, ctx) if changes else questions_before(call, spec, ctx)
    groups = [list(question.subjects) for question in asked]
    every = [subject for group in groups for subject in group] + subjects.written(changes)
    return groups + [[s for s in every if s.kind == kind] for kind in dict.fromkeys(s.kind for s in every)]


def _would_allow(
    texts: Sequence[str], call: ToolCall, spec: ToolSpec, changes: Sequence[Change], ctx: Context, kept: bool = False
) -> bool:
    tried = replace(ctx, rules=ctx.rules.with_kept(texts) if kept else ctx.rules.with_allowed(texts))
    decision = after(call, spec, changes, tried) if changes else before(call, spec, tried)
    return decision.verdict == "allow"


def rule_for(subjects: Sequence[Subject], place: Place) -> str:
    """The narrowest single rule that allows all these subjects of one kind; "" where none would do."""
    if not subjects:
        return ""
    kind = subjects[0].kind
    for text in _candidates(kind, subjects, place):
        try:
            rule = parse(text)
        except UsageError:
            continue
        if all(allows(rule, subject, place) for subject in subjects):
            return text
    return ""


def _candidates(kind: RuleKind, subjects: Sequence[Subject], place: Place) -> list[str]:
    texts = list(dict.fromkeys(subject.text for subject in subjects))
    if kind in ("read", "write"):
        deep = any(subject.deep for subject in subjects)
        return [f"{kind}({glob})" for glob in _globs(texts, place, deep)]
    if kind == "run":
        return [f"run({texts[0].strip()})", "run(*)"] if len(texts) == 1 else ["run(*)"]
    return [f"{kind}({texts[0]})", f"{kind}(*)"] if len(texts) == 1 else [f"{kind}(*)"]


def _globs(paths: Sequence[str], place: Place, deep: bool = False) -> list[str]:
    if len(paths) == 1:
        exact = _short(paths[0], place)
        return [exact, f"{exact.rstrip('/')}/**"] if deep else [exact]
    parents = {path.rpartition("/")[0] or "/" for path in paths}
    if len(parents) == 1:
        folder = _short(parents.pop(), place)
        endings = {_ending(path) for path in paths}
        if len(endings) == 1 and (ending := escape(endings.pop())):
            same = f"*{ending}" if folder == "." else f"{folder.rstrip('/')}/*{ending}"
            return [same, *_folders(folder)]
        return _folders(folder)
    common = paths[0].split("/")
    for path in paths[1:]:
        parts = path.split("/")
        common = common[
            : next(
                (n for n, (a, b) in enumerate(zip(common, parts, strict=False)) if a != b), min(len(common), len(parts))
            )
        ]
    folder = _short("/".join(common) or "/", place)
    return ["**" if folder == "." else f"{folder.rstrip('/')}/**"]


def _folders(folder: str) -> list[str]:
    return ["**" if folder == "." else f"{folder.rstrip('/')}/*", f"{folder.rstrip('/')}/**"]


def _ending(path: str) -> str:
    """The ending with its dot; "" where the name has none or is only that."""
    name, dot, ending = path.rpartition("/")[2].rpartition(".")
    return dot + ending if name and ending else ""


def _short(path: str, place: Place) -> str:
    """The path as the user would write it in a rule."""
    if path == place.workspace:
        return "."
    if path.startswith(place.workspace.rstrip("/") + "/"):
        relative = escape(path[len(place.workspace.rstrip("/")) + 1 :])
        return "./" + relative if relative[:1] in "~" else relative
    if path == place.home:
        return "~"
    if place.home and path.startswith(place.home.rstrip("/") + "/"):
        return "~/" + escape(path[len(place.home.rstrip("/")) + 1 :])
    return escape(path)


def storable(text: str) -> bool:
    """Whether an answer "always" may keep this rule.

    Never a script, a shell, an interpreter, a wrapper, or everything of a kind; of files only
    those it names, or those of one ending that lie directly in one folder.
    """
    rule = parse(text)
    if rule.kind in ("net", "send", "persist"):
        return "*" not in rule.object
    if rule.kind in ("read", "write"):
        return _names_few(rule.object)
    if rule.kind == "tool":
        return True
    if not rule.words:
        return False
    name = program(rule.words)
    if name in INTERPRETERS or name in WRAPPERS or name in ("doas", "su", "git-shell"):
        return False
    # Those that build run the project's own code, which is not in the line.
    return name in _BUILDERS or not {"code", "privilege"} & shell_risk.read_argv(rule.words).classes


_BUILDERS = frozenset("npm pnpm yarn cargo go tox nox mvn gradle rspec jest cmake latex pdflatex xelatex dot".split())


def never_kept(text: str) -> str:
    """Why not even the user's own hand may store this rule for good, or "".

    Whoever may run a shell, an interpreter with code of its own, a wrapper or `sudo` may run anything.
    """
    rule = parse(text)
    if rule.kind != "run":
        return ""
    if rule.words == () and rule.rest:
        return "it would allow every program"
    if rule.words is None:
        return "a script is not one command"
    name = program(rule.words or ("",))
    if name in SHELLS or name in WRAPPERS or name in _PRIVILEGE:
        return f"{name} can start anything"
    inline = {"-c", "-e", "-m", "-r", "-p", "--eval", "--command", "--print"} & set(rule.words or ())
    if name in INTERPRETERS and name != "make" and (inline or (rule.rest and len(rule.words or ()) < 2)):
        return f"{name} can run any code"
    return ""


def _names_few(glob: str) -> bool:
    plain = re.sub(r"\[[*?\[]\]", "_", glob).removeprefix("./")
    if plain in ("", "."):
        return False
    folder, _, name = plain.rpartition("/")
    return not re.search(r"[*?\[]", folder + name.removeprefix("*.")) and name != "*."


def shown(text: str) -> str:
    """The rule as a flag that can be pasted into a shell."""
    return f"--allow {shlex.quote(text)}"
