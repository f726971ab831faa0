"""Where plugin files lie: the user's folder, that of a trusted project, and installed packages. None is imported to find it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..store import trusted, trusted_folders

if TYPE_CHECKING:
    from importlib import machinery

GROUP = "localagent.tools"
_FILES = 100
_SEALED_FILES = 3_000
_SEALED_BYTES = 64_000_000
Origin = Literal["yours", "project", "package"]


@dataclass(frozen=True, slots=True)
class Place:
    """One plugin file. `label` says in words where it comes from.

    Of a package `module` is the file's name there, and `roots` are the folder or file of it that its worker reads too: `problem`
    says why an entry point leads to no file, `line` unknown.
    """

    file: Path
    origin: Origin = "yours"
    label: str = "your plugin folder"
    module: str = ""
    roots: tuple[str, ...] = ()
    problem: str = ""


def everywhere(workspace: Path | None = None, packages: bool = True) -> list[Place]:
    """The user's, the project's where `workspace` is trusted, and the `packages`', each in a stable order."""
    found = [Place(file) for file in _in(trusted.plugins_folder())]
    if workspace is not None and trusted_folders.trusts(workspace):
        found += [Place(file, "project", f"the project {workspace}") for file in _in(project_folder(workspace))]
    return [*found, *(_packages() if packages else ())]


def project_folder(workspace: Path) -> Path:
    """Where a project keeps plugins; it need not exist."""
    return Path(os.path.realpath(workspace)) / ".localagent" / "tools"


def untrusted(workspace: Path) -> list[Path]:
    """The plugin files of a project that is not trusted, which are not looked at."""
    return [] if trusted_folders.trusts(workspace) else _in(project_folder(workspace))


def _in(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.glob("*.py") if path.name[0] not in "._" and path.is_file())
    except OSError:
        return []
    return found[:_FILES]


def _packages() -> list[Place]:
    # A fifth of a short command's time to start.
    from importlib import metadata

    places = {}
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        name = point.dist.metadata["Name"] if point.dist is not None else point.module
        label = f"the package {name} {point.dist.version}" if point.dist is not None else f"the package {name}"
        places.setdefault(point.module, _package(point.module, label))
    return list(places.values())[:_FILES]


def _package(module: str, label: str) -> Place:
    """The file of a module, found as an import would find it, without importing what lies above it."""
    from importlib import machinery, util

    top, *rest = module.split(".")
    try:
        spec = util.find_spec(top)
        root = _root(spec)
        name = top
        for part in rest:
            folders = list(spec.submodule_search_locations or ()) if spec is not None else []
            name = f"{name}.{part}"
            spec = machinery.PathFinder.find_spec(name, folders) if folders else None
    except (ImportError, ValueError, AttributeError, OSError):
        spec, root = None, ""
    if spec is None or not spec.origin or not spec.origin.endswith(".py") or not root:
        told = f"{label} names the module {module} for tools, which is no Python file there. Install it again, or tell its authors."
        return Place(Path(module), "package", label, module, (), told)
    return Place(Path(spec.origin), "package", label, module, (root,))


def _root(spec: machinery.ModuleSpec | None) -> str:
    if spec is None:
        return ""
    folders = list(spec.submodule_search_locations or ())
    return os.path.realpath(folders[0]) if folders else os.path.realpath(spec.origin or "")


def seal(place: Place) -> str:
    """One hash over all other files of its package, "" where it has none: they are code that runs, too. Raises ValueError, OSError."""
    if not place.roots:
        return ""
    total, count, digest = 0, 0, hashlib.sha256()
    for root in place.roots:
        for top, folders, files in os.walk(root) if os.path.isdir(root) else [(os.path.dirname(root), [], [os.path.basename(root)])]:
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                path = os.path.join(top, name)
                total, count = total + os.path.getsize(path), count + 1
                if count > _SEALED_FILES or total > _SEALED_BYTES:
                    raise ValueError(f"its package has more than {_SEALED_FILES:,} files or {_SEALED_BYTES:,} bytes to look after")
                with open(path, "rb") as file:
                    digest.update(f"{path}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
