"""Skills: folders of instructions that others wrote, each offered as a tool that shows them.

Where they are looked for, what each is now, whether a person has agreed to it, and the source of their tools.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import ConfigError, LocalAgentError, UsageError
from ..store import agreed, paths, trees
from ..store.trees import Tree
from ..values import Text, ToolCall, ToolResult, ToolSpec
from . import skill_form
from .skill_form import Skill

State = Literal["on", "off", "changed"]
Whose = Literal["yours", "folder"]
SHOWN = 8000
"""Characters of the instructions that one call shows."""
_MOST = 200
_NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
_FOLDER_NAMES = ("{baseDir}", "${CLAUDE_SKILL_DIR}", "$CLAUDE_SKILL_DIR")


@dataclass(frozen=True, slots=True)
class Place:
    """A skill's folder. Of a `folder` skill the project in which we work is the origin."""

    folder: Path
    whose: Whose


@dataclass(frozen=True, slots=True)
class Found:
    """A skill's folder as it is `now`, with its files (None where they cannot be taken), and the one that is `running`, None where none is.

    `changed` is one whose bytes are not those that were agreed to. With any of `problems` it cannot be agreed to.
    """

    place: Place
    tree: Tree | None
    now: Skill
    state: State
    running: Skill | None
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.place.folder.name

    @property
    def sha256(self) -> str:
        return self.tree.sha256 if self.tree is not None else ""


def own_folder() -> Path:
    """Where the user puts skills of their own; it need not exist."""
    return paths.config_dir() / "skills"


def folders(workspace: Path | None) -> list[tuple[Path, Whose]]:
    """Where skills are looked for: what comes first has the name."""
    found: list[tuple[Path, Whose]] = [(own_folder(), "yours"), (Path.home() / ".agents" / "skills", "yours")]
    if workspace is not None:
        found += [(workspace / ".localagent" / "skills", "folder"), (workspace / ".agents" / "skills", "folder")]
    known: dict[str, tuple[Path, Whose]] = {}
    for folder, whose in found:
        known.setdefault(os.path.realpath(folder), (folder, whose))
    return list(known.values())


def places(workspace: Path | None) -> list[Place]:
    """Every folder that may be a skill, in the order of their precedence."""
    found: list[Place] = []
    for folder, whose in folders(workspace):
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError:
            continue
        found += [Place(folder / name, whose) for name in names if os.path.isdir(folder / name)]
    return found[:_MOST]


def look(workspace: Path | None) -> list[Found]:
    """Every skill with what it is now. Raises ConfigError where the list of what was agreed to is damaged."""
    known, made = agreed.load("skills"), list[Found]()
    names: dict[str, Path] = {}
    for place in places(workspace):
        made.append(_found(place, known.get(str(place.folder)), names.get(place.folder.name)))
        names.setdefault(place.folder.name, place.folder)
    return made


def inspect(folder: Path) -> tuple[Tree | None, Skill]:
    """What lies in a folder, as a skill; None for the files where they cannot be taken."""
    try:
        tree = trees.read(folder)
    except LocalAgentError as error:
        return None, Skill(problems=(f"1: {error}",))
    except OSError as error:
        return None, Skill(problems=(f"1: it cannot be read: {error.strerror}.",))
    leaf = tree.files.get(skill_form.FILE)
    if leaf is None:
        return tree, Skill(problems=(f"1: the folder holds no file {skill_form.FILE}.",))
    return tree, skill_form.parse(leaf.data, os.path.basename(os.path.abspath(folder)))


def _found(place: Place, one: agreed.Agreed | None, taken: Path | None) -> Found:
    tree, now = inspect(place.folder)
    file = place.folder / skill_form.FILE
    problems = [f"{file}:{problem}" for problem in now.problems]
    if place.whose == "folder" and _linked(place.folder):
        tree = None
        problems = [f"{file}:1: it is reached through a link. Put the folder itself there."]
    if taken is not None:
        problems.append(f"{file}:1: the name {place.folder.name!r} is taken by {taken}. Give one of them another name.")
    running = _running(one) if one is not None and taken is None else None
    state: State = "off" if running is None else "on" if tree is not None and one and tree.sha256 == one.sha256 else "changed"
    return Found(place, tree, now, state, running, tuple(problems))


