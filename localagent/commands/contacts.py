"""`localagent contacts`: the people that messages go to."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from ..agent.shown import visible
from ..errors import UsageError
from ..store import contacts
from ..store.contacts import Contact
from . import contact_files


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|add|rm|import|export|path")
    parser.set_defaults(what="list", json=False, words=[])
    listing = what.add_parser("list", help="all contacts, or those whose name or address holds the words")
    listing.add_argument("words", nargs="*")
    listing.add_argument("--json", action="store_true")
    add = what.add_parser("add", help="a new contact, or a further address of one")
    add.add_argument("name")
    add.add_argument("address", nargs="+", metavar="KIND:ADDRESS", help="e.g. email:anna@example.org or telegram:123456")
    remove = what.add_parser("rm", help="forget a contact")
    remove.add_argument("name")
    contact_files.configure(what)
    what.add_parser("path", help="where the contact book lies; it may be edited by hand")


def run(args: argparse.Namespace) -> int:
    doing = {"list": _list, "add": _add, "rm": _remove, "path": _path, "import": contact_files.take, "export": contact_files.give}
    return doing[args.what](args)


def _list(args: argparse.Namespace) -> int:
    words = [word.casefold() for word in args.words]
    found = [one for one in contacts.load() if all(word in _text(one) for word in words)]
    if args.json:
        json.dump([asdict(one) for one in found], sys.stdout, ensure_ascii=False, indent=1)
        print()
        return 0
    if not found:
        print("No contacts." if not words else "No contact has these words.", end=" ")
        print("Add one: localagent contacts add 'Anna Berg' email:anna@example.org")
    for one in found:
        where = "  ".join(f"{kind}:{address}" for kind, address in one.addresses)
        print(visible(f"{one.name:24}  {where}", lines=False))
    return 0


def _text(contact: Contact) -> str:
    return " ".join((contact.name, *(f"{kind}:{address}" for kind, address in contact.addresses))).casefold()


def _add(args: argparse.Namespace) -> int:
    addresses = []
    for given in args.address:
        kind, colon, address = given.partition(":")
        if not colon or not kind.isalpha() or not address.strip():
            raise UsageError(f"{given!r} is no address.", "Write KIND:ADDRESS, such as email:anna@example.org.")
        addresses.append((kind.casefold(), address.strip()))
    known = contacts.load()
    contacts.save(contacts.merged(known, [Contact(args.name.strip(), tuple(addresses))]))
    print(f"{visible(args.name, lines=False)} is in the contact book ({contacts.file()}).")
    return 0


def _remove(args: argparse.Namespace) -> int:
    known = contacts.load()
    left = [one for one in known if contacts.folded(one.name) != contacts.folded(args.name)]
    if len(left) == len(known):
        raise UsageError(f"There is no contact {args.name!r}.", "`localagent contacts list` shows them.")
    contacts.save(left)
    print(f"{visible(args.name, lines=False)} is not in the contact book any more.")
    return 0


def _path(args: argparse.Namespace) -> int:
    print(contacts.file())
    return 0
