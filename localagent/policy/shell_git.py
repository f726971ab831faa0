"""What a git command would do beside reading: throw work away, run programs, reach the network, leave settings."""

from __future__ import annotations

from typing import Literal

_DISCARDS = {
    "reset": ("--hard", "--merge", "--keep"),
    "clean": (),
    "checkout": ("-f", "--force", "--", "."),
    "switch": ("-f", "--force", "--discard-changes", "-C"),
    "restore": (),
    "stash": ("drop", "clear"),
    "branch": ("-D", "-d", "--delete", "-M", "-f", "--force"),
    "tag": ("-d", "--delete", "-f", "--force"),
    "push": ("-f", "--force", "--delete", "-d", "--mirror", "--force-with-lease", "--prune"),
    "rm": (),
    "gc": (),
    "prune": (),
    "reflog": ("expire", "delete"),
    "filter-branch": (),
    "filter-repo": (),
    "update-ref": ("-d",),
    "worktree": ("remove", "prune"),
    "submodule": ("deinit",),
}
_NETWORK = frozenset("push pull fetch clone ls-remote submodule send-email svn lfs p4 request-pull".split())
_RUNS = frozenset(
    "bisect submodule difftool mergetool filter-branch hook am send-email instaweb gui citool web--browse".split()
)
# The longest form of each: git takes any beginning of a long option that is clear.
_OPTIONS = (
    *("--upload-pack", "--receive-pack", "--exec-path", "--exec", "--ext-diff", "--textconv", "--open-files-in-pager"),
    *(
        "--config-env",
        "--git-dir",
        "--work-tree",
        "--template",
        "--config",
        "--remote",
        "--extcmd",
        "--tool",
        "--editor",
    ),
    *("--paginate", "--gpg-sign", "--show-signature", "--ssh-cmd", "--namespace", "--super-prefix"),
)


def kinds(args: tuple[str, ...]) -> list[Literal["discards", "network", "code", "persists"]]:
    """The kinds of risk in the arguments of git."""
    found: list[Literal["discards", "network", "code", "persists"]] = []
    if _discards(args):
        found.append("discards")
    if _NETWORK & set(args) or ("remote" in args and "update" in args) or any(w.startswith("--remote") for w in args):
        found.append("network")
    if _runs(args):
        found.append("code")
    if "config" in args and not {"--get", "--list", "-l", "--get-all", "--get-regexp"} & set(args):
        found += ["persists", "code"]
    return found


def _runs(args: tuple[str, ...]) -> bool:
    """Whether git would run a program that the line or another folder names."""
    if _RUNS & set(args):
        return True
    for word in args:
        given = word.split("=", 1)[0]
        if word.startswith("--") and len(given) > 4 and any(option.startswith(given) for option in _OPTIONS):
            return True
        if (word.startswith(("-c", "-C")) and not word.startswith("--")) or "ext::" in word or "!" in word[:1]:
            return word not in ("-c", "-C") or _before_command(word, args)
    for command, letter in (("grep", "-O"), ("rebase", "-x"), ("clone", "-u"), ("fetch", "-u"), ("difftool", "-x")):
        if command in args and any(word.startswith(letter) for word in args):
            return True
    return False


def _before_command(option: str, args: tuple[str, ...]) -> bool:
    """Whether the option is git's own: `git -c x=y log` and `git -C dir log`, not `git commit -C HEAD`."""
    at = args.index(option)
    before = [
        word
        for n, word in enumerate(args[:at])
        if not word.startswith("-") and (n == 0 or args[n - 1] not in ("-c", "-C"))
    ]
    return not before or before[0] == "clone"


def _discards(args: tuple[str, ...]) -> bool:
    for at, word in enumerate(args):
        flags = _DISCARDS.get(word)
        if flags is not None:
            rest = args[at + 1 :]
            if word == "clean" and any(w == "--dry-run" or _has(w, "n") for w in rest):
                return False
            if word == "push" and any(w.startswith("+") or (w.startswith(":") and len(w) > 1) for w in rest):
                return True
            if not flags or any(w in flags or w.split("=")[0] in flags for w in rest):
                return True
            return any(_has(w, flag[1]) for w in rest for flag in flags if len(flag) == 2 and flag[0] == "-" != flag[1])
    return False


def _has(word: str, letter: str) -> bool:
    return word.startswith("-") and not word.startswith("--") and letter in word