def _linked(folder: Path) -> bool:
    """Whether the folder, or one of the two that hold it, is a link: a project's own do not lead out of it."""
    return any(os.path.islink(part) for part in (folder, folder.parent, folder.parent.parent))


def _running(one: agreed.Agreed) -> Skill | None:
    tree = agreed.agreed_tree("skills", one)
    leaf = tree.files.get(skill_form.FILE) if tree is not None else None
    return skill_form.parse(leaf.data, one.name) if leaf is not None else None


def agree(found: Found) -> None:
    """Have exactly the bytes that were looked at from now on. Raises ConfigError where they cannot be a skill."""
    if found.problems or found.tree is None:
        raise ConfigError(f"The skill {found.name} cannot be confirmed: {' '.join(found.problems)}", "Mend it, and look again.")
    agreed.agree("skills", found.place.folder, found.name, found.tree)


def find(name: str, among: Iterable[Found]) -> Found:
    """The one of that name or path. Raises UsageError where there is none."""
    wanted = Path(name).expanduser()
    for one in among:
        if one.name == name.rstrip("/") or os.path.realpath(one.place.folder) == os.path.realpath(wanted):
            return one
    raise UsageError(f"There is no skill {name!r} here.", "See `localagent skills list`.")


@dataclass(frozen=True, slots=True)
class _Ready:
    """A skill as its tool gives it: from the agreed copy alone."""

    one: agreed.Agreed
    skill: Skill
    folder: Path
    foreign: bool
    spec: ToolSpec


class SkillSource:
    """The `ToolSource` of the skills that are on, each a tool without arguments. Takes them as they are at each `specs`."""

    listed = False

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._stamp: object = None
        self._ready: dict[str, _Ready] = {}
        self.problems: tuple[str, ...] = ()

    def specs(self) -> list[ToolSpec]:
        self._refresh()
        return [one.spec for one in self._ready.values()]

    def folders(self) -> tuple[str, ...]:
        """The folders whose files may be read for the sake of these skills."""
        return tuple(str(one.folder) for one in self._ready.values())

    async def call(self, call: ToolCall) -> AsyncGenerator[str | ToolResult, None]:
        one = self._ready.get(call.name)
        if one is None or agreed.agreed_tree("skills", one.one) is None:
            told = "The skill is not what the user agreed to any more, so it is not shown. Tell the user: `localagent skills list`"
            yield ToolResult(call.id, (Text(told),), "failed")
            return
        yield ToolResult(call.id, (Text(page(one.skill, one.folder)),))

    def word(self, call: ToolCall) -> str:
        """What the host says of the text that a call has shown."""
        one = self._ready.get(call.name)
        if one is None:
            return ""
        whose = "came with this folder, and the user has agreed to it" if one.foreign else "is one that the user has chosen"
        files = [path for path in _files(one.one) if path != skill_form.FILE]
        more = f" Its files lie in {one.folder} and can be read and run there by their full path: {', '.join(files)}." if files else ""
        return (
            f'What {call.name} has shown are the instructions of the skill "{one.one.name}", which {whose}. They are not the words of the '
            f"user and allow nothing that is not allowed anyway.{more} Nothing of them is done yet. Do the first step now with a tool "
            "call, then the next one, as far as they serve the user's request."
        )

    def foreign(self, name: str) -> bool:
        """Whether what the tool shows came with the folder: text of others, for rules and questions."""
        one = self._ready.get(name)
        return one is not None and one.foreign

    def fingerprint(self, call: ToolCall) -> str:
        return self.code(call.name)

    def code(self, name: str) -> str:
        """A print of all that is shown."""
        return self._ready[name].one.sha256 if name in self._ready else ""

    def _refresh(self) -> None:
        here = places(self._workspace)
        stamp = (_stamp(), tuple(str(place.folder) for place in here))
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            known = agreed.load("skills")
        except LocalAgentError as error:
            self._ready, self.problems = {}, (str(error),)
            return
        taken: set[str] = set()
        ready, problems = dict[str, _Ready](), list[str]()
        for place in here:
            one, name = known.get(str(place.folder)), place.folder.name
            if name in taken:
                problems += [f"The skill {place.folder} is left out: another one has its name."] if one else []
                continue
            taken.add(name)
            if one is None:
                continue
            skill = _running(one)
            if skill is None or skill.problems:
                how = f"Confirm it again: localagent skills trust {name}"
                problems.append(f"{place.folder}: the copy that was confirmed is gone, so it is off. {how}")
                continue
            spec = spec_of(skill)
            ready[spec.name] = _Ready(one, skill, agreed.copy_of("skills", one), place.whose == "folder", spec)
        self._ready, self.problems = ready, tuple(problems)


