"""`localagent contacts import` and `export`: the contact book out of, and into, what other programs read."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..agent.shown import visible
from ..channels import vcard
from ..errors import UsageError
from ..store import atomic, contacts
from ..store.contacts import Contact

_SHOWN = 20
_KINDS = ("email", "phone", "matrix", "telegram")
_OTHERS = "X-LOCALAGENT-"
_NO_FORMULA = re.compile(r"\+[\d ()./-]{1,40}|@[\w.:-]{1,255}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do: new contacts, known ones with the addresses they get, and how many stay as they are."""

    new: tuple[Contact, ...]
    more: tuple[Contact, ...]
    known: int


@dataclass(frozen=True, slots=True)
class Refused:
    """What of the file is not taken over, and the number of its line."""

    line: int
    why: str
    what: str


def configure(what: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    taking = what.add_parser("import", help="take over the contacts of a vCard (.vcf) or CSV file")
    taking.add_argument("file", help="what another program exported; - for standard input")
    taking.add_argument("--yes", action="store_true", help="do it without asking")
    taking.add_argument("--dry-run", action="store_true", help="only say what would be done")
    taking.add_argument("--json", action="store_true")
    giving = what.add_parser("export", help="write the contact book as vCard or CSV")
    giving.add_argument("file", nargs="?", default="-", help="a new file; the standard output where none is given")
    giving.add_argument("--format", choices=["vcard", "csv"], help="else as the file's name says, else vcard")


def take(args: argparse.Namespace) -> int:
    """Nothing that is in the book is taken away or changed: names and addresses are added."""
    left: list[Refused] = []
    found = vcard.read(_bytes(args.file), lambda line, why, what: left.append(Refused(line, why, what)))
    if not found:
        hint = "A vCard file begins with BEGIN:VCARD; a CSV file needs a first line with the names of its columns, one of them e-mail."
        raise UsageError(f"{args.file} holds no contact with an address.", hint)
    known = contacts.load()
    plan = planned(known, found)
    if args.json:
        json.dump(_plain(plan) | {"refused": [asdict(one) for one in left]}, sys.stdout, ensure_ascii=False, indent=1)
        print()
    else:
        _show(plan)
        _show_refused(left)
    if args.dry_run or not (plan.new or plan.more):
        return 0
    if not args.yes and not _agreed(len(plan.new) + len(plan.more)):
        print("Nothing was changed.", file=sys.stderr)
        return 1
    kept = _keep_old()
    contacts.save(contacts.merged(known, [*plan.new, *plan.more]))
    old = f" The book as it was: {kept}." if kept else ""
    print(f"{len(plan.new):,} added, {len(plan.more):,} completed, in {contacts.file()}.{old}", file=sys.stderr)
    return 0


def planned(known: Sequence[Contact], found: Sequence[vcard.Contact]) -> Plan:
    """A contact is known by its name, else by an address that only one contact has."""
    by_name = {one.name.casefold(): one for one in known}
    by_address: dict[tuple[str, str], set[str]] = {}
    for one in known:
        for kind, address in one.addresses:
            by_address.setdefault((kind, address.casefold()), set()).add(one.name)
    read: dict[str, list[tuple[str, str]]] = {}
    for name, addresses in found:
        pairs = [(kind, address) for kind, listed in addresses.items() for address in listed]
        owners = set().union(*(by_address.get((kind, address.casefold()), set()) for kind, address in pairs))
        there = by_name.get(name.casefold())
        own = there.name if there is not None else owners.pop() if len(owners) == 1 else name
        read.setdefault(own, []).extend(pairs)
    new, more, same = [], [], 0
    for name, pairs in read.items():
        before = by_name.get(name.casefold())
        (made,) = contacts.merged([before] if before else [], [Contact(name, tuple(pairs))])
        if before is None:
            new.append(made)
        elif made == before:
            same += 1
        else:
            more.append(Contact(before.name, made.addresses[len(before.addresses) :]))
    return Plan(tuple(new), tuple(more), same)


def give(args: argparse.Namespace) -> int:
    form = args.format or ("csv" if args.file.lower().endswith(".csv") else "vcard")
    text = _csv(contacts.load()) if form == "csv" else "".join(_cards(contacts.load()))
    if args.file == "-":
        sys.stdout.write(text)
        return 0
    target = Path(args.file).expanduser()
    if os.path.lexists(target):
        raise UsageError(f"{args.file} is there already.", "Choose another name.")
    atomic.write_atomic(target, text.encode())
    print(f"Written: {args.file}", file=sys.stderr)
    return 0


# ---------------------------------------------------------------- within


def _bytes(name: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(vcard.MOST_BYTES + 1)
        with Path(name).expanduser().open("rb") as file:
            data = file.read(vcard.MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from None
    if len(data) > vcard.MOST_BYTES:
        raise UsageError(f"{name} is larger than {vcard.MOST_BYTES >> 20} MB.", "Export fewer contacts at once, without their pictures.")
    return data


def _show_refused(left: Sequence[Refused]) -> None:
    if left:
        print(f"{len(left):,} left out:")
    for one in left[:_SHOWN]:
        print(visible(f"- line {one.line:,}: {one.why}{f': {one.what}' if one.what else ''}", lines=False))
    if len(left) > _SHOWN:
        print(f"- … and {len(left) - _SHOWN:,} more; --json names all of them")


def _show(plan: Plan) -> None:
    for mark, listed in (("+", plan.new), ("~", plan.more)):
        for one in listed[:_SHOWN]:
            where = "  ".join(f"{kind}:{address}" for kind, address in one.addresses)
            print(visible(f"{mark} {one.name:24}  {where}", lines=False))
        if len(listed) > _SHOWN:
            print(f"{mark} … and {len(listed) - _SHOWN:,} more")
    print(f"{len(plan.new):,} new (+), {len(plan.more):,} get further addresses (~), {plan.known:,} are known already.")


def _plain(plan: Plan) -> dict[str, object]:
    def listed(some: Sequence[Contact]) -> list[dict[str, object]]:
        return [{"name": one.name, "addresses": [list(pair) for pair in one.addresses]} for one in some]

    return {"new": listed(plan.new), "more": listed(plan.more), "known": plan.known}


def _agreed(count: int) -> bool:
    """Whether a person at the terminal says yes; nobody there is a no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        print("Nobody is here to ask; --yes takes them over.", file=sys.stderr)
        return False
    print(f"Take over {count:,}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _keep_old() -> Path | None:
    try:
        old = contacts.file().read_bytes()
    except FileNotFoundError:
        return None
    kept = contacts.file().with_suffix(".yaml.old")
    atomic.write_atomic(kept, old)
    return kept


def _cards(book: Sequence[Contact]) -> Iterator[str]:
    for one in book:
        lines = ["BEGIN:VCARD", "VERSION:3.0", f"FN:{_escaped(one.name)}", f"N:{_escaped(one.name)};;;;"]
        lines += [_field(kind, address) for kind, address in one.addresses]
        yield "\r\n".join([*map(_folded, lines), "END:VCARD", ""])


def _field(kind: str, address: str) -> str:
    text = _escaped(address)
    match kind:
        case "email":
            return f"EMAIL:{text}"
        case "phone":
            return f"TEL:{text}"
        case "matrix":
            return f"IMPP:matrix:u/{text.removeprefix('@')}"
        case "telegram":
            return f"IMPP:telegram:{text}"
    name = "".join(char for char in kind.upper() if char.isascii() and char.isalnum())
    return f"{_OTHERS}{name or 'OTHER'}:{text}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> str:
    """Lines of at most 75 bytes, as the form wants them, broken between letters."""
    made, size = [], 0
    for char in line:
        width = len(char.encode())
        if size + width > 75:
            made.append("\r\n ")
            size = 1
        made.append(char)
        size += width
    return "".join(made)


def _csv(book: Sequence[Contact]) -> str:
    """The columns that Google's and Thunderbird's import know, each address of a kind in one of its own."""
    most = {kind: max((sum(k == kind for k, _ in one.addresses) for one in book), default=0) for kind in _KINDS}
    columns = [(kind, n) for kind in _KINDS for n in range(most[kind])]
    titles = {"email": "E-mail {} - Value", "phone": "Phone {} - Value", "matrix": "Matrix {}", "telegram": "Telegram {}"}
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(["Name", *(titles[kind].format(n + 1) for kind, n in columns)])
    for one in book:
        held = {kind: [_harmless(address) for k, address in one.addresses if k == kind] for kind in _KINDS}
        rows.writerow([_harmless(one.name), *(held[kind][n] if n < len(held[kind]) else "" for kind, n in columns)])
    return out.getvalue()


def _harmless(cell: str) -> str:
    """A spreadsheet takes what begins like this for a formula; a phone number and a chat's name are none."""
    return f"'{cell}" if cell and cell[0] in "=+-@\t\r\n" and not _NO_FORMULA.fullmatch(cell) else cell
