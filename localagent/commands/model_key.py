"""`localagent model key`: the keys of providers, in the keyring of the desktop or a file for its owner alone."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..store import credentials

if TYPE_CHECKING:
    from ..engine.catalogue import Catalogue, Entry, Remote
    from ..store.settings import Settings


def run(args: argparse.Namespace, chosen: Settings, known: Catalogue) -> int:
    """Reads the key where it is not shown, or from standard input; never from the command line, which others can see."""
    from ..engine.remote import keys

    name = args.provider.strip().lower()
    if name not in known.providers:
        raise UsageError(f"There is no provider {name!r}.", f"There are: {', '.join(sorted(known.providers))}.")
    if args.forget:
        gone = credentials.forget(keys.place(name), keys.FIELD)
        print(f"The key of {name} is {'forgotten' if gone else 'not stored'}.")
        return 0 if gone else 1
    secret = _asked(name).strip()
    if not secret or len(secret) > 4096 or not secret.isprintable() or " " in secret:
        raise UsageError("That is no key: it is empty, or holds spaces or control characters.")
    where = credentials.store(keys.place(name), keys.FIELD, secret)
    print(f"The key of {name} is kept in {'the keyring' if where == 'keyring' else credentials.path()}.")
    return 0


def told(entry: Entry) -> str:
    """Whether there is a key."""
    if entry.remote is None or not entry.remote.key_env:
        return "no key needed"
    return "key is there" if there(entry.remote) else f"no key: localagent model key {entry.remote.provider}"


def there(remote: Remote) -> bool:
    from ..engine.remote import keys

    return bool(keys.key(remote))


def leaves(entry: Entry) -> str:
    from ..engine.remote import keys

    return keys.leaves(entry)


def _asked(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    import getpass

    return getpass.getpass(f"Key of {name} (it is not shown): ", stream=sys.stderr)