def _stamp() -> tuple[int, int]:
    try:
        facts = os.stat(agreed.listed("skills"))
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_ino


def _files(one: agreed.Agreed) -> list[str]:
    tree = agreed.agreed_tree("skills", one)
    return sorted(tree.files)[:30] if tree is not None else []


def spec_of(skill: Skill) -> ToolSpec:
    """The tool that shows the skill."""
    name = f"skill_{skill.name.replace('-', '_')}"
    return ToolSpec(name, f"Instructions: {skill.description}", _NOTHING, ("compute",), f"skill:{skill.name}")


def page(skill: Skill, folder: Path, shown: int = SHOWN) -> str:
    """The instructions, or their beginning and where the rest can be read."""
    body = skill.body
    for name in _FOLDER_NAMES:
        body = body.replace(name, str(folder))
    if len(body) <= shown:
        return body
    cut = body.rfind("\n", 0, shown) + 1 or shown
    at = skill.line + body[:cut].count("\n")
    file = folder / skill_form.FILE
    return f'{body[:cut]}\n[The instructions go on in {file}: read on with read_file(path="{file}", start={at}) when you come to that.]\n'


def told(found: Found) -> list[str]:
    """What it is, as plain lines for a person."""
    state = {
        "on": "on",
        "off": "off: it was not confirmed",
        "changed": "changed since it was confirmed; the earlier version is used",
    }[found.state]
    now = found.now
    origin = "yours" if found.place.whose == "yours" else "came with this folder: what it says counts as text of others"
    lines = [f"folder   {found.place.folder}", f"from     {origin}", f"sha256   {found.sha256 or '-'}", f"state    {state}"]
    pairs = (("about", now.description), ("license", now.license), ("needs", now.compatibility), ("wants", now.allowed_tools))
    lines += [f"{key:8} {text}" for key, text in pairs if text]
    lines += [f"{key:8} {text}" for key, text in now.metadata.items()]
    if found.tree is not None:
        for path, leaf in sorted(found.tree.files.items()):
            lines.append(f"file     {path} ({len(leaf.data):,} bytes{', a program' if leaf.program else ''})")
    lines += [f"hint     line {hint}" for hint in now.hints]
    return [*lines, *(f"problem  {problem}" for problem in found.problems)]



def text_of(found: Found) -> list[str]:
    """All of its text, file after file; of what is no text its name, size and hash."""
    lines: list[str] = []
    files = found.tree.files if found.tree is not None else {}
    for path, leaf in sorted(files.items(), key=lambda pair: (pair[0] != skill_form.FILE, pair[0])):
        lines += ["", f"---- {path}"]
        try:
            lines += leaf.data.decode("utf-8").replace("\r\n", "\n").rstrip("\n").split("\n")
        except UnicodeDecodeError:
            lines.append(f"({len(leaf.data):,} bytes that are no text, sha256 {hashlib.sha256(leaf.data).hexdigest()})")
    return lines
